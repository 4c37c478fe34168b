/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "multipart_record.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <regex.h>
#include <stdlib.h>

static apr_pool_t *pool;

/* Feeds a copy of exactly this size, and forgets it: a sanitizer sees what is read beyond
 * or later. */
static void feed_copy(up_multipart *mp, const char *data, apr_size_t len)
{
    char *copy = malloc(len ? len : 1);

    memcpy(copy, data, len);
    up_multipart_feed(mp, copy, len);
    free(copy);
}

/* Parses with boundary "b", cut at one and at two. Returns the parser's verdict, in pool. */
static const char *parse_cut(record *r, const char *body, apr_size_t len, apr_size_t one,
                             apr_size_t two)
{
    apr_pool_t *p;
    up_multipart *mp;
    const char *error;

    memset(r, 0, sizeof(*r));
    apr_pool_create(&p, pool);
    mp = up_multipart_create(p, "b", &limits, &events, r);
    feed_copy(mp, body, one);
    feed_copy(mp, body + one, two - one);
    feed_copy(mp, body + two, len - two);
    error = up_multipart_finish(mp);
    error = error ? apr_pstrdup(pool, error) : NULL;
    apr_pool_destroy(p);
    return error;
}

static const char *parse_bytes(record *r, const char *body, apr_size_t len)
{
    up_multipart *mp;
    apr_size_t i;

    memset(r, 0, sizeof(*r));
    mp = up_multipart_create(pool, "b", &limits, &events, r);
    for (i = 0; i < len; i++)
        feed_copy(mp, body + i, 1);
    return up_multipart_finish(mp);
}

static int same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* ---- bodies ---- */

#define HEADERS(lines) BODY("--b\r\n" lines "\r\n" END)

#define FOLDED "A header line of a part begins with a space: folded lines are not read."
#define MALFORMED                                                                                  \
    "The Content-Disposition of a part is malformed: form-data; name=\"...\"; filename=\"...\" "   \
    "is right."
#define CONTROL "A header of a part has a control character."
#define LINE_END "A header line of a part does not end in CR LF."
#define BAD_NAME "A header of a part has an empty or invalid name."
#define NO_COLON "A header line of a part has no colon."
#define NO_NAME "The Content-Disposition of a part has no name."
#define ENCODING "The Content-Transfer-Encoding of a part is not 7bit, 8bit or binary."
#define NO_BOUNDARY "No line of the body is the boundary that its Content-Type names."
#define NO_END "The body ends without its closing boundary."
#define IN_HEADERS "The body ends within the headers of a part."
#define SPACES16 "                "

