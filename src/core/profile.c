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

static json_t *member(apr_pool_t *p, const up_field *field, const char *value)
{
    if (!value)
        return json_null();
    switch (field->type) {
    case UP_BOOLEAN:
        return json_boolean(strcmp(value, "true") == 0);
    case UP_INTEGER:
        return json_integer(strtoll(value, NULL, 10));
    case UP_TIMESTAMP:
    case UP_EPOCH_MS:
        return timestamp(p, value);
    case UP_JSON:
        return json_loads(value, JSON_DECODE_ANY, NULL);
    default:
        return json_string(value);
    }
}

static const char *dump(apr_pool_t *p, const json_t *object)
{
    size_t size = json_dumpb(object, NULL, 0, JSON_COMPACT);
    char *text;

    if (size == 0)
        return NULL;
    text = apr_palloc(p, size + 1);
    json_dumpb(object, text, size, JSON_COMPACT);
    text[size] = '\0';
    return text;
}

const char *up_profile_json(apr_pool_t *p, const up_model *model, const up_row *row)
{
    json_t *object = json_object();
    const char *text = NULL;
    int i, failed = object == NULL;

    for (i = 0; !failed && i < model->fields->nelts; i++) {
        const up_field *field = up_model_field(model, i);

        failed = json_object_set_new(object, field->name, member(p, field, row->values[i]));
    }
    if (!failed)
        text = dump(p, object);
    json_decref(object);
    return text;
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

const char *up_profile_etag(apr_pool_t *p, const up_model *model, const up_row *row)
{
    return row->version ? row->version : digest(p, model, row);
}
