/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/reload.h"

#include "httpd/config.h"

#include <ap_mpm.h>
#include <apr_time.h>
#include <scoreboard.h>
#include <sys/wait.h>

/* 0.3 s by a clock that cannot be set. */
#define STEP apr_time_from_msec(5)
#define STEPS 60

/* In the order in which a child comes to its end. */
typedef enum state { NONE, BUSY, ENDING, ENDED } state;

/* Does a thread say so? Those of event and prefork that are to end need not. */
static int is_busy(int child, int threads)
{
    int i;

    for (i = 0; i < threads; i++) {
        const worker_score *worker = ap_get_scoreboard_worker_from_indexes(child, i);

        if (worker && worker->status >= SERVER_BUSY_READ && worker->status <= SERVER_CLOSING)
            return 1;
    }
    return 0;
}

static state state_of(int child, int threads)
{
    const process_score *process = ap_get_scoreboard_process(child);
    siginfo_t info = {.si_pid = 0};

    if (!process || process->pid <= 0)
        return NONE;
    /* The MPM has still to find it: it is looked at, not taken. */
    if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return NONE;
    if (info.si_pid == process->pid)
        return ENDED;
    return is_busy(child, threads) ? BUSY : ENDING;
}

/* Of the child that is nearest to its end. */
static state nearest(int children, int threads)
{
    state nearest = NONE;
    int i;

    for (i = 0; i < children && nearest < ENDED; i++) {
        state state = state_of(i, threads);

        if (state > nearest)
            nearest = state;
    }
    return nearest;
}

static int is_ours(server_rec *s)
{
    while (s && !up_config_of(s)->model)
        s = s->next;
    return s != NULL;
}

int up_reload_post_config(apr_pool_t *p, apr_pool_t *log, apr_pool_t *temp, server_rec *s)
{
    int children = 0, threads = 0, steps = STEPS;

    (void)p;
    (void)log;
    (void)temp;
    if (!ap_exists_scoreboard_image() || !is_ours(s))
        return OK;
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children);
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_THREADS, &threads);
    while (nearest(children, threads) == ENDING && steps-- > 0)
        apr_sleep(STEP);
    return OK;
}
