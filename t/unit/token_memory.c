/* SPDX-License-Identifier: Apache-2.0 */

/* up_token_verify() while memory runs out: every allocation fails in turn, once
 * alone and once with all that follow. A forged token is never accepted: libjwt 1.10
 * reports success where it finds no memory for its copy of the key. */
#include "tap.h"
#include "token_maker.h"

#include <features.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if !__has_feature(address_sanitizer)
#define TORTURE 1
#endif
#else
#define TORTURE 1
#endif
#endif

#ifdef TORTURE

#define NOW 1700000000
#define PAYLOAD "{\"sub\":\"ann@example.org\",\"exp\":1700000060}"

/* glibc's own, below the three that everybody in this process calls. */
extern void *__libc_malloc(size_t size);               // NOLINT
extern void *__libc_calloc(size_t count, size_t size); // NOLINT
extern void *__libc_realloc(void *block, size_t size); // NOLINT

static struct {
    int on;   /* 1: count, and fail where it is said */
    int at;   /* the allocation that fails, from 1 */
    int rest; /* 1: those behind it fail too */
    int seen; /* allocations so far */
} torture;

static int fails(void)
{
    if (!torture.on)
        return 0;
    torture.seen++;
    return torture.seen == torture.at || (torture.rest && torture.seen > torture.at);
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return fails() ? NULL : __libc_realloc(block, size);
}

/* Is the token accepted with that allocation failing? The pool has its memory before. */
static int accepts(apr_pool_t *p, const up_token_rules *rules, const char *token, int at, int rest)
{
    up_claims *claims = NULL;
    up_problem *problem;

    apr_pool_clear(p);
    torture.at = at;
    torture.rest = rest;
    torture.seen = 0;
    torture.on = 1;
    problem = up_token_verify(&claims, rules, token, NOW, p);
    torture.on = 0;
    return !problem;
}

static void test_algorithm(apr_pool_t *top, up_alg alg)
{
    maker key = maker_new(top, alg), other = maker_new(top, alg);
    up_token_rules rules = maker_rules(top, &key, 1);
    const char *header = maker_header(top, alg);
    const char *good = maker_token(top, &key, header, PAYLOAD);
    const char *forged = maker_token(top, &other, header, PAYLOAD);
    apr_pool_t *p;
    int at, rest, wrong = 0, accepted = 0, cases = 0, all;

    apr_pool_create(&p, top);
    /* Twice: what OpenSSL and the pool make once is made. */
    accepts(p, &rules, good, 0, 0);
    ok(accepts(p, &rules, good, 0, 0), "%s: accepted while there is memory", up_alg_name(alg));
    all = torture.seen;
    ok(!accepts(p, &rules, forged, 0, 0), "%s: forged, refused", up_alg_name(alg));
    all = torture.seen > all ? torture.seen : all;
    for (rest = 0; rest <= 1; rest++) {
        /* Behind the first hundreds OpenSSL reads the key, in thousands. */
        for (at = 1; at <= all; at += at < 300 ? 1 : 7) {
            cases++;
            wrong += accepts(p, &rules, forged, at, rest);
            accepted += accepts(p, &rules, good, at, rest);
        }
    }
    ok(all > 0 && !wrong, "%s: forged, refused while one of %d allocations fails (%d tried)",
       up_alg_name(alg), all, cases);
    printf("# the good one is accepted in %d of them\n", accepted);
    ok(accepts(p, &rules, good, 0, 0), "%s: accepted when memory is back", up_alg_name(alg));
}

int main(void)
{
    apr_pool_t *top;

    apr_initialize();
    apr_pool_create(&top, NULL);
    test_algorithm(top, UP_HS256);
    test_algorithm(top, UP_RS256);
    test_algorithm(top, UP_ES256);
    apr_pool_destroy(top);
    apr_terminate();
    return done_testing();
}

#else

int main(void)
{
    printf("1..0 # SKIP allocations cannot be made to fail in this build\n");
    return 0;
}

#endif
