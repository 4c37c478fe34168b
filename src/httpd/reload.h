/* SPDX-License-Identifier: Apache-2.0 */

/**
 * A graceful restart without a second in which nobody accepts.
 *
 * An MPM looks once for children that have ended, when the configuration has been read
 * again, and starts a new one for each. Where none has yet, it sleeps for a second before
 * it looks again, and the old ones accept nothing any more. A child of ours has connections
 * to close and ends a little later than that first look; so we have the MPM look later.
 */
#ifndef UP_RELOAD_H
#define UP_RELOAD_H

#include <httpd.h>

/**
 * Hook post_config, after all others: where children of the generation before run, waits until
 * the first has ended, for 0.3 s at most: where all have something under way that takes longer,
 * that comes on top of the MPM's second. It is not waited for where each has a thread
 * that says that it serves, which worker's do (those of event and prefork that are asked
 * to end say only that). Nothing is waited for when httpd starts, as there are no such
 * children, or where no server is configured to serve us.
 */
int up_reload_post_config(apr_pool_t *p, apr_pool_t *log, apr_pool_t *temp, server_rec *s);

#endif
