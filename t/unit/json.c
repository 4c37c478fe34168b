/* SPDX-License-Identifier: Apache-2.0 */

/* up_json_object() and up_base64url_decode(); for the first also the corpus json-nst
 * of $UP_CORPORA or ../shared/corpora, each file as the value of an object's member. */
#include "tap.h"

#include "core/base64url.h"
#include "core/json.h"

#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(*(array))))

static apr_pool_t *pool;

static const char *refusal(const char *text, apr_size_t len, apr_size_t flags)
{
    json_t *object = NULL;
    const char *wrong = up_json_object(&object, text, len, flags, pool);

    return !wrong && !json_is_object(object) ? "accepted without an object" : wrong;
}

/* The text, a NUL byte and a brace. */
static const char *refusal_with_nul(const char *text)
{
    apr_size_t len = strlen(text);
    char *copy = apr_pstrcat(pool, text, "0}", NULL);

    copy[len] = '\0';
    return refusal(copy, len + 2, JSON_ALLOW_NUL);
}

static void test_object(void)
{
    static const char nul[] = "{\"a\":\"\\u0000\"}", name[] = "{\"\\u0000\":1}";
    static const char *const before_nul[] = {
        "{\"a\":12", "{\"a\":true", "{\"a\":null", "{\"a\":\"\"", "{\"a\"", "{\"a\":[]", "{"};
    json_t *object = NULL;
    apr_pool_t *p;
    int i;

    apr_pool_create(&p, pool);
    ok(!up_json_object(&object, "{\"a\":1}garbage", 7, 0, p), "no more than len bytes are read");
    is_int(json_integer_value(json_object_get(object, "a")), 1, "the object is there");
    json_incref(object);
    apr_pool_destroy(p);
    is_int(object->refcount, 1, "the pool gave up its reference");
    json_decref(object);

    is(refusal("", 0, 0), "It is not JSON.", "nothing");
    is(refusal("[]", 2, 0), "It is JSON but not an object.", "an array");
    is(refusal("1", 1, JSON_DECODE_ANY), "It is JSON but not an object.", "a number");
    is(refusal(nul, sizeof(nul) - 1, 0), "It has a U+0000.", "U+0000 in a string");
    is(refusal(nul, sizeof(nul) - 1, JSON_ALLOW_NUL), NULL, "where that is allowed");
    is(refusal(name, sizeof(name) - 1, JSON_ALLOW_NUL), "It has a U+0000.",
       "in a name it never is");
    for (i = 0; i < COUNT(before_nul); i++)
        is(refusal_with_nul(before_nul[i]), "It has a U+0000.", before_nul[i]);
    is(refusal("{\"a\":1,\"a\":1}", 13, JSON_ALLOW_NUL), "It has a member twice.",
       "a member twice");
}

/* Opens levels in all ways that could make the count wrong. */
static void test_depth(void)
{
    static const char *tricks[] = {"\"}]}]\"",      "\"\\\"}]\"", "\"\\\\\"",
                                   "\"\\\\\\\"]\"", "{}",         "[]"};
    int i, levels;

    for (i = 0; i < COUNT(tricks); i++) {
        for (levels = UP_JSON_DEPTH - 2; levels <= UP_JSON_DEPTH + 2; levels++) {
            char *text = apr_pstrdup(pool, "{\"x\":");
            int depth = levels + (*tricks[i] != '"'), n;
            const char *wrong;

            for (n = 1; n < levels; n++)
                text = apr_pstrcat(pool, text, "[", tricks[i], ",", NULL);
            text = apr_pstrcat(pool, text, tricks[i], NULL);
            for (n = 1; n < levels; n++)
                text = apr_pstrcat(pool, text, "]", NULL);
            text = apr_pstrcat(pool, text, "}", NULL);
            wrong = refusal(text, strlen(text), 0);
            ok(depth <= UP_JSON_DEPTH ? !wrong : wrong && strstr(wrong, "deeper"),
               "%d levels with %s", depth, tricks[i]);
        }
    }
}