/* Each is parsed whole, byte by byte and cut at every place. */
static const struct sample {
    const char *name;
    const char *body;
    apr_size_t len;
    const char *events;
    const char *error; /* NULL: a good one */
} samples[] = {
    {"a text part", BODY(PART "x" END), "[a|-|-=x]", NULL},
    {"two parts", BODY(PART "x\r\n" PART "y" END), "[a|-|-=x][a|-|-=y]", NULL},
    {"a file",
     BODY("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.png\"\r\n"
          "Content-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n\0\0" END),
     "[f|x.png|image/png=\x89PNG\r\n\x1a\n<NUL><NUL>]", NULL},
    {"an empty part", BODY(PART END), "[a|-|-=]", NULL},
    {"an empty part whose empty line is the delimiter's", BODY(PART "--b--"), "[a|-|-=]", NULL},
    {"two of them", BODY(PART PART "--b--\r\n"), "[a|-|-=][a|-|-=]", NULL},
    {"content that begins and ends with line ends", BODY(PART "\r\n\r\nx\r\n\r\n" END),
     "[a|-|-=\r\n\r\nx\r\n\r\n]", NULL},
    {"no line end after the close delimiter", BODY(PART "x\r\n--b--"), "[a|-|-=x]", NULL},
    {"half a line end there", BODY(PART "x\r\n--b--\r"), "[a|-|-=x]", NULL},
    {"padding there", BODY(PART "x\r\n--b-- \t"), "[a|-|-=x]", NULL},
    {"padding and a line end there", BODY(PART "x\r\n--b-- \t\r\n"), "[a|-|-=x]", NULL},
    {"padding after a delimiter", BODY("--b \t\r\n" DISPOSITION "\r\nx" END), "[a|-|-=x]", NULL},
    {"64 spaces there",
     BODY("--b" SPACES16 SPACES16 SPACES16 SPACES16 "\r\n" DISPOSITION "\r\nx" END), "[a|-|-=x]",
     NULL},
    {"64 spaces after a close delimiter",
     BODY(PART "x\r\n--b--" SPACES16 SPACES16 SPACES16 SPACES16 "\r\n"), "[a|-|-=x]", NULL},
    {"an empty form", BODY("--b--\r\n"), "", NULL},
    {"an empty form without a line end", BODY("--b--"), "", NULL},
    {"an empty form after a line end", BODY("\r\n--b--\r\n"), "", NULL},
    {"a preamble", BODY("Hello,\r\nworld\r\n" PART "x" END), "[a|-|-=x]", NULL},
    {"a preamble of line ends", BODY("\r\n\r\n\r\n" PART "x" END), "[a|-|-=x]", NULL},
    {"a preamble with almost a boundary", BODY("--bb\r\n --b\r\n" PART "x" END), "[a|-|-=x]", NULL},
    {"a preamble that ends in half a boundary", BODY("x\r\n--\r\n" PART "x" END), "[a|-|-=x]",
     NULL},
    {"a preamble that ends in NULs", BODY("\0\0\r\n" PART "x" END), "[a|-|-=x]", NULL},
    {"an epilogue", BODY(PART "x" END "more\r\n" PART "y" END), "[a|-|-=x]", NULL},

    {"a longer line is data", BODY(PART "x\r\n--bX\r\ny" END), "[a|-|-=x\r\n--bX\r\ny]", NULL},
    {"a longer first line is data", BODY(PART "--bX\r\ny" END), "[a|-|-=--bX\r\ny]", NULL},
    {"so is one after padding", BODY(PART "x\r\n--b \tX" END), "[a|-|-=x\r\n--b \tX]", NULL},
    {"half a close delimiter is data", BODY(PART "x\r\n--b-\r\n--b-y" END),
     "[a|-|-=x\r\n--b-\r\n--b-y]", NULL},
    {"a longer close delimiter is data", BODY(PART "x\r\n--b--X\r\n--b---" END),
     "[a|-|-=x\r\n--b--X\r\n--b---]", NULL},
    {"dashes after padding are data", BODY(PART "x\r\n--b --" END), "[a|-|-=x\r\n--b --]", NULL},
    {"a delimiter ended by LF is data", BODY(PART "x\r\n--b\ny" END), "[a|-|-=x\r\n--b\ny]", NULL},
    {"a delimiter ended by CR is data", BODY(PART "x\r\n--b\ry\r\n--b--\rz" END),
     "[a|-|-=x\r\n--b\ry\r\n--b--\rz]", NULL},
    {"a delimiter after LF is data", BODY(PART "x\n--b--\r\ny" END), "[a|-|-=x\n--b--\r\ny]", NULL},
    {"a delimiter after CR is data", BODY(PART "x\r--b--\r\ny" END), "[a|-|-=x\r--b--\r\ny]", NULL},
    {"a delimiter within a line is data", BODY(PART "x --b--\r\ny" END), "[a|-|-=x --b--\r\ny]",
     NULL},
    {"the boundary in another case is data", BODY(PART "x\r\n--B--\r\ny" END),
     "[a|-|-=x\r\n--B--\r\ny]", NULL},
    {"CR before a delimiter", BODY(PART "x\r\r\r" END), "[a|-|-=x\r\r\r]", NULL},
    {"a delimiter right after almost one", BODY(PART "x\r\n--b-" END), "[a|-|-=x\r\n--b-]", NULL},
    {"almost a delimiter, then CR and one", BODY(PART "x\r\n--b \r" END), "[a|-|-=x\r\n--b \r]",
     NULL},
    {"half delimiters in a row", BODY(PART "\r\n-\r\n--\r\r\n\r\n--\r\n--" END),
     "[a|-|-=\r\n-\r\n--\r\r\n\r\n--\r\n--]", NULL},
    {"NUL after a boundary", BODY(PART "x\r\n--b\0\r\ny" END), "[a|-|-=x\r\n--b<NUL>\r\ny]", NULL},
    {"NUL before a boundary", BODY(PART "x\r\n\0--b--\r\ny\0" END),
     "[a|-|-=x\r\n<NUL>--b--\r\ny<NUL>]", NULL},
    {"NUL within a boundary", BODY(PART "x\r\n-\0-b\r\n--\0b--\r\n" END),
     "[a|-|-=x\r\n-<NUL>-b\r\n--<NUL>b--\r\n]", NULL},
    {"NUL after a close delimiter", BODY(PART "x\r\n--b--\0" END), "[a|-|-=x\r\n--b--<NUL>]", NULL},

    {"headers in any case and order",
     HEADERS("cOnTent-tYpe:text/plain\r\ncontent-DISPOSITION:Form-Data;NAME=a\r\n"),
     "[a|-|text/plain=]", NULL},
    {"spaces around values", HEADERS("Content-Type: \t x y \t\r\n" DISPOSITION), "[a|-|x y=]",
     NULL},
    {"empty and unknown headers",
     HEADERS("X:\r\nother!#$%&'*+-.^_`|~: \t:\r\nContent-Length: 99\r\nContent-Type: \r\n"
             "X: again\r\n" DISPOSITION),
     "[a|-|=]", NULL},
    {"a name without quotes", HEADERS("Content-Disposition: form-data; name=a\r\n"), "[a|-|-=]",
     NULL},
    {"the file name first",
     HEADERS("Content-Disposition: form-data; filename=\"f\"; name=\"a\"; x=y\r\n"), "[a|f|-=]",
     NULL},
    {"an empty file name", HEADERS("Content-Disposition: form-data; name=a; filename=\"\"\r\n"),
     "[a||-=]", NULL},
    {"quotes as browsers escape them",
     HEADERS("Content-Disposition: form-data; name=\"a%22%0D%0A\"; filename=\"%22\"\r\n"),
     "[a%22%0D%0A|%22|-=]", NULL},
    {"quotes with backslashes",
     HEADERS("Content-Disposition: form-data; name=\"a\\\"\\\\\"; filename=\";\\\"\"\r\n"),
     "[a\"\\|;\"|-=]", NULL},
    {"a path of Windows",
     HEADERS("Content-Disposition: form-data; name=\"a\"; filename=\"C:\\dir\\x.png\"\r\n"),
     "[a|C:dirx.png|-=]", NULL},
    {"UTF-8",
     HEADERS("Content-Disposition: form-data; name=\"\xC3\xBC\"; filename=\"\xE2\x82\xAC\"\r\n"
             "X: \xC3\xBC\r\n"),
     "[\xC3\xBC|\xE2\x82\xAC|-=]", NULL},
    {"filename* is ignored",
     HEADERS("Content-Disposition: form-data; name=a; filename=f; filename*=UTF-8''g\r\n"),
     "[a|f|-=]", NULL},
    {"the encodings that are none",
     HEADERS(DISPOSITION "Content-Transfer-Encoding: 7BIT\r\ncontent-transfer-encoding:8bit\r\n"
                         "Content-Transfer-Encoding: binary \r\n"),
     "[a|-|-=]", NULL},

    {"nothing at all", BODY(""), "", NO_BOUNDARY},
    {"line ends only", BODY("\r\n\r\n\r\n"), "", NO_BOUNDARY},
    {"NULs only", BODY("\0\0\0\0"), "", NO_BOUNDARY},
    {"no boundary", BODY("a=b&c=d"), "", NO_BOUNDARY},
    {"half a boundary", BODY("--"), "", NO_BOUNDARY},
    {"a boundary without a line end", BODY("--b"), "", NO_BOUNDARY},
    {"a boundary with half a line end", BODY("--b\r"), "", NO_BOUNDARY},
    {"a boundary and NUL", BODY("--b\0--\r\n"), "", NO_BOUNDARY},
    {"a boundary and spaces", BODY("--b   "), "", NO_BOUNDARY},
    {"half a close delimiter", BODY("--b-"), "", NO_BOUNDARY},
    {"the close delimiter of another", BODY("--b-X\r\n"), "", NO_BOUNDARY},
    {"lines that end in LF", BODY("--b\nContent-Disposition: form-data; name=a\n\nx\n--b--\n"), "",
     NO_BOUNDARY},
    {"a close delimiter after a preamble only", BODY("--c\r\n" DISPOSITION "\r\nx" END), "",
     "The body has a closing boundary and no part before it."},
    {"65 spaces after a boundary",
     BODY("--b" SPACES16 SPACES16 SPACES16 SPACES16 " \r\n" DISPOSITION "\r\nx" END), "",
     "A boundary is followed by too many spaces."},
    {"65 spaces after a close delimiter",
     BODY(PART "x\r\n--b--" SPACES16 SPACES16 SPACES16 SPACES16 " \r\n"), "[a|-|-=x",
     "A boundary is followed by too many spaces."},
    {"ends after a boundary", BODY("--b\r\n"), "", IN_HEADERS},
    {"ends within a header", BODY("--b\r\nContent-Dis"), "", IN_HEADERS},
    {"ends after a header", BODY("--b\r\n" DISPOSITION), "", IN_HEADERS},
    {"ends within the empty line", BODY("--b\r\n" DISPOSITION "\r"), "", IN_HEADERS},
    {"ends after the headers", BODY(PART), "[a|-|-=", NO_END},
    {"ends within content", BODY(PART "xyz"), "[a|-|-=xyz", NO_END},
    {"ends within a delimiter", BODY(PART "x\r\n--"), "[a|-|-=x", NO_END},
    {"ends after half a delimiter", BODY(PART "x\r\n--b\r"), "[a|-|-=x", NO_END},
    {"ends after half a close delimiter", BODY(PART "x\r\n--b-"), "[a|-|-=x", NO_END},

    {"no headers", HEADERS(""), "", "A part has no Content-Disposition."},
    {"no Content-Disposition", HEADERS("Content-Type: text/plain\r\n"), "",
     "A part has no Content-Disposition."},
    {"a delimiter instead of headers", BODY("--b\r\n--b--\r\n"), "", NO_COLON},
    {"a folded line", HEADERS("Content-Disposition: form-data;\r\n name=\"a\"\r\n"), "", NO_NAME},
    {"a folded line after a whole one", HEADERS(DISPOSITION "\tx=y\r\n"), "", FOLDED},
    {"a folded line first", HEADERS(" x: y\r\n" DISPOSITION), "", FOLDED},
    {"a line of spaces", HEADERS(DISPOSITION " \r\n"), "", FOLDED},
    {"a line that ends in LF", BODY("--b\r\nX: y\n" DISPOSITION "\r\n" END), "", LINE_END},
    {"an empty line that is LF", BODY("--b\r\n" DISPOSITION "\nx" END), "", LINE_END},
    {"a CR within a value", HEADERS("X: y\rz\r\n" DISPOSITION), "", CONTROL},
    {"a CR within a name", HEADERS("Content-\rDisposition: form-data; name=a\r\n"), "", CONTROL},
    {"a line that ends in CR CR LF", HEADERS("X: y\r\r\n" DISPOSITION), "", CONTROL},
    {"a CR on the empty line", BODY("--b\r\n" DISPOSITION "\rx\r\n" END), "", CONTROL},
    {"NUL in a value", HEADERS("Content-Disposition: form-data; name=\"a\0b\"\r\n"), "", CONTROL},
    {"NUL in a name", HEADERS("Content-Disposition\0: form-data; name=\"a\"\r\n"), "", CONTROL},
    {"NUL first in a line", HEADERS("\0" DISPOSITION), "", CONTROL},
    {"a control character", HEADERS("X: \x01\r\n" DISPOSITION), "", CONTROL},
    {"DEL", HEADERS("X: \x7F\r\n" DISPOSITION), "", CONTROL},
    {"no colon", HEADERS("Content-Disposition form-data\r\n"), "", NO_COLON},
    {"a header cut in two", HEADERS("Content-\r\nisposition: form-data; name=a\r\n"), "", NO_COLON},
    {"an empty header name", HEADERS(": form-data; name=\"a\"\r\n"), "", BAD_NAME},
    {"a space before the colon", HEADERS("Content-Disposition : form-data; name=a\r\n"), "",
     BAD_NAME},
    {"a header name that is no token", HEADERS("Content-<<<: x\r\n"), "", BAD_NAME},
    {"a header name in UTF-8", HEADERS("\xC3\xBC: x\r\n"), "", BAD_NAME},
    {"no name", HEADERS("Content-Disposition: form-data\r\n"), "", NO_NAME},
    {"a file name only", HEADERS("Content-Disposition: form-data; filename=\"x\"\r\n"), "",
     NO_NAME},
    {"an empty name", HEADERS("Content-Disposition: form-data; name=\"\"\r\n"), "",
     "The name of a part is empty."},
    {"name*", HEADERS("Content-Disposition: form-data; name=a; name*=UTF-8''b\r\n"), "",
     "The Content-Disposition of a part has name*: only name is right."},
    {"another disposition", HEADERS("Content-Disposition: attachment; name=\"a\"\r\n"), "",
     "The Content-Disposition of a part is not form-data."},
    {"Content-Disposition twice", HEADERS(DISPOSITION DISPOSITION), "",
     "A part has Content-Disposition twice."},
    {"Content-Type twice", HEADERS("Content-Type: a/b\r\ncontent-type: a/b\r\n"), "",
     "A part has Content-Type twice."},
    {"an empty Content-Disposition", HEADERS("Content-Disposition:\r\n"), "", MALFORMED},
    {"an unclosed quote", HEADERS("Content-Disposition: form-data; name=\"a\r\n"), "", MALFORMED},
    {"an unclosed quote after a backslash",
     HEADERS("Content-Disposition: form-data; name=\"a\\\"\r\n"), "", MALFORMED},
    {"an unclosed parameter", HEADERS("Content-Disposition: form-data; name\r\n"), "", MALFORMED},
    {"an empty parameter", HEADERS("Content-Disposition: form-data; name=\r\n"), "", MALFORMED},
    {"a parameter without a name", HEADERS("Content-Disposition: form-data; =a\r\n"), "",
     MALFORMED},
    {"text after a quote", HEADERS("Content-Disposition: form-data; name=\"a\"b\r\n"), "",
     MALFORMED},
    {"name twice", HEADERS("Content-Disposition: form-data; name=a; NAME=b\r\n"), "", MALFORMED},
    {"filename twice",
     HEADERS("Content-Disposition: form-data; name=a; filename=b; filename=c\r\n"), "", MALFORMED},
    {"base64", HEADERS(DISPOSITION "Content-Transfer-Encoding: base64\r\n"), "", ENCODING},
    {"quoted-printable", HEADERS("Content-Transfer-Encoding: quoted-printable\r\n"), "", ENCODING},
    {"an empty encoding", HEADERS("Content-Transfer-Encoding:\r\n"), "", ENCODING},
    {"an error after a whole part", BODY(PART "x\r\n--b\r\nX\r\n\r\n" END), "[a|-|-=x]", NO_COLON},
};

