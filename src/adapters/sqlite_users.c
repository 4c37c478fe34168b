/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sqlite_users.h"

#include "adapters/sql_entries.h"
#include "adapters/sql_text.h"
#include "adapters/sql_values.h"
#include "adapters/sqlite_connection.h"
#include "adapters/sqlite_database.h"
#include "adapters/sqlite_sql.h"
#include "adapters/sqlite_value.h"

#include <apr_strings.h>

typedef struct sqlite_users {
    up_user_store port;
    const up_model *model;
    up_dbd_pool *pool;
    up_sql_database *database; /* for what is a single statement */
    const char *owner, *lease;
    up_sql_statement *read, *update, *swap, *set_avatar, *soft_delete, *erase, *enter, *own_upload,
        *pending, *take_publish, *unpublish, *doom, *withdraw, *settle, *expired, *read_expired;
    apr_array_header_t *related; /* of up_sql_statement * */
} sqlite_users;

/* A call that writes: the connection and the account, as it is in this transaction. */
typedef struct visit {
    const sqlite_users *users;
    up_sqlite sqlite;
    apr_pool_t *p;
    const char *lease; /* of what is written to the journal */
    up_account account;
    const char *key; /* NULL where the account may not be changed */
    const char *old_url;
    const up_row *row;
} visit;

/* --- A user's row ---------------------------------------------------------------------------- */

static up_problem *unreadable(apr_pool_t *p, const up_field *field)
{
    return up_problem_logged(p, UP_INTERNAL_ERROR,
                             "the column %s of a user holds no %s that can be read", field->column,
                             up_type_name(field->type));
}

static up_problem *row_from(apr_pool_t *p, const up_model *model, const up_sql_answer *answer,
                            const up_row **result)
{
    up_row *row = apr_pcalloc(p, sizeof(*row));
    const char **values = apr_palloc(p, model->fields->nelts * sizeof(*values));
    int i;

    for (i = 0; i < model->fields->nelts; i++) {
        const up_field *field = up_model_field(model, i);
        const char *text = up_sql_text_at(answer, UP_SQLITE_FIELDS + i);

        if (up_sqlite_value(p, field, text, &values[i]))
            return unreadable(p, field);
    }
    row->values = values;
    if (model->state.version)
        row->version = up_profile_version(p, up_sql_text_at(answer, UP_SQLITE_KEY),
                                          up_sql_number_at(answer, UP_SQLITE_VERSION));
    *result = row;
    return NULL;
}

/* Whole seconds, as a token's iat has no others. */
static int is_newer(const up_model *model, const up_caller *caller, const char *since)
{
    apr_int64_t seconds;

    if (!model->state.since)
        return 0;
    if (caller->iat < 0)
        return 1;
    return since && up_sqlite_seconds(since, &seconds) == 0 && caller->iat < seconds;
}

static up_account account_from(const up_model *model, const up_caller *caller,
                               const up_sql_answer *answer)
{
    if (answer->rows == 0)
        return UP_ACCOUNT_MISSING;
    return up_sql_account(is_newer(model, caller, up_sql_text_at(answer, UP_SQLITE_SINCE)),
                          up_sql_text_at(answer, UP_SQLITE_DELETED) != NULL,
                          !up_sqlite_is_true(up_sql_text_at(answer, UP_SQLITE_ACTIVE)));
}

static up_problem *look(visit *to, const up_caller *caller)
{
    const sqlite_users *users = to->users;
    up_sql_answer answer;
    up_problem *problem = up_sqlite_run(&to->sqlite, users->read, &caller->subject, &answer);

    if (problem)
        return problem;
    to->account = account_from(users->model, caller, &answer);
    if (to->account != UP_ACCOUNT_ACTIVE)
        return NULL;
    to->key = up_sql_text_at(&answer, UP_SQLITE_KEY);
    to->old_url = up_sql_text_at(&answer, UP_SQLITE_AVATAR);
    return row_from(to->p, users->model, &answer, &to->row);
}

static up_problem *sqlite_read(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                               up_account *account, const up_row **row)
{
    visit to = {.users = (sqlite_users *)self, .p = p};
    up_problem *problem = up_sqlite_borrow(&to.sqlite, to.users->pool, p);

    *row = NULL;
    if (problem)
        return problem;
    problem = up_sqlite_return(&to.sqlite, look(&to, caller));
    *account = to.account;
    *row = to.row;
    return problem;
}

