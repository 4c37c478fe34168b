/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/pg_sql.h"

#include "adapters/pg_database.h"
#include "adapters/sql_name.h"
#include "adapters/sql_text.h"

#include <apr_strings.h>
#include <string.h>

/* A field's column as text, the same on every node and in every session. */
static const char *expression(apr_pool_t *p, const char *alias, const up_field *field)
{
    const char *name = apr_pstrcat(p, alias, up_sql_column(p, field->column), NULL);

    if (field->value)
        return apr_pstrcat(p, up_sql_quote(p, field->value, '\''), "::text", NULL);
    /* Seconds and the rest apart: as one double, years from now would lose their fraction. */
    if (field->type == UP_EPOCH_MS)
        name = apr_pstrcat(p, "(to_timestamp(div(", name, "::numeric, 1000)) + mod(", name,
                           "::numeric, 1000) * interval '1 millisecond')", NULL);
    if (field->type == UP_TIMESTAMP || field->type == UP_EPOCH_MS)
        return apr_pstrcat(p, "to_char(", name,
                           " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')", NULL);
    return apr_pstrcat(p, name, "::text", NULL);
}

/* The version with a digest of the key before it: a cache that holds two users'
 * profiles may ask for both at once, and must not take one for the other. */
static const char *version(apr_pool_t *p, const up_model *model, const char *alias)
{
    return apr_pstrcat(p, "left(encode(sha256(convert_to(", alias, up_sql_column(p, model->key),
                       "::text, 'UTF8')), 'hex'), 12) || '-' || COALESCE(", alias,
                       up_sql_column(p, model->state.version), ", 0)::text", NULL);
}

/* A row as row_from() in pg_users.c reads it: the fields, and the version after them. */
static const char *expressions(apr_pool_t *p, const up_model *model, const char *alias)
{
    apr_array_header_t *parts = up_sql_parts(p);
    int i;

    for (i = 0; i < model->fields->nelts; i++)
        up_sql_add(parts, expression(p, alias, up_model_field(model, i)));
    up_sql_add(parts, model->state.version ? version(p, model, alias) : "NULL");
    return up_sql_join(p, parts, ", ");
}

/* As up_profile_etag() does it. */
static const char *etag(apr_pool_t *p, const up_model *model)
{
    apr_array_header_t *parts = up_sql_parts(p);
    int i;

    if (model->state.version)
        return version(p, model, "");
    for (i = 0; i < model->fields->nelts; i++) {
        const char *text = expression(p, "", up_model_field(model, i));

        up_sql_add(parts, apr_pstrcat(p, "COALESCE(octet_length(convert_to(", text,
                                      ", 'UTF8'))::text || ':' || ", text, ", '-')", NULL));
    }
    return apr_pstrcat(p, "left(encode(sha256(convert_to(", up_sql_join(p, parts, " || "),
                       ", 'UTF8')), 'hex'), 32)", NULL);
}

/* Whole seconds, as a token's iat has no others. */
static const char *token_is_older(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p,
                       "($3::bigint IS NULL OR COALESCE(to_timestamp($3::bigint) < "
                       "date_trunc('second', ",
                       up_sql_column(p, model->state.since), "), false))", NULL);
}

/* While a new picture waits to be published the row's tag may be as it was, and
 * yet the profile is already another. The function looks anew each time that it
 * is called, so also when this statement has waited for the row: a subquery would
 * see the journal as it was when the statement began. */
static const char *nothing_pending(apr_pool_t *p, const up_model *model)
{
    if (!model->avatar)
        return "";
    return apr_pstrcat(
        p, " AND NOT ", up_sql_table(p, apr_pstrcat(p, model->journal, "_pending", NULL)), "(",
        up_sql_contract(p, model), ", ", up_sql_column(p, model->key), "::text)", NULL);
}

/* The conditions on which an account may be changed. */
static const char *where(apr_pool_t *p, const up_model *model)
{
    apr_array_header_t *parts = up_sql_parts(p);

    up_sql_add(parts, up_sql_subject(p, &up_pg_dialect, model));
    if (model->state.deleted)
        up_sql_add(parts, apr_pstrcat(p, up_sql_column(p, model->state.deleted), " IS NULL", NULL));
    if (model->state.active)
        up_sql_add(parts, apr_pstrcat(p, up_sql_column(p, model->state.active), " IS TRUE", NULL));
    /* A parameter that is not used would have no type. */
    up_sql_add(parts, model->state.since ? apr_pstrcat(p, "NOT ", token_is_older(p, model), NULL)
                                         : "($3::bigint IS NULL OR true)");
    up_sql_add(parts, apr_pstrcat(p, "($2::text[] IS NULL OR ", etag(p, model),
                                  " = ANY ($2::text[])", nothing_pending(p, model), ")", NULL));
    return up_sql_join(p, parts, " AND ");
}

