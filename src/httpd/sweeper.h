/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The journal swept in the background, by mod_watchdog: in one process of the
 * server at a time, every UserProfileSweep seconds for each contract. Other
 * nodes may sweep the same journal; the leases keep them apart. When it starts, it
 * looks once whether the database has all that each contract names.
 */
#ifndef UP_SWEEPER_H
#define UP_SWEEPER_H

#include <httpd.h>

/** Registers the watchdog's callbacks; for the hook post_config.
 *  @return NULL, or a sentence on what is wrong. */
const char *up_sweeper_register(apr_pool_t *p, server_rec *s);

/**
 * Lets the end of a child wait for the sweep under way, for which mod_watchdog
 * itself does not wait. For the hook child_init, when all that a sweep needs has
 * been made: pools are cleaned up in the opposite order.
 * @param p the child's own pool.
 */
void up_sweeper_child_init(apr_pool_t *p);

/** Begins no further sweep, and ends that under way after its entry; for the hook
 *  child_stopping. */
void up_sweeper_child_stopping(apr_pool_t *p, int graceful);

#endif