/* --- A write --------------------------------------------------------------------------------- */

/* While a new picture waits to be published the row's tag may be as it was, and
 * yet the profile is already another. */
static up_problem *check_match(visit *to, const up_tags *match)
{
    up_sql_answer answer;
    up_problem *problem;

    if (!match || match->any || !to->key)
        return NULL;
    if (!up_tags_match_strong(match, up_profile_etag(to->p, to->users->model, to->row))) {
        to->key = NULL;
        return NULL;
    }
    if (!to->users->pending)
        return NULL;
    problem = up_sqlite_run(&to->sqlite, to->users->pending, &to->key, &answer);
    if (!problem && answer.rows)
        to->key = NULL;
    return problem;
}

/* Begins to write, and looks whether the account may be changed: to->key is NULL
 * where it may not. Where there is no problem, leave() ends it. */
static up_problem *enter(visit *to, const sqlite_users *users, apr_pool_t *p,
                         const up_caller *caller, const up_tags *match)
{
    up_problem *problem;

    *to = (visit){.users = users, .p = p, .lease = users->lease};
    problem = up_sqlite_borrow_to_write(&to->sqlite, users->pool, p);
    if (problem)
        return problem;
    if (caller)
        problem = look(to, caller);
    if (!problem)
        problem = check_match(to, match);
    return problem ? up_sqlite_return(&to->sqlite, problem) : NULL;
}

static up_problem *leave(visit *to, up_problem *problem)
{
    return up_sqlite_return(&to->sqlite, problem);
}

static up_problem *run(visit *to, const up_sql_statement *statement, const up_sql_values *values,
                       up_sql_answer *answer)
{
    return up_sqlite_run(&to->sqlite, statement, values->values, answer);
}

/* Runs a statement that answers with the user's row. */
static up_problem *write_row(visit *to, const up_sql_statement *statement,
                             const up_sql_values *values, const up_row **row)
{
    up_sql_answer answer;
    up_problem *problem = run(to, statement, values, &answer);

    if (problem || !answer.rows)
        return problem;
    return row_from(to->p, to->users->model, &answer, row);
}

/* An entry for the journal; what it has no use for is NULL. *id becomes its number. */
static up_problem *journal(visit *to, const char *effect, const up_entry *entry, apr_int64_t *id)
{
    up_sql_values values = {.count = 0};
    up_sql_answer answer;
    up_problem *problem;

    up_sql_push(&values, effect);
    up_sql_push(&values, entry->user_key);
    up_sql_push(&values, entry->subject);
    up_sql_push(&values, entry->asset);
    up_sql_push(&values, entry->url);
    up_sql_push(&values, entry->jti);
    if (entry->expires)
        up_sql_push_number(&values, to->p, entry->expires);
    else
        up_sql_push(&values, NULL);
    up_sql_push(&values, to->users->owner);
    up_sql_push(&values, to->lease);
    problem = run(to, to->users->enter, &values, &answer);
    if (!problem)
        *id = up_sql_number_at(&answer, 0);
    return problem;
}

static up_problem *sqlite_update(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                                 const up_patch *patch, const up_tags *match, const up_row **row)
{
    const sqlite_users *users = (sqlite_users *)self;
    up_sql_values values = {.count = 0};
    visit to;
    up_problem *problem = enter(&to, users, p, caller, match);

    *row = NULL;
    if (problem || !to.key)
        return problem ? problem : leave(&to, NULL);
    up_sql_push(&values, to.key);
    up_sql_push_patch(&values, patch);
    return leave(&to, write_row(&to, users->update, &values, row));
}

/* --- The avatar ------------------------------------------------------------------------------ */

static up_problem *sqlite_announce(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                                   const up_tags *match, const char *asset, int *announced)
{
    visit to;
    apr_int64_t id;
    up_problem *problem = enter(&to, (sqlite_users *)self, p, caller, match);

    *announced = 0;
    if (problem || !to.key)
        return problem ? problem : leave(&to, NULL);
    problem = leave(&to, journal(&to, "upload", &(up_entry){.asset = asset}, &id));
    *announced = !problem;
    return problem;
}

