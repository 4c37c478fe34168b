/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Prepared statements on Postgres, by libpq on connections of mod_dbd's, with
 * what apr_dbd does not give: a deadline, the SQLSTATE, and statements that are
 * prepared again when a connection had to be made anew.
 *
 * The session needs nothing of the sysadmin: statement_timeout, the client encoding
 * and the time zone (UTC, as which a column without one is read) are set when a
 * connection is first used.
 */
#ifndef UP_PG_STATEMENT_H
#define UP_PG_STATEMENT_H

#include "adapters/dbd_pool.h"
#include "adapters/sql_statement.h"
#include "core/problem.h"

#include <libpq-fe.h>

/**
 * Runs statements in one transaction and one round trip.
 * @param first run before statement, or NULL; same parameters.
 * @param values as many as each statement has parameters, in text; NULL is NULL.
 * @param result that of statement, in p: PGRES_TUPLES_OK.
 * @return NULL; SERVICE_UNAVAILABLE where the database cannot be reached, takes
 *         longer than the deadline or can't write; INTERNAL_ERROR for what an
 *         error in the configuration or a limit of a column causes.
 */
up_problem *up_pg_run(up_dbd_pool *pool, apr_pool_t *p, const up_sql_statement *first,
                      const up_sql_statement *statement, const char *const *values,
                      PGresult **result);

/** The text at a column of the result's first row, or NULL for SQL NULL; it lives as
 *  long as the result. */
const char *up_pg_text_at(const PGresult *result, int column);

/** The whole number there, 0 for SQL NULL. */
apr_int64_t up_pg_number_at(const PGresult *result, int column);

/** Prepares a statement without running it, to see whether the database knows
 *  all that it names. @return as up_pg_run(). */
up_problem *up_pg_prepare(up_dbd_pool *pool, apr_pool_t *p, const up_sql_statement *statement);

#endif
