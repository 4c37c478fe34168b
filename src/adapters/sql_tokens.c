/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sql_tokens.h"

#include "adapters/sql_name.h"

#include <apr_strings.h>
#include <apr_time.h>

/* Rows of a table that one expire() deletes at most, so that it stays short. */
#define EXPIRED_AT_ONCE "1000"

typedef struct sql_tokens {
    up_token_store port;
    up_sql_database *database;
    up_sql_statement *is_revoked, *revoke, *revoke_sessions, *expire_blacklist, *expire_sessions;
} sql_tokens;

const char *up_sql_tokens_display(apr_pool_t *p, const up_sql_tokens_settings *settings)
{
    return apr_pstrcat(p, "tables ", settings->blacklist, " and ", settings->sessions, NULL);
}

static const char *number(apr_pool_t *p, apr_int64_t value)
{
    return apr_psprintf(p, "%" APR_INT64_T_FMT, value);
}

static const char *now(apr_pool_t *p)
{
    return number(p, apr_time_sec(apr_time_now()));
}

static up_problem *run(const sql_tokens *tokens, apr_pool_t *p, const up_sql_statement *statement,
                       const char *const *values, int *rows)
{
    up_sql_answer answer = {.rows = 0};
    up_problem *problem = tokens->database->run(tokens->database, p, statement, values, &answer);

    *rows = answer.rows;
    return problem;
}

static up_problem *tokens_is_revoked(up_token_store *self, apr_pool_t *p, const char *jti,
                                     int *revoked)
{
    const sql_tokens *tokens = (sql_tokens *)self;
    const char *values[] = {jti, now(p)};
    int rows;
    up_problem *problem = run(tokens, p, tokens->is_revoked, values, &rows);

    /* Whoever overlooks the problem must not let the token through. */
    *revoked = problem || rows;
    return problem;
}

static up_problem *tokens_revoke(up_token_store *self, apr_pool_t *p, const char *jti,
                                 apr_int64_t ttl)
{
    const sql_tokens *tokens = (sql_tokens *)self;
    const char *values[] = {jti, number(p, apr_time_sec(apr_time_now()) + ttl)};
    int rows;

    return run(tokens, p, tokens->revoke, values, &rows);
}

static up_problem *tokens_revoke_sessions(up_token_store *self, apr_pool_t *p, const char *subject)
{
    const sql_tokens *tokens = (sql_tokens *)self;
    int rows;

    return run(tokens, p, tokens->revoke_sessions, &subject, &rows);
}

static up_problem *tokens_expire(up_token_store *self, apr_pool_t *p)
{
    const sql_tokens *tokens = (sql_tokens *)self;
    const char *values[] = {now(p)};
    int rows;
    up_problem *problem = run(tokens, p, tokens->expire_blacklist, values, &rows);

    return problem ? problem : run(tokens, p, tokens->expire_sessions, values, &rows);
}

static up_problem *tokens_check(up_token_store *self, apr_pool_t *p)
{
    const sql_tokens *tokens = (sql_tokens *)self;
    const up_sql_statement *const statements[] = {tokens->is_revoked, tokens->revoke,
                                                  tokens->revoke_sessions, tokens->expire_blacklist,
                                                  tokens->expire_sessions};

    return up_sql_prepare_all(tokens->database, p, statements,
                              sizeof(statements) / sizeof(statements[0]));
}

static up_sql_statement *expire(apr_pool_t *p, const char *table, const char *key)
{
    const char *sql =
        apr_pstrcat(p, "DELETE FROM ", table, " WHERE ", key, " IN (SELECT ", key, " FROM ", table,
                    " WHERE expires_at <= $1 LIMIT " EXPIRED_AT_ONCE ") RETURNING 1", NULL);

    return up_sql_statement_create(p, "delete tokens that have expired", sql, 1);
}

static void prepare_statements(sql_tokens *tokens, apr_pool_t *p, const char *blacklist,
                               const char *sessions)
{
    tokens->is_revoked = up_sql_statement_create(
        p, "ask whether a token is revoked",
        apr_pstrcat(p, "SELECT 1 FROM ", blacklist, " WHERE jti = $1 AND expires_at > $2", NULL),
        2);
    tokens->revoke = up_sql_statement_create(
        p, "revoke a token",
        apr_pstrcat(p, "INSERT INTO ", blacklist,
                    " (jti, expires_at) VALUES ($1, $2) ON CONFLICT (jti) DO UPDATE SET "
                    "expires_at = excluded.expires_at RETURNING 1",
                    NULL),
        2);
    tokens->revoke_sessions = up_sql_statement_create(
        p, "revoke the sessions of a user",
        apr_pstrcat(p, "DELETE FROM ", sessions, " WHERE subject = $1 RETURNING 1", NULL), 1);
    tokens->expire_blacklist = expire(p, blacklist, "jti");
    tokens->expire_sessions = expire(p, sessions, "token");
}

up_token_store *up_sql_tokens_create(apr_pool_t *p, up_sql_database *database,
                                     const up_sql_tokens_settings *settings)
{
    sql_tokens *tokens = apr_pcalloc(p, sizeof(*tokens));

    tokens->port = (up_token_store){.is_revoked = tokens_is_revoked,
                                    .revoke = tokens_revoke,
                                    .revoke_sessions = tokens_revoke_sessions,
                                    .expire = tokens_expire,
                                    .check = tokens_check};
    tokens->database = database;
    prepare_statements(tokens, p, up_sql_table(p, settings->blacklist),
                       up_sql_table(p, settings->sessions));
    return &tokens->port;
}
