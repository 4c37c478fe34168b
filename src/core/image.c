/* SPDX-License-Identifier: Apache-2.0 */
#include "core/image.h"

#include <string.h>

/** Do the bytes at this place begin with these? */
static int has(const char *head, apr_size_t len, apr_size_t at, const char *want, apr_size_t n)
{
    return at + n <= len && memcmp(head + at, want, n) == 0;
}

/** May this marker come right after SOI: tables, miscellaneous or a frame header
 *  (ISO 10918-1 B.2.1, B.2.4.1; the codes are in table B.1)? */
static int may_follow_soi(unsigned char marker)
{
    return (marker >= 0xC0 && marker <= 0xCF && marker != 0xC8) || /* SOFn, DHT, DAC */
           marker == 0xDB || marker == 0xDD || marker == 0xDE ||   /* DQT, DRI, DHP */
           (marker >= 0xE0 && marker <= 0xEF) || marker == 0xFE;   /* APPn, COM */
}

static int is_jpeg(const char *head, apr_size_t len)
{
    apr_size_t at = 3;

    if (!has(head, len, 0, "\xFF\xD8\xFF", 3))
        return 0;
    while (at < len && head[at] == '\xFF') /* fill bytes, B.1.1.2 */
        at++;
    return at < len && may_follow_soi((unsigned char)head[at]);
}

static int is_png(const char *head, apr_size_t len)
{
    /* 8 bytes of signature, the chunk's length and type, and its content */
    return len >= 8 + 8 + 13 && has(head, len, 0, "\x89PNG\r\n\x1A\n", 8) &&
           has(head, len, 8, "\0\0\0\x0DIHDR", 8);
}

static int is_webp(const char *head, apr_size_t len)
{
    /* form and chunk each have their length, of 4 bytes, after their name */
    return len >= 20 && has(head, len, 0, "RIFF", 4) && has(head, len, 8, "WEBP", 4) &&
           (has(head, len, 12, "VP8 ", 4) || has(head, len, 12, "VP8L", 4) ||
            has(head, len, 12, "VP8X", 4));
}

up_image up_image_sniff(const char *head, apr_size_t len)
{
    if (is_jpeg(head, len))
        return UP_IMAGE_JPEG;
    if (is_png(head, len))
        return UP_IMAGE_PNG;
    if (is_webp(head, len))
        return UP_IMAGE_WEBP;
    return UP_IMAGE_NONE;
}

const char *up_image_media_type(up_image image)
{
    switch (image) {
    case UP_IMAGE_JPEG:
        return "image/jpeg";
    case UP_IMAGE_PNG:
        return "image/png";
    case UP_IMAGE_WEBP:
        return "image/webp";
    default:
        return NULL;
    }
}

const char *up_image_extension(up_image image)
{
    switch (image) {
    case UP_IMAGE_JPEG:
        return "jpg";
    case UP_IMAGE_PNG:
        return "png";
    case UP_IMAGE_WEBP:
        return "webp";
    default:
        return NULL;
    }
}
