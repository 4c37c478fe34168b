/* SPDX-License-Identifier: Apache-2.0 */
#include "core/text.h"
#include "tap.h"

#include <apr_general.h>
#include <ctype.h>
#include <stdlib.h>
#include <time.h>
#include <utf8proc.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- helpers */

/** The code points with the property White_Space (PropList.txt), all of them. */
static const int white_space[] = {0x0009, 0x000A, 0x000B, 0x000C, 0x000D, 0x0020, 0x0085,
                                  0x00A0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004,
                                  0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A, 0x2028,
                                  0x2029, 0x202F, 0x205F, 0x3000};

static int is_white_space(int point)
{
    size_t i;

    for (i = 0; i < COUNT(white_space) && white_space[i] != point; i++)
        ;
    return i < COUNT(white_space);
}

static int is_control(int point)
{
    return point < 0x20 || (point >= 0x7F && point < 0xA0);
}

/** A generator of our own, so that a failure comes again. */
static unsigned next_random(unsigned bound)
{
    static unsigned long long state = 1;

    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % bound;
}

/** Appends a code point. @return the length then. */
static size_t put(char *s, size_t len, int point)
{
    return len + (size_t)utf8proc_encode_char(point, (utf8proc_uint8_t *)s + len);
}

/** Calls with a copy of exactly these bytes, so that reading on is seen. */
static up_text_status clean(apr_pool_t *p, const char *in, size_t len, const char **out,
                            apr_size_t *points)
{
    char *copy = malloc(len ? len : 1);
    up_text_status status;

    memcpy(copy, in, len);
    *out = NULL;
    *points = (apr_size_t)-1;
    status = up_text_clean(p, copy, len, out, points);
    free(copy); /* what comes out must not point into it */
    return status;
}

static int is_utf8(const char *in, size_t len)
{
    char *copy = malloc(len ? len : 1);
    int result;

    memcpy(copy, in, len);
    result = up_text_is_utf8(copy, len);
    free(copy);
    return result;
}

/** Does text come out like this? */
static int becomes(apr_pool_t *p, const char *in, const char *want, apr_size_t points)
{
    const char *out;
    apr_size_t n;

    if (clean(p, in, strlen(in), &out, &n) == UP_TEXT_OK && strcmp(out, want) == 0 && n == points)
        return 1;
    printf("#    input: %s\n#      got: %s, %lu\n# expected: %s, %lu\n", in, out ? out : "(none)",
           (unsigned long)n, want, (unsigned long)points);
    return 0;
}

/* ---- what comes out */

static void test_trimmed(apr_pool_t *p)
{
    static const char *const cases[][2] = {
        {"", ""},
        {" ", ""},
        {" \t\r\n\v\f ", ""},
        {"Ada", "Ada"},
        {"  Ada K.  Lovelace\t\n", "Ada K.  Lovelace"},
        {"\302\240Ada\302\205", "Ada"},
        {"\xE2\x80\x83\xE3\x80\x80", ""},
        {"\xE3\x80\x80\xE5\xB1\xB1\xE7\x94\xB0\xE3\x80\x80\xE5\xA4\xAA\xE9\x83\x8E\xE3\x80\x80",
         "\xE5\xB1\xB1\xE7\x94\xB0\xE3\x80\x80\xE5\xA4\xAA\xE9\x83\x8E"},
        {" \xCC\x81", "\xCC\x81"}, /* a mark does not hold the space before it */
        {"\xE2\x80\x81", ""},      /* U+2001 is U+2003 in NFC: white space both */
    };
    const char *out;
    apr_size_t i, n;
    int bad = 0;

    for (i = 0; i < COUNT(cases); i++)
        bad += clean(p, cases[i][0], strlen(cases[i][0]), &out, &n) != UP_TEXT_OK ||
               strcmp(out, cases[i][1]) != 0;
    is_int(bad, 0, "text is trimmed at both ends, not inside");
    ok(up_text_clean(p, NULL, 0, &out, &n) == UP_TEXT_OK && n == 0 && *out == '\0',
       "no bytes at all are the empty text");
}

