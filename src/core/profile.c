/* SPDX-License-Identifier: Apache-2.0 */
#include "core/profile.h"

#include <apr_escape.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* "…:00.120000Z" becomes "…:00.12Z", "…:00.000000Z" becomes "…:00Z". */
static json_t *timestamp(apr_pool_t *p, const char *text)
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
    return json_string(copy);
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

static json_t *value_of(apr_pool_t *p, up_type type, const char *value)
{
    switch (type) {
    case UP_BOOLEAN:
        return json_boolean(strcmp(value, "true") == 0);
    case UP_INTEGER:
        return json_integer(strtoll(value, NULL, 10));
    case UP_TIMESTAMP:
    case UP_EPOCH_MS:
        return timestamp(p, value);
    default:
        return json_string(value);
    }
}

/* Frees the value, which may be NULL. Most are short: those are written once. */
static const char *dump(apr_pool_t *p, json_t *value)
{
    char small[256], *text = small;
    size_t size = value ? json_dumpb(value, small, sizeof(small), JSON_ENCODE_ANY) : 0;

    if (size > sizeof(small)) {
        text = apr_palloc(p, size);
        size = json_dumpb(value, text, size, JSON_ENCODE_ANY);
    }
    json_decref(value);
    return size > 0 ? apr_pstrmemdup(p, text, size) : NULL;
}

/* "name":value, or NULL. */
static const char *member(apr_pool_t *p, const up_field *field, const char *value)
{
    const char *name = dump(p, json_string(field->name)), *text;

    if (!value)
        text = "null";
    else if (field->type == UP_JSON)
        text = compact(p, value);
    else
        text = dump(p, value_of(p, field->type, value));
    return name && text ? apr_pstrcat(p, name, ":", text, NULL) : NULL;
}

const char *up_profile_json(apr_pool_t *p, const up_model *model, const up_row *row)
{
    apr_array_header_t *members = apr_array_make(p, model->fields->nelts, sizeof(const char *));
    int i;

    for (i = 0; i < model->fields->nelts; i++) {
        const char *text = member(p, up_model_field(model, i), row->values[i]);

        if (!text)
            return NULL;
        APR_ARRAY_PUSH(members, const char *) = text;
    }
    return apr_pstrcat(p, "{", apr_array_pstrcat(p, members, ','), "}", NULL);
}

/* One column's part of the digest. */
static int digest_value(EVP_MD_CTX *context, const char *value)
{
    char length[24];
    int digits;

    if (!value)
        return EVP_DigestUpdate(context, "-", 1);
    digits = apr_snprintf(length, sizeof(length), "%" APR_SIZE_T_FMT ":", strlen(value));
    return EVP_DigestUpdate(context, length, (size_t)digits) &&
           EVP_DigestUpdate(context, value, strlen(value));
}

static const char *digest(apr_pool_t *p, const up_model *model, const up_row *row)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char sum[EVP_MAX_MD_SIZE];
    int i, good;

    if (!context)
        return NULL;
    good = EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    for (i = 0; good && i < model->fields->nelts; i++)
        good = digest_value(context, row->values[i]);
    good = good && EVP_DigestFinal_ex(context, sum, NULL);
    EVP_MD_CTX_free(context);
    return good ? apr_pescape_hex(p, sum, UP_ETAG_LENGTH / 2, 0) : NULL;
}

/* Bytes of the key's digest that stand in a tag. */
#define KEY_DIGEST 6

const char *up_profile_version(apr_pool_t *p, const char *key, apr_int64_t version)
{
    unsigned char sum[EVP_MAX_MD_SIZE];

    if (!EVP_Digest(key, strlen(key), sum, NULL, EVP_sha256(), NULL))
        return NULL;
    return apr_psprintf(p, "%s-%" APR_INT64_T_FMT, apr_pescape_hex(p, sum, KEY_DIGEST, 0), version);
}

const char *up_profile_etag(apr_pool_t *p, const up_model *model, const up_row *row)
{
    return row->version ? row->version : digest(p, model, row);
}
