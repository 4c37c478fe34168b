/* SPDX-License-Identifier: Apache-2.0 */

/* How the multipart parser is fed: zero copy, bucket brigades, megabytes. */
#include "tap.h"

#include "multipart_record.h"

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <sys/resource.h>
#include <unistd.h>

static apr_pool_t *pool;

static void test_zero_copy(void)
{
    record *r = apr_pcalloc(pool, sizeof(*r));
    up_multipart *mp = up_multipart_create(pool, "b", &limits, &events, r);
    static const char content[] = "0123456789\r\n\r\n--\r\n--c\r\n9876543210";

    up_multipart_feed(mp, BODY(PART));
    r->piece = content;
    r->end = content + sizeof(content) - 1;
    up_multipart_feed(mp, BODY(content));
    is_int(r->data, sizeof(content) - 1, "a piece without a boundary is data at once");
    is_int(r->outside, 0, "and is not copied");
}

/* ---- brigades ---- */

static apr_status_t failing_read(apr_bucket *e, const char **data, apr_size_t *len,
                                 apr_read_type_e block)
{
    (void)e;
    *data = block == APR_BLOCK_READ ? NULL : "";
    *len = 0;
    return APR_TIMEUP;
}

static const apr_bucket_type_t failing_type = {
    "FAILING",
    5,
    APR_BUCKET_DATA,
    apr_bucket_destroy_noop,
    failing_read,
    apr_bucket_setaside_notimpl,
    apr_bucket_split_notimpl,
    apr_bucket_copy_notimpl,
};

static apr_bucket *failing_bucket(apr_bucket_alloc_t *alloc)
{
    apr_bucket *e = apr_bucket_alloc(sizeof(*e), alloc);

    APR_BUCKET_INIT(e);
    e->free = apr_bucket_free;
    e->list = alloc;
    e->type = &failing_type;
    e->length = (apr_size_t)-1;
    e->start = 0;
    e->data = NULL;
    return e;
}

static apr_file_t *temporary_file(apr_size_t size)
{
    char *name = apr_pstrdup(pool, "/tmp/up-multipart-XXXXXX");
    char *text = malloc(size);
    apr_file_t *file = NULL;

    memset(text, '-', size);
    if (apr_file_mktemp(&file, name, 0, pool) == APR_SUCCESS)
        apr_file_write_full(file, text, size, NULL);
    free(text);
    return file;
}

static void append(apr_bucket_brigade *bb, const char *text)
{
    apr_bucket *e = apr_bucket_heap_create(text, strlen(text), NULL, bb->bucket_alloc);

    APR_BRIGADE_INSERT_TAIL(bb, e);
}

static int brigade_length(apr_bucket_brigade *bb)
{
    apr_bucket *e;
    int n = 0;

    for (e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb); e = APR_BUCKET_NEXT(e))
        n++;
    return n;
}

static void test_brigade_of_many(apr_bucket_alloc_t *alloc)
{
    apr_bucket_brigade *bb = apr_brigade_create(pool, alloc);
    record *r = apr_pcalloc(pool, sizeof(*r));
    up_multipart *mp = up_multipart_create(pool, "b", &limits, &events, r);
    static const char body[] = PART "\r\n--bX\r\n" END;
    apr_status_t status = APR_EGENERAL;
    const char *s;

    is(up_multipart_feed_brigade(mp, bb, &status), NULL, "an empty brigade");
    is_int(status, APR_SUCCESS, "is no failure");
    for (s = body; *s; s++) {
        char byte[2] = {*s, '\0'};

        append(bb, byte);
        append(bb, "");
        if (*s == '-')
            APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(alloc));
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    append(bb, "after the end");
    is(up_multipart_feed_brigade(mp, bb, &status), NULL, "a brigade of one byte each");
    is_int(status, APR_SUCCESS, "is read");
    is(r->text, "[a|-|-=\r\n--bX\r\n]", "as one body");
    is_int(brigade_length(bb), 10 + 2, "what stays are FLUSH, EOS and what is after it");
    is(up_multipart_finish(mp), NULL, "and it is whole");
    apr_brigade_destroy(bb);
}

