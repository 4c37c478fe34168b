/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/sweeper.h"

#include "httpd/config.h"
#include "httpd/module.h"
#include "service/replay.h"

#include <ap_mpm.h>
#include <http_core.h>
#include <http_log.h>
#include <mod_watchdog.h>

APLOG_USE_MODULE(userprofile);

/* A sweep that finds more goes on at the next turn, so that the end of a child
 * does not wait for it. */
#define ENTRIES_A_SWEEP 100

/* What the watchdog hands back: the contract that is to be swept. */
typedef struct sweep {
    server_rec *server;
    up_config *config;
} sweep;

static int is_stopping(void *baton)
{
    int state = 0;

    (void)baton;
    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

static void tell(void *baton, int loud, const char *line)
{
    ap_log_error(APLOG_MARK, loud ? APLOG_ERR : APLOG_WARNING, 0, ((sweep *)baton)->server,
                 "userprofile: %s", line);
}

static apr_status_t run(int state, void *baton, apr_pool_t *p)
{
    sweep *sweep = baton;
    const up_config *config = sweep->config;
    int done = 0;
    up_problem *problem;

    if (state != AP_WATCHDOG_STATE_RUNNING || !config->background || !config->journal_store)
        return APR_SUCCESS;
    problem =
        up_replay_sweep(&(up_replay){.service = config->background,
                                     .journal = config->journal_store,
                                     .interval = config->sweep,
                                     .most = ENTRIES_A_SWEEP,
                                     .settled = (int)apr_time_sec(2 * config->timeouts.storage),
                                     .pool = p,
                                     .now = apr_time_sec(apr_time_now()),
                                     .is_stopping = is_stopping,
                                     .tell = tell,
                                     .baton = sweep},
                        &done);
    if (problem)
        tell(sweep, 0, problem->log);
    if (done)
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, sweep->server,
                     "userprofile: %d entries of the journal done in the background", done);
    return APR_SUCCESS;
}

static apr_status_t add(apr_pool_t *p, ap_watchdog_t *watchdog, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *register_callback =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    sweep *baton = apr_pcalloc(p, sizeof(*baton));

    baton->server = s;
    baton->config = up_config_of(s);
    return register_callback(watchdog, apr_time_from_sec(baton->config->sweep), baton, run);
}

/* A contract that virtual hosts share is swept once. */
static int is_swept(server_rec *s, const server_rec *main_server)
{
    const up_config *config = up_config_of(s);

    return config->model && config->sweep && (config->model->avatar || config->model->deletable) &&
           (s == main_server || config != up_config_of((server_rec *)main_server));
}

const char *up_sweeper_register(apr_pool_t *p, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get_instance =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    server_rec *main_server = s;
    ap_watchdog_t *watchdog = NULL;

    for (; s; s = s->next) {
        if (!is_swept(s, main_server))
            continue;
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
