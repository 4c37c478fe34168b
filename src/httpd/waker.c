/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/waker.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* By a clock that cannot be set: 0.1 s. */
#define STEP_MS 5
#define STEPS 20

/* Ignored where nobody handles it, and of use to nobody else in httpd's parent. */
#define SIGNAL SIGURG

/* It has an owner as a child inherits all of this but the clock. */
static struct {
    pid_t owner;
    timer_t clock;
    struct sigaction before;
    volatile sig_atomic_t left;
} waker;

/* That it is there interrupts a sleep; after the last step it is as if it had never been. */
static void step(int number)
{
    static const struct itimerspec never;
    int error = errno;

    (void)number;
    if (--waker.left <= 0) {
        timer_settime(waker.clock, 0, &never, NULL);
        sigaction(SIGNAL, &waker.before, NULL);
    }
    errno = error;
}

void up_waker_end(void)
{
    if (waker.owner != getpid())
        return;
    timer_delete(waker.clock);
    sigaction(SIGNAL, &waker.before, NULL);
    waker.owner = 0;
}

static apr_status_t end(void *unused)
{
    (void)unused;
    up_waker_end();
    return APR_SUCCESS;
}

/* What is interrupted goes on by itself (SA_RESTART): only a sleep, which has no such way, does
 * not. */
static int handle_signal(void)
{
    const struct sigaction handler = {.sa_handler = step, .sa_flags = SA_RESTART};

    return sigaction(SIGNAL, NULL, &waker.before) == 0 &&
           (waker.before.sa_handler == SIG_DFL || waker.before.sa_handler == SIG_IGN) &&
           sigaction(SIGNAL, &handler, NULL) == 0;
}

int up_waker_start(apr_pool_t *p)
{
    const struct timespec interval = {.tv_nsec = STEP_MS * 1000000L};
    const struct itimerspec steps = {.it_interval = interval, .it_value = interval};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGNAL};

    if (timer_create(CLOCK_MONOTONIC, &event, &waker.clock) != 0)
        return 0;
    if (!handle_signal()) {
        timer_delete(waker.clock);
        return 0;
    }
    waker.owner = getpid();
    waker.left = STEPS;
    /* Before the pool's cleanups unload us: the handler is our code. */
    apr_pool_cleanup_register(p, NULL, end, apr_pool_cleanup_null);
    timer_settime(waker.clock, 0, &steps, NULL);
    return 1;
}
