/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/respond.h"

#include "core/conditional.h"
#include "core/problem_body.h"
#include "httpd/module.h"
#include "httpd/request_state.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_core.h>
#include <string.h>
#include <util_filter.h>

APLOG_USE_MODULE(userprofile);

#define FILTER_NAME "USERPROFILE_ERROR"

static ap_filter_rec_t *error_filter;

static void set_nosniff(apr_table_t *headers)
{
    apr_table_setn(headers, "X-Content-Type-Options", "nosniff");
}

/* In format problem what is well-formed but invalid has a status of its own. */
static int status_of(request_rec *r, up_code code)
{
    if ((code == UP_VALIDATION_ERROR || code == UP_INVALID_LANGUAGE_CODE) &&
        up_config_of(r->server)->errors == UP_ERRORS_PROBLEM)
        return HTTP_UNPROCESSABLE_ENTITY;
    return up_code_status(code);
}

/* Will there be one? httpd's own function says that a HEAD has none, and yet reads what
 * a client sends with it. It has refused a length that is no number. */
static int announces_body(const request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    return apr_table_get(r->headers_in, "Transfer-Encoding") ||
           (length && length[strspn(length, "0")]);
}

/* A body that was not read must not be taken for the next request, and is not
 * waited for either. */
static void close_unread(request_rec *r)
{
    if (announces_body(r) && !up_request_state_of(r)->body_read)
        r->connection->keepalive = AP_CONN_CLOSE;
}

int up_respond_empty(request_rec *r, int status)
{
    close_unread(r);
    set_nosniff(r->headers_out);
    r->status = status;
    return OK;
}

int up_respond_json(request_rec *r, const char *json)
{
    apr_size_t len = strlen(json);

    close_unread(r);
    set_nosniff(r->headers_out);
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)len);
    /* A part of a profile is no profile. */
    apr_table_unset(r->headers_in, "Range");
    if (!r->header_only)
        ap_rwrite(json, (int)len, r);
    return OK;
}

int up_respond_profile(request_rec *r, const up_config *config, const up_row *row)
{
    const char *json = up_profile_json(r->pool, config->model, row);
    const char *etag = up_profile_etag(r->pool, config->model, row);
    up_tags *known;

    if (!json || !etag)
        return up_respond_problem(
            r, up_problem_logged(r->pool, UP_INTERNAL_ERROR,
                                 "a profile could not be written as JSON: out of memory, or a "
                                 "column of the row is not UTF-8"));
    apr_table_setn(r->headers_out, "ETag", apr_pstrcat(r->pool, "\"", etag, "\"", NULL));
    apr_table_setn(r->headers_out, "Cache-Control", "private, no-cache");
    apr_table_mergen(r->headers_out, "Vary", "Authorization");
    known = up_tags_parse(r->pool, apr_table_get(r->headers_in, "If-None-Match"));
    if (r->method_number == M_GET && up_tags_match_weak(known, etag))
        return up_respond_empty(r, HTTP_NOT_MODIFIED);
    if (config->envelope)
        json = apr_pstrcat(r->pool, config->envelope->head, json, config->envelope->tail, NULL);
    return up_respond_json(r, json);
}

void up_respond_challenge(request_rec *r, int token_was_sent)
{
    const char *realm = ap_auth_name(r);

    apr_table_setn(r->err_headers_out, "WWW-Authenticate",
                   apr_pstrcat(r->pool, "Bearer realm=\"",
                               realm ? ap_escape_quotes(r->pool, realm) : "", "\"",
                               token_was_sent ? ", error=\"invalid_token\"" : "", NULL));
}

int up_respond_problem(request_rec *r, up_problem *problem)
{
    int status = status_of(r, problem->code);

    up_request_state_of(r)->problem = problem;
    if (status >= 500) {
        /* The line has the ID in it, as the default ErrorLogFormat has not. */
        if (!r->log_id)
            ap_run_generate_log_id(r->connection, r, &r->log_id);
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "userprofile: %s [%s]",
                      problem->log ? problem->log : problem->message, r->log_id ? r->log_id : "-");
    } else if (problem->log) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "userprofile: %s", problem->log);
    }
    if (problem->retry_after)
        apr_table_setn(r->err_headers_out, "Retry-After", apr_itoa(r->pool, problem->retry_after));
    if (status == HTTP_UNAUTHORIZED)
        up_respond_challenge(r, problem->code != UP_MISSING_TOKEN);
    close_unread(r);
    return status;
}

