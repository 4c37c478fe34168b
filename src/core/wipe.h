/* SPDX-License-Identifier: Apache-2.0 */

/** Secrets in memory do not outlive their use: what is freed may be handed to anybody. */
#ifndef UP_WIPE_H
#define UP_WIPE_H

#include <apr_pools.h>

/**
 * Has these bytes overwritten as the pool is cleared or destroyed.
 * @param p the pool that they are in, or one that ends before it.
 * @param len may be 0.
 */
void up_wipe_at_end(apr_pool_t *p, void *bytes, apr_size_t len);

/** Overwrites a string of our own, its end excepted; NULL is none. */
void up_wipe(char *text);

#endif
