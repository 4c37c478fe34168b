/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/picture_strip.h"

#include <apr_strings.h>
#include <string.h>

#define PIECES_MAX 1000
#define BLOCK 8192

/* The longest of what the three begin with: RIFF's header. */
#define HEAD 12

/* The most of Exif that is looked at; a JPEG segment has no more. */
#define EXIF_MAX 65535

typedef struct scan {
    apr_pool_t *pool;
    const up_picture *picture;
    apr_array_header_t *pieces;
    apr_status_t status; /* the first failure of a read */
    unsigned char *block;
    apr_off_t start;     /* of the block in the file */
    apr_off_t held;      /* bytes in the block */
    unsigned char *exif; /* EXIF_MAX bytes, made when they are needed */
    int has_exif;        /* an orientation has been put among the pieces */
} scan;

static void load(scan *s, apr_off_t at)
{
    apr_size_t len = BLOCK;
    apr_off_t position = at;

    if (s->picture->size - at < BLOCK)
        len = (apr_size_t)(s->picture->size - at);
    s->held = 0;
    if (s->status == APR_SUCCESS)
        s->status = apr_file_seek(s->picture->file, APR_SET, &position);
    if (s->status == APR_SUCCESS)
        s->status = apr_file_read_full(s->picture->file, s->block, len, NULL);
    if (s->status != APR_SUCCESS)
        return;
    s->start = at;
    s->held = (apr_off_t)len;
}

/* The byte at this place, or -1 behind the end or after a failure. */
static int byte_at(scan *s, apr_off_t at)
{
    if (at < 0 || at >= s->picture->size)
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
    int count = s->pieces->nelts;
    up_picture_piece *last = count ? &APR_ARRAY_IDX(s->pieces, count - 1, up_picture_piece) : NULL;

    if (last && !last->bytes && last->offset + last->len == from)
        last->len += len;
    else if (len > 0)
        *(up_picture_piece *)apr_array_push(s->pieces) = (up_picture_piece){NULL, from, len};
}

static void put(scan *s, const void *bytes, apr_size_t len)
{
    *(up_picture_piece *)apr_array_push(s->pieces) =
        (up_picture_piece){apr_pmemdup(s->pool, bytes, len), 0, (apr_off_t)len};
}

static void keep_rest(scan *s, apr_off_t from)
{
    keep(s, from, s->picture->size - from);
}

/* --- Exif: a TIFF directory, of which the tag Orientation matters (TIFF 6.0, section 2) --- */

#define TIFF_ORIENTATION 0x0112

