/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sql_name.h"

#include <apr_strings.h>
#include <string.h>

const char *up_sql_quote(apr_pool_t *p, const char *text, char quote)
{
    char *quoted = apr_palloc(p, 2 * strlen(text) + 3), *to = quoted;

    *to++ = quote;
    for (; *text; text++) {
        if (*text == quote)
            *to++ = quote;
        *to++ = *text;
    }
    *to++ = quote;
    *to = '\0';
    return quoted;
}

const char *up_sql_column(apr_pool_t *p, const char *name)
{
    return up_sql_quote(p, name, '"');
}

const char *up_sql_table(apr_pool_t *p, const char *name)
{
    const char *dot = strchr(name, '.');

    if (!dot)
        return up_sql_column(p, name);
    return apr_pstrcat(p, up_sql_column(p, apr_pstrmemdup(p, name, (apr_size_t)(dot - name))), ".",
                       up_sql_column(p, dot + 1), NULL);
}
