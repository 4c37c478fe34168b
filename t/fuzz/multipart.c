/* SPDX-License-Identifier: Apache-2.0 */

/* A multipart body, fed whole, in pieces that the input chooses, and byte by byte: what comes out
 * is always the same.
 *
 * The input: a byte for boundary and limits, three for where the body is cut, the body. */
#include "fuzz.h"

#include "core/multipart.h"

/* Each byte by itself is tried up to this size; it takes a copy for each. */
#define SMALL 1024

static const char *const boundaries[] = {
    "b", "--", "AaB03x", "a b'()+_,-./:=?",
    "0123456789012345678901234567890123456789012345678901234567890123456789"};

/* What came out, as text: events and their strings, each ended by a byte of its own. */
typedef struct record {
    char *text;
    size_t len, room;
    size_t data; /* bytes of content in all */
    int parts, open;
    const up_multipart_limits *limits;
    const char *error;
} record;

static void add(record *r, const char *bytes, size_t len)
{
    if (r->len + len > r->room) {
        r->room = 2 * (r->len + len) + 256;
        r->text = realloc(r->text, r->room);
        if (!r->text)
            abort();
    }
    memcpy(r->text + r->len, bytes, len);
    r->len += len;
}

static void add_string(record *r, const char *text)
{
    add(r, text ? text : "-", text ? strlen(text) + 1 : 1);
    for (; text && *text; text++)
        must(*text == '\t' || ((unsigned char)*text >= ' ' && *text != 0x7f));
}

static const char *on_begin(void *baton, const up_part *part)
{
    record *r = baton;

    must(!r->open);
    must(part->name && *part->name);
    r->open = 1;
    r->parts++;
    must(r->parts <= r->limits->parts);
    add(r, "\1", 1);
    add_string(r, part->name);
    add_string(r, part->filename);
    add_string(r, part->content_type);
    return NULL;
}

static const char *on_data(void *baton, const char *data, apr_size_t len)
{
    record *r = baton;

    must(r->open && len > 0);
    add(r, data, len);
    r->data += len;
    return NULL;
}

static const char *on_end(void *baton)
{
    record *r = baton;

    must(r->open);
    r->open = 0;
    add(r, "\2", 1);
    return NULL;
}

/* The lengths of the pieces, in turn; a piece is its own memory, gone after it was fed. */
static void parse(record *r, const char *boundary, const uint8_t *body, size_t size,
                  const size_t steps[3])
{
    static const up_multipart_events events = {on_begin, on_data, on_end};
    up_multipart *mp = up_multipart_create(fuzz_pool(), boundary, r->limits, &events, r);
    const char *error = NULL;
    size_t at = 0;
    int i;

    must(mp);
    for (i = 0; at < size; i++) {
        size_t len = steps[i % 3] && steps[i % 3] < size - at ? steps[i % 3] : size - at;
        char *piece = fuzz_copy(body + at, len);

        error = up_multipart_feed(mp, piece, len);
        memset(piece, '#', len);
        free(piece);
        at += len;
    }
    r->error = up_multipart_finish(mp);
    must(!error || (r->error && strcmp(r->error, error) == 0));
    must(r->error || !r->open);
    must(up_multipart_finish(mp) == r->error);
    must(up_multipart_feed(mp, "x", 1));
    must(r->data <= size);
    /* It is in the pool of this run. */
    add_string(r, r->error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const up_multipart_limits limits[] = {{16, 8192}, {2, 80}};
    const size_t whole[3] = {0, 0, 0}, bytes[3] = {1, 1, 1};
    record first = {0}, second = {0};
    const char *boundary;
    size_t cuts[3];
    int i;

    if (size < 4)
        return 0;
    boundary = boundaries[(data[0] & 0x7f) % (sizeof(boundaries) / sizeof(boundaries[0]))];
    first.limits = second.limits = &limits[data[0] >> 7];
    for (i = 0; i < 3; i++)
        cuts[i] = data[1 + i];
    parse(&first, boundary, data + 4, size - 4, whole);
    parse(&second, boundary, data + 4, size - 4, cuts);
    must(first.len == second.len && memcmp(first.text, second.text, first.len) == 0);
    if (size <= SMALL) {
        second.len = second.data = 0;
        second.parts = second.open = 0;
        parse(&second, boundary, data + 4, size - 4, bytes);
        must(first.len == second.len && memcmp(first.text, second.text, first.len) == 0);
    }
    free(first.text);
    free(second.text);
    return fuzz_done();
}
