/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/hold.h"

#include <ap_mpm.h>
#include <pthread.h>

static int has_threads(void)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    return threaded != AP_MPMQ_NOT_SUPPORTED;
}

void up_hold_signals(up_hold *hold)
{
    sigset_t ending;

    hold->held = 0;
    if (has_threads())
        return;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    hold->held = pthread_sigmask(SIG_BLOCK, &ending, &hold->before) == 0;
}

void up_let_signals(const up_hold *hold)
{
    if (hold->held)
        pthread_sigmask(SIG_SETMASK, &hold->before, NULL);
}
