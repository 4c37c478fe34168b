/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "core/conditional.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static apr_pool_t *pool;

/* A header, and what is read of it: "*", or the tags as they are compared, weak ones with W/. */
static const struct sample {
    const char *header;
    const char *tags;
} samples[] = {
    {"*", "*"},
    {" * ", "*"},
    {"\t*\t", "*"},
    {"\"a\"", "a"},
    {"  \"a\"  ", "a"},
    {"W/\"a\"", "W/a"},
    {"\"a\",\"b\"", "a|b"},
    {"\"a\" , W/\"b\" ,\t\"c\"", "a|W/b|c"},
    {",, \"a\",,\t, \"b\" ,", "a|b"},
    {"\"a,b\", \"c d\"", "a,b|c d"},
    {"\"\"", ""},
    {"\"\", \"a\"", "|a"},
    {"\"*\"", "*"},
    {"\"W/\"", "W/"},
    {"\"\\\"", "\\"},
    {"\"{a,b}\", \"'; --\"", "{a,b}|'; --"},
    {"\"\xC3\xA9\x80\"", "\xC3\xA9\x80"},

    /* what filters of httpd add */
    {"\"a-gzip\"", "a"},
    {"\"a-br\"", "a"},
    {"W/\"a-gzip\", \"b-br\"", "W/a|b"},
    {"\"a-gzip-gzip\"", "a-gzip"},
    {"\"a-deflate\", \"a-GZIP\", \"agzip\"", "a-deflate|a-GZIP|agzip"},
    {"\"-gzip\", \"-br\", \"gzip\"", "-gzip|-br|gzip"},
    {"\"a-gzip \"", "a-gzip "},

    /* none, or none from there on */
    {"", ""},
    {" \t", ""},
    {",", ""},
    {"a", ""},
    {"'a'", ""},
    {"\"a", ""},
    {"\"", ""},
    {"W/", ""},
    {"W/a", ""},
    {"W/*", ""},
    {"W/ \"a\"", ""},
    {"W \"a\"", ""},
    {"w/\"a\"", ""},
    {"W/W/\"a\"", ""},
    {"**", ""},
    {"* *", ""},
    {"*, \"a\"", ""},
    {"*,", ""},
    {"a, \"b\"", ""},
    {"\"a\", b, \"c\"", "a"},
    {"\"a\", *", "a"},
    {"\"a\", \"b", "a"},
    {"\"a\", W/b, \"c\"", "a"},
    {"\"a\"\"b\"", ""},
    {"\"a\" \"b\"", ""},
    {"\"a\"x, \"b\"", ""},
    {"\"a\";q=1", ""},
    {"\"a\"-gzip", ""},
    {"\"a\", \"b\"c", "a"},
};

/* The header is in memory of its very size, so that reading on is seen. */
static up_tags *parse(const char *header)
{
    apr_size_t size = strlen(header) + 1;
    char *copy = malloc(size);
    up_tags *tags;

    memcpy(copy, header, size);
    tags = up_tags_parse(pool, copy);
    free(copy);
    return tags;
}

static const char *show(const up_tags *tags)
{
    const char *text = "";
    int i;

    if (tags->any)
        return "*";
    for (i = 0; i < tags->list->nelts; i++) {
        const up_tag *tag = &APR_ARRAY_IDX(tags->list, i, up_tag);

        text = apr_pstrcat(pool, text, i ? "|" : "", tag->weak ? "W/" : "", tag->value, NULL);
    }
    return text;
}

static void test_samples(void)
{
    apr_size_t i;

    for (i = 0; i < COUNT(samples); i++)
        is(show(parse(samples[i].header)), samples[i].tags,
           apr_psprintf(pool, "[%s]", samples[i].header));
    ok(!parse("*, \"a\"")->any, "a list is not *");
    ok(!parse("\"*\"")->any, "the tag * is not *");
    is_int(parse("\"\"")->list->nelts, 1, "an empty tag is one");
    is_int(parse("")->list->nelts, 0, "an empty list has none");
}

