/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The MPM prefork ends a child by a signal, SIGTERM or SIGHUP, whose handler
 * destroys the child's pools at once, whatever the process is doing. In the
 * middle of a statement, a command or an upload that takes the connection away
 * under the code that uses it, which crashes. While signals are held they wait,
 * and the child ends as soon as they are let go.
 *
 * Hold them for what is bounded only: httpd kills a child that does not end
 * within 9 s, which the journal takes as it takes any kill. Other MPMs signal
 * none of the threads that serve, and there this does nothing.
 */
#ifndef UP_HOLD_H
#define UP_HOLD_H

#include <signal.h>

typedef struct up_hold {
    int held;
    sigset_t before; /* the thread's mask */
} up_hold;

/** From now on this thread is not ended by a signal. Not to be nested. */
void up_hold_signals(up_hold *hold);

/** Where a signal has come meanwhile, this does not return. */
void up_let_signals(const up_hold *hold);

#endif
