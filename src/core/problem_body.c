/* SPDX-License-Identifier: Apache-2.0 */
#include "core/problem_body.h"

#include <apr_strings.h>
#include <jansson.h>

/* Where there is no memory for more, the code has to do. */
static const char *dump(apr_pool_t *p, json_t *body, const up_problem *problem)
{
    size_t size = body ? json_dumpb(body, NULL, 0, JSON_COMPACT) : 0;
    char *text;

    if (size == 0)
        return apr_pstrcat(p, "{\"status\":\"error\",\"code\":\"", up_code_name(problem->code),
                           "\",\"message\":\"\",\"details\":[]}", NULL);
    text = apr_palloc(p, size + 1);
    json_dumpb(body, text, size, JSON_COMPACT);
    text[size] = '\0';
    return text;
}

static json_t *details_json(const apr_array_header_t *details)
{
    json_t *list = json_array();
    int i;

    for (i = 0; details && i < details->nelts; i++) {
        const up_detail *detail = &APR_ARRAY_IDX(details, i, up_detail);

        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "field", detail->field, "code",
                                              up_code_name(detail->code), "message",
                                              detail->message));
    }
    return list;
}

const char *up_problem_body_json(apr_pool_t *p, const up_problem *problem, const char *log_id)
{
    const char *message =
        log_id ? apr_pstrcat(p, problem->message, " (error-log ID ", log_id, ")", NULL)
               : problem->message;
    json_t *body = json_pack("{s:s, s:s, s:s, s:o}", "status", "error", "code",
                             up_code_name(problem->code), "message", message, "details",
                             details_json(problem->details));
    const char *text = dump(p, body, problem);

    json_decref(body);
    return text;
}
