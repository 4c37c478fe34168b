/* SPDX-License-Identifier: Apache-2.0 */

/* up_token_cache_verify(): the same answers as without it, whatever it remembers. That it does
 * remember shows where the key has become another one behind its back. */
#include "service/token_cache.h"

#include "tap.h"
#include "token_maker.h"

#include <apr_general.h>
#include <pthread.h>

#define NOW 1700000000
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static apr_pool_t *pool;
static maker good, other, nobodys;
static up_token_rules rules, spoilt;
static up_token_cache *cache;

static const char *payload_of(const char *sub, const char *more)
{
    return apr_psprintf(pool, "{\"sub\":\"%s\",\"exp\":%d%s}", sub, NOW + 60, more);
}

static const char *token_of(const char *sub, const char *more)
{
    return maker_token(pool, &good, HEADER, payload_of(sub, more));
}

static up_problem *verify_at(up_claims **claims, const up_token_rules *by, const char *token,
                             apr_int64_t now)
{
    *claims = NULL;
    return up_token_cache_verify(cache, claims, by, apr_pstrdup(pool, token), now, pool);
}

/* Is it known: accepted by rules whose key would refuse it now? */
static int is_known(const char *token)
{
    up_key *key = &APR_ARRAY_IDX(rules.keys, 0, up_key), before = *key;
    up_claims *claims;
    up_problem *problem;

    *key = nobodys.key;
    problem = verify_at(&claims, &rules, token, NOW);
    *key = before;
    return !problem && claims;
}

static void forget_all(void)
{
    cache = up_token_cache_create(pool);
}

static int is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_claims(const char *name, const char *token)
{
    up_claims *first, *again;

    forget_all();
    ok(!verify_at(&first, &rules, token, NOW) && is_known(token), "%s: accepted, and known", name);
    ok(!verify_at(&again, &rules, token, NOW) && again && again != first, "... accepted again");
    ok(again && is_same_text(first->subject, again->subject) &&
           is_same_text(first->jti, again->jti) && is_same_text(first->token, again->token) &&
           first->exp == again->exp && first->nbf == again->nbf && first->iat == again->iat,
       "... with the same claims");
    ok(again && json_equal(up_claims_payload(first), up_claims_payload(again)) == 1 &&
           up_claims_payload(again) == up_claims_payload(again),
       "... all of them");
}

static void test_claims(void)
{
    check_claims("sub alone", token_of("ada", ""));
    check_claims("all", token_of("ada@example.com",
                                 ",\"jti\":\"4e8c\",\"iat\":1,\"nbf\":2,\"roles\":[\"viewer\"]"));
    check_claims("before 1970", token_of("ada", ",\"nbf\":-5"));
    check_claims("an empty array", token_of("\xc3\xa4", ",\"roles\":[]"));
}

static void test_times(void)
{
    const char *token = token_of("ada", apr_psprintf(pool, ",\"nbf\":%d", NOW - 60));
    up_claims *claims;
    int i;
    const struct {
        const char *name;
        int at, leeway;
        const char *refusal;
    } cases[] = {{"in the middle", 0, 0, NULL},
                 {"in its last second", 59, 0, NULL},
                 {"at its end", 60, 0, "expired"},
                 {"long after", 100000, 0, "expired"},
                 {"in its first second", -60, 0, NULL},
                 {"too early", -61, 0, "not valid yet"},
                 {"within the leeway after", 69, 10, NULL},
                 {"behind it", 70, 10, "expired"},
                 {"within the leeway before", -70, 10, NULL},
                 {"before that", -71, 10, "not valid yet"},
                 {"in the middle again", 0, 0, NULL}};

    forget_all();
    (void)verify_at(&claims, &rules, token, NOW);
    for (i = 0; i < (int)(sizeof(cases) / sizeof(cases[0])); i++) {
        up_problem *problem, *without;

        rules.leeway = cases[i].leeway;
        ok(is_known(token), "%s: it is known", cases[i].name);
        problem = verify_at(&claims, &rules, token, NOW + cases[i].at);
        ok(cases[i].refusal ? problem && !claims && strstr(problem->log, cases[i].refusal)
                            : !problem && claims,
           "%s: %s", cases[i].name, cases[i].refusal ? cases[i].refusal : "accepted");
        claims = NULL;
        without = up_token_verify(&claims, &rules, token, NOW + cases[i].at, pool);
        ok(problem ? without && strcmp(problem->log, without->log) == 0 : !without,
           "... as without a cache");
    }
    rules.leeway = 0;
}

static void refused(const char *name, const char *token)
{
    up_claims *claims;
    int i;

    for (i = 0; i < 2; i++) {
        up_problem *problem = verify_at(&claims, &rules, token, NOW);

        ok(problem && problem->code == UP_INVALID_CREDENTIALS && !claims, "refused: %s", name);
    }
    ok(!is_known(token), "... and not known");
}

