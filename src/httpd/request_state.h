/* SPDX-License-Identifier: Apache-2.0 */

/** What the module's hooks tell one another about a request. */
#ifndef UP_REQUEST_STATE_H
#define UP_REQUEST_STATE_H

#include "core/problem.h"
#include "core/token.h"
#include "ports/user_store.h"

#include <httpd.h>

typedef struct up_request_state {
    up_claims *claims;   /* of the verified token, or NULL */
    up_caller caller;    /* likewise */
    int body_read;       /* up to its end */
    up_problem *problem; /* why the request is refused, or NULL */
    const char *allow;   /* of a 405: the methods that there are */
} up_request_state;

/** The state of a request, made on first use, in its pool. */
up_request_state *up_request_state_of(request_rec *r);

/** Forgets why an authorization provider would have refused a request that was
 *  let in all the same. */
void up_forget_refusal(request_rec *r);

/** Is this request for our resource, or below it? */
int up_is_resource(const request_rec *r);

#endif
