/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/pg_users.h"

#include "adapters/pg_database.h"
#include "adapters/pg_sql.h"
#include "adapters/pg_statement.h"
#include "adapters/sql_entries.h"
#include "adapters/sql_text.h"
#include "adapters/sql_values.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

typedef struct pg_users {
    up_user_store port;
    const up_model *model;
    up_dbd_pool *pool;
    const char *owner, *lease;
    up_sql_statement *read, *update, *announce, *swap, *publish, *lock_upload, *doom, *withdraw,
        *lock, *soft_delete, *erase, *settle, *expired, *lock_expired, *expire;
} pg_users;

/* As a Postgres array. Only what can be a tag of ours is passed on: any other
 * matches nothing. */
static const char *tag_array(apr_pool_t *p, const up_tags *tags)
{
    const char *text = "{";
    int i;

    if (!tags || tags->any)
        return NULL;
    for (i = 0; i < tags->list->nelts; i++) {
        const up_tag *tag = &APR_ARRAY_IDX(tags->list, i, up_tag);

        if (tag->weak || !*tag->value || strlen(tag->value) > UP_ETAG_LENGTH ||
            tag->value[strspn(tag->value, "0123456789abcdef-")])
            continue;
        text = apr_pstrcat(p, text, text[1] ? "," : "", tag->value, NULL);
    }
    return apr_pstrcat(p, text, "}", NULL);
}

static void push_account(up_sql_values *params, apr_pool_t *p, const up_caller *caller,
                         const up_tags *match)
{
    up_sql_push(params, caller->subject);
    up_sql_push(params, tag_array(p, match));
    up_sql_push(params, caller->iat < 0 ? NULL : apr_ltoa(p, (long)caller->iat));
}

/* The values stay in the result, which lives in the request's pool. */
static const up_row *row_from(apr_pool_t *p, const up_model *model, const PGresult *result,
                              int column)
{
    up_row *row = apr_palloc(p, sizeof(*row));
    const char **values = apr_palloc(p, model->fields->nelts * sizeof(*values));
    int i;

    for (i = 0; i < model->fields->nelts; i++)
        values[i] = up_pg_text_at(result, column + i);
    row->values = values;
    row->version = up_pg_text_at(result, column + i);
    return row;
}

static int is_true(const PGresult *result, int column)
{
    return *PQgetvalue(result, 0, column) == 't';
}

static up_account account_from(const PGresult *result)
{
    if (PQntuples(result) == 0)
        return UP_ACCOUNT_MISSING;
    return up_sql_account(is_true(result, 2), is_true(result, 0), is_true(result, 1));
}

static up_problem *pg_read(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                           up_account *account, const up_row **row)
{
    pg_users *users = (pg_users *)self;
    up_sql_values params = {.count = 0};
    PGresult *result;
    up_problem *problem;

    push_account(&params, p, caller, NULL);
    problem = up_pg_run(users->pool, p, NULL, users->read, params.values, &result);
    if (problem)
        return problem;
    *account = account_from(result);
    *row = *account == UP_ACCOUNT_ACTIVE ? row_from(p, users->model, result, 3) : NULL;
    return NULL;
}

static up_problem *pg_update(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                             const up_patch *patch, const up_tags *match, const up_row **row)
{
    pg_users *users = (pg_users *)self;
    up_sql_values params = {.count = 0};
    PGresult *result;
    up_problem *problem;

    push_account(&params, p, caller, match);
    up_sql_push_patch(&params, patch);
    problem = up_pg_run(users->pool, p, NULL, users->update, params.values, &result);
    if (!problem)
        *row = PQntuples(result) ? row_from(p, users->model, result, 0) : NULL;
    return problem;
}

static up_problem *pg_announce(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                               const up_tags *match, const char *asset, int *announced)
{
    pg_users *users = (pg_users *)self;
    up_sql_values params = {.count = 0};
    PGresult *result;
    up_problem *problem;

    push_account(&params, p, caller, match);
    up_sql_push(&params, asset);
    up_sql_push(&params, users->owner);
    up_sql_push(&params, users->lease);
    problem = up_pg_run(users->pool, p, NULL, users->announce, params.values, &result);
    if (!problem)
        *announced = PQntuples(result) > 0;
    return problem;
}