const char *up_pg_sql_read(apr_pool_t *p, const up_model *model)
{
    const up_state_columns *state = &model->state;

    return apr_pstrcat(
        p, "SELECT ", state->deleted ? up_sql_column(p, state->deleted) : "NULL", " IS NOT NULL, ",
        state->active ? up_sql_column(p, state->active) : "true", " IS NOT TRUE, ",
        state->since ? token_is_older(p, model) : "$3::bigint IS NULL AND false", ", ",
        expressions(p, model, ""), " FROM ", up_sql_table(p, model->table), " WHERE ",
        up_sql_subject(p, &up_pg_dialect, model), " AND ($2::text[] IS NULL OR true)", NULL);
}

const char *up_pg_sql_update(apr_pool_t *p, const up_model *model)
{
    apr_array_header_t *parts = up_sql_parts(p);

    up_sql_assignments(p, &up_pg_dialect, model, "", UP_PG_ACCOUNT_PARAMETERS + 1, parts);
    up_sql_touch(p, &up_pg_dialect, model, parts);
    return apr_pstrcat(p, "UPDATE ", up_sql_table(p, model->table), " SET ",
                       up_sql_join(p, parts, ", "), " WHERE ", where(p, model), " RETURNING ",
                       expressions(p, model, ""), NULL);
}

/* "me AS (…)": the account's key and avatar, its row locked. What waits for
 * the lock then sees the row, and checks the conditions, as they are by then. */
static const char *me(apr_pool_t *p, const up_model *model, const char *lock)
{
    return apr_pstrcat(p, "me AS MATERIALIZED (SELECT ", up_sql_column(p, model->key), " AS k, ",
                       model->avatar ? up_sql_column(p, model->avatar->column) : "NULL",
                       "::text AS old FROM ", up_sql_table(p, model->table), " WHERE ",
                       where(p, model), lock, ")", NULL);
}

const char *up_pg_sql_announce(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(
        p, "WITH ", me(p, model, ""), " INSERT INTO ", up_sql_table(p, model->journal),
        " (contract, effect, asset, owner, lease) SELECT ", up_sql_contract(p, model),
        ", 'upload', $4::text, $5::text, "
        "now() + make_interval(secs => $6::int) FROM me RETURNING id",
        NULL);
}

const char *up_pg_sql_swap(apr_pool_t *p, const up_model *model)
{
    const char *journal = up_sql_table(p, model->journal);
    apr_array_header_t *parts = up_sql_parts(p);

    up_sql_assignments(p, &up_pg_dialect, model, "t.", 8, parts);
    up_sql_add(parts, apr_pstrcat(p, up_sql_column(p, model->avatar->column), " = NULL", NULL));
    up_sql_touch(p, &up_pg_dialect, model, parts);
    /* An upload whose announcement is another's by now is as good as destroyed.
       ON CONFLICT sees an entry that was committed after this statement began,
       as no plain UPDATE would: so the last of two swaps has the entry. */
    return apr_pstrcat(
        p, "WITH mine AS MATERIALIZED (SELECT id FROM ", journal,
        " WHERE effect = 'upload' AND asset = $4::text AND owner = $6::text AND attempts = 0 "
        "FOR UPDATE), ",
        me(p, model, " AND ($4::text IS NULL OR EXISTS (SELECT 1 FROM mine)) FOR NO KEY UPDATE"),
        ", changed AS (UPDATE ", up_sql_table(p, model->table), " t SET ",
        up_sql_join(p, parts, ", "), " FROM me WHERE t.", up_sql_column(p, model->key),
        " = me.k RETURNING me.k::text AS k, me.old), publish AS (INSERT INTO ", journal,
        " AS j (contract, effect, user_key, asset, url, owner, lease) SELECT ",
        up_sql_contract(p, model),
        ", 'publish', k, $4::text, $5::text, $6::text, now() + make_interval(secs => $7::int) FROM "
        "changed "
        "ON CONFLICT (contract, user_key) WHERE effect = 'publish' DO UPDATE SET asset = "
        "EXCLUDED.asset, "
        "url = EXCLUDED.url, owner = EXCLUDED.owner, lease = EXCLUDED.lease, attempts = 0, "
        "created_at = now() RETURNING id), destroy AS (INSERT INTO ",
        journal, " (contract, effect, url, owner, lease) SELECT ", up_sql_contract(p, model),
        ", 'destroy', old, $6::text, now() + make_interval(secs => $7::int) FROM changed WHERE old "
        "IS NOT NULL RETURNING id) "
        "SELECT k, old, (SELECT id FROM publish), (SELECT id FROM destroy) FROM changed",
        NULL);
}

