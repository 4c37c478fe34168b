/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Pieces of SQL that say the same to every database: made once from the
 * configuration, all in p. Identifiers come from there and are quoted, values come
 * as parameters only.
 */
#ifndef UP_SQL_TEXT_H
#define UP_SQL_TEXT_H

#include "adapters/sql_statement.h"
#include "core/model.h"

/** A list of texts, such as the columns of a SELECT. */
apr_array_header_t *up_sql_parts(apr_pool_t *p);
void up_sql_add(apr_array_header_t *parts, const char *text);
const char *up_sql_join(apr_pool_t *p, const apr_array_header_t *parts, const char *separator);

/** The contract's name in the journal, as a literal: its users' table. */
const char *up_sql_contract(apr_pool_t *p, const up_model *model);

/** The contract's conditions, to be put behind another one: each begins with " AND ". */
const char *up_sql_conditions(apr_pool_t *p, const up_model *model);

/** "WHERE" of the subject $1, where the contract's conditions hold. */
const char *up_sql_subject(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model);

/** "SET" of the writable fields: a pair of parameters for each, from number next: is it
 *  given, and its value. What is not given stays as it is.
 *  @param alias what stands before a column of the table, e.g. "t." or "". */
void up_sql_assignments(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model,
                        const char *alias, int next, apr_array_header_t *parts);

/** How many parameters up_sql_assignments() takes. */
int up_sql_count_pairs(const up_model *model);

/** "SET" of what every write changes: the time and the version. */
void up_sql_touch(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model,
                  apr_array_header_t *parts);

/** "SET" of what a soft deletion changes. */
void up_sql_mark_deleted(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model,
                         apr_array_header_t *parts);

/** "WHERE" of who has been soft-deleted for longer than the grace period. */
const char *up_sql_is_expired(apr_pool_t *p, const up_sql_dialect *dialect, const up_model *model);

/** $1 how many are skipped, $2 how many at most. Column: their keys, the oldest first. */
up_sql_statement *up_sql_expired(apr_pool_t *p, const up_sql_dialect *dialect,
                                 const up_model *model);

/** "SET" of the constants that a related row is anonymised with. */
const char *up_sql_blanked(apr_pool_t *p, const up_related *related);

#endif
