/* SPDX-License-Identifier: Apache-2.0 */
#include "core/text.h"

#include <apr_strings.h>
#include <string.h>
#include <utf8proc.h>

/* What up_text_clean() takes, so that its memory is bounded: at most 6 bytes of
 * decomposed code points for each byte of UTF-8, and as much for sorting marks. */
#define TEXT_MAX (1U << 20)

/* The options of utf8proc_NFC(). */
#define NFC (UTF8PROC_STABLE | UTF8PROC_COMPOSE)

#define COMBINING_CLASSES 256

/* The least lead byte of a character from U+0300 on. All below are NFC as they
 * are, in any order (UAX #15, section 9: NFC_Quick_Check). */
#define FIRST_LEAD_NOT_NFC 0xCC

/* utf8proc composes a Hangul syllable with U+11A7, which is one before the first
 * trailing consonant, and so loses it. It composes with nothing (UAX #15, 3.12). */
#define HANGUL_TRAILING_BASE 0x11A7

static const utf8proc_uint8_t *bytes(const char *s)
{
    return (const utf8proc_uint8_t *)s;
}

int up_text_is_utf8(const char *in, apr_size_t len)
{
    utf8proc_int32_t point;
    utf8proc_ssize_t n;

    for (; len > 0; in += n, len -= (apr_size_t)n) {
        n = utf8proc_iterate(bytes(in), (utf8proc_ssize_t)len, &point);
        if (n <= 0)
            return 0;
    }
    return 1;
}

/** The property White_Space; fixed by PropList.txt since Unicode 6.3. */
static int is_white_space(utf8proc_int32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

static int is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/** Trims well-formed UTF-8 at both ends. */
static void trim(const char **in, apr_size_t *len)
{
    const char *start = *in, *end = *in + *len, *last;
    utf8proc_int32_t point;
    utf8proc_ssize_t n;

    while (start < end) {
        n = utf8proc_iterate(bytes(start), end - start, &point);
        if (!is_white_space(point))
            break;
        start += n;
    }
    while (start < end) {
        for (last = end - 1; is_continuation(*last); last--)
            ;
        utf8proc_iterate(bytes(last), end - last, &point);
        if (!is_white_space(point))
            break;
        end = last;
    }
    *in = start;
    *len = (apr_size_t)(end - start);
}

/** Has well-formed UTF-8 a character of category Cc: C0, DEL, C1? */
static int has_control(const char *in, apr_size_t len)
{
    const utf8proc_uint8_t *s = bytes(in);
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (s[i] < 0x20 || s[i] == 0x7F || (s[i] == 0xC2 && s[i + 1] < 0xA0))
            return 1;
    }
    return 0;
}

/**
 * Counts the code points of well-formed UTF-8.
 * @return 1 where each of them makes it plain that the text is NFC.
 */
static int count_points(const char *in, apr_size_t len, apr_size_t *points)
{
    int plain = 1;
    apr_size_t i;

    *points = 0;
    for (i = 0; i < len; i++) {
        *points += !is_continuation(in[i]);
        plain &= (unsigned char)in[i] < FIRST_LEAD_NOT_NFC;
    }
    return plain;
}

static int combining_class(utf8proc_int32_t point)
{
    return utf8proc_get_property(point)->combining_class;
}

/** Sorts by combining class, in linear time; equals keep their order. */
static void sort_marks(apr_pool_t *p, utf8proc_int32_t *marks, apr_size_t n)
{
    utf8proc_int32_t *unsorted = apr_pmemdup(p, marks, n * sizeof(*marks));
    apr_size_t start[COMBINING_CLASSES + 1] = {0};
    apr_size_t i;

    for (i = 0; i < n; i++)
        start[combining_class(marks[i]) + 1]++;
    for (i = 1; i <= COMBINING_CLASSES; i++)
        start[i] += start[i - 1];
    for (i = 0; i < n; i++)
        marks[start[combining_class(unsorted[i])]++] = unsorted[i];
}

/**
 * The Canonical Ordering Algorithm (Unicode 3.11, D109). utf8proc_decompose()
 * has one too, but swaps neighbours: a body of 64 KiB of marks in the wrong
 * order would keep it busy for seconds.
 */
