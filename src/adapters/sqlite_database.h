/* SPDX-License-Identifier: Apache-2.0 */

/** SQLite, as rooms need it that run single statements on any database. */
#ifndef UP_SQLITE_DATABASE_H
#define UP_SQLITE_DATABASE_H

#include "adapters/dbd_pool.h"
#include "adapters/sql_statement.h"

/** SQLite's SQL. In a users' table a time is text, RFC 3339 in UTC, and a boolean is 1
 *  or 0; in the journal a time is a whole number, seconds since 1970. */
extern const up_sql_dialect up_sqlite_dialect;

/** The pool must live as long as p, the child's pool. @return never NULL. */
up_sql_database *up_sqlite_database_create(apr_pool_t *p, up_dbd_pool *pool);

#endif