/** Each code point c in "c/c", where nothing composes. */
static void test_every_code_point(apr_pool_t *p)
{
    int c, bad = 0, trimmed = 0, refused = 0;
    apr_pool_t *each;

    apr_pool_create(&each, p);
    for (c = 0; c <= 0x10FFFF; c++) {
        char s[16];
        size_t len;
        const char *out;
        apr_size_t n;
        up_text_status status;

        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        len = put(s, put(s, put(s, 0, c), '/'), c);
        status = clean(each, s, len, &out, &n);
        if (is_white_space(c)) {
            trimmed++;
            bad += status != UP_TEXT_OK || strcmp(out, "/") != 0 || n != 1;
        } else if (is_control(c)) {
            refused++;
            bad += status != UP_TEXT_CONTROL;
        } else {
            bad += status != UP_TEXT_OK || n < 3;
            bad += c != '/' && (out[0] == '/' || out[strlen(out) - 1] == '/');
        }
        apr_pool_clear(each);
    }
    apr_pool_destroy(each);
    ok(bad == 0 && trimmed == 25 && refused == 59,
       "of all code points %d are trimmed, %d refused, the others stay", trimmed, refused);
}

static void test_controls(apr_pool_t *p)
{
    int c, bad = 0;
    char s[16];
    const char *out;
    apr_size_t n;

    for (c = 0; c < 0xA0; c++) {
        if (!is_control(c))
            continue;
        bad += clean(p, s, put(s, put(s, put(s, 0, 'a'), c), 'b'), &out, &n) != UP_TEXT_CONTROL;
        bad += clean(p, s, put(s, put(s, put(s, 0, 0xE9), c), 0x4E00), &out, &n) != UP_TEXT_CONTROL;
        bad += clean(p, s, put(s, put(s, put(s, 0, 0x301), c), 0x301), &out, &n) != UP_TEXT_CONTROL;
    }
    is_int(bad, 0, "all 65 of category Cc are refused inside, beside ASCII and others");
    is_int(clean(p, "\0", 1, &out, &n), UP_TEXT_CONTROL, "NUL alone is refused");
    is_int(clean(p, " \0 ", 3, &out, &n), UP_TEXT_CONTROL, "NUL between spaces is refused");
    is_int(clean(p, "a\0", 2, &out, &n), UP_TEXT_CONTROL, "NUL at the end is refused");
    is_int(clean(p, "\0a", 2, &out, &n), UP_TEXT_CONTROL, "NUL at the start is refused");
    is_int(clean(p, "\xC3\xA9\0\xC3\xA9", 5, &out, &n), UP_TEXT_CONTROL, "NUL inside is refused");
}

static void test_kept(apr_pool_t *p)
{
    ok(becomes(p, "\xE2\x80\x8Bx\xE2\x80\x8B", "\xE2\x80\x8Bx\xE2\x80\x8B", 3),
       "U+200B is no White_Space");
    ok(becomes(p, "\xEF\xBB\xBFx\xEF\xBB\xBF", "\xEF\xBB\xBFx\xEF\xBB\xBF", 3),
       "U+FEFF is no White_Space");
    ok(becomes(p, "\xE1\xA0\x8Ex\xE1\xA0\x8E", "\xE1\xA0\x8Ex\xE1\xA0\x8E", 3),
       "U+180E is no White_Space");
    ok(becomes(p, "\xEF\xBF\xBE\xEF\xBF\xBF\xEF\xB7\x90", "\xEF\xBF\xBE\xEF\xBF\xBF\xEF\xB7\x90",
               3),
       "noncharacters are text");
    ok(becomes(p, "\xF4\x8F\xBF\xBF\xEE\x80\x80", "\xF4\x8F\xBF\xBF\xEE\x80\x80", 2),
       "so are U+10FFFF and private use");
    ok(becomes(p, "\xCD\xB8\xF3\xB0\x80\x80", "\xCD\xB8\xF3\xB0\x80\x80", 2),
       "and what is not assigned yet");
    ok(becomes(p, "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80",
               "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80", 3),
       "an emoji of three code points counts as three");
    ok(becomes(p, "'; DROP TABLE users; --", "'; DROP TABLE users; --", 23), "so is SQL");
}