void up_respond_claim_errors(request_rec *r)
{
    static const int statuses[] = {400, 401, 403, 404, 405, 408, 411, 412, 413, 414,
                                   415, 417, 422, 429, 500, 501, 502, 503, 504};
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    size_t i;

    if (!core->response_code_exprs)
        return;
    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        ap_custom_response(r, statuses[i], " ");
}

/* What httpd refuses by itself has no problem yet; its status says which it is. */
static up_problem *problem_of(request_rec *r)
{
    up_request_state *state = up_request_state_of(r);

    if (!state->problem || status_of(r, state->problem->code) != r->status) {
        up_code code = up_code_of_status(r->status);

        /* Who has shown a good token is refused for something else. */
        if (code == UP_MISSING_TOKEN && state->claims)
            code = UP_INVALID_CREDENTIALS;
        state->problem = up_problem_make(r->pool, code, NULL);
    }
    return state->problem;
}

static const char *body_of(request_rec *r)
{
    const up_config *config = up_config_of(r->server);
    const up_problem *problem = problem_of(r);
    const char *log_id = r->status >= 500 ? r->log_id : NULL;
    up_problem_frame frame = {.status = r->status,
                              .base = config->problem_base,
                              .instance = ap_escape_uri(r->pool, r->uri),
                              .log_id = log_id};

    if (config->errors != UP_ERRORS_PROBLEM) {
        ap_set_content_type(r, "application/json");
        return up_problem_body_json(r->pool, problem, log_id);
    }
    ap_set_content_type(r, "application/problem+json");
    return up_problem_body_problem(r->pool, problem, &frame);
}

static apr_status_t send_problem(ap_filter_t *f, apr_bucket_brigade *in)
{
    request_rec *r = f->r;
    const char *body = body_of(r);
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, f->c->bucket_alloc);

    apr_brigade_cleanup(in);
    set_nosniff(r->err_headers_out);
    if (r->status == HTTP_SERVICE_UNAVAILABLE && !apr_table_get(r->headers_out, "Retry-After"))
        apr_table_setn(r->headers_out, "Retry-After", "1");
    /* httpd has written its own by now, with the methods that it knows of. */
    if (r->status == HTTP_METHOD_NOT_ALLOWED && up_request_state_of(r)->allow)
        apr_table_setn(r->headers_out, "Allow", up_request_state_of(r)->allow);
    ap_set_content_length(r, (apr_off_t)strlen(body));
    APR_BRIGADE_INSERT_TAIL(
        bb, apr_bucket_pool_create(body, strlen(body), r->pool, f->c->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(f->c->bucket_alloc));
    return ap_pass_brigade(f->next, bb);
}

/* httpd's page comes in pieces: ours takes the place of the first, the rest goes. */
static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    if (f->ctx) {
        apr_brigade_cleanup(in);
        return APR_SUCCESS;
    }
    f->ctx = f;
    return send_problem(f, in);
}

void up_respond_insert_error_filter(request_rec *r)
{
    const up_problem *problem = up_request_state_of(r)->problem;

    /* Elsewhere only what we have refused is ours to answer, and an ErrorDocument is
       the sysadmin's own answer to it. */
    if (!up_is_resource(r) && (!problem || status_of(r, problem->code) != r->status ||
                               ap_response_code_string(r, ap_index_of_response(r->status))))
        return;
    close_unread(r);
    ap_add_output_filter_handle(error_filter, NULL, r, r->connection);
}

void up_respond_register(apr_pool_t *p)
{
    (void)p;
    error_filter = ap_register_output_filter(FILTER_NAME, filter, NULL, AP_FTYPE_CONTENT_SET);
}