/* Each beside a known one that it is like. */
static void test_refused(void)
{
    const char *token = token_of("ada", ",\"jti\":\"1\"");
    char *text;
    up_claims *claims;
    int i;

    forget_all();
    ok(!verify_at(&claims, &rules, token, NOW), "a good one");
    refused("empty", "");
    refused("a character more", apr_pstrcat(pool, token, "A", NULL));
    refused("a part more", apr_pstrcat(pool, token, ".", NULL));
    refused("padded", apr_pstrcat(pool, token, "=", NULL));
    for (i = 0; i < (int)strlen(token); i += 7) {
        text = apr_pstrdup(pool, token);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        refused(apr_psprintf(pool, "character %d is another", i), text);
    }
    refused("a character less", apr_pstrmemdup(pool, token, strlen(token) - 1));
    refused("of another key",
            maker_token(pool, &other, HEADER, payload_of("ada", ",\"jti\":\"1\"")));
    refused("expired", maker_token(pool, &good, HEADER, "{\"sub\":\"ada\",\"exp\":1}"));
    text = apr_pcalloc(pool, UP_TOKEN_MAX + 2);
    memset(text, 'A', UP_TOKEN_MAX + 1);
    refused("too long", text);
    ok(is_known(token), "the good one is still known");
}

/* What one contract takes another need not. */
static void test_rules(void)
{
    const char *token = token_of("ada", ",\"type\":\"access\"");
    up_token_rules strict = maker_rules(pool, &good, 1), named = strict;
    up_claim_rule *rule;
    up_claims *claims;

    named.claims = apr_array_make(pool, 1, sizeof(up_claim_rule));
    rule = apr_array_push(named.claims);
    *rule = (up_claim_rule){"type", apr_array_make(pool, 1, sizeof(const char *))};
    APR_ARRAY_PUSH(rule->values, const char *) = "refresh";
    forget_all();
    ok(!verify_at(&claims, &rules, token, NOW), "accepted by rules");
    ok(verify_at(&claims, &spoilt, token, NOW) != NULL, "... is refused by those of another key");
    ok(verify_at(&claims, &named, token, NOW) != NULL, "... and by those that want a claim");
    ok(!verify_at(&claims, &strict, token, NOW), "... and accepted by others");
    ok(verify_at(&claims, &named, token, NOW) != NULL, "... and then refused as before");
}

static void test_lengths(void)
{
    char *sub = apr_pcalloc(pool, UP_SUBJECT_MAX + 1);
    int len;

    for (len = UP_TOKEN_CACHE_TEXT - 8; len <= UP_TOKEN_CACHE_TEXT + 2; len++) {
        const char *token;
        up_claims *claims;

        memset(sub, 'a', (size_t)len);
        token = token_of(sub, ",\"jti\":\"1234\"");
        forget_all();
        ok(!verify_at(&claims, &rules, token, NOW) && (int)strlen(claims->subject) == len,
           "a sub of %d bytes", len);
        is_int(is_known(token), len + 6 <= UP_TOKEN_CACHE_TEXT, "... is known where it has room");
        ok(!verify_at(&claims, &rules, token, NOW) && (int)strlen(claims->subject) == len &&
               strcmp(claims->jti, "1234") == 0,
           "... and accepted again");
    }
}

/* Twice as many tokens as there is room for. */
static void test_full(void)
{
    const char *tokens[2 * UP_TOKEN_CACHE_ENTRIES];
    int count = 2 * UP_TOKEN_CACHE_ENTRIES, wrong = 0, known = 0, i;

    forget_all();
    for (i = 0; i < count; i++) {
        up_claims *claims;
        const char *sub = apr_psprintf(pool, "user%d", i);

        tokens[i] = token_of(sub, "");
        wrong += verify_at(&claims, &rules, tokens[i], NOW) || strcmp(claims->subject, sub) != 0;
        /* One that is asked for all the time stays. */
        wrong +=
            verify_at(&claims, &rules, tokens[0], NOW) || strcmp(claims->subject, "user0") != 0;
    }
    is_int(wrong, 0, "twice as many as there is room for: each is accepted as who it is");
    ok(is_known(tokens[0]), "the one that is asked for most is known");
    for (i = 0; i < count; i++)
        known += is_known(tokens[i]);
    ok(known > UP_TOKEN_CACHE_ENTRIES / 2 && known <= UP_TOKEN_CACHE_ENTRIES,
       "%d of %d are known, no more than there is room for", known, count);
}

#define THREADS 8
#define TURNS 20000

static const char *shared_tokens[64];

static void *ask(void *arg)
{
    apr_pool_t *p;
    long wrong = 0;
    int i;

    (void)arg;
    apr_pool_create(&p, NULL);
    for (i = 0; i < TURNS; i++) {
        int which = (i * 7 + i / 64) % 64;
        up_claims *claims = NULL;
        up_problem *problem =
            up_token_cache_verify(cache, &claims, &rules, shared_tokens[which], NOW, p);

        wrong += problem || strcmp(claims->jti, apr_psprintf(p, "jti%d", which)) != 0;
        if (i % 100 == 0)
            apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return (void *)wrong;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    long wrong = 0;
    int i;

    forget_all();
    for (i = 0; i < 64; i++)
        shared_tokens[i] = token_of("ada", apr_psprintf(pool, ",\"jti\":\"jti%d\"", i));
    for (i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, ask, NULL);
    for (i = 0; i < THREADS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        wrong += (long)result;
    }
    is_int(wrong, 0, "eight threads: each gets the claims of the token that it asked about");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    good = maker_new(pool, UP_HS256);
    other = maker_new(pool, UP_HS256);
    nobodys = maker_new(pool, UP_HS256);
    rules = maker_rules(pool, &good, 1);
    spoilt = maker_rules(pool, &other, 1);
    test_claims();
    test_times();
    test_refused();
    test_rules();
    test_lengths();
    test_full();
    test_threads();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
