/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service.h"

/* Nothing is to be written, and still the precondition holds or it does not. */
static up_problem *update_nothing(const up_service *service, const up_request *request,
                                  const up_row **row)
{
    up_problem *problem = up_profile_read(service, request, row);

    if (!problem && request->match &&
        !up_tags_match_strong(request->match, up_profile_etag(request->pool, service->model, *row)))
        problem = up_problem_make(request->pool, UP_PRECONDITION_FAILED, NULL);
    return problem;
}

up_problem *up_profile_update(const up_service *service, const up_request *request,
                              const up_patch *patch, const up_row **row)
{
    up_problem *problem;

    if (patch->count == 0)
        return update_nothing(service, request, row);
    problem = service->users->update(service->users, request->pool, request->caller, patch,
                                     request->match, row);
    if (problem || *row)
        return problem;
    return up_account_explain(service, request);
}
