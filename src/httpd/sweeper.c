/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/sweeper.h"

#include "httpd/config.h"
#include "httpd/module.h"
#include "service/grace.h"
#include "service/replay.h"

#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <http_core.h>
#include <http_log.h>
#include <mod_watchdog.h>
#include <openssl/crypto.h>

APLOG_USE_MODULE(userprofile);

/* Where nothing is swept the watchdog's turns are of no use. */
#define SELDOM apr_time_from_sec(24 * 60 * 60)

/* A sweep that finds more goes on at the next turn, so that the end of a child
 * does not wait for it. */
#define ENTRIES_A_SWEEP 100
#define ACCOUNTS_A_SWEEP 100

/* Where the watchdog's thread and the end of its child meet. mod_watchdog does not
 * wait for its threads before the pools of a child go, and what a sweep works with
 * is in them. The gate itself is in the parent's pool, which no child destroys: the
 * thread may come by when all else is gone. */
typedef struct gate {
    apr_thread_mutex_t *mutex; /* guards what follows */
    apr_thread_cond_t *left;
    int inside; /* a sweep is under way */
    int closed; /* the child ends */
} gate;

/* What the watchdog hands back: the contract that is to be swept. */
typedef struct sweep {
    server_rec *server;
    up_config *config;
    gate *gate;
    up_grace_place place; /* in the accounts whose grace period is over */
} sweep;

/* This process' one; NULL where nothing is swept. */
static gate *process_gate;

static gate *make_gate(apr_pool_t *p)
{
    gate *gate = apr_pcalloc(p, sizeof(*gate));

    if (apr_thread_mutex_create(&gate->mutex, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS ||
        apr_thread_cond_create(&gate->left, p) != APR_SUCCESS)
        return NULL;
    return gate;
}

static int enter(gate *gate)
{
    int open;

    apr_thread_mutex_lock(gate->mutex);
    open = !gate->closed;
    gate->inside = open;
    apr_thread_mutex_unlock(gate->mutex);
    return open;
}

static void leave(gate *gate)
{
    apr_thread_mutex_lock(gate->mutex);
    gate->inside = 0;
    apr_thread_cond_signal(gate->left);
    apr_thread_mutex_unlock(gate->mutex);
}

static int is_closed(void *baton)
{
    gate *gate = ((sweep *)baton)->gate;
    int closed;

    apr_thread_mutex_lock(gate->mutex);
    closed = gate->closed;
    apr_thread_mutex_unlock(gate->mutex);
    return closed;
}

void up_sweeper_child_stopping(apr_pool_t *p, int graceful)
{
    (void)p;
    (void)graceful;
    if (!process_gate)
        return;
    apr_thread_mutex_lock(process_gate->mutex);
    process_gate->closed = 1;
    apr_thread_mutex_unlock(process_gate->mutex);
}

/* A sweep under way ends after its entry, whose waits are all bounded. */
static apr_status_t wait_until_left(void *data)
{
    gate *gate = data;

    apr_thread_mutex_lock(gate->mutex);
    gate->closed = 1;
    while (gate->inside)
        apr_thread_cond_wait(gate->left, gate->mutex);
    apr_thread_mutex_unlock(gate->mutex);
    return APR_SUCCESS;
}

void up_sweeper_child_init(apr_pool_t *p)
{
    if (process_gate)
        apr_pool_pre_cleanup_register(p, process_gate, wait_until_left);
}

static void tell(void *baton, int loud, const char *line)
{
    ap_log_error(APLOG_MARK, loud ? APLOG_ERR : APLOG_WARNING, 0, ((sweep *)baton)->server,
                 "userprofile: %s", line);
}

/* What has expired in a token store that does not forget it by itself. */
static void expire_tokens(sweep *sweep, apr_pool_t *p)
{
    up_token_store *tokens = sweep->config->background->tokens;
    up_problem *problem = tokens && tokens->expire ? tokens->expire(tokens, p) : NULL;

    if (problem)
        tell(sweep, 0, problem->log);
}

static void erase_expired(sweep *sweep, apr_pool_t *p)
{
    int erased = 0;
    up_problem *problem = up_grace_sweep(&(up_grace){.service = sweep->config->background,
                                                     .most = ACCOUNTS_A_SWEEP,
                                                     .pool = p,
                                                     .now = apr_time_sec(apr_time_now()),
                                                     .is_stopping = is_closed,
                                                     .tell = tell,
                                                     .baton = sweep},
                                         &sweep->place, &erased);

    if (problem)
        tell(sweep, 0, problem->log);
    if (erased)
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, sweep->server,
                     "userprofile: accounts erased as their grace period is over: %d", erased);
}

