/* SPDX-License-Identifier: Apache-2.0 */
#include "core/conditional.h"

#include <apr_strings.h>
#include <string.h>

/* mod_deflate and mod_brotli make the tag of what they encode a different one,
 * by a suffix; the client sends it back as it got it. */
static const char *without_coding(apr_pool_t *p, const char *value, apr_size_t len)
{
    static const char *const suffixes[] = {"-gzip", "-br"};
    apr_size_t i;

    for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        apr_size_t size = strlen(suffixes[i]);

        if (len > size && memcmp(value + len - size, suffixes[i], size) == 0)
            return apr_pstrmemdup(p, value, len - size);
    }
    return apr_pstrmemdup(p, value, len);
}

static const char *skip_separators(const char *s)
{
    return s + strspn(s, " \t,");
}

/* Reads one tag at s, up to the comma or the end that must follow it. Returns what
 * that is, or NULL where there is no tag. */
static const char *parse_tag(apr_pool_t *p, const char *s, up_tag *tag)
{
    const char *end;

    tag->weak = strncmp(s, "W/", 2) == 0;
    if (tag->weak)
        s += 2;
    if (*s != '"' || !(end = strchr(s + 1, '"')))
        return NULL;
    tag->value = without_coding(p, s + 1, (apr_size_t)(end - s - 1));
    end += 1 + strspn(end + 1, " \t");
    return *end == ',' || *end == '\0' ? end : NULL;
}

up_tags *up_tags_parse(apr_pool_t *p, const char *header)
{
    up_tags *tags;
    const char *s;

    if (!header)
        return NULL;
    tags = apr_pcalloc(p, sizeof(*tags));
    tags->list = apr_array_make(p, 2, sizeof(up_tag));
    s = skip_separators(header);
    if (*s == '*') {
        tags->any = s[1 + strspn(s + 1, " \t")] == '\0';
        return tags;
    }
    while (*s) {
        up_tag tag;

        s = parse_tag(p, s, &tag);
        if (!s)
            break;
        APR_ARRAY_PUSH(tags->list, up_tag) = tag;
        s = skip_separators(s);
    }
    return tags;
}

static int match(const up_tags *tags, const char *etag, int weakly)
{
    int i;

    if (tags->any)
        return 1;
    for (i = 0; etag && i < tags->list->nelts; i++) {
        const up_tag *tag = &APR_ARRAY_IDX(tags->list, i, up_tag);

        if ((weakly || !tag->weak) && strcmp(tag->value, etag) == 0)
            return 1;
    }
    return 0;
}

int up_tags_match_strong(const up_tags *tags, const char *etag)
{
    return !tags || match(tags, etag, 0);
}

int up_tags_match_weak(const up_tags *tags, const char *etag)
{
    return tags && match(tags, etag, 1);
}
