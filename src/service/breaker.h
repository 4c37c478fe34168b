/* SPDX-License-Identifier: Apache-2.0 */

/**
 * A circuit breaker: what has failed several times in a row is left alone for a
 * while, and then tried by one call. Where that fails too the while is twice as
 * long, up to a maximum; where it succeeds all calls are let through again.
 *
 * It makes no call and reads no clock but the one that it is given. All threads
 * use it at once, and so do all processes that share the memory of its state:
 * that changes in one step, so that no kill leaves it in halves.
 */
#ifndef UP_BREAKER_H
#define UP_BREAKER_H

#include <apr_pools.h>
#include <apr_time.h>
#include <stdatomic.h>

typedef struct up_breaker up_breaker;

typedef struct up_breaker_settings {
    int failures;                 /* in a row, that open it; 1 to 100 */
    apr_interval_time_t first;    /* how long it is open at first; at least 1 s */
    apr_interval_time_t longest;  /* and at most; at least first */
    apr_interval_time_t patience; /* after which a call that tries it, and has not ended, is lost:
                                     longer than any call can take */
    apr_time_t (*clock)(void);    /* microseconds, the same in all processes; never goes back */
} up_breaker_settings;

/** What a breaker remembers. All zero: it is closed. */
typedef struct up_breaker_state {
    _Atomic apr_uint64_t word;
    _Atomic apr_uint64_t since; /* when it was opened, in milliseconds */
} up_breaker_state;

/** Which calls were let through together: what began before the breaker opened
 *  says nothing of how things are since. */
typedef unsigned int up_turn;

/** How a call has ended. */
typedef enum up_outcome {
    UP_OUTCOME_NONE, /* it was not made after all */
    UP_OUTCOME_WORKED,
    UP_OUTCOME_FAILED
} up_outcome;

/** What the end of a call has changed. Each change is told to one caller. */
typedef enum up_breaker_change {
    UP_BREAKER_SAME,
    UP_BREAKER_OPENED, /* it was closed until now */
    UP_BREAKER_CLOSED  /* it was open until now */
} up_breaker_change;

/** Makes a breaker in p. @param settings copied. @param state zeroed; must live as
 *  long as p. @return never NULL. */
up_breaker *up_breaker_create(apr_pool_t *p, const up_breaker_settings *settings,
                              up_breaker_state *state);

/** Is it closed? Only for what is better done before up_breaker_begin(). */
int up_breaker_is_closed(const up_breaker *breaker);

/**
 * Before a call.
 * @param turn for up_breaker_end(), which is to follow where the call is let through.
 * @return 0 where it is let through, else after how many seconds another one may be: 1 or more.
 */
int up_breaker_begin(const up_breaker *breaker, up_turn *turn);

/**
 * After a call that was let through.
 * @param seconds where it has been opened, or tried in vain: for how long it is open
 *        now; where it has been closed: how long it was open; else 0. Rounded up.
 */
up_breaker_change up_breaker_end(const up_breaker *breaker, up_turn turn, up_outcome outcome,
                                 int *seconds);

#endif
