/* SPDX-License-Identifier: Apache-2.0 */

/* The bodies that python-multipart is tested with: NAME.http, and NAME.yaml with the boundary
 * and what is to come out. Read where they are, beside the checkout. */
#include "tap.h"

#include "core/multipart.h"

#include <apr_base64.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <stdlib.h>

/* One part, as expected or as parsed. */
typedef struct part {
    const char *name;
    const char *filename;
    const char *content_type; /* expected: NULL is any */
    const char *data;
    apr_size_t len;
} part;

typedef struct sample {
    const char *boundary;
    int fails;
    apr_array_header_t *parts; /* of part */
} sample;

#define ENCODING "The Content-Transfer-Encoding of a part is not 7bit, 8bit or binary."

/* Where we differ by design: the sample, and what we say. */
static const struct difference {
    const char *name;
    const char *error;
} differences[] = {
    /* RFC 7578 4.7 deprecates Content-Transfer-Encoding; here data is always as sent. */
    {"base64_encoding", ENCODING},
    {"mixed_case_headers", ENCODING},
    {"mixed_plain_and_base64_encoding", ENCODING},
    {"quoted_printable_encoding", ENCODING},
    /* Its lines are "--boundary", and so is the boundary of its .yaml, without the two dashes
     * more that RFC 2046 5.1.1 puts before it. */
    {"single_field_blocks", "No line of the body is the boundary that its Content-Type names."},
};

static apr_pool_t *pool;

/* ---- what is expected ---- */

static char *read_file(const char *path, apr_size_t *len)
{
    apr_file_t *file;
    apr_finfo_t info;
    char *text;

    *len = 0;
    if (apr_file_open(&file, path, APR_READ | APR_BINARY, 0, pool) != APR_SUCCESS)
        return apr_pstrdup(pool, "");
    apr_file_info_get(&info, APR_FINFO_SIZE, file);
    text = apr_pcalloc(pool, (apr_size_t)info.size + 1);
    apr_file_read_full(file, text, (apr_size_t)info.size, len);
    apr_file_close(file);
    return text;
}

/* "key: value" at the start of line, the value without quotes; NULL for another key. */
static const char *value_of(char *line, const char *key)
{
    apr_size_t len = strlen(key);
    char *value;

    if (strncmp(line, key, len) != 0 || line[len] != ':')
        return NULL;
    value = line + len + 1;
    value += strspn(value, " ");
    if (*value == '\'' || *value == '"') {
        value++;
        value[strcspn(value, "'\"")] = '\0';
    }
    return value;
}

static void decode(part *expected, const char *base64)
{
    char *out = apr_palloc(pool, (apr_size_t)apr_base64_decode_len(base64) + 1);

    expected->len = (apr_size_t)apr_base64_decode(out, base64);
    expected->data = out;
}

/* The few forms of YAML that these files have, line by line. */
static void read_line(sample *s, char *line)
{
    part *last = s->parts->nelts ? &APR_ARRAY_IDX(s->parts, s->parts->nelts - 1, part) : NULL;
    const char *value;

    line += strspn(line, " ");
    if ((value = value_of(line, "boundary")) != NULL) {
        s->boundary = value;
    } else if (value_of(line, "error")) {
        s->fails = 1;
    } else if ((value = value_of(line, "- name")) != NULL) {
        last = apr_array_push(s->parts);
        memset(last, 0, sizeof(*last));
        last->name = value;
    } else if (last && (value = value_of(line, "file_name")) != NULL) {
        last->filename = value;
    } else if (last && (value = value_of(line, "content_type")) != NULL) {
        last->content_type = value;
    } else if (last && *line && !strchr(line, ':')) {
        decode(last, line);
    }
}

static sample *read_sample(const char *path)
{
    sample *s = apr_pcalloc(pool, sizeof(*s));
    apr_size_t len;
    char *state = NULL, *text = read_file(path, &len), *line;

    s->parts = apr_array_make(pool, 4, sizeof(part));
    for (line = apr_strtok(text, "\r\n", &state); line; line = apr_strtok(NULL, "\r\n", &state))
        read_line(s, line);
    return s;
}

/* ---- what is parsed ---- */

