/* SPDX-License-Identifier: Apache-2.0 */

/** What an image is by its first bytes, whatever its name or declared type says. */
#ifndef UP_IMAGE_H
#define UP_IMAGE_H

#include <apr.h>

typedef enum up_image { UP_IMAGE_NONE, UP_IMAGE_JPEG, UP_IMAGE_PNG, UP_IMAGE_WEBP } up_image;

/** How many bytes up_image_sniff() wants to see. */
#define UP_IMAGE_HEAD 32

/**
 * @param head the file's first bytes: UP_IMAGE_HEAD of them, or the whole file
 *        where it is shorter.
 * JPEG: SOI and a marker (ISO 10918-1 B.1.1). PNG: the signature and an IHDR
 * chunk of 13 bytes (PNG 5.2, 11.2.2). WebP: a RIFF of form WEBP whose first
 * chunk is VP8, VP8L or VP8X (RFC 9649 2.4 to 2.7).
 */
up_image up_image_sniff(const char *head, apr_size_t len);

/** "image/jpeg", "image/png", "image/webp"; NULL for UP_IMAGE_NONE. Static. */
const char *up_image_media_type(up_image image);

/** "jpg", "png", "webp"; NULL for UP_IMAGE_NONE. Static. */
const char *up_image_extension(up_image image);

#endif
