/* SPDX-License-Identifier: Apache-2.0 */
#include "core/picture_strip.h"

#include "tap.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* Initialises bytes from a literal, NULs inside included; LITERAL is an expression. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define LITERAL(literal) ((bytes)BYTES(literal))

typedef struct bytes {
    const char *data;
    size_t len;
} bytes;

static apr_pool_t *pool;

static bytes join(int count, const bytes *parts)
{
    bytes all = {NULL, 0};
    char *to;
    int i;

    for (i = 0; i < count; i++)
        all.len += parts[i].len;
    all.data = to = apr_palloc(pool, all.len + 1);
    for (i = 0; i < count; i++) {
        memcpy(to, parts[i].data, parts[i].len);
        to += parts[i].len;
    }
    return all;
}

#define JOIN(...)                                                                                  \
    join((int)(sizeof((bytes[]){__VA_ARGS__}) / sizeof(bytes)), (bytes[]){__VA_ARGS__})

/* Bytes in memory, of which a read beyond some place fails. */
typedef struct memory {
    bytes in;
    apr_off_t fails_at;
} memory;

static apr_status_t read_memory(void *baton, apr_off_t at, unsigned char *buffer, apr_size_t len)
{
    const memory *from = baton;

    if (at < 0 || at + (apr_off_t)len > (apr_off_t)from->in.len) {
        printf("Bail out! A read beyond the end, of %d bytes at %d.\n", (int)len, (int)at);
        exit(1);
    }
    if (at + (apr_off_t)len > from->fails_at)
        return APR_EGENERAL;
    memcpy(buffer, from->in.data + at, len);
    return APR_SUCCESS;
}

static apr_status_t outline_of(apr_pool_t *p, bytes in, up_image type, up_picture_outline *outline)
{
    memory from = {in, (apr_off_t)in.len};
    up_picture_source source = {(apr_off_t)in.len, read_memory, &from};

    return up_picture_strip(p, &source, type, outline);
}

/* What is left; NULL where it is broken, or where its pieces are not within the picture. */
static bytes strip_in(apr_pool_t *p, bytes in, up_image type)
{
    up_picture_outline outline;
    bytes out = {NULL, 0};
    char *to;
    int i;

    if (outline_of(p, in, type, &outline) != APR_SUCCESS || outline.broken)
        return out;
    to = apr_palloc(p, (apr_size_t)outline.size + 1);
    out.data = to;
    for (i = 0; i < outline.pieces->nelts; i++) {
        const up_picture_piece *piece = &APR_ARRAY_IDX(outline.pieces, i, up_picture_piece);

        out.len += (size_t)piece->len;
        if (out.len > (size_t)outline.size || piece->len < 1 ||
            (!piece->bytes && piece->offset + piece->len > (apr_off_t)in.len))
            return (bytes){NULL, 1};
        memcpy(to, piece->bytes ? piece->bytes : in.data + piece->offset, (size_t)piece->len);
        to += piece->len;
    }
    return out.len == (size_t)outline.size ? out : (bytes){NULL, 1};
}

static void stripped(up_image type, bytes in, bytes want, const char *what)
{
    bytes out = strip_in(pool, in, type);

    if (!ok(out.data && want.data && out.len == want.len &&
                memcmp(out.data, want.data, want.len) == 0,
            "%s", what))
        printf("# %d bytes, expected %d\n", (int)out.len, (int)want.len);
}

static void broken(up_image type, bytes in, const char *what)
{
    up_picture_outline outline;

    ok(outline_of(pool, in, type, &outline) == APR_SUCCESS && outline.broken, "broken: %s", what);
}

static void has_size(up_image type, bytes in, unsigned long width, unsigned long height)
{
    up_picture_outline outline;

    outline_of(pool, in, type, &outline);
    ok(!outline.broken && outline.width == width && outline.height == height, "%lu x %lu", width,
       height);
    if (outline.width != width || outline.height != height)
        printf("# %lu x %lu\n", outline.width, outline.height);
}

/* --- JPEG --- */

static const bytes soi = BYTES("\xff\xd8"), eoi = BYTES("\xff\xd9");
static const bytes jfif = BYTES("\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0");
static const bytes thumb = BYTES("\xff\xe0\0\x16JFIF\0\1\1\0\0\1\0\1\1\2rgbrgb");
static const bytes jfxx = BYTES("\xff\xe0\0\x0aJFXX\0\x10me");
static const bytes icc = BYTES("\xff\xe2\0\x12ICC_PROFILE\0\1\1\1\2");
static const bytes mpf = BYTES("\xff\xe2\0\x08MPF\0\1\2");
static const bytes adobe = BYTES("\xff\xee\0\x0e"
                                 "Adobe\0\x64\0\0\0\0\0");
