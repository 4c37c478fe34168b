/* SPDX-License-Identifier: Apache-2.0 */

/**
 * AuthType Bearer (RFC 6750): who is calling, for our resource and for any
 * other <Location>. r->user becomes the token's subject.
 */
#ifndef UP_BEARER_H
#define UP_BEARER_H

#include <httpd.h>

/** Hook check_authn. */
int up_bearer_check(request_rec *r);

/** Hook note_auth_failure: the challenge of a 401 that another hook gives. */
int up_bearer_challenge(request_rec *r, const char *auth_type);

#endif
