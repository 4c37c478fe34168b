/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The SQL of a contract for Postgres, made once from the configuration:
 * identifiers come from there and are quoted, values come as parameters only.
 *
 * Parameters of every statement about an account, in this order:
 *   $1 subject   $2 array of entity tags, or NULL for no precondition
 *   $3 iat, seconds since 1970 (or NULL)
 * then those that each function names.
 */
#ifndef UP_PG_SQL_H
#define UP_PG_SQL_H

#include "core/model.h"

/** The parameters that all account statements begin with. */
#define UP_PG_ACCOUNT_PARAMETERS 3

/** Columns: deleted, inactive, newer (each 't' or 'f'), then the fields. */
const char *up_pg_sql_read(apr_pool_t *p, const up_model *model);

/** $4… a pair for each writable field: given, value. Columns: the fields. */
const char *up_pg_sql_update(apr_pool_t *p, const up_model *model);

/** $4 asset, $5 owner, $6 lease in seconds. A row where it was announced. */
const char *up_pg_sql_announce(apr_pool_t *p, const up_model *model);

/** $4 asset, $5 url, $6 owner, $7 lease, $8… pairs as in update. Columns: key, old URL,
 *  the entries publish and destroy. */
const char *up_pg_sql_swap(apr_pool_t *p, const up_model *model);

/** $1 key, $2 asset, $3 entry of the old asset to strike (or NULL). Columns: the fields. */
const char *up_pg_sql_publish(apr_pool_t *p, const up_model *model);

/** $1 asset: locks its upload entry, so that the next statement sees what is. */
const char *up_pg_sql_lock_upload(apr_pool_t *p, const up_model *model);

/** Locks the account's row, so that the next statement of the transaction sees all
 *  that belongs to it. The first parameters only. */
const char *up_pg_sql_lock(apr_pool_t *p, const up_model *model);

/** $4 subject again, $5 jti (or NULL), $6 seconds since 1970 until which the jti is
 *  blacklisted, $7 owner, $8 lease. Columns: old URL, the entries destroy,
 *  revoke_token, revoke_sessions. */
const char *up_pg_sql_soft_delete(apr_pool_t *p, const up_model *model);

/** As soft delete. */
const char *up_pg_sql_erase(apr_pool_t *p, const up_model *model);

/** $1 key: locks the row, where nobody else does and its grace period is over. */
const char *up_pg_sql_lock_expired(apr_pool_t *p, const up_model *model);

/** $1 key, $2 owner. A row where it is erased. */
const char *up_pg_sql_expire(apr_pool_t *p, const up_model *model);

#endif
