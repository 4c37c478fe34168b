/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/bearer.h"

#include "httpd/config.h"
#include "httpd/hold.h"
#include "httpd/request_state.h"
#include "httpd/respond.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <string.h>
#include <strings.h>

APLOG_USE_MODULE(userprofile);

#define SCHEME "Bearer"

static int is_bearer(const char *auth_type)
{
    return auth_type && strcasecmp(auth_type, SCHEME) == 0;
}

/* The text after "Bearer", or NULL where there is no Bearer token. */
static const char *token_of(const request_rec *r)
{
    const char *header = apr_table_get(r->headers_in, "Authorization");
    apr_size_t len = strlen(SCHEME);

    if (!header || strncasecmp(header, SCHEME, len) != 0 || header[len] != ' ')
        return NULL;
    header += len;
    return header + strspn(header, " ");
}

static up_problem *check_revoked(const up_config *config, request_rec *r, const char *jti)
{
    up_token_store *tokens = config->service->tokens;
    int revoked = 0;
    up_problem *problem = NULL;

    if (jti && tokens)
        problem = tokens->is_revoked(tokens, r->pool, jti, &revoked);
    if (!problem && revoked)
        problem = up_problem_make(r->pool, UP_TOKEN_REVOKED, NULL);
    return problem;
}

/* The end of the year 9999: as far as a database and Redis can count together. */
#define LAST_SECOND APR_INT64_C(253402300799)

/* When the token is of no use any more, in seconds since 1970. */
static apr_int64_t end_of(const up_config *config, const up_claims *claims)
{
    return claims->exp < LAST_SECOND - config->rules.leeway ? claims->exp + config->rules.leeway
                                                            : LAST_SECOND;
}

static up_problem *verify(const up_config *config, request_rec *r, const char *token)
{
    up_request_state *state = up_request_state_of(r);
    up_problem *problem;

    if (!config->service)
        return up_problem_logged(r->pool, UP_SERVICE_UNAVAILABLE,
                                 "this child has no service: see its lines at start, or "
                                 "UserProfile directives are missing for this server");
    problem = up_token_cache_verify(config->service->verified, &state->claims, &config->rules, token,
                                    apr_time_sec(r->request_time), r->pool);
    if (problem)
        return problem;
    if (!up_type_holds(config->model->subject_type, state->claims->subject))
        return up_problem_make(r->pool, UP_INVALID_CREDENTIALS, NULL);
    state->caller =
        (up_caller){.subject = state->claims->subject,
                    .jti = state->claims->jti,
                    .exp = end_of(config, state->claims),
                    .iat = state->claims->iat < LAST_SECOND ? state->claims->iat : LAST_SECOND};
    return check_revoked(config, r, state->claims->jti);
}

/* Our resource learns of the account's state from the statement that serves the
 * request; elsewhere nobody asks but us. */
static up_problem *check_account(const up_config *config, request_rec *r)
{
    up_user_store *users = config->service->users;
    up_account account;
    const up_row *row;
    up_problem *problem =
        users->read(users, r->pool, &up_request_state_of(r)->caller, &account, &row);

    /* That there is no such user is no matter of what this URL holds. */
    if (!problem && account == UP_ACCOUNT_MISSING)
        return up_problem_make(r->pool, UP_INVALID_CREDENTIALS, NULL);
    return problem ? problem : up_account_problem(config->service, r->pool, account);
}

/* A request made by another (for a directory's index, say) is of the same caller. */
static int is_checked_already(request_rec *r)
{
    request_rec *by = r->main ? r->main : r->prev;
    const char *token = apr_table_get(r->headers_in, "Authorization"), *other;

    if (!by || by->server != r->server || !by->user || up_request_state_of(by)->problem ||
        !up_request_state_of(by)->claims || up_is_resource(r) || up_is_resource(by))
        return 0;
    other = apr_table_get(by->headers_in, "Authorization");
    if (!token || !other || strcmp(token, other) != 0)
        return 0;
    *up_request_state_of(r) = *up_request_state_of(by);
    return 1;
}

/* All that is asked of the token store and the database. */
static up_problem *check(const up_config *config, request_rec *r, const char *token)
{
    up_hold hold;
    up_problem *problem;

    up_hold_signals(&hold);
    problem = verify(config, r, token);
    if (!problem && !up_is_resource(r))
        problem = check_account(config, r);
    up_let_signals(&hold);
    return problem;
}

static int let_in(request_rec *r, const char *subject)
{
    r->user = apr_pstrdup(r->pool, subject);
    r->ap_auth_type = (char *)SCHEME;
    return OK;
}

int up_bearer_check(request_rec *r)
{
    const up_config *config = up_config_of(r->server);
    const char *token;
    up_problem *problem;

    if (!is_bearer(ap_auth_type(r)))
        return DECLINED;
    /* A browser's CORS preflight has no token; what else is required still holds. */
    if (r->method_number == M_OPTIONS && up_is_resource(r))
        return let_in(r, "");
    token = token_of(r);
    if (!token)
        return up_respond_problem(r, up_problem_make(r->pool, UP_MISSING_TOKEN, NULL));
    if (!is_checked_already(r)) {
        problem = check(config, r, token);
        if (problem)
            return up_respond_problem(r, problem);
    }
    return let_in(r, up_request_state_of(r)->caller.subject);
}

int up_bearer_challenge(request_rec *r, const char *auth_type)
{
    if (!is_bearer(auth_type))
        return DECLINED;
    if (!apr_table_get(r->err_headers_out, "WWW-Authenticate"))
        up_respond_challenge(r, token_of(r) != NULL);
    return OK;
}