static const bytes xmp = BYTES("\xff\xe1\0\x22http://ns.adobe.com/xap/1.0/\0<x>");
static const bytes iptc = BYTES("\xff\xed\0\x10Photoshop 3.0\0");
static const bytes comment = BYTES("\xff\xfe\0\x06here");
static const bytes table = BYTES("\xff\xdb\0\x05\0\xff\xd9");
static const bytes frame = BYTES("\xff\xc2\0\x08\1\2\3\4\5\6");
/* stuffed bytes and restart markers are data; fill bytes and a second scan follow */
static const bytes scan = BYTES("\xff\xda\0\x04\1\2 one\xff\0two\xff\xd0three\xff\xd7"
                                "four");
static const bytes scan2 = BYTES("\xff\xda\0\x04\1\2\xff\0\xff\0");
static const bytes video = BYTES("....ftypmp42 and a place");
/* little-endian, a GPS pointer, then the orientation 6 */
static const bytes exif6 = BYTES("\xff\xe1\0\x2e"
                                 "Exif\0\0II*\0\x08\0\0\0\2\0"
                                 "\x25\x88\4\0\1\0\0\0\x99\0\0\0"
                                 "\x12\1\3\0\1\0\0\0\6\0\0\0"
                                 "\0\0\0\0");
static const bytes exif1 = BYTES("\xff\xe1\0\x22"
                                 "Exif\0\0MM\0*\0\0\0\x08\0\1"
                                 "\1\x12\0\3\0\0\0\1\0\1\0\0\0\0\0\0");
static const bytes only6 = BYTES("\xff\xe1\0\x22"
                                 "Exif\0\0MM\0*\0\0\0\x08\0\1"
                                 "\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0");

static void test_jpeg(void)
{
    bytes plain = JOIN(soi, jfif, icc, adobe, table, frame, scan, table, scan2, eoi);

    stripped(UP_IMAGE_JPEG, plain, plain, "a JPEG without metadata stays as it is");
    stripped(UP_IMAGE_JPEG,
             JOIN(soi, jfif, exif1, xmp, icc, mpf, iptc, comment, adobe, table, frame, scan,
                  comment, table, scan2, eoi, video),
             plain, "Exif, XMP, MPF, IPTC, comments and a trailer go");
    stripped(UP_IMAGE_JPEG, JOIN(soi, exif6, xmp, table, frame, scan, eoi),
             JOIN(soi, only6, table, frame, scan, eoi), "the orientation stays");
    stripped(UP_IMAGE_JPEG, JOIN(soi, exif6, exif6, table, frame, scan, eoi),
             JOIN(soi, only6, table, frame, scan, eoi), "once");
    stripped(UP_IMAGE_JPEG, JOIN(soi, only6, frame, scan, eoi), JOIN(soi, only6, frame, scan, eoi),
             "stripping twice changes nothing");
    stripped(UP_IMAGE_JPEG, JOIN(soi, exif6, frame, scan), JOIN(soi, only6, frame, scan),
             "a JPEG that ends early is kept to its end");
    stripped(UP_IMAGE_JPEG, JOIN(soi, LITERAL("\xff\xff\xff\xff"), comment, frame, scan, eoi),
             JOIN(soi, frame, scan, eoi), "fill bytes are passed over");
    stripped(UP_IMAGE_JPEG, JOIN(soi, thumb, jfxx, frame, scan, eoi),
             JOIN(soi, jfif, frame, scan, eoi), "thumbnails go");
}

static const bytes dnl = BYTES("\xff\xc0\0\x08\x08\0\0\0\1\1");   /* no height */
static const bytes empty = BYTES("\xff\xc0\0\x08\x08\0\1\0\0\1"); /* no width */