/** Code points in and out, 0-terminated. */
static const struct {
    const char *what;
    int in[8], want[8];
} nfc_cases[] = {
    {"a letter and its accent", {'e', 0x301}, {0xE9}},
    {"ASCII before and after", {'a', 'e', 0x301, 'b'}, {'a', 0xE9, 'b'}},
    {"two accents", {'a', 0x302, 0x301}, {0x1EA5}},
    {"a composed letter and one more accent", {0xE2, 0x301}, {0x1EA5}},
    {"accents in the wrong order", {'a', 0x301, 0x323}, {0x1EA1, 0x301}},
    {"an accent that is blocked", {'a', 0x315, 0x300, 0x5AE, 0x62}, {0xE0, 0x5AE, 0x315, 0x62}},
    {"equal classes keep their order", {'x', 0x302, 0x301}, {'x', 0x302, 0x301}},
    {"an accent without a letter", {0x301, 'e'}, {0x301, 'e'}},
    {"a long decomposition and back", {0x1F82}, {0x1F82}},
    {"the same in parts", {0x3B1, 0x313, 0x300, 0x345}, {0x1F82}},
    {"Hangul L and V", {0x1100, 0x1161}, {0xAC00}},
    {"Hangul L, V and T", {0x1112, 0x1175, 0x11C2}, {0xD7A3}},
    {"Hangul LV and T", {0xAC00, 0x11A8}, {0xAC01}},
    {"Hangul LVT and T", {0xAC01, 0x11A8}, {0xAC01, 0x11A8}},
    {"Hangul LV and U+11A7, which is no T", {0xAC00, 0x11A7}, {0xAC00, 0x11A7}},
    {"the same in jamo", {0x1100, 0x1161, 0x11A7}, {0xAC00, 0x11A7}},
    {"U+11A7 twice, between letters",
     {'e', 0x301, 0x11A7, 0x11A7, 'e', 0x301},
     {0xE9, 0x11A7, 0x11A7, 0xE9}},
    {"Hangul V alone", {0x1161, 0x11A8}, {0x1161, 0x11A8}},
    {"Hangul L and an old V", {0x1100, 0x1176}, {0x1100, 0x1176}},
    {"a singleton: the ohm sign", {0x2126}, {0x3A9}},
    {"a singleton: the angstrom sign", {0x212B}, {0xC5}},
    {"a singleton: the kelvin sign", {0x212A}, {'K'}},
    {"a singleton: U+0340", {'a', 0x340}, {0xE0}},
    {"a singleton: U+0341", {'a', 0x341}, {0xE1}},
    {"a singleton: U+0343", {0x343}, {0x313}},
    {"U+0344 is two", {0x344}, {0x308, 0x301}},
    {"U+0374 and U+037E", {0x374, 0x37E}, {0x2B9, 0x3B}},
    {"U+0387", {0x387}, {0xB7}},
    {"an ideograph for compatibility", {0xF900}, {0x8C48}},
    {"one beyond the basic plane", {0x2F800}, {0x4E3D}},
    {"an exclusion: Devanagari QA", {0x958}, {0x915, 0x93C}},
    {"the same in parts", {0x915, 0x93C}, {0x915, 0x93C}},
    {"an exclusion: Hebrew", {0xFB2C}, {0x5E9, 0x5BC, 0x5C1}},
    {"an exclusion: U+2ADC", {0x2ADC}, {0x2ADD, 0x338}},
    {"an exclusion: a musical symbol", {0x1D15E}, {0x1D157, 0x1D165}},
    {"a starter that composes: Bengali", {0x9C7, 0x9BE}, {0x9CB}},
    {"one beyond the basic plane: Kaithi", {0x11099, 0x110BA}, {0x1109A}},
    {"Tibetan in the wrong order", {0xF71, 0xF74, 0xF72}, {0xF71, 0xF72, 0xF74}},
    {"compatibility is kept: fi, 1/2, full width", {0xFB01, 0xBD, 0xFF21}, {0xFB01, 0xBD, 0xFF21}},
    {"Latin-1 stays", {0xC0, 0xE9, 0xFF}, {0xC0, 0xE9, 0xFF}},
};