static up_problem *pg_swap(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                           const up_patch *patch, const up_tags *match, const char *asset,
                           const char *url, up_swap **swap)
{
    pg_users *users = (pg_users *)self;
    up_sql_values params = {.count = 0};
    PGresult *result;
    up_problem *problem;

    push_account(&params, p, caller, match);
    up_sql_push(&params, asset);
    up_sql_push(&params, url);
    up_sql_push(&params, users->owner);
    up_sql_push(&params, users->lease);
    up_sql_push_patch(&params, patch);
    *swap = NULL;
    problem = up_pg_run(users->pool, p, NULL, users->swap, params.values, &result);
    if (problem || PQntuples(result) == 0)
        return problem;
    *swap = apr_pcalloc(p, sizeof(**swap));
    (*swap)->asset = asset;
    (*swap)->key = up_pg_text_at(result, 0);
    (*swap)->old_url = up_pg_text_at(result, 1);
    (*swap)->entries.publish = up_pg_number_at(result, 2);
    (*swap)->entries.destroy = up_pg_number_at(result, 3);
    return NULL;
}

static up_problem *pg_publish(up_user_store *self, apr_pool_t *p, const up_swap *swap,
                              int old_destroyed, const up_row **row)
{
    pg_users *users = (pg_users *)self;
    up_sql_values params = {.count = 0};
    PGresult *result;
    up_problem *problem;

    up_sql_push(&params, swap->key);
    up_sql_push(&params, swap->asset);
    up_sql_push(&params, old_destroyed && swap->entries.destroy
                             ? apr_psprintf(p, "%" APR_INT64_T_FMT, swap->entries.destroy)
                             : NULL);
    problem = up_pg_run(users->pool, p, NULL, users->publish, params.values, &result);
    if (!problem)
        *row = PQntuples(result) ? row_from(p, users->model, result, 0) : NULL;
    return problem;
}

static up_problem *pg_doom(up_user_store *self, apr_pool_t *p, const char *asset, int *doomed)
{
    pg_users *users = (pg_users *)self;
    up_sql_values params = {.count = 0};
    PGresult *result;
    up_problem *problem;

    up_sql_push(&params, asset);
    up_sql_push(&params, users->owner);
    up_sql_push(&params, users->lease);
    problem = up_pg_run(users->pool, p, users->lock_upload, users->doom, params.values, &result);
    if (!problem)
        *doomed = PQntuples(result) > 0;
    return problem;
}

static up_problem *pg_withdraw(up_user_store *self, apr_pool_t *p, const char *asset)
{
    pg_users *users = (pg_users *)self;
    up_sql_values params = {.count = 0};
    PGresult *result;

    up_sql_push(&params, asset);
    return up_pg_run(users->pool, p, NULL, users->withdraw, params.values, &result);
}

static up_problem *pg_remove(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                             const up_tags *match, int hard, up_farewell **farewell)
{
    pg_users *users = (pg_users *)self;
    up_sql_values params = {.count = 0};
    PGresult *result;
    up_problem *problem;

    push_account(&params, p, caller, match);
    up_sql_push(&params, caller->subject);
    up_sql_push(&params, caller->jti);
    up_sql_push(&params, apr_psprintf(p, "%" APR_INT64_T_FMT, caller->exp));
    up_sql_push(&params, users->owner);
    up_sql_push(&params, users->lease);
    *farewell = NULL;
    problem = up_pg_run(users->pool, p, hard ? users->lock : NULL,
                        hard ? users->erase : users->soft_delete, params.values, &result);
    if (problem || PQntuples(result) == 0)
        return problem;
    *farewell = apr_pcalloc(p, sizeof(**farewell));
    (*farewell)->old_url = up_pg_text_at(result, 0);
    (*farewell)->entries.destroy = up_pg_number_at(result, 1);
    (*farewell)->entries.revoke_token = up_pg_number_at(result, 2);
    (*farewell)->entries.revoke_sessions = up_pg_number_at(result, 3);
    return NULL;
}

static up_problem *pg_settle(up_user_store *self, apr_pool_t *p, const up_entries *done)
{
    pg_users *users = (pg_users *)self;
    up_sql_values params = {.count = 0};
    PGresult *result;

    if (!up_sql_push_entries(&params, p, done))
        return NULL;
    return up_pg_run(users->pool, p, NULL, users->settle, params.values, &result);
}

static up_problem *pg_expired(up_user_store *self, apr_pool_t *p, int skip, int most,
                              apr_array_header_t **keys)
{
    pg_users *users = (pg_users *)self;
    const char *values[] = {apr_itoa(p, skip), apr_itoa(p, most)};
    PGresult *result;
    up_problem *problem = up_pg_run(users->pool, p, NULL, users->expired, values, &result);
    int i;

    *keys = apr_array_make(p, most, sizeof(const char *));
    for (i = 0; !problem && i < PQntuples(result); i++)
        APR_ARRAY_PUSH(*keys, const char *) = PQgetvalue(result, i, 0);
    return problem;
}

