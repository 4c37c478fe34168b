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

/** The most bytes that a file of a secret may have. */
#define UP_SECRET_FILE_MAX 65536

/**
 * What such a file says: its bytes without the line end that an editor has put at their end, and
 * then a NUL, so that whoever signs and whoever verifies by one file has the same secret.
 * @param bytes size of them, and room for one more.
 * @return how many there are without line end and NUL.
 */
int up_secret_file_text(char *bytes, apr_size_t size);

#endif
