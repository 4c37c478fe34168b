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
#include "core/problem.h"

#include <libpq-fe.h>

/** The most parameters of a statement. */
#define UP_PG_PARAMETERS_MAX 160

/** SQL that is prepared on each connection as it is first needed. Lives in the child's pool. */
typedef struct up_pg_statement {
    const char *what; /* what it does, in a few words, for the log */
    const char *name; /* a function of the SQL, so that two contracts may share a connection */
    const char *sql;
    int parameters;
    int from_client; /* it writes a client's values: that one is not taken is the client's error */
} up_pg_statement;

/** Makes a statement in p. */
up_pg_statement *up_pg_statement_create(apr_pool_t *p, const char *what, const char *sql,
                                        int parameters);

/**
 * Runs statements in one transaction and one round trip.
 * @param first run before statement, or NULL; same parameters.
 * @param values as many as each statement has parameters, in text; NULL is NULL.
 * @param result that of statement, in p: PGRES_TUPLES_OK.
 * @return NULL; SERVICE_UNAVAILABLE where the database cannot be reached, takes
 *         longer than the deadline or can't write; INTERNAL_ERROR for what an
 *         error in the configuration or a limit of a column causes.
 */
up_problem *up_pg_run(up_dbd_pool *pool, apr_pool_t *p, const up_pg_statement *first,
                      const up_pg_statement *statement, const char *const *values,
                      PGresult **result);

/** The text at a column of the result's first row, or NULL for SQL NULL; it lives as
 *  long as the result. */
const char *up_pg_text_at(const PGresult *result, int column);

/** The whole number there, 0 for SQL NULL. */
apr_int64_t up_pg_number_at(const PGresult *result, int column);

/** Prepares a statement without running it, to see whether the database knows
 *  all that it names. @return as up_pg_run(). */
up_problem *up_pg_prepare(up_dbd_pool *pool, apr_pool_t *p, const up_pg_statement *statement);

#endif
