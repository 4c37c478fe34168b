/* SPDX-License-Identifier: Apache-2.0 */
#include "core/image.h"
#include "tap.h"

#include <dirent.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/** A string literal and its length, NULs inside included. */
#define BYTES(s) s, sizeof(s) - 1

static const char *const names[] = {"none", "JPEG", "PNG", "WebP"};

/** Calls with a copy of exactly these bytes, so that reading on is seen. */
static up_image sniff(const char *head, size_t len)
{
    char *copy = malloc(len ? len : 1);
    up_image image;

    memcpy(copy, head, len);
    image = up_image_sniff(copy, len);
    free(copy);
    return image;
}

typedef struct head {
    const char *what, *bytes;
    size_t len;
} head;

static const char png[] = "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1F\x15\xC4";
static const char jpeg[] =
    "\xFF\xD8\xFF\xE0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xFF\xDB\0C\0\1\1\1\1\1\1";
static const char webp[] = "RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\1\0\x9D\1\x2A\1\0\1\0\2\0";

static void test_accepted(void)
{
    static const head jpegs[] = {
        {"JFIF", BYTES("\xFF\xD8\xFF\xE0\0\x10JFIF\0")},
        {"Exif", BYTES("\xFF\xD8\xFF\xE1\x2A\x1C"
                       "Exif\0\0")},
        {"Adobe", BYTES("\xFF\xD8\xFF\xEE\0\x0E"
                        "Adobe")},
        {"tables first", BYTES("\xFF\xD8\xFF\xDB\0\x43\0")},
        {"Huffman tables first", BYTES("\xFF\xD8\xFF\xC4\0\x1F\0")},
        {"a frame first", BYTES("\xFF\xD8\xFF\xC0\0\x11\x08")},
        {"a progressive frame first", BYTES("\xFF\xD8\xFF\xC2\0\x11\x08")},
        {"a restart interval first", BYTES("\xFF\xD8\xFF\xDD\0\4\0\0")},
        {"a comment first", BYTES("\xFF\xD8\xFF\xFE\0\4hi")},
        {"fill bytes", BYTES("\xFF\xD8\xFF\xFF\xFF\xFF\xE0\0\x10JFIF\0")},
    };
    static const head webps[] = {
        {"lossy", BYTES("RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0")},
        {"lossless", BYTES("RIFF\x24\0\0\0WEBPVP8L\x18\0\0\0")},
        {"extended", BYTES("RIFF\x24\0\0\0WEBPVP8X\x0A\0\0\0")},
    };
    size_t i;

    for (i = 0; i < COUNT(jpegs); i++)
        is_int(sniff(jpegs[i].bytes, jpegs[i].len), UP_IMAGE_JPEG, jpegs[i].what);
    for (i = 0; i < COUNT(webps); i++)
        is_int(sniff(webps[i].bytes, webps[i].len), UP_IMAGE_WEBP, webps[i].what);
    is_int(sniff(BYTES(png)), UP_IMAGE_PNG, "PNG");
}

