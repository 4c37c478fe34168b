/* SPDX-License-Identifier: Apache-2.0 */
#include "service/best_effort.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>

typedef struct best_effort {
    up_token_store functions; /* first: a store is one of these */
    up_best_effort_settings settings;
    apr_thread_mutex_t *mutex; /* guards what follows */
    _Atomic int unchecked;     /* tokens let through since that was last told to be over */
    int telling;               /* it was told that it began, and not that it is over */
    int told;                  /* anything was ever told: */
    apr_time_t since;          /* at that time */
} best_effort;

/** Is it time for a line? Notes that there is one. */
static int may_tell(best_effort *self)
{
    const apr_time_t now = self->settings.clock();

    if (self->told && now - self->since < self->settings.silence)
        return 0;
    self->told = 1;
    self->since = now;
    return 1;
}

/** A token was let through; why is NULL where the store was not asked. */
static void note_unchecked(best_effort *self, apr_pool_t *p, const char *why)
{
    int count = 0;

    apr_thread_mutex_lock(self->mutex);
    self->unchecked++;
    if (why && may_tell(self)) {
        self->telling = 1;
        count = self->unchecked;
    }
    apr_thread_mutex_unlock(self->mutex);
    if (count)
        self->settings.tell(self->settings.baton,
                            apr_psprintf(p,
                                         "tokens are let through UNCHECKED, revoked ones too (%d "
                                         "by this child so far), as UserProfileTokenStore says "
                                         "fail=open: %s",
                                         count, why));
}

/** The store has answered: the end of an outage, where there was one. One that began and ended
 *  within the silence after another is told of with the next answer after that. */
static void note_answer(best_effort *self, apr_pool_t *p)
{
    int count = 0;

    if (!self->unchecked)
        return;
    apr_thread_mutex_lock(self->mutex);
    if (self->unchecked && (self->telling || may_tell(self))) {
        count = self->unchecked;
        self->unchecked = self->telling = 0;
    }
    apr_thread_mutex_unlock(self->mutex);
    if (count)
        self->settings.tell(self->settings.baton,
                            apr_psprintf(p,
                                         "the token store answers again; this child has let %d "
                                         "tokens through unchecked meanwhile",
                                         count));
}

static up_problem *best_is_revoked(up_token_store *functions, apr_pool_t *p, const char *jti,
                                   int *revoked)
{
    best_effort *self = (best_effort *)functions;
    up_token_store *store = self->settings.store;
    up_problem *problem;
    up_turn turn;
    int failed, seconds;

    *revoked = 0;
    if (up_breaker_begin(self->settings.breaker, &turn)) {
        note_unchecked(self, p, NULL);
        return NULL;
    }
    problem = store->is_revoked(store, p, jti, revoked);
    failed = problem && problem->code == UP_SERVICE_UNAVAILABLE;
    up_breaker_end(self->settings.breaker, turn, failed ? UP_OUTCOME_FAILED : UP_OUTCOME_WORKED,
                   &seconds);
    if (!failed) {
        note_answer(self, p);
        return problem;
    }
    *revoked = 0;
    note_unchecked(self, p, problem->log ? problem->log : problem->message);
    return NULL;
}

static up_problem *best_revoke(up_token_store *functions, apr_pool_t *p, const char *jti,
                               apr_int64_t ttl)
{
    up_token_store *store = ((best_effort *)functions)->settings.store;

    return store->revoke(store, p, jti, ttl);
}

static up_problem *best_revoke_sessions(up_token_store *functions, apr_pool_t *p,
                                        const char *subject)
{
    up_token_store *store = ((best_effort *)functions)->settings.store;

    return store->revoke_sessions(store, p, subject);
}

up_token_store *up_best_effort_create(apr_pool_t *p, const up_best_effort_settings *settings)
{
    best_effort *self = apr_pcalloc(p, sizeof(*self));

    self->functions.is_revoked = best_is_revoked;
    self->functions.revoke = best_revoke;
    self->functions.revoke_sessions = best_revoke_sessions;
    self->settings = *settings;
    if (apr_thread_mutex_create(&self->mutex, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS)
        return NULL;
    return &self->functions;
}
