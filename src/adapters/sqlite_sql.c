/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sqlite_sql.h"

#include "adapters/sql_name.h"
#include "adapters/sql_text.h"
#include "adapters/sqlite_database.h"

#include <apr_strings.h>

static const char *column_or(apr_pool_t *p, const char *column, const char *otherwise)
{
    return column ? up_sql_column(p, column) : otherwise;
}

/* As account_from() in sqlite_users.c reads them. */
static const char *columns(apr_pool_t *p, const up_model *model)
{
    apr_array_header_t *parts = up_sql_parts(p);
    int i;

    up_sql_add(parts, up_sql_column(p, model->key));
    up_sql_add(parts, column_or(p, model->state.deleted, "NULL"));
    up_sql_add(parts, column_or(p, model->state.active, "1"));
    up_sql_add(parts, column_or(p, model->state.since, "NULL"));
    up_sql_add(parts, column_or(p, model->state.version, "NULL"));
    up_sql_add(parts, column_or(p, model->avatar ? model->avatar->column : NULL, "NULL"));
    for (i = 0; i < model->fields->nelts; i++) {
        const up_field *field = up_model_field(model, i);

        up_sql_add(parts, field->value ? up_sql_quote(p, field->value, '\'')
                                       : up_sql_column(p, field->column));
    }
    return up_sql_join(p, parts, ", ");
}

static const char *where_key(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, " WHERE ", up_sql_column(p, model->key), " = $1", NULL);
}

up_sql_statement *up_sqlite_read(apr_pool_t *p, const up_model *model)
{
    const char *sql =
        apr_pstrcat(p, "SELECT ", columns(p, model), " FROM ", up_sql_table(p, model->table),
                    " WHERE ", up_sql_subject(p, &up_sqlite_dialect, model), NULL);

    return up_sql_statement_create(p, "read a user", sql, 1);
}

/* The user's row with these columns set, and what every write sets. */
static const char *set(apr_pool_t *p, const up_model *model, apr_array_header_t *parts)
{
    up_sql_touch(p, &up_sqlite_dialect, model, parts);
    return apr_pstrcat(p, "UPDATE ", up_sql_table(p, model->table), " SET ",
                       up_sql_join(p, parts, ", "), where_key(p, model), " RETURNING ",
                       columns(p, model), NULL);
}

up_sql_statement *up_sqlite_update(apr_pool_t *p, const up_model *model)
{
    apr_array_header_t *parts = up_sql_parts(p);
    up_sql_statement *statement;

    up_sql_assignments(p, &up_sqlite_dialect, model, "", 2, parts);
    statement = up_sql_statement_create(p, "update a user", set(p, model, parts),
                                        1 + up_sql_count_pairs(model));
    statement->from_client = 1;
    return statement;
}

up_sql_statement *up_sqlite_swap(apr_pool_t *p, const up_model *model)
{
    apr_array_header_t *parts = up_sql_parts(p);
    up_sql_statement *statement;

    up_sql_assignments(p, &up_sqlite_dialect, model, "", 2, parts);
    up_sql_add(parts, apr_pstrcat(p, up_sql_column(p, model->avatar->column), " = NULL", NULL));
    statement = up_sql_statement_create(p, "swap the avatar", set(p, model, parts),
                                        1 + up_sql_count_pairs(model));
    statement->from_client = 1;
    return statement;
}

up_sql_statement *up_sqlite_set_avatar(apr_pool_t *p, const up_model *model)
{
    apr_array_header_t *parts = up_sql_parts(p);

    up_sql_add(parts, apr_pstrcat(p, up_sql_column(p, model->avatar->column), " = $2", NULL));
    return up_sql_statement_create(p, "set the avatar", set(p, model, parts), 2);
}

up_sql_statement *up_sqlite_soft_delete(apr_pool_t *p, const up_model *model)
{
    apr_array_header_t *parts = up_sql_parts(p);

    up_sql_mark_deleted(p, &up_sqlite_dialect, model, parts);
    return up_sql_statement_create(p, "soft-delete a user", set(p, model, parts), 1);
}