static int orientation_of(const unsigned char *tiff, apr_size_t len)
{
    unsigned long (*number)(const unsigned char *, int) =
        len > 0 && tiff[0] == 'M' ? big_endian : little_endian;
    unsigned long directory, count, i;

    if (len < 8 || (memcmp(tiff, "MM\0*", 4) != 0 && memcmp(tiff, "II*\0", 4) != 0))
        return 1;
    directory = number(tiff + 4, 4);
    if (directory > len - 2)
        return 1;
    count = number(tiff + directory, 2);
    for (i = 0; i < count && directory + 2 + 12 * (i + 1) <= len; i++) {
        const unsigned char *entry = tiff + directory + 2 + 12 * i;
        unsigned long value = number(entry + 8, 2);

        if (number(entry, 2) == TIFF_ORIENTATION && number(entry + 2, 2) == 3)
            return value >= 2 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* A directory of that one tag. */
#define TIFF_SIZE 26

static void make_tiff(unsigned char *out, int orientation)
{
    static const unsigned char tiff[TIFF_SIZE] = {
        'M',  'M',  0, '*', 0, 0, 0, 8, 0, 1, /* one entry: */
        0x01, 0x12, 0, 3,   0, 0, 0, 1, 0, 1, /* Orientation, SHORT, one value */
    };

    memcpy(out, tiff, TIFF_SIZE);
    out[19] = (unsigned char)orientation;
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
    return orientation_of(s->exif, (apr_size_t)len);
}

/* --- JPEG --- */

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
    if (marker == JPEG_COM)
        return 0;
    if (marker < JPEG_APP0 || marker > JPEG_APP15 || marker == JPEG_APP0)
        return 1;
    if (marker == JPEG_APP2)
        return begins_with(s, data, "ICC_PROFILE", 12);
    return marker == JPEG_APP14 && begins_with(s, data, "Adobe", 5);
}

static void jpeg_orientation(scan *s, apr_off_t data, apr_off_t len)
{
    unsigned char segment[10 + TIFF_SIZE] = {0xff, JPEG_APP1, 0, 8 + TIFF_SIZE, 'E', 'x', 'i', 'f'};
    int orientation = begins_with(s, data, "Exif\0\0", 6) ? read_orientation(s, data, len) : 1;

    if (orientation == 1)
        return;
    make_tiff(segment + 10, orientation);
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
    return s->picture->size;
}

static void strip_jpeg(scan *s)
{
    apr_off_t at = 2;

    keep(s, 0, 2);
    while (s->pieces->nelts < PIECES_MAX - 2) {
        unsigned char head[4];
        apr_off_t len;

        if (byte_at(s, at) == 0xff && byte_at(s, at + 1) == 0xff) {
            at++; /* a fill byte */
            continue;
        }
        if (byte_at(s, at) == 0xff && byte_at(s, at + 1) == JPEG_EOI) {
            keep(s, at, 2);
            return;
        }
        if (!bytes_at(s, at, head, 4) || head[0] != 0xff || head[1] < 0xc0 ||
            (head[1] >= 0xd0 && head[1] <= 0xd8))
            break;
        len = 2 + (apr_off_t)big_endian(head + 2, 2);
        if (len < 4 || len > s->picture->size - at)
            break;
        if (jpeg_needs(s, head[1], at + 4))
            keep(s, at, len);
        else if (head[1] == JPEG_APP1 && !s->has_exif)
            jpeg_orientation(s, at + 4, len - 4);
        at += len;
        if (head[1] == JPEG_SOS) {
            len = jpeg_skip_data(s, at) - at;
            keep(s, at, len);
            at += len;
        }
    }
    keep_rest(s, at);
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

static void strip_png(scan *s)
{
    apr_off_t at = 8;

    keep(s, 0, 8);
    while (s->pieces->nelts < PIECES_MAX - 1) {
        unsigned char head[8];
        apr_off_t len;

        if (!bytes_at(s, at, head, 8) || !is_name(head + 4))
            break;
        len = 12 + (apr_off_t)big_endian(head, 4);
        if (len > s->picture->size - at)
            break;
        if (png_needs(head + 4))
            keep(s, at, len);
        if (memcmp(head + 4, "IEND", 4) == 0)
            return;
        at += len;
    }
    keep_rest(s, at);
}

/* --- WebP --- */

#define VP8X_XMP 0x04
#define VP8X_EXIF 0x08

static void webp_orientation(scan *s, apr_off_t data, apr_off_t len)
{
    unsigned char chunk[8 + TIFF_SIZE] = {'E', 'X', 'I', 'F', TIFF_SIZE};
    int orientation = read_orientation(s, data, len);

    if (orientation == 1)
        return;
    make_tiff(chunk + 8, orientation);
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

/* The RIFF header says how much follows; VP8X what is among it. */
static void webp_finish(scan *s, unsigned char *riff, unsigned char *vp8x)
{
    apr_off_t size = 0;
    int i;

    for (i = 0; i < s->pieces->nelts; i++)
        size += APR_ARRAY_IDX(s->pieces, i, up_picture_piece).len;
    size -= 8;
    for (i = 0; i < 4; i++)
        riff[4 + i] = (unsigned char)(size >> (8 * i));
    if (vp8x)
        vp8x[8] &= (unsigned char)~(VP8X_XMP | (s->has_exif ? 0 : VP8X_EXIF));
}

/* @return 0 where the structure is broken. */
static int strip_webp(scan *s)
{
    unsigned char head[18], *riff, *vp8x = NULL;
    apr_off_t at = 12, end;

    if (!bytes_at(s, 0, head, 12))
        return 0;
    end = 8 + (apr_off_t)little_endian(head + 4, 4);
    if (end <= at || end > s->picture->size)
        return 0;
    put(s, head, 12);
    riff = (unsigned char *)APR_ARRAY_IDX(s->pieces, 0, up_picture_piece).bytes;
    while (at < end) {
        apr_off_t len;

        if (!bytes_at(s, at, head, 8) || !is_name(head) || s->pieces->nelts >= PIECES_MAX - 1)
            return 0;
        len = 8 + (apr_off_t)little_endian(head + 4, 4);
        len += len & 1;
        if (len > end - at)
            return 0;
        if (memcmp(head, "VP8X", 4) == 0 && !vp8x && len == 18 && bytes_at(s, at, head, 18)) {
            put(s, head, 18);
            vp8x = (unsigned char *)APR_ARRAY_IDX(s->pieces, s->pieces->nelts - 1, up_picture_piece)
                       .bytes;
        } else if (webp_needs(head)) {
            keep(s, at, len);
        } else if (memcmp(head, "EXIF", 4) == 0 && !s->has_exif) {
            webp_orientation(s, at + 8, len - 8);
        }
        at += len;
    }
    webp_finish(s, riff, vp8x);
    return 1;
}

/* Does what is left begin as a picture of its type? */
static int is_picture_still(scan *s)
{
    unsigned char head[UP_IMAGE_HEAD];
    apr_size_t len = 0;
    int i;

    for (i = 0; i < s->pieces->nelts && len < sizeof(head); i++) {
        const up_picture_piece *piece = &APR_ARRAY_IDX(s->pieces, i, up_picture_piece);
        apr_size_t room = sizeof(head) - len;
        apr_size_t more = piece->len < (apr_off_t)room ? (apr_size_t)piece->len : room;

        if (piece->bytes)
            memcpy(head + len, piece->bytes, more);
        else if (!bytes_at(s, piece->offset, head + len, more))
            return 0;
        len += more;
    }
    return up_image_sniff((const char *)head, len) == s->picture->type;
}

static void keep_all(scan *s)
{
    apr_array_clear(s->pieces);
    keep_rest(s, 0);
}

apr_status_t up_picture_strip(apr_pool_t *p, const up_picture *picture, apr_array_header_t **pieces)
{
    scan s = {.pool = p, .picture = picture, .block = apr_palloc(p, BLOCK)};

    s.pieces = *pieces = apr_array_make(p, 8, sizeof(up_picture_piece));
    if (picture->size < HEAD) {
        keep_rest(&s, 0);
    } else if (picture->type == UP_IMAGE_JPEG) {
        strip_jpeg(&s);
    } else if (picture->type == UP_IMAGE_PNG) {
        strip_png(&s);
    } else if (!strip_webp(&s)) {
        keep_all(&s);
    }
    /* Of a broken one the bytes that made it a picture may be gone. */
    if (!is_picture_still(&s))
        keep_all(&s);
    return s.status;
}
