/* SPDX-License-Identifier: Apache-2.0 */

/* The statements that are about the journal alone. */
#include "adapters/pg_sql.h"

#include "adapters/pg_name.h"

#include <apr_strings.h>

const char *up_pg_sql_withdraw(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "WITH gone AS (DELETE FROM ", up_pg_table(p, model->journal),
                       " WHERE effect = 'upload' AND asset = $1::text RETURNING 1) "
                       "SELECT count(*) FROM gone",
                       NULL);
}

const char *up_pg_sql_lock_upload(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "SELECT id FROM ", up_pg_table(p, model->journal),
                       " WHERE effect = 'upload' AND asset = $1::text FOR UPDATE", NULL);
}

const char *up_pg_sql_doom(apr_pool_t *p, const up_model *model)
{
    const char *journal = up_pg_table(p, model->journal);

    return apr_pstrcat(
        p, "UPDATE ", journal,
        " SET attempts = greatest(attempts, 1), owner = $2::text, "
        "lease = now() + make_interval(secs => $3::int) "
        "WHERE effect = 'upload' AND asset = $1::text AND NOT EXISTS (SELECT 1 FROM ",
        journal, " q WHERE q.effect = 'publish' AND q.asset = $1::text) RETURNING id", NULL);
}

const char *up_pg_sql_settle(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "WITH gone AS (DELETE FROM ", up_pg_table(p, model->journal),
                       " WHERE id = ANY ($1::bigint[]) RETURNING 1) SELECT count(*) FROM gone",
                       NULL);
}

const char *up_pg_sql_owners(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "SELECT DISTINCT owner FROM ", up_pg_table(p, model->journal),
                       " WHERE starts_with(owner, $1::text) AND lease >= now()", NULL);
}

/* Whether the subject of an entry is another account's by now. */
static const char *superseded(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "j.effect = 'revoke_sessions' AND EXISTS (SELECT 1 FROM ",
                       up_pg_table(p, model->table), " u WHERE u.", up_pg_column(p, model->subject),
                       " = j.subject", up_pg_subject_cast(model), " AND u.",
                       up_pg_column(p, model->key), "::text IS DISTINCT FROM j.user_key)", NULL);
}

/* Revocations first: a storage that hangs must not keep them waiting. Old assets go
 * before new URLs are set, as the first seed has it. An upload that is to be
 * published is the publish entry's matter. */
const char *up_pg_sql_claim(apr_pool_t *p, const up_model *model)
{
    const char *journal = up_pg_table(p, model->journal);

    return apr_pstrcat(
        p, "WITH next AS (SELECT id FROM ", journal,
        " n WHERE contract = ", up_pg_quote(p, model->table, '\''),
        " AND (lease < now() OR owner = ANY ($3::text[])) AND NOT (effect = 'upload' AND "
        "EXISTS "
        "(SELECT 1 FROM ",
        journal,
        " q WHERE q.effect = 'publish' AND q.asset = n.asset)) "
        "ORDER BY effect = 'publish', effect NOT IN ('revoke_token', 'revoke_sessions'), id "
        "LIMIT 1 FOR UPDATE SKIP LOCKED) UPDATE ",
        journal,
        " j SET owner = $1::text, lease = now() + make_interval(secs => $2::int), "
        "attempts = attempts + 1 FROM next WHERE j.id = next.id RETURNING j.id, j.effect, "
        "j.user_key, j.subject, j.asset, j.url, j.jti, "
        "COALESCE(extract(epoch FROM j.expires)::bigint, 0), j.attempts, "
        "extract(epoch FROM now() - j.created_at)::bigint, ",
        superseded(p, model), NULL);
}

const char *up_pg_sql_postpone(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "UPDATE ", up_pg_table(p, model->journal),
                       " SET lease = now() + make_interval(secs => $3::int) "
                       "WHERE id = $1::bigint AND owner = $2::text AND attempts = $4::int "
                       "RETURNING id",
                       NULL);
}

const char *up_pg_sql_strike(apr_pool_t *p, const up_model *model)
{
    return apr_pstrcat(p, "DELETE FROM ", up_pg_table(p, model->journal),
                       " WHERE id = $1::bigint AND owner = $2::text AND attempts = $3::int "
                       "RETURNING id",
                       NULL);
}
