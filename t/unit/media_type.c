/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "core/media_type.h"

#include <apr_escape.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <stdlib.h>

static apr_pool_t *pool;

/* A header as others write it, and "value|name=text|…", or NULL where it must be refused. */
static const struct sample {
    const char *header;
    const char *parsed;
} samples[] = {
    {"application/json", "application/json"},
    {"Application/JSON", "application/json"},
    {"  \tapplication/json\t ", "application/json"},
    {"application/merge-patch+json", "application/merge-patch+json"},
    {"form-data", "form-data"},
    {"x!#$%&'*+-.^_`|~0/y", "x!#$%&'*+-.^_`|~0/y"},
    {"text/plain;charset=utf-8", "text/plain|charset=utf-8"},
    {"text/plain ; charset=UTF-8", "text/plain|charset=UTF-8"},
    {"text/plain;\tcharset=\"UTF-8\" ", "text/plain|charset=UTF-8"},
    {"a/b;c=\"\"", "a/b|c="},
    {"a/b;c=\"d;e=f\"; g=h", "a/b|c=d;e=f|g=h"},
    {"a/b;c=\"d,e\"", "a/b|c=d,e"},
    {"a/b;c=\" d\te \"", "a/b|c= d\te "},
    {"a/b;c=\"\\\"\\\\\\d\"", "a/b|c=\"\\d"},
    {"a/b;c=\"\\\t\"", "a/b|c=\t"},
    {"form-data; name=\"f\"; filename=\"C:\\dir\\x.png\"", "form-data|name=f|filename=C:dirx.png"},
    {"form-data; name=\"a%22b%0D%0A\"", "form-data|name=a%22b%0D%0A"},
    {"form-data; name=\"\xC3\xBC\xE2\x82\xAC\"", "form-data|name=\xC3\xBC\xE2\x82\xAC"},
    {"form-data; filename*=UTF-8''%e2%82%ac", "form-data|filename*=UTF-8''%e2%82%ac"},
    {"multipart/form-data; boundary=----WebKitFormBoundaryTkr3kCBQlBe1nrhc",
     "multipart/form-data|boundary=----WebKitFormBoundaryTkr3kCBQlBe1nrhc"},
    {"multipart/form-data; boundary=\"a b:c\"", "multipart/form-data|boundary=a b:c"},
    {"a/b;", "a/b"},
    {"a/b ; ; \t;c=d;;", "a/b|c=d"},

    {NULL, NULL},
    {"", NULL},
    {" ", NULL},
    {"/", NULL},
    {"a/", NULL},
    {"/b", NULL},
    {"a//b", NULL},
    {"a/b/c", NULL},
    {"a /b", NULL},
    {"a/ b", NULL},
    {"a/b c", NULL},
    {"a/b, c/d", NULL},
    {"a/b;c", NULL},
    {"a/b;c=", NULL},
    {"a/b;=d", NULL},
    {"a/b;c =d", NULL},
    {"a/b;c= d", NULL},
    {"a/b;c= \"d\"", NULL},
    {"a/b;c=d e", NULL},
    {"a/b;c=d e=f", NULL},
    {"a/b;c=d/e", NULL},
    {"a/b;c=d=e", NULL},
    {"a/b;c='d e'", NULL},
    {"a/b;c=d;c=d", NULL},
    {"a/b;c=d;C=\"e\"", NULL},
    {"a/b;c=\"d", NULL},
    {"a/b;c=\"", NULL},
    {"a/b;c=\"d\\", NULL},
    {"a/b;c=\"d\\\"", NULL},
    {"a/b;c=d\"", NULL},
    {"a/b;c=\"d\"e", NULL},
    {"a/b;c=\"d\"\"e\"", NULL},
    {"a/b;c=\"d\" e", NULL},
    {"a/b;c=\"\x01\"", NULL},
    {"a/b;c=\"\\\x01\"", NULL},
    {"a/b;c=\"d\re\"", NULL},
    {"a/b;c=\"d\r\n e\"", NULL},
    {"a/b;c=\"d\ne\"", NULL},
    {"a/b;c=\"\x7F\"", NULL},
    {"a/b;c=\"\\\x7F\"", NULL},
    {"a/b;\xC3\xBC=d", NULL},
    {"a/b;c=\xC3\xBC", NULL},
    {"\xC3\xBC/b", NULL},
    {"\xEF\xBB\xBF"
     "a/b",
     NULL},
    {"a/b\r\n", NULL},
    {"a/b;\r\nc=d", NULL},
    {"a/b\x0B;c=d", NULL},
    {"(comment)a/b", NULL},
    {"a/b (comment)", NULL},
    {"\"a/b\"", NULL},
};

