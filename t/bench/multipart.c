/* SPDX-License-Identifier: Apache-2.0 */

/* How fast the core parses a form with a picture of 5 MB, without sockets, in pieces as
 * httpd reads them; and how fast the C library's memchr() goes over the same bytes: from
 * one CR to the next, as a parser must, and once through, for a byte that is not there.
 *
 *     multipart SECONDS
 *
 * prints these three, in GB/s, in turn for so many seconds, the best of each. The picture is
 * random bytes, as a compressed one seems to be. */
#include "core/multipart.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_time.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICTURE ((apr_size_t)5 * 1024 * 1024)
#define PIECE 8000
#define BOUNDARY "------------------------d74496d66958873e"
#define DISPOSITION "Content-Disposition: form-data; name=\"avatar\"; filename=\"me.jpg\"\r\n"
#define BEGIN "--" BOUNDARY "\r\n" DISPOSITION "Content-Type: image/jpeg\r\n\r\n"
#define END "\r\n--" BOUNDARY "--\r\n"
/* What is not in the picture. */
#define ABSENT '\1'

typedef struct body {
    char *bytes;
    apr_size_t len;
} body;

static const char *on_begin(void *baton, const up_part *part)
{
    (void)baton;
    (void)part;
    return NULL;
}

static const char *on_data(void *baton, const char *data, apr_size_t len)
{
    (void)data;
    *(apr_size_t *)baton += len;
    return NULL;
}

static const char *on_end(void *baton)
{
    (void)baton;
    return NULL;
}

static body make_body(apr_pool_t *p)
{
    body b = {apr_palloc(p, sizeof(BEGIN) + PICTURE + sizeof(END)), 0};
    char *out = stpcpy(b.bytes, BEGIN);
    uint64_t x = 88172645463325252U;
    apr_size_t i;

    for (i = 0; i < PICTURE; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        *out = (char)(x >> 56);
        if (*out == ABSENT)
            *out = '\2';
        out++;
    }
    b.len = (apr_size_t)(stpcpy(out, END) - b.bytes);
    return b;
}

static apr_size_t parse(const body *b, apr_pool_t *p)
{
    static const up_multipart_limits limits = {16, 8192};
    static const up_multipart_events events = {on_begin, on_data, on_end};
    apr_size_t seen = 0, at;
    up_multipart *parser = up_multipart_create(p, BOUNDARY, &limits, &events, &seen);

    for (at = 0; at < b->len; at += PIECE)
        up_multipart_feed(parser, b->bytes + at, PIECE < b->len - at ? PIECE : b->len - at);
    if (up_multipart_finish(parser) || seen != PICTURE) {
        fprintf(stderr, "The form is not parsed.\n");
        exit(1);
    }
    return seen;
}

static apr_size_t find(const body *b, int c)
{
    const char *at = b->bytes, *end = b->bytes + b->len;
    apr_size_t found = 0;

    while (at < end && (at = memchr(at, c, (apr_size_t)(end - at)))) {
        found++;
        at++;
    }
    return found;
}

static apr_size_t find_each(const body *b, apr_pool_t *p)
{
    (void)p;
    return find(b, '\r');
}

static apr_size_t find_none(const body *b, apr_pool_t *p)
{
    (void)p;
    return find(b, ABSENT) + 1;
}

int main(int argc, char **argv)
{
    static apr_size_t (*const run[])(const body *, apr_pool_t *) = {parse, find_each, find_none};
    double best[3] = {0};
    apr_time_t end;
    apr_pool_t *pool, *p;
    body b;
    int i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&p, pool);
    b = make_body(pool);
    end = apr_time_now() + apr_time_from_sec(argc > 1 ? apr_atoi64(argv[1]) : 1);
    while (apr_time_now() < end) {
        for (i = 0; i < 3; i++) {
            apr_time_t start = apr_time_now();
            apr_size_t found = run[i](&b, p);
            double rate = (double)b.len / ((double)(apr_time_now() - start) * 1000);

            if (found && rate > best[i])
                best[i] = rate;
            apr_pool_clear(p);
        }
    }
    printf("parser=%.3f each=%.3f none=%.3f\n", best[0], best[1], best[2]);
    apr_terminate();
    return 0;
}
