/* SPDX-License-Identifier: Apache-2.0 */

/**
 * HTTP by libcurl: requests that are bounded in time and memory.
 *
 * A client belongs to a child process and is used by all its threads at once.
 * It keeps a few easy handles, each with its warm connection, for the next
 * request. TLS certificates are verified, redirects are not followed, and no
 * proxy is used, whatever the environment says.
 *
 * curl_global_init(CURL_GLOBAL_DEFAULT) is the door's job: once, in the
 * parent, before there are threads or children.
 */
#ifndef UP_HTTP_CLIENT_H
#define UP_HTTP_CLIENT_H

#include "ports/avatar_storage.h"

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

typedef struct up_http_client up_http_client;

typedef struct up_http_limits {
    apr_interval_time_t connect; /* name resolution, TCP and TLS; at least 1 ms */
    apr_interval_time_t total;   /* the whole request, a repetition included; at least 1 ms */
    apr_interval_time_t stall;   /* for so long the transfer may be slower than stall_rate; the
                                    server's time to think does not count. 0: no such limit */
    apr_size_t stall_rate;       /* bytes a second */
    apr_size_t answer_max;       /* bytes of the answer's body */
    int idle_max;                /* connections kept for later requests */
} up_http_limits;

/** A text part of a form. */
typedef struct up_http_field {
    const char *name;  /* a token */
    const char *value; /* no NUL */
} up_http_field;

/** The form's file part. */
typedef struct up_http_file {
    const char *name;       /* the part's name */
    const char *filename;   /* what the server is told */
    const char *media_type; /* likewise */
    const up_picture *picture;
} up_http_file;

typedef struct up_http_form {
    const char *url;
    const apr_array_header_t *fields; /* of up_http_field */
    const up_http_file *file;         /* NULL: none */
} up_http_form;

typedef struct up_http_answer {
    int sent;         /* may the server have received the request? Told of failures too */
    int status;       /* HTTP status, 100 to 599 */
    const char *body; /* NUL-terminated, may hold NULs; in the pool of the request */
    apr_size_t len;   /* bytes of body */
} up_http_answer;

/**
 * Makes a client; no connection yet.
 * @param p the child's pool; the connections are closed with it.
 * @param limits copied.
 * @param agent  the User-Agent; copied.
 * @return NULL where the system has no mutex left.
 */
up_http_client *up_http_client_create(apr_pool_t *p, const up_http_limits *limits,
                                      const char *agent);

/**
 * Sends a form as multipart/form-data (RFC 7578), streaming its file, and
 * waits for the answer.
 *
 * A request that dies on a kept connection is made once more on a fresh one,
 * within the same time: only send what may be done twice.
 *
 * @return NULL where there was an answer, of whatever status; else a phrase
 *         for the log, in p, that says what failed and where to look. It holds
 *         no field's value.
 */
const char *up_http_post(up_http_client *client, apr_pool_t *p, const up_http_form *form,
                         up_http_answer *answer);

#endif