static void test_match(void)
{
    static const struct {
        const char *header, *etag;
        int strong, weak;
    } cases[] = {
        {NULL, "a", 1, 0},
        {"*", "a", 1, 1},
        {"\"a\"", "a", 1, 1},
        {"W/\"a\"", "a", 0, 1},
        {"\"b\"", "a", 0, 0},
        {"\"b\", \"a\"", "a", 1, 1},
        {"W/\"a\", \"a\"", "a", 1, 1},
        {"\"b\", W/\"a\"", "a", 0, 1},
        {"\"a-gzip\"", "a", 1, 1},
        {"W/\"a-br\"", "a", 0, 1},
        {"\"A\"", "a", 0, 0},
        {"\"a \"", "a", 0, 0},
        {"\"ab\"", "a", 0, 0},
        {"\"\"", "a", 0, 0},
        {"\"\"", "", 1, 1},
        {"", "a", 0, 0},
        {"nonsense", "a", 0, 0},
        {"nonsense, \"a\"", "a", 0, 0},
        {"\"a\" nonsense", "a", 0, 0},
        {"\"a\"", NULL, 0, 0},
        {"*", NULL, 1, 1},
    };
    apr_size_t i;

    for (i = 0; i < COUNT(cases); i++) {
        const char *header = cases[i].header ? cases[i].header : "none";
        const up_tags *tags = cases[i].header ? parse(cases[i].header) : up_tags_parse(pool, NULL);

        ok(up_tags_match_strong(tags, cases[i].etag) == cases[i].strong, "If-Match: %s %s %s",
           header, cases[i].strong ? "holds" : "does not hold",
           cases[i].etag ? cases[i].etag : "no tag");
        ok(up_tags_match_weak(tags, cases[i].etag) == cases[i].weak, "If-None-Match: %s %s %s",
           header, cases[i].weak ? "holds" : "does not hold",
           cases[i].etag ? cases[i].etag : "no tag");
    }
    ok(up_tags_parse(pool, NULL) == NULL, "no header is no condition");
}

/* As long as httpd lets a header be, and longer. */
static void test_long(void)
{
    const size_t tags_size = 80000; /* of 20,000 tags with their commas */
    char *header = apr_pcalloc(pool, tags_size + 6), *end = header;
    up_tags *tags;

    for (; end < header + tags_size; end += 4)
        memcpy(end, "\"x\",", 4);
    memcpy(end, "\"a\"", 4);
    tags = parse(header);
    is_int(tags->list->nelts, 20001, "a list of 20,001 tags");
    ok(up_tags_match_strong(tags, "a"), "its last one is found");
    memset(header, '"', tags_size);
    ok(!up_tags_match_strong(parse(header), "a"), "80,000 quotes");
    memset(header, ',', tags_size);
    ok(up_tags_match_strong(parse(header), "a"), "80,000 commas and a tag");
}

/* Whatever a client sends: it is read to an end, and matches only what is in it. */
static void test_random(void)
{
    static const char alphabet[] = "\"\"\",,  \tW/*a-gzipbr\\{}";
    char header[24], quoted[8];
    int round, len, wrong = 0;

    srand(1);
    for (round = 0; round < 50000; round++) {
        apr_pool_t *p;

        apr_pool_create(&p, pool);
        for (len = 0; len < rand() % (int)sizeof(header); len++)
            header[len] = alphabet[rand() % (int)(sizeof(alphabet) - 1)];
        header[len] = '\0';
        apr_snprintf(quoted, sizeof(quoted), "\"a");
        wrong += up_tags_match_strong(up_tags_parse(p, header), "a") &&
                 !up_tags_parse(p, header)->any && !strstr(header, quoted);
        wrong += up_tags_match_strong(up_tags_parse(p, header), "a") &&
                 !up_tags_match_weak(up_tags_parse(p, header), "a");
        apr_pool_destroy(p);
    }
    is_int(wrong, 0, "50,000 random headers match nothing that is not in them");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_samples();
    test_match();
    test_long();
    test_random();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