static const char *describe(const up_media_type *type)
{
    const apr_array_header_t *params;
    const char *text;
    int i;

    if (!type)
        return NULL;
    text = type->value;
    params = apr_table_elts(type->params);
    for (i = 0; i < params->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(params, i, apr_table_entry_t);

        text = apr_pstrcat(pool, text, "|", entry->key, "=", entry->val, NULL);
    }
    return text;
}

/* From memory of exactly its size, so that a sanitizer sees every byte read beyond it. */
static up_media_type *parse(const char *header)
{
    char *copy = header ? strdup(header) : NULL;
    up_media_type *type = up_media_type_parse(pool, copy);

    free(copy);
    return type;
}

static void test_samples(void)
{
    apr_size_t i;

    for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *s = &samples[i];

        is(describe(parse(s->header)), s->parsed,
           apr_psprintf(pool, "%s: %s", s->parsed ? "accepted" : "refused",
                        s->header ? apr_pescape_echo(pool, s->header, 0) : "NULL"));
    }
}

static void test_names(void)
{
    up_media_type *type = parse("a/b; BoundarY=x");

    is(apr_table_get(type->params, "boundary"), "x", "a parameter's name has no case");
    is(apr_table_get(type->params, "bound"), NULL, "a parameter that is not there is NULL");
}

/* Every character that is no control is in one of the classes of RFC 9110 5.6.2 or is not. */
static void test_token_characters(void)
{
    static const char others[] = "\"(),/:;<=>?@[\\]{}";
    int c, wrong = 0;

    for (c = 0; c < 256; c++) {
        const char s[] = {(char)c, '\0'};
        int token = c > ' ' && c < 0x7F && !strchr(others, c);

        wrong += (up_http_token_end(s) != s) != token;
    }
    is_int(wrong, 0, "the characters of a token");
    is(up_http_token_end("ab:c"), ":c", "a token ends before what is none");
    is(up_http_token_end(":c"), ":c", "no token is an empty one");
}

static void test_many_parameters(void)
{
    const char *header = "a/b";
    int i;

    for (i = 0; i < UP_MEDIA_TYPE_PARAMS_MAX; i++)
        header = apr_psprintf(pool, "%s; p%d=%d", header, i, i);
    ok(parse(header) != NULL, "as many parameters as are allowed");
    is(describe(parse(apr_pstrcat(pool, header, ";q=1", NULL))), NULL, "one more is refused");
}

/* a/b;c=" and n times the character and a quote */
static up_media_type *parse_long(char c, apr_size_t n)
{
    char *text = apr_palloc(pool, n + 1);

    memset(text, c, n);
    text[n] = '\0';
    return parse(apr_pstrcat(pool, "a/b;c=\"", text, "\"", NULL));
}

static void test_long(void)
{
    up_media_type *type = parse_long('x', 1000000);
    char *semicolons = apr_palloc(pool, 1000001);

    ok(type && strlen(apr_table_get(type->params, "c")) == 1000000, "a megabyte of text");
    type = parse_long('\\', 1000000);
    ok(type && strlen(apr_table_get(type->params, "c")) == 500000, "a megabyte of backslashes");
    ok(!parse_long('\\', 1000001), "one more, and the last quote closes nothing");
    memset(semicolons, ';', 1000000);
    memcpy(semicolons, "a/b", 3);
    semicolons[1000000] = '\0';
    is(describe(parse(semicolons)), "a/b", "a megabyte of semicolons");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_samples();
    test_names();
    test_token_characters();
    test_many_parameters();
    test_long();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
