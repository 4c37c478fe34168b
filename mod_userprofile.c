/* SPDX-License-Identifier: Apache-2.0 */

/**
 * mod_userprofile: the profile of the signed-in user, served inside httpd.
 *
 * This is the door: the module record, the hooks, and the one place where the
 * ports of the service are given their adapters.
 */
#include "adapters/clock.h"
#include "adapters/cloudinary.h"
#include "adapters/folder.h"
#include "adapters/pg_database.h"
#include "adapters/pg_users.h"
#include "adapters/process_owner.h"
#include "adapters/redis_tokens.h"
#include "adapters/redis_tracking.h"
#include "adapters/sql_journal.h"
#include "adapters/sql_tokens.h"
#include "adapters/sqlite_database.h"
#include "adapters/sqlite_users.h"
#include "core/sha256.h"
#include "httpd/bearer.h"
#include "httpd/config.h"
#include "httpd/dbd_directives.h"
#include "httpd/directives.h"
#include "httpd/module.h"
#include "httpd/network.h"
#include "httpd/pictures.h"
#include "httpd/reload.h"
#include "httpd/resource.h"
#include "httpd/respond.h"
#include "httpd/roles.h"
#include "httpd/sweeper.h"
#include "service/best_effort.h"
#include "service/service.h"

#include <ap_mpm.h>
#include <apr_optional.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <jansson.h>
#include <mpm_common.h>
#include <string.h>
#include <unistd.h>

/* After so many failures in a row the storage is left alone for so long, and each time that
 * it then fails again for twice as long. */
#define BREAKER_FAILURES 5
#define BREAKER_FIRST apr_time_from_sec(1)
#define BREAKER_LONGEST apr_time_from_sec(60)

/* After so many failures in a row a token store that may fail open is asked by one
 * request after each such time. */
#define CHECKS_FAILURES 3
#define CHECKS_PAUSE apr_time_from_sec(1)

/* Seconds beside the waits that are configured. */
#define LEASE_MARGIN 20

/* What is allowed, and yet has to be seen. */
static void warn_of_weakness(server_rec *s, const up_config *config, int level)
{
    int i;

    if (config->redis && config->fail_open)
        ap_log_error(APLOG_MARK, level, 0, s,
                     "userprofile: UserProfileTokenStore fail=open: while the token store can't be "
                     "asked, tokens are let through UNCHECKED, revoked ones too");
    for (i = 0; config->exposed && i < config->exposed->nelts; i++)
        ap_log_error(APLOG_MARK, level, 0, s, "userprofile: %s",
                     APR_ARRAY_IDX(config->exposed, i, const char *));
    for (i = 0; i < config->keys->nelts; i++) {
        const char *weakness = up_key_weakness(&APR_ARRAY_IDX(config->keys, i, up_key));

        if (weakness)
            ap_log_error(APLOG_MARK, level, 0, s, "userprofile: UserProfileTokenKey number %d: %s",
                         i + 1, weakness);
    }
}

/* A virtual host that says nothing of its users shares the main server's
 * contract, which is finished already; where it has another database it needs a
 * service of its own. */
static const char *finish(apr_pool_t *p, server_rec *s, server_rec *main_server)
{
    up_config *config = up_config_of(s);

    if (s != main_server && config == up_config_of(main_server)) {
        if (!config->model || !up_dbd_is_own(s))
            return NULL;
        config = up_config_copy(p, config);
        ap_set_module_config(s->module_config, &userprofile_module, config);
    } else {
        const char *error = up_config_finish(p, config);

        if (error || !config->model)
            return error;
        if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
            warn_of_weakness(s, config, APLOG_STARTUP | APLOG_WARNING);
    }
    config->database = up_dbd_database(p, s);
    config->sqlite = up_dbd_is_sqlite(p, s);
    return up_dbd_misfit(p, s, config->connections);
}

