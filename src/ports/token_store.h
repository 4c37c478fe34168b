/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Port: where revoked access tokens and refresh tokens are kept.
 *
 * One token store belongs to a child process, is made in its pool, and is used
 * by all its threads at once. Every call is bounded in time by the store's
 * configured timeout. Failures are SERVICE_UNAVAILABLE with a log line.
 */
#ifndef UP_TOKEN_STORE_H
#define UP_TOKEN_STORE_H

#include "core/problem.h"

typedef struct up_token_store up_token_store;

struct up_token_store {
    /** Is the access token with this jti blacklisted? *revoked becomes 0 or 1. */
    up_problem *(*is_revoked)(up_token_store *self, apr_pool_t *p, const char *jti, int *revoked);

    /** Blacklists a jti for ttl seconds (1 or more). */
    up_problem *(*revoke)(up_token_store *self, apr_pool_t *p, const char *jti, apr_int64_t ttl);

    /** Revokes all refresh tokens of a subject. The subject is data, never a pattern. */
    up_problem *(*revoke_sessions)(up_token_store *self, apr_pool_t *p, const char *subject);

    /** Forgets what has expired, so much that it is soon done: for the sweeper. NULL where
     *  the store does so by itself. */
    up_problem *(*expire)(up_token_store *self, apr_pool_t *p);

    /** Has the store all that it needs? Asked once when httpd has started. NULL where that
     *  goes without saying. */
    up_problem *(*check)(up_token_store *self, apr_pool_t *p);
};

#endif