static void test_brigade_of_a_file(apr_bucket_alloc_t *alloc)
{
    apr_bucket_brigade *bb = apr_brigade_create(pool, alloc);
    record *r = apr_pcalloc(pool, sizeof(*r));
    up_multipart *mp = up_multipart_create(pool, "b", &limits, &events, r);
    apr_size_t size = (apr_size_t)6 * 1024 * 1024; /* more than apr_buckets maps at once */
    apr_file_t *file = temporary_file(size), *in, *out;
    apr_status_t status = APR_EGENERAL;

    append(bb, PART);
    apr_brigade_insert_file(bb, file, 0, (apr_off_t)size, pool);
    apr_file_pipe_create(&in, &out, pool);
    apr_file_puts("piped" END, out);
    apr_file_close(out);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pipe_create(in, alloc));
    is(up_multipart_feed_brigade(mp, bb, &status), NULL, "a file and a pipe");
    is_int(status, APR_SUCCESS, "are read");
    is_int(r->data, size + 5, "to their ends");
    ok(APR_BRIGADE_EMPTY(bb), "and their buckets are gone");
    is(up_multipart_finish(mp), NULL, "the body is whole");
    apr_brigade_destroy(bb);
    apr_file_close(file);
}

static void test_brigade_that_fails(apr_bucket_alloc_t *alloc)
{
    apr_bucket_brigade *bb = apr_brigade_create(pool, alloc);
    record *r = apr_pcalloc(pool, sizeof(*r));
    up_multipart *mp = up_multipart_create(pool, "b", &limits, &events, r);
    apr_status_t status = APR_SUCCESS;

    append(bb, PART "x");
    APR_BRIGADE_INSERT_TAIL(bb, failing_bucket(alloc));
    append(bb, END);
    is(up_multipart_feed_brigade(mp, bb, &status), NULL, "a bucket that can't be read");
    is_int(status, APR_TIMEUP, "gives its status");
    is(r->text, "[a|-|-=x", "after what was before it");
    is_int(brigade_length(bb), 2, "and stays, with what is after it");
    apr_bucket_delete(APR_BRIGADE_FIRST(bb));
    is(up_multipart_feed_brigade(mp, bb, &status), NULL, "the parser itself can go on");
    is(r->text, "[a|-|-=x]", "to the end");

    append(bb, "--b");
    up_multipart_finish(mp);
    is(up_multipart_feed_brigade(mp, bb, &status), "The body goes on after its end.",
       "an error of the body");
    is_int(status, APR_SUCCESS, "is no failure of a bucket");
    append(bb, "x");
    is(up_multipart_feed_brigade(mp, bb, &status), "The body goes on after its end.",
       "and stays in the next brigade");
    is_int(brigade_length(bb), 1, "of which nothing is read");
    apr_brigade_destroy(bb);
}

/* ---- megabytes ---- */

/* What makes a parser slow that looks back, or looks twice. None of these, repeated, has a
 * delimiter of boundary "b" or of 70 dashes. */
static const struct flood {
    const char *unit;
    apr_size_t len;
} floods[] = {
    {BODY("\r")},
    {BODY("\n")},
    {BODY("\r\n")},
    {BODY("-")},
    {BODY(" ")},
    {BODY("\0")},
    {BODY("\r\n-")},
    {BODY("\r\n--")},
    {BODY("\r\n--bX")},
    {BODY("\r\n--b-")},
    {BODY("\r\n--b\r")},
    {BODY("\r\n--b--X")},
    {BODY("\r\n--b X")},
    {BODY("\rb")},
    {BODY("b\r-")},
    {BODY("\r\n--b--\0")},
    {BODY("\r\n--b \t  \t  \t  \t  \t  \t  \t  \t  \t  \t  \t  \t  \t  \t  \t  \t  \t  \t  X")},
};

#define DASHES "----------------------------------------------------------------------"
#define FLOOD_SIZE ((apr_size_t)5 * 1024 * 1024)

/* A body of at least FLOOD_SIZE that a flood fills. */
typedef struct body {
    char *text;
    apr_size_t len, flood_len;
} body;

static body make_body(const char *before, const struct flood *flood, const char *after)
{
    apr_size_t units = FLOOD_SIZE / flood->len + 1, i;
    body b = {NULL, 0, units * flood->len};
    char *out = b.text = malloc(strlen(before) + b.flood_len + strlen(after) + 1);

    out = stpcpy(out, before);
    for (i = 0; i < units; i++)
        out = (char *)memcpy(out, flood->unit, flood->len) + flood->len;
    b.len = (apr_size_t)(stpcpy(out, after) - b.text);
    return b;
}