const char *up_pg_sql_publish(apr_pool_t *p, const up_model *model)
{
    const char *journal = up_sql_table(p, model->journal);
    apr_array_header_t *parts = up_sql_parts(p);

    up_sql_add(parts,
               apr_pstrcat(p, up_sql_column(p, model->avatar->column), " = entry.url", NULL));
    up_sql_touch(p, &up_pg_dialect, model, parts);
    /* The user's row is locked before the entry, as in a swap: two that meet wait
       for one another there, and cannot do so crosswise. */
    return apr_pstrcat(
        p, "WITH me AS MATERIALIZED (SELECT ", up_sql_column(p, model->key), " AS k FROM ",
        up_sql_table(p, model->table), " WHERE ", up_sql_column(p, model->key), " = $1",
        " FOR NO KEY UPDATE), entry AS (DELETE FROM ", journal,
        " j USING me WHERE j.effect = 'publish' AND j.contract = ", up_sql_contract(p, model),
        " AND j.user_key = me.k::text AND j.asset IS NOT DISTINCT FROM $2::text RETURNING me.k, "
        "j.url), uploaded AS (DELETE FROM ",
        journal,
        " WHERE effect = 'upload' AND asset = $2::text AND EXISTS (SELECT 1 FROM entry)), "
        "destroyed AS (DELETE FROM ",
        journal, " WHERE id = $3::bigint) UPDATE ", up_sql_table(p, model->table), " t SET ",
        up_sql_join(p, parts, ", "), " FROM entry WHERE t.", up_sql_column(p, model->key),
        " = entry.k RETURNING ", expressions(p, model, "t."), NULL);
}

const char *up_pg_sql_lock(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "SELECT 1 FROM ", up_sql_table(p, model->table), " WHERE ",
                       up_sql_subject(p, &up_pg_dialect, model),
                       " AND ($2::text[] IS NULL OR true) AND ($3::bigint IS NULL OR true) "
                       "FOR UPDATE",
                       NULL);
}

/* An entry of the journal for each account that is "gone"; lease: its owner, and until when. */
static const char *entry(apr_pool_t *p, const up_model *model, const char *columns,
                         const char *values, const char *lease)
{
    return apr_pstrcat(p, "INSERT INTO ", up_sql_table(p, model->journal), " (contract, ", columns,
                       ", owner, lease) SELECT ", up_sql_contract(p, model), ", ", values, ", ",
                       lease, " FROM gone", NULL);
}

static const char *sessions_entry(apr_pool_t *p, const up_model *model, const char *subject,
                                  const char *lease)
{
    const char *values = apr_pstrcat(p, "'revoke_sessions', ", subject, ", k", NULL);

    return apr_pstrcat(p, ", sessions AS (",
                       entry(p, model, "effect, subject, user_key", values, lease),
                       " RETURNING id)", NULL);
}

static const char *destroy_entry(apr_pool_t *p, const up_model *model, const char *old,
                                 const char *lease)
{
    const char *values = apr_pstrcat(p, "'destroy', ", old, NULL);

    return apr_pstrcat(p, ", destroy AS (", entry(p, model, "effect, url", values, lease),
                       " WHERE ", old, " IS NOT NULL RETURNING id)", NULL);
}

/* The end of both deletions: what the token store and the storage have to be told. */
static const char *farewell(apr_pool_t *p, const up_model *model, const char *old)
{
    static const char lease[] = "$7::text, now() + make_interval(secs => $8::int)";
    static const char token[] = "'revoke_token', $5::text, to_timestamp($6::bigint)";

    return apr_pstrcat(
        p, ", token AS (", entry(p, model, "effect, jti, expires", token, lease),
        " WHERE $5::text IS NOT NULL RETURNING id)", sessions_entry(p, model, "$4::text", lease),
        destroy_entry(p, model, old, lease), " SELECT ", old,
        ", (SELECT id FROM destroy), (SELECT id FROM token), (SELECT id FROM sessions) FROM gone",
        NULL);
}

