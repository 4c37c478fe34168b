/* SPDX-License-Identifier: Apache-2.0 */

/* up_token_verify(): the token's form, from its parts down to its bits. Every
 * token here has a signature that holds for the text as it is, but where something
 * was done to it afterwards. */
#include "tap.h"
#include "token_maker.h"

#define NOW 1700000000
#define EXP "\"exp\":1700000060"
#define SUB "\"sub\":\"ann@example.org\""
#define HEADER "{\"alg\":\"HS256\"}"
#define PAYLOAD "{" SUB "," EXP "}"
#define COUNT(array) ((int)(sizeof(array) / sizeof(*(array))))

static apr_pool_t *pool; /* for a test */
static maker secret;
static up_token_rules rules;

/* Expects a refusal whose reason has these words, or with NULL an acceptance. */
static void expect(const char *token, const char *words, const char *name)
{
    const char *got = maker_refusal(pool, &rules, token, NOW);

    if (!ok(words ? got && strstr(got, words) : !got, "%s", name))
        printf("#   got: %s\n# words: %s\n", got ? got : "(accepted)",
               words ? words : "(accepted)");
}

/* One of these many: no line for each, but for the one that fails. */
static int is_refused(const char *token)
{
    return maker_refusal(pool, &rules, token, NOW) != NULL;
}

