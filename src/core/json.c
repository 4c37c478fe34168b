/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"

#include <string.h>

/* Is there a level below UP_JSON_DEPTH? jansson recurses up to 2048 levels, and
 * has no setting for less. Up to the first error of syntax this sees strings and
 * brackets as jansson does, so jansson cannot come deeper than counted here. */
static int is_too_deep(const char *data, apr_size_t len)
{
    int depth = 0, in_string = 0;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (in_string) {
            if (data[i] == '\\')
                i++;
            else if (data[i] == '"')
                in_string = 0;
        } else if (data[i] == '"') {
            in_string = 1;
        } else if (data[i] == '{' || data[i] == '[') {
            if (++depth > UP_JSON_DEPTH)
                return 1;
        } else if (data[i] == '}' || data[i] == ']') {
            depth--;
        }
    }
    return 0;
}

static const char *explain(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return "It has a member twice.";
    case json_error_invalid_utf8:
        return "It is not UTF-8.";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "It has a U+0000.";
    case json_error_numeric_overflow:
        return "It has a number that does not fit 64 bits.";
    default:
        return "It is not JSON.";
    }
}

static apr_status_t release(void *object)
{
    json_decref(object);
    return APR_SUCCESS;
}

const char *up_json_object(json_t **object, const char *data, apr_size_t len, apr_size_t flags,
                           apr_pool_t *p)
{
    json_error_t error;
    json_t *value;

    /* jansson 2.14 skips a NUL byte behind a number or a literal. */
    if (memchr(data, '\0', len))
        return "It has a U+0000.";
    if (is_too_deep(data, len))
        return "It nests deeper than 32 levels.";
    value = json_loadb(data, len, JSON_REJECT_DUPLICATES | flags, &error);
    if (!value)
        return explain(&error);
    apr_pool_cleanup_register(p, value, release, apr_pool_cleanup_null);
    if (!json_is_object(value))
        return "It is JSON but not an object.";
    *object = value;
    return NULL;
}
