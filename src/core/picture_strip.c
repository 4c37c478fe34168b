/* SPDX-License-Identifier: Apache-2.0 */
#include "core/picture_strip.h"

#include "core/exif.h"

#include <apr_strings.h>
#include <string.h>

#define PIECES_MAX 1000
#define BLOCK 16384

/* The most of Exif that is looked at; a JPEG segment has no more. */
#define EXIF_MAX 65535

typedef struct scan {
    apr_pool_t *pool;
    const up_picture_source *source;
    up_picture_outline *outline;
    apr_status_t status; /* the first failure of a read */
    unsigned char *block;
    apr_off_t start;     /* of the block in the source */
    apr_off_t held;      /* bytes in the block */
    unsigned char *exif; /* EXIF_MAX bytes, made when they are needed */
    int has_exif;        /* an orientation has been put among the pieces */
    int has_pixels;      /* there is more than headers */
} scan;

static void load(scan *s, apr_off_t at)
{
    apr_off_t len = s->source->size - at < BLOCK ? s->source->size - at : BLOCK;

    s->held = 0;
    if (s->status == APR_SUCCESS)
        s->status = s->source->read(s->source->baton, at, s->block, (apr_size_t)len);
    if (s->status != APR_SUCCESS)
        return;
    s->start = at;
    s->held = len;
}

/* The byte at this place, or -1 behind the end or after a failure. */
static int byte_at(scan *s, apr_off_t at)
{
    if (at < 0 || at >= s->source->size)
        return -1;
    if (at < s->start || at >= s->start + s->held)
        load(s, at);
    return s->held > 0 ? s->block[at - s->start] : -1;
}

/* @return 1 where all len bytes are there. */
static int bytes_at(scan *s, apr_off_t at, unsigned char *out, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        int byte = byte_at(s, at + (apr_off_t)i);

        if (byte < 0)
            return 0;
        out[i] = (unsigned char)byte;
    }
    return 1;
}

static unsigned long big_endian(const unsigned char *bytes, int len)
{
    unsigned long value = 0;

    while (len-- > 0)
        value = value << 8 | *bytes++;
    return value;
}

static unsigned long little_endian(const unsigned char *bytes, int len)
{
    unsigned long value = 0;

    while (len-- > 0)
        value = value << 8 | bytes[len];
    return value;
}

static void keep(scan *s, apr_off_t from, apr_off_t len)
{
    apr_array_header_t *pieces = s->outline->pieces;
    int count = pieces->nelts;
    up_picture_piece *last = count ? &APR_ARRAY_IDX(pieces, count - 1, up_picture_piece) : NULL;

    if (last && !last->bytes && last->offset + last->len == from)
        last->len += len;
    else if (len > 0)
        *(up_picture_piece *)apr_array_push(pieces) = (up_picture_piece){NULL, from, len};
    s->outline->size += len;
}

/* @return the bytes as they will be stored. */
static unsigned char *put(scan *s, const void *bytes, apr_size_t len)
{
    unsigned char *copy = apr_pmemdup(s->pool, bytes, len);

    *(up_picture_piece *)apr_array_push(s->outline->pieces) =
        (up_picture_piece){(const char *)copy, 0, (apr_off_t)len};
    s->outline->size += (apr_off_t)len;
    return copy;
}

/* Is there room for what one segment or chunk may add? */
static int has_room(const scan *s)
{
    return s->outline->pieces->nelts < PIECES_MAX - 1;
}

static void note_size(scan *s, unsigned long width, unsigned long height)
{
    if (width > s->outline->width)
        s->outline->width = width;
    if (height > s->outline->height)
        s->outline->height = height;
}

static int begins_with(scan *s, apr_off_t at, const char *text, apr_size_t len)
{
    unsigned char bytes[16];

    return bytes_at(s, at, bytes, len) && memcmp(bytes, text, len) == 0;
}

/* Of Exif data, with the name before it that JPEG requires and WebP sometimes has. */
static int read_orientation(scan *s, apr_off_t data, apr_off_t len)
{
    if (len >= 6 && begins_with(s, data, "Exif\0\0", 6)) {
        data += 6;
        len -= 6;
    }
    if (len > EXIF_MAX)
        len = EXIF_MAX;
    if (len <= 0)
        return 1;
    if (!s->exif)
        s->exif = apr_palloc(s->pool, EXIF_MAX);
    if (!bytes_at(s, data, s->exif, (apr_size_t)len))
        return 1;
    return up_exif_orientation(s->exif, (apr_size_t)len);
}

