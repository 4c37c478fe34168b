/* SPDX-License-Identifier: Apache-2.0 */

/* Forms, good and bad ones, as other parsers read them, python-multipart and libmicrohttpd's post
 * processor: what is a form to both has the same parts. The forms are made from a seed. */
#include "mhd_oracle.h"
#include "oracle.h"
#include "tap.h"

#include "core/multipart.h"

#include <apr_escape.h>
#include <apr_general.h>

#define SEED 20240229
#define FORMS 3000
#define BODY_MAX 4000

static apr_pool_t *pool;
static apr_uint64_t state = SEED;

/* --- Where we differ by design --- */

/* What we refuse and they read: our sentence, and why. */

static const struct {
    const char *error, *why;
} stricter[] = {
    {"A header of a part has an empty or invalid name.", "RFC 9110 5.1"},
    {"A part has no Content-Disposition.", "RFC 7578 4.2"},
    {"The Content-Disposition of a part has no name.", "RFC 7578 4.2"},
    {"The Content-Disposition of a part is not form-data.", "RFC 7578 4.2"},
    {"The Content-Disposition of a part is malformed: form-data; name=\"...\"; filename=\"...\" is "
     "right.",
     "RFC 6266 4.1"},
    {"The name of a part is empty.", "nobody's field"},
    {"A part has Content-Disposition twice.", "RFC 9110 5.3"},
    {"A part has Content-Type twice.", "RFC 9110 5.3"},
    {"A header of a part has a control character.", "RFC 9110 5.5"},
    {"A header line of a part begins with a space: folded lines are not read.", "RFC 9112 5.2"},
    {"The Content-Transfer-Encoding of a part is not 7bit, 8bit or binary.", "RFC 7578 4.7"},
    {"A header line of a part has no colon.", "RFC 9112 5"},
    {"A header line of a part does not end in CR LF.", "RFC 2046 4.1.1"},
    /* They skip a CR or an LF alone before the first boundary. */
    {"The body has a closing boundary and no part before it.", "RFC 2046 5.1.1"},
    {"The body ends without its closing boundary.", "RFC 2046 5.1.1"},
};

static int is_stricter(const char *error)
{
    size_t i;

    for (i = 0; i < sizeof(stricter) / sizeof(stricter[0]); i++)
        if (strcmp(error, stricter[i].error) == 0)
            return 1;
    return 0;
}

/* --- Forms --- */

typedef struct text {
    char bytes[BODY_MAX];
    size_t len;
} text;

static void put(text *t, const char *bytes, size_t len)
{
    if (t->len + len > BODY_MAX)
        return;
    memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
}

#define PUT(t, literal) put((t), (literal), sizeof(literal) - 1)

/* What forms are made of, and changed with. */
static const char *const pieces[] = {
    "\r\n",  "\r",  "\n",       "--bo",       "\r\n--bo",   "--",     "b",        "-",
    "x",     "Ada", " ",        "\r\n--bo--", "\r\n--bob",  "\"",     "\r\n\r\n", ":",
    "; a=b", "\t",  "\xc3\xa9", "name=",      "--bo--\r\n", "\r\n--", "\r\r\n"};

static const char *piece(void)
{
    return pieces[oracle_random(&state, sizeof(pieces) / sizeof(pieces[0]))];
}

static void put_part(text *t)
{
    static const char *const heads[] = {
        "Content-Disposition: form-data; name=\"a\"\r\n",
        "content-disposition: form-data; name=full_name\r\n",
        "Content-Disposition: form-data; name=\"avatar\"; filename=\"a.png\"\r\nContent-Type: "
        "image/png\r\n",
        "X-Other: y\r\nContent-Disposition: form-data; name=\"b\"\r\n"};
    const char *head = heads[oracle_random(&state, 4)];
    unsigned int i, count = oracle_random(&state, 8);

    PUT(t, "--bo\r\n");
    put(t, head, strlen(head));
    PUT(t, "\r\n");
    for (i = 0; i < count; i++) {
        const char *more = piece();

        /* Content, and so without a delimiter: those come by chance, in what is changed. */
        if (!strstr(more, "--bo"))
            put(t, more, strlen(more));
    }
    PUT(t, "\r\n");
}