/* The file as a member's value: what is JSON stays so, what is not does too. */
static const char *refusal_of_file(const char *path)
{
    apr_file_t *file;
    apr_finfo_t info;
    char *text;
    apr_size_t len = 5;

    if (apr_file_open(&file, path, APR_READ, 0, pool) ||
        apr_file_info_get(&info, APR_FINFO_SIZE, file))
        return "unreadable";
    text = apr_palloc(pool, (apr_size_t)info.size + 7);
    apr_cpystrn(text, "{\"x\":", 6);
    apr_file_read_full(file, text + 5, (apr_size_t)info.size, NULL);
    len += (apr_size_t)info.size;
    text[len++] = '}';
    apr_file_close(file);
    return refusal(text, len, JSON_ALLOW_NUL);
}

static void test_corpus(void)
{
    const char *folder = getenv("UP_CORPORA");
    int good = 0, bad = 0, either = 0, wrong = 0;
    apr_dir_t *dir;
    apr_finfo_t entry;

    folder =
        apr_pstrcat(pool, folder ? folder : "../shared/corpora", "/json-nst/test_parsing", NULL);
    if (apr_dir_open(&dir, folder, pool)) {
        printf("# skipped: no corpus json-nst in ../shared/corpora or $UP_CORPORA\n");
        return;
    }
    while (!apr_dir_read(&entry, APR_FINFO_NAME, dir)) {
        const char *got;
        int is_wrong;

        if (!strstr(entry.name, ".json"))
            continue;
        got = refusal_of_file(apr_pstrcat(pool, folder, "/", entry.name, NULL));
        good += *entry.name == 'y';
        bad += *entry.name == 'n';
        either += *entry.name == 'i';
        /* A member twice is JSON, though nobody knows what it means; so is a NUL in a name. */
        is_wrong = *entry.name == 'y' ? got && !strstr(entry.name, "_duplicated_key") &&
                                            !strstr(entry.name, "_null_in_key")
                                      : *entry.name == 'n' && !got;
        if (is_wrong)
            printf("# %s: %s\n", entry.name, got ? got : "accepted");
        wrong += is_wrong;
    }
    apr_dir_close(dir);
    ok(good > 90 && bad > 180 && !wrong, "json-nst: %d good, %d bad and %d either way, %d wrong",
       good, bad, either, wrong);
}

static void test_base64url_vectors(void)
{
    /* RFC 4648, section 10, without padding. */
    static const char *vectors[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};
    static const char *bad[] = {"A",      "AAAAA", "AA==", "AAA=", "=",    "AB",   "AAB",
                                "+w",     "/w",    " AA",  "A A",  "AA\n", "A.A",  "\xc3\xa4",
                                "AA\x7f", "@@@@",  "[[[[", "``",   "{{{{", "//::", "__"};
    unsigned char out[16];
    int i;

    for (i = 0; i < COUNT(vectors); i++) {
        apr_size_t len = strlen(vectors[i][1]);

        ok(up_base64url_decode(out, vectors[i][1], len) == 0 &&
               UP_BASE64URL_SIZE(len) == strlen(vectors[i][0]) &&
               memcmp(out, vectors[i][0], strlen(vectors[i][0])) == 0,
           "'%s'", vectors[i][1]);
    }
    for (i = 0; i < COUNT(bad); i++)
        ok(up_base64url_decode(out, bad[i], strlen(bad[i])) == -1, "bad text %d", i);
    ok(up_base64url_decode(out, "AA\0A", 4) == -1, "NUL is none of the alphabet");
}

/* All texts of two and three bytes of any value: as many are right as there are byte
 * strings, and each is what OpenSSL makes of the bytes. */
static void test_base64url_all(void)
{
    char text[4];
    unsigned char out[3], encoded[8];
    int a, b, c, two = 0, three = 0, wrong = 0;

    for (a = 0; a < 256; a++) {
        for (b = 0; b < 256; b++) {
            text[0] = (char)a;
            text[1] = (char)b;
            two += up_base64url_decode(out, text, 2) == 0;
            for (c = 0; c < 256; c++) {
                int i;

                text[2] = (char)c;
                if (up_base64url_decode(out, text, 3))
                    continue;
                three++;
                EVP_EncodeBlock(encoded, out, 2);
                for (i = 0; i < 3; i++)
                    wrong += (encoded[i] == '+'   ? '-'
                              : encoded[i] == '/' ? '_'
                                                  : encoded[i]) != (unsigned char)text[i];
            }
        }
    }
    is_int(two, 256, "256 texts of two characters are right");
    is_int(three, 65536, "65536 of three characters");
    is_int(wrong, 0, "and OpenSSL writes them so");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_object();
    test_depth();
    test_corpus();
    test_base64url_vectors();
    test_base64url_all();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
