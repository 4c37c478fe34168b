/* SPDX-License-Identifier: Apache-2.0 */

/** A token store that lets tokens through where the one behind it cannot be asked: only then,
 *  never for longer, without a queue, and never in silence. */
#include "service/best_effort.h"
#include "tap.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <pthread.h>
#include <unistd.h>

static apr_pool_t *pool;

/** The store behind: what it answers, and how often it was asked. */
typedef struct behind {
    up_token_store functions; /* first */
    pthread_mutex_t mutex;    /* guards the rest */
    pthread_cond_t released;
    int code; /* of the problem; -1 for none */
    int revoked;
    int hung; /* it answers when that becomes 0 */
    int waiting, asked, revocations, sessions;
} behind;

/** What was told. */
typedef struct ear {
    int lines;
    char last[512];
} ear;

static pthread_mutex_t ear_mutex = PTHREAD_MUTEX_INITIALIZER;

static void hear(void *baton, const char *line)
{
    ear *told = baton;

    pthread_mutex_lock(&ear_mutex);
    told->lines++;
    apr_cpystrn(told->last, line, sizeof(told->last));
    pthread_mutex_unlock(&ear_mutex);
}

static up_problem *answer(behind *b, apr_pool_t *p)
{
    return b->code < 0 ? NULL : up_problem_logged(p, (up_code)b->code, "token store x: it is down");
}

static up_problem *behind_is_revoked(up_token_store *self, apr_pool_t *p, const char *jti,
                                     int *revoked)
{
    behind *b = (behind *)self;
    up_problem *problem;

    (void)jti;
    pthread_mutex_lock(&b->mutex);
    b->asked++;
    b->waiting++;
    while (b->hung)
        pthread_cond_wait(&b->released, &b->mutex);
    b->waiting--;
    problem = answer(b, p);
    *revoked = problem ? 1 : b->revoked;
    pthread_mutex_unlock(&b->mutex);
    return problem;
}

static up_problem *behind_revoke(up_token_store *self, apr_pool_t *p, const char *jti,
                                 apr_int64_t ttl)
{
    ((behind *)self)->revocations += strcmp(jti, "x") == 0 && ttl == 10;
    return answer((behind *)self, p);
}

static up_problem *behind_revoke_sessions(up_token_store *self, apr_pool_t *p, const char *subject)
{
    ((behind *)self)->sessions += strcmp(subject, "a@x") == 0;
    return answer((behind *)self, p);
}

static behind *make_behind(void)
{
    behind *b = apr_pcalloc(pool, sizeof(*b));

    b->functions.is_revoked = behind_is_revoked;
    b->functions.revoke = behind_revoke;
    b->functions.revoke_sessions = behind_revoke_sessions;
    b->code = -1;
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->released, NULL);
    return b;
}

static apr_time_t now; /* what the clock says */

static apr_time_t tell_time(void)
{
    return now;
}

#define SILENCE apr_time_from_sec(60)
#define PAUSE apr_time_from_sec(1)

/** Failing three times in a row opens its breaker. */
static up_token_store *make_store(behind *b, ear *told)
{
    const up_breaker_settings of_breaker = {.failures = 3,
                                            .first = PAUSE,
                                            .longest = PAUSE,
                                            .patience = apr_time_from_sec(100),
                                            .clock = tell_time};
    up_best_effort_settings settings = {.store = &b->functions,
                                        .silence = SILENCE,
                                        .tell = hear,
                                        .baton = told,
                                        .clock = tell_time};

    now = apr_time_from_sec(1000);
    settings.breaker =
        up_breaker_create(pool, &of_breaker, apr_pcalloc(pool, sizeof(up_breaker_state)));
    return up_best_effort_create(pool, &settings);
}

/** 0 or 1; -1 for a problem. */
static int revoked(up_token_store *store)
{
    int is = -1;
    up_problem *problem = store->is_revoked(store, pool, "x", &is);

    return problem ? -1 : is;
}

static int told_of(const ear *told, const char *word)
{
    return strstr(told->last, word) != NULL;
}

static void test_answers(void)
{
    behind *b = make_behind();
    ear told = {0};
    up_token_store *store = make_store(b, &told);

    is_int(revoked(store), 0, "what is not revoked is let through");
    b->revoked = 1;
    is_int(revoked(store), 1, "what is revoked is not");
    is_int(b->asked, 2, "each is asked for");
    is_int(told.lines, 0, "nothing is told");
}

static void test_outage(void)
{
    behind *b = make_behind();
    ear told = {0};
    up_token_store *store = make_store(b, &told);

    b->revoked = 1;
    b->code = UP_SERVICE_UNAVAILABLE;
    is_int(revoked(store), 0, "what cannot be asked for is let through");
    is_int(told.lines, 1, "which is told at once");
    ok(told_of(&told, "UNCHECKED") && told_of(&told, "(1 by this child") &&
           told_of(&told, "fail=open") && told_of(&told, "token store x: it is down"),
       "  with what it is, whose word that was, and why: %s", told.last);
    for (int i = 0; i < 9; i++)
        is_int(revoked(store), 0, "so are others");
    is_int(told.lines, 1, "which is not told again at once");
    is_int(b->asked, 3, "three have asked, the others did not have to wait");
    now += PAUSE;
    is_int(revoked(store) + revoked(store), 0, "a second later");
    is_int(b->asked, 4, "one more has asked");
    now += PAUSE;
    b->code = -1;
    is_int(revoked(store), 1, "it answers again: what is revoked is not let through");
    is_int(told.lines, 2, "which is told");
    ok(told_of(&told, "answers again") && told_of(&told, "let 12 tokens through unchecked"),
       "  with how many there were: %s", told.last);
    for (int i = 0; i < 5; i++)
        is_int(revoked(store), 1, "and so on");
    is_int(told.lines, 2, "  without a word");
    is_int(b->asked, 10, "  each has asked");
}

