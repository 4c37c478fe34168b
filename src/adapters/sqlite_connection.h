/* SPDX-License-Identifier: Apache-2.0 */

/**
 * SQLite, by its own functions on connections of mod_dbd's. apr_dbd's would hold
 * one lock of the whole process while a statement waits for another process, and
 * sleep for a tenth of a second each time that the database is busy.
 *
 * The session needs nothing of the sysadmin: the write-ahead log, foreign keys and
 * the whole of durability are set when a connection is first used. One writer at a time is
 * SQLite's nature: who wants to write waits for the others, until the deadline.
 */
#ifndef UP_SQLITE_CONNECTION_H
#define UP_SQLITE_CONNECTION_H

#include "adapters/dbd_pool.h"
#include "adapters/sql_statement.h"

#include <sqlite3.h>

/** A connection, borrowed for one call of a port: on the caller's stack. */
typedef struct up_sqlite {
    up_dbd_pool *pool;
    up_dbd_connection *connection;
    sqlite3 *handle;
    apr_pool_t *p;  /* the request's */
    apr_time_t end; /* the deadline of all that is done with it */
} up_sqlite;

/** Borrows a connection. @return NULL, or SERVICE_UNAVAILABLE: nothing is borrowed then. */
up_problem *up_sqlite_borrow(up_sqlite *sqlite, up_dbd_pool *pool, apr_pool_t *p);

/** Borrows a connection and begins to write: what is read from now on stays as it is
 *  until the connection is given back. @return as up_sqlite_borrow(). */
up_problem *up_sqlite_borrow_to_write(up_sqlite *sqlite, up_dbd_pool *pool, apr_pool_t *p);

/**
 * Gives it back: what was written since is committed where there is no problem, and
 * undone where there is one.
 * @return the problem, or why the commit failed.
 */
up_problem *up_sqlite_return(up_sqlite *sqlite, up_problem *problem);

/** Prepares a statement, where this connection has not yet. */
up_problem *up_sqlite_prepare(up_sqlite *sqlite, const up_sql_statement *statement);

/**
 * Runs a statement to its end.
 * @param values as many as it has parameters; NULL is NULL.
 * @param answer in the pool that the connection was borrowed with.
 * @return NULL; SERVICE_UNAVAILABLE where the database is busy beyond the deadline,
 *         can't be written or read; VALIDATION_ERROR where a client's values do not
 *         fit; INTERNAL_ERROR for what the configuration causes.
 */
up_problem *up_sqlite_run(up_sqlite *sqlite, const up_sql_statement *statement,
                          const char *const *values, up_sql_answer *answer);

#endif
