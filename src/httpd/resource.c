/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/resource.h"

#include "httpd/bearer.h"
#include "httpd/body.h"
#include "httpd/config.h"
#include "httpd/hold.h"
#include "httpd/module.h"
#include "httpd/request_state.h"
#include "httpd/respond.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <string.h>
#include <strings.h>

APLOG_USE_MODULE(userprofile);

#define ACCEPT_PATCH "application/json, application/merge-patch+json, multipart/form-data"
#define DELETED "{\"status\":\"ok\",\"message\":\"Account has been successfully deleted.\"}"

/* A request with what serves it. */
typedef struct task {
    request_rec *r;
    const up_config *config;
    up_request request;
    up_patch *patch;
    up_body body; /* what was sent with it */
    int hard;     /* of a DELETE */
    const up_row *row;
} task;

/* In this phase the server's configuration stands in for the location's: the walk
 * finds that again, and httpd then goes on with what it has found. */
int up_resource_map_to_storage(request_rec *r)
{
    ap_conf_vector_t *of_server = r->per_dir_config;

    if (!up_config_of(r->server)->used)
        return DECLINED;
    if (ap_location_walk(r) != OK || !up_is_resource(r)) {
        r->per_dir_config = of_server;
        return DECLINED;
    }
    up_respond_claim_errors(r);
    return OK;
}

int up_resource_fixups(request_rec *r)
{
    /* A role that was missing is of no account where another Require was enough. */
    up_forget_refusal(r);
    if (!up_is_resource(r))
        return DECLINED;
    r->handler = UP_HANDLER;
    return OK;
}

static void warn(void *baton, const char *line)
{
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, (request_rec *)baton,
                  "userprofile: %s; it stays in the journal", line);
}

static void tell(void *baton, int loud, const char *line)
{
    ap_log_rerror(APLOG_MARK, loud ? APLOG_ERR : APLOG_NOTICE, 0, (request_rec *)baton,
                  "userprofile: %s", line);
}

static int answer_profile(task *task)
{
    return up_respond_profile(task->r, task->config, task->row);
}

static up_problem *get(task *task)
{
    return up_profile_read(task->config->service, &task->request, &task->row);
}

/* PATCH and PUT, with or without a picture. */
static int read_update(task *task)
{
    task->body.wants_picture = (task->config->methods & UP_ALLOW_AVATAR) != 0;
    return up_body_read(task->r, &task->body, 0);
}

static up_problem *set_avatar(task *task)
{
    return up_avatar_set(task->config->service, &task->request, task->patch, task->body.picture,
                         &task->row);
}

static up_problem *update(task *task)
{
    if (task->body.picture)
        return set_avatar(task);
    return up_profile_update(task->config->service, &task->request, task->patch, &task->row);
}

static int read_avatar(task *task)
{
    int status;

    task->body = (up_body){.wants_picture = 1};
    status = up_body_read(task->r, &task->body, 1);
    if (status == OK && !task->body.problem && !task->body.picture)
        up_problem_detail(&task->body.problem, task->r->pool, "avatar", UP_VALIDATION_ERROR,
                          "Send the image in a part named avatar.");
    return status;
}

static up_problem *remove_avatar(task *task)
{
    return up_avatar_remove(task->config->service, &task->request, &task->row);
}

/* The value of hard in the query, or NULL; a parameter without "=" has the value "". */
static const char *hard_parameter(request_rec *r)
{
    char *query = apr_pstrdup(r->pool, r->args ? r->args : ""), *state, *pair;
    const char *value = NULL;

    for (pair = apr_strtok(query, "&", &state); pair; pair = apr_strtok(NULL, "&", &state)) {
        char *equals = strchr(pair, '=');

        if (equals)
            *equals++ = '\0';
        if (ap_unescape_urlencoded(pair) != OK || strcmp(pair, "hard") != 0)
            continue;
        /* Twice is as good as neither: what was meant is not known. */
        if (value || (equals && ap_unescape_urlencoded(equals) != OK))
            return "?";
        value = equals ? equals : "";
    }
    return value;
}

static up_problem *parse_hard(request_rec *r, const up_model *model, int *hard)
{
    const char *value = hard_parameter(r);
    up_problem *problem = NULL;

    *hard = value && (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0);
    if (value && !*hard && strcasecmp(value, "false") != 0 && strcmp(value, "0") != 0)
        up_problem_detail(&problem, r->pool, "hard", UP_VALIDATION_ERROR, "hard is true or false.");
    else if (!*hard && !model->state.deleted)
        up_problem_detail(&problem, r->pool, "hard", UP_VALIDATION_ERROR,
                          "An account can only be deleted for good here: use ?hard=true.");
    return problem;
}

static int read_delete(task *task)
{
    task->body.problem = parse_hard(task->r, task->config->model, &task->hard);
    return OK;
}

static up_problem *delete_account(task *task)
{
    return up_account_delete(task->config->service, &task->request, task->hard);
}

static int answer_deleted(task *task)
{
    if (task->config->cookie)
        apr_table_addn(task->r->headers_out, "Set-Cookie", task->config->cookie);
    apr_table_setn(task->r->headers_out, "Cache-Control", "no-store");
    return up_respond_json(task->r, DELETED);
}

/* What is done for a method: what was sent is read, the service does its part, and
 * that is answered. */