static const char *on_begin(void *baton, const up_part *from)
{
    part *to = apr_array_push(baton);

    to->name = apr_pstrdup(pool, from->name);
    to->filename = apr_pstrdup(pool, from->filename);
    to->content_type = apr_pstrdup(pool, from->content_type);
    to->data = "";
    to->len = 0;
    return NULL;
}

static const char *on_data(void *baton, const char *data, apr_size_t len)
{
    apr_array_header_t *parts = baton;
    part *p = &APR_ARRAY_IDX(parts, parts->nelts - 1, part);
    char *joined = apr_palloc(pool, p->len + len);

    memcpy(joined, p->data, p->len);
    memcpy(joined + p->len, data, len);
    p->data = joined;
    p->len += len;
    return NULL;
}

static const char *on_end(void *baton)
{
    (void)baton;
    return NULL;
}

static const char *parse(const sample *s, const char *body, apr_size_t len, apr_size_t step,
                         apr_array_header_t *parts)
{
    static const up_multipart_events events = {on_begin, on_data, on_end};
    static const up_multipart_limits limits = {16, 8192};
    up_multipart *mp = up_multipart_create(pool, s->boundary, &limits, &events, parts);
    apr_size_t at;

    if (!mp)
        return "The boundary is none.";
    for (at = 0; at < len; at += step)
        up_multipart_feed(mp, body + at, step < len - at ? step : len - at);
    return up_multipart_finish(mp);
}

static int same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static int same_parts(const apr_array_header_t *got, const apr_array_header_t *want)
{
    int i;

    for (i = 0; i < got->nelts && i < want->nelts; i++) {
        const part *g = &APR_ARRAY_IDX(got, i, part), *w = &APR_ARRAY_IDX(want, i, part);
        /* RFC 7578 4.4 */
        const char *type = g->content_type ? g->content_type : "text/plain";

        if (!same(g->name, w->name) || !same(g->filename, w->filename) ||
            (w->content_type && !same(type, w->content_type)) || g->len != w->len ||
            memcmp(g->data, w->data, w->len) != 0)
            return 0;
    }
    return got->nelts == want->nelts;
}

static const char *difference_of(const char *name)
{
    apr_size_t i;

    for (i = 0; i < sizeof(differences) / sizeof(differences[0]); i++) {
        if (strcmp(name, differences[i].name) == 0)
            return differences[i].error;
    }
    return NULL;
}

static void test_sample(const char *folder, const char *name)
{
    sample *s = read_sample(apr_pstrcat(pool, folder, "/", name, ".yaml", NULL));
    const char *different = difference_of(name), *error = NULL;
    apr_size_t len, step;
    char *body = read_file(apr_pstrcat(pool, folder, "/", name, ".http", NULL), &len);
    int wrong = 0;

    if (!ok(len > 0 && s->boundary && (s->fails || s->parts->nelts || strstr(name, "empty")),
            "%s is read", name))
        return;
    for (step = len; step > 0; step--) {
        apr_array_header_t *parts = apr_array_make(pool, 4, sizeof(part));

        error = parse(s, body, len, step, parts);
        if (different)
            wrong += !same(error, different);
        else if (s->fails)
            wrong += error == NULL;
        else
            wrong += error || !same_parts(parts, s->parts);
    }
    ok(!wrong, "%s: %s", name, error ? error : "its parts");
}

int main(void)
{
    const char *corpora = getenv("UP_CORPORA"), *folder;
    apr_dir_t *dir;
    apr_finfo_t info;
    int samples = 0;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    folder = apr_pstrcat(pool, corpora ? corpora : "../shared/corpora",
                         "/multipart-python-multipart", NULL);
    if (apr_dir_open(&dir, folder, pool) != APR_SUCCESS) {
        printf("1..0 # SKIP no corpus in %s\n", folder);
        return 0;
    }
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        const char *dot = strrchr(info.name, '.');

        if (!dot || strcmp(dot, ".http") != 0)
            continue;
        test_sample(folder, apr_pstrmemdup(pool, info.name, (apr_size_t)(dot - info.name)));
        samples++;
    }
    is_int(samples, 30, "the whole corpus");
    apr_dir_close(dir);
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
