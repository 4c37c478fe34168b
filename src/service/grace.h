/* SPDX-License-Identifier: Apache-2.0 */

/** Soft-deleted accounts are erased when their grace period is over. */
#ifndef UP_GRACE_H
#define UP_GRACE_H

#include "service/service.h"

/** Where a process is in looking for them, from one sweep to the next. All zero: at
 *  the beginning. */
typedef struct up_grace_place {
    int skip;         /* of those found, how many could not be erased */
    apr_int64_t next; /* not before then, in seconds since 1970 */
} up_grace_place;

typedef struct up_grace {
    const up_service *service;
    int most; /* accounts of one sweep */
    apr_pool_t *pool;
    apr_int64_t now; /* seconds since 1970 */
    /* As in up_replay. */
    int (*is_stopping)(void *baton);
    void (*tell)(void *baton, int loud, const char *line);
    void *baton;
} up_grace;

/**
 * Erases some of the accounts whose grace period is over, each in a transaction
 * of its own. When none are left they are looked for again after a hundredth of
 * the grace period, or an hour. Nodes that do so at once share the work.
 *
 * One that cannot be erased, as something else refers to it or it takes too long,
 * does not keep the others: it is told of, loudly, and tried again the next time.
 * @param place of this process; changed.
 * @param erased how many were erased.
 * @return NULL, or why the database could not be asked.
 */
up_problem *up_grace_sweep(const up_grace *grace, up_grace_place *place, int *erased);

#endif