typedef struct method {
    const char *name;
    unsigned int needs;             /* of up_methods */
    int (*read)(task *task);        /* OK, with task->body.problem or not; or httpd's status */
    up_problem *(*act)(task *task); /* NULL: it is answered before */
    int (*answer)(task *task);
} method;

/* HEAD is a GET to httpd; OPTIONS is answered before these. */
static const method profile_methods[] = {
    {"GET", UP_ALLOW_GET, NULL, get, answer_profile},
    {"HEAD", UP_ALLOW_GET, NULL, get, answer_profile},
    {"PATCH", UP_ALLOW_PATCH, read_update, update, answer_profile},
    {"PUT", UP_ALLOW_PUT, read_update, update, answer_profile},
    {"DELETE", UP_ALLOW_DELETE, read_delete, delete_account, answer_deleted},
    {"OPTIONS", 0, NULL, NULL, NULL},
    {NULL, 0, NULL, NULL, NULL}};

static const method avatar_methods[] = {
    {"PUT", UP_ALLOW_AVATAR, read_avatar, set_avatar, answer_profile},
    {"POST", UP_ALLOW_AVATAR, read_avatar, set_avatar, answer_profile},
    {"DELETE", UP_ALLOW_AVATAR, NULL, remove_avatar, answer_profile},
    {"OPTIONS", 0, NULL, NULL, NULL},
    {NULL, 0, NULL, NULL, NULL}};

static int is_enabled(const up_config *config, const method *method)
{
    return (config->methods & method->needs) == method->needs;
}

static const char *allow(apr_pool_t *p, const up_config *config, const method *methods)
{
    const char *text = "";

    for (; methods->name; methods++) {
        if (is_enabled(config, methods))
            text = apr_pstrcat(p, text, *text ? ", " : "", methods->name, NULL);
    }
    return text;
}

static int do_options(request_rec *r, const up_config *config, const method *methods)
{
    apr_table_setn(r->headers_out, "Allow", allow(r->pool, config, methods));
    if (methods == profile_methods && config->methods & UP_ALLOW_PATCH)
        apr_table_setn(r->headers_out, "Accept-Patch", ACCEPT_PATCH);
    return up_respond_empty(r, HTTP_NO_CONTENT);
}

static const method *methods_at(request_rec *r, const up_config *config)
{
    const char *below = r->uri + strlen(up_location_of(r)->path);

    if (*below == '\0')
        return profile_methods;
    if (strcmp(below, "/avatar") == 0 && config->methods & UP_ALLOW_AVATAR)
        return avatar_methods;
    return NULL;
}

/* The service's part is bounded; what a client sends and takes is waited for without it. */
static up_problem *act(task *task, const method *method)
{
    up_hold hold;
    up_problem *problem;

    up_hold_signals(&hold);
    problem = method->act(task);
    up_let_signals(&hold);
    return problem;
}

static int serve(request_rec *r, const up_config *config, const method *method)
{
    task task = {.r = r, .config = config};
    up_problem *problem;
    int status;

    task.request =
        (up_request){.pool = r->pool,
                     .caller = &up_request_state_of(r)->caller,
                     .match = up_tags_parse(r->pool, apr_table_get(r->headers_in, "If-Match")),
                     .now = apr_time_sec(apr_time_now()),
                     .warn = warn,
                     .tell = tell,
                     .baton = r};
    task.patch = up_patch_create(r->pool, config->model);
    task.body.patch = task.patch;
    status = method->read ? method->read(&task) : OK;
    if (status != OK)
        return status;
    problem = task.body.problem ? task.body.problem : act(&task, method);
    return problem ? up_respond_problem(r, problem) : method->answer(&task);
}

/* Without AuthType Bearer there is nobody whose profile it could be. */
static int unprotected(request_rec *r)
{
    return up_respond_problem(
        r,
        up_problem_logged(r->pool, UP_INTERNAL_ERROR,
                          "the <Location> %s has UserProfile On, but no AuthType Bearer: add it, "
                          "and Require valid-user",
                          up_location_of(r)->path));
}

/* Where another Require line was enough, httpd has asked nobody for a token. */
static int find_caller(request_rec *r)
{
    int status = up_request_state_of(r)->claims ? OK : up_bearer_check(r);

    return status == DECLINED ? unprotected(r) : status;
}

int up_resource_handler(request_rec *r)
{
    const up_config *config = up_config_of(r->server);
    const method *methods, *asked;
    int status;

    if (!r->handler || strcmp(r->handler, UP_HANDLER) != 0 || !up_is_resource(r))
        return DECLINED;
    methods = methods_at(r, config);
    status = r->method_number == M_OPTIONS ? OK : find_caller(r);
    if (status != OK)
        return status;
    if (!methods)
        return up_respond_problem(r, up_problem_make(r->pool, UP_NOT_FOUND, NULL));
    if (r->method_number == M_OPTIONS)
        return do_options(r, config, methods);
    for (asked = methods; asked->name; asked++) {
        if (strcmp(asked->name, r->method) == 0 && asked->act && is_enabled(config, asked))
            return serve(r, config, asked);
    }
    up_request_state_of(r)->allow = allow(r->pool, config, methods);
    return up_respond_problem(r, up_problem_make(r->pool, UP_METHOD_NOT_ALLOWED, NULL));
}