static void test_nfc(apr_pool_t *p)
{
    char in[64], want[64];
    size_t i, j, len;

    for (i = 0; i < COUNT(nfc_cases); i++) {
        for (j = len = 0; nfc_cases[i].in[j]; j++)
            len = put(in, len, nfc_cases[i].in[j]);
        in[len] = '\0';
        for (j = len = 0; nfc_cases[i].want[j]; j++)
            len = put(want, len, nfc_cases[i].want[j]);
        want[len] = '\0';
        ok(becomes(p, in, want, j) && becomes(p, want, want, j), "NFC: %s", nfc_cases[i].what);
    }
}

/* ---- properties */

/** A code point that makes work for NFC. */
static int random_point(void)
{
    static const int some[] = {'a',    'e',    ' ',    0xE9,   0x300,  0x301,   0x315,  0x316,
                               0x323,  0x327,  0x338,  0x340,  0x345,  0x3B1,   0x591,  0x93C,
                               0x958,  0xF71,  0xF72,  0x1100, 0x1161, 0x11A8,  0x11C3, 0xAC00,
                               0x2001, 0x2126, 0x3099, 0x304B, 0xFB1E, 0x1D165, 0x2F800};
    int point;

    switch (next_random(4)) {
    case 0:
        return 0x300 + (int)next_random(0x70); /* marks */
    case 1:
        do {
            point = 0x20 + (int)next_random(0x30000);
        } while ((point >= 0xD800 && point <= 0xDFFF) || is_control(point) || point == 0x11A7);
        return point;
    default:
        return some[next_random(COUNT(some))];
    }
}

/** What utf8proc itself makes of a text without white space at its ends. */
static int same_as_utf8proc(const char *in, const char *out)
{
    utf8proc_uint8_t *nfc = utf8proc_NFC((const utf8proc_uint8_t *)in);
    int same = nfc && strcmp((const char *)nfc, out) == 0;

    free(nfc);
    return same;
}

static void test_random_texts(apr_pool_t *p)
{
    apr_pool_t *each;
    int i, bad = 0;

    apr_pool_create(&each, p);
    for (i = 0; i < 100000; i++) {
        char s[256];
        const char *out, *again;
        apr_size_t points, points_again, k, counted = 0;
        size_t len = put(s, 0, '|'), n = next_random(30);

        while (n-- > 0)
            len = put(s, len, random_point());
        len = put(s, len, '|');
        s[len] = '\0';
        if (clean(each, s, len, &out, &points) != UP_TEXT_OK) {
            bad++;
            continue;
        }
        for (k = 0; out[k]; k++)
            counted += ((unsigned char)out[k] & 0xC0) != 0x80;
        bad += counted != points || !up_text_is_utf8(out, k) || !same_as_utf8proc(s, out);
        bad += clean(each, out, k, &again, &points_again) != UP_TEXT_OK ||
               strcmp(out, again) != 0 || points != points_again;
        apr_pool_clear(each);
    }
    apr_pool_destroy(each);
    ok(bad == 0, "%d random texts: as utf8proc has them, counted right, and twice is once", i);
}

static void test_random_bytes(apr_pool_t *p)
{
    apr_pool_t *each;
    int i, bad = 0, valid = 0;

    apr_pool_create(&each, p);
    for (i = 0; i < 200000; i++) {
        char s[16];
        const char *out;
        apr_size_t points;
        size_t j, len = next_random(6);
        up_text_status status;

        for (j = 0; j < len; j++)
            s[j] = (char)(next_random(3) ? 0x80 + next_random(0x80) : next_random(0x80));
        status = clean(each, s, len, &out, &points);
        valid += status == UP_TEXT_OK;
        bad += (status == UP_TEXT_NOT_UTF8) != !is_utf8(s, len) || status == UP_TEXT_NO_MEMORY;
        apr_pool_clear(each);
    }
    apr_pool_destroy(each);
    ok(bad == 0 && valid > 10000, "%d strings of random bytes, %d of them text", i, valid);
}

