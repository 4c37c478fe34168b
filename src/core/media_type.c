/* SPDX-License-Identifier: Apache-2.0 */
#include "core/media_type.h"

#include <apr_strings.h>
#include <string.h>

static int is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Beyond what a token has: HTAB, space, the separators and obs-text. */
static int is_quotable(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7F);
}

const char *up_http_token_end(const char *s)
{
    while (is_token_char(*s))
        s++;
    return s;
}

static const char *skip_spaces(const char *s)
{
    return s + strspn(s, " \t");
}

/* A token, and where it says so a second one after a slash: what follows, or NULL. */
static const char *parse_value(apr_pool_t *p, const char *s, const char **value)
{
    const char *end = up_http_token_end(s);
    char *c;

    if (end == s)
        return NULL;
    if (*end == '/') {
        const char *subtype = end + 1;

        end = up_http_token_end(subtype);
        if (end == subtype)
            return NULL;
    }
    *value = c = apr_pstrmemdup(p, s, (apr_size_t)(end - s));
    /* Not tolower(): it follows the locale. */
    for (; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
    return end;
}

/* The closing quote of the string whose text begins at s, or NULL. */
static const char *closing_quote(const char *s)
{
    for (; *s != '"'; s++) {
        if (*s == '\\')
            s++;
        if (!is_quotable(*s))
            return NULL;
    }
    return s;
}

/* Reads the quoted string whose text begins at s. Returns what follows, or NULL. */
static const char *parse_quoted(apr_pool_t *p, const char *s, const char **text)
{
    const char *end = closing_quote(s);
    char *out;

    if (!end)
        return NULL;
    *text = out = apr_palloc(p, (apr_size_t)(end - s) + 1);
    while (s < end) {
        if (*s == '\\')
            s++;
        *out++ = *s++;
    }
    *out = '\0';
    return end + 1;
}

/* Reads name=value at s into the table. Returns what follows, or NULL. */
static const char *parse_param(apr_pool_t *p, const char *s, apr_table_t *params)
{
    const char *end = up_http_token_end(s);
    const char *name, *value;

    if (end == s || *end != '=')
        return NULL;
    name = apr_pstrmemdup(p, s, (apr_size_t)(end - s));
    s = end + 1;
    if (*s == '"') {
        end = parse_quoted(p, s + 1, &value);
    } else {
        end = up_http_token_end(s);
        value = apr_pstrmemdup(p, s, (apr_size_t)(end - s));
        if (end == s)
            return NULL;
    }
    if (!end || apr_table_get(params, name) ||
        apr_table_elts(params)->nelts == UP_MEDIA_TYPE_PARAMS_MAX)
        return NULL;
    apr_table_setn(params, name, value);
    return end;
}

up_media_type *up_media_type_parse(apr_pool_t *p, const char *header)
{
    up_media_type *type;
    const char *s;

    if (!header)
        return NULL;
    type = apr_palloc(p, sizeof(*type));
    type->params = apr_table_make(p, 2);
    s = parse_value(p, skip_spaces(header), &type->value);
    while (s) {
        s = skip_spaces(s);
        if (*s == '\0')
            return type;
        if (*s != ';')
            return NULL;
        s = skip_spaces(s + 1);
        if (*s != ';' && *s != '\0')
            s = parse_param(p, s, type->params);
    }
    return NULL;
}
