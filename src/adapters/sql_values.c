/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sql_values.h"

#include <apr_strings.h>

void up_sql_push(up_sql_values *values, const char *value)
{
    values->values[values->count++] = value;
}

void up_sql_push_number(up_sql_values *values, apr_pool_t *p, apr_int64_t number)
{
    up_sql_push(values, apr_psprintf(p, "%" APR_INT64_T_FMT, number));
}

void up_sql_push_patch(up_sql_values *values, const up_patch *patch)
{
    int i;

    for (i = 0; i < patch->model->fields->nelts; i++) {
        if (!up_model_field(patch->model, i)->writable)
            continue;
        up_sql_push(values, patch->given[i] ? "1" : "0");
        up_sql_push(values, patch->values[i]);
    }
}

int up_sql_push_entries(up_sql_values *values, apr_pool_t *p, const up_entries *done)
{
    const apr_int64_t entries[] = {done->publish, done->destroy, done->revoke_token,
                                   done->revoke_sessions};
    int count = 0;
    size_t i;

    for (i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        if (entries[i]) {
            up_sql_push_number(values, p, entries[i]);
            count++;
        } else {
            up_sql_push(values, NULL);
        }
    }
    return count;
}

up_account up_sql_account(int newer_than_token, int gone, int inactive)
{
    if (newer_than_token)
        return UP_ACCOUNT_NEWER_THAN_TOKEN;
    if (gone)
        return UP_ACCOUNT_GONE;
    return inactive ? UP_ACCOUNT_INACTIVE : UP_ACCOUNT_ACTIVE;
}
