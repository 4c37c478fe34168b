/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service.h"

up_problem *up_account_problem(const up_service *service, apr_pool_t *p, up_account account)
{
    switch (account) {
    case UP_ACCOUNT_ACTIVE:
        return NULL;
    case UP_ACCOUNT_GONE:
        return up_problem_make(p, UP_ACCOUNT_DELETED, NULL);
    case UP_ACCOUNT_INACTIVE:
        return up_problem_make(p, UP_ACCOUNT_DEACTIVATED, NULL);
    case UP_ACCOUNT_NEWER_THAN_TOKEN:
        return up_problem_make(p, UP_INVALID_CREDENTIALS, NULL);
    default:
        return up_problem_make(p, service->unknown_user, NULL);
    }
}

up_problem *up_profile_read(const up_service *service, const up_request *request,
                            const up_row **row)
{
    up_account account;
    up_problem *problem =
        service->users->read(service->users, request->pool, request->caller, &account, row);

    return problem ? problem : up_account_problem(service, request->pool, account);
}

up_problem *up_account_explain(const up_service *service, const up_request *request)
{
    const up_row *row;
    up_problem *problem = up_profile_read(service, request, &row);

    if (problem)
        return problem;
    if (request->match)
        return up_problem_make(request->pool, UP_PRECONDITION_FAILED, NULL);
    return up_problem_logged(request->pool, UP_SERVICE_UNAVAILABLE,
                             "a write to an account was refused, and now nothing speaks against "
                             "it: the account became active meanwhile, or an upload took longer "
                             "than the journal's lease; the client may try again");
}

void up_warn(const up_request *request, const up_problem *problem)
{
    if (problem && problem->log)
        request->warn(request->baton, problem->log);
}
