/* SPDX-License-Identifier: Apache-2.0 */

/* The breaker by a clock of the test's own: when it opens, whom it lets through,
 * how its waits grow, and what it makes of calls that end late. */
#include "service/breaker.h"

#include "tap.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static apr_pool_t *pool;
static apr_time_t now;

static apr_time_t clock_now(void)
{
    return now;
}

static void pass(double seconds)
{
    now += (apr_time_t)(seconds * APR_USEC_PER_SEC);
}

#define PATIENCE 50

static up_breaker *make_in(up_breaker_state *state, int failures, int first, int longest)
{
    const up_breaker_settings settings = {failures, apr_time_from_sec(first),
                                          apr_time_from_sec(longest), apr_time_from_sec(PATIENCE),
                                          clock_now};

    return up_breaker_create(pool, &settings, state);
}

static up_breaker *make(int failures, int first, int longest)
{
    return make_in(apr_pcalloc(pool, sizeof(up_breaker_state)), failures, first, longest);
}

/* A call that is let through; the test fails where it is not. */
static up_turn begin(up_breaker *breaker)
{
    up_turn turn = 0;
    int seconds = up_breaker_begin(breaker, &turn);

    if (seconds)
        ok(0, "a call is let through, and not refused for %d s", seconds);
    return turn;
}

static int refused_for(up_breaker *breaker)
{
    up_turn turn;

    return up_breaker_begin(breaker, &turn);
}

/* "same", "opened" or "closed", and the seconds where there are any. */
static const char *end(up_breaker *breaker, up_turn turn, up_outcome outcome)
{
    static const char *const names[] = {"same", "opened", "closed"};
    int seconds = -1;
    up_breaker_change change = up_breaker_end(breaker, turn, outcome, &seconds);

    return seconds ? apr_psprintf(pool, "%s %d", names[change], seconds) : names[change];
}

static const char *call(up_breaker *breaker, up_outcome outcome)
{
    return end(breaker, begin(breaker), outcome);
}

static up_breaker *make_open(int failures, int first, int longest)
{
    up_breaker *breaker = make(failures, first, longest);
    int i;

    for (i = 0; i < failures; i++)
        call(breaker, UP_OUTCOME_FAILED);
    return breaker;
}

static void test_opens(void)
{
    up_breaker *breaker = make(3, 2, 16);

    ok(up_breaker_is_closed(breaker), "it is closed at first");
    is(call(breaker, UP_OUTCOME_FAILED), "same", "one failure");
    is(call(breaker, UP_OUTCOME_FAILED), "same", "two failures");
    is(call(breaker, UP_OUTCOME_WORKED), "same", "a success: the count begins anew");
    is(call(breaker, UP_OUTCOME_FAILED), "same", "one failure");
    is(call(breaker, UP_OUTCOME_NONE), "same", "a call that was not made does not count");
    pass(1000);
    is(call(breaker, UP_OUTCOME_FAILED), "same", "two failures, however far apart");
    ok(up_breaker_is_closed(breaker), "it is closed until the third");
    is(call(breaker, UP_OUTCOME_FAILED), "opened 2", "three failures in a row open it");
    ok(!up_breaker_is_closed(breaker), "it is open");
    is_int(refused_for(breaker), 2, "calls are refused for two seconds");
    pass(0.5);
    is_int(refused_for(breaker), 2, "which are rounded up");
    pass(1.4);
    is_int(refused_for(breaker), 1, "to one at least");
    is(call(make(1, 2, 16), UP_OUTCOME_FAILED), "opened 2", "one failure may be enough");
}