static void test_broken_jpeg(void)
{
    static const struct {
        bytes at;
        const char *what;
    } places[] = {
        {BYTES("no marker"), "no marker"},
        {BYTES("\xff\xe1\xff\xff too long"), "a segment beyond the end"},
        {BYTES("\xff\xe0\0\1 too short"), "a segment shorter than its length"},
        {BYTES("\xff\xd8"), "a second start"},
        {BYTES("\xff\xd0"), "a restart outside of a scan"},
        {BYTES("\xff\x01"), "another marker"},
        {BYTES("\xff\xe1"), "half of a segment"},
    };
    size_t i;

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        broken(UP_IMAGE_JPEG, JOIN(soi, exif6, places[i].at), places[i].what);
        broken(UP_IMAGE_JPEG, JOIN(soi, exif6, frame, scan, table, places[i].at, exif6, eoi),
               "likewise behind a scan");
    }
    broken(UP_IMAGE_JPEG, JOIN(soi, jfif, frame, eoi), "a JPEG without a scan");
    broken(UP_IMAGE_JPEG, JOIN(soi, jfif, scan, eoi), "without a frame");
    broken(UP_IMAGE_JPEG, JOIN(soi, jfif, frame), "that ends before its scan");
    broken(UP_IMAGE_JPEG, JOIN(soi, comment, scan, frame, scan, eoi),
           "with a scan before its frame");
    broken(UP_IMAGE_JPEG, JOIN(soi, exif1, LITERAL("\xff\xf0\0\2"), frame, scan, eoi),
           "that begins otherwise without its metadata");
    broken(UP_IMAGE_JPEG, JOIN(soi, dnl, scan, eoi), "without a height");
    broken(UP_IMAGE_JPEG, JOIN(soi, empty, scan, eoi), "without a width");
    broken(UP_IMAGE_JPEG, JOIN(soi, LITERAL("\xff\xc0\0\2"), scan, eoi), "with an empty frame");
}

static void test_jpeg_size(void)
{
    static const bytes frame0 = BYTES("\xff\xc0\0\x08\x08\x03\xe8\x20\0\1");
    static const bytes frame15 = BYTES("\xff\xcf\0\x08\x08\xff\xff\xff\xff\1");
    static const bytes huffman = BYTES("\xff\xc4\0\x08\x08\xff\xff\xff\xff\1");

    has_size(UP_IMAGE_JPEG, JOIN(soi, frame, scan, eoi), 0x405, 0x203);
    has_size(UP_IMAGE_JPEG, JOIN(soi, huffman, frame0, scan, eoi), 8192, 1000);
    has_size(UP_IMAGE_JPEG, JOIN(soi, frame15, scan, eoi), 65535, 65535);
    has_size(UP_IMAGE_JPEG, JOIN(soi, frame0, scan, frame, scan, eoi), 8192, 1000);
}

static const bytes bad_exifs[] = {
    BYTES("\xff\xe1\0\x08"
          "Exif\0\0"),
    BYTES("\xff\xe1\0\x0a"
          "Exif\0\0II"),
    BYTES("\xff\xe1\0\x10"
          "Exif\0\0II*\0\x08\0\0\0"),
    BYTES("\xff\xe1\0\x10"
          "Exif\0\0II*\0\xff\xff\xff\xff"),
    BYTES("\xff\xe1\0\x10"
          "Exif\0\0MM\0*\xff\xff\xff\xff"),
    BYTES("\xff\xe1\0\x10"
          "Exif\0\0II*\0\6\0\0\0"),
    BYTES("\xff\xe1\0\x12"
          "Exif\0\0II*\0\x08\0\0\0\xff\xff"),
    BYTES("\xff\xe1\0\x22"
          "Exif\0\0MM\0*\0\0\0\x08\0\1"
          "\1\x12\0\3\0\0\0\1\0\x09\0\0\0\0\0\0"),
    BYTES("\xff\xe1\0\x22"
          "Exif\0\0MM\0*\0\0\0\x08\0\1"
          "\1\x12\0\4\0\0\0\1\0\6\0\0\0\0\0\0"),
};

static void test_bad_exif(void)
{
    size_t i;

    for (i = 0; i < sizeof(bad_exifs) / sizeof(bad_exifs[0]); i++)
        stripped(UP_IMAGE_JPEG, JOIN(soi, bad_exifs[i], frame, scan, eoi),
                 JOIN(soi, frame, scan, eoi), "Exif that makes no sense goes");
}

/* --- PNG --- */

static const bytes png = BYTES("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0CRCC");
static const bytes iccp = BYTES("\0\0\0\5iCCPx\0\0ab1234");
static const bytes text_chunk = BYTES("\0\0\0\4tEXtk\0me1234");
static const bytes itxt = BYTES("\0\0\0\2iTXtab1234");
static const bytes exif = BYTES("\0\0\0\1eXIfa1234");
/* Exif with an artist and the orientation 6; and with that alone, its checksum right */
static const bytes exif_chunk6 = BYTES("\0\0\0\x28"
                                       "eXIfII*\0\x08\0\0\0\2\0"
                                       "\x3b\1\2\0\3\0\0\0me\0\0"
                                       "\x12\1\3\0\1\0\0\0\6\0\0\0"
                                       "\0\0\0\0zz1234");