static void test_sample(const struct sample *s)
{
    record *r = apr_palloc(pool, sizeof(*r));
    apr_size_t cut;
    int differ = 0;

    is(parse_cut(r, s->body, s->len, 0, 0), s->error, apr_psprintf(pool, "%s: verdict", s->name));
    is(r->text, s->events, apr_psprintf(pool, "%s: events", s->name));
    differ += !same(parse_bytes(r, s->body, s->len), s->error) || !same(r->text, s->events);
    for (cut = 1; cut < s->len; cut++)
        differ +=
            !same(parse_cut(r, s->body, s->len, cut, cut), s->error) || !same(r->text, s->events);
    is_int(differ, 0, apr_psprintf(pool, "%s: however it is cut", s->name));
}

static void test_every_pair_of_cuts(void)
{
    static const char body[] =
        "--b\r\nContent-Disposition: form-data; name=\"first\"\r\n\r\nJ\xC3\xBCrgen\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"second\"\r\n\r\n\r\n--bar\r\n-\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.bin\"\r\n"
        "Content-Type: image/png\r\n\r\n\r\n\0\r\r\n--b-\r\n--b \0\r\n--b--\r\n";
    record *r = apr_palloc(pool, sizeof(*r));
    apr_size_t len = sizeof(body) - 1, one, two;
    int differ = 0;

    for (one = 0; one <= len; one++) {
        for (two = one; two <= len; two++)
            differ += parse_cut(r, body, len, one, two) != NULL ||
                      !same(r->text, "[first|-|-=J\xC3\xBCrgen][second|-|-=\r\n--bar\r\n-]"
                                     "[file|x.bin|image/png=\r\n<NUL>\r\r\n--b-\r\n--b <NUL>]");
    }
    is_int(differ, 0, "two text parts and a file, cut at every pair of places");
}

