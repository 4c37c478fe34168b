/* SPDX-License-Identifier: Apache-2.0 */

/**
 * What the module is for, in the words of its contract: read a profile, change
 * it, set or remove its avatar, end the account. No httpd, no SQL, no Redis:
 * only ports.
 *
 * Every function returns NULL or the problem that the client is answered with.
 */
#ifndef UP_SERVICE_H
#define UP_SERVICE_H

#include "core/patch.h"
#include "core/problem.h"
#include "core/profile.h"
#include "ports/avatar_storage.h"
#include "ports/token_store.h"
#include "ports/user_store.h"
#include "service/breaker.h"
#include "service/token_cache.h"

/** The outside things of one contract in one child process. Lives in the child's pool. */
typedef struct up_service {
    const up_model *model;
    up_user_store *users;
    up_token_store *tokens;
    up_avatar_storage *avatars; /* NULL where the contract has no avatar */
    const up_breaker *breaker;  /* before uploads; NULL: each is tried */
    up_token_cache *verified;   /* of all contracts */
    up_code unknown_user;       /* what a subject without a row gets */
} up_service;

/** One request of a caller. Lives in the request's pool. */
typedef struct up_request {
    apr_pool_t *pool;
    const up_caller *caller;
    const up_tags *match; /* If-Match, or NULL */
    apr_int64_t now;      /* seconds since 1970 */
    /* Takes a line on what failed but does not fail the request. */
    void (*warn)(void *baton, const char *line);
    /* Takes a line on what begins, loud, or is over: not of this request alone. */
    void (*tell)(void *baton, int loud, const char *line);
    void *baton;
} up_request;

/** Reads the caller's row, where the account is active. */
up_problem *up_profile_read(const up_service *service, const up_request *request,
                            const up_row **row);

/** Writes what the patch gives; one that gives nothing only reads. */
up_problem *up_profile_update(const up_service *service, const up_request *request,
                              const up_patch *patch, const up_row **row);

/** Stores the picture, deletes the avatar before it and points the row at the new
 *  one; the patch's fields are written with it, or not at all. While the breaker is
 *  open nothing is announced and the storage not asked. */
up_problem *up_avatar_set(const up_service *service, const up_request *request,
                          const up_patch *patch, const up_picture *picture, const up_row **row);

/** Removes the avatar; there need not be one. */
up_problem *up_avatar_remove(const up_service *service, const up_request *request,
                             const up_row **row);

/** Destroys the asset behind a URL, where it is one of ours; any other avatar is
 *  done with as it is. @return 1 where nothing is left to do. */
int up_avatar_destroy(const up_service *service, const up_request *request, const char *url);

/** Destroys an announced asset that is nobody's, after seeing to it that it becomes
 *  nobody's any more. Its entry in the journal is then the caller's to strike, where
 *  *doomed is 1; it is 0 where the asset is published after all, or destroyed already. */
up_problem *up_avatar_discard(const up_service *service, apr_pool_t *p, const char *asset,
                              int *doomed);

/** Soft-deletes or erases the account and ends all its sessions. */
up_problem *up_account_delete(const up_service *service, const up_request *request, int hard);

/** Why an account is not served: the problem of its state, NULL for an active one. */
up_problem *up_account_problem(const up_service *service, apr_pool_t *p, up_account account);

/** Why a conditional write found no row: asks the store once more. */
up_problem *up_account_explain(const up_service *service, const up_request *request);

/** Tells the sysadmin of a problem that the client need not know. */
void up_warn(const up_request *request, const up_problem *problem);

#endif
