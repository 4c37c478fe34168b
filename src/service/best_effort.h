/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Best effort in the place of certainty: a token store in front of another, which
 * lets a token through unchecked where the other cannot be asked. It is what a
 * sysadmin chooses who would rather serve a revoked token than nobody.
 *
 * Revocations are the other's alone: what fails stays a problem, and so in the
 * journal. Nor is any other problem than SERVICE_UNAVAILABLE overlooked.
 *
 * Nobody waits in vain for long: once the breaker is open, one request at a time
 * asks, now and then, and all others are let through at once.
 */
#ifndef UP_BEST_EFFORT_H
#define UP_BEST_EFFORT_H

#include "ports/token_store.h"
#include "service/breaker.h"

typedef struct up_best_effort_settings {
    up_token_store *store;     /* the other */
    const up_breaker *breaker; /* of it alone */

    /* Who is told how many tokens were let through: at the first, then every so often
     * while there are more, and at the end. By any thread. */
    apr_interval_time_t silence;
    void (*tell)(void *baton, const char *line);
    void *baton;
    apr_time_t (*clock)(void); /* microseconds; never goes back */
} up_best_effort_settings;

/**
 * @param p the child process's pool, which owns it.
 * @param settings copied; what it points to must live as long as p.
 * @return the store, for all threads at once; NULL where the system has no lock left.
 */
up_token_store *up_best_effort_create(apr_pool_t *p, const up_best_effort_settings *settings);

#endif
