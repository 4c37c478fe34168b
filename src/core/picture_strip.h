/* SPDX-License-Identifier: Apache-2.0 */

/**
 * A picture without what it tells about its maker: the place and time of Exif,
 * XMP, IPTC, comments, thumbnails (which may show what was cut off), what
 * follows the picture's end (a telephone's video). The pixels are not touched;
 * colour profile, resolution and animation stay, and of Exif its orientation,
 * as the picture would lie on its side without.
 */
#ifndef UP_PICTURE_STRIP_H
#define UP_PICTURE_STRIP_H

#include "core/image.h"

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_tables.h>

/** Where a picture's bytes are. */
typedef struct up_picture_source {
    apr_off_t size; /* bytes */
    /** Reads len bytes from there, which lie within size, or fails. */
    apr_status_t (*read)(void *baton, apr_off_t at, unsigned char *buffer, apr_size_t len);
    void *baton;
} up_picture_source;

/** A piece of the picture as it is to be stored. */
typedef struct up_picture_piece {
    const char *bytes; /* len new bytes, or NULL: */
    apr_off_t offset;  /* len bytes of the source from here */
    apr_off_t len;
} up_picture_piece;

typedef struct up_picture_outline {
    int broken;                 /* it can't be followed, or has no picture of its type in it */
    apr_array_header_t *pieces; /* of up_picture_piece, in their order, at most 1000 */
    apr_off_t size;             /* bytes of all pieces */
    unsigned long width;        /* pixels, at least 1 */
    unsigned long height;       /* likewise; the largest, where headers differ */
} up_picture_outline;

/**
 * Reads a picture's structure: JPEG segments (ISO 10918-1 annex B), PNG chunks
 * (PNG 5.3), RIFF chunks (RFC 9649 2.3). One that is broken anywhere is broken as
 * a whole, as nobody could say what a reader finds behind that place; only a JPEG may
 * end early, as many do. It needs two blocks of memory, of 16 and, for Exif, 64 KiB.
 * @param p where the outline, and its pieces' new bytes, live.
 * @param type what up_image_sniff() says of it; never UP_IMAGE_NONE.
 * @return the failure of a read, or APR_SUCCESS, and then whether it is broken.
 */
apr_status_t up_picture_strip(apr_pool_t *p, const up_picture_source *source, up_image type,
                              up_picture_outline *outline);

#endif
