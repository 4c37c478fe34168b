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

/** "SET" of the constants that a related row is anonymised with. */
const char *up_sql_blanked(apr_pool_t *p, const up_related *related);

#endif
