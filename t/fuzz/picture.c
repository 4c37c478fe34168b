/* SPDX-License-Identifier: Apache-2.0 */

/* A picture by its first bytes, and the picture without what it tells about its maker: the input is
 * its bytes. What is left of it is always a picture of the same type, and no longer; where its
 * structure is sound, which is looked at here by other code, nothing that has to go is left, and
 * stripping it again changes nothing. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fuzz.h"

#include "adapters/picture_strip.h"

#include <apr_portable.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECES_MAX 1000

/* The most that is put into a picture: a segment or a chunk with its orientation. */
#define ADDED_MAX 36

/* A file of these bytes: always the same one. */
static apr_file_t *file_of(const char *bytes, size_t size)
{
    static apr_file_t *file;
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("picture", MFD_CLOEXEC);
        must(fd >= 0 && apr_os_file_put(&file, &fd, APR_FOPEN_READ, fuzz_lasting_pool()) == 0);
    }
    must(ftruncate(fd, (off_t)size) == 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
    return file;
}

/* From memory of its very size. */
static up_image sniff(const char *bytes, size_t size)
{
    size_t len = size < UP_IMAGE_HEAD ? size : UP_IMAGE_HEAD;
    char *head = fuzz_copy(bytes, len);
    up_image type = up_image_sniff(head, len);

    free(head);
    must((type == UP_IMAGE_NONE) == (up_image_media_type(type) == NULL));
    must((type == UP_IMAGE_NONE) == (up_image_extension(type) == NULL));
    return type;
}

/* Pieces of the file come in its order, and none twice. */
static char *strip(apr_pool_t *p, const char *bytes, size_t size, up_image type, size_t *len)
{
    up_picture picture = {file_of(bytes, size), (apr_off_t)size, type};
    apr_array_header_t *pieces = NULL;
    apr_off_t at = 0;
    char *out = malloc(size + ADDED_MAX);
    int i;

    must(out);
    must(up_picture_strip(p, &picture, &pieces) == APR_SUCCESS);
    must(pieces && pieces->nelts <= PIECES_MAX);
    *len = 0;
    for (i = 0; i < pieces->nelts; i++) {
        const up_picture_piece *piece = &APR_ARRAY_IDX(pieces, i, up_picture_piece);

        must(piece->len > 0 && (apr_size_t)piece->len <= size + ADDED_MAX - *len);
        if (!piece->bytes) {
            must(piece->offset >= at && piece->len <= (apr_off_t)size - piece->offset);
            at = piece->offset + piece->len;
        }
        memcpy(out + *len, piece->bytes ? piece->bytes : bytes + piece->offset, (size_t)piece->len);
        *len += (size_t)piece->len;
    }
    return out;
}

/* --- A second opinion: 1 where the structure is sound from start to end. With clean, nothing is
 * there that should have gone. --- */

static size_t number(const uint8_t *b, int big)
{
    return big ? (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3]
               : (size_t)b[3] << 24 | (size_t)b[2] << 16 | (size_t)b[1] << 8 | b[0];
}

static int begins(const uint8_t *b, size_t size, const char *text, size_t len)
{
    return size >= len && memcmp(b, text, len) == 0;
}

static int is_listed(const uint8_t *name, const char *list)
{
    for (; *list; list += 4)
        if (memcmp(name, list, 4) == 0)
            return 1;
    return 0;
}

/* An Exif segment may be there with the orientation and nothing else: 26 bytes of TIFF. */
static int jpeg_may_stay(int marker, const uint8_t *b, size_t size)
{
    if (marker == 0xe1)
        return size == 32 && begins(b, size, "Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0", 25);
    if (marker == 0xe2)
        return begins(b, size, "ICC_PROFILE", 12);
    if (marker == 0xee)
        return begins(b, size, "Adobe", 5);
    return marker != 0xfe && (marker < 0xe1 || marker > 0xef);
}

static size_t jpeg_data_end(const uint8_t *b, size_t size, size_t at)
{
    while (at + 1 < size && (b[at] != 0xff || b[at + 1] == 0 || b[at + 1] == 0xff ||
                             (b[at + 1] >= 0xd0 && b[at + 1] <= 0xd7)))
        at++;
    return at;
}