/* On one line, for TAP. */
static const char *printable(const char *text)
{
    char *copy = apr_pstrdup(pool, text), *c;

    for (c = copy; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '~';
    return copy;
}

typedef struct text_case {
    const char *json;
    const char *words; /* of the reason; NULL: accepted */
} text_case;

/* What is no strict JSON object, in the header's place and in the payload's. */
static void test_json(void)
{
    static const text_case cases[] = {
        {"[]", "not an object"},
        {"[{\"alg\":\"HS256\"}]", "not an object"},
        {"null", "not JSON"},
        {"\"alg\"", "not JSON"},
        {"1", "not JSON"},
        {"foo", "not JSON"},
        {" ", "not JSON"},
        {"{", "not JSON"},
        {"}", "not JSON"},
        {"{\"alg\"}", "not JSON"},
        {"{\"alg\":\"HS256\",}", "not JSON"},
        {"{'alg':'HS256'}", "not JSON"},
        {"{alg:\"HS256\"}", "not JSON"},
        {"{\"alg\":\"HS256\"} {}", "not JSON"},
        {"{\"alg\":\"HS256\"}x", "not JSON"},
        {"{\"alg\":\"HS256\",\"x\":NaN}", "not JSON"},
        {"{\"alg\":\"HS256\",\"x\":01}", "not JSON"},
        {"{\"alg\":\"HS256\",\"x\":+1}", "not JSON"},
        {"{\"alg\":\"HS256\",\"x\":\"\\ud800\"}", "not JSON"},
        {"{\"alg\":\"HS256\",\"x\":\"\t\"}", "not JSON"},
        {"{\"alg\":\"HS256\"}/**/", "not JSON"},
        {"\xef\xbb\xbf{\"alg\":\"HS256\"}", "not JSON"},
        {"{\"alg\":\"HS256\",\"x\":\"\xc0\xaf\"}", "not UTF-8"},
        {"{\"alg\":\"HS256\",\"x\":\"\xed\xa0\x80\"}", "not UTF-8"},
        {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", "not UTF-8"},
        {"{\"alg\":\"HS256\",\"x\":9223372036854775808}", "64 bits"},
        {"{\"alg\":\"HS256\",\"x\":-9223372036854775809}", "64 bits"},
        {"{\"alg\":\"HS256\",\"x\":1e999}", "64 bits"},
    };
    int i;

    for (i = 0; i < COUNT(cases); i++) {
        expect(maker_token(pool, &secret, cases[i].json, PAYLOAD), cases[i].words,
               apr_pstrcat(pool, "header ", printable(cases[i].json), NULL));
        expect(maker_token(pool, &secret, HEADER, cases[i].json), cases[i].words,
               apr_pstrcat(pool, "payload ", printable(cases[i].json), NULL));
    }
}

/* A NUL byte behind the object, in it, and instead of it. */
static void test_nul_bytes(void)
{
    static const char behind[] = PAYLOAD "\0", before[] = "\0" PAYLOAD,
                      within[] = "{" SUB "," EXP "\0}", after[] = PAYLOAD "\0{}";
    const char *texts[] = {behind, before, within, after};
    const size_t sizes[] = {sizeof(behind) - 1, sizeof(before) - 1, sizeof(within) - 1,
                            sizeof(after) - 1};
    const char *header = maker_base64url(pool, HEADER, strlen(HEADER));
    int i;

    for (i = 0; i < COUNT(texts); i++) {
        const char *input =
            apr_pstrcat(pool, header, ".", maker_base64url(pool, texts[i], sizes[i]), NULL);

        expect(maker_sign_input(pool, &secret, UP_HS256, input), "U+0000",
               apr_psprintf(pool, "a NUL byte in the payload (%d)", i));
    }
}

/* {"alg":"HS256",…,"x":[[…]]} with that many levels in all. */
static const char *nested(const char *members, int levels, const char *open, const char *close)
{
    char *text = apr_pstrcat(pool, "{", members, ",\"x\":", NULL);
    int i;

    for (i = 1; i < levels; i++)
        text = apr_pstrcat(pool, text, open, NULL);
    text = apr_pstrcat(pool, text, *open == '{' ? "1" : "", NULL);
    for (i = 1; i < levels; i++)
        text = apr_pstrcat(pool, text, close, NULL);
    return apr_pstrcat(pool, text, "}", NULL);
}

static void test_depth(void)
{
    const char *alg = "\"alg\":\"HS256\"", *claims = SUB "," EXP;

    expect(maker_token(pool, &secret, nested(alg, 32, "[", "]"), PAYLOAD), NULL, "header 32 deep");
    expect(maker_token(pool, &secret, nested(alg, 33, "[", "]"), PAYLOAD), "deeper",
           "header 33 deep");
    expect(maker_token(pool, &secret, HEADER, nested(claims, 32, "{\"x\":", "}")), NULL,
           "payload 32 deep");
    expect(maker_token(pool, &secret, HEADER, nested(claims, 33, "{\"x\":", "}")), "deeper",
           "payload 33 deep");
    expect(maker_token(pool, &secret, HEADER, nested(claims, 1000, "[", "]")), "deeper",
           "payload 1000 deep");
    expect(maker_token(pool, &secret, HEADER,
                       "{" SUB "," EXP ",\"x\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"}"),
           NULL, "brackets in a string are no levels");
}

static void test_parts(void)
{
    const char *good = maker_token(pool, &secret, HEADER, PAYLOAD);
    const char *header = maker_base64url(pool, HEADER, strlen(HEADER));
    const char *payload = maker_base64url(pool, PAYLOAD, strlen(PAYLOAD));
    const char *signature = strrchr(good, '.') + 1;
    const char *input = maker_input(pool, HEADER, PAYLOAD);
#define JOIN(...) apr_pstrcat(pool, __VA_ARGS__, NULL)

    expect(good, NULL, "three parts");
    expect("", "three parts", "nothing");
    expect(".", "three parts", "a dot");
    expect("..", "empty", "two dots");
    expect("...", "three parts", "three dots");
    expect(header, "three parts", "the header alone");
    expect(input, "three parts", "header and payload");
    expect(JOIN(input, "."), "empty", "an empty signature");
    expect(JOIN(header, "..", signature), "empty", "an empty payload");
    expect(JOIN(".", payload, ".", signature), "empty", "an empty header");
    expect(maker_sign_input(pool, &secret, UP_HS256, JOIN(header, ".")), "empty",
           "an empty payload that is signed");
    expect(JOIN(good, "."), "three parts", "a dot behind");
    expect(JOIN(".", good), "three parts", "a dot before");
    expect(JOIN(good, ".", signature), "three parts", "four parts");
    expect(JOIN(good, ".x.y"), "three parts", "five parts, as in JWE");
    expect(JOIN(good, " "), "canonical", "a space behind");
    expect(JOIN(" ", good), "canonical", "a space before");
    expect(JOIN(good, "\n"), "canonical", "a newline behind");
    expect(JOIN(good, "="), "canonical", "padding of the signature");
    expect(JOIN(header, "=.", payload, ".", signature), "canonical", "padding of the header");
    expect(maker_sign_input(pool, &secret, UP_HS256, JOIN(header, ".", payload, "==")),
           "payload is not canonical", "padding of the payload that is signed");
    expect(maker_sign_input(pool, &secret, UP_HS256, JOIN(header, "\n.", payload)),
           "header is not canonical", "a newline in the header that is signed");
    expect("{\"payload\":\"e30\",\"signatures\":[]}", "three parts", "JSON serialisation");
#undef JOIN
}

/* The token with exactly this many bytes: padding in both parts, as no part can
 * have 1 more than a multiple of 4 characters. */
static const char *token_of_size(size_t size)
{
    int h, n;

    for (h = 0; h < 3; h++) {
        for (n = 2800; n < 3100; n++) {
            const char *token =
                maker_token(pool, &secret, apr_psprintf(pool, "{\"alg\":\"HS256\"%*s}", h, ""),
                            apr_psprintf(pool, "{" SUB "," EXP "%*s}", n, ""));

            if (strlen(token) == size)
                return token;
        }
    }
    return "no such token";
}

static const char *repeated(const char *text, int count)
{
    char *out = apr_pstrdup(pool, "");

    while (count-- > 0)
        out = apr_pstrcat(pool, out, text, NULL);
    return out;
}

static void test_length(void)
{
    expect(token_of_size(UP_TOKEN_MAX - 1), NULL, "4095 bytes");
    expect(token_of_size(UP_TOKEN_MAX), NULL, "4096 bytes");
    expect(token_of_size(UP_TOKEN_MAX + 1), "longer than 4096", "4097 bytes");
    expect(repeated("x.", 2049), "longer than 4096", "4098 bytes of something else");
}

/* The characters that differ from the last one only in bits that stand for nothing. */
static void test_stray_bits(void)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static const char *headers[] = {"{\"alg\":\"HS256\"}", "{\"alg\":\"HS256\" }",
                                    "{\"alg\":\"HS256\"  }"};
    int i, stray, tried = 0, refused = 0;

    for (i = 0; i < 3; i++) {
        char *part = apr_pstrdup(pool, maker_base64url(pool, headers[i], strlen(headers[i])));
        size_t len = strlen(part);
        char last = part[len - 1];

        for (stray = 1; stray < (len % 4 == 2 ? 16 : len % 4 == 3 ? 4 : 0); stray++) {
            const char *got, *input;

            part[len - 1] = alphabet[(strchr(alphabet, last) - alphabet) | stray];
            input =
                apr_pstrcat(pool, part, ".", maker_base64url(pool, PAYLOAD, strlen(PAYLOAD)), NULL);
            got =
                maker_refusal(pool, &rules, maker_sign_input(pool, &secret, UP_HS256, input), NOW);
            tried++;
            refused += got && strstr(got, "header is not canonical");
        }
    }
    is_int(tried, 18, "18 headers with stray bits, signed as they are");
    is_int(refused, tried, "all of them are refused");
}

/* Everything that is one step away from a good token. */
static void test_neighbours(void)
{
    const char *good = maker_token(pool, &secret, HEADER, PAYLOAD);
    size_t len = strlen(good), i;
    int c, accepted = 0;
    apr_pool_t *outer = pool;

    for (i = 0; i < len; i++) {
        apr_pool_create(&pool, outer);
        for (c = 1; c < 256; c++) {
            char *text = apr_pstrdup(pool, good);

            text[i] = (char)c;
            accepted += (char)c != good[i] && !is_refused(text);
        }
        apr_pool_destroy(pool);
    }
    pool = outer;
    ok(!accepted, "%d tokens with one byte changed are refused", (int)len * 254);

    accepted = 0;
    for (i = 0; i < len; i++) {
        const char *head = apr_pstrndup(pool, good, i);

        accepted += !is_refused(head) + (i && !is_refused(good + i));
        accepted += !is_refused(apr_pstrcat(pool, head, good + i + 1, NULL));
        accepted += !is_refused(apr_psprintf(pool, "%s%c%s", head, good[i], good + i));
    }
    ok(!accepted, "%d tokens cut short at either end, or with a byte left out or doubled",
       (int)len * 4 - 1);
}

int main(void)
{
    static void (*const tests[])(void) = {
        test_json,   test_nul_bytes,  test_depth,      test_parts,
        test_length, test_stray_bits, test_neighbours,
    };
    apr_pool_t *top;
    int i;

    apr_initialize();
    apr_pool_create(&top, NULL);
    secret = maker_new(top, UP_HS256);
    rules = maker_rules(top, &secret, 1);
    for (i = 0; i < COUNT(tests); i++) {
        apr_pool_create(&pool, top);
        tests[i]();
        apr_pool_destroy(pool);
    }
    apr_pool_destroy(top);
    apr_terminate();
    return done_testing();
}
