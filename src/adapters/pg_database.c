/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/pg_database.h"

#include "adapters/pg_statement.h"

#include <apr_strings.h>

typedef struct pg_database {
    up_sql_database port;
    up_dbd_pool *pool;
} pg_database;

static const char *subject(apr_pool_t *p, const up_model *model, const char *text)
{
    switch (model->subject_type) {
    case UP_UUID:
        return apr_pstrcat(p, text, "::uuid", NULL);
    case UP_INTEGER:
        return apr_pstrcat(p, text, "::bigint", NULL);
    default:
        return text;
    }
}

/* The column says of which type the parameter is. */
static const char *value(apr_pool_t *p, const up_field *field, int parameter)
{
    (void)field;
    return apr_psprintf(p, "$%d", parameter);
}

static const char *later(apr_pool_t *p, int parameter)
{
    return apr_psprintf(p, "now() + make_interval(secs => $%d::int)", parameter);
}

static const char *seconds(apr_pool_t *p, const char *column)
{
    return apr_pstrcat(p, "COALESCE(extract(epoch FROM ", column, ")::bigint, 0)", NULL);
}

static const char *age(apr_pool_t *p, const char *column)
{
    return apr_pstrcat(p, "extract(epoch FROM now() - ", column, ")::bigint", NULL);
}

static const char *older(apr_pool_t *p, const char *column, int seconds)
{
    return apr_psprintf(p, "%s < now() - make_interval(secs => %d)", column, seconds);
}

static const char *list(apr_pool_t *p, int parameter)
{
    return apr_psprintf(p, "SELECT json_array_elements_text($%d::json)", parameter);
}

const up_sql_dialect up_pg_dialect = {.now = "now()",
                                      .clock = "now()",
                                      .skip_locked = " FOR UPDATE SKIP LOCKED",
                                      .boolean = "::boolean",
                                      .false_value = "false",
                                      .subject = subject,
                                      .value = value,
                                      .later = later,
                                      .seconds = seconds,
                                      .age = age,
                                      .older = older,
                                      .list = list};

/* The texts stay in the result, which lives in the request's pool. */
static void answer_from(apr_pool_t *p, const PGresult *result, up_sql_answer *answer)
{
    const char **values;
    int row, column;

    answer->rows = PQntuples(result);
    answer->columns = PQnfields(result);
    values = apr_palloc(p, ((apr_size_t)answer->rows * (apr_size_t)answer->columns + 1) *
                               sizeof(*values));
    answer->values = values;
    for (row = 0; row < answer->rows; row++) {
        for (column = 0; column < answer->columns; column++)
            *values++ = PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
    }
}

static up_problem *pg_run(up_sql_database *self, apr_pool_t *p, const up_sql_statement *statement,
                          const char *const *values, up_sql_answer *answer)
{
    PGresult *result = NULL;
    up_problem *problem =
        up_pg_run(((pg_database *)self)->pool, p, NULL, statement, values, &result);

    if (!problem)
        answer_from(p, result, answer);
    return problem;
}

static up_problem *pg_prepare(up_sql_database *self, apr_pool_t *p,
                              const up_sql_statement *statement)
{
    return up_pg_prepare(((pg_database *)self)->pool, p, statement);
}

up_sql_database *up_pg_database_create(apr_pool_t *p, up_dbd_pool *pool)
{
    pg_database *database = apr_pcalloc(p, sizeof(*database));

    database->port =
        (up_sql_database){.dialect = &up_pg_dialect, .run = pg_run, .prepare = pg_prepare};
    database->pool = pool;
    return &database->port;
}
