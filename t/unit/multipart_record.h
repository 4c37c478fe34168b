/* SPDX-License-Identifier: Apache-2.0 */

/** For the tests of the multipart parser: what it calls, written down as text. */
#ifndef UP_MULTIPART_RECORD_H
#define UP_MULTIPART_RECORD_H

#include "core/multipart.h"

#include <stdlib.h>
#include <string.h>

/* A body of boundary "b" with one part "a" is PART, its content, END. */
#define BODY(literal) (literal), sizeof(literal) - 1
#define DISPOSITION "Content-Disposition: form-data; name=\"a\"\r\n"
#define PART "--b\r\n" DISPOSITION "\r\n"
#define END "\r\n--b--\r\n"

/* What the parser called, as text: "[name|filename|content type=data]" for each part, a NUL
 * in the data as <NUL>, a part without an end without "]". */
typedef struct record {
    char text[4096];
    apr_size_t len;
    apr_size_t data;              /* bytes of part_data in all */
    const char *piece, *end;      /* part_data must point in here, if not NULL */
    apr_size_t outside;           /* bytes of part_data that did not */
    const char *stop_at, *answer; /* the event to refuse, and with what */
    const char *name;             /* of the part at hand, by the parser's pointer */
    apr_size_t name_at;           /* and where text has it */
} record;

static const up_multipart_limits limits = {16, 8192};

static void add(record *r, const char *s, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len && r->len < sizeof(r->text) - 8; i++) {
        if (s[i])
            r->text[r->len++] = s[i];
        else
            r->len = (apr_size_t)(stpcpy(r->text + r->len, "<NUL>") - r->text);
    }
    r->text[r->len] = '\0';
}

static void add_string(record *r, const char *s)
{
    add(r, s, strlen(s));
}

static const char *verdict_on(const record *r, const char *event)
{
    return r->stop_at && strcmp(r->stop_at, event) == 0 ? r->answer : NULL;
}

static const char *on_begin(void *baton, const up_part *part)
{
    record *r = baton;

    add_string(r, "[");
    r->name = part->name;
    r->name_at = r->len;
    add_string(r, part->name);
    add_string(r, "|");
    add_string(r, part->filename ? part->filename : "-");
    add_string(r, "|");
    add_string(r, part->content_type ? part->content_type : "-");
    add_string(r, "=");
    return verdict_on(r, "begin");
}

static const char *on_data(void *baton, const char *data, apr_size_t len)
{
    record *r = baton;

    if (len == 0)
        add_string(r, "<EMPTY>");
    if (r->piece && (data < r->piece || data + len > r->end))
        r->outside += len;
    r->data += len;
    add(r, data, len);
    return verdict_on(r, "data");
}

static const char *on_end(void *baton)
{
    record *r = baton;

    /* A part's strings live until now. */
    if (strncmp(r->text + r->name_at, r->name, strlen(r->name)) != 0)
        add_string(r, "<GONE>");
    add_string(r, "]");
    return verdict_on(r, "end");
}

static const up_multipart_events events = {on_begin, on_data, on_end};

#endif
