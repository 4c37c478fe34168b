/* SPDX-License-Identifier: Apache-2.0 */

/* up_token_verify(): what the header and the claims must be. Every token here has
 * a signature that holds. */
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

static void test_header(void)
{
    static const text_case cases[] = {
        {HEADER, NULL},
        {" \t\r\n{ \"alg\" : \"HS256\" } \n", NULL},
        {"{\"alg\":\"HS\\u003256\"}", NULL},
        {"{\"alg\":\"HS256\",\"typ\":\"JWT\"}", NULL},
        {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}", NULL},
        {"{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", "typ"},
        {"{\"alg\":\"HS256\",\"typ\":\"\"}", "typ"},
        {"{\"alg\":\"HS256\",\"typ\":\" JWT\"}", "typ"},
        {"{\"alg\":\"HS256\",\"typ\":null}", "typ"},
        {"{\"alg\":\"HS256\",\"typ\":[\"JWT\"]}", "typ"},
        {"{}", "no alg"},
        {"{\"ALG\":\"HS256\"}", "no alg"},
        {"{\"alg\":null}", "no alg"},
        {"{\"alg\":256}", "no alg"},
        {"{\"alg\":true}", "no alg"},
        {"{\"alg\":[\"HS256\"]}", "no alg"},
        {"{\"alg\":{\"HS256\":\"HS256\"}}", "no alg"},
        {"{\"alg\":\"\"}", "alg is none of"},
        {"{\"alg\":\"none\"}", "alg is none of"},
        {"{\"alg\":\"None\"}", "alg is none of"},
        {"{\"alg\":\"NONE\"}", "alg is none of"},
        {"{\"alg\":\"nOnE\"}", "alg is none of"},
        {"{\"alg\":\"hs256\"}", "alg is none of"},
        {"{\"alg\":\"Hs256\"}", "alg is none of"},
        {"{\"alg\":\"HS256 \"}", "alg is none of"},
        {"{\"alg\":\" HS256\"}", "alg is none of"},
        {"{\"alg\":\"HS256\\n\"}", "alg is none of"},
        {"{\"alg\":\"PS256\"}", "alg is none of"},
        {"{\"alg\":\"EdDSA\"}", "alg is none of"},
        {"{\"alg\":\"HS256\\u0000\"}", "U+0000"},
        {"{\"alg\\u0000\":\"HS256\"}", "U+0000"},
        {"{\"alg\":\"HS384\"}", "No key"},
        {"{\"alg\":\"RS256\"}", "No key"},
        {"{\"alg\":\"ES256\"}", "No key"},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", "member twice"},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", "member twice"},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "member twice"},
        {"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", "member twice"},
        {"{\"alg\":\"HS256\",\"x\":{\"a\":1,\"a\":1}}", "member twice"},
        {"{\"alg\":\"HS256\",\"x\":[[{\"a\":1,\"b\":2,\"a\":3}]]}", "member twice"},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", "crit"},
        {"{\"alg\":\"HS256\",\"crit\":[\"http://example.org/x\"]}", "crit"},
        {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "crit"},
        {"{\"alg\":\"HS256\",\"crit\":[]}", "crit"},
        {"{\"alg\":\"HS256\",\"crit\":null}", "crit"},
        {"{\"alg\":\"HS256\",\"crit\":\"\"}", "crit"},
        {"{\"alg\":\"HS256\",\"b64\":false}", "b64"},
        {"{\"alg\":\"HS256\",\"b64\":true}", "b64"},
        {"{\"alg\":\"HS256\",\"b64\":null}", "b64"},
        {"{\"alg\":\"HS256\",\"zip\":\"DEF\"}", NULL},
        {"{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1:9/\",\"x5u\":\"http://127.0.0.1:9/\"}",
         NULL},
        {"{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"},\"x5c\":[\"AA\"]}", NULL},
        {"{\"alg\":\"HS256\",\"kid\":\"any\"}", NULL},
        {"{\"alg\":\"HS256\",\"kid\":\"\"}", NULL},
        {"{\"alg\":\"HS256\",\"kid\":1}", "kid"},
        {"{\"alg\":\"HS256\",\"kid\":null}", "kid"},
        {"{\"alg\":\"HS256\",\"kid\":[\"any\"]}", "kid"},
    };
    int i;

    for (i = 0; i < COUNT(cases); i++)
        expect(maker_token(pool, &secret, cases[i].json, PAYLOAD), cases[i].words,
               apr_pstrcat(pool, "header ", printable(cases[i].json), NULL));
}