static int check_config(apr_pool_t *p, apr_pool_t *log, apr_pool_t *temp, server_rec *s)
{
    server_rec *main_server = s, *other;

    (void)log;
    for (; s; s = s->next) {
        const char *error = finish(p, s, main_server);

        for (other = main_server; other != s && !error; other = other->next)
            error = up_config_clash(temp, up_config_of(other), up_config_of(s));

        if (error) {
            ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, s, "%s (in server %s)", error,
                         s->server_hostname ? s->server_hostname : "main");
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

/* Before mod_info shows the configuration (-D DUMP_CONFIG). */
static int hide_passwords(apr_pool_t *p, apr_pool_t *log, apr_pool_t *temp, server_rec *s)
{
    int said = 0;

    (void)log;
    (void)temp;
    for (; s; s = s->next)
        said |= up_config_of(s)->said;
    if (said)
        up_dbd_hide_passwords(p);
    return OK;
}

static apr_status_t end_curl(void *unused)
{
    (void)unused;
    curl_global_cleanup();
    return APR_SUCCESS;
}

/* One line for each contract: what it is made of, without its secrets. */
static void announce(apr_pool_t *p, server_rec *s, const up_config *config)
{
    const char *tokens = config->redis          ? up_redis_display(p, config->redis)
                         : config->token_tables ? up_sql_tokens_display(p, config->token_tables)
                                                : "none";
    const char *avatars = config->cloudinary ? up_cloudinary_display(p, config->cloudinary)
                          : config->folder   ? up_folder_display(p, config->folder)
                                             : "none";

    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                 "userprofile " UP_VERSION
                 ": %s serves table %s on %s, %d fields, errors as %s; tokens: "
                 "%s; avatars: %s",
                 s->server_hostname ? s->server_hostname : "the main server", config->table,
                 config->sqlite ? "SQLite" : "Postgres", config->fields->nelts,
                 config->errors == UP_ERRORS_PROBLEM ? "problem" : "json", tokens, avatars);
    warn_of_weakness(s, config, APLOG_WARNING);
}

/* What an entry in the journal is alone with its request for: longer than all
 * that the request can wait for. */
static int lease_of(const up_timeouts *timeouts)
{
    return (int)apr_time_sec(2 * timeouts->storage + 4 * (timeouts->statement + timeouts->pool)) +
           LEASE_MARGIN;
}

/* In the parent, so that all children count together. */
static const up_breaker *make_breaker(apr_pool_t *p, up_breaker_settings settings,
                                      const up_config *config)
{
    apr_shm_t *shared;

    settings.patience = apr_time_from_sec(lease_of(&config->timeouts));
    settings.clock = up_clock;
    if (apr_shm_create(&shared, sizeof(up_breaker_state), NULL, p) != APR_SUCCESS)
        return NULL;
    memset(apr_shm_baseaddr_get(shared), 0, sizeof(up_breaker_state));
    return up_breaker_create(p, &settings, apr_shm_baseaddr_get(shared));
}

/* A folder fails at once and needs none; nor does a token store that nobody may do without. */
static int make_breakers_of(apr_pool_t *p, up_config *config)
{
    static const up_breaker_settings uploads = {
        .failures = BREAKER_FAILURES, .first = BREAKER_FIRST, .longest = BREAKER_LONGEST};
    static const up_breaker_settings checks = {
        .failures = CHECKS_FAILURES, .first = CHECKS_PAUSE, .longest = CHECKS_PAUSE};

    if (config->cloudinary && !config->breaker &&
        !(config->breaker = make_breaker(p, uploads, config)))
        return 0;
    return !config->redis || !config->fail_open || config->check_breaker ||
           (config->check_breaker = make_breaker(p, checks, config)) != NULL;
}

static const char *make_breakers(apr_pool_t *p, server_rec *s)
{
    for (; s; s = s->next) {
        if (up_config_of(s)->model && !make_breakers_of(p, up_config_of(s)))
            return "UserProfileAvatarStorage, UserProfileTokenStore: the system has no shared "
                   "memory left";
    }
    return NULL;
}

/* What children tell one another of revocations, in the parent's memory for as long as that runs:
 * at a graceful restart those from before have it in common with those that follow them. */
static up_redis_changes *shared_changes(server_rec *s)
{
    static const char *const key = "userprofile-redis-changes-1";
    up_redis_changes **changes = ap_retained_data_get(key);
    apr_shm_t *shared;

    if (!changes)
        changes = ap_retained_data_create(key, sizeof(*changes));
    if (!*changes &&
        apr_shm_create(&shared, sizeof(**changes), NULL, s->process->pool) == APR_SUCCESS)
        *changes = memset(apr_shm_baseaddr_get(shared), 0, sizeof(**changes));
    return *changes;
}

static const char *share_changes(server_rec *s)
{
    server_rec *main_server = s;

    for (; s; s = s->next)
        if (up_config_of(s)->redis && !shared_changes(main_server))
            return "UserProfileTokenStore: the system has no shared memory left";
    return NULL;
}

/* Once in the parent, before there are children and threads. */
static int post_config(apr_pool_t *p, apr_pool_t *log, apr_pool_t *temp, server_rec *s)
{
    const up_config *main_config = up_config_of(s);
    const char *error;

    (void)log;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
        return OK;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "userprofile: libcurl can't be initialised");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    apr_pool_cleanup_register(p, NULL, end_curl, apr_pool_cleanup_null);
    error = up_sweeper_register(p, s);
    if (!error)
        error = make_breakers(p, s);
    if (!error)
        error = share_changes(s);
    if (error) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "%s", error);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (main_config->model)
        announce(temp, s, main_config);
    for (s = s->next; s; s = s->next) {
        if (up_config_of(s)->model && up_config_of(s) != main_config)
            announce(temp, s, up_config_of(s));
    }
    return OK;
}

