/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/resource.h"

#include "httpd/bearer.h"
#include "httpd/body.h"
#include "httpd/config.h"
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

static int answer(task *task, up_problem *problem, const up_row *row)
{
    return problem ? up_respond_problem(task->r, problem)
                   : up_respond_profile(task->r, task->config, row);
}

static int do_get(task *task)
{
    const up_row *row = NULL;
    up_problem *problem = up_profile_read(task->config->service, &task->request, &row);

    return answer(task, problem, row);
}

/* PATCH and PUT, with or without a picture. */
static int do_update(task *task)
{
    up_body body = {.patch = task->patch,
                    .wants_picture = (task->config->methods & UP_ALLOW_AVATAR) != 0};
    const up_row *row = NULL;
    up_problem *problem;
    int status = up_body_read(task->r, &body, 0);

    if (status != OK)
        return status;
    problem = body.problem;
    if (!problem && body.picture)
        problem =
            up_avatar_set(task->config->service, &task->request, task->patch, body.picture, &row);
    else if (!problem)
        problem = up_profile_update(task->config->service, &task->request, task->patch, &row);
    return answer(task, problem, row);
}

static int do_avatar_set(task *task)
{
    up_body body = {.wants_picture = 1};
    const up_row *row = NULL;
    up_problem *problem;
    int status = up_body_read(task->r, &body, 1);

    if (status != OK)
        return status;
    problem = body.problem;
    if (!problem && !body.picture)
        up_problem_detail(&problem, task->r->pool, "avatar", UP_VALIDATION_ERROR,
                          "Send the image in a part named avatar.");
    if (!problem)
        problem =
            up_avatar_set(task->config->service, &task->request, task->patch, body.picture, &row);
    return answer(task, problem, row);
}

static int do_avatar_remove(task *task)
{
    const up_row *row = NULL;
    up_problem *problem = up_avatar_remove(task->config->service, &task->request, &row);

    return answer(task, problem, row);
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

static int do_delete(task *task)
{
    int hard;
    up_problem *problem = parse_hard(task->r, task->config->model, &hard);

    if (!problem)
        problem = up_account_delete(task->config->service, &task->request, hard);
    if (problem)
        return up_respond_problem(task->r, problem);
    if (task->config->cookie)
        apr_table_addn(task->r->headers_out, "Set-Cookie", task->config->cookie);
    apr_table_setn(task->r->headers_out, "Cache-Control", "no-store");
    return up_respond_json(task->r, DELETED);
}

typedef struct method {
    const char *name;
    unsigned int needs; /* of up_methods */
    int (*serve)(task *task);
} method;

/* HEAD is a GET to httpd; OPTIONS is answered before these. */
static const method profile_methods[] = {{"GET", UP_ALLOW_GET, do_get},
                                         {"HEAD", UP_ALLOW_GET, do_get},
                                         {"PATCH", UP_ALLOW_PATCH, do_update},
                                         {"PUT", UP_ALLOW_PUT, do_update},
                                         {"DELETE", UP_ALLOW_DELETE, do_delete},
                                         {"OPTIONS", 0, NULL},
                                         {NULL, 0, NULL}};

static const method avatar_methods[] = {{"PUT", UP_ALLOW_AVATAR, do_avatar_set},
                                        {"POST", UP_ALLOW_AVATAR, do_avatar_set},
                                        {"DELETE", UP_ALLOW_AVATAR, do_avatar_remove},
                                        {"OPTIONS", 0, NULL},
                                        {NULL, 0, NULL}};

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
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    r->status = HTTP_NO_CONTENT;
    return OK;
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

static int serve(request_rec *r, const up_config *config, const method *method)
{
    task task = {.r = r, .config = config};

    task.request =
        (up_request){.pool = r->pool,
                     .caller = &up_request_state_of(r)->caller,
                     .match = up_tags_parse(r->pool, apr_table_get(r->headers_in, "If-Match")),
                     .now = apr_time_sec(apr_time_now()),
                     .warn = warn,
                     .tell = tell,
                     .baton = r};
    task.patch = up_patch_create(r->pool, config->model);
    return method->serve(&task);
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
        if (strcmp(asked->name, r->method) == 0 && asked->serve && is_enabled(config, asked))
            return serve(r, config, asked);
    }
    up_request_state_of(r)->allow = allow(r->pool, config, methods);
    return up_respond_problem(r, up_problem_make(r->pool, UP_METHOD_NOT_ALLOWED, NULL));
}