static void test_claims(void)
{
    static const text_case cases[] = {
        {PAYLOAD, NULL},
        {"{" SUB "}", "no exp"},
        {"{" EXP "}", "no sub"},
        {"{}", "no exp"},
        {"{" SUB ",\"EXP\":1700000060}", "no exp"},
        {"{" SUB ",\"exp\":\"1700000060\"}", "exp is not a whole"},
        {"{" SUB ",\"exp\":1700000060.0}", "exp is not a whole"},
        {"{" SUB ",\"exp\":1700000060.5}", "exp is not a whole"},
        {"{" SUB ",\"exp\":1e10}", "exp is not a whole"},
        {"{" SUB ",\"exp\":2E9}", "exp is not a whole"},
        {"{" SUB ",\"exp\":null}", "exp is not a whole"},
        {"{" SUB ",\"exp\":true}", "exp is not a whole"},
        {"{" SUB ",\"exp\":[1700000060]}", "exp is not a whole"},
        {"{" SUB ",\"exp\":{}}", "exp is not a whole"},
        {"{" SUB ",\"exp\":-1}", "exp is negative"},
        {"{" SUB ",\"exp\":-9223372036854775808}", "exp is negative"},
        {"{" SUB ",\"exp\":0}", "expired"},
        {"{" SUB ",\"exp\":9223372036854775807}", NULL},
        {"{" SUB ",\"exp\":9223372036854775808}", "64 bits"},
        {"{" SUB ",\"exp\":18446744073709551615}", "64 bits"},
        {"{" SUB "," EXP ",\"exp\":1}", "member twice"},
        {"{" SUB ",\"exp\":1," EXP "}", "member twice"},
        {"{" SUB "," SUB "," EXP "}", "member twice"},
        {"{" SUB ",\"s\\u0075b\":\"bob\"," EXP "}", "member twice"},
        {"{" SUB "," EXP ",\"x\":{\"y\":[{\"z\":1,\"z\":1}]}}", "member twice"},
        {"{" SUB "," EXP ",\"nbf\":1700000000}", NULL},
        {"{" SUB "," EXP ",\"nbf\":1700000001}", "not valid yet"},
        {"{" SUB "," EXP ",\"nbf\":9223372036854775807}", "not valid yet"},
        {"{" SUB "," EXP ",\"nbf\":0}", NULL},
        {"{" SUB "," EXP ",\"nbf\":-1}", NULL},
        {"{" SUB "," EXP ",\"nbf\":-9223372036854775808}", NULL},
        {"{" SUB "," EXP ",\"nbf\":1.0}", "nbf is not a whole"},
        {"{" SUB "," EXP ",\"nbf\":\"1\"}", "nbf is not a whole"},
        {"{" SUB "," EXP ",\"nbf\":null}", "nbf is not a whole"},
        {"{" SUB "," EXP ",\"nbf\":false}", "nbf is not a whole"},
        {"{" SUB "," EXP ",\"iat\":0}", NULL},
        {"{" SUB "," EXP ",\"iat\":9223372036854775807}", NULL},
        {"{" SUB "," EXP ",\"iat\":-1}", "iat is negative"},
        {"{" SUB "," EXP ",\"iat\":1.5}", "iat is not a whole"},
        {"{" SUB "," EXP ",\"iat\":\"0\"}", "iat is not a whole"},
        {"{" SUB "," EXP ",\"iat\":null}", "iat is not a whole"},
        {"{\"sub\":\"\"," EXP "}", "sub is not a string, or empty"},
        {"{\"sub\":null," EXP "}", "sub is not a string, or empty"},
        {"{\"sub\":1," EXP "}", "sub is not a string, or empty"},
        {"{\"sub\":[\"ann\"]," EXP "}", "sub is not a string, or empty"},
        {"{\"sub\":{\"ann\":1}," EXP "}", "sub is not a string, or empty"},
        {"{\"sub\":\"ann\\u0000bob\"," EXP "}", "U+0000"},
        {"{\"sub\":\"\\u0000\"," EXP "}", "U+0000"},
        {"{\"sub\":\"ann\\u0001\"," EXP "}", "sub has control"},
        {"{\"sub\":\"\\r\\nann\"," EXP "}", "sub has control"},
        {"{\"sub\":\"a\\u001fnn\"," EXP "}", "sub has control"},
        {"{\"sub\":\"ann\\u007f\"," EXP "}", "sub has control"},
        {"{\"sub\":\"ann\x7f\"," EXP "}", "sub has control"},
        {"{\"sub\":\"a\\u0080nn\"," EXP "}", "sub has control"},
        {"{\"sub\":\"a\xc2\x85nn\"," EXP "}", "sub has control"},
        {"{\"sub\":\"ann\\u009f\"," EXP "}", "sub has control"},
        {"{\"sub\":\"ann\\u00a0\"," EXP "}", NULL},
        {"{\"sub\":\"\xc3\x85nn\xf0\x9f\x98\x80\"," EXP "}", NULL},
        {"{\"sub\":\" \"," EXP "}", NULL},
        {"{" SUB "," EXP ",\"jti\":\"1\"}", NULL},
        {"{" SUB "," EXP ",\"jti\":\"%s%n%b* \"}", NULL},
        {"{" SUB "," EXP ",\"jti\":\"\"}", "jti is not a string, or empty"},
        {"{" SUB "," EXP ",\"jti\":1}", "jti is not a string, or empty"},
        {"{" SUB "," EXP ",\"jti\":null}", "jti is not a string, or empty"},
        {"{" SUB "," EXP ",\"jti\":\"a\\r\\nDEL x\"}", "jti has control"},
        {"{" SUB "," EXP ",\"jti\":\"a\\u0085\"}", "jti has control"},
        {"{" SUB "," EXP ",\"jti\":\"a\\u0000\"}", "U+0000"},
    };
    int i;

    for (i = 0; i < COUNT(cases); i++)
        expect(maker_token(pool, &secret, HEADER, cases[i].json), cases[i].words,
               apr_pstrcat(pool, "payload ", printable(cases[i].json), NULL));
}