const char *up_pg_sql_soft_delete(apr_pool_t *p, const up_model *model)
{
    apr_array_header_t *parts = up_sql_parts(p);

    up_sql_mark_deleted(p, &up_pg_dialect, model, parts);
    up_sql_touch(p, &up_pg_dialect, model, parts);
    return apr_pstrcat(p, "WITH gone AS (UPDATE ", up_sql_table(p, model->table), " SET ",
                       up_sql_join(p, parts, ", "), " WHERE ", where(p, model), " RETURNING ",
                       up_sql_column(p, model->key), "::text AS k)",
                       farewell(p, model, "NULL::text"), NULL);
}

static const char *anonymise(apr_pool_t *p, const up_related *related)
{
    return apr_pstrcat(p, "UPDATE ", up_sql_table(p, related->table), " r SET ",
                       up_sql_blanked(p, related), " FROM me WHERE r.",
                       up_sql_column(p, related->column), " = me.k", NULL);
}

/* Rows of the related tables first, then the user's ("me"); keys that refer to it are
 * checked at the statement's end. A picture that is about to be published goes
 * as any other that was announced and belongs to nobody. */
static const char *erasure(apr_pool_t *p, const up_model *model, const char *returning)
{
    const char *sql = apr_pstrcat(
        p, ", unpublished AS (DELETE FROM ", up_sql_table(p, model->journal),
        " j USING me WHERE j.effect = 'publish' AND j.contract = ", up_sql_contract(p, model),
        " AND j.user_key = me.k::text)", NULL);
    int i;

    for (i = 0; i < model->related->nelts; i++) {
        const up_related *related = &APR_ARRAY_IDX(model->related, i, up_related);

        sql = apr_pstrcat(p, sql, apr_psprintf(p, ", related_%d AS (", i),
                          related->anonymise
                              ? anonymise(p, related)
                              : apr_pstrcat(p, "DELETE FROM ", up_sql_table(p, related->table),
                                            " r USING me WHERE r.",
                                            up_sql_column(p, related->column), " = me.k", NULL),
                          ")", NULL);
    }
    return apr_pstrcat(p, sql, ", gone AS (DELETE FROM ", up_sql_table(p, model->table),
                       " t USING me WHERE t.", up_sql_column(p, model->key),
                       " = me.k RETURNING me.k::text AS k, ", returning, ")", NULL);
}

const char *up_pg_sql_erase(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "WITH ", me(p, model, " FOR UPDATE"), erasure(p, model, "me.old"),
                       farewell(p, model, "old"), NULL);
}

/* The account $1, if its grace period is over and nobody else is at it. */
static const char *from_expired(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(
        p, " FROM ", up_sql_table(p, model->table), " WHERE ", up_sql_column(p, model->key),
        " = $1 AND ", up_sql_is_expired(p, &up_pg_dialect, model), " FOR UPDATE SKIP LOCKED", NULL);
}

const char *up_pg_sql_lock_expired(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "SELECT 1", from_expired(p, model), NULL);
}

/* Nobody is at its entries in the journal: their lease is over as they are written. */
const char *up_pg_sql_expire(apr_pool_t *p, const up_model *model)
{
    static const char lease[] = "$2::text, now()";
    const char *avatar = model->avatar ? up_sql_column(p, model->avatar->column) : "NULL";

    return apr_pstrcat(p, "WITH me AS MATERIALIZED (SELECT ", up_sql_column(p, model->key),
                       " AS k, ", avatar, "::text AS old, ", up_sql_column(p, model->subject),
                       "::text AS subject", from_expired(p, model), ")",
                       erasure(p, model, "me.old, me.subject"),
                       sessions_entry(p, model, "subject", lease),
                       destroy_entry(p, model, "old", lease), " SELECT k FROM gone", NULL);
}

const char *up_pg_sql_lock_upload(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "SELECT id FROM ", up_sql_table(p, model->journal),
                       " WHERE effect = 'upload' AND asset = $1 FOR UPDATE", NULL);
}