/* An upload whose announcement is another's by now is as good as destroyed. */
static up_problem *check_own(visit *to, const char *asset)
{
    const char *values[] = {asset, to->users->owner};
    up_sql_answer answer;
    up_problem *problem;

    if (!asset || !to->key)
        return NULL;
    problem = up_sqlite_run(&to->sqlite, to->users->own_upload, values, &answer);
    if (!problem && !answer.rows)
        to->key = NULL;
    return problem;
}

static up_problem *change_avatar(visit *to, const up_patch *patch, const char *url, up_swap *swap)
{
    up_sql_values values = {.count = 0};
    up_sql_answer answer;
    up_problem *problem;

    up_sql_push(&values, to->key);
    up_sql_push_patch(&values, patch);
    problem = run(to, to->users->swap, &values, &answer);
    if (!problem)
        problem = journal(to, "publish",
                          &(up_entry){.user_key = to->key, .asset = swap->asset, .url = url},
                          &swap->entries.publish);
    if (!problem && to->old_url)
        problem = journal(to, "destroy", &(up_entry){.url = to->old_url}, &swap->entries.destroy);
    return problem;
}

static up_problem *sqlite_swap(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                               const up_patch *patch, const up_tags *match, const char *asset,
                               const char *url, up_swap **swap)
{
    visit to;
    up_swap *made = apr_pcalloc(p, sizeof(*made));
    up_problem *problem = enter(&to, (sqlite_users *)self, p, caller, match);

    *swap = NULL;
    if (problem)
        return problem;
    problem = check_own(&to, asset);
    if (problem || !to.key)
        return leave(&to, problem);
    made->asset = asset;
    made->key = to.key;
    made->old_url = to.old_url;
    problem = leave(&to, change_avatar(&to, patch, url, made));
    if (!problem)
        *swap = made;
    return problem;
}

/* The user's publish entry has been taken: the URL is set, and what it made superfluous goes. */
static up_problem *set_avatar(visit *to, const up_swap *swap, const char *url, const up_row **row)
{
    up_sql_values values = {.count = 0};
    up_sql_answer answer;
    up_problem *problem = NULL;

    if (swap->asset)
        problem = up_sqlite_run(&to->sqlite, to->users->withdraw, &swap->asset, &answer);
    up_sql_push(&values, swap->key);
    up_sql_push(&values, url);
    return problem ? problem : write_row(to, to->users->set_avatar, &values, row);
}

static up_problem *end_swap(visit *to, const up_swap *swap, int old_destroyed, const up_row **row)
{
    const up_entries done = {.destroy = old_destroyed ? swap->entries.destroy : 0};
    const char *values[] = {swap->key, swap->asset};
    up_sql_values settled = {.count = 0};
    up_sql_answer answer;
    up_problem *problem = up_sqlite_run(&to->sqlite, to->users->take_publish, values, &answer);

    if (!problem && answer.rows)
        problem = set_avatar(to, swap, up_sql_text_at(&answer, 0), row);
    if (!problem && up_sql_push_entries(&settled, to->p, &done))
        problem = run(to, to->users->settle, &settled, &answer);
    return problem;
}

static up_problem *sqlite_publish(up_user_store *self, apr_pool_t *p, const up_swap *swap,
                                  int old_destroyed, const up_row **row)
{
    visit to;
    up_problem *problem = enter(&to, (sqlite_users *)self, p, NULL, NULL);

    *row = NULL;
    if (problem)
        return problem;
    return leave(&to, end_swap(&to, swap, old_destroyed, row));
}

static up_problem *sqlite_doom(up_user_store *self, apr_pool_t *p, const char *asset, int *doomed)
{
    const sqlite_users *users = (sqlite_users *)self;
    const char *values[] = {asset, users->owner, users->lease};
    up_sql_answer answer = {.rows = 0};
    up_problem *problem = users->database->run(users->database, p, users->doom, values, &answer);

    *doomed = answer.rows > 0;
    return problem;
}

static up_problem *sqlite_withdraw(up_user_store *self, apr_pool_t *p, const char *asset)
{
    const sqlite_users *users = (sqlite_users *)self;
    up_sql_answer answer;

    return users->database->run(users->database, p, users->withdraw, &asset, &answer);
}

