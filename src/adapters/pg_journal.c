/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/pg_journal.h"

#include "adapters/pg_sql.h"
#include "adapters/pg_statement.h"
#include "adapters/process_owner.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

typedef struct pg_journal {
    up_journal port;
    up_dbd_pool *pool;
    const char *owner, *lease;
    up_pg_statement *owners, *claim, *postpone, *strike;
} pg_journal;

static const char *const effects[] = {[UP_EFFECT_UPLOAD] = "upload",
                                      [UP_EFFECT_PUBLISH] = "publish",
                                      [UP_EFFECT_DESTROY] = "destroy",
                                      [UP_EFFECT_REVOKE_TOKEN] = "revoke_token",
                                      [UP_EFFECT_REVOKE_SESSIONS] = "revoke_sessions"};

/* As an element of a Postgres array. */
static const char *array_element(apr_pool_t *p, const char *text)
{
    char *quoted = apr_palloc(p, 2 * strlen(text) + 3), *to = quoted;

    *to++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    *to++ = '"';
    *to = '\0';
    return quoted;
}

/* The processes of this node that have entries and run no more, as an array. */
static up_problem *dead_owners(pg_journal *journal, apr_pool_t *p, const char **array)
{
    const char *values[] = {up_owner_node(p)};
    PGresult *result;
    up_problem *problem = up_pg_run(journal->pool, p, NULL, journal->owners, values, &result);
    int i;

    *array = "{";
    for (i = 0; !problem && i < PQntuples(result); i++) {
        const char *owner = PQgetvalue(result, i, 0);

        if (up_owner_is_dead(p, owner))
            *array = apr_pstrcat(p, *array, (*array)[1] ? "," : "", array_element(p, owner), NULL);
    }
    *array = apr_pstrcat(p, *array, "}", NULL);
    return problem;
}

static const up_entry *entry_from(apr_pool_t *p, const PGresult *result)
{
    up_entry *entry = apr_pcalloc(p, sizeof(*entry));
    const char *effect = PQgetvalue(result, 0, 1);

    entry->id = up_pg_number_at(result, 0);
    while (strcmp(effects[entry->effect], effect) != 0 && entry->effect < UP_EFFECT_REVOKE_SESSIONS)
        entry->effect++;
    entry->user_key = up_pg_text_at(result, 2);
    entry->subject = up_pg_text_at(result, 3);
    entry->asset = up_pg_text_at(result, 4);
    entry->url = up_pg_text_at(result, 5);
    entry->jti = up_pg_text_at(result, 6);
    entry->expires = up_pg_number_at(result, 7);
    entry->attempts = (int)up_pg_number_at(result, 8);
    entry->age = up_pg_number_at(result, 9);
    entry->superseded = *PQgetvalue(result, 0, 10) == 't';
    return entry;
}

static up_problem *pg_claim(up_journal *self, apr_pool_t *p, const up_entry **entry)
{
    pg_journal *journal = (pg_journal *)self;
    const char *values[] = {journal->owner, journal->lease, NULL};
    PGresult *result;
    up_problem *problem = dead_owners(journal, p, &values[2]);

    *entry = NULL;
    if (!problem)
        problem = up_pg_run(journal->pool, p, NULL, journal->claim, values, &result);
    if (!problem && PQntuples(result))
        *entry = entry_from(p, result);
    return problem;
}

static up_problem *pg_postpone(up_journal *self, apr_pool_t *p, const up_entry *entry, int seconds)
{
    pg_journal *journal = (pg_journal *)self;
    const char *values[] = {apr_psprintf(p, "%" APR_INT64_T_FMT, entry->id), journal->owner,
                            apr_itoa(p, seconds), apr_itoa(p, entry->attempts)};
    PGresult *result;

    return up_pg_run(journal->pool, p, NULL, journal->postpone, values, &result);
}

static up_problem *pg_strike(up_journal *self, apr_pool_t *p, const up_entry *entry)
{
    pg_journal *journal = (pg_journal *)self;
    const char *values[] = {apr_psprintf(p, "%" APR_INT64_T_FMT, entry->id), journal->owner,
                            apr_itoa(p, entry->attempts)};
    PGresult *result;

    return up_pg_run(journal->pool, p, NULL, journal->strike, values, &result);
}

up_journal *up_pg_journal_create(apr_pool_t *p, up_dbd_pool *pool, const up_model *model,
                                 const up_pg_settings *settings)
{
    pg_journal *journal = apr_pcalloc(p, sizeof(*journal));

    journal->port = (up_journal){.claim = pg_claim, .postpone = pg_postpone, .strike = pg_strike};
    journal->pool = pool;
    journal->owner = settings->owner;
    journal->lease = apr_itoa(p, settings->lease);
    journal->owners =
        up_pg_statement_create(p, "list who is at the journal", up_pg_sql_owners(p, model), 1);
    journal->claim =
        up_pg_statement_create(p, "claim an entry of the journal", up_pg_sql_claim(p, model), 3);
    journal->postpone = up_pg_statement_create(p, "put an entry of the journal off",
                                               up_pg_sql_postpone(p, model), 4);
    journal->strike = up_pg_statement_create(p, "strike an entry out of the journal",
                                             up_pg_sql_strike(p, model), 3);
    return &journal->port;
}