/* ---- bounds */

static double seconds(clock_t since)
{
    return (double)(clock() - since) / CLOCKS_PER_SEC;
}

static void test_bounds(apr_pool_t *p)
{
    const size_t size = (size_t)1 << 20;
    char *big = malloc(size + 1);
    const char *out;
    apr_size_t n, i;
    clock_t start;
    double took;

    memset(big, 'x', size + 1);
    ok(clean(p, big, size, &out, &n) == UP_TEXT_OK && n == size, "1 MiB of ASCII is taken");
    is_int(clean(p, big, size + 1, &out, &n), UP_TEXT_NO_MEMORY, "1 MiB and a byte is not");
    memset(big, ' ', size);
    ok(clean(p, big, size, &out, &n) == UP_TEXT_OK && n == 0, "1 MiB of spaces is nothing");
    for (i = 0; i < size; i += 2) { /* the decomposition that grows most: 2 bytes, 3 points */
        big[i] = '\xCE';
        big[i + 1] = '\x90';
    }
    ok(clean(p, big, size, &out, &n) == UP_TEXT_OK && n == size / 2 && strlen(out) == size,
       "1 MiB of U+0390 comes back whole");
    for (i = 0; i < size; i += 2) { /* U+0301 (230) first, then as many U+0323 (220) */
        big[i] = '\xCC';
        big[i + 1] = i < size / 2 ? '\x81' : '\xA3';
    }
    start = clock();
    ok(clean(p, big, size, &out, &n) == UP_TEXT_OK && n == size / 2 &&
           memcmp(out, "\xCC\xA3", 2) == 0 && memcmp(out + size - 2, "\xCC\x81", 2) == 0,
       "1 MiB of marks in the wrong order is put in order");
    took = seconds(start);
    ok(took < 10, "in linear time: %.3f s", took);
    free(big);
}

/* ---- UTF-8 */

/** RFC 3629, section 4: the first byte, the second, and how many follow that. */
static const struct {
    unsigned first[2], second[2], more;
} rows[] = {
    {{0xC2, 0xDF}, {0x80, 0xBF}, 0}, {{0xE0, 0xE0}, {0xA0, 0xBF}, 1},
    {{0xE1, 0xEC}, {0x80, 0xBF}, 1}, {{0xED, 0xED}, {0x80, 0x9F}, 1},
    {{0xEE, 0xEF}, {0x80, 0xBF}, 1}, {{0xF0, 0xF0}, {0x90, 0xBF}, 2},
    {{0xF1, 0xF3}, {0x80, 0xBF}, 2}, {{0xF4, 0xF4}, {0x80, 0x8F}, 2},
};

static int within(unsigned byte, const unsigned range[2])
{
    return byte >= range[0] && byte <= range[1];
}

static int by_grammar(const unsigned char *s, size_t len)
{
    static const unsigned tail[2] = {0x80, 0xBF};
    size_t i, row;

    while (len > 0) {
        if (s[0] < 0x80) {
            s++, len--;
            continue;
        }
        for (row = 0; row < COUNT(rows) && !within(s[0], rows[row].first); row++)
            ;
        if (row == COUNT(rows) || len < 2 + rows[row].more || !within(s[1], rows[row].second))
            return 0;
        for (i = 2; i < 2 + rows[row].more; i++) {
            if (!within(s[i], tail))
                return 0;
        }
        s += i;
        len -= i;
    }
    return 1;
}