static void order_marks(apr_pool_t *p, utf8proc_int32_t *points, apr_size_t n)
{
    apr_size_t i, first = 0; /* of the marks since the last starter */
    int class, last = 0, sorted = 1;

    for (i = 0; i <= n; i++) {
        class = i < n ? combining_class(points[i]) : 0;
        if (class != 0) {
            sorted &= class >= last;
            last = class;
            continue;
        }
        if (!sorted)
            sort_marks(p, points + first, i - first);
        first = i + 1;
        last = 0;
        sorted = 1;
    }
}

/** Canonical decomposition (NFD). @return how many code points there are, or an error. */
static utf8proc_ssize_t decompose(apr_pool_t *p, const char *in, apr_size_t len,
                                  utf8proc_int32_t **out)
{
    const utf8proc_uint8_t *s = bytes(in);
    utf8proc_int32_t point, *points;
    utf8proc_ssize_t n, max, used = 0;
    int boundary = 0;

    max = utf8proc_decompose(s, (utf8proc_ssize_t)len, NULL, 0, NFC);
    if (max < 0)
        return max;
    /* utf8proc_reencode() writes UTF-8 and a NUL into the same memory */
    points = apr_palloc(p, ((apr_size_t)max + 1) * sizeof(*points));
    while (len > 0) {
        n = utf8proc_iterate(s, (utf8proc_ssize_t)len, &point);
        if (n <= 0)
            return UTF8PROC_ERROR_INVALIDUTF8;
        s += n;
        len -= (apr_size_t)n;
        n = utf8proc_decompose_char(point, points + used, max - used, NFC, &boundary);
        if (n < 0 || n > max - used)
            return UTF8PROC_ERROR_OVERFLOW;
        used += n;
    }
    *out = points;
    return used;
}

/** Canonical composition, in place. @return how many code points are left, or an error. */
static utf8proc_ssize_t compose(utf8proc_int32_t *points, utf8proc_ssize_t n)
{
    utf8proc_ssize_t first, i, kept, used = 0;

    for (first = 0; first < n; first = i) {
        for (i = first; i < n && points[i] != HANGUL_TRAILING_BASE; i++)
            ;
        kept = utf8proc_normalize_utf32(points + first, i - first, NFC);
        if (kept < 0)
            return kept;
        memmove(points + used, points + first, (apr_size_t)kept * sizeof(*points));
        used += kept;
        for (; i < n && points[i] == HANGUL_TRAILING_BASE; i++)
            points[used++] = HANGUL_TRAILING_BASE;
    }
    return used;
}

static up_text_status normalise(apr_pool_t *p, const char *in, apr_size_t len, const char **out,
                                apr_size_t *count)
{
    utf8proc_int32_t *points = NULL;
    utf8proc_ssize_t n = decompose(p, in, len, &points);

    if (n >= 0) {
        order_marks(p, points, (apr_size_t)n);
        n = compose(points, n);
    }
    if (n >= 0) {
        *count = (apr_size_t)n;
        n = utf8proc_reencode(points, n, UTF8PROC_STABLE); /* in place */
    }
    if (n < 0)
        return n == UTF8PROC_ERROR_INVALIDUTF8 ? UP_TEXT_NOT_UTF8 : UP_TEXT_NO_MEMORY;
    *out = (const char *)points;
    return UP_TEXT_OK;
}

up_text_status up_text_clean(apr_pool_t *p, const char *in, apr_size_t len, const char **out,
                             apr_size_t *points)
{
    if (len > TEXT_MAX)
        return UP_TEXT_NO_MEMORY;
    if (len == 0)
        in = ""; /* it may have been NULL */
    if (!up_text_is_utf8(in, len))
        return UP_TEXT_NOT_UTF8;
    trim(&in, &len);
    if (has_control(in, len))
        return UP_TEXT_CONTROL;
    if (!count_points(in, len, points))
        return normalise(p, in, len, out, points);
    *out = apr_pstrmemdup(p, in, len);
    return UP_TEXT_OK;
}
