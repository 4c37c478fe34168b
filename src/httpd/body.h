/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The request's body, pumped from httpd's input filters to where it belongs:
 * JSON and text to a patch, a picture to a temporary file. Nothing is held of
 * it in memory but a piece of 48,000 bytes and, of JSON or text, 64 KiB.
 */
#ifndef UP_BODY_H
#define UP_BODY_H

#include "core/patch.h"
#include "core/problem.h"
#include "ports/avatar_storage.h"

#include <httpd.h>

/** The largest picture, in bytes: 5 MB as the first seed has it. */
#define UP_PICTURE_MAX ((apr_off_t)5 * 1024 * 1024)

/** What is read of a body. */
typedef struct up_body {
    up_patch *patch;     /* where text goes; NULL: it is ignored */
    int wants_picture;   /* is a part named avatar a picture? else it is ignored */
    up_picture *picture; /* the picture, or NULL where there is none */
    up_problem *problem; /* what is wrong with it; the whole body has been read then only where
                            this is about its values */
} up_body;

/**
 * Reads a body by its Content-Type.
 * @param raw may it be a picture as it is (image/…, application/octet-stream)? If not,
 *        it may be JSON.
 * @return OK, with body->problem NULL or not; or a status of httpd's own where
 *         the body could not be read (its filters may have answered already).
 */
int up_body_read(request_rec *r, up_body *body, int raw);

#endif
