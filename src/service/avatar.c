/* SPDX-License-Identifier: Apache-2.0 */

/* The order is the first seed's: the new asset is uploaded, the old one deleted,
 * the URL set. The journal makes it whole: see ports/user_store.h. */
#include "service/service.h"

#include <apr_strings.h>

up_problem *up_avatar_discard(const up_service *service, apr_pool_t *p, const char *asset,
                              int *doomed)
{
    up_problem *problem = service->users->doom(service->users, p, asset, doomed);

    if (problem || !*doomed)
        return problem;
    return service->avatars->destroy(service->avatars, p, asset);
}

/* The new asset is nobody's. Where it can't be destroyed its entry stays. */
static void discard(const up_service *service, const up_request *request, const char *asset)
{
    int doomed = 0;
    up_problem *problem = up_avatar_discard(service, request->pool, asset, &doomed);

    if (!problem && doomed)
        problem = service->users->withdraw(service->users, request->pool, asset);
    up_warn(request, problem);
}

int up_avatar_destroy(const up_service *service, const up_request *request, const char *url)
{
    up_avatar_storage *avatars = service->avatars;
    const char *asset = avatars ? avatars->asset_of(avatars, request->pool, url) : NULL;
    up_problem *problem;

    if (!asset)
        return 1;
    problem = avatars->destroy(avatars, request->pool, asset);
    up_warn(request, problem);
    return problem == NULL;
}

/* From the statement that has changed the row to the one that ends the swap. */
static up_problem *complete(const up_service *service, const up_request *request,
                            const up_swap *swap, const up_row **row)
{
    int destroyed = up_avatar_destroy(service, request, swap->old_url);
    up_problem *problem =
        service->users->publish(service->users, request->pool, swap, destroyed, row);

    if (problem || *row)
        return problem;
    /* A later write has cancelled this one, and the profile is what that made it; or
       this process slept until a sweep ended the swap in its place. */
    if (swap->asset)
        discard(service, request, swap->asset);
    return up_profile_read(service, request, row);
}

static up_problem *announce(const up_service *service, const up_request *request, const char *asset)
{
    int announced;
    up_problem *problem = service->users->announce(service->users, request->pool, request->caller,
                                                   request->match, asset, &announced);

    if (problem || announced)
        return problem;
    return up_account_explain(service, request);
}

/* A storage that fails is left alone for a while. Whoever has no account is told so all the same,
 * and does not take the turn of the one who may try it. */
static up_problem *take_turn(const up_service *service, const up_request *request, up_turn *turn)
{
    const up_patch *nothing = up_patch_create(request->pool, service->model);
    const up_row *row;
    up_problem *problem = NULL;
    int seconds;

    if (!service->breaker)
        return NULL;
    if (!up_breaker_is_closed(service->breaker))
        problem = up_profile_update(service, request, nothing, &row);
    if (problem)
        return problem;
    seconds = up_breaker_begin(service->breaker, turn);
    if (!seconds)
        return NULL;
    problem = up_problem_logged(request->pool, UP_STORAGE_UPLOAD_ERROR,
                                "the avatar storage was not asked, as it has failed several times "
                                "in a row; it is tried again in %d s",
                                seconds);
    problem->retry_after = seconds;
    return problem;
}

/* Tells the breaker how a turn has ended, and the sysadmin what that has changed. A failure has
 * its problem. */
static void end_turn(const up_service *service, const up_request *request, up_turn turn,
                     up_outcome outcome, up_problem *problem)
{
    up_breaker_change change = UP_BREAKER_SAME;
    int seconds = 0;

    if (service->breaker)
        change = up_breaker_end(service->breaker, turn, outcome, &seconds);
    if (problem && outcome == UP_OUTCOME_FAILED)
        problem->retry_after = seconds ? seconds : 1;
    if (problem && change == UP_BREAKER_OPENED)
        request->tell(request->baton, 1,
                      apr_psprintf(request->pool,
                                   "the avatar storage has failed several times in a row: uploads "
                                   "are refused (502) without asking it, but for one in %d s, and "
                                   "then in twice as long each time; its last failure: %s",
                                   seconds, problem->log));
    else if (change == UP_BREAKER_CLOSED)
        request->tell(request->baton, 0,
                      apr_psprintf(request->pool,
                                   "the avatar storage takes uploads again, after %d s", seconds));
}

static up_problem *upload(const up_service *service, const up_request *request, up_turn turn,
                          const char *asset, const up_picture *picture, const char **url)
{
    up_avatar_storage *avatars = service->avatars;
    up_upload_end end = UP_UPLOAD_UNKNOWN;
    up_problem *problem = avatars->upload(avatars, request->pool, asset, picture, url, &end);

    end_turn(service, request, turn,
             problem && end != UP_UPLOAD_REFUSED ? UP_OUTCOME_FAILED : UP_OUTCOME_WORKED, problem);
    /* Where it may be there after all, a storage that does not answer is not
       asked again while the client waits: the journal has it. */
    if (problem && end != UP_UPLOAD_UNKNOWN)
        up_warn(request, service->users->withdraw(service->users, request->pool, asset));
    return problem;
}

up_problem *up_avatar_set(const up_service *service, const up_request *request,
                          const up_patch *patch, const up_picture *picture, const up_row **row)
{
    up_avatar_storage *avatars = service->avatars;
    const char *asset = avatars->new_asset(avatars, request->pool, picture->type);
    const char *url;
    up_turn turn = 0;
    up_swap *swap;
    up_problem *problem;

    if (!asset)
        return up_problem_logged(request->pool, UP_INTERNAL_ERROR,
                                 "the system has no random bytes for an avatar's public ID");
    problem = take_turn(service, request, &turn);
    if (problem)
        return problem;
    problem = announce(service, request, asset);
    if (problem) {
        end_turn(service, request, turn, UP_OUTCOME_NONE, NULL);
        return problem;
    }
    problem = upload(service, request, turn, asset, picture, &url);
    if (problem)
        return problem;
    problem = service->users->swap(service->users, request->pool, request->caller, patch,
                                   request->match, asset, url, &swap);
    /* Whether a failed statement has been committed is not known: the journal is. */
    if (problem)
        return problem;
    if (!swap) {
        discard(service, request, asset);
        return up_account_explain(service, request);
    }
    return complete(service, request, swap, row);
}

up_problem *up_avatar_remove(const up_service *service, const up_request *request,
                             const up_row **row)
{
    const up_patch *nothing = up_patch_create(request->pool, service->model);
    up_swap *swap;
    up_problem *problem = service->users->swap(service->users, request->pool, request->caller,
                                               nothing, request->match, NULL, NULL, &swap);

    if (problem)
        return problem;
    return swap ? complete(service, request, swap, row) : up_account_explain(service, request);
}