up_sql_statement *up_sqlite_erase(apr_pool_t *p, const up_model *model)
{
    const char *sql =
        apr_pstrcat(p, "DELETE FROM ", up_sql_table(p, model->table), where_key(p, model), NULL);

    return up_sql_statement_create(p, "erase a user", sql, 1);
}

up_sql_statement *up_sqlite_read_expired(apr_pool_t *p, const up_model *model)
{
    const char *sql = apr_pstrcat(
        p, "SELECT ", up_sql_column(p, model->key), ", ",
        column_or(p, model->avatar ? model->avatar->column : NULL, "NULL"), ", ",
        up_sql_column(p, model->subject), " FROM ", up_sql_table(p, model->table),
        where_key(p, model), " AND ", up_sql_is_expired(p, &up_sqlite_dialect, model), NULL);

    return up_sql_statement_create(p, "read a deleted user", sql, 1);
}

up_sql_statement *up_sqlite_related(apr_pool_t *p, const up_related *related)
{
    const char *table = up_sql_table(p, related->table);
    const char *what = related->anonymise ? apr_pstrcat(p, "UPDATE ", table, " SET ",
                                                        up_sql_blanked(p, related), NULL)
                                          : apr_pstrcat(p, "DELETE FROM ", table, NULL);
    const char *sql =
        apr_pstrcat(p, what, " WHERE ", up_sql_column(p, related->column), " = $1", NULL);

    return up_sql_statement_create(p, "erase what belongs to a user", sql, 1);
}

up_sql_statement *up_sqlite_enter(apr_pool_t *p, const up_model *model)
{
    const char *sql = apr_pstrcat(
        p, "INSERT INTO ", up_sql_table(p, model->journal),
        " (contract, effect, user_key, subject, asset, url, jti, expires, owner, lease) VALUES (",
        up_sql_contract(p, model), ", $1, $2, $3, $4, $5, $6, $7, $8, ",
        up_sqlite_dialect.later(p, 9),
        ") ON CONFLICT (contract, user_key) WHERE effect = 'publish' DO UPDATE SET "
        "asset = excluded.asset, url = excluded.url, owner = excluded.owner, "
        "lease = excluded.lease, attempts = 0, created_at = ",
        up_sqlite_dialect.clock, " RETURNING id", NULL);

    return up_sql_statement_create(p, "write to the journal", sql, 9);
}

/* Conditions on the user's publish entry. */
static const char *publish_of(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, up_sql_table(p, model->journal),
                       " WHERE effect = 'publish' AND contract = ", up_sql_contract(p, model),
                       " AND user_key = $1", NULL);
}

up_sql_statement *up_sqlite_own_upload(apr_pool_t *p, const up_model *model)
{
    const char *sql = apr_pstrcat(
        p, "SELECT id FROM ", up_sql_table(p, model->journal),
        " WHERE effect = 'upload' AND asset = $1 AND owner = $2 AND attempts = 0", NULL);

    return up_sql_statement_create(p, "find an upload in the journal", sql, 2);
}

up_sql_statement *up_sqlite_pending(apr_pool_t *p, const up_model *model)
{
    const char *sql =
        apr_pstrcat(p, "SELECT id FROM ", publish_of(p, model), " AND asset IS NOT NULL", NULL);

    return up_sql_statement_create(p, "look for a picture that waits", sql, 1);
}

up_sql_statement *up_sqlite_take_publish(apr_pool_t *p, const up_model *model)
{
    const char *sql = apr_pstrcat(
        p, "DELETE FROM ", publish_of(p, model), " AND asset IS $2 AND EXISTS (SELECT 1 FROM ",
        up_sql_table(p, model->table), where_key(p, model), ") RETURNING url", NULL);

    return up_sql_statement_create(p, "take a picture out of the journal", sql, 2);
}

up_sql_statement *up_sqlite_unpublish(apr_pool_t *p, const up_model *model)
{
    const char *sql = apr_pstrcat(p, "DELETE FROM ", publish_of(p, model), NULL);

    return up_sql_statement_create(p, "cancel a picture that waits", sql, 1);
}