static void change(text *t)
{
    size_t at = oracle_random(&state, (unsigned int)t->len);
    const char *more = piece();
    size_t cut = oracle_random(&state, 3), len = strlen(more);

    cut = cut < t->len - at ? cut : t->len - at;
    memmove(t->bytes + at, t->bytes + at + cut, t->len - at - cut);
    t->len -= cut;
    if (t->len + len > BODY_MAX)
        return;
    memmove(t->bytes + at + len, t->bytes + at, t->len - at);
    memcpy(t->bytes + at, more, len);
    t->len += len;
}

static void make_form(text *t)
{
    unsigned int i, parts = 1 + oracle_random(&state, 3), changes = oracle_random(&state, 4);

    t->len = 0;
    for (i = 0; i < parts; i++)
        put_part(t);
    PUT(t, "--bo--\r\n");
    for (i = 0; i < changes; i++)
        change(t);
}

/* --- Our answer, in their form --- */

typedef struct answer {
    const char *text;
    text data;
    const char *name, *filename;
} answer;

static const char *hex(const char *bytes, size_t len)
{
    return apr_pescape_hex(pool, bytes, len, 0);
}

static const char *on_begin(void *baton, const up_part *part)
{
    answer *a = baton;

    a->name = hex(part->name, strlen(part->name));
    a->filename = part->filename ? hex(part->filename, strlen(part->filename)) : "-";
    a->data.len = 0;
    return NULL;
}

static const char *on_data(void *baton, const char *data, apr_size_t len)
{
    put(&((answer *)baton)->data, data, len);
    return NULL;
}

static const char *on_end(void *baton)
{
    answer *a = baton;

    a->text = apr_pstrcat(pool, a->text, a->name, "/", a->filename, "/",
                          a->data.len ? hex(a->data.bytes, a->data.len) : "", " ", NULL);
    return NULL;
}

/* @return why it is no form, or NULL. */
static const char *parse(const text *body, answer *a)
{
    static const up_multipart_events events = {on_begin, on_data, on_end};
    static const up_multipart_limits limits = {16, 8192};
    up_multipart *mp = up_multipart_create(pool, "bo", &limits, &events, a);

    a->text = "";
    up_multipart_feed(mp, body->bytes, body->len);
    return up_multipart_finish(mp);
}

/* Is there a close delimiter that does not end its line? */
static int has_longer_close(const char *body)
{
    while ((body = strstr(body, "--bo--")) != NULL) {
        body += 6;
        if (*body && strncmp(body, "\r\n", 2) != 0 && strcmp(body, "\r") != 0)
            return 1;
    }
    return 0;
}

/* What they read otherwise, or not at all. */
static const char *known_difference(const text *form, const char *theirs)
{
    const char *all = apr_pstrmemdup(pool, form->bytes, form->len);

    if (strcmp(theirs, "error") == 0 && strncmp(all, "--bo\r\n", 6) != 0)
        return "RFC 2046 5.1.1: a preamble is skipped";
    if (strstr(all, "--bo ") || strstr(all, "--bo\t") || strstr(all, "--bo-- ") ||
        strstr(all, "--bo--\t"))
        return "RFC 2046 5.1.1: a boundary may be followed by blanks";
    if (has_longer_close(all))
        return "core/multipart.h: a longer line that begins as a delimiter is data";
    if (strstr(all, "\r\n\r\n--bo"))
        return "core/multipart.h: a part's first line can be a delimiter";
    return NULL;
}

static int differ(const text *form, const char *theirs, const char *error, const char *ours)
{
    if (strcmp(theirs, "error") == 0 ? error != NULL : !error && strcmp(theirs, ours) == 0)
        return 0;
    if (error)
        return !is_stricter(error);
    return !known_difference(form, theirs);
}

