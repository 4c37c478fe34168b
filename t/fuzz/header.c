/* SPDX-License-Identifier: Apache-2.0 */

/* Values of headers: a media type or a Content-Disposition, a list of entity tags, base64url. What
 * was read and is written down again reads the same.
 *
 * The input: a byte for which of them, then the value. */
#include "fuzz.h"

#include "core/base64url.h"
#include "core/conditional.h"
#include "core/media_type.h"
#include "token_maker.h"

enum what { MEDIA_TYPE, TAGS, BASE64URL, WHATS };

/* --- A media type --- */

/* "; name=" and the value as a quoted string. */
static const char *parameter(apr_pool_t *p, const apr_table_entry_t *entry)
{
    char *quoted = apr_palloc(p, 2 * strlen(entry->val) + 1), *out = quoted;
    const char *c;

    for (c = entry->val; *c; c++) {
        must(*c == '\t' || ((unsigned char)*c >= ' ' && *c != 0x7f));
        if (*c == '"' || *c == '\\')
            *out++ = '\\';
        *out++ = *c;
    }
    *out = '\0';
    return apr_pstrcat(p, "; ", entry->key, "=\"", quoted, "\"", NULL);
}

static const char *written(apr_pool_t *p, const up_media_type *type)
{
    const apr_array_header_t *params = apr_table_elts(type->params);
    const char *text = type->value, *slash = up_http_token_end(type->value), *c;
    int i;

    must(slash > type->value && (!*slash || *slash == '/'));
    must(!*slash || (slash[1] && !*up_http_token_end(slash + 1)));
    for (c = type->value; *c; c++)
        must(*c < 'A' || *c > 'Z');
    must(params->nelts <= UP_MEDIA_TYPE_PARAMS_MAX);
    for (i = 0; i < params->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(params, i, apr_table_entry_t);

        must(*entry->key && !*up_http_token_end(entry->key));
        must(strcmp(apr_table_get(type->params, entry->key), entry->val) == 0);
        text = apr_pstrcat(p, text, parameter(p, entry), NULL);
    }
    return text;
}

static void run_media_type(apr_pool_t *p, const char *value)
{
    up_media_type *type = up_media_type_parse(p, value);
    const char *text;

    if (!type)
        return;
    text = written(p, type);
    type = up_media_type_parse(p, text);
    must(type && strcmp(written(p, type), text) == 0);
}

/* --- Entity tags --- */

static void run_tags(apr_pool_t *p, const char *value)
{
    static const char ours[] = "603e3fc22f3b3ba385f9f84585e9c31f";
    up_tags *tags = up_tags_parse(p, value);
    int i, strong, weak;

    must(tags && tags->list);
    must(!tags->any || (strchr(value, '*') && !tags->list->nelts));
    for (i = 0; i < tags->list->nelts; i++) {
        const up_tag *tag = &APR_ARRAY_IDX(tags->list, i, up_tag);

        must(!strchr(tag->value, '"') && strstr(value, tag->value));
        must(up_tags_match_weak(tags, tag->value));
        must(tag->weak || up_tags_match_strong(tags, tag->value));
    }
    strong = up_tags_match_strong(tags, ours);
    weak = up_tags_match_weak(tags, ours);
    must(weak || !strong);
    must(!weak || tags->any || strstr(value, ours));
    must(tags->any || !up_tags_match_strong(tags, NULL));
}

/* --- base64url --- */

/* One text for the same bytes, and one only. */
static void run_base64url(apr_pool_t *p, const char *value, size_t len)
{
    size_t size = UP_BASE64URL_SIZE(len);
    char *bytes = malloc(size ? size : 1);

    must(bytes);
    if (up_base64url_decode((unsigned char *)bytes, value, len) == 0) {
        const char *again = maker_base64url(p, bytes, size);

        must(strlen(again) == len && memcmp(again, value, len) == 0);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    const uint8_t *value = data + 1;
    size_t left = size - 1;
    char *copy;

    if (size < 1)
        return 0;
    switch (data[0] % WHATS) {
    case MEDIA_TYPE:
        run_media_type(p, fuzz_text(p, &value, &left, '\0'));
        break;
    case TAGS:
        run_tags(p, fuzz_text(p, &value, &left, '\0'));
        break;
    default:
        copy = fuzz_copy(value, left);
        run_base64url(p, copy, left);
        free(copy);
    }
    return fuzz_done();
}
