/* SPDX-License-Identifier: Apache-2.0 */
#include "core/problem_body.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

/* In p. @return NULL where jansson found no memory. */
static const char *dump(apr_pool_t *p, const json_t *body)
{
    size_t size = body ? json_dumpb(body, NULL, 0, JSON_COMPACT) : 0;
    char *text = size ? apr_palloc(p, size + 1) : NULL;

    if (!text || json_dumpb(body, text, size, JSON_COMPACT) != size)
        return NULL;
    text[size] = '\0';
    return text;
}

static json_t *details_json(const apr_array_header_t *details)
{
    json_t *list = json_array();
    int i;

    for (i = 0; details && i < details->nelts; i++) {
        const up_detail *detail = &APR_ARRAY_IDX(details, i, up_detail);

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s}", "field", detail->field, "code",
                                        up_code_name(detail->code), "message", detail->message));
    }
    return list;
}

static const char *sentence(apr_pool_t *p, const char *message, const char *log_id)
{
    return log_id ? apr_pstrcat(p, message, " (error-log ID ", log_id, ")", NULL) : message;
}

const char *up_problem_body_json(apr_pool_t *p, const up_problem *problem, const char *log_id)
{
    json_t *body = json_pack(
        "{s:s, s:s, s:s, s:o}", "status", "error", "code", up_code_name(problem->code), "message",
        sentence(p, problem->message, log_id), "details", details_json(problem->details));
    const char *text = dump(p, body);

    json_decref(body);
    /* The sentences of the codes, and IDs, need no escapes. */
    return text ? text
                : apr_pstrcat(p, "{\"status\":\"error\",\"code\":\"", up_code_name(problem->code),
                              "\",\"message\":\"",
                              sentence(p, up_code_message(problem->code), log_id),
                              "\",\"details\":[]}", NULL);
}

/* "MALFORMED_JSON" is "malformed-json" in a URI. */
static const char *type_uri(apr_pool_t *p, const char *base, up_code code)
{
    char *slug = apr_pstrdup(p, up_code_name(code)), *s;

    for (s = slug; *s; s++)
        *s = *s == '_' ? '-' : apr_tolower(*s);
    return apr_pstrcat(p, base, slug, NULL);
}

/* RFC 6901: ~ and / within a name are escaped. */
static const char *pointer(apr_pool_t *p, const char *name)
{
    char *text = apr_palloc(p, 2 * strlen(name) + 3), *to = text;

    *to++ = '#';
    *to++ = '/';
    for (; *name; name++) {
        if (*name == '~' || *name == '/') {
            *to++ = '~';
            *to++ = *name == '~' ? '0' : '1';
        } else {
            *to++ = *name;
        }
    }
    *to = '\0';
    return text;
}

static json_t *errors_json(apr_pool_t *p, const apr_array_header_t *details)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < details->nelts; i++) {
        const up_detail *detail = &APR_ARRAY_IDX(details, i, up_detail);

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s}", "pointer",
                                        pointer(p, detail->field), "field", detail->field, "code",
                                        up_code_name(detail->code), "detail", detail->message));
    }
    return list;
}

const char *up_problem_body_problem(apr_pool_t *p, const up_problem *problem,
                                    const up_problem_frame *frame)
{
    json_t *body =
        json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", type_uri(p, frame->base, problem->code),
                  "title", up_code_title(problem->code), "status", frame->status, "detail",
                  sentence(p, problem->message, frame->log_id), "instance", frame->instance, "code",
                  up_code_name(problem->code));
    const char *text;

    if (body && problem->details)
        json_object_set_new(body, "errors", errors_json(p, problem->details));
    text = dump(p, body);
    json_decref(body);
    return text ? text
                : apr_psprintf(p,
                               "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,"
                               "\"detail\":\"%s\",\"code\":\"%s\"}",
                               up_code_title(problem->code), frame->status,
                               sentence(p, up_code_message(problem->code), frame->log_id),
                               up_code_name(problem->code));
}
