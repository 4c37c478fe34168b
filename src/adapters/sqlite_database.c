/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sqlite_database.h"

#include "adapters/sqlite_connection.h"

#include <apr_strings.h>

typedef struct sqlite_database {
    up_sql_database port;
    up_dbd_pool *pool;
} sqlite_database;

/* A column's affinity makes a number of a parameter in text; a uuid is text in lower case. */
static const char *subject(apr_pool_t *p, const up_model *model, const char *text)
{
    return model->subject_type == UP_UUID ? apr_pstrcat(p, "lower(", text, ")", NULL) : text;
}

static const char *value(apr_pool_t *p, const up_field *field, int parameter)
{
    return apr_psprintf(p, field->type == UP_BOOLEAN ? "($%d = 'true')" : "$%d", parameter);
}

static const char *later(apr_pool_t *p, int parameter)
{
    return apr_psprintf(p, "unixepoch() + $%d", parameter);
}

static const char *seconds(apr_pool_t *p, const char *column)
{
    return apr_pstrcat(p, "COALESCE(", column, ", 0)", NULL);
}

static const char *age(apr_pool_t *p, const char *column)
{
    return apr_pstrcat(p, "unixepoch() - ", column, NULL);
}

/* A number is seconds since 1970, as up_sqlite_seconds() has it, but for one of before March. */
static const char *older(apr_pool_t *p, const char *column, int seconds)
{
    return apr_psprintf(p, "%s IS NOT NULL AND unixepoch(%s, 'auto') < unixepoch() - %d", column,
                        column, seconds);
}

static const char *list(apr_pool_t *p, int parameter)
{
    return apr_psprintf(p, "SELECT value FROM json_each($%d)", parameter);
}

const up_sql_dialect up_sqlite_dialect = {.now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
                                          .clock = "unixepoch()",
                                          .skip_locked = "",
                                          .boolean = "",
                                          .false_value = "0",
                                          .subject = subject,
                                          .value = value,
                                          .later = later,
                                          .seconds = seconds,
                                          .age = age,
                                          .older = older,
                                          .list = list};

static up_problem *sqlite_run(up_sql_database *self, apr_pool_t *p,
                              const up_sql_statement *statement, const char *const *values,
                              up_sql_answer *answer)
{
    up_sqlite sqlite;
    up_problem *problem = up_sqlite_borrow(&sqlite, ((sqlite_database *)self)->pool, p);

    if (problem)
        return problem;
    return up_sqlite_return(&sqlite, up_sqlite_run(&sqlite, statement, values, answer));
}

static up_problem *sqlite_prepare(up_sql_database *self, apr_pool_t *p,
                                  const up_sql_statement *statement)
{
    up_sqlite sqlite;
    up_problem *problem = up_sqlite_borrow(&sqlite, ((sqlite_database *)self)->pool, p);

    if (problem)
        return problem;
    return up_sqlite_return(&sqlite, up_sqlite_prepare(&sqlite, statement));
}

up_sql_database *up_sqlite_database_create(apr_pool_t *p, up_dbd_pool *pool)
{
    sqlite_database *database = apr_pcalloc(p, sizeof(*database));

    database->port = (up_sql_database){
        .dialect = &up_sqlite_dialect, .run = sqlite_run, .prepare = sqlite_prepare};
    database->pool = pool;
    return &database->port;
}
