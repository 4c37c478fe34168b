/* SPDX-License-Identifier: Apache-2.0 */

/** Postgres, as rooms need it that run single statements on any database. */
#ifndef UP_PG_DATABASE_H
#define UP_PG_DATABASE_H

#include "adapters/dbd_pool.h"
#include "adapters/sql_statement.h"

/** Postgres' SQL. */
extern const up_sql_dialect up_pg_dialect;

/** The pool must live as long as p, the child's pool. @return never NULL. */
up_sql_database *up_pg_database_create(apr_pool_t *p, up_dbd_pool *pool);

#endif
