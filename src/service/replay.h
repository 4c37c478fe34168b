/* SPDX-License-Identifier: Apache-2.0 */

/** What has been promised and is still to be done: the journal, replayed. */
#ifndef UP_REPLAY_H
#define UP_REPLAY_H

#include "ports/journal.h"
#include "service/service.h"

/** How old an entry may be, in seconds, before each failure of it is an error in the log. */
#define UP_REPLAY_OLD 3600

typedef struct up_replay {
    const up_service *service;
    up_journal *journal;
    int interval; /* seconds between two sweeps: the first back-off */
    int most;     /* entries of one sweep */
    int settled;  /* seconds after which the storage has done or dropped what it was sent */
    apr_pool_t *pool;
    apr_int64_t now; /* seconds since 1970 */
    /* Is this process to end? Then no further entry is begun. */
    int (*is_stopping)(void *baton);
    /* A line for the log; loud where an entry is too old. */
    void (*tell)(void *baton, int loud, const char *line);
    void *baton;
} up_replay;

/**
 * One sweep: claims entries one after the other and does each, or puts it off:
 * twice as long each time, an hour at most.
 * @param done how many were done.
 * @return NULL, or why the journal itself could not be read.
 */
up_problem *up_replay_sweep(const up_replay *replay, int *done);

#endif