/* --- JPEG --- */

#define JPEG_DHT 0xc4
#define JPEG_JPG 0xc8
#define JPEG_DAC 0xcc
#define JPEG_APP0 0xe0
#define JPEG_APP1 0xe1
#define JPEG_APP2 0xe2
#define JPEG_APP14 0xee
#define JPEG_APP15 0xef
#define JPEG_COM 0xfe
#define JPEG_SOS 0xda
#define JPEG_EOI 0xd9

/* Is this segment, whose data begin at this place, needed to show the picture? */
static int jpeg_needs(scan *s, int marker, apr_off_t data)
{
    if (marker == JPEG_APP0)
        return begins_with(s, data, "JFIF", 5);
    if (marker == JPEG_APP2)
        return begins_with(s, data, "ICC_PROFILE", 12);
    if (marker == JPEG_APP14)
        return begins_with(s, data, "Adobe", 5);
    return marker != JPEG_COM && (marker < JPEG_APP0 || marker > JPEG_APP15);
}

static int jpeg_is_frame(int marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != JPEG_DHT && marker != JPEG_JPG &&
           marker != JPEG_DAC;
}

/* The segment of JFIF (ISO 10918-5 10.1), which may have a thumbnail at its end. */
#define JFIF_SIZE 18

static void jpeg_keep(scan *s, int marker, apr_off_t at, apr_off_t len)
{
    unsigned char jfif[JFIF_SIZE], frame[5];

    if (marker == JPEG_APP0 && len > JFIF_SIZE && bytes_at(s, at, jfif, JFIF_SIZE)) {
        jfif[2] = jfif[16] = jfif[17] = 0;
        jfif[3] = JFIF_SIZE - 2;
        put(s, jfif, JFIF_SIZE);
        return;
    }
    if (jpeg_is_frame(marker) && len >= 9 && bytes_at(s, at + 4, frame, 5))
        note_size(s, big_endian(frame + 3, 2), big_endian(frame + 1, 2));
    keep(s, at, len);
}

static void jpeg_orientation(scan *s, apr_off_t data, apr_off_t len)
{
    unsigned char segment[10 + UP_EXIF_SIZE] = {0xff, JPEG_APP1, 0,   8 + UP_EXIF_SIZE,
                                                'E',  'x',       'i', 'f'};
    int orientation = begins_with(s, data, "Exif\0\0", 6) ? read_orientation(s, data, len) : 1;

    if (orientation == 1)
        return;
    up_exif_make(segment + 10, orientation);
    put(s, segment, sizeof(segment));
    s->has_exif = 1;
}

/* Where the next marker after entropy-coded data is, or the end. */
static apr_off_t jpeg_skip_data(scan *s, apr_off_t at)
{
    int byte;

    while ((byte = byte_at(s, at)) >= 0) {
        int next = byte == 0xff ? byte_at(s, at + 1) : 0;
        if (byte == 0xff && next > 0 && next != 0xff && (next < 0xd0 || next > 0xd7))
            return at;
        at++;
    }
    return s->source->size;
}

/* Takes the segment at this place. @return where the next one is; 0 where there is none. */
static apr_off_t jpeg_segment(scan *s, apr_off_t at)
{
    unsigned char head[4];
    apr_off_t len, left = s->source->size - at;

    if (!bytes_at(s, at, head, 4) || head[0] != 0xff || head[1] < 0xc0 ||
        (head[1] >= 0xd0 && head[1] <= 0xd8))
        return 0;
    len = 2 + (apr_off_t)big_endian(head + 2, 2);
    if (len < 4 || len > left)
        return 0;
    if (jpeg_needs(s, head[1], at + 4))
        jpeg_keep(s, head[1], at, len);
    else if (head[1] == JPEG_APP1 && !s->has_exif)
        jpeg_orientation(s, at + 4, len - 4);
    at += len;
    if (head[1] == JPEG_SOS) {
        len = jpeg_skip_data(s, at) - at;
        keep(s, at, len);
        at += len;
        s->has_pixels = 1;
    }
    return at;
}

/* @return 0 where the structure is broken. */
static int strip_jpeg(scan *s)
{
    apr_off_t at = 2;

    keep(s, 0, 2);
    while (at > 0 && at < s->source->size && has_room(s)) {
        if (byte_at(s, at) == 0xff && byte_at(s, at + 1) == 0xff) {
            at++; /* a fill byte */
        } else if (byte_at(s, at) == 0xff && byte_at(s, at + 1) == JPEG_EOI) {
            keep(s, at, 2);
            return 1;
        } else {
            at = jpeg_segment(s, at);
        }
    }
    return at == s->source->size;
}