/* --- The end of an account ------------------------------------------------------------------- */

/* Rows of the related tables first, then the user's. A picture that is about to be published
 * goes as any other that was announced and belongs to nobody. */
static up_problem *erase(visit *to)
{
    up_sql_answer answer;
    up_problem *problem = up_sqlite_run(&to->sqlite, to->users->unpublish, &to->key, &answer);
    int i;

    for (i = 0; i < to->users->related->nelts && !problem; i++)
        problem = up_sqlite_run(&to->sqlite,
                                APR_ARRAY_IDX(to->users->related, i, const up_sql_statement *),
                                &to->key, &answer);
    return problem ? problem : up_sqlite_run(&to->sqlite, to->users->erase, &to->key, &answer);
}

static up_problem *soft_delete(visit *to)
{
    up_sql_answer answer;

    return up_sqlite_run(&to->sqlite, to->users->soft_delete, &to->key, &answer);
}

/* What the token store and the storage have to be told. */
static up_problem *promise(visit *to, const up_caller *caller, up_farewell *farewell)
{
    up_entries *entries = &farewell->entries;
    const up_entry token = {.jti = caller->jti, .expires = caller->exp};
    const up_entry sessions = {.subject = caller->subject, .user_key = to->key};
    up_problem *problem = NULL;

    if (caller->jti)
        problem = journal(to, "revoke_token", &token, &entries->revoke_token);
    if (!problem)
        problem = journal(to, "revoke_sessions", &sessions, &entries->revoke_sessions);
    if (!problem && farewell->old_url)
        problem = journal(to, "destroy", &(up_entry){.url = farewell->old_url}, &entries->destroy);
    return problem;
}

static up_problem *sqlite_remove(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                                 const up_tags *match, int hard, up_farewell **farewell)
{
    visit to;
    up_farewell *made = apr_pcalloc(p, sizeof(*made));
    up_problem *problem = enter(&to, (sqlite_users *)self, p, caller, match);

    *farewell = NULL;
    if (problem || !to.key)
        return problem ? problem : leave(&to, NULL);
    made->old_url = hard ? to.old_url : NULL;
    problem = hard ? erase(&to) : soft_delete(&to);
    if (!problem)
        problem = promise(&to, caller, made);
    problem = leave(&to, problem);
    if (!problem)
        *farewell = made;
    return problem;
}

static up_problem *sqlite_expired(up_user_store *self, apr_pool_t *p, int skip, int most,
                                  apr_array_header_t **keys)
{
    const sqlite_users *users = (sqlite_users *)self;
    const char *values[] = {apr_itoa(p, skip), apr_itoa(p, most)};
    up_sql_answer answer = {.rows = 0};
    up_problem *problem = users->database->run(users->database, p, users->expired, values, &answer);
    int i;

    *keys = apr_array_make(p, most, sizeof(const char *));
    for (i = 0; i < answer.rows; i++)
        APR_ARRAY_PUSH(*keys, const char *) = answer.values[i];
    return problem;
}

/* Nobody is at its entries in the journal: their lease is over as they are written. */
static up_problem *sqlite_expire(up_user_store *self, apr_pool_t *p, const char *key, int *erased)
{
    const sqlite_users *users = (sqlite_users *)self;
    up_farewell farewell = {.old_url = NULL};
    up_caller caller = {.jti = NULL};
    up_sql_answer answer;
    visit to;
    up_problem *problem = enter(&to, users, p, NULL, NULL);

    *erased = 0;
    if (problem)
        return problem;
    to.lease = "-1";
    problem = up_sqlite_run(&to.sqlite, users->read_expired, &key, &answer);
    if (problem || !answer.rows)
        return leave(&to, problem);
    to.key = up_sql_text_at(&answer, 0);
    farewell.old_url = up_sql_text_at(&answer, 1);
    caller.subject = up_sql_text_at(&answer, 2);
    problem = erase(&to);
    if (!problem)
        problem = promise(&to, &caller, &farewell);
    problem = leave(&to, problem);
    *erased = !problem;
    return problem;
}