/* One whose first segment that stays could not be its first is none, and kept as it is. */
static int walk_jpeg(const uint8_t *b, size_t size, int clean)
{
    size_t at = 2, len;
    int first = 1;

    for (;;) {
        char head[4] = {(char)0xff, (char)0xd8, (char)0xff, 0};

        while (at + 1 < size && b[at] == 0xff && b[at + 1] == 0xff)
            at++;
        if (at + 2 > size || b[at] != 0xff)
            return 0;
        if (b[at + 1] == 0xd9) {
            must(!clean || at + 2 == size);
            return !first;
        }
        if (b[at + 1] < 0xc0 || (b[at + 1] >= 0xd0 && b[at + 1] <= 0xd8) || at + 4 > size)
            return 0;
        len = (size_t)b[at + 2] << 8 | b[at + 3];
        if (len < 2 || len > size - at - 2)
            return 0;
        must(!clean || jpeg_may_stay(b[at + 1], b + at + 4, len - 2));
        head[3] = (char)b[at + 1];
        if (first && jpeg_may_stay(b[at + 1], b + at + 4, len - 2)) {
            if (up_image_sniff(head, 4) != UP_IMAGE_JPEG)
                return 0;
            first = 0;
        }
        at += 2 + len;
        if ((uint8_t)head[3] == 0xda)
            at = jpeg_data_end(b, size, at);
    }
}

static int walk_png(const uint8_t *b, size_t size, int clean)
{
    size_t at = 8, len;
    int i;

    for (; size - at >= 12; at += 12 + len) {
        len = number(b + at, 1);
        for (i = 4; i < 8; i++)
            if (b[at + i] < ' ' || b[at + i] > '~')
                return 0;
        if (len > size - at - 12)
            return 0;
        must(!clean || !(b[at + 4] & 0x20) ||
             is_listed(b + at + 4,
                       "cHRMgAMAiCCPsBITsRGBcICPmDCVcLLIbKGDhISTtRNSpHYssPLTacTLfcTLfdAT"));
        if (memcmp(b + at + 4, "IEND", 4) == 0) {
            must(!clean || at + 12 + len == size);
            return 1;
        }
    }
    return 0;
}

static int walk_webp(const uint8_t *b, size_t size, int clean)
{
    size_t at = 12, end = 8 + number(b + 4, 0), len;
    int i;

    if (end > size || end <= at)
        return 0;
    must(!clean || end == size);
    for (; end - at >= 8; at += 8 + len + (len & 1)) {
        len = number(b + at + 4, 0);
        for (i = 0; i < 4; i++)
            if (b[at + i] < ' ' || b[at + i] > '~')
                return 0;
        if (len + (len & 1) > end - at - 8)
            return 0;
        if (memcmp(b + at, "VP8X", 4) == 0 && (at != 12 || len != 10))
            return 0;
        if (clean && memcmp(b + at, "EXIF", 4) == 0)
            must(len == 26);
        else if (clean)
            must(is_listed(b + at, "VP8 VP8LVP8XICCPANIMANMFALPH"));
    }
    return at == end;
}

static int walk(up_image type, const char *bytes, size_t size, int clean)
{
    const uint8_t *b = (const uint8_t *)bytes;

    return type == UP_IMAGE_JPEG  ? walk_jpeg(b, size, clean)
           : type == UP_IMAGE_PNG ? walk_png(b, size, clean)
                                  : walk_webp(b, size, clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    up_image type = sniff((const char *)data, size);
    size_t len = 0, again_len = 0;
    char *out, *again;

    if (type == UP_IMAGE_NONE)
        return 0;
    out = strip(p, (const char *)data, size, type, &len);
    must(sniff(out, len) == type);
    again = strip(p, out, len, type, &again_len);
    must(again_len <= len);
    if (walk(type, (const char *)data, size, 0)) {
        must(walk(type, out, len, 1));
        must(again_len == len && memcmp(again, out, len) == 0);
    }
    free(out);
    free(again);
    return fuzz_done();
}