/* ---- random content, with regexec() to say where it ends ---- */

static apr_uint32_t next_random(apr_uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 16;
}

static apr_size_t random_content(char *out, apr_uint32_t *seed)
{
    static const char *const bits[] = {"\r\n", "\r", "\n",  "-",      "--",      "b",         " ",
                                       "\t",   "X",  "--b", "\r\n--", "\r\n--b", "\r\n--b--", "bb"};
    apr_size_t len = 0, n = next_random(seed) % 24;

    while (n-- > 0)
        len = (apr_size_t)(stpcpy(out + len, bits[next_random(seed) % 14]) - out);
    out[len] = '\0';
    return len;
}

static void test_random(void)
{
    record *r = apr_palloc(pool, sizeof(*r));
    apr_uint32_t seed = 1;
    int i, differ = 0, cut_short = 0;
    regex_t delimiter;

    regcomp(&delimiter, "\r\n--b(--)?[ \t]*\r\n", REG_EXTENDED);
    for (i = 0; i < 20000; i++) {
        static const char headers[] = "--b\r\n" DISPOSITION;
        char body[512], want[512];
        char *content = stpcpy(body, headers);
        apr_size_t len, one, two;
        regmatch_t match;

        /* The empty line's CR LF may be a delimiter's, so it is looked through as well. */
        content = stpcpy(content, "\r\n");
        content += random_content(content, &seed);
        len = (apr_size_t)(stpcpy(content, END) - body);
        content = body + sizeof(headers) - 1;
        if (regexec(&delimiter, content, 1, &match, 0) != 0)
            break;
        cut_short += content + match.rm_eo != body + len;
        snprintf(want, sizeof(want), "[a|-|-=%.*s]", match.rm_so > 2 ? (int)match.rm_so - 2 : 0,
                 content + 2);
        one = next_random(&seed) % len;
        two = one + next_random(&seed) % (len - one);
        parse_cut(r, body, len, one, two);
        differ += strncmp(r->text, want, strlen(want)) != 0;
    }
    regfree(&delimiter);
    is_int(i, 20000, "each of 20,000 random parts has an end");
    ok(cut_short > 1000 && cut_short < 19000, "some of them earlier than their last line");
    is_int(differ, 0, "and the parser finds it, however it is cut");
}