static up_problem *sqlite_settle(up_user_store *self, apr_pool_t *p, const up_entries *done)
{
    const sqlite_users *users = (sqlite_users *)self;
    up_sql_values values = {.count = 0};
    up_sql_answer answer;

    if (!up_sql_push_entries(&values, p, done))
        return NULL;
    return users->database->run(users->database, p, users->settle, values.values, &answer);
}

/* --- The store ------------------------------------------------------------------------------- */

static up_problem *sqlite_check(up_user_store *self, apr_pool_t *p)
{
    const sqlite_users *users = (sqlite_users *)self;
    const up_sql_statement *const statements[] = {
        users->read,         users->update,     users->swap,      users->set_avatar,
        users->soft_delete,  users->erase,      users->enter,     users->pending,
        users->take_publish, users->own_upload, users->unpublish, users->doom,
        users->withdraw,     users->settle,     users->expired,   users->read_expired};
    const up_sql_statement *const *related = (const up_sql_statement *const *)users->related->elts;
    up_problem *problem = up_sql_prepare_all(users->database, p, statements,
                                             sizeof(statements) / sizeof(statements[0]));

    if (problem)
        return problem;
    return up_sql_prepare_all(users->database, p, related, (apr_size_t)users->related->nelts);
}

static void prepare_avatar(sqlite_users *users, apr_pool_t *p)
{
    users->swap = up_sqlite_swap(p, users->model);
    users->set_avatar = up_sqlite_set_avatar(p, users->model);
    users->own_upload = up_sqlite_own_upload(p, users->model);
    users->pending = up_sqlite_pending(p, users->model);
    users->take_publish = up_sqlite_take_publish(p, users->model);
    users->doom = up_sql_doom(p, &up_sqlite_dialect, users->model);
    users->withdraw = up_sql_withdraw(p, users->model);
}

static void prepare_deletion(sqlite_users *users, apr_pool_t *p)
{
    const up_model *model = users->model;
    int i;

    if (model->state.deleted)
        users->soft_delete = up_sqlite_soft_delete(p, model);
    users->erase = up_sqlite_erase(p, model);
    users->unpublish = up_sqlite_unpublish(p, model);
    for (i = 0; i < model->related->nelts; i++)
        APR_ARRAY_PUSH(users->related, up_sql_statement *) =
            up_sqlite_related(p, &APR_ARRAY_IDX(model->related, i, up_related));
}

static void prepare_grace(sqlite_users *users, apr_pool_t *p)
{
    users->expired = up_sql_expired(p, &up_sqlite_dialect, users->model);
    users->read_expired = up_sqlite_read_expired(p, users->model);
    users->port.expired = sqlite_expired;
    users->port.expire = sqlite_expire;
}

static void prepare_statements(sqlite_users *users, apr_pool_t *p)
{
    const up_model *model = users->model;

    users->related = apr_array_make(p, 4, sizeof(up_sql_statement *));
    users->read = up_sqlite_read(p, model);
    if (up_sql_count_pairs(model))
        users->update = up_sqlite_update(p, model);
    if (model->avatar)
        prepare_avatar(users, p);
    if (model->deletable)
        prepare_deletion(users, p);
    if (model->grace)
        prepare_grace(users, p);
    if (model->deletable || model->avatar) {
        users->enter = up_sqlite_enter(p, model);
        users->settle = up_sql_settle(p, model);
    }
}

up_user_store *up_sqlite_users_create(apr_pool_t *p, up_dbd_pool *pool, const up_model *model,
                                      const up_journal_settings *settings)
{
    sqlite_users *users = apr_pcalloc(p, sizeof(*users));

    users->port = (up_user_store){.read = sqlite_read,
                                  .update = sqlite_update,
                                  .announce = sqlite_announce,
                                  .swap = sqlite_swap,
                                  .publish = sqlite_publish,
                                  .doom = sqlite_doom,
                                  .withdraw = sqlite_withdraw,
                                  .remove = sqlite_remove,
                                  .check = sqlite_check,
                                  .settle = sqlite_settle};
    users->model = model;
    users->pool = pool;
    users->database = up_sqlite_database_create(p, pool);
    users->owner = settings->owner;
    users->lease = apr_itoa(p, settings->lease);
    prepare_statements(users, p);
    return &users->port;
}
