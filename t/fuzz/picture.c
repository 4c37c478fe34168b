/* SPDX-License-Identifier: Apache-2.0 */

/* A picture by its first bytes, and the picture without what it tells about its maker: the input is
 * its bytes. It is broken, or else what is left of it is a picture of the same type, of a sound
 * structure, which is looked at here by other code, with nothing in it that has to go; and
 * stripping that again changes nothing. */
#include "fuzz.h"

#include "core/picture_strip.h"

#define PIECES_MAX 1000

/* The most that is put into a picture: a segment or a chunk with its orientation. */
#define ADDED_MAX 38

typedef struct memory {
    const char *bytes;
    size_t size;
} memory;

static apr_status_t read_memory(void *baton, apr_off_t at, unsigned char *buffer, apr_size_t len)
{
    const memory *from = baton;

    must(at >= 0 && len > 0 && (size_t)at <= from->size && len <= from->size - (size_t)at);
    memcpy(buffer, from->bytes + at, len);
    return APR_SUCCESS;
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

/* Pieces of the picture come in its order, and none twice. @return NULL where it is broken. */
static char *strip(apr_pool_t *p, const char *bytes, size_t size, up_image type, size_t *len)
{
    memory from = {bytes, size};
    up_picture_source source = {(apr_off_t)size, read_memory, &from};
    up_picture_outline outline;
    apr_off_t at = 0;
    char *out;
    int i;

    must(up_picture_strip(p, &source, type, &outline) == APR_SUCCESS);
    must(outline.pieces && outline.pieces->nelts <= PIECES_MAX);
    if (outline.broken)
        return NULL;
    must(outline.width > 0 && outline.height > 0);
    out = calloc(1, size + ADDED_MAX);
    must(out);
    *len = 0;
    for (i = 0; i < outline.pieces->nelts; i++) {
        const up_picture_piece *piece = &APR_ARRAY_IDX(outline.pieces, i, up_picture_piece);

        must(piece->len > 0 && (apr_size_t)piece->len <= size + ADDED_MAX - *len);
        if (!piece->bytes) {
            must(piece->offset >= at && piece->len <= (apr_off_t)size - piece->offset);
            at = piece->offset + piece->len;
        }
        memcpy(out + *len, piece->bytes ? piece->bytes : bytes + piece->offset, (size_t)piece->len);
        *len += (size_t)piece->len;
    }
    must((apr_off_t)*len == outline.size);
    return out;
}

/* --- A second opinion: 1 where the structure is sound from start to end, and nothing is there that
 * should have gone. --- */

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
    if (marker == 0xe0)
        return size <= 14 && begins(b, size, "JFIF", 5);
    if (marker == 0xe1)
        return size == 32 && begins(b, size, "Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0", 25);
    if (marker == 0xe2)
        return begins(b, size, "ICC_PROFILE", 12);
    if (marker == 0xee)
        return begins(b, size, "Adobe", 5);
    return marker != 0xfe && (marker < 0xe0 || marker > 0xef);
}

static size_t jpeg_data_end(const uint8_t *b, size_t size, size_t at)
{
    while (at + 1 < size && (b[at] != 0xff || b[at + 1] == 0 || b[at + 1] == 0xff ||
                             (b[at + 1] >= 0xd0 && b[at + 1] <= 0xd7)))
        at++;
    return at + 1 < size ? at : size;
}

/* Its data may end early. */
static int walk_jpeg(const uint8_t *b, size_t size)
{
    size_t at = 2, len;
    int scans = 0;

    while (at < size) {
        if (size - at < 2 || b[at] != 0xff)
            return 0;
        if (b[at + 1] == 0xd9)
            return scans && at + 2 == size;
        if (b[at + 1] < 0xc0 || (b[at + 1] >= 0xd0 && b[at + 1] <= 0xd8) || size - at < 4)
            return 0;
        len = (size_t)b[at + 2] << 8 | b[at + 3];
        if (len < 2 || len > size - at - 2 || !jpeg_may_stay(b[at + 1], b + at + 4, len - 2))
            return 0;
        scans += b[at + 1] == 0xda;
        at = b[at + 1] == 0xda ? jpeg_data_end(b, size, at + 2 + len) : at + 2 + len;
    }
    return scans > 0;
}

static int walk_png(const uint8_t *b, size_t size)
{
    size_t at = 8, len;
    int i;

    for (; size - at >= 12; at += 12 + len) {
        const uint8_t *name = b + at + 4;

        len = number(b + at, 1);
        for (i = 0; i < 4; i++)
            if (name[i] < ' ' || name[i] > '~')
                return 0;
        if (len > size - at - 12)
            return 0;
        if (memcmp(name, "eXIf", 4) == 0
                ? len != 26
                : name[0] & 0x20 && !is_listed(name, "cHRMgAMAiCCPsBITsRGBcICPmDCVcLLI"
                                                     "bKGDhISTtRNSpHYssPLTacTLfcTLfdAT"))
            return 0;
        if (memcmp(name, "IEND", 4) == 0)
            return at + 12 + len == size;
    }
    return 0;
}

static int walk_webp(const uint8_t *b, size_t size)
{
    size_t at = 12, end = 8 + number(b + 4, 0), len;

    if (end != size)
        return 0;
    for (; end - at >= 8; at += 8 + len + (len & 1)) {
        len = number(b + at + 4, 0);
        if (len + (len & 1) > end - at - 8)
            return 0;
        if (memcmp(b + at, "EXIF", 4) == 0 ? len != 26
                                           : !is_listed(b + at, "VP8 VP8LVP8XICCPANIMANMFALPH"))
            return 0;
    }
    return at == end;
}

static int walk(up_image type, const char *bytes, size_t size)
{
    const uint8_t *b = (const uint8_t *)bytes;

    return type == UP_IMAGE_JPEG  ? walk_jpeg(b, size)
           : type == UP_IMAGE_PNG ? walk_png(b, size)
                                  : walk_webp(b, size);
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
    if (!out)
        return fuzz_done();
    must(sniff(out, len) == type && walk(type, out, len));
    again = strip(p, out, len, type, &again_len);
    must(again && again_len == len && memcmp(again, out, len) == 0);
    free(out);
    free(again);
    return fuzz_done();
}