static const char *repeated(const char *text, int count)
{
    char *out = apr_pstrdup(pool, "");

    while (count-- > 0)
        out = apr_pstrcat(pool, out, text, NULL);
    return out;
}

static void expect_payload(const char *format, const char *value, const char *words,
                           const char *name)
{
    expect(maker_token(pool, &secret, HEADER, apr_psprintf(pool, format, value)), words, name);
}

static void test_sizes(void)
{
    const char *sub = "{\"sub\":\"%s\"," EXP "}", *jti = "{" SUB "," EXP ",\"jti\":\"%s\"}";

    expect_payload(sub, repeated("x", UP_SUBJECT_MAX), NULL, "a sub of 1024 bytes");
    expect_payload(sub, repeated("x", UP_SUBJECT_MAX + 1), "longer", "a sub of 1025 bytes");
    expect_payload(sub, repeated("\xc3\xa4", UP_SUBJECT_MAX / 2), NULL, "a sub of 512 ä");
    expect_payload(sub, repeated("\xc3\xa4", UP_SUBJECT_MAX / 2 + 1), "longer", "one of 513 ä");
    expect_payload(jti, repeated("x", UP_JTI_MAX), NULL, "a jti of 512 bytes");
    expect_payload(jti, repeated("x", UP_JTI_MAX + 1), "longer", "a jti of 513 bytes");
}

typedef struct time_case {
    apr_int64_t exp, nbf, now;
    int leeway;
    const char *words;
} time_case;

