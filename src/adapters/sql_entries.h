/* SPDX-License-Identifier: Apache-2.0 */

/** The statements that are about the journal alone, in the SQL of either database. */
#ifndef UP_SQL_ENTRIES_H
#define UP_SQL_ENTRIES_H

#include "adapters/sql_statement.h"

/** $1 asset: strikes its upload entry. */
up_sql_statement *up_sql_withdraw(apr_pool_t *p, const up_model *model);

/** $1 asset, $2 owner, $3 lease in seconds. A row where it is doomed. */
up_sql_statement *up_sql_doom(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model);

/** $1 to $4: entries, or NULL. */
up_sql_statement *up_sql_settle(apr_pool_t *p, const up_model *model);

/** $1 what the owners' names begin with. Column: the owners of entries under lease. */
up_sql_statement *up_sql_owners(apr_pool_t *p, const up_sql_dialect *dialect,
                                const up_model *model);

/** $1 owner, $2 lease, $3 a JSON array of dead owners. Columns: id, effect, user_key,
 *  subject, asset, url, jti, expires, attempts, age, superseded (1 or 0). */
up_sql_statement *up_sql_claim(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model);

/** $1 id, $2 owner, $3 attempts, $4 seconds. */
up_sql_statement *up_sql_postpone(apr_pool_t *p, const up_sql_dialect *dialect,
                                  const up_model *model);

/** $1 id, $2 owner, $3 attempts. */
up_sql_statement *up_sql_strike(apr_pool_t *p, const up_model *model);

#endif