/* ---- limits and callbacks ---- */

static void test_boundaries(void)
{
    static const char *const good[] = {
        "b",
        "0123456789012345678901234567890123456789012345678901234567890123456789",
        "'()+_,-./:=?",
        "a b",
        " a",
        "-",
        "----"};
    static const char *const bad[] = {
        "",       " ",
        "b ",     "b\t",
        "b\r\nc", "b;c",
        "b\"",    "b*",
        "b[",     "\xC3\xBC",
        "b\x7F",  "b\x01",
        "b@c",    "01234567890123456789012345678901234567890123456789012345678901234567890"};
    apr_size_t i;
    record *r = apr_pcalloc(pool, sizeof(*r));

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        up_multipart *mp = up_multipart_create(pool, good[i], &limits, &events, r);
        const char *body = apr_pstrcat(pool, "--", good[i], "\r\n", DISPOSITION, "\r\nx\r\n--",
                                       good[i], "--", NULL);

        r->len = 0;
        ok(mp && !up_multipart_feed(mp, body, strlen(body)) && !up_multipart_finish(mp) &&
               same(r->text, "[a|-|-=x]"),
           "boundary %d is accepted and found", (int)i);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ok(!up_multipart_create(pool, bad[i], &limits, &events, r), "boundary %d is refused",
           (int)i);
}

