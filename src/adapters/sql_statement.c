/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sql_statement.h"

#include <apr_escape.h>
#include <apr_sha1.h>
#include <apr_strings.h>
#include <apr_time.h>
#include <string.h>

up_sql_statement *up_sql_statement_create(apr_pool_t *p, const char *what, const char *sql,
                                          int parameters)
{
    up_sql_statement *statement = apr_pcalloc(p, sizeof(*statement));
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    apr_sha1_ctx_t context;

    apr_sha1_init(&context);
    apr_sha1_update(&context, sql, (unsigned int)strlen(sql));
    apr_sha1_final(digest, &context);
    statement->what = what;
    statement->name = apr_pstrcat(p, "userprofile_", apr_pescape_hex(p, digest, 8, 0), NULL);
    statement->sql = sql;
    statement->parameters = parameters;
    return statement;
}

const char *up_sql_text_at(const up_sql_answer *answer, int column)
{
    return answer->values[column];
}

apr_int64_t up_sql_number_at(const up_sql_answer *answer, int column)
{
    const char *text = answer->values[column];

    return text ? apr_atoi64(text) : 0;
}

up_problem *up_sql_prepare_all(up_sql_database *database, apr_pool_t *p,
                               const up_sql_statement *const *statements, apr_size_t count)
{
    up_problem *problem = NULL;
    apr_size_t i;

    for (i = 0; i < count && !problem; i++) {
        if (statements[i])
            problem = database->prepare(database, p, statements[i]);
    }
    return problem;
}

static const char *one_line(apr_pool_t *p, const char *message)
{
    char *line = apr_pstrdup(p, message ? message : ""), *s;

    for (s = line; *s; s++) {
        if ((unsigned char)*s < ' ')
            *s = ' ';
    }
    while (s > line && s[-1] == ' ')
        *--s = '\0';
    return line;
}

up_problem *up_sql_not_taken(apr_pool_t *p, const up_sql_statement *statement, const char *text,
                             const char *state)
{
    up_problem *problem =
        up_problem_make(p, UP_VALIDATION_ERROR, "The database does not take these values.");

    problem->log = apr_psprintf(p,
                                "the database did not %s: %s (%s); where a field's rule "
                                "is wider than its column, mend UserProfileField",
                                statement->what, one_line(p, text), state);
    return problem;
}

up_problem *up_sql_failed(apr_pool_t *p, const up_sql_statement *statement, const char *text,
                          const char *state, int passing)
{
    return up_problem_logged(
        p, passing ? UP_SERVICE_UNAVAILABLE : UP_INTERNAL_ERROR,
        "the database could not %s: %s (%s)%s", statement->what, one_line(p, text), state,
        passing ? "" : "; check the table and columns named in the configuration");
}

up_problem *up_sql_timed_out(apr_pool_t *p, const up_sql_statement *statement,
                             apr_interval_time_t deadline)
{
    return up_problem_logged(
        p, UP_SERVICE_UNAVAILABLE,
        "the database did not %s within %d ms: look for locks and slow disks there, or raise "
        "UserProfileTimeout statement",
        statement->what, (int)apr_time_as_msec(deadline));
}