static up_problem *pg_expire(up_user_store *self, apr_pool_t *p, const char *key, int *erased)
{
    pg_users *users = (pg_users *)self;
    const char *values[] = {key, users->owner};
    PGresult *result;
    up_problem *problem =
        up_pg_run(users->pool, p, users->lock_expired, users->expire, values, &result);

    *erased = !problem && PQntuples(result) > 0;
    return problem;
}

static up_problem *pg_check(up_user_store *self, apr_pool_t *p)
{
    pg_users *users = (pg_users *)self;
    const up_sql_statement *const statements[] = {
        users->read,        users->update, users->announce, users->swap,         users->publish,
        users->lock_upload, users->doom,   users->withdraw, users->lock,         users->soft_delete,
        users->erase,       users->settle, users->expired,  users->lock_expired, users->expire};
    up_problem *problem = NULL;
    size_t i;

    for (i = 0; i < sizeof(statements) / sizeof(statements[0]) && !problem; i++) {
        if (statements[i])
            problem = up_pg_prepare(users->pool, p, statements[i]);
    }
    return problem;
}

static void prepare_avatar(pg_users *users, apr_pool_t *p, int pairs)
{
    const up_model *model = users->model;

    users->announce = up_sql_statement_create(p, "announce an upload in the journal",
                                              up_pg_sql_announce(p, model), 6);
    users->swap =
        up_sql_statement_create(p, "swap the avatar", up_pg_sql_swap(p, model), 7 + pairs);
    users->swap->from_client = 1;
    users->publish = up_sql_statement_create(p, "set the avatar", up_pg_sql_publish(p, model), 3);
    users->lock_upload = up_sql_statement_create(p, "lock an upload in the journal",
                                                 up_pg_sql_lock_upload(p, model), 1);
    users->doom = up_sql_doom(p, &up_pg_dialect, model);
    users->withdraw = up_sql_withdraw(p, model);
}

static void prepare_deletion(pg_users *users, apr_pool_t *p)
{
    const up_model *model = users->model;

    if (model->state.deleted)
        users->soft_delete =
            up_sql_statement_create(p, "soft-delete a user", up_pg_sql_soft_delete(p, model), 8);
    users->lock = up_sql_statement_create(p, "lock a user", up_pg_sql_lock(p, model),
                                          UP_PG_ACCOUNT_PARAMETERS);
    users->erase = up_sql_statement_create(p, "erase a user", up_pg_sql_erase(p, model), 8);
}

static void prepare_grace(pg_users *users, apr_pool_t *p)
{
    const up_model *model = users->model;

    users->expired = up_sql_expired(p, &up_pg_dialect, model);
    users->lock_expired =
        up_sql_statement_create(p, "lock a deleted user", up_pg_sql_lock_expired(p, model), 1);
    users->expire =
        up_sql_statement_create(p, "erase a deleted user", up_pg_sql_expire(p, model), 2);
    users->port.expired = pg_expired;
    users->port.expire = pg_expire;
}

static void prepare_statements(pg_users *users, apr_pool_t *p)
{
    const up_model *model = users->model;
    int pairs = up_sql_count_pairs(model);

    users->read = up_sql_statement_create(p, "read a user", up_pg_sql_read(p, model),
                                          UP_PG_ACCOUNT_PARAMETERS);
    users->read->repeatable = 1;
    if (pairs) {
        users->update = up_sql_statement_create(p, "update a user", up_pg_sql_update(p, model),
                                                UP_PG_ACCOUNT_PARAMETERS + pairs);
        users->update->from_client = 1;
    }
    if (model->avatar)
        prepare_avatar(users, p, pairs);
    if (model->deletable)
        prepare_deletion(users, p);
    if (model->grace)
        prepare_grace(users, p);
    if (model->deletable || model->avatar)
        users->settle = up_sql_settle(p, model);
}

up_user_store *up_pg_users_create(apr_pool_t *p, up_dbd_pool *pool, const up_model *model,
                                  const up_journal_settings *settings)
{
    pg_users *users = apr_pcalloc(p, sizeof(*users));

    users->port = (up_user_store){.read = pg_read,
                                  .update = pg_update,
                                  .announce = pg_announce,
                                  .swap = pg_swap,
                                  .publish = pg_publish,
                                  .doom = pg_doom,
                                  .withdraw = pg_withdraw,
                                  .remove = pg_remove,
                                  .check = pg_check,
                                  .settle = pg_settle};
    users->model = model;
    users->owner = settings->owner;
    users->lease = apr_itoa(p, settings->lease);
    users->pool = pool;
    prepare_statements(users, p);
    return &users->port;
}
