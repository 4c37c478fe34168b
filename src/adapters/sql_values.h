/* SPDX-License-Identifier: Apache-2.0 */

/** What a statement is given: its parameters, pushed one after the other. */
#ifndef UP_SQL_VALUES_H
#define UP_SQL_VALUES_H

#include "adapters/sql_statement.h"
#include "core/patch.h"
#include "ports/user_store.h"

typedef struct up_sql_values {
    const char *values[UP_SQL_PARAMETERS_MAX];
    int count;
} up_sql_values;

void up_sql_push(up_sql_values *values, const char *value);

/** A whole number, as text in p. */
void up_sql_push_number(up_sql_values *values, apr_pool_t *p, apr_int64_t number);

/** The pairs that up_sql_assignments() takes. */
void up_sql_push_patch(up_sql_values *values, const up_patch *patch);

/** The four that up_sql_settle() takes. @return how many are not NULL. */
int up_sql_push_entries(up_sql_values *values, apr_pool_t *p, const up_entries *done);

/** What the state of a row that was found means. Deleted goes before deactivated: a
 *  soft deletion is both. */
up_account up_sql_account(int newer_than_token, int gone, int inactive);

#endif