/* Parses in pieces of step bytes. Returns how much data there was, or -1 for an error. */
static long long parse_body(const body *b, const char *boundary, apr_size_t step)
{
    record r;
    apr_pool_t *p;
    up_multipart *mp;
    const char *error;
    apr_size_t at;

    memset(&r, 0, sizeof(r));
    apr_pool_create(&p, pool);
    mp = up_multipart_create(p, boundary, &limits, &events, &r);
    for (at = 0; at < b->len; at += step)
        up_multipart_feed(mp, b->text + at, step < b->len - at ? step : b->len - at);
    error = up_multipart_finish(mp);
    apr_pool_destroy(p);
    return error ? -1 : (long long)r.data;
}

/* A parser that is not linear in these does not end before the alarm does. */
static void test_flood(const struct flood *flood, int number)
{
    body b = make_body(PART, flood, END);
    body dashes = make_body("--" DASHES "\r\n" DISPOSITION "\r\n", flood, "\r\n--" DASHES "--");
    body preamble = make_body("", flood, "\r\n" PART "x" END);
    body epilogue = make_body(PART "x" END, flood, "");

    is_int(parse_body(&b, "b", b.len), b.flood_len, apr_psprintf(pool, "flood %d", number));
    is_int(parse_body(&b, "b", 1), b.flood_len, "byte by byte");
    is_int(parse_body(&b, "b", 61), b.flood_len, "in small pieces");
    is_int(parse_body(&dashes, DASHES, 8000), dashes.flood_len, "with a boundary of dashes");
    is_int(parse_body(&preamble, "b", 8000), 1, "as a preamble");
    is_int(parse_body(&epilogue, "b", 8000), 1, "as an epilogue");
    free(b.text);
    free(dashes.text);
    free(preamble.text);
    free(epilogue.text);
}

/* A delimiter at every place of a piece and of the blocks that the search looks at. */
static void test_every_place(void)
{
    static const char *const boundaries[] = {"b", DASHES, "----WebKitFormBoundaryTkr3kCBQlBe1nrhc"};
    apr_size_t i, n, wrong = 0;

    for (i = 0; i < sizeof(boundaries) / sizeof(boundaries[0]); i++) {
        for (n = 0; n < 700; n++) {
            char *text = apr_psprintf(pool, "--%s\r\n" DISPOSITION "\r\n%*s\r\n--%s--\r\n",
                                      boundaries[i], (int)n, "", boundaries[i]);
            body b = {text, strlen(text), n};

            wrong += parse_body(&b, boundaries[i], b.len) != (long long)n;
        }
    }
    is_int(wrong, 0, "a delimiter is found at every place");
}

/* What a part needs is given back at its end: 10,000 parts with headers of 8 KB need no 80 MB. */
static void test_memory(void)
{
    static const up_multipart_limits many = {10000, 8192};
    record *r = apr_pcalloc(pool, sizeof(*r));
    up_multipart *mp = up_multipart_create(pool, "b", &many, &events, r);
    char *part =
        apr_psprintf(pool, "\r\n--b\r\n" DISPOSITION "Content-Type:%*s\r\n\r\nx", 8000, "");
    struct rusage before, after;
    int i;

    memset(strstr(part, "Type:") + 5, 'x', 8000);
    getrusage(RUSAGE_SELF, &before);
    for (i = 0; i < 10000; i++)
        up_multipart_feed(mp, part, strlen(part));
    is(up_multipart_feed(mp, BODY(END)), NULL, "10,000 parts with 8 KB of headers each");
    is_int(r->data, 10000, "are read");
    getrusage(RUSAGE_SELF, &after);
    ok(after.ru_maxrss - before.ru_maxrss < 20000, "in %ld KB of memory",
       after.ru_maxrss - before.ru_maxrss);
}

int main(void)
{
    apr_bucket_alloc_t *alloc;
    apr_size_t i;

    alarm(600);
    apr_initialize();
    apr_pool_create(&pool, NULL);
    alloc = apr_bucket_alloc_create(pool);
    test_zero_copy();
    test_brigade_of_many(alloc);
    test_brigade_of_a_file(alloc);
    test_brigade_that_fails(alloc);
    test_memory();
    test_every_place();
    for (i = 0; i < sizeof(floods) / sizeof(floods[0]); i++)
        test_flood(&floods[i], (int)i);
    apr_bucket_alloc_destroy(alloc);
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
