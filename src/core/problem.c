/* SPDX-License-Identifier: Apache-2.0 */
#include "core/problem.h"

#include <apr_strings.h>
#include <stdarg.h>

typedef struct code_entry {
    const char *name;
    const char *title;
    int status;
    const char *message;
} code_entry;

static const code_entry codes[UP_CODES] = {
    [UP_MISSING_TOKEN] = {"MISSING_TOKEN", "Token missing", 401,
                          "Send an access token as 'Authorization: Bearer <token>'."},
    [UP_INVALID_CREDENTIALS] = {"INVALID_CREDENTIALS", "Token not valid", 401,
                                "The access token is not valid; sign in again."},
    [UP_TOKEN_REVOKED] = {"TOKEN_REVOKED", "Token revoked", 401,
                          "The access token has been revoked; sign in again."},
    [UP_ACCOUNT_DELETED] = {"ACCOUNT_DELETED", "Account deleted", 403,
                            "This account has been deleted."},
    [UP_ACCOUNT_DEACTIVATED] = {"ACCOUNT_DEACTIVATED", "Account deactivated", 403,
                                "This account is deactivated."},
    [UP_INSUFFICIENT_ROLE] = {"INSUFFICIENT_ROLE", "Role insufficient", 403,
                              "None of the roles in the access token is allowed to do this."},
    [UP_MALFORMED_JSON] = {"MALFORMED_JSON", "JSON malformed", 400,
                           "The body must be a single JSON object."},
    [UP_MALFORMED_MULTIPART] = {"MALFORMED_MULTIPART", "Multipart malformed", 400,
                                "The body is not well-formed multipart/form-data."},
    [UP_VALIDATION_ERROR] = {"VALIDATION_ERROR", "Data not valid", 400,
                             "Some values are not valid."},
    [UP_INVALID_LANGUAGE_CODE] = {"INVALID_LANGUAGE_CODE", "Language not valid", 400,
                                  "A language must be a valid BCP 47 tag."},
    [UP_INVALID_FILE_TYPE] = {"INVALID_FILE_TYPE", "File type not allowed", 400,
                              "The avatar must be a JPEG, PNG or WebP image."},
    [UP_NOT_FOUND] = {"NOT_FOUND", "Not found", 404, "There is no such resource."},
    [UP_METHOD_NOT_ALLOWED] = {"METHOD_NOT_ALLOWED", "Method not allowed", 405,
                               "This method is not allowed here; see Allow."},
    [UP_PRECONDITION_FAILED] = {"PRECONDITION_FAILED", "Precondition failed", 412,
                                "The profile has changed; read it again and retry with its ETag."},
    [UP_FILE_TOO_LARGE] = {"FILE_TOO_LARGE", "File too large", 413,
                           "The avatar may have at most 5 MB."},
    [UP_BODY_TOO_LARGE] = {"BODY_TOO_LARGE", "Body too large", 413,
                           "The body may have at most 64 KiB."},
    [UP_UNSUPPORTED_MEDIA_TYPE] = {"UNSUPPORTED_MEDIA_TYPE", "Media type not supported", 415,
                                   "This media type is not supported here."},
    [UP_STORAGE_UPLOAD_ERROR] = {"STORAGE_UPLOAD_ERROR", "Storage failed", 502,
                                 "The avatar could not be stored; the profile is unchanged."},
    [UP_SERVICE_UNAVAILABLE] = {"SERVICE_UNAVAILABLE", "Service unavailable", 503,
                                "The service is not available for the moment; try again."},
    [UP_BAD_REQUEST] = {"BAD_REQUEST", "Bad request", 400, "The request could not be understood."},
    [UP_FORBIDDEN] = {"FORBIDDEN", "Forbidden", 403, "Access is denied."},
    [UP_REQUEST_TIMEOUT] = {"REQUEST_TIMEOUT", "Request timeout", 408,
                            "The request took too long to arrive."},
    [UP_INTERNAL_ERROR] = {"INTERNAL_ERROR", "Internal error", 500,
                           "Something went wrong on the server."},
};

const char *up_code_name(up_code code)
{
    return codes[code].name;
}

const char *up_code_title(up_code code)
{
    return codes[code].title;
}

int up_code_status(up_code code)
{
    return codes[code].status;
}

const char *up_code_message(up_code code)
{
    return codes[code].message;
}

up_code up_code_of_status(int status)
{
    switch (status) {
    case 401:
        return UP_MISSING_TOKEN;
    case 403:
        return UP_FORBIDDEN;
    case 404:
        return UP_NOT_FOUND;
    case 405:
        return UP_METHOD_NOT_ALLOWED;
    case 408:
        return UP_REQUEST_TIMEOUT;
    case 412:
        return UP_PRECONDITION_FAILED;
    case 413:
        return UP_BODY_TOO_LARGE;
    case 415:
        return UP_UNSUPPORTED_MEDIA_TYPE;
    case 422:
        return UP_VALIDATION_ERROR;
    case 503:
        return UP_SERVICE_UNAVAILABLE;
    default:
        return status >= 500 ? UP_INTERNAL_ERROR : UP_BAD_REQUEST;
    }
}

up_problem *up_problem_make(apr_pool_t *p, up_code code, const char *message)
{
    up_problem *problem = apr_pcalloc(p, sizeof(*problem));

    problem->code = code;
    problem->message = message ? message : codes[code].message;
    return problem;
}

up_problem *up_problem_logged(apr_pool_t *p, up_code code, const char *fmt, ...)
{
    up_problem *problem = up_problem_make(p, code, NULL);
    va_list args;

    va_start(args, fmt);
    problem->log = apr_pvsprintf(p, fmt, args);
    va_end(args);
    if (code == UP_SERVICE_UNAVAILABLE)
        problem->retry_after = 1;
    return problem;
}

void up_problem_detail(up_problem **problem, apr_pool_t *p, const char *field, up_code code,
                       const char *message)
{
    up_detail *detail;

    if (!*problem) {
        *problem = up_problem_make(p, UP_VALIDATION_ERROR, NULL);
        (*problem)->details = apr_array_make(p, 4, sizeof(up_detail));
    }
    if (code == UP_INVALID_LANGUAGE_CODE) {
        (*problem)->code = code;
        (*problem)->message = codes[code].message;
    }
    /* A client can make up any number of names; an answer stays one. */
    if ((*problem)->details->nelts >= UP_DETAILS_MAX)
        return;
    detail = apr_array_push((*problem)->details);
    detail->field = field;
    detail->code = code;
    detail->message = message;
}