static const bytes only_exif6 = BYTES("\0\0\0\x1a"
                                      "eXIfMM\0*\0\0\0\x08\0\1"
                                      "\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
                                      "\xd6\x67\x4b\x69");
static const bytes mine = BYTES("\0\0\0\1prVta1234");
static const bytes idat = BYTES("\0\0\0\3IDATabc1234");
static const bytes iend = BYTES("\0\0\0\0IEND\xae"
                                "B`\x82");

static void test_png(void)
{
    bytes plain = JOIN(png, iccp, idat, idat, iend);

    stripped(UP_IMAGE_PNG, plain, plain, "a PNG without metadata stays as it is");
    stripped(UP_IMAGE_PNG,
             JOIN(png, text_chunk, iccp, exif, idat, idat, itxt, mine, iend, LITERAL("a trailer")),
             plain, "text, Exif, private chunks and a trailer go");
    stripped(UP_IMAGE_PNG, JOIN(png, exif_chunk6, idat, iend), JOIN(png, only_exif6, idat, iend),
             "the orientation stays");
    stripped(UP_IMAGE_PNG, JOIN(png, only_exif6, only_exif6, idat, iend),
             JOIN(png, only_exif6, idat, iend), "once");
}

static void test_broken_png(void)
{
    broken(UP_IMAGE_PNG, JOIN(png, text_chunk, LITERAL("\x7f\xff\xff\xffIDAT")),
           "a chunk beyond the end");
    broken(UP_IMAGE_PNG, JOIN(png, LITERAL("\xff\xff\xff\xffIDAT"), idat, iend),
           "a chunk longer than any");
    broken(UP_IMAGE_PNG, JOIN(png, LITERAL("\0\0\0\0\1\2\3\4"), idat, iend),
           "a chunk without a name");
    broken(UP_IMAGE_PNG, JOIN(png, idat, LITERAL("\0\0")), "a PNG that ends in a chunk's length");
    broken(UP_IMAGE_PNG, JOIN(png, idat), "that ends before its end");
    broken(UP_IMAGE_PNG, JOIN(png, iend), "without pixels");
    broken(UP_IMAGE_PNG,
           JOIN(LITERAL("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\0\1\x08\0\0\0\0CRCC"), idat,
                iend),
           "without a width");
    broken(UP_IMAGE_PNG,
           JOIN(LITERAL("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\1\0\0\0\0\x08\0\0\0\0CRCC"), idat,
                iend),
           "without a height");
    has_size(UP_IMAGE_PNG, JOIN(png, idat, iend), 1, 1);
    has_size(UP_IMAGE_PNG,
             JOIN(LITERAL("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\xff\0\0\1\0\1\2\3\x08\0\0\0\0CRCC"),
                  idat, iend),
             0xff000001, 0x10203);
}

/* --- WebP --- */

static bytes riff(bytes content)
{
    char *head = apr_pmemdup(pool, "RIFF....WEBP", 12);
    int i;

    for (i = 0; i < 4; i++)
        head[4 + i] = (char)((content.len + 4) >> (8 * i));
    return JOIN((bytes){head, 12}, content);
}

static const bytes vp8x = BYTES("VP8X\x0a\0\0\0\x2c\0\0\0\1\0\0\1\0\0"); /* ICC, Exif, XMP */
static const bytes vp8x_exif = BYTES("VP8X\x0a\0\0\0\x28\0\0\0\1\0\0\1\0\0");
static const bytes vp8x_plain = BYTES("VP8X\x0a\0\0\0\x20\0\0\0\1\0\0\1\0\0");
static const bytes vp8 = BYTES("VP8 \x0b\0\0\0"
                               "abc\x9d\1\x2a\2\0\2\0x\0"); /* 2 x 2, padded */
static const bytes vp8l = BYTES("VP8L\5\0\0\0\x2f\xff\xff\xff\xff\0");
static const bytes iccp_chunk = BYTES("ICCP\2\0\0\0xy");
static const bytes exif_chunk = BYTES("EXIF\x1a\0\0\0MM\0*\0\0\0\x08\0\1"
                                      "\1\x12\0\3\0\0\0\1\0\1\0\0\0\0\0\0");
