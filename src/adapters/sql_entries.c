/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sql_entries.h"

#include "adapters/sql_name.h"
#include "adapters/sql_text.h"

#include <apr_strings.h>

static const char *journal_of(apr_pool_t *p, const up_model *model)
{
    return up_sql_table(p, model->journal);
}

up_sql_statement *up_sql_withdraw(apr_pool_t *p, const up_model *model)
{
    const char *sql = apr_pstrcat(p, "DELETE FROM ", journal_of(p, model),
                                  " WHERE effect = 'upload' AND asset = $1 RETURNING id", NULL);

    return up_sql_statement_create(p, "strike an upload out of the journal", sql, 1);
}

up_sql_statement *up_sql_doom(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model)
{
    const char *journal = journal_of(p, model);
    const char *sql = apr_pstrcat(
        p, "UPDATE ", journal,
        " SET attempts = CASE WHEN attempts < 1 THEN 1 ELSE attempts END, owner = $2, lease = ",
        dialect->later(p, 3),
        " WHERE effect = 'upload' AND asset = $1 AND NOT EXISTS (SELECT 1 FROM ", journal,
        " q WHERE q.effect = 'publish' AND q.asset = $1) RETURNING id", NULL);

    return up_sql_statement_create(p, "doom an upload in the journal", sql, 3);
}

up_sql_statement *up_sql_settle(apr_pool_t *p, const up_model *model)
{
    const char *sql = apr_pstrcat(p, "DELETE FROM ", journal_of(p, model),
                                  " WHERE id IN ($1, $2, $3, $4) RETURNING id", NULL);

    return up_sql_statement_create(p, "strike entries out of the journal", sql, 4);
}

up_sql_statement *up_sql_owners(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model)
{
    const char *sql =
        apr_pstrcat(p, "SELECT DISTINCT owner FROM ", journal_of(p, model),
                    " WHERE substr(owner, 1, length(CAST($1 AS text))) = CAST($1 AS text) AND "
                    "lease >= ",
                    dialect->clock, NULL);

    return up_sql_statement_create(p, "list who is at the journal", sql, 1);
}

/* Whether the subject of an entry is another account's by now: 1 or 0. */
static const char *superseded(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model)
{
    const char *entry = apr_pstrcat(p, journal_of(p, model), ".", NULL);
    const char *subject = apr_pstrcat(p, entry, "subject", NULL);

    return apr_pstrcat(p, "CASE WHEN effect = 'revoke_sessions' AND EXISTS (SELECT 1 FROM ",
                       up_sql_table(p, model->table), " u WHERE u.",
                       up_sql_column(p, model->subject), " = ", dialect->subject(p, model, subject),
                       " AND CAST(u.", up_sql_column(p, model->key), " AS text) IS DISTINCT FROM ",
                       entry, "user_key) THEN 1 ELSE 0 END", NULL);
}

/* Revocations first: a storage that hangs must not keep them waiting. Old assets go
 * before new URLs are set, as the first seed has it. An upload that is to be
 * published is the publish entry's matter. SQLite knows no alias in RETURNING. */
up_sql_statement *up_sql_claim(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model)
{
    const char *journal = journal_of(p, model);
    const char *sql = apr_pstrcat(
        p, "WITH next AS (SELECT id AS next_id FROM ", journal,
        " n WHERE contract = ", up_sql_contract(p, model), " AND (lease < ", dialect->clock,
        " OR owner IN (", dialect->list(p, 3),
        ")) AND NOT (effect = 'upload' AND EXISTS (SELECT 1 FROM ", journal,
        " q WHERE q.effect = 'publish' AND q.asset = n.asset)) "
        "ORDER BY effect = 'publish', effect NOT IN ('revoke_token', 'revoke_sessions'), id "
        "LIMIT 1",
        dialect->skip_locked, ") UPDATE ", journal,
        " SET owner = $1, lease = ", dialect->later(p, 2),
        ", attempts = attempts + 1 FROM next WHERE id = next_id RETURNING id, effect, user_key, "
        "subject, asset, url, jti, ",
        dialect->seconds(p, "expires"), ", attempts, ", dialect->age(p, "created_at"), ", ",
        superseded(p, dialect, model), NULL);

    return up_sql_statement_create(p, "claim an entry of the journal", sql, 3);
}

/* As the entry was when it was claimed: its id, its owner and its attempt. */
#define CLAIMED " WHERE id = $1 AND owner = $2 AND attempts = $3 RETURNING id"

up_sql_statement *up_sql_postpone(apr_pool_t *p, const up_sql_dialect *dialect,
                                  const up_model *model)
{
    const char *sql = apr_pstrcat(p, "UPDATE ", journal_of(p, model),
                                  " SET lease = ", dialect->later(p, 4), CLAIMED, NULL);

    return up_sql_statement_create(p, "put an entry of the journal off", sql, 4);
}

up_sql_statement *up_sql_strike(apr_pool_t *p, const up_model *model)
{
    const char *sql = apr_pstrcat(p, "DELETE FROM ", journal_of(p, model), CLAIMED, NULL);

    return up_sql_statement_create(p, "strike an entry out of the journal", sql, 3);
}