static int worker_threads(void)
{
    int threads = 0;

    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    return threads > 0 ? threads : 1;
}

/* What is in the database, on the same connections. */
static void make_rooms(apr_pool_t *p, up_dbd_pool *pool, up_config *config, up_service *service)
{
    const up_model *model = config->model;
    up_journal_settings settings = {.owner = up_owner_name(p),
                                    .lease = lease_of(&config->timeouts)};
    up_sql_database *database =
        config->sqlite ? up_sqlite_database_create(p, pool) : up_pg_database_create(p, pool);

    service->users = config->sqlite ? up_sqlite_users_create(p, pool, model, &settings)
                                    : up_pg_users_create(p, pool, model, &settings);
    if (model->avatar || model->deletable)
        config->journal_store = up_sql_journal_create(p, database, model, &settings);
    if (config->token_tables)
        service->tokens = up_sql_tokens_create(p, database, config->token_tables);
}

static int make_store(apr_pool_t *p, server_rec *s, up_config *config, up_service *service)
{
    up_dbd_settings dbd = {.server = s,
                           .database = config->database,
                           .connections = config->connections,
                           .wait = config->timeouts.pool,
                           .deadline = config->timeouts.statement,
                           .open = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open),
                           .close = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close)};
    up_dbd_pool *pool;

    if (dbd.connections > worker_threads())
        dbd.connections = worker_threads();
    if (!dbd.open || !dbd.close) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "userprofile: mod_dbd is not loaded: add LoadModule dbd_module");
        return 0;
    }
    pool = up_dbd_pool_create(p, &dbd);
    if (!pool)
        return 0;
    make_rooms(p, pool, config, service);
    return 1;
}

/* What the sweeper may take to find the sessions of one user among all. */
#define PATIENT_SCAN apr_time_from_sec(60)

static up_token_store *make_tokens(apr_pool_t *p, const up_config *config, apr_interval_time_t scan)
{
    up_redis_settings settings = *config->redis;

    settings.scan_timeout = scan;
    settings.max_connections = worker_threads();
    return up_redis_tokens_create(p, &settings, config->tracking);
}

/* Between two lines that say the same of one outage. */
#define SILENCE apr_time_from_sec(60)

static void tell(void *server, const char *line)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, (server_rec *)server, "userprofile: %s", line);
}

static void tell_tracking(void *server, int loud, const char *line)
{
    ap_log_error(APLOG_MARK, loud ? APLOG_NOTICE : APLOG_INFO, 0, (server_rec *)server,
                 "userprofile: %s", line);
}

/* One for all contracts of this child that have the same Redis in the same way. */
static up_redis_tracking *make_tracking(apr_pool_t *p, server_rec *main_server, server_rec *s,
                                        const up_config *config)
{
    const up_redis_tracking_settings settings = {.redis = config->redis,
                                                 .changes = shared_changes(main_server),
                                                 .idle = UP_REDIS_IDLE,
                                                 .tell = tell_tracking,
                                                 .baton = s};

    for (const server_rec *other = main_server; other != s; other = other->next) {
        const up_config *its = up_config_of((server_rec *)other);

        if (its->tracking && its->redis->untracked == config->redis->untracked &&
            up_redis_is_same(its->redis, config->redis))
            return its->tracking;
    }
    return up_redis_tracking_create(p, &settings);
}

