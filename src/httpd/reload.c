/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/reload.h"

#include "httpd/config.h"
#include "httpd/waker.h"

#include <apr_time.h>
#include <http_main.h>
#include <scoreboard.h>
#include <sys/wait.h>
#include <unistd.h>

/* 0.3 s by a clock that cannot be set. */
#define STEP_MS 5
#define STEPS 60

/* The new ones connect meanwhile; many connections that end at a time would take their processors.
 */
#define LINGER_STEP_MS 50
#define LINGER_STEPS 20

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

static void wait_for_first(void)
{
    int children = 0, threads = 0, steps = STEPS;

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children);
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_THREADS, &threads);
    while (nearest(children, threads) == ENDING && steps-- > 0)
        apr_sleep(apr_time_from_msec(STEP_MS));
}

/* How many children are of a generation before this one. */
static int count_old(void)
{
    ap_generation_t generation = ap_get_scoreboard_global()->running_generation;
    int i, children = 0, old = 0;

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children);
    for (i = 0; i < children; i++) {
        const process_score *process = ap_get_scoreboard_process(i);

        if (process && process->pid > 0 && process->generation != generation)
            old++;
    }
    return old;
}

/* May there be as many new ones beside them? MaxRequestWorkers is what all else is made for. The
 * MPM starts StartServers, which it does not tell. */
static int has_room(int old)
{
    int most = 0;

    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &most);
    return 2 * old <= most;
}

static int is_ours(server_rec *s)
{
    while (s && !up_config_of(s)->model)
        s = s->next;
    return s != NULL;
}

int up_reload_post_config(apr_pool_t *p, apr_pool_t *log, apr_pool_t *temp, server_rec *s)
{
    int old;

    (void)log;
    (void)temp;
    if (!ap_exists_scoreboard_image() || !is_ours(s))
        return OK;
    old = count_old();
    if (old > 0 && !(has_room(old) && up_waker_start(p)))
        wait_for_first();
    return OK;
}

void up_reload_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot,
                            mpm_child_status status)
{
    (void)s;
    (void)pid;
    (void)generation;
    (void)slot;
    /* At once: what the MPM does after its next sleep is for children that have been there for a
     * second. */
    if (status == MPM_CHILD_STARTED)
        up_waker_end();
}

void up_reload_child_stopping(apr_pool_t *p, int graceful)
{
    int generation = 0, steps = LINGER_STEPS;

    (void)p;
    /* Another thread has to go on: the listener, by which MaxConnectionsPerChild is counted. */
    if (!graceful || !is_ours(ap_server_conf) || gettid() != getpid())
        return;
    ap_mpm_query(AP_MPMQ_GENERATION, &generation);
    if (generation == ap_get_scoreboard_global()->running_generation || !has_room(count_old()))
        return;
    /* The MPM's own threads signal this one meanwhile, which ends a step. */
    while (steps-- > 0)
        apr_sleep(apr_time_from_msec(LINGER_STEP_MS));
}
