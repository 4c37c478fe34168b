/* SPDX-License-Identifier: Apache-2.0 */

/**
 * What went wrong, said once and carried unchanged to the edge.
 *
 * Every operation of this module that can fail returns an up_problem, or NULL
 * for success. A problem says three things to three readers: a code (for the
 * program that calls us), a sentence (for the person who wrote it) and, where
 * the cause is on our side, a log line (for the sysadmin). Foreign error codes
 * are translated where they occur, in the adapters, and never again.
 *
 * Lifetime: a problem and all it points to live in the pool that it was made
 * in, which is the request's.
 */
#ifndef UP_PROBLEM_H
#define UP_PROBLEM_H

#include <apr_pools.h>
#include <apr_tables.h>

/** The codes of the contract, section 5. The table in problem.c gives each its
 *  name, HTTP status and default sentence. */
typedef enum up_code {
    UP_MISSING_TOKEN,
    UP_INVALID_CREDENTIALS,
    UP_TOKEN_REVOKED,
    UP_ACCOUNT_DELETED,
    UP_ACCOUNT_DEACTIVATED,
    UP_INSUFFICIENT_ROLE,
    UP_MALFORMED_JSON,
    UP_MALFORMED_MULTIPART,
    UP_VALIDATION_ERROR,
    UP_INVALID_LANGUAGE_CODE,
    UP_INVALID_FILE_TYPE,
    UP_NOT_FOUND,
    UP_METHOD_NOT_ALLOWED,
    UP_PRECONDITION_FAILED,
    UP_FILE_TOO_LARGE,
    UP_BODY_TOO_LARGE,
    UP_UNSUPPORTED_MEDIA_TYPE,
    UP_STORAGE_UPLOAD_ERROR,
    UP_SERVICE_UNAVAILABLE,
    UP_BAD_REQUEST,
    UP_FORBIDDEN,
    UP_REQUEST_TIMEOUT,
    UP_INTERNAL_ERROR,
    UP_CODES /* how many there are */
} up_code;

/** How many details a problem keeps; there are never more fields. */
#define UP_DETAILS_MAX 64

/** One invalid field. All strings are UTF-8 and live as long as the problem. */
typedef struct up_detail {
    const char *field;   /* the field's public name */
    up_code code;        /* VALIDATION_ERROR, INVALID_LANGUAGE_CODE, … */
    const char *message; /* what is right */
} up_detail;

typedef struct up_problem {
    up_code code;
    const char *message;         /* for the client; never SQL, a host, a path or a secret */
    apr_array_header_t *details; /* of up_detail; NULL where no field is at fault */
    const char *log;             /* for the error log; NULL where the client is at fault */
    int retry_after;             /* seconds for Retry-After, 0 for none */
} up_problem;

/** The contract's name of a code, e.g. "MALFORMED_JSON". Static. */
const char *up_code_name(up_code code);

/** The code in two or three words, the same for every problem that has it. Static. */
const char *up_code_title(up_code code);

/** The HTTP status that goes with a code in format json, e.g. 400. */
int up_code_status(up_code code);

/** The sentence that goes with a code where nothing more precise is known. Static. */
const char *up_code_message(up_code code);

/** The code that best says what an HTTP status of httpd's own means (401 is
 *  MISSING_TOKEN, an unknown 5xx INTERNAL_ERROR, an unknown 4xx BAD_REQUEST). */
up_code up_code_of_status(int status);

/**
 * A problem that the client caused.
 * @param message what was wrong and what is right, one sentence with a full
 *        stop, or NULL for the code's own. It is not copied: pass a literal or
 *        a string of pool p.
 */
up_problem *up_problem_make(apr_pool_t *p, up_code code, const char *message);

/**
 * A problem on our side: the client gets the code's own sentence, the error
 * log the formatted line. The line says what failed, where, and what to do.
 * SERVICE_UNAVAILABLE gets a Retry-After of one second.
 */
up_problem *up_problem_logged(apr_pool_t *p, up_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * Adds an invalid field. With *problem NULL it makes one; the problem's code
 * is INVALID_LANGUAGE_CODE as soon as one detail is, else VALIDATION_ERROR.
 * @param message not copied, as in up_problem_make().
 */
void up_problem_detail(up_problem **problem, apr_pool_t *p, const char *field, up_code code,
                       const char *message);

#endif