static const bytes exif_chunk3 = BYTES("EXIF\x1a\0\0\0MM\0*\0\0\0\x08\0\1"
                                       "\1\x12\0\3\0\0\0\1\0\3\0\0\0\0\0\0");
static const bytes exif_named = BYTES("EXIF\x20\0\0\0Exif\0\0MM\0*\0\0\0\x08\0\1"
                                      "\1\x12\0\3\0\0\0\1\0\3\0\0\0\0\0\0");
static const bytes xmp_chunk = BYTES("XMP \5\0\0\0<xmp>\0");
static const bytes foreign = BYTES("MINE\2\0\0\0ab");

static void test_webp(void)
{
    bytes plain = riff(JOIN(vp8x_plain, iccp_chunk, vp8));

    stripped(UP_IMAGE_WEBP, plain, plain, "a WebP without metadata stays as it is");
    stripped(UP_IMAGE_WEBP, riff(vp8), riff(vp8), "the simple form too");
    stripped(UP_IMAGE_WEBP,
             JOIN(riff(JOIN(vp8x, iccp_chunk, vp8, exif_chunk, xmp_chunk, foreign)),
                  LITERAL("a trailer")),
             plain, "Exif, XMP, foreign chunks and a trailer go");
    stripped(UP_IMAGE_WEBP, riff(JOIN(vp8x, iccp_chunk, vp8, exif_chunk3, xmp_chunk)),
             riff(JOIN(vp8x_exif, iccp_chunk, vp8, exif_chunk3)), "the orientation stays");
    stripped(UP_IMAGE_WEBP, riff(JOIN(vp8x, iccp_chunk, vp8, exif_named)),
             riff(JOIN(vp8x_exif, iccp_chunk, vp8, exif_chunk3)), "with JPEG's name before it too");
}

static void test_broken_webp(void)
{
    broken(UP_IMAGE_WEBP, LITERAL("RIFF\0\0\0\0WEBPVP8 abc"), "a WebP of no size");
    broken(UP_IMAGE_WEBP, LITERAL("RIFF\xff\xff\xff\xffWEBPVP8 \1\0\0\0"), "that is cut");
    broken(UP_IMAGE_WEBP, riff(JOIN(vp8, LITERAL("EXIF\xff\xff\xff\xff"))),
           "with a chunk beyond its end");
    broken(UP_IMAGE_WEBP, riff(JOIN(vp8, LITERAL("\1\2\3\4\0\0\0\0"))),
           "with a chunk without a name");
    broken(UP_IMAGE_WEBP, riff(JOIN(vp8, LITERAL("EXI"))), "with half of a chunk");
    broken(UP_IMAGE_WEBP, riff(JOIN(vp8x, iccp_chunk, exif_chunk)), "without pixels");
    broken(UP_IMAGE_WEBP, riff(LITERAL("VP8 \x0a\0\0\0abc\x9d\1\x2b\2\0\2\0")),
           "without its start code");
    broken(UP_IMAGE_WEBP, riff(LITERAL("VP8 \x0a\0\0\0abc\x9d\1\x2a\0\xc0\2\0")),
           "without a width");
    broken(UP_IMAGE_WEBP, riff(LITERAL("VP8 \4\0\0\0abcd")), "with too short a header");
    broken(UP_IMAGE_WEBP, riff(LITERAL("VP8L\4\0\0\0\x2f\xff\xff\xff")), "likewise lossless");
    broken(UP_IMAGE_WEBP, riff(LITERAL("VP8L\6\0\0\0\x2e\xff\xff\xff\xff\0")),
           "lossless without its signature");
}

static void test_webp_size(void)
{
    static const bytes vp8x_large = BYTES("VP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\0\0\1");

    has_size(UP_IMAGE_WEBP, riff(vp8), 2, 2);
    has_size(UP_IMAGE_WEBP, riff(LITERAL("VP8 \x0a\0\0\0abc\x9d\1\x2a\xff\x7f\0\xe0")), 16383,
             8192);
    has_size(UP_IMAGE_WEBP, riff(vp8l), 16384, 16384);
    has_size(UP_IMAGE_WEBP, riff(LITERAL("VP8L\5\0\0\0\x2f\1\x80\0\0\0")), 2, 3);
    has_size(UP_IMAGE_WEBP, riff(JOIN(vp8x_large, vp8)), 1 << 24, 65537);
    has_size(UP_IMAGE_WEBP, riff(JOIN(vp8x, vp8l)), 16384, 16384);
}

