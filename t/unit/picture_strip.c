/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/picture_strip.h"

#include "standin.h"
#include "tap.h"

#include <apr_general.h>
#include <dirent.h>

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

static bytes strip_in(apr_pool_t *p, bytes in, up_image type)
{
    up_picture picture = {temporary_file(p), (apr_off_t)in.len, type};
    apr_array_header_t *pieces = NULL;
    bytes out = {NULL, 0};
    char *to;
    int i;

    apr_file_write_full(picture.file, in.data, in.len, NULL);
    if (up_picture_strip(p, &picture, &pieces) != APR_SUCCESS)
        return out;
    for (i = 0; i < pieces->nelts; i++)
        out.len += (size_t)APR_ARRAY_IDX(pieces, i, up_picture_piece).len;
    out.data = to = apr_palloc(p, out.len + 1);
    for (i = 0; i < pieces->nelts; i++) {
        const up_picture_piece *piece = &APR_ARRAY_IDX(pieces, i, up_picture_piece);

        if (piece->bytes)
            memcpy(to, piece->bytes, (size_t)piece->len);
        else if (piece->offset + piece->len > (apr_off_t)in.len)
            return (bytes){NULL, 0};
        else
            memcpy(to, in.data + piece->offset, (size_t)piece->len);
        to += piece->len;
    }
    return out;
}

static void stripped(up_image type, bytes in, bytes want, const char *what)
{
    bytes out = strip_in(pool, in, type);

    if (!ok(out.data && out.len == want.len && memcmp(out.data, want.data, want.len) == 0, "%s",
            what))
        printf("# %d bytes, expected %d\n", (int)out.len, (int)want.len);
}

/* --- JPEG --- */

static const bytes soi = BYTES("\xff\xd8"), eoi = BYTES("\xff\xd9");
static const bytes jfif = BYTES("\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0");
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
    stripped(UP_IMAGE_JPEG, JOIN(soi, exif6, LITERAL("no marker"), comment),
             JOIN(soi, only6, LITERAL("no marker"), comment), "what is no JPEG is kept from there");
    stripped(UP_IMAGE_JPEG, JOIN(soi, jfif, LITERAL("\xff\xe1\xff\xff too long")),
             JOIN(soi, jfif, LITERAL("\xff\xe1\xff\xff too long")), "a segment beyond the end too");
    stripped(UP_IMAGE_JPEG, JOIN(soi, LITERAL("\xff\xe0\0\1 too short")),
             JOIN(soi, LITERAL("\xff\xe0\0\1 too short")), "and one that is too short");
}

/* What is named .jpg, and served as one, begins as one. */
static void test_no_jpeg(void)
{
    bytes broken = JOIN(soi, exif1, LITERAL("no marker"), comment);
    bytes empty = JOIN(soi, exif1, comment, eoi), cut = JOIN(soi, comment);
    bytes early = JOIN(soi, comment, scan, eoi);

    stripped(UP_IMAGE_JPEG, broken, broken, "one that would begin without a marker is kept whole");
    stripped(UP_IMAGE_JPEG, empty, empty, "so is one that has nothing but metadata");
    stripped(UP_IMAGE_JPEG, cut, cut, "  and no end");
    stripped(UP_IMAGE_JPEG, early, early, "and one whose scan would come first");
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
    stripped(UP_IMAGE_PNG, JOIN(png, text_chunk, LITERAL("\x7f\xff\xff\xffIDAT")),
             JOIN(png, LITERAL("\x7f\xff\xff\xffIDAT")), "from a broken chunk on all is kept");
    stripped(UP_IMAGE_PNG, JOIN(png, LITERAL("\0\0\0\0\1\2\3\4"), text_chunk),
             JOIN(png, LITERAL("\0\0\0\0\1\2\3\4"), text_chunk), "from a chunk without a name too");
    stripped(UP_IMAGE_PNG, JOIN(png, LITERAL("\0\0")), JOIN(png, LITERAL("\0\0")),
             "and from the end");
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
static const bytes vp8 = BYTES("VP8 \3\0\0\0abc\0"); /* padded */
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
    stripped(UP_IMAGE_WEBP, LITERAL("RIFF\0\0\0\0WEBPVP8 abc"), LITERAL("RIFF\0\0\0\0WEBPVP8 abc"),
             "a broken one is kept as it is");
    stripped(UP_IMAGE_WEBP, LITERAL("RIFF\xff\xff\xff\xffWEBPVP8 \1\0\0\0"),
             LITERAL("RIFF\xff\xff\xff\xffWEBPVP8 \1\0\0\0"), "so is one that is cut");
    stripped(UP_IMAGE_WEBP, riff(JOIN(vp8, LITERAL("EXIF\xff\xff\xff\xff"))),
             riff(JOIN(vp8, LITERAL("EXIF\xff\xff\xff\xff"))),
             "and one with a chunk beyond its end");
}

/* --- anything --- */

/* Cut at every length and with every byte changed: the result is never longer than one
 * orientation more, and pieces lie within the file. */
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
        wrong += !out.data || out.len > in.len + 36;
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    is_int(wrong, 0, what);
}

static void test_many_pieces(void)
{
    apr_size_t count = 20000, i;
    char *data = apr_palloc(pool, count * 16 + 64), *to = data;
    up_picture picture = {temporary_file(pool), 0, UP_IMAGE_PNG};
    apr_array_header_t *pieces;

    to = (char *)memcpy(to, png.data, png.len) + png.len;
    for (i = 0; i < count; i++) {
        const bytes *chunk = i % 2 ? &mine : &idat;

        to = (char *)memcpy(to, chunk->data, chunk->len) + chunk->len;
    }
    picture.size = to - data;
    apr_file_write_full(picture.file, data, (apr_size_t)picture.size, NULL);
    up_picture_strip(pool, &picture, &pieces);
    ok(pieces->nelts <= 1000, "no more than 1000 pieces: %d", pieces->nelts);
    picture = make_picture(pool, UP_IMAGE_JPEG, 200);
    picture.size = 201;
    ok(up_picture_strip(pool, &picture, &pieces) != APR_SUCCESS,
       "a file that is shorter than it should be is a failure");
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
        ok(out.len > in.len / 4 && out.len <= in.len && up_image_sniff(out.data, out.len) == type,
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
    test_no_jpeg();
    test_bad_exif();
    test_png();
    test_webp();
    test_broken(UP_IMAGE_JPEG,
                JOIN(soi, jfif, exif6, icc, xmp, table, frame, scan, table, scan2, eoi),
                "broken JPEGs");
    test_broken(UP_IMAGE_PNG, JOIN(png, text_chunk, iccp, exif, idat, itxt, iend), "broken PNGs");
    test_broken(UP_IMAGE_WEBP, riff(JOIN(vp8x, iccp_chunk, vp8, exif_named, xmp_chunk)),
                "broken WebPs");
    test_many_pieces();
    test_corpus();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