static void test_times(void)
{
    static const time_case cases[] = {
        {101, 0, 100, 0, NULL},
        {100, 0, 100, 0, "expired"},
        {99, 0, 100, 0, "expired"},
        {100, 0, 100, 1, NULL},
        {99, 0, 100, 1, "expired"},
        {1000, 0, 1299, 300, NULL},
        {1000, 0, 1300, 300, "expired"},
        {1000, 100, 100, 0, NULL},
        {1000, 101, 100, 0, "not valid yet"},
        {1000, 101, 100, 1, NULL},
        {1000, 102, 100, 1, "not valid yet"},
        {1000, 400, 100, 300, NULL},
        {1000, 401, 100, 300, "not valid yet"},
        {0, 0, 0, 0, "expired"},
        {0, 0, 0, 1, NULL},
        {1, 0, 0, 0, NULL},
        {APR_INT64_MAX, 0, 100, 300, NULL},
        {APR_INT64_MAX, 0, APR_INT64_MAX, 0, "expired"},
        {APR_INT64_MAX, 0, APR_INT64_MAX, 300, NULL},
        {APR_INT64_MAX, APR_INT64_MAX, APR_INT64_MAX - 1, 0, "not valid yet"},
        {APR_INT64_MAX, APR_INT64_MAX, APR_INT64_MAX - 1, 300, NULL},
        {APR_INT64_MAX, APR_INT64_MAX, 0, 300, "not valid yet"},
        {1000, APR_INT64_MIN, 100, 300, NULL},
        {1000, APR_INT64_MIN, 0, 300, NULL},
    };
    up_token_rules timed = rules;
    int i;

    for (i = 0; i < COUNT(cases); i++) {
        const time_case *c = &cases[i];
        const char *payload = apr_psprintf(
            pool, "{" SUB ",\"exp\":%" APR_INT64_T_FMT ",\"nbf\":%" APR_INT64_T_FMT "}", c->exp,
            c->nbf);
        const char *got;

        timed.leeway = c->leeway;
        got = maker_refusal(pool, &timed, maker_token(pool, &secret, HEADER, payload), c->now);
        ok(c->words ? got && strstr(got, c->words) : !got, "%s at %" APR_INT64_T_FMT " leeway %d",
           payload, c->now, c->leeway);
    }
}

typedef struct rule_case {
    const char *claim;  /* the claim's value as JSON, or NULL: it is missing */
    const char *values; /* of the rule, apart by spaces, or NULL: any */
    int accepted;
} rule_case;

static void test_rules(void)
{
    static const rule_case cases[] = {
        {"\"access\"", "access", 1},
        {"\"refresh\"", "access", 0},
        {"\"ACCESS\"", "access", 0},
        {"\"access \"", "access", 0},
        {"\"acces\"", "access", 0},
        {"\"\"", "access", 0},
        {NULL, "access", 0},
        {"null", "access", 0},
        {"true", "true", 0},
        {"1", "1", 0},
        {"{\"access\":\"access\"}", "access", 0},
        {"\"b\"", "a b c", 1},
        {"\"d\"", "a b c", 0},
        {"[\"b\"]", "a b c", 1},
        {"[\"x\",\"y\",\"c\"]", "a b c", 1},
        {"[\"b\",\"x\"]", "a b c", 1},
        {"[\"x\",\"y\"]", "a b c", 0},
        {"[]", "a b c", 0},
        {"[[\"b\"]]", "a b c", 0},
        {"[\"b\",1]", "a b c", 0},
        {"[1,\"b\"]", "a b c", 0},
        {"[\"b\",null]", "a b c", 0},
        {"\"x\"", NULL, 1},
        {"\"\"", NULL, 0},
        {NULL, NULL, 0},
        {"null", NULL, 0},
        {"1", NULL, 0},
        {"[\"x\"]", NULL, 0},
        {"{}", NULL, 0},
        {"\"\"", "", 0},
    };
    int i;

    for (i = 0; i < COUNT(cases); i++) {
        const rule_case *c = &cases[i];
        up_token_rules claimed = rules;
        up_claim_rule rule = {"type", NULL};
        const char *payload =
            c->claim ? apr_psprintf(pool, "{" SUB "," EXP ",\"type\":%s}", c->claim) : PAYLOAD;
        char *values = apr_pstrdup(pool, c->values ? c->values : ""), *state, *value;
        const char *got;

        if (c->values)
            rule.values = apr_array_make(pool, 3, sizeof(const char *));
        for (value = strtok_r(values, " ", &state); value; value = strtok_r(NULL, " ", &state))
            APR_ARRAY_PUSH(rule.values, const char *) = value;
        claimed.claims = apr_array_make(pool, 1, sizeof(up_claim_rule));
        APR_ARRAY_PUSH(claimed.claims, up_claim_rule) = rule;
        got = maker_refusal(pool, &claimed, maker_token(pool, &secret, HEADER, payload), NOW);
        ok(c->accepted ? !got : got && strstr(got, "claim type"), "type %s where %s is asked for",
           c->claim ? c->claim : "(missing)", c->values ? c->values : "any");
    }
}