static void test_probe(void)
{
    up_breaker *breaker = make_open(3, 2, 16);
    up_turn probe;

    pass(2);
    probe = begin(breaker);
    ok(!up_breaker_is_closed(breaker), "one call is let through, and it is open to all others");
    is_int(refused_for(breaker), 2, "they are refused");
    pass(PATIENCE - 1);
    is_int(refused_for(breaker), 2, "for as long as that one takes");
    is(end(breaker, probe, UP_OUTCOME_FAILED), "same 4", "it fails: open for twice as long");
    pass(3.9);
    is_int(refused_for(breaker), 1, "not a moment less");
    pass(0.1);
    is(call(breaker, UP_OUTCOME_FAILED), "same 8", "and twice again");
    pass(8);
    is(call(breaker, UP_OUTCOME_FAILED), "same 16", "and again");
    pass(16);
    is(call(breaker, UP_OUTCOME_FAILED), "same 16", "up to the maximum");
    pass(16);
    is(call(breaker, UP_OUTCOME_WORKED), "closed 95", "it works: closed");
    ok(up_breaker_is_closed(breaker), "to everybody");
    is(call(breaker, UP_OUTCOME_WORKED), "same", "which is said once");
    is(call(breaker, UP_OUTCOME_FAILED), "same", "the count begins anew");
    is(call(breaker, UP_OUTCOME_FAILED), "same", "two");
    is(call(breaker, UP_OUTCOME_FAILED), "opened 2", "and so do the waits");
}

static void test_probe_not_made(void)
{
    up_breaker *breaker = make_open(1, 2, 16);

    pass(2);
    is(call(breaker, UP_OUTCOME_NONE), "same", "the one that was let through made no call");
    is(call(breaker, UP_OUTCOME_NONE), "same", "the next may, at once");
    is(call(breaker, UP_OUTCOME_FAILED), "same 4", "and the waits have not grown by it");
}

/* A process may be killed. */
static void test_probe_lost(void)
{
    up_breaker *breaker = make_open(1, 2, 16);
    up_turn lost, next;

    pass(2);
    lost = begin(breaker);
    pass(PATIENCE);
    next = begin(breaker);
    is_int(refused_for(breaker), 2, "the one that was let through is never heard of: another is");
    is(end(breaker, lost, UP_OUTCOME_WORKED), "same", "and it says nothing any more");
    is(end(breaker, next, UP_OUTCOME_FAILED), "same 4", "it is the other that counts");
}

static void test_long_open(void)
{
    up_breaker *breaker = make_open(1, 1, 60);
    int i;

    for (i = 0; i < 20000; i++) {
        pass(60);
        if (strcmp(call(breaker, UP_OUTCOME_FAILED),
                   i < 5 ? apr_psprintf(pool, "same %d", 2 << i) : "same 60") != 0)
            break;
    }
    is_int(i, 20000, "two weeks of failures are no more than one");
    pass(60);
    is(call(breaker, UP_OUTCOME_WORKED), "closed 1200060", "and over at once");
}

/* Calls that began while it was closed. */
static void test_stragglers(void)
{
    up_breaker *breaker = make(2, 2, 16);
    up_turn before[6], probe;
    int i;

    for (i = 0; i < 6; i++)
        before[i] = begin(breaker);
    is(end(breaker, before[0], UP_OUTCOME_FAILED), "same", "of six at once one fails");
    is(end(breaker, before[1], UP_OUTCOME_FAILED), "opened 2", "and a second");
    is(end(breaker, before[2], UP_OUTCOME_FAILED), "same", "a third changes nothing");
    is(end(breaker, before[3], UP_OUTCOME_WORKED), "same", "nor does one that worked");
    is_int(refused_for(breaker), 2, "it stays open");
    pass(2);
    probe = begin(breaker);
    is(end(breaker, before[4], UP_OUTCOME_FAILED), "same", "nor one that ends while it is tried");
    is_int(refused_for(breaker), 2, "the one that tries it is waited for");
    is(end(breaker, probe, UP_OUTCOME_WORKED), "closed 2", "and decides");
    is(end(breaker, before[5], UP_OUTCOME_FAILED), "same", "one from before is not counted");
    is(call(breaker, UP_OUTCOME_FAILED), "same", "so that one failure is one");
    is(call(breaker, UP_OUTCOME_FAILED), "opened 2", "and two are two");
}

/* --- All at once --- */

#define THREADS 8
#define ROUNDS 5000

