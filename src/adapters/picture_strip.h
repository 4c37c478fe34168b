/* SPDX-License-Identifier: Apache-2.0 */

/**
 * A picture without what it tells about its maker: the place and time of Exif,
 * XMP, IPTC, comments, what follows the picture's end (a telephone's video).
 * The pixels are not touched; colour profile, resolution and animation stay,
 * and of Exif its orientation, as the picture would lie on its side without
 * (JPEG and WebP).
 */
#ifndef UP_PICTURE_STRIP_H
#define UP_PICTURE_STRIP_H

#include "ports/avatar_storage.h"

#include <apr_tables.h>

/** A piece of the picture as it is to be stored. */
typedef struct up_picture_piece {
    const char *bytes; /* len new bytes, or NULL: */
    apr_off_t offset;  /* len bytes of the file from here */
    apr_off_t len;
} up_picture_piece;

/**
 * Reads a picture's structure: JPEG segments (ISO 10918-1 annex B), PNG chunks
 * (PNG 5.3), RIFF chunks (RFC 9649 2.3). From where that structure is broken,
 * all is kept as it is: no reader need agree on what it means. What up_image_sniff()
 * would not take for this type any more is kept whole: it shows nothing.
 * @param pieces of up_picture_piece in p, in their order; at most 1000.
 * @return the failure of a read, or APR_SUCCESS.
 */
apr_status_t up_picture_strip(apr_pool_t *p, const up_picture *picture,
                              apr_array_header_t **pieces);

#endif