static void test_many_rules(void)
{
    up_token_rules claimed = rules;
    up_claim_rule issuer = {"iss", apr_array_make(pool, 1, sizeof(const char *))};
    up_claim_rule id = {"jti", NULL};

    APR_ARRAY_PUSH(issuer.values, const char *) = "here";
    claimed.claims = apr_array_make(pool, 2, sizeof(up_claim_rule));
    APR_ARRAY_PUSH(claimed.claims, up_claim_rule) = issuer;
    APR_ARRAY_PUSH(claimed.claims, up_claim_rule) = id;
#define REFUSAL(members)                                                                           \
    maker_refusal(pool, &claimed, maker_token(pool, &secret, HEADER, "{" SUB "," EXP members "}"), \
                  NOW)
    ok(!REFUSAL(",\"iss\":\"here\",\"jti\":\"1\""), "two rules, both kept");
    ok(REFUSAL(",\"iss\":\"here\""), "two rules, the first kept");
    ok(REFUSAL(",\"iss\":\"there\",\"jti\":\"1\""), "two rules, the second kept");
    ok(REFUSAL(""), "two rules, none kept");
#undef REFUSAL
}

static void test_result(void)
{
    up_claims *claims = NULL;
    up_problem *problem;

    problem = up_token_verify(&claims, &rules,
                              maker_token(pool, &secret, HEADER,
                                          "{\"sub\":\"a\\u00e9\",\"exp\":1700000001,"
                                          "\"iat\":12,\"jti\":\"j\",\"roles\":[\"viewer\"]}"),
                              NOW, pool);
    ok(!problem && claims, "a token with all claims is accepted");
    if (!claims)
        return;
    is(claims->subject, "a\xc3\xa9", "its sub");
    is(claims->jti, "j", "its jti");
    is_int(claims->exp, 1700000001, "its exp");
    is_int(claims->iat, 12, "its iat");
    is_int(json_array_size(json_object_get(claims->payload, "roles")), 1, "its roles");

    up_token_verify(&claims, &rules, maker_token(pool, &secret, HEADER, PAYLOAD), NOW, pool);
    ok(!claims->jti, "without jti there is none");
    is_int(claims->iat, -1, "without iat it is -1");

    claims = NULL;
    problem = up_token_verify(&claims, &rules, "s3cr3t.t0ken.here", NOW, pool);
    ok(problem && !claims, "a refusal leaves the claims alone");
    is_int(problem->code, UP_INVALID_CREDENTIALS, "its code");
    ok(problem->log && !strstr(problem->log, "s3cr3t"), "its log has no part of the token");
    is(problem->message, up_code_message(UP_INVALID_CREDENTIALS), "the client learns no reason");
}

int main(void)
{
    static void (*const tests[])(void) = {
        test_header, test_claims, test_sizes, test_times, test_rules, test_many_rules, test_result,
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