/* --- PNG --- */

/* Can these four bytes be a chunk's name, in PNG or RIFF? */
static int is_name(const unsigned char *type)
{
    int i;

    for (i = 0; i < 4; i++) {
        if (type[i] < 0x20 || type[i] > 0x7e)
            return 0;
    }
    return 1;
}

static int png_needs(const unsigned char *type)
{
    static const char known[] = "cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST tRNS pHYs sPLT "
                                "acTL fcTL fdAT";
    const char *at;

    if (!(type[0] & 0x20)) /* critical */
        return 1;
    for (at = known; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (memcmp(at, type, 4) == 0)
            return 1;
    }
    return 0;
}

/* A chunk's checksum (PNG 5.5), of very few bytes. */
static unsigned long png_crc(const unsigned char *bytes, apr_size_t len)
{
    apr_uint32_t crc = 0xffffffff;
    int bit;

    for (; len > 0; len--) {
        crc ^= *bytes++;
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc & 0xffffffff;
}

static void png_orientation(scan *s, apr_off_t data, apr_off_t len)
{
    unsigned char chunk[12 + UP_EXIF_SIZE] = {0, 0, 0, UP_EXIF_SIZE, 'e', 'X', 'I', 'f'};
    int i, orientation = read_orientation(s, data, len);
    unsigned long crc;

    if (orientation == 1)
        return;
    up_exif_make(chunk + 8, orientation);
    crc = png_crc(chunk + 4, 4 + UP_EXIF_SIZE);
    for (i = 0; i < 4; i++)
        chunk[8 + UP_EXIF_SIZE + i] = (unsigned char)(crc >> (24 - 8 * i));
    put(s, chunk, sizeof(chunk));
    s->has_exif = 1;
}

static void png_chunk(scan *s, const unsigned char *type, apr_off_t at, apr_off_t len)
{
    unsigned char size[8];

    if (png_needs(type))
        keep(s, at, len);
    else if (memcmp(type, "eXIf", 4) == 0 && !s->has_exif)
        png_orientation(s, at + 8, len - 12);
    if (memcmp(type, "IHDR", 4) == 0 && len == 25 && bytes_at(s, at + 8, size, 8))
        note_size(s, big_endian(size, 4), big_endian(size + 4, 4));
    if (memcmp(type, "IDAT", 4) == 0)
        s->has_pixels = 1;
}

/* @return 0 where the structure is broken. */
static int strip_png(scan *s)
{
    apr_off_t at = 8;

    keep(s, 0, 8);
    while (has_room(s)) {
        unsigned char head[8];
        apr_off_t len;

        if (!bytes_at(s, at, head, 8) || !is_name(head + 4))
            return 0;
        len = 12 + (apr_off_t)big_endian(head, 4);
        if (len > s->source->size - at)
            return 0;
        png_chunk(s, head + 4, at, len);
        if (memcmp(head + 4, "IEND", 4) == 0)
            return 1;
        at += len;
    }
    return 0;
}

/* --- WebP --- */

#define VP8X_XMP 0x04
#define VP8X_EXIF 0x08

static void webp_orientation(scan *s, apr_off_t data, apr_off_t len)
{
    unsigned char chunk[8 + UP_EXIF_SIZE] = {'E', 'X', 'I', 'F', UP_EXIF_SIZE};
    int orientation = read_orientation(s, data, len);

    if (orientation == 1)
        return;
    up_exif_make(chunk + 8, orientation);
    put(s, chunk, sizeof(chunk));
    s->has_exif = 1;
}

static int webp_needs(const unsigned char *type)
{
    static const char known[] = "VP8 VP8LICCPANIMANMFALPH";
    apr_size_t i;

    for (i = 0; i < sizeof(known) - 1; i += 4) {
        if (memcmp(known + i, type, 4) == 0)
            return 1;
    }
    return 0;
}

/* Of the three headers: VP8 (RFC 6386 9.1), VP8L (RFC 9649 3.4) and VP8X (2.7.1). */
static void webp_size(scan *s, const unsigned char *type, apr_off_t data, apr_off_t len)
{
    unsigned char b[10];

    if (memcmp(type, "VP8X", 4) == 0 && len >= 10 && bytes_at(s, data, b, 10))
        note_size(s, 1 + little_endian(b + 4, 3), 1 + little_endian(b + 7, 3));
    else if (memcmp(type, "VP8 ", 4) == 0 && len >= 10 && bytes_at(s, data, b, 10) &&
             memcmp(b + 3, "\x9d\x01\x2a", 3) == 0)
        note_size(s, little_endian(b + 6, 2) & 0x3fff, little_endian(b + 8, 2) & 0x3fff);
    else if (memcmp(type, "VP8L", 4) == 0 && len >= 5 && bytes_at(s, data, b, 5) && b[0] == 0x2f)
        note_size(s, 1 + (little_endian(b + 1, 4) & 0x3fff),
                  1 + (little_endian(b + 1, 4) >> 14 & 0x3fff));
}

/* What is in WebP's own file header and in VP8X, which change with the rest. */
typedef struct webp_headers {
    unsigned char *riff, *vp8x; /* the pieces' own bytes; vp8x NULL where there is none */
} webp_headers;

static void webp_chunk(scan *s, webp_headers *headers, apr_off_t at, apr_off_t len)
{
    unsigned char head[18];

    bytes_at(s, at, head, 8);
    webp_size(s, head, at + 8, len - 8);
    if (memcmp(head, "VP8X", 4) == 0) {
        if (!headers->vp8x && len == 18 && bytes_at(s, at, head, 18))
            headers->vp8x = put(s, head, 18);
    } else if (webp_needs(head)) {
        keep(s, at, len);
        s->has_pixels |= memcmp(head, "VP8", 3) == 0 || memcmp(head, "ANMF", 4) == 0;
    } else if (memcmp(head, "EXIF", 4) == 0 && !s->has_exif) {
        webp_orientation(s, at + 8, len - 8);
    }
}

/* The RIFF header says how much follows; VP8X what is among it. */
static void webp_finish(scan *s, const webp_headers *headers)
{
    int i;

    for (i = 0; i < 4; i++)
        headers->riff[4 + i] = (unsigned char)((s->outline->size - 8) >> (8 * i));
    if (headers->vp8x)
        headers->vp8x[8] &= (unsigned char)~(VP8X_XMP | (s->has_exif ? 0 : VP8X_EXIF));
}

/* @return 0 where the structure is broken. */
static int strip_webp(scan *s)
{
    unsigned char head[12];
    webp_headers headers = {NULL, NULL};
    apr_off_t at = 12, end;

    if (!bytes_at(s, 0, head, 12))
        return 0;
    end = 8 + (apr_off_t)little_endian(head + 4, 4);
    if (end <= at || end > s->source->size)
        return 0;
    headers.riff = put(s, head, 12);
    while (at < end) {
        apr_off_t len;

        if (!bytes_at(s, at, head, 8) || !is_name(head) || !has_room(s))
            return 0;
        len = 8 + (apr_off_t)little_endian(head + 4, 4);
        len += len & 1;
        if (len > end - at)
            return 0;
        webp_chunk(s, &headers, at, len);
        at += len;
    }
    webp_finish(s, &headers);
    return 1;
}

/* Does what is left begin as a picture of its type? What stood first may be gone. */
static int is_picture_still(scan *s, up_image type)
{
    unsigned char head[UP_IMAGE_HEAD];
    apr_size_t len = 0;
    int i;

    for (i = 0; i < s->outline->pieces->nelts && len < sizeof(head); i++) {
        const up_picture_piece *piece = &APR_ARRAY_IDX(s->outline->pieces, i, up_picture_piece);
        apr_size_t room = sizeof(head) - len;
        apr_size_t more = piece->len < (apr_off_t)room ? (apr_size_t)piece->len : room;

        if (piece->bytes)
            memcpy(head + len, piece->bytes, more);
        else if (!bytes_at(s, piece->offset, head + len, more))
            return 0;
        len += more;
    }
    return up_image_sniff((const char *)head, len) == type;
}

apr_status_t up_picture_strip(apr_pool_t *p, const up_picture_source *source, up_image type,
                              up_picture_outline *outline)
{
    scan s = {.pool = p, .source = source, .outline = outline, .block = apr_palloc(p, BLOCK)};
    int whole;

    memset(outline, 0, sizeof(*outline));
    outline->pieces = apr_array_make(p, 8, sizeof(up_picture_piece));
    if (type == UP_IMAGE_JPEG)
        whole = strip_jpeg(&s);
    else if (type == UP_IMAGE_PNG)
        whole = strip_png(&s);
    else
        whole = strip_webp(&s);
    outline->broken = !whole || !s.has_pixels || outline->width == 0 || outline->height == 0 ||
                      !is_picture_still(&s, type);
    return s.status;
}
