/* SPDX-License-Identifier: Apache-2.0 */

/** A problem as the body of an answer. */
#ifndef UP_PROBLEM_BODY_H
#define UP_PROBLEM_BODY_H

#include "core/problem.h"

/**
 * Format json, the first seed's:
 * {"status":"error","code":"…","message":"…","details":[{"field":…,"code":…,"message":…}]}
 * @param log_id httpd's error-log ID, told in the message; NULL for none.
 * @return in p; never NULL.
 */
const char *up_problem_body_json(apr_pool_t *p, const up_problem *problem, const char *log_id);

/** What format problem says beside the problem itself. */
typedef struct up_problem_frame {
    int status;           /* of the answer */
    const char *base;     /* a type is this, then the code in lower case with hyphens */
    const char *instance; /* the path of the request */
    const char *log_id;   /* as above */
} up_problem_frame;

/**
 * Format problem, RFC 9457: type, title, status, detail, instance, with code and
 * errors as extensions; each error has a JSON Pointer (RFC 6901, as a fragment).
 * @return in p; never NULL.
 */
const char *up_problem_body_problem(apr_pool_t *p, const up_problem *problem,
                                    const up_problem_frame *frame);

#endif
