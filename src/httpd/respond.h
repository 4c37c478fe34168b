/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Answers: profiles, and problems in the contract's format.
 *
 * There is one way for a problem: whoever meets it keeps it with
 * up_respond_problem() and returns the status that this gives back; httpd then
 * makes its error page, and the filter puts our body in the place of it. So it
 * is for what httpd's own hooks refuse, too.
 */
#ifndef UP_RESPOND_H
#define UP_RESPOND_H

#include "core/problem.h"
#include "httpd/config.h"

#include <httpd.h>

/** Sends a profile with its validators: 200, or 304 where If-None-Match has its
 *  tag. @return OK, or a status. */
int up_respond_profile(request_rec *r, const up_config *config, const up_row *row);

/** Sends a JSON object that is already text. @return OK. */
int up_respond_json(request_rec *r, const char *json);

/** Answers with a status that has no body: 204, 304. @return OK. */
int up_respond_empty(request_rec *r, int status);

/**
 * Keeps the problem for the error filter, logs its log line, and sees to the
 * headers that go with it.
 * @return the HTTP status to return to httpd.
 */
int up_respond_problem(request_rec *r, up_problem *problem);

/** The challenge of a 401 (RFC 6750 section 3). */
void up_respond_challenge(request_rec *r, int token_was_sent);

/** Hook insert_error_filter: has our body sent in the place of httpd's. */
void up_respond_insert_error_filter(request_rec *r);

/** Registers the filter. */
void up_respond_register(apr_pool_t *p);

/** A sysadmin's ErrorDocument is for pages: here it does not apply. */
void up_respond_claim_errors(request_rec *r);

#endif
