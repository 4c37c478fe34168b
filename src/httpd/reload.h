/* SPDX-License-Identifier: Apache-2.0 */

/**
 * A graceful restart without a second in which nobody accepts.
 *
 * When the configuration has been read again, an MPM looks once for children that have ended, and
 * starts a new one for each. Where none has yet, it sleeps for a second before it starts the
 * others, and the old ones accept nothing any more. A child of ours has connections to close, and
 * ends a little later than that look, or much later, with an upload under way.
 *
 * So where old and new children fit into MaxRequestWorkers together, the MPM is woken from
 * that sleep at once, and the old ones keep their connections for a second, as ending them takes
 * time from the new ones that connect. Where they do not fit, the MPM is made to look a little
 * later.
 */
#ifndef UP_RELOAD_H
#define UP_RELOAD_H

#include <ap_mpm.h>
#include <httpd.h>

/**
 * Hook post_config, after all others. Does nothing when httpd starts, or where no server is
 * configured to serve us. Where children of the generation before run and leave room for as many,
 * has the MPM woken from its sleep (httpd/waker), until it has started a child. Otherwise waits
 * until the first has ended, 0.3 s at most: where all have something under way that takes longer,
 * that comes on top of the MPM's second. It is not waited for where each has a thread that says
 * that it serves, which worker's do (those of event and prefork that are asked to end say only
 * that).
 */
int up_reload_post_config(apr_pool_t *p, apr_pool_t *log, apr_pool_t *temp, server_rec *s);

/** Hook child_status, in the parent: when a child is started, the MPM is not woken any more. */
void up_reload_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot,
                            mpm_child_status status);

/**
 * Hook child_stopping, after all others: a child that ends because of a reload waits for a second
 * before it closes its connections, where there is room for it and the new ones.
 */
void up_reload_child_stopping(apr_pool_t *p, int graceful);

#endif
