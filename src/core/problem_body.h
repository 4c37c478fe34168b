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

#endif
