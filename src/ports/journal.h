/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Port: the journal as it is replayed. What the entries mean, and who writes
 * them, is in ports/user_store.h.
 *
 * An entry belongs to the process that wrote it until its lease is over, or at
 * once to whoever finds that this process is dead. Each is done by one: it is
 * claimed by taking the lease over. All effects may be done twice.
 */
#ifndef UP_JOURNAL_H
#define UP_JOURNAL_H

#include "core/problem.h"

typedef enum up_effect {
    UP_EFFECT_UPLOAD,
    UP_EFFECT_PUBLISH,
    UP_EFFECT_DESTROY,
    UP_EFFECT_REVOKE_TOKEN,
    UP_EFFECT_REVOKE_SESSIONS
} up_effect;

/** A claimed entry, in the pool of claim(). What an effect has no use for is NULL or 0. */
typedef struct up_entry {
    apr_int64_t id;
    up_effect effect;
    const char *user_key;
    const char *subject;
    const char *asset;
    const char *url;
    const char *jti;
    apr_int64_t expires; /* seconds since 1970 */
    int attempts;        /* this one included */
    apr_int64_t age;     /* seconds since it was written */
    int superseded;      /* revoke_sessions: the subject is another account's by now */
} up_entry;

typedef struct up_journal up_journal;

struct up_journal {
    /** Claims the next entry that nobody is at. *entry is NULL where there is none. */
    up_problem *(*claim)(up_journal *self, apr_pool_t *p, const up_entry **entry);

    /** Puts a claimed entry off for so many seconds. */
    up_problem *(*postpone)(up_journal *self, apr_pool_t *p, const up_entry *entry, int seconds);

    /** Strikes a claimed entry that is done. */
    up_problem *(*strike)(up_journal *self, apr_pool_t *p, const up_entry *entry);

    /** Has the database all that this needs? Asked once when httpd has started. */
    up_problem *(*check)(up_journal *self, apr_pool_t *p);
};

#endif
