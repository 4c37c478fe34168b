/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sql_journal.h"

#include "adapters/process_owner.h"
#include "adapters/sql_entries.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

typedef struct sql_journal {
    up_journal port;
    up_sql_database *database;
    const char *owner, *lease;
    up_sql_statement *owners, *claim, *postpone, *strike;
} sql_journal;

static const char *const effects[] = {[UP_EFFECT_UPLOAD] = "upload",
                                      [UP_EFFECT_PUBLISH] = "publish",
                                      [UP_EFFECT_DESTROY] = "destroy",
                                      [UP_EFFECT_REVOKE_TOKEN] = "revoke_token",
                                      [UP_EFFECT_REVOKE_SESSIONS] = "revoke_sessions"};

/* Frees the array. */
static const char *dump(apr_pool_t *p, json_t *array)
{
    char *text = json_dumps(array, JSON_COMPACT);
    const char *copy = text ? apr_pstrdup(p, text) : "[]";

    free(text);
    json_decref(array);
    return copy;
}

/* The processes of this node that have entries and run no more, as a JSON array. */
static up_problem *dead_owners(sql_journal *journal, apr_pool_t *p, const char **array)
{
    const char *values[] = {up_owner_node(p)};
    up_sql_answer answer = {.rows = 0};
    up_problem *problem =
        journal->database->run(journal->database, p, journal->owners, values, &answer);
    json_t *dead = json_array();
    int i;

    for (i = 0; !problem && i < answer.rows; i++) {
        if (up_owner_is_dead(p, answer.values[i]))
            json_array_append_new(dead, json_string(answer.values[i]));
    }
    *array = dump(p, dead);
    return problem;
}

static const up_entry *entry_from(apr_pool_t *p, const up_sql_answer *answer)
{
    up_entry *entry = apr_pcalloc(p, sizeof(*entry));
    const char *effect = up_sql_text_at(answer, 1);

    entry->id = up_sql_number_at(answer, 0);
    while (strcmp(effects[entry->effect], effect) != 0 && entry->effect < UP_EFFECT_REVOKE_SESSIONS)
        entry->effect++;
    entry->user_key = up_sql_text_at(answer, 2);
    entry->subject = up_sql_text_at(answer, 3);
    entry->asset = up_sql_text_at(answer, 4);
    entry->url = up_sql_text_at(answer, 5);
    entry->jti = up_sql_text_at(answer, 6);
    entry->expires = up_sql_number_at(answer, 7);
    entry->attempts = (int)up_sql_number_at(answer, 8);
    entry->age = up_sql_number_at(answer, 9);
    entry->superseded = up_sql_number_at(answer, 10) != 0;
    return entry;
}

static up_problem *journal_claim(up_journal *self, apr_pool_t *p, const up_entry **entry)
{
    sql_journal *journal = (sql_journal *)self;
    const char *values[] = {journal->owner, journal->lease, NULL};
    up_sql_answer answer = {.rows = 0};
    up_problem *problem = dead_owners(journal, p, &values[2]);

    *entry = NULL;
    if (!problem)
        problem = journal->database->run(journal->database, p, journal->claim, values, &answer);
    if (!problem && answer.rows)
        *entry = entry_from(p, &answer);
    return problem;
}

static up_problem *journal_postpone(up_journal *self, apr_pool_t *p, const up_entry *entry,
                                    int seconds)
{
    sql_journal *journal = (sql_journal *)self;
    const char *values[] = {apr_psprintf(p, "%" APR_INT64_T_FMT, entry->id), journal->owner,
                            apr_itoa(p, entry->attempts), apr_itoa(p, seconds)};
    up_sql_answer answer;

    return journal->database->run(journal->database, p, journal->postpone, values, &answer);
}

static up_problem *journal_strike(up_journal *self, apr_pool_t *p, const up_entry *entry)
{
    sql_journal *journal = (sql_journal *)self;
    const char *values[] = {apr_psprintf(p, "%" APR_INT64_T_FMT, entry->id), journal->owner,
                            apr_itoa(p, entry->attempts)};
    up_sql_answer answer;

    return journal->database->run(journal->database, p, journal->strike, values, &answer);
}

static up_problem *journal_check(up_journal *self, apr_pool_t *p)
{
    const sql_journal *journal = (sql_journal *)self;
    const up_sql_statement *const statements[] = {journal->owners, journal->claim,
                                                  journal->postpone, journal->strike};

    return up_sql_prepare_all(journal->database, p, statements,
                              sizeof(statements) / sizeof(statements[0]));
}

up_journal *up_sql_journal_create(apr_pool_t *p, up_sql_database *database, const up_model *model,
                                  const up_journal_settings *settings)
{
    sql_journal *journal = apr_pcalloc(p, sizeof(*journal));
    const up_sql_dialect *dialect = database->dialect;

    journal->port = (up_journal){.claim = journal_claim,
                                 .postpone = journal_postpone,
                                 .strike = journal_strike,
                                 .check = journal_check};
    journal->database = database;
    journal->owner = settings->owner;
    journal->lease = apr_itoa(p, settings->lease);
    journal->owners = up_sql_owners(p, dialect, model);
    journal->claim = up_sql_claim(p, dialect, model);
    journal->postpone = up_sql_postpone(p, dialect, model);
    journal->strike = up_sql_strike(p, model);
    return &journal->port;
}
