/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Port: where pictures are kept.
 *
 * One storage belongs to a child process, is made in its pool, and is used by
 * all its threads at once. Every call is bounded in time by the storage's
 * configured timeouts. Failures are STORAGE_UPLOAD_ERROR with a log line.
 */
#ifndef UP_AVATAR_STORAGE_H
#define UP_AVATAR_STORAGE_H

#include "core/image.h"
#include "core/picture_strip.h"
#include "core/problem.h"

#include <apr_file_io.h>

/** Bytes of an asset's public ID, with its terminating NUL. */
#define UP_ASSET_ID_MAX 256

/** A picture that waits to be stored: pieces of a file, and new bytes among them, and so
 *  without what it told of its maker, whatever the storage. */
typedef struct up_picture {
    apr_file_t *file;                 /* open for reading; its position is the callee's to move */
    const apr_array_header_t *pieces; /* of up_picture_piece, in their order */
    apr_off_t size;                   /* bytes of all pieces, at least 1 */
    up_image type;                    /* never UP_IMAGE_NONE */
} up_picture;

/** How an upload that failed has ended. */
typedef enum up_upload_end {
    UP_UPLOAD_UNKNOWN, /* the asset may be there all the same */
    UP_UPLOAD_FAILED,  /* it is not: the storage could not be reached, or takes nothing from us */
    UP_UPLOAD_REFUSED  /* it is not: the storage works, and does not take this picture */
} up_upload_end;

typedef struct up_avatar_storage up_avatar_storage;

struct up_avatar_storage {
    /** A public ID that nobody has used and nobody can guess (128 random bits),
     *  for a picture of this type, in p. NULL where the system has no randomness. */
    const char *(*new_asset)(up_avatar_storage *self, apr_pool_t *p, up_image type);

    /** Stores the picture under the ID. *url becomes its public URL, in p; *end is set
     *  where it fails. */
    up_problem *(*upload)(up_avatar_storage *self, apr_pool_t *p, const char *asset,
                          const up_picture *picture, const char **url, up_upload_end *end);

    /** Deletes the asset; one that is not there is a success. */
    up_problem *(*destroy)(up_avatar_storage *self, apr_pool_t *p, const char *asset);

    /** The public ID of the asset that this URL points at, in p, or NULL where it
     *  is not in this storage and folder. A URL of NULL gives NULL. */
    const char *(*asset_of)(up_avatar_storage *self, apr_pool_t *p, const char *url);
};

#endif