static void test_silence(void)
{
    behind *b = make_behind();
    ear told = {0};
    up_token_store *store = make_store(b, &told);
    const apr_time_t start = now;

    b->code = UP_SERVICE_UNAVAILABLE;
    for (int i = 0; i < 150; i++, now += PAUSE)
        revoked(store);
    is_int(told.lines, 3, "an outage of 150 s has a line at once, and after each minute");
    ok(told_of(&told, "(121 by this child so far)"), "  with how many there were: %s", told.last);
    is_int((now - start) / PAUSE, 150, "  by this clock");
}

/** One that fails now and then: two lines a minute say all. */
static void test_flapping(void)
{
    behind *b = make_behind();
    ear told = {0};
    up_token_store *store = make_store(b, &told);
    int through = 0;

    b->revoked = 1;
    for (int i = 0; i < 1000; i++) {
        b->code = i % 10 ? -1 : UP_SERVICE_UNAVAILABLE;
        through += revoked(store) == 0;
    }
    is_int(through, 100, "one of ten fails: those are let through, and no others");
    is_int(told.lines, 2, "two lines");
    ok(told_of(&told, "let 1 tokens"), "  of the first: %s", told.last);
    now += SILENCE;
    is_int(revoked(store), 1, "a minute later");
    is_int(told.lines, 3, "  there is one of all the others");
    ok(told_of(&told, "let 99 tokens"), "  %s", told.last);
    is_int(revoked(store), 1, "and no more");
    is_int(told.lines, 3, "  without another");
}

/** What is wrong with the configuration is not overlooked. */
static void test_other_problems(void)
{
    behind *b = make_behind();
    ear told = {0};
    up_token_store *store = make_store(b, &told);

    b->code = UP_INTERNAL_ERROR;
    is_int(revoked(store), -1, "another problem is one");
    is_int(told.lines, 0, "and not told as if somebody was let through");
}

static void test_revocations(void)
{
    behind *b = make_behind();
    ear told = {0};
    up_token_store *store = make_store(b, &told);
    up_problem *problem;

    ok(!store->revoke(store, pool, "x", 10) && !store->revoke_sessions(store, pool, "a@x"),
       "revocations are done");
    is_int(b->revocations + b->sessions, 2, "by the one behind");
    b->code = UP_SERVICE_UNAVAILABLE;
    problem = store->revoke(store, pool, "x", 10);
    ok(problem && problem->code == UP_SERVICE_UNAVAILABLE, "one that fails is a problem");
    problem = store->revoke_sessions(store, pool, "a@x");
    ok(problem && problem->code == UP_SERVICE_UNAVAILABLE, "so with sessions");
    revoked(store);
    ok(store->revoke(store, pool, "x", 10) && store->revoke_sessions(store, pool, "a@x"),
       "also after tokens were let through");
    is_int(b->revocations + b->sessions, 6, "each was tried");
}

/* --- Many threads ----------------------------------------------------------------------------- */

typedef struct asker {
    pthread_t thread;
    up_token_store *store;
    int answer;
} asker;

static void *ask(void *data)
{
    asker *a = data;
    apr_pool_t *p;
    up_problem *problem;

    apr_pool_create(&p, NULL);
    problem = a->store->is_revoked(a->store, p, "x", &a->answer);
    if (problem)
        a->answer = -1;
    apr_pool_destroy(p);
    return NULL;
}

static void hang(behind *b, int hung)
{
    pthread_mutex_lock(&b->mutex);
    b->hung = hung;
    pthread_cond_broadcast(&b->released);
    pthread_mutex_unlock(&b->mutex);
}

static int waiting(behind *b)
{
    int count;

    pthread_mutex_lock(&b->mutex);
    count = b->waiting;
    pthread_mutex_unlock(&b->mutex);
    return count;
}

static void await(behind *b, int count)
{
    for (int i = 0; i < 2000 && waiting(b) != count; i++)
        usleep(5000);
    is_int(waiting(b), count, "so many wait");
}

/** A store that hangs until its deadline: who waits for it, and who does not. */
static void test_crowd(void)
{
    behind *b = make_behind();
    ear told = {0};
    up_token_store *store = make_store(b, &told);
    asker askers[8], prober = {.store = store};
    int through = 0;

    b->revoked = 1;
    hang(b, 1);
    for (int i = 0; i < 8; i++) {
        askers[i].store = store;
        pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
    }
    await(b, 8);
    b->code = UP_SERVICE_UNAVAILABLE;
    hang(b, 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(askers[i].thread, NULL);
        through += askers[i].answer == 0;
    }
    is_int(through, 8, "those who have waited in vain are let through");
    is_int(told.lines, 1, "  in one line");

    now += PAUSE;
    hang(b, 1);
    pthread_create(&prober.thread, NULL, ask, &prober);
    await(b, 1);
    through = 0;
    for (int i = 0; i < 100; i++)
        through += revoked(store) == 0;
    is_int(through, 100, "one waits: a hundred others are let through without waiting");
    is_int(waiting(b), 1, "  and without asking");
    b->code = -1;
    hang(b, 0);
    pthread_join(prober.thread, NULL);
    is_int(prober.answer, 1, "it has an answer");
    is_int(revoked(store), 1, "as all have from then on");
    ok(told_of(&told, "let 108 tokens through"), "all were counted: %s", told.last);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_answers();
    test_outage();
    test_silence();
    test_flapping();
    test_other_problems();
    test_revocations();
    test_crowd();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
