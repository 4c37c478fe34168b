/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The statements of a contract for SQLite, made once from the configuration. They
 * are simple ones: SQLite knows neither data-modifying CTEs nor a hash, so that
 * what Postgres does in one statement is here several, between BEGIN IMMEDIATE and
 * COMMIT, with the conditions checked in between.
 */
#ifndef UP_SQLITE_SQL_H
#define UP_SQLITE_SQL_H

#include "adapters/sql_statement.h"

/** The columns of every statement that answers with a user's row; the fields follow
 *  them. What the contract does not have is NULL. */
typedef enum up_sqlite_column {
    UP_SQLITE_KEY,
    UP_SQLITE_DELETED,
    UP_SQLITE_ACTIVE, /* 1 where the contract has no such column */
    UP_SQLITE_SINCE,
    UP_SQLITE_VERSION,
    UP_SQLITE_AVATAR,
    UP_SQLITE_FIELDS
} up_sqlite_column;

/** $1 subject. A user's row. */
up_sql_statement *up_sqlite_read(apr_pool_t *p, const up_model *model);

/** $1 key, $2… pairs. A user's row. */
up_sql_statement *up_sqlite_update(apr_pool_t *p, const up_model *model);

/** As update; takes the avatar away as well. */
up_sql_statement *up_sqlite_swap(apr_pool_t *p, const up_model *model);

/** $1 key, $2 the avatar's URL. A user's row. */
up_sql_statement *up_sqlite_set_avatar(apr_pool_t *p, const up_model *model);

/** $1 key. */
up_sql_statement *up_sqlite_soft_delete(apr_pool_t *p, const up_model *model);

/** $1 key. */
up_sql_statement *up_sqlite_erase(apr_pool_t *p, const up_model *model);

/** $1 key. Columns: key, avatar, subject, where the account's grace period is over. */
up_sql_statement *up_sqlite_read_expired(apr_pool_t *p, const up_model *model);

/** $1 key: deletes or anonymises the rows of a related table. */
up_sql_statement *up_sqlite_related(apr_pool_t *p, const up_related *related);

/** $1 effect, $2 user_key, $3 subject, $4 asset, $5 url, $6 jti, $7 expires, $8 owner,
 *  $9 lease in seconds. Takes the place of the user's publish entry, where it is one.
 *  Column: the entry. */
up_sql_statement *up_sqlite_enter(apr_pool_t *p, const up_model *model);

/** $1 asset, $2 owner. A row where the upload entry is still its writer's own. */
up_sql_statement *up_sqlite_own_upload(apr_pool_t *p, const up_model *model);

/** $1 key. A row where a picture of the user is to be published. */
up_sql_statement *up_sqlite_pending(apr_pool_t *p, const up_model *model);

/** $1 key, $2 asset: strikes the publish entry, if it is this asset's and the user is
 *  there. Column: its URL. */
up_sql_statement *up_sqlite_take_publish(apr_pool_t *p, const up_model *model);

/** $1 key: strikes the publish entry, whatever it is. */
up_sql_statement *up_sqlite_unpublish(apr_pool_t *p, const up_model *model);

#endif