static void test_utf8(void)
{
    static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F,
                                          0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0,
                                          0xF4, 0xF5, 0xF8, 0xFE, 0xFF};
    unsigned char s[4];
    unsigned n, i, j, k, bad = 0;

    for (n = 0; n < 1U << 24; n++) {
        s[0] = (unsigned char)(n >> 16);
        s[1] = (unsigned char)(n >> 8);
        s[2] = (unsigned char)n;
        bad += up_text_is_utf8((char *)s, 3) != by_grammar(s, 3);
        if (s[2] == 0)
            bad += up_text_is_utf8((char *)s, 2) != by_grammar(s, 2);
        if (s[1] == 0 && s[2] == 0)
            bad += up_text_is_utf8((char *)s, 1) != by_grammar(s, 1);
    }
    is_int(bad, 0, "UTF-8: all strings of 1 to 3 bytes");
    for (bad = 0, n = 0; n < 1U << 16; n++) {
        for (i = 0; i < COUNT(edges); i++) {
            for (j = 0; j < COUNT(edges); j++) {
                s[0] = (unsigned char)(n >> 8);
                s[1] = (unsigned char)n;
                s[2] = edges[i];
                s[3] = edges[j];
                for (k = 4; k > 2; k--)
                    bad += up_text_is_utf8((char *)s + 4 - k, k) != by_grammar(s + 4 - k, k);
            }
        }
    }
    is_int(bad, 0, "UTF-8: strings of 4 bytes, the last two at the edges");
    ok(is_utf8("", 0) && is_utf8("\0", 1) && is_utf8("a\0b", 3), "nothing, and NUL, are UTF-8");
    ok(!is_utf8("\xED\xA0\x80", 3) && !is_utf8("\xED\xA0\xBD\xED\xB8\x80", 6),
       "surrogates are not");
    ok(!is_utf8("abc\xF0\x9F\x98", 6) && !is_utf8("\xE2\x82", 2), "nor is what is cut short");
}

/** Reads one case: "id:valid hex:E2 82 AC" or "id:invalid hex:…:…" or "id:valid:text".
 *  @return the length of what is to be tested, or -1. */
static int read_case(char *line, char *out, int *valid)
{
    char *kind = strchr(line, ':'), *data = kind ? strchr(kind + 1, ':') : NULL;
    int len = 0;

    if (!isdigit((unsigned char)line[0]) || !data)
        return -1;
    *valid = strncmp(kind + 1 + strspn(kind + 1, " "), "valid", 5) == 0;
    if (!strstr(kind, " hex:")) {
        len = (int)strcspn(data + 1, "\r\n");
        memcpy(out, data + 1, (size_t)len);
        return len;
    }
    for (data++; *data && *data != ':'; data++) {
        unsigned byte;

        if (isxdigit((unsigned char)*data) && sscanf(data++, "%2x", &byte) == 1)
            out[len++] = (char)byte;
    }
    return len;
}

static void test_corpus(void)
{
    const char *folder = getenv("UP_CORPORA");
    char path[512], line[1024], text[1024];
    int len, valid, good = 0, ill = 0, bad = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/utf8-tests/utf8tests.txt",
             folder ? folder : "../shared/corpora");
    file = fopen(path, "r");
    if (!file) {
        ok(1, "utf8-tests # SKIP no such corpus here");
        return;
    }
    while (fgets(line, sizeof(line), file)) {
        len = read_case(line, text, &valid);
        if (len < 0)
            continue;
        good += valid;
        ill += !valid;
        if (is_utf8(text, (size_t)len) != valid) {
            bad++;
            printf("# wrong: %s", line);
        }
    }
    fclose(file);
    ok(bad == 0 && good + ill == 222, "utf8-tests: %d valid strings, %d ill-formed ones", good,
       ill);
}

int main(void)
{
    apr_pool_t *p;

    apr_initialize();
    apr_pool_create(&p, NULL);
    test_trimmed(p);
    test_every_code_point(p);
    test_controls(p);
    test_kept(p);
    test_nfc(p);
    test_random_texts(p);
    test_random_bytes(p);
    test_bounds(p);
    test_utf8();
    test_corpus();
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