/* What processes share. */
typedef struct crew {
    up_breaker_state state;
    _Atomic apr_time_t now; /* runs on with each call */
    _Atomic int inside;     /* calls under way */
    _Atomic int most, calls, opened, closed;
} crew;

static crew *shared;

static apr_time_t clock_shared(void)
{
    return shared->now;
}

/* Their clock runs on while one of them is kept from running: nobody is ever lost. */
static up_breaker *make_shared(void)
{
    const up_breaker_settings settings = {1, apr_time_from_sec(1), apr_time_from_sec(4),
                                          apr_time_from_sec(1000000), clock_shared};

    return up_breaker_create(pool, &settings, &shared->state);
}

static void note(up_breaker_change change)
{
    shared->opened += change == UP_BREAKER_OPENED;
    shared->closed += change == UP_BREAKER_CLOSED;
}

/* Each call fails: once it is open, one at a time is let through. */
static void *fail_often(void *data)
{
    const up_breaker *breaker = data;
    int i, seconds, inside;
    up_turn turn;

    for (i = 0; i < ROUNDS; i++) {
        shared->now += APR_USEC_PER_SEC / 100;
        if (up_breaker_begin(breaker, &turn))
            continue;
        inside = ++shared->inside;
        shared->calls++;
        if (inside > shared->most)
            shared->most = inside;
        shared->inside--;
        note(up_breaker_end(breaker, turn, UP_OUTCOME_FAILED, &seconds));
    }
    return NULL;
}

/* Half of the calls fail. */
static void *fail_by_chance(void *data)
{
    const up_breaker *breaker = data;
    unsigned int seed = (unsigned int)(apr_uintptr_t)&seed;
    int i, seconds;
    up_turn turn;

    for (i = 0; i < ROUNDS; i++) {
        shared->now += APR_USEC_PER_SEC / 10;
        if (up_breaker_begin(breaker, &turn) == 0)
            note(up_breaker_end(breaker, turn,
                                rand_r(&seed) & 1 ? UP_OUTCOME_FAILED : UP_OUTCOME_WORKED,
                                &seconds));
    }
    return NULL;
}

static void in_threads(void *(*work)(void *), up_breaker *breaker)
{
    pthread_t threads[THREADS];
    int i;

    for (i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, breaker);
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void in_processes(void *(*work)(void *), up_breaker *breaker)
{
    int i;

    for (i = 0; i < THREADS; i++) {
        if (fork() == 0) {
            work(breaker);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
}

static void test_crew(void (*run)(void *(*work)(void *), up_breaker *breaker), const char *who)
{
    up_breaker *breaker;
    int seconds;
    up_turn turn;

    memset(shared, 0, sizeof(*shared));
    breaker = make_shared();
    up_breaker_begin(breaker, &turn);
    up_breaker_end(breaker, turn, UP_OUTCOME_FAILED, &seconds);
    run(fail_often, breaker);
    is_int(shared->most, 1, apr_psprintf(pool, "%s: one at a time is let through", who));
    ok(shared->calls > 0 && shared->calls <= THREADS * ROUNDS / 100 / 4 + 2,
       "%s: %d of %d calls were, as the waits have it", who, shared->calls, THREADS * ROUNDS);
    is_int(shared->opened, 0, "that it is open is told once, and was before");

    memset(shared, 0, sizeof(*shared));
    run(fail_by_chance, breaker);
    ok(shared->opened > 10, "%s: opened %d times", who, shared->opened);
    ok(shared->opened - shared->closed == !up_breaker_is_closed(breaker),
       "%s: and closed as often, %d times, each told to one", who, shared->closed);
}

int main(void)
{
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    test_opens();
    test_probe();
    test_probe_not_made();
    test_probe_lost();
    test_long_open();
    test_stragglers();
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!ok(shared != MAP_FAILED, "memory is shared"))
        return 1;
    test_crew(in_threads, "8 threads");
    test_crew(in_processes, "8 processes");
    return done_testing();
}
