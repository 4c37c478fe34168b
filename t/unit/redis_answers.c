/* SPDX-License-Identifier: Apache-2.0 */

/** What is known of keys: what makes an answer void, that nothing else does, and that it is
 * bounded. */
#include "adapters/redis_answers.h"
#include "tap.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static apr_pool_t *pool;
static up_redis_changes changes;

static up_redis_question take(const up_redis_answers *answers, const char *key, apr_uint64_t era,
                              apr_time_t now)
{
    up_redis_question question;

    up_redis_question_take(answers, key, strlen(key), era, now, &question);
    return question;
}

static int known(const up_redis_answers *answers, const char *key, apr_uint64_t era, apr_time_t now)
{
    const up_redis_question question = take(answers, key, era, now);

    return up_redis_answers_have(answers, &question);
}

static void keep(up_redis_answers *answers, const char *key, apr_uint64_t era, apr_time_t now)
{
    const up_redis_question question = take(answers, key, era, now);

    up_redis_answers_keep(answers, &question);
}

static void test_what_voids(void)
{
    up_redis_answers *answers = up_redis_answers_create(pool, &changes);
    up_redis_answers *other = up_redis_answers_create(pool, &changes);
    up_redis_question before;

    is_int(known(answers, "k:1", 1, 5), 0, "nothing is known at first");
    keep(answers, "k:1", 1, 5);
    is_int(known(answers, "k:1", 1, 5), 1, "then what was kept");
    is_int(known(answers, "k:2", 1, 5) + known(answers, "k:", 1, 5) + known(answers, "", 1, 5) +
               known(answers, "k:1 ", 1, 5),
           0, "of no other key");
    is_int(known(other, "k:1", 1, 5), 0, "in no other process");
    is_int(known(answers, "k:1", 2, 5) + known(answers, "k:1", 0, 5), 0, "in no other era");
    up_redis_changes_note(&changes, "k:1", 3);
    is_int(known(answers, "k:1", 1, 5), 0, "not after a change");
    keep(answers, "k:1", 1, 5);
    is_int(known(answers, "k:1", 1, 5), 1, "unless it was asked for again");

    before = take(answers, "k:3", 1, 5);
    up_redis_changes_note(&changes, "k:3", 3);
    up_redis_answers_keep(answers, &before);
    is_int(known(answers, "k:3", 1, 5), 0, "a change between question and answer voids the answer");
    before = take(answers, "k:4", 1, 5);
    up_redis_answers_keep(answers, &before);
    is_int(known(answers, "k:4", 2, 5), 0, "so does a new era");
}

static void test_age(void)
{
    up_redis_answers *answers = up_redis_answers_create(pool, &changes);
    int soon = 0, late = 0;

    for (int i = 0; i < 1000; i++) {
        const char *key = apr_psprintf(pool, "k:%d", i);

        keep(answers, key, 1, 1);
        soon += known(answers, key, 1, 1 + UP_REDIS_ANSWER_LIFE / 2);
        late += known(answers, key, 1, 2 + UP_REDIS_ANSWER_LIFE);
    }
    ok(soon > 200 && soon < 800, "%d of a thousand answers are kept for half of their life", soon);
    is_int(late, 0, "none is after it");
}

static void test_bounds(void)
{
    const int count = 2 * UP_REDIS_ANSWERS_MAX;
    up_redis_answers *answers = up_redis_answers_create(pool, &changes);
    int kept = 0, half = 0;
    char longest[UP_REDIS_ANSWER_KEY_MAX + 1] = {0};

    for (int i = 0; i < count; i++) {
        char key[32];

        apr_snprintf(key, sizeof(key), "key:%d", i);
        keep(answers, key, 1, 1);
        if (i == UP_REDIS_ANSWERS_MAX / 2)
            for (int j = 0; j < i; j++) {
                apr_snprintf(key, sizeof(key), "key:%d", j);
                half += known(answers, key, 1, 1);
            }
    }
    for (int i = 0; i < count; i++) {
        char key[32];

        apr_snprintf(key, sizeof(key), "key:%d", i);
        kept += known(answers, key, 1, 1);
    }
    ok(half > UP_REDIS_ANSWERS_MAX / 2 * 8 / 10, "half full it has %d %% of them",
       200 * half / UP_REDIS_ANSWERS_MAX);
    ok(kept <= UP_REDIS_ANSWERS_MAX && kept > UP_REDIS_ANSWERS_MAX / 2,
       "of twice as many as it can hold it holds %d", kept);
    memset(longest, 'x', UP_REDIS_ANSWER_KEY_MAX);
    keep(answers, longest, 1, 1);
    is_int(known(answers, longest, 1, 1), 1, "the longest key");
    longest[UP_REDIS_ANSWER_KEY_MAX - 1] = 'y';
    is_int(known(answers, longest, 1, 1), 0, "counts to its last byte");
}

/* --- Threads -------------------------------------------------------------------------------- */

#define KEYS 100
#define THREADS 2
static up_redis_answers *shared;
static _Atomic char is_there[KEYS]; /* for Redis 1; 2 when that is noted, too */
static _Atomic int current; /* this key and the one before it are asked for; KEYS: none is */

/** Asks as requests do. What was noted before must be known. */
static void *ask(void *data)
{
    unsigned int seed = *(unsigned int *)data;
    long wrong = 0;

    for (int i; (i = current) < KEYS;) {
        int noted;
        char key[16];
        up_redis_question question;

        i -= i > 0 && rand_r(&seed) % 2;
        noted = is_there[i] == 2;
        apr_snprintf(key, sizeof(key), "t:%d", i);
        question = take(shared, key, 1, 1);
        if (up_redis_answers_have(shared, &question))
            wrong += noted;
        else if (!is_there[i])
            up_redis_answers_keep(shared, &question);
    }
    return (void *)wrong;
}

static void test_threads(void)
{
    unsigned int seeds[THREADS] = {1, 2};
    pthread_t threads[THREADS];
    long wrong = 0;

    shared = up_redis_answers_create(pool, &changes);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, ask, &seeds[i]);
    for (int i = 0; i < KEYS; i++) {
        char key[16];

        apr_snprintf(key, sizeof(key), "t:%d", i);
        current = i;
        while (!known(shared, key, 1, 1))
            sched_yield();
        is_there[i] = 1;
        up_redis_changes_note(&changes, key, strlen(key));
        is_there[i] = 2;
    }
    current = KEYS;
    for (int i = 0; i < THREADS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        wrong += (long)result;
    }
    is_int(wrong, 0, "threads never know what was noted to be otherwise");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_what_voids();
    test_age();
    test_bounds();
    test_threads();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
