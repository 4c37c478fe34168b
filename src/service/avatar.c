/* SPDX-License-Identifier: Apache-2.0 */

/* The order is the first seed's: the new asset is uploaded, the old one deleted,
 * the URL set. The journal makes it whole: see ports/user_store.h. */
#include "service/service.h"

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

up_problem *up_avatar_set(const up_service *service, const up_request *request,
                          const up_patch *patch, const up_picture *picture, const up_row **row)
{
    up_avatar_storage *avatars = service->avatars;
    const char *asset = avatars->new_asset(avatars, request->pool, picture->type);
    const char *url;
    int stored;
    up_swap *swap;
    up_problem *problem;

    if (!asset)
        return up_problem_logged(request->pool, UP_INTERNAL_ERROR,
                                 "the system has no random bytes for an avatar's public ID");
    problem = announce(service, request, asset);
    if (problem)
        return problem;
    problem = avatars->upload(avatars, request->pool, asset, picture, &url, &stored);
    if (problem) {
        /* Where it may be there after all, a storage that does not answer is not
           asked again while the client waits: the journal has it. */
        if (!stored)
            up_warn(request, service->users->withdraw(service->users, request->pool, asset));
        return problem;
    }
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
