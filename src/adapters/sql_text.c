/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sql_text.h"

#include "adapters/sql_name.h"

#include <apr_strings.h>

apr_array_header_t *up_sql_parts(apr_pool_t *p)
{
    return apr_array_make(p, 8, sizeof(const char *));
}

void up_sql_add(apr_array_header_t *parts, const char *text)
{
    APR_ARRAY_PUSH(parts, const char *) = text;
}

const char *up_sql_join(apr_pool_t *p, const apr_array_header_t *parts, const char *separator)
{
    const char *text = "";
    int i;

    for (i = 0; i < parts->nelts; i++)
        text =
            apr_pstrcat(p, text, i ? separator : "", APR_ARRAY_IDX(parts, i, const char *), NULL);
    return text;
}

const char *up_sql_contract(apr_pool_t *p, const up_model *model)
{
    return up_sql_quote(p, model->table, '\'');
}

const char *up_sql_conditions(apr_pool_t *p, const up_model *model)
{
    const char *sql = "";
    int i;

    for (i = 0; i < model->conditions->nelts; i++) {
        const up_constant *condition = &APR_ARRAY_IDX(model->conditions, i, up_constant);

        sql = apr_pstrcat(p, sql, " AND ", up_sql_column(p, condition->column), " = ",
                          up_sql_quote(p, condition->value, '\''), NULL);
    }
    return sql;
}

const char *up_sql_subject(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model)
{
    return apr_pstrcat(p, up_sql_column(p, model->subject), " = ", dialect->subject(p, model, "$1"),
                       up_sql_conditions(p, model), NULL);
}

void up_sql_assignments(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model,
                        const char *alias, int next, apr_array_header_t *parts)
{
    int i;

    for (i = 0; i < model->fields->nelts; i++) {
        const up_field *field = up_model_field(model, i);
        const char *column = up_sql_column(p, field->column);

        if (!field->writable)
            continue;
        up_sql_add(parts, apr_psprintf(p, "%s = CASE WHEN $%d%s THEN %s ELSE %s%s END", column,
                                       next, dialect->boolean, dialect->value(p, field, next + 1),
                                       alias, column));
        next += 2;
    }
}

int up_sql_count_pairs(const up_model *model)
{
    int i, count = 0;

    for (i = 0; i < model->fields->nelts; i++)
        count += up_model_field(model, i)->writable ? 2 : 0;
    return count;
}

void up_sql_touch(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model,
                  apr_array_header_t *parts)
{
    const up_state_columns *state = &model->state;

    if (state->updated)
        up_sql_add(parts,
                   apr_pstrcat(p, up_sql_column(p, state->updated), " = ", dialect->now, NULL));
    if (state->version)
        up_sql_add(parts, apr_pstrcat(p, up_sql_column(p, state->version), " = COALESCE(",
                                      up_sql_column(p, state->version), ", 0) + 1", NULL));
}

void up_sql_mark_deleted(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model,
                         apr_array_header_t *parts)
{
    const up_state_columns *state = &model->state;

    up_sql_add(parts, apr_pstrcat(p, up_sql_column(p, state->deleted), " = ", dialect->now, NULL));
    if (state->active)
        up_sql_add(parts, apr_pstrcat(p, up_sql_column(p, state->active), " = ",
                                      dialect->false_value, NULL));
}

const char *up_sql_is_expired(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model)
{
    return apr_pstrcat(p, dialect->older(p, up_sql_column(p, model->state.deleted), model->grace),
                       up_sql_conditions(p, model), NULL);
}

up_sql_statement *up_sql_expired(apr_pool_t *p, const up_sql_dialect *dialect,
                                 const up_model *model)
{
    const char *key = up_sql_column(p, model->key);
    const char *sql = apr_pstrcat(
        p, "SELECT CAST(", key, " AS text) FROM ", up_sql_table(p, model->table), " WHERE ",
        up_sql_is_expired(p, dialect, model), " ORDER BY ", up_sql_column(p, model->state.deleted),
        ", ", key, " LIMIT CAST($2 AS integer) OFFSET CAST($1 AS integer)", NULL);

    return up_sql_statement_create(p, "find accounts whose grace period is over", sql, 2);
}

const char *up_sql_blanked(apr_pool_t *p, const up_related *related)
{
    apr_array_header_t *parts = up_sql_parts(p);
    int i;

    for (i = 0; i < related->anonymise->nelts; i++) {
        const up_constant *constant = &APR_ARRAY_IDX(related->anonymise, i, up_constant);

        up_sql_add(parts,
                   apr_pstrcat(p, up_sql_column(p, constant->column), " = ",
                               constant->value ? up_sql_quote(p, constant->value, '\'') : "NULL",
                               NULL));
    }
    return up_sql_join(p, parts, ", ");
}