/* The token store as requests ask it. */
static up_token_store *make_asked_tokens(apr_pool_t *p, server_rec *s, const up_config *config)
{
    up_best_effort_settings settings = {.breaker = config->check_breaker,
                                        .silence = SILENCE,
                                        .tell = tell,
                                        .baton = s,
                                        .clock = up_clock};

    settings.store = make_tokens(p, config, config->redis->scan_timeout);
    return settings.store && config->fail_open ? up_best_effort_create(p, &settings)
                                               : settings.store;
}

static up_service *make_service(apr_pool_t *p, server_rec *s, up_config *config,
                                up_token_cache *verified)
{
    up_service *service = apr_pcalloc(p, sizeof(*service));

    service->model = config->model;
    service->verified = verified;
    service->unknown_user = config->unknown_user == 404 ? UP_NOT_FOUND : UP_INVALID_CREDENTIALS;
    if (!make_store(p, s, config, service))
        return NULL;
    if (config->redis)
        service->tokens = make_asked_tokens(p, s, config);
    if (config->cloudinary)
        service->avatars = up_cloudinary_create(p, config->cloudinary);
    else if (config->folder)
        service->avatars = up_folder_create(p, config->folder);
    service->breaker = config->breaker;
    if ((config->redis && (!service->tokens || !config->tracking)) ||
        (config->model->avatar && !service->avatars))
        return NULL;
    return service;
}

static up_service *make_background(apr_pool_t *p, const up_config *config)
{
    up_service *background = apr_pmemdup(p, config->service, sizeof(*background));

    if (config->redis)
        background->tokens = make_tokens(p, config, PATIENT_SCAN);
    return config->redis && !background->tokens ? NULL : background;
}

static void child_init(apr_pool_t *p, server_rec *s)
{
    up_token_cache *verified = up_token_cache_create(p);
    server_rec *main_server = s;

    up_sha256_prepare(p);
    json_object_seed(0);
    for (; s; s = s->next) {
        up_config *config = up_config_of(s);

        if (!config->model || config->service)
            continue;
        if (config->redis)
            config->tracking = make_tracking(p, main_server, s, config);
        config->service = verified ? make_service(p, s, config, verified) : NULL;
        config->background = config->service ? make_background(p, config) : NULL;
        if (!config->background)
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                         "userprofile: this child can't serve %s: out of memory or locks, or see "
                         "the line before",
                         s->server_hostname ? s->server_hostname : "the main server");
    }
    up_sweeper_child_init(p);
}

static void register_hooks(apr_pool_t *p)
{
    static const char *const after_dbd[] = {"mod_dbd.c", NULL};
    /* Its thread begins in its own child_init, and finds all made. */
    static const char *const before_watchdog[] = {"mod_watchdog.c", NULL};

    ap_hook_check_config(hide_passwords, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(up_reload_child_status, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(up_reload_post_config, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_child_init(child_init, after_dbd, before_watchdog, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(up_sweeper_child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(up_reload_child_stopping, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_insert_network_bucket(up_network_insert, NULL, NULL, APR_HOOK_LAST);
    ap_hook_map_to_storage(up_resource_map_to_storage, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_check_authn(up_bearer_check, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_note_auth_failure(up_bearer_challenge, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(up_resource_fixups, NULL, NULL, APR_HOOK_LAST);
    ap_hook_fixups(up_pictures_fixups, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_insert_filter(up_pictures_insert_filter, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_handler(up_resource_handler, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_insert_error_filter(up_respond_insert_error_filter, NULL, NULL, APR_HOOK_LAST);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, UP_ROLES_PROVIDER, AUTHZ_PROVIDER_VERSION,
                              &up_roles_provider, AP_AUTH_INTERNAL_PER_CONF);
    up_respond_register(p);
}

AP_DECLARE_MODULE(userprofile) = {
    STANDARD20_MODULE_STUFF, up_location_create, up_location_merge, up_config_create,
    up_config_merge,         up_directives,      register_hooks,    0};
