/* SPDX-License-Identifier: Apache-2.0 */

/* Accounts whose grace period is over, by a store that has a list of them: how
 * many are erased at once, when they are looked for again, and what becomes of
 * one that cannot be erased. */
#include "service/grace.h"

#include "tap.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <stdlib.h>

static apr_pool_t *pool;

/* What becomes of an account when it is to be erased. */
typedef enum fate { WELL, LOCKED, REFUSED, AWAY } fate;

#define ACCOUNTS_MAX 40

typedef struct account {
    const char *key;
    fate fate;
} account;

static account accounts[ACCOUNTS_MAX];
static int account_count, list_fails, stop_after;
static int asked, looked; /* how often to erase, how often for the list */
static char lines[1000];  /* what was told, loud lines with a ! */

static up_problem *fake_expired(up_user_store *self, apr_pool_t *p, int skip, int most,
                                apr_array_header_t **keys)
{
    int i;

    (void)self;
    looked++;
    *keys = apr_array_make(p, most, sizeof(const char *));
    for (i = skip; i < account_count && (*keys)->nelts < most; i++)
        APR_ARRAY_PUSH(*keys, const char *) = accounts[i].key;
    return list_fails ? up_problem_logged(p, UP_SERVICE_UNAVAILABLE, "no list") : NULL;
}

static up_problem *fake_expire(up_user_store *self, apr_pool_t *p, const char *key, int *erased)
{
    int i = 0;

    (void)self;
    asked++;
    while (strcmp(accounts[i].key, key) != 0)
        i++;
    *erased = accounts[i].fate == WELL;
    switch (accounts[i].fate) {
    case WELL:
        memmove(&accounts[i], &accounts[i + 1], (size_t)(--account_count - i) * sizeof(account));
        return NULL;
    case LOCKED:
        return NULL;
    case REFUSED:
        return up_problem_logged(p, UP_INTERNAL_ERROR, "a foreign key");
    default:
        return up_problem_logged(p, UP_SERVICE_UNAVAILABLE, "too slow");
    }
}

static int is_stopping(void *baton)
{
    (void)baton;
    return stop_after >= 0 && asked >= stop_after;
}

static void tell(void *baton, int loud, const char *line)
{
    (void)baton;
    apr_snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), "%s%s", loud ? "!" : "",
                 line);
}

/* A letter is an account: w is erased, l locked, r refused, a too slow. */
static void set(const char *fates)
{
    static const char letters[] = "wlra";

    for (account_count = 0; fates[account_count]; account_count++)
        accounts[account_count] =
            (account){apr_psprintf(pool, "%d", account_count + 1),
                      (fate)(strchr(letters, fates[account_count]) - letters)};
}

static up_model model = {.grace = 86400};
static up_user_store users = {.expired = fake_expired, .expire = fake_expire};
static const up_service service = {.model = &model, .users = &users};
static up_grace_place place;

/* One sweep of at most four: "erased of asked", and the problem. */
static const char *sweep(apr_int64_t now)
{
    const up_grace grace = {.service = &service,
                            .most = 4,
                            .pool = pool,
                            .now = now,
                            .is_stopping = is_stopping,
                            .tell = tell};
    int erased = -1;
    up_problem *problem;

    asked = 0;
    *lines = '\0';
    problem = up_grace_sweep(&grace, &place, &erased);
    return apr_psprintf(pool, "%d of %d%s%s", erased, asked, problem ? ", " : "",
                        problem ? problem->log : "");
}

static void begin(const char *fates)
{
    set(fates);
    place = (up_grace_place){0};
    looked = 0;
    stop_after = -1;
}

static void test_well(void)
{
    begin("wwwwwwwww");
    is(sweep(1000), "4 of 4", "four are erased");
    is(sweep(1000), "4 of 4", "and at the next sweep four more");
    is(sweep(1001), "1 of 1", "and the last");
    set("w");
    is(sweep(1001 + 863), "0 of 0", "then there is a pause");
    is_int(looked, 3, "in which nobody is looked for");
    is(sweep(1001 + 864), "1 of 1", "of a hundredth of the grace period");
    is(lines, "", "nothing is told");
    begin("");
    is(sweep(5000), "0 of 0", "nobody");
    set("w");
    is(sweep(4000), "0 of 0", "the clock was set back a little");
    is(sweep(5000 - 7200), "1 of 1", "or much: that is no reason to wait");
}

static void test_periods(void)
{
    begin("");
    model.grace = 10 * 86400;
    sweep(1000);
    is_int((int)place.next, 1000 + 3600, "the pause is an hour at most");
    begin("");
    model.grace = 99;
    sweep(1000);
    is_int((int)place.next, 1000, "and none for a period of seconds");
    begin("w");
    model.grace = 0;
    is(sweep(1000), "0 of 0", "without a grace period");
    is_int(looked, 0, "nobody is looked for");
    model.grace = 86400;
}

static void test_refused(void)
{
    begin("rrrrrrwrw");
    is(sweep(1000), "0 of 4", "four that cannot be erased");
    is(lines,
       "!accounts whose grace period is over that could not be erased: 4; the one with the key 1: "
       "a foreign key",
       "are told of, loudly");
    is(sweep(1010), "1 of 4", "do not keep those after them");
    is(sweep(1020), "1 of 1", "up to the last");
    is(lines, "", "of which there is nothing to tell");
    is(sweep(1030), "0 of 0", "after a pause");
    is(sweep(1020 + 864), "0 of 4", "they are tried again");
    begin("lwlw");
    is(sweep(1000), "2 of 4", "those that others are at are left alone");
    is(sweep(1000), "0 of 2", "and tried at the next sweep");
    is(lines, "", "without a word");
}

static void test_away(void)
{
    begin("wawaaawww");
    is(sweep(1000), "2 of 4", "one that takes too long does not keep the others");
    is(sweep(1000), "2 of 4", "nor do two");
    begin("waaawww");
    is(sweep(1000), "1 of 4, too slow", "three in a row do: the database is away");
    is(sweep(1059), "0 of 0", "it is left alone for a minute");
    is(sweep(1060), "3 of 3", "and then they go on after those");
    begin("w");
    list_fails = 1;
    is(sweep(1000), "0 of 0, no list", "the list itself fails");
    list_fails = 0;
    is(sweep(1001), "0 of 0", "likewise");
    is(sweep(1060), "1 of 1", "a minute later");
    model.grace = 100;
    begin("w");
    list_fails = 1;
    sweep(1000);
    list_fails = 0;
    is(sweep(1001), "1 of 1", "or after the pause, where that is shorter");
    model.grace = 86400;
}

static void test_stop(void)
{
    begin("wwwwww");
    stop_after = 2;
    is(sweep(1000), "2 of 2", "a process that is to end begins no other");
}

int main(void)
{
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    test_well();
    test_periods();
    test_refused();
    test_away();
    test_stop();
    return done_testing();
}