static up_problem *replay(sweep *sweep, apr_pool_t *p, int *done)
{
    const up_config *config = sweep->config;

    if (!config->journal_store)
        return NULL;
    return up_replay_sweep(&(up_replay){.service = config->background,
                                        .journal = config->journal_store,
                                        .interval = config->sweep,
                                        .most = ENTRIES_A_SWEEP,
                                        .settled = (int)apr_time_sec(2 * config->timeouts.storage),
                                        .pool = p,
                                        .now = apr_time_sec(apr_time_now()),
                                        .is_stopping = is_closed,
                                        .tell = tell,
                                        .baton = sweep},
                           done);
}

static int is_swept(const up_config *config)
{
    return config->sweep &&
           (config->model->avatar || config->model->deletable || config->token_tables);
}

static void sweep_once(sweep *sweep, apr_pool_t *p)
{
    const up_config *config = sweep->config;
    int done = 0;
    up_problem *problem;

    if (!config->background || !is_swept(config))
        return;
    /* What that leaves to be done is in the journal, and done in the same turn. */
    erase_expired(sweep, p);
    problem = replay(sweep, p, &done);
    if (problem)
        tell(sweep, 0, problem->log);
    if (done)
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, sweep->server,
                     "userprofile: %d entries of the journal done in the background", done);
    expire_tokens(sweep, p);
}

/* What the first user would find is found before; that the database is away is told
 * too, and passes. No child waits for this at its start. */
static void check(sweep *sweep, apr_pool_t *p)
{
    const up_service *service = sweep->config->service;
    up_journal *journal = sweep->config->journal_store;
    up_problem *problem = service ? service->users->check(service->users, p) : NULL;

    if (!problem && journal)
        problem = journal->check(journal, p);
    if (!problem && service && service->tokens && service->tokens->check)
        problem = service->tokens->check(service->tokens, p);
    if (problem)
        tell(sweep, 1, apr_pstrcat(p, "at the start: ", problem->log, NULL));
}

static apr_status_t run(int state, void *baton, apr_pool_t *p)
{
    sweep *sweep = baton;

    if (state == AP_WATCHDOG_STATE_STOPPING || !enter(sweep->gate))
        return APR_SUCCESS;
    if (state == AP_WATCHDOG_STATE_STARTING)
        check(sweep, p);
    else
        sweep_once(sweep, p);
    /* What OpenSSL keeps for a thread it frees when that ends, and again with all
       else when the process ends: nobody keeps this thread from doing so meanwhile. */
    OPENSSL_thread_stop();
    leave(sweep->gate);
    return APR_SUCCESS;
}

static apr_status_t add(apr_pool_t *p, ap_watchdog_t *watchdog, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *register_callback =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    sweep *baton = apr_pcalloc(p, sizeof(*baton));

    baton->server = s;
    baton->config = up_config_of(s);
    baton->gate = process_gate;
    return register_callback(
        watchdog, is_swept(baton->config) ? apr_time_from_sec(baton->config->sweep) : SELDOM, baton,
        run);
}

/* A contract that virtual hosts share is swept once. */
static int is_another(server_rec *s, const server_rec *main_server)
{
    const up_config *config = up_config_of(s);

    return config->model && (s == main_server || config != up_config_of((server_rec *)main_server));
}

const char *up_sweeper_register(apr_pool_t *p, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get_instance =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    server_rec *main_server = s;
    ap_watchdog_t *watchdog = NULL;

    process_gate = NULL;
    for (; s; s = s->next) {
        if (!is_another(s, main_server) || (!get_instance && !is_swept(up_config_of(s))))
            continue;
        if (!process_gate && !(process_gate = make_gate(p)))
            return "The system has no lock left for the sweeper of UserProfileSweep";
        if (!get_instance)
            return "mod_watchdog is not loaded: add LoadModule watchdog_module, or "
                   "UserProfileSweep "
                   "0 (what fails is then never tried again)";
        if (!watchdog && get_instance(&watchdog, "_userprofile_", 0, 1, p) != APR_SUCCESS)
            return "mod_watchdog has no place for the sweeper of UserProfileSweep";
        if (add(p, watchdog, s) != APR_SUCCESS)
            return "mod_watchdog does not take the sweeper of UserProfileSweep";
    }
    return NULL;
}
