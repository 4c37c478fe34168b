/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Keeps the process from sleeping for some moments: a timer sends it SIGURG each 5 ms, which
 * interrupts select(), poll() and nanosleep(), as any signal does (signal(7)); what else it may do
 * goes on. There is one for a process. Children do not inherit it.
 */
#ifndef UP_WAKER_H
#define UP_WAKER_H

#include <apr_pools.h>

/**
 * Begins, for 0.1 s.
 * @param p ends it, if it has not ended: httpd's pool of the configuration, with which the module's
 *        code is unloaded.
 * @return 0 where the system has no timer left, or somebody else handles SIGURG: nothing has begun.
 */
int up_waker_start(apr_pool_t *p);

/** Ends it. Does nothing where none has begun, or in a child. */
void up_waker_end(void);

#endif
