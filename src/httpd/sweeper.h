/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The journal swept in the background, by mod_watchdog: in one process of the
 * server at a time, every UserProfileSweep seconds for each contract. Other
 * nodes may sweep the same journal; the leases keep them apart.
 */
#ifndef UP_SWEEPER_H
#define UP_SWEEPER_H

#include <httpd.h>

/** Registers the watchdog's callbacks; for the hook post_config.
 *  @return NULL, or a sentence on what is wrong. */
const char *up_sweeper_register(apr_pool_t *p, server_rec *s);

#endif
