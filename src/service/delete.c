/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service.h"

/* The token store's part and the storage's: each is tried, and what succeeds is
 * struck out of the journal. What does not stays there to be done again. */
static up_entries end_sessions(const up_service *service, const up_request *request,
                               const up_farewell *farewell)
{
    const up_caller *caller = request->caller;
    up_entries done = {0};
    up_problem *problem = NULL;

    if (farewell->entries.revoke_token) {
        if (caller->exp > request->now)
            problem = service->tokens->revoke(service->tokens, request->pool, caller->jti,
                                              caller->exp - request->now);
        if (problem)
            up_warn(request, problem);
        else
            done.revoke_token = farewell->entries.revoke_token;
    }
    problem = service->tokens->revoke_sessions(service->tokens, request->pool, caller->subject);
    if (problem)
        up_warn(request, problem);
    else
        done.revoke_sessions = farewell->entries.revoke_sessions;
    return done;
}

up_problem *up_account_delete(const up_service *service, const up_request *request, int hard)
{
    up_farewell *farewell;
    up_entries done;
    up_problem *problem = service->users->remove(service->users, request->pool, request->caller,
                                                 request->match, hard, &farewell);

    if (problem)
        return problem;
    if (!farewell)
        return up_account_explain(service, request);
    done = end_sessions(service, request, farewell);
    if (up_avatar_destroy(service, request, farewell->old_url))
        done.destroy = farewell->entries.destroy;
    /* The account is gone: an entry that could not be struck is done twice, to no effect. */
    up_warn(request, service->users->settle(service->users, request->pool, &done));
    return NULL;
}