/* --- anything --- */

/* Cut at every length and with every byte changed: it is broken, or else never longer than with one
 * orientation more, and pieces lie within the picture. */
static void test_broken(up_image type, bytes whole, const char *what)
{
    size_t i, wrong = 0;
    apr_pool_t *p;

    apr_pool_create(&p, pool);
    for (i = 0; i < 2 * whole.len; i++) {
        bytes in = {whole.data, i};
        bytes out;

        if (i >= whole.len) {
            char *changed = apr_pmemdup(p, whole.data, whole.len);

            changed[i - whole.len] ^= (char)(i * 37 % 255 + 1);
            in = (bytes){changed, whole.len};
        }
        if (i == 0)
            continue;
        out = strip_in(p, in, type);
        wrong += (!out.data && out.len) || out.len > in.len + 38;
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    is_int(wrong, 0, what);
}

static bytes png_of(apr_size_t chunks)
{
    char *data = apr_palloc(pool, chunks * 16 + 64), *to = data;
    apr_size_t i;

    to = (char *)memcpy(to, png.data, png.len) + png.len;
    for (i = 0; i < chunks; i++) {
        const bytes *chunk = i % 2 ? &mine : &idat;

        to = (char *)memcpy(to, chunk->data, chunk->len) + chunk->len;
    }
    to = (char *)memcpy(to, iend.data, iend.len) + iend.len;
    return (bytes){data, (size_t)(to - data)};
}

static void test_limits(void)
{
    up_picture_outline outline;
    memory from = {png_of(1000), 7000};
    up_picture_source source = {(apr_off_t)from.in.len, read_memory, &from};

    outline_of(pool, png_of(1900), UP_IMAGE_PNG, &outline);
    ok(!outline.broken && outline.pieces->nelts > 900, "%d pieces", outline.pieces->nelts);
    outline_of(pool, png_of(20000), UP_IMAGE_PNG, &outline);
    ok(outline.broken && outline.pieces->nelts <= 1000, "no more than 1000: %d",
       outline.pieces->nelts);
    ok(up_picture_strip(pool, &source, UP_IMAGE_PNG, &outline) == APR_EGENERAL,
       "a read that fails is a failure");
}

static up_image type_of(const char *name)
{
    if (strstr(name, ".jpg"))
        return UP_IMAGE_JPEG;
    if (strstr(name, ".png"))
        return UP_IMAGE_PNG;
    return strstr(name, ".webp") ? UP_IMAGE_WEBP : UP_IMAGE_NONE;
}

/* Real pictures: what is left is the same kind of picture, and stripping it again changes nothing.
 */
static void test_corpus(void)
{
    const char *top = getenv("UP_CORPORA") ? getenv("UP_CORPORA") : "../shared/corpora";
    const char *path = apr_pstrcat(pool, top, "/images", NULL);
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (!dir) {
        printf("# %s is not there: its pictures are not tried\n", path);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        up_image type = type_of(entry->d_name);
        char *data = apr_palloc(pool, 65536);
        FILE *file = type ? fopen(apr_pstrcat(pool, path, "/", entry->d_name, NULL), "rb") : NULL;
        bytes in = {data, 0}, out;

        if (!file)
            continue;
        in.len = fread(data, 1, 65536, file);
        fclose(file);
        out = strip_in(pool, in, type);
        ok(out.data && out.len > in.len / 4 && out.len <= in.len &&
               up_image_sniff(out.data, out.len) == type,
           "%s: %d of %d bytes", entry->d_name, (int)out.len, (int)in.len);
        stripped(type, out, out, "again");
        count++;
    }
    closedir(dir);
    ok(count > 0, "%d pictures were tried", count);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_jpeg();
    test_broken_jpeg();
    test_jpeg_size();
    test_bad_exif();
    test_png();
    test_broken_png();
    test_webp();
    test_broken_webp();
    test_webp_size();
    test_broken(UP_IMAGE_JPEG,
                JOIN(soi, jfif, exif6, icc, xmp, table, frame, scan, table, scan2, eoi),
                "broken JPEGs");
    test_broken(UP_IMAGE_PNG, JOIN(png, text_chunk, iccp, exif_chunk6, idat, itxt, iend),
                "broken PNGs");
    test_broken(UP_IMAGE_WEBP, riff(JOIN(vp8x, iccp_chunk, vp8, exif_named, xmp_chunk)),
                "broken WebPs");
    test_limits();
    test_corpus();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
