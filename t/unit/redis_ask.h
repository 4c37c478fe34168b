/* SPDX-License-Identifier: Apache-2.0 */

/** What the tests of a token store in trouble share: a store with short limits,
 *  questions to it from one thread or from many, and what a failure must look like. */
#ifndef UP_TEST_REDIS_ASK_H
#define UP_TEST_REDIS_ASK_H

#include "adapters/redis_resolve.h"
#include "adapters/redis_tokens.h"
#include "redis_fake.h"
#include "redis_server.h"
#include "tap.h"

#include <apr_general.h>
#include <apr_strings.h>

/** What a call may take beyond its limit, on a busy machine under a sanitizer. */
#define SLACK apr_time_from_msec(1500)
#define TIMEOUT apr_time_from_msec(700)

static apr_pool_t *pool; /* of one test */

__attribute__((unused)) static up_token_store *store_at(const char *url, int max)
{
    up_redis_settings settings = {
        .timeout = TIMEOUT, .scan_timeout = 3 * TIMEOUT, .max_connections = max};

    if (up_redis_parse(pool, url, &settings))
        return NULL;
    return up_redis_tokens_create(pool, &settings, NULL);
}

__attribute__((unused)) static up_token_store *store_at_port(int port, int max)
{
    return store_at(apr_psprintf(pool, "redis://127.0.0.1:%d", port), max);
}

/** 0 or 1; -1 for a problem, whose log is then kept. */
static const char *last_log;

__attribute__((unused)) static int revoked(up_token_store *store)
{
    int answer = -1;
    up_problem *problem = store->is_revoked(store, pool, "secret-jti", &answer);

    last_log = problem ? problem->log : NULL;
    if (!problem)
        return answer;
    ok(problem->code == UP_SERVICE_UNAVAILABLE && answer == 1,
       "a problem: unavailable, and no token is let through");
    ok(last_log && !strstr(last_log, "secret-jti"), "  logged without a jti: %s", last_log);
    return -1;
}

__attribute__((unused)) static int logged(const char *word)
{
    return last_log && strstr(last_log, word) != NULL;
}

/** Does it fail within the limit, and say so? */
__attribute__((unused)) static void fails(up_token_store *store, const char *name, const char *word)
{
    apr_time_t start = up_clock(), took;
    int answer = revoked(store);

    took = up_clock() - start;
    is_int(answer, -1, name);
    ok(logged(word), "  for the reason '%s'", word);
    ok(took < TIMEOUT + SLACK, "  within %d ms", (int)(took / 1000));
}

__attribute__((unused)) static int sessions_fail(up_token_store *store, const char *word)
{
    up_problem *problem = store->revoke_sessions(store, pool, "secret@x");

    last_log = problem ? problem->log : "";
    printf("# %s\n", last_log);
    return problem && problem->code == UP_SERVICE_UNAVAILABLE && logged(word) &&
           logged("unfinished") && !logged("secret@x");
}

typedef struct asker {
    pthread_t thread;
    up_token_store *store;
    int answer;
    apr_time_t took;
    char log[256];
} asker;

__attribute__((unused)) static void *ask_once(void *data)
{
    asker *a = data;
    apr_pool_t *p;
    up_problem *problem;
    apr_time_t start = up_clock();

    apr_pool_create(&p, NULL);
    problem = a->store->is_revoked(a->store, p, "secret-jti", &a->answer);
    a->took = up_clock() - start;
    if (problem) {
        a->answer = -1;
        apr_cpystrn(a->log, problem->log, sizeof(a->log));
    }
    apr_pool_destroy(p);
    return NULL;
}

/** count threads ask at once; between runs while they wait. Returns how many got an answer. */
__attribute__((unused)) static int ask_at_once(up_token_store *store, asker *askers, int count,
                                               void (*between)(void))
{
    int answered = 0;

    for (int i = 0; i < count; i++) {
        askers[i].store = store;
        askers[i].log[0] = '\0';
        pthread_create(&askers[i].thread, NULL, ask_once, &askers[i]);
    }
    if (between)
        between();
    for (int i = 0; i < count; i++) {
        pthread_join(askers[i].thread, NULL);
        answered += askers[i].answer == 0;
    }
    return answered;
}

/** The same text for each command. */
__attribute__((unused)) static void say_text(fake *f, int fd, int nth)
{
    (void)nth;
    while (fake_read(f, fd) && fake_write(fd, f->text, f->text_len))
        ;
}

/** Starts a server with this script, and a store on it. */
__attribute__((unused)) static fake *fake_store(up_token_store **store, fake_script script,
                                                const char *text, int delay)
{
    fake *f = fake_start(script, text, delay);

    *store = store_at_port(f->port, 4);
    return f;
}

/** With a pool of its own, after which no descriptor may be left. */
__attribute__((unused)) static void in_pool(void (*test)(void))
{
    int before = count_descriptors();

    apr_pool_create(&pool, NULL);
    test();
    apr_pool_destroy(pool);
    is_int(count_descriptors(), before, "no descriptor is left");
}

#endif