static void test_part_limit(void)
{
    record *r = apr_palloc(pool, sizeof(*r));
    const char *body = "";
    int i;

    for (i = 0; i < 16; i++)
        body = apr_pstrcat(pool, body, PART "x\r\n", NULL);
    is(parse_cut(r, apr_pstrcat(pool, body, "--b--", NULL), strlen(body) + 5, 0, 0), NULL,
       "16 parts");
    is_int(r->data, 16, "each of them is read");
    body = apr_pstrcat(pool, body, "--b\r\n", NULL);
    is(parse_cut(r, body, strlen(body), 0, 0), "The body has more than 16 parts.",
       "a seventeenth is refused at its boundary");
}

/* A part whose header lines have this many bytes. */
static const char *big_headers(int size)
{
    int rest = size - (int)strlen(DISPOSITION "X: \r\n");

    return apr_psprintf(pool, "--b\r\n" DISPOSITION "X: %.*s\r\n\r\nx" END, rest,
                        (char *)memset(apr_pcalloc(pool, (apr_size_t)rest + 1), 'y', (size_t)rest));
}

static void test_header_limit(void)
{
    record *r = apr_palloc(pool, sizeof(*r));
    int size;

    is(parse_bytes(r, big_headers(8192), strlen(big_headers(8192))), NULL, "8192 bytes of headers");
    is(parse_cut(r, big_headers(8192), strlen(big_headers(8192)), 0, 0), NULL, "also in one piece");
    for (size = 8193; size < 8200; size++) {
        const char *body = big_headers(size);

        is(parse_bytes(r, body, strlen(body)), "The headers of a part exceed 8192 bytes.",
           apr_psprintf(pool, "%d bytes", size));
        is(parse_cut(r, body, strlen(body), 0, 0), "The headers of a part exceed 8192 bytes.",
           "also in one piece");
    }
    is_int(r->len, 0, "no part has begun");
}

