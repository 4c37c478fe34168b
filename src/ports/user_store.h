/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Port: the users' table and, beside it in the same database, the journal.
 *
 * The journal is where everything is announced that has to happen outside the
 * database: it is written in the same statement as the change that it belongs
 * to, before the effect is tried, and removed when the effect is done. What a
 * crash leaves there is still to be done. Its entries:
 *
 *   upload    the asset may be in the storage and belong to nobody: destroy it,
 *             unless a publish entry names it
 *   publish   the user's avatar URL is to be set to that of the asset; a user
 *             has at most one: a later write of the avatar takes its place
 *   destroy   the asset behind this URL is to be destroyed, if it is ours
 *   revoke_token, revoke_sessions   what the token store has yet to be told
 *
 * One store belongs to a child process, is made in its pool and used by all
 * its threads. No call holds a connection after it has returned. Each is one
 * round trip, bounded in time. Failures are SERVICE_UNAVAILABLE with a log line.
 */
#ifndef UP_USER_STORE_H
#define UP_USER_STORE_H

#include "core/conditional.h"
#include "core/model.h"
#include "core/patch.h"
#include "core/problem.h"
#include "core/profile.h"

/** Whom a verified token speaks for. */
typedef struct up_caller {
    const char *subject;
    const char *jti; /* NULL where the token has none */
    apr_int64_t exp; /* seconds since 1970 */
    apr_int64_t iat; /* likewise, -1 for none */
} up_caller;

typedef enum up_account {
    UP_ACCOUNT_ACTIVE,
    UP_ACCOUNT_MISSING,         /* no row has this subject */
    UP_ACCOUNT_GONE,            /* soft-deleted */
    UP_ACCOUNT_INACTIVE,        /* deactivated */
    UP_ACCOUNT_NEWER_THAN_TOKEN /* the token was issued before the row was made */
} up_account;

/** Journal entries that a call wrote and whose effects are now to be tried; 0: none. */
typedef struct up_entries {
    apr_int64_t publish, destroy, revoke_token, revoke_sessions;
} up_entries;

/** A change of the avatar, between the statement that made it and the one that ends it. */
typedef struct up_swap {
    const char *asset;   /* the new asset's public ID; NULL: the avatar was removed */
    const char *key;     /* the user's key */
    const char *old_url; /* of the avatar before, or NULL */
    up_entries entries;
} up_swap;

typedef struct up_farewell {
    const char *old_url; /* the avatar that goes with an erased account, or NULL */
    up_entries entries;
} up_farewell;

typedef struct up_user_store up_user_store;

/* In each: p is the request's pool and holds the results. *row is NULL where
 * nothing was changed: no such account in an active state, or the precondition
 * does not hold; read() tells which. */
struct up_user_store {
    /** The row, where the account is active; else *account says why not. */
    up_problem *(*read)(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                        up_account *account, const up_row **row);

    /** Writes the fields that the patch gives, atomically with the precondition. */
    up_problem *(*update)(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                          const up_patch *patch, const up_tags *match, const up_row **row);

    /** Journals that the asset is about to be uploaded, for an active account whose
     *  precondition holds; *announced tells whether it did. */
    up_problem *(*announce)(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                            const up_tags *match, const char *asset, int *announced);

    /** Writes the patch's fields, sets the avatar to NULL and journals what is left
     *  to do: to destroy the old asset, and to publish the new one at url. */
    up_problem *(*swap)(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                        const up_patch *patch, const up_tags *match, const char *asset,
                        const char *url, up_swap **swap);

    /** Ends a swap: sets the avatar's URL, if its entry still stands, and strikes it
     *  out of the journal, with the entry of the old asset where that is destroyed.
     *  *row is NULL where a later write has cancelled it. */
    up_problem *(*publish)(up_user_store *self, apr_pool_t *p, const up_swap *swap,
                           int old_destroyed, const up_row **row);

    /** Before an announced asset is destroyed: sees to it that nobody can publish it
     *  any more. *doomed is 0 where somebody has, or destroyed it already. */
    up_problem *(*doom)(up_user_store *self, apr_pool_t *p, const char *asset, int *doomed);

    /** Strikes an announced asset that has been destroyed, or was never stored, out
     *  of the journal. */
    up_problem *(*withdraw)(up_user_store *self, apr_pool_t *p, const char *asset);

    /** Soft-deletes or erases the account. *farewell is NULL where nothing was changed. */
    up_problem *(*remove)(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                          const up_tags *match, int hard, up_farewell **farewell);

    /** The keys of accounts that have been soft-deleted for longer than the model's
     *  grace period, the oldest first: at most so many, after so many that are skipped.
     *  *keys is of const char *. NULL in the place of this function where there is no
     *  grace period. */
    up_problem *(*expired)(up_user_store *self, apr_pool_t *p, int skip, int most,
                           apr_array_header_t **keys);

    /** Erases one of them as remove() does it, and leaves its entries in the journal to
     *  whoever sweeps next. *erased is 0 where it is no longer one of them, or another
     *  is at it just now. */
    up_problem *(*expire)(up_user_store *self, apr_pool_t *p, const char *key, int *erased);

    /** Has the database all that the contract names? Asked once when httpd has started. */
    up_problem *(*check)(up_user_store *self, apr_pool_t *p);

    /** Strikes entries whose effects are done (those that are not 0). */
    up_problem *(*settle)(up_user_store *self, apr_pool_t *p, const up_entries *done);
};

#endif
