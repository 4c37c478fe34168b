/* SPDX-License-Identifier: Apache-2.0 */
#include "service/grace.h"

#include <apr_strings.h>

/* In seconds. */
#define LONGEST_PAUSE 3600
#define RETRY 60

/* Where so many in a row find the database away, or too slow, it is. */
#define AWAY 3

/* To look for accounts may take a while in a large table. */
static int pause_of(const up_model *model)
{
    int pause = model->grace / 100;

    return pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE;
}

/* A clock that was set back is no reason to wait. */
static int is_early(const up_grace *grace, const up_grace_place *place)
{
    return grace->now < place->next && place->next - grace->now <= LONGEST_PAUSE;
}

/* What could not be erased in one sweep. */
typedef struct failures {
    int count;
    int in_a_row;      /* of them, for want of the database */
    const char *first; /* for the log */
} failures;

static void note(failures *failures, apr_pool_t *p, const char *key, const up_problem *problem)
{
    if (failures->count++ == 0)
        failures->first = apr_psprintf(p, "the one with the key %s: %s", key, problem->log);
    if (problem->code == UP_SERVICE_UNAVAILABLE)
        failures->in_a_row++;
    else
        failures->in_a_row = 0;
}

static void tell_of(const up_grace *grace, apr_pool_t *p, const failures *failures)
{
    if (failures->count)
        grace->tell(grace->baton, 1,
                    apr_psprintf(p,
                                 "accounts whose grace period is over that could not be erased: "
                                 "%d; %s",
                                 failures->count, failures->first));
}

/* Each of them, also where one takes the database too long: unless all do. */
static up_problem *erase(const up_grace *grace, up_grace_place *place, apr_pool_t *p,
                         const apr_array_header_t *keys, int *erased)
{
    up_user_store *users = grace->service->users;
    failures failures = {0};
    up_problem *problem = NULL;
    apr_pool_t *each;
    int i, done;

    apr_pool_create(&each, p);
    for (i = 0; i < keys->nelts && failures.in_a_row < AWAY && !grace->is_stopping(grace->baton);
         i++) {
        const char *key = APR_ARRAY_IDX(keys, i, const char *);

        done = 0;
        apr_pool_clear(each);
        problem = users->expire(users, each, key, &done);
        *erased += done;
        if (problem)
            note(&failures, p, key, problem);
        else
            failures.in_a_row = 0;
    }
    place->skip += failures.count;
    tell_of(grace, p, &failures);
    return failures.in_a_row < AWAY ? NULL : problem;
}

up_problem *up_grace_sweep(const up_grace *grace, up_grace_place *place, int *erased)
{
    up_user_store *users = grace->service->users;
    const int pause = pause_of(grace->service->model);
    apr_array_header_t *keys;
    up_problem *problem;
    apr_pool_t *p;

    *erased = 0;
    if (!grace->service->model->grace || is_early(grace, place))
        return NULL;
    apr_pool_create(&p, grace->pool);
    problem = users->expired(users, p, place->skip, grace->most, &keys);
    if (!problem)
        problem = erase(grace, place, p, keys, erased);
    if (problem) {
        place->next = grace->now + (pause < RETRY ? pause : RETRY);
    } else if (keys->nelts < grace->most) {
        place->skip = 0;
        place->next = grace->now + pause;
    }
    /* The problem lives in p, which goes with the sweep's pool. */
    return problem;
}