static void test_refused(void)
{
    static const head others[] = {
        {"nothing", BYTES("")},
        {"a NUL", BYTES("\0")},
        {"text", BYTES("Hello, world. This is no image at all.")},
        {"HTML", BYTES("<!DOCTYPE html><html><script>alert(1)")},
        {"SVG", BYTES("<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\">")},
        {"SVG with a declaration", BYTES("<?xml version=\"1.0\"?><svg></svg>......")},
        {"GIF87a",
         BYTES("GIF87a\1\0\1\0\x80\0\0\0\0\0\xFF\xFF\xFF\x21\xF9\4\1\0\0\0\0,\0\0\0\0\1")},
        {"GIF89a",
         BYTES("GIF89a\1\0\1\0\x80\0\0\0\0\0\xFF\xFF\xFF\x21\xF9\4\1\0\0\0\0,\0\0\0\0\1")},
        {"PDF", BYTES("%PDF-1.7\n%\xE2\xE3\xCF\xD3\n1 0 obj\n<</Type/Catalog>>")},
        {"a shell script", BYTES("#!/bin/sh\nexec rm -rf / # 0123456789abcdef")},
        {"PHP", BYTES("<?php system($_GET['c']); ?> 0123456789")},
        {"ZIP", BYTES("PK\3\4\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
        {"gzip", BYTES("\x1F\x8B\x08\0\0\0\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
        {"ELF", BYTES("\x7F"
                      "ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\x3E\0\1\0\0\0\0\0\0\0\0\0\0")},
        {"BMP", BYTES("BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0\1\0\x18\0\0\0")},
        {"TIFF", BYTES("II*\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
        {"ICO", BYTES("\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
        {"AVIF", BYTES("\0\0\0\x1C"
                       "ftypavif\0\0\0\0avifmif1miafMA1B\0\0\0\0")},
        {"HEIC", BYTES("\0\0\0\x18"
                       "ftypheic\0\0\0\0mif1heic\0\0\0\0\0\0\0\0")},
        {"JPEG 2000", BYTES("\0\0\0\x0CjP  \r\n\x87\n\0\0\0\x14"
                            "ftypjp2 \0\0\0\0")},
        {"JPEG XL", BYTES("\xFF\x0A\xFA\x1F\x41\x91\x08\x06\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
        {"MNG", BYTES("\x8AMNG\r\n\x1A\n\0\0\0\x1CMHDR\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
        {"WAVE", BYTES("RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x44\xAC\0\0\x88\x58\1\0")},
        {"AVI", BYTES("RIFF\x24\0\0\0AVI LIST\x10\0\0\0hdrlavih\x38\0\0\0")},
        {"big-endian RIFF", BYTES("RIFX\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\1\0\x9D\1\x2A\1\0\1\0")},
        {"a WebP of another chunk",
         BYTES("RIFF\x24\0\0\0WEBPEXIF\x18\0\0\0\x30\1\0\x9D\1\x2A\1\0")},
        {"a WebP of VP9", BYTES("RIFF\x24\0\0\0WEBPVP9 \x18\0\0\0\x30\1\0\x9D\1\x2A\1\0\1\0")},
        {"webp in lower case", BYTES("RIFF\x24\0\0\0webpVP8 \x18\0\0\0\x30\1\0\x9D\1\x2A\1\0")},
        {"a PNG with an IHDR of 12",
         BYTES("\x89PNG\r\n\x1A\n\0\0\0\x0CIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0")},
        {"a PNG with an IHDR of 14",
         BYTES("\x89PNG\r\n\x1A\n\0\0\0\x0EIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0")},
        {"a PNG with a huge IHDR",
         BYTES("\x89PNG\r\n\x1A\n\1\0\0\x0DIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0")},
        {"a PNG with no IHDR first",
         BYTES("\x89PNG\r\n\x1A\n\0\0\0\x0DiHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0")},
        {"an iOS PNG, CgBI first",
         BYTES("\x89PNG\r\n\x1A\n\0\0\0\4CgBI\x50\0\x20\2\x2B\xD5\xB3\x7F\0\0\0\x0D")},
        {"a PNG sent as text, LF only",
         BYTES("\x89PNG\n\x1A\n\0\0\0\x0DIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\0")},
        {"a PNG without its high bit",
         BYTES("\tPNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0")},
        {"a signature only, then NULs",
         BYTES("\x89PNG\r\n\x1A\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
        {"a signature only, then HTML", BYTES("\x89PNG\r\n\x1A\n<html><script>alert(1)</script>")},
        {"SOI and no marker", BYTES("\xFF\xD8<html><script>alert(1)</script>")},
        {"SOI and a stuffed byte", BYTES("\xFF\xD8\xFF\0\0\x10JFIF\0\0\0\0")},
        {"SOI twice", BYTES("\xFF\xD8\xFF\xD8\xFF\xE0\0\x10JFIF\0")},
        {"SOI and EOI", BYTES("\xFF\xD8\xFF\xD9")},
        {"SOI and a scan", BYTES("\xFF\xD8\xFF\xDA\0\x0C\3\1\0\2\x11\3\x11\0\x3F\0")},
        {"SOI and a restart", BYTES("\xFF\xD8\xFF\xD0\xFF\xE0\0\x10JFIF\0")},
        {"SOI and a reserved marker", BYTES("\xFF\xD8\xFF\2\0\x10JFIF\0")},
        {"JPEG-LS", BYTES("\xFF\xD8\xFF\xF7\0\x0B\x08\0\1\0\1\1\1\x11\0")},
        {"SOI and fill bytes only",
         BYTES("\xFF\xD8\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")},
        {"a JPEG after one byte", BYTES("\n\xFF\xD8\xFF\xE0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0")},
        {"a PNG after a BOM",
         BYTES("\xEF\xBB\xBF\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\1\0\0\0\1\x08")},
        {"GIF, then JPEG", BYTES("GIF89a\xFF\xD8\xFF\xE0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0")},
        {"PDF, then PNG", BYTES("%PDF-\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\1\0\0\0\1\x08\6")},
        {"HTML, then WebP", BYTES("<!--RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\1\0\x9D")},
    };
    size_t i;

    for (i = 0; i < COUNT(others); i++)
        ok(sniff(others[i].bytes, others[i].len) == UP_IMAGE_NONE, "refused: %s", others[i].what);
}

/** A header cut short is none, from the first byte on to the last that is needed. */
static void test_cut(const char *bytes, size_t needed, up_image image)
{
    size_t len, bad = 0;

    for (len = 0; len <= UP_IMAGE_HEAD; len++)
        bad += sniff(bytes, len) != (len < needed ? UP_IMAGE_NONE : image);
    ok(bad == 0, "%s: %d bytes are needed", names[image], (int)needed);
}

/** How many changes of one byte of this head leave its type? None makes it another. */
static size_t survivors(const char *bytes, up_image image)
{
    char changed[UP_IMAGE_HEAD];
    size_t at, same = 0, bad = 0;
    int byte;

    for (at = 0; at < UP_IMAGE_HEAD; at++) {
        memcpy(changed, bytes, UP_IMAGE_HEAD);
        for (byte = 0; byte < 256; byte++) {
            up_image got;

            changed[at] = (char)byte;
            got = sniff(changed, UP_IMAGE_HEAD);
            bad += got != image && got != UP_IMAGE_NONE;
            same += got == image;
        }
    }
    ok(bad == 0, "%s: no change of a byte makes another type of it", names[image]);
    return same;
}

static void test_changed(void)
{
    /* each fixed byte survives as itself only, each free one as all 256 */
    is_int(survivors(png, UP_IMAGE_PNG), 16 + (UP_IMAGE_HEAD - 16) * 256,
           "PNG: all of signature, length and type count");
    /* the fourth letter of VP8 may be a space, L or X */
    is_int(survivors(webp, UP_IMAGE_WEBP), 11 + 3 + (UP_IMAGE_HEAD - 12) * 256,
           "WebP: all of RIFF, WEBP and the chunk's name count");
    /* 35 markers may follow SOI; as FF, the marker is a fill byte before a 0 */
    is_int(survivors(jpeg, UP_IMAGE_JPEG), 3 + 35 + (UP_IMAGE_HEAD - 4) * 256,
           "JPEG: SOI and its marker count");
}

static void test_names(void)
{
    is(up_image_media_type(UP_IMAGE_JPEG), "image/jpeg", "media type of JPEG");
    is(up_image_media_type(UP_IMAGE_PNG), "image/png", "media type of PNG");
    is(up_image_media_type(UP_IMAGE_WEBP), "image/webp", "media type of WebP");
    is(up_image_media_type(UP_IMAGE_NONE), NULL, "media type of none");
    is(up_image_extension(UP_IMAGE_JPEG), "jpg", "extension of JPEG");
    is(up_image_extension(UP_IMAGE_PNG), "png", "extension of PNG");
    is(up_image_extension(UP_IMAGE_WEBP), "webp", "extension of WebP");
    is(up_image_extension(UP_IMAGE_NONE), NULL, "extension of none");
}

static up_image by_name(const char *name)
{
    const char *dot = strrchr(name, '.');

    if (!dot)
        return UP_IMAGE_NONE;
    if (strcmp(dot, ".jpg") == 0)
        return UP_IMAGE_JPEG;
    if (strcmp(dot, ".png") == 0)
        return UP_IMAGE_PNG;
    return strcmp(dot, ".webp") == 0 ? UP_IMAGE_WEBP : UP_IMAGE_NONE;
}

static void test_corpus(void)
{
    const char *corpora = getenv("UP_CORPORA");
    char folder[256], path[1024], bytes[UP_IMAGE_HEAD];
    struct dirent *entry;
    int found[4] = {0};
    DIR *dir;

    snprintf(folder, sizeof(folder), "%s/images", corpora ? corpora : "../shared/corpora");
    dir = opendir(folder);
    if (!dir) {
        ok(1, "images # SKIP no such corpus here");
        return;
    }
    while ((entry = readdir(dir))) {
        up_image want = by_name(entry->d_name);
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        file = fopen(path, "rb");
        if (!file)
            continue;
        ok(sniff(bytes, fread(bytes, 1, sizeof(bytes), file)) == want, "%s is %s", entry->d_name,
           names[want]);
        fclose(file);
        found[want]++;
    }
    closedir(dir);
    ok(found[UP_IMAGE_JPEG] && found[UP_IMAGE_PNG] && found[UP_IMAGE_WEBP],
       "images: %d JPEG, %d PNG, %d WebP", found[UP_IMAGE_JPEG], found[UP_IMAGE_PNG],
       found[UP_IMAGE_WEBP]);
}

int main(void)
{
    test_accepted();
    test_refused();
    test_cut(jpeg, 4, UP_IMAGE_JPEG);
    test_cut(png, 29, UP_IMAGE_PNG);
    test_cut(webp, 20, UP_IMAGE_WEBP);
    test_changed();
    test_names();
    test_corpus();
    return done_testing();
}
