/* SPDX-License-Identifier: Apache-2.0 */

/** Names and literals of the configuration, quoted for SQL. All in p. */
#ifndef UP_SQL_NAME_H
#define UP_SQL_NAME_H

#include <apr_pools.h>

/** The text between two of the quotes, with the quotes in it doubled: '"' for an
 *  identifier, '\'' for a literal. */
const char *up_sql_quote(apr_pool_t *p, const char *text, char quote);

/** A column's name. */
const char *up_sql_column(apr_pool_t *p, const char *name);

/** A table's name, "name" or "schema.name": each half for itself. */
const char *up_sql_table(apr_pool_t *p, const char *name);

#endif