static void test_headers_without_end(void)
{
    record *r = apr_pcalloc(pool, sizeof(*r));
    up_multipart *mp = up_multipart_create(pool, "b", &limits, &events, r);
    int lines = 0;

    up_multipart_feed(mp, BODY("--b\r\n"));
    while (lines < 5000 && !up_multipart_feed(mp, BODY("X: y\r\n")))
        lines++;
    is_int(lines, 8192 / 6, "many short headers come to the same limit");
}

static void test_callback(const char *event, const char *seen)
{
    record *r = apr_pcalloc(pool, sizeof(*r));
    up_multipart *mp = up_multipart_create(pool, "b", &limits, &events, r);

    r->stop_at = event;
    r->answer = "Enough.";
    is(up_multipart_feed(mp, BODY(PART "x\r\n" PART "y" END)), "Enough.",
       apr_psprintf(pool, "part_%s stops the parser", event));
    is(up_multipart_feed(mp, BODY(PART "z" END)), "Enough.", "the error stays");
    is(up_multipart_finish(mp), "Enough.", "to the end");
    is(r->text, seen, "and nothing is called after it");
}

static void test_finish(void)
{
    record *r = apr_pcalloc(pool, sizeof(*r));
    up_multipart *mp = up_multipart_create(pool, "b", &limits, &events, r);

    is(up_multipart_feed(mp, BODY(PART "x\r\n--b--")), NULL, "all but a last line end");
    is(r->text, "[a|-|-=x", "the part may go on");
    is(up_multipart_finish(mp), NULL, "finish() knows better");
    is(r->text, "[a|-|-=x]", "and ends the part");
    is(up_multipart_finish(mp), NULL, "finish() twice is one");
    is(up_multipart_feed(mp, "x", 1), "The body goes on after its end.", "feed() after it is none");
    is(up_multipart_finish(mp), "The body goes on after its end.", "nor is finish() after that");

    memset(r, 0, sizeof(*r));
    mp = up_multipart_create(pool, "b", &limits, &events, r);
    r->stop_at = "end";
    r->answer = "Enough.";
    up_multipart_feed(mp, BODY(PART "x\r\n--b--"));
    is(up_multipart_finish(mp), "Enough.", "part_end's error in finish() is its error");
}

int main(void)
{
    apr_size_t i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        test_sample(&samples[i]);
    test_every_pair_of_cuts();
    test_random();
    test_boundaries();
    test_part_limit();
    test_header_limit();
    test_headers_without_end();
    test_callback("begin", "[a|-|-=");
    test_callback("data", "[a|-|-=x");
    test_callback("end", "[a|-|-=x]");
    test_finish();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