#ifdef HAVE_MHD
/* What libmicrohttpd reads otherwise. */
static const char *known_difference_of_mhd(const text *form, const char *theirs)
{
    const char *all = apr_pstrmemdup(pool, form->bytes, form->len), *at;

    if (strncmp(all, "--bo", 4) != 0)
        return "RFC 2046 5.1.1: a delimiter begins a line";
    if (strstr(all, "isposition:form-data"))
        return "RFC 9110 5.5: blanks before a value are optional";
    for (at = all; (at = strstr(at, "name=")) != NULL; at += 5)
        if (at[5] != '"')
            return "RFC 9110 5.6.6: a value that is a token needs no quotes";
    for (at = all; (at = strstr(at, "--bo")) != NULL; at += 4)
        if (strncmp(at + 4, "\r\n", 2) != 0 && strncmp(at + 4, "--", 2) != 0)
            return "core/multipart.h: a longer line that begins as a delimiter is data";
    at = strstr(all, "--bo--\r\n");
    if (strcmp(theirs, "error") == 0 && at && at[8])
        return "RFC 2046 5.1.1: an epilogue is skipped";
    return NULL;
}

static int differ_from_mhd(const text *form, const char *theirs, const char *error,
                           const char *ours)
{
    if (!differ(form, theirs, error, ours))
        return 0;
    /* A body without a part is no form to us. */
    return error ? *theirs != '\0' : !known_difference_of_mhd(form, theirs);
}
#endif

static void compare(oracle *o)
{
    int i, different = 0, both = 0;
    const char *theirs;
    text form;
    answer a;

    state = SEED;
    for (i = 0; i < FORMS && (theirs = oracle_answer(o)) != NULL; i++) {
        const char *error;

        make_form(&form);
        error = parse(&form, &a);
        both += !error && strcmp(theirs, "error") != 0;
        if (differ(&form, theirs, error, a.text) && ++different <= 20)
            printf("# %s\n#   they: %s\n#   we: %s%s\n",
                   apr_pescape_echo(pool, apr_pstrmemdup(pool, form.bytes, form.len), 1), theirs,
                   a.text, error ? error : "");
    }
    is_int(i, FORMS, "each form was read by both");
    is_int(different, 0, "none in another way");
    ok(both > FORMS / 5, "%d of them were forms to both", both);
}

#ifdef HAVE_MHD
static void compare_with_mhd(void)
{
    int i, different = 0, both = 0;
    mhd_oracle o = {NULL};
    text form;
    answer a;

    state = SEED;
    if (!ok(mhd_start(&o), "libmicrohttpd serves"))
        return;
    for (i = 0; i < FORMS; i++) {
        apr_pool_t *p;
        const char *theirs, *error;

        apr_pool_create(&p, pool);
        make_form(&form);
        error = parse(&form, &a);
        theirs = mhd_ask(&o, p, form.bytes, form.len);
        both += !error && theirs && strcmp(theirs, "error") != 0;
        if ((!theirs || differ_from_mhd(&form, theirs, error, a.text)) && ++different <= 20)
            printf("# %s\n#   they: %s\n#   we: %s%s\n",
                   apr_pescape_echo(pool, apr_pstrmemdup(pool, form.bytes, form.len), 1),
                   theirs ? theirs : "nothing", a.text, error ? error : "");
        apr_pool_destroy(p);
    }
    MHD_stop_daemon(o.daemon);
    is_int(different, 0, "libmicrohttpd: none in another way");
    ok(both > FORMS / 5, "libmicrohttpd: %d of them were forms to both", both);
}
#endif

int main(void)
{
    oracle o = {NULL};
    text form;
    int i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    o.questions = temporary_file(pool);
    printf("# seed %d\n", SEED);
    for (i = 0; i < FORMS; i++) {
        make_form(&form);
        oracle_question(&o, hex(form.bytes, form.len));
    }
    if (!oracle_ask(&o, pool, "/usr/bin/python3 t/unit/multipart_oracle.py")) {
        printf("1..0 # SKIP python3-multipart is not installed\n");
        return 0;
    }
    compare(&o);
    is_int(oracle_end(&o), 0, "and there was no error");
#ifdef HAVE_MHD
    compare_with_mhd();
#endif
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
