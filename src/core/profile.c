/* SPDX-License-Identifier: Apache-2.0 */
#include "core/profile.h"

#include "core/json_write.h"
#include "core/sha256.h"

#include <apr_escape.h>
#include <apr_strings.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* "…:00.120000Z" becomes "…:00.12Z", "…:00.000000Z" becomes "…:00Z". */
static const char *timestamp(apr_pool_t *p, const char *text)
{
    char *copy = apr_pstrdup(p, text);
    char *dot = strchr(copy, '.');
    char *end;

    if (dot && copy[strlen(copy) - 1] == 'Z') {
        for (end = copy + strlen(copy) - 1; end[-1] == '0'; end--)
            ;
        if (end - 1 == dot)
            end = dot;
        end[0] = 'Z';
        end[1] = '\0';
    }
    return copy;
}

/* What jansson has no place for, a number above 64 bits, is JSON nonetheless. */
static int is_json(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    int good = value || json_error_code(&error) == json_error_numeric_overflow;

    json_decref(value);
    return good;
}

/* A column of JSON as it is, but for blanks: jansson would write other numbers, such
 * as 0.10000000000000001 for 0.1. */
static const char *compact(apr_pool_t *p, const char *text)
{
    char *copy = apr_palloc(p, strlen(text) + 1), *to = copy;
    int in_string = 0;

    if (!is_json(text))
        return NULL;
    for (; *text; text++) {
        if (!in_string && strchr(" \t\r\n", *text))
            continue;
        *to++ = *text;
        if (in_string && *text == '\\')
            *to++ = *++text;
        else if (*text == '"')
            in_string = !in_string;
    }
    *to = '\0';
    return copy;
}

/* What is written for a column: a JSON string where quoted, else as it is. NULL: no JSON. */
typedef struct written {
    const char *text;
    int quoted;
} written;

static written value_of(apr_pool_t *p, up_type type, const char *value)
{
    if (!value)
        return (written){"null", 0};
    switch (type) {
    case UP_JSON:
        return (written){compact(p, value), 0};
    case UP_BOOLEAN:
        return (written){strcmp(value, "true") == 0 ? "true" : "false", 0};
    case UP_INTEGER:
        return (written){apr_ltoa(p, strtol(value, NULL, 10)), 0};
    case UP_TIMESTAMP:
    case UP_EPOCH_MS:
        return (written){timestamp(p, value), 1};
    default:
        return (written){value, 1};
    }
}

static char *put_text(char *to, const char *text)
{
    apr_size_t len = strlen(text);

    memcpy(to, text, len);
    return to + len;
}

/* NULL where it is not UTF-8. */
static char *put(char *to, const written *value)
{
    return value->quoted ? up_json_put_string(to, value->text) : put_text(to, value->text);
}

/* With a name, a colon and a comma, or what is at the end. */
static apr_size_t size_of(const up_field *field, const written *value)
{
    return up_json_string_size(field->name) + 2 +
           (value->quoted ? up_json_string_size(value->text) : strlen(value->text));
}

const char *up_profile_json(apr_pool_t *p, const up_model *model, const up_row *row)
{
    int count = model->fields->nelts, i;
    written *values = apr_palloc(p, count * sizeof(*values));
    apr_size_t size = sizeof("{}");
    char *json, *to;

    for (i = 0; i < count; i++) {
        const up_field *field = up_model_field(model, i);

        values[i] = value_of(p, field->type, row->values[i]);
        if (!values[i].text)
            return NULL;
        size += size_of(field, &values[i]);
    }
    json = to = apr_palloc(p, size);
    for (i = 0; i < count && to; i++) {
        *to++ = i ? ',' : '{';
        to = up_json_put_string(to, up_model_field(model, i)->name);
        if (to) {
            *to++ = ':';
            to = put(to, &values[i]);
        }
    }
    if (!to)
        return NULL;
    memcpy(count ? to : put_text(to, "{"), "}", sizeof("}"));
    return json;
}

/* How much digest_input() writes at most. */
static apr_size_t digest_room(const up_model *model, const up_row *row)
{
    apr_size_t room = 0;
    int i;

    for (i = 0; i < model->fields->nelts; i++)
        room += row->values[i] ? strlen(row->values[i]) + 24 : 1;
    return room;
}

static char *digest_input(apr_pool_t *p, char *to, const char *value)
{
    if (!value)
        return put_text(to, "-");
    to = put_text(to, apr_ltoa(p, (long)strlen(value)));
    *to++ = ':';
    return put_text(to, value);
}

static const char *digest(apr_pool_t *p, const up_model *model, const up_row *row)
{
    char *input = apr_palloc(p, digest_room(model, row)), *end = input;
    unsigned char sum[UP_SHA256_SIZE];
    int i;

    for (i = 0; i < model->fields->nelts; i++)
        end = digest_input(p, end, row->values[i]);
    return up_sha256(sum, input, (apr_size_t)(end - input))
               ? apr_pescape_hex(p, sum, UP_ETAG_LENGTH / 2, 0)
               : NULL;
}

/* Bytes of the key's digest that stand in a tag. */
#define KEY_DIGEST 6

const char *up_profile_version(apr_pool_t *p, const char *key, apr_int64_t version)
{
    unsigned char sum[UP_SHA256_SIZE];

    if (!up_sha256(sum, key, strlen(key)))
        return NULL;
    return apr_psprintf(p, "%s-%" APR_INT64_T_FMT, apr_pescape_hex(p, sum, KEY_DIGEST, 0), version);
}

const char *up_profile_etag(apr_pool_t *p, const up_model *model, const up_row *row)
{
    return row->version ? row->version : digest(p, model, row);
}
