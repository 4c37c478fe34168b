/* SPDX-License-Identifier: Apache-2.0 */
#include "core/multipart.h"

#include "core/media_type.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <string.h>

/* What may follow "--boundary" in a delimiter: "--", padding, CR. */
#define PADDING_MAX 64
#define TAIL_MAX (2 + PADDING_MAX + 1)
#define DELIMITER_MAX (4 + UP_MULTIPART_BOUNDARY_MAX)

typedef enum state { PREAMBLE, HEADERS, CONTENT, EPILOGUE, FINISHED } state;

/* What one more byte makes of what may be a delimiter. */
typedef enum verdict { UNDECIDED, NO_DELIMITER, DELIMITER, CLOSE_DELIMITER, TOO_PADDED } verdict;

struct up_multipart {
    apr_pool_t *pool;
    up_multipart_limits limits;
    up_multipart_events events;
    void *baton;
    state state;
    const char *error; /* sticky */

    /* CR LF "--boundary", then the tail of the delimiter at hand as it was sent. */
    char delimiter[DELIMITER_MAX + TAIL_MAX];
    apr_size_t delimiter_len; /* without a tail */
    apr_size_t held;          /* bytes of it that were seen; 0: no delimiter is at hand */
    apr_size_t lent;          /* the first ones of them that are nobody's data, see may_begin() */
    int preamble;             /* was something skipped before the first delimiter? */

    int parts;
    char *line; /* the header line at hand */
    apr_size_t line_len;
    apr_size_t header_len; /* the part's lines before it */
    apr_pool_t *part_pool;
    up_part part;
};

/* RFC 2046 5.1.1: bcharsnospace and, but at the end, space. */
static int is_boundary(const char *boundary)
{
    size_t len = strlen(boundary);

    return len >= 1 && len <= UP_MULTIPART_BOUNDARY_MAX && boundary[len - 1] != ' ' &&
           strspn(boundary, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                            "'()+_,-./:=? ") == len;
}

/* The line end just read may be a delimiter's own, though it is not data where it is not. */
static void may_begin(up_multipart *mp)
{
    mp->held = mp->lent = 2;
}

up_multipart *up_multipart_create(apr_pool_t *p, const char *boundary,
                                  const up_multipart_limits *limits,
                                  const up_multipart_events *events, void *baton)
{
    up_multipart *mp;

    if (!is_boundary(boundary))
        return NULL;
    mp = apr_pcalloc(p, sizeof(*mp));
    mp->pool = p;
    mp->limits = *limits;
    mp->events = *events;
    mp->baton = baton;
    mp->delimiter_len = 4 + strlen(boundary);
    memcpy(mp->delimiter, "\r\n--", 4);
    memcpy(mp->delimiter + 4, boundary, mp->delimiter_len - 4);
    mp->line = apr_palloc(p, limits->header_size + 2);
    apr_pool_create(&mp->part_pool, p);
    apr_pool_tag(mp->part_pool, "up_multipart_part");
    may_begin(mp);
    return mp;
}

/* ---- the headers of a part ---- */

static int has_control(const char *s, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7F)
            return 1;
    }
    return 0;
}

static const char *read_disposition(up_multipart *mp, const char *value)
{
    up_media_type *disposition;

    if (mp->part.name)
        return "A part has Content-Disposition twice.";
    disposition = up_media_type_parse(mp->part_pool, value);
    if (!disposition)
        return "The Content-Disposition of a part is malformed: "
               "form-data; name=\"...\"; filename=\"...\" is right.";
    if (strcmp(disposition->value, "form-data") != 0)
        return "The Content-Disposition of a part is not form-data.";
    if (apr_table_get(disposition->params, "name*"))
        return "The Content-Disposition of a part has name*: only name is right.";
    mp->part.name = apr_table_get(disposition->params, "name");
    if (!mp->part.name)
        return "The Content-Disposition of a part has no name.";
    if (!*mp->part.name)
        return "The name of a part is empty.";
    mp->part.filename = apr_table_get(disposition->params, "filename");
    return NULL;
}

static const char *read_encoding(const char *value)
{
    if (apr_cstr_casecmp(value, "7bit") == 0 || apr_cstr_casecmp(value, "8bit") == 0 ||
        apr_cstr_casecmp(value, "binary") == 0)
        return NULL;
    return "The Content-Transfer-Encoding of a part is not 7bit, 8bit or binary.";
}

/* The value, without the spaces around it; it is cut where they begin. */
static char *trim(char *value)
{
    char *end;

    value += strspn(value, " \t");
    end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    return value;
}

static const char *read_header(up_multipart *mp, char *line, apr_size_t len)
{
    char *colon, *value;

    if (has_control(line, len))
        return "A header of a part has a control character.";
    if (*line == ' ' || *line == '\t')
        return "A header line of a part begins with a space: folded lines are not read.";
    colon = strchr(line, ':');
    if (!colon)
        return "A header line of a part has no colon.";
    if (colon == line || up_http_token_end(line) != colon)
        return "A header of a part has an empty or invalid name.";
    *colon = '\0';
    value = trim(colon + 1);
    if (apr_cstr_casecmp(line, "Content-Disposition") == 0)
        return read_disposition(mp, value);
    if (apr_cstr_casecmp(line, "Content-Transfer-Encoding") == 0)
        return read_encoding(value);
    if (apr_cstr_casecmp(line, "Content-Type") == 0) {
        if (mp->part.content_type)
            return "A part has Content-Type twice.";
        mp->part.content_type = apr_pstrdup(mp->part_pool, value);
    }
    return NULL;
}

static const char *headers_too_long(up_multipart *mp)
{
    return apr_psprintf(mp->pool, "The headers of a part exceed %" APR_SIZE_T_FMT " bytes.",
                        mp->limits.header_size);
}

static const char *begin_content(up_multipart *mp)
{
    if (!mp->part.name)
        return "A part has no Content-Disposition.";
    mp->state = CONTENT;
    may_begin(mp);
    return mp->events.part_begin(mp->baton, &mp->part);
}

static const char *end_line(up_multipart *mp)
{
    apr_size_t len = mp->line_len;

    mp->line_len = 0;
    if (len < 2 || mp->line[len - 2] != '\r')
        return "A header line of a part does not end in CR LF.";
    if (len == 2)
        return begin_content(mp);
    mp->header_len += len;
    if (mp->header_len > mp->limits.header_size)
        return headers_too_long(mp);
    mp->line[len - 2] = '\0';
    return read_header(mp, mp->line, len - 2);
}

/* Takes what is left of a line. Returns where the rest begins. */
static const char *feed_headers(up_multipart *mp, const char *data, const char *end)
{
    const char *lf = memchr(data, '\n', (apr_size_t)(end - data));
    apr_size_t len = (apr_size_t)((lf ? lf + 1 : end) - data);

    /* The two bytes are the empty line's: whether it is one shows at its end only. */
    if (len > mp->limits.header_size + 2 - mp->header_len - mp->line_len) {
        mp->error = headers_too_long(mp);
        return end;
    }
    memcpy(mp->line + mp->line_len, data, len);
    mp->line_len += len;
    if (lf)
        mp->error = end_line(mp);
    return data + len;
}

/* ---- delimiters ---- */

static void emit(up_multipart *mp, const char *data, apr_size_t len)
{
    if (len == 0)
        return;
    if (mp->state == CONTENT)
        mp->error = mp->events.part_data(mp->baton, data, len);
    else
        mp->preamble = 1;
}

static const char *end_part(up_multipart *mp)
{
    const char *error = NULL;

    if (mp->state == CONTENT)
        error = mp->events.part_end(mp->baton);
    memset(&mp->part, 0, sizeof(mp->part));
    apr_pool_clear(mp->part_pool);
    mp->held = mp->lent = 0;
    return error;
}

static const char *next_part(up_multipart *mp)
{
    const char *error = end_part(mp);

    if (error)
        return error;
    if (mp->parts == mp->limits.parts)
        return apr_psprintf(mp->pool, "The body has more than %d parts.", mp->limits.parts);
    mp->parts++;
    mp->header_len = 0;
    mp->state = HEADERS;
    return NULL;
}

static const char *close_body(up_multipart *mp)
{
    const char *error = end_part(mp);

    mp->state = EPILOGUE;
    if (!error && mp->parts == 0 && mp->preamble)
        return "The body has a closing boundary and no part before it.";
    return error;
}

/* Takes c where a delimiter can go on with it. */
static verdict take(up_multipart *mp, char c)
{
    const char *tail = mp->delimiter + mp->delimiter_len;
    apr_size_t n, padding;
    int half_close;

    if (mp->held < mp->delimiter_len) {
        if (c != mp->delimiter[mp->held])
            return NO_DELIMITER;
        mp->held++;
        return UNDECIDED;
    }
    n = mp->held - mp->delimiter_len;
    if (n > 0 && tail[n - 1] == '\r') {
        if (c != '\n')
            return NO_DELIMITER;
        return *tail == '-' ? CLOSE_DELIMITER : DELIMITER;
    }
    half_close = n == 1 && *tail == '-';
    if (c == '-' ? n > 0 && !half_close : half_close || (c != ' ' && c != '\t' && c != '\r'))
        return NO_DELIMITER;
    padding = n > 1 && *tail == '-' ? n - 2 : n;
    if (padding == PADDING_MAX && c != '\r')
        return TOO_PADDED;
    mp->delimiter[mp->held++] = c;
    return UNDECIDED;
}

/* What was held is data. As a CR is the delimiter's first byte and no other of it but the
 * last one of its tail, no second delimiter can have begun within. */
static void give_back(up_multipart *mp)
{
    apr_size_t held = mp->held, lent = mp->lent;

    mp->held = mp->lent = 0;
    emit(mp, mp->delimiter + lent, held - lent);
}

/* Goes on with the delimiter at hand, byte by byte. Returns where the rest begins. */
static const char *feed_delimiter(up_multipart *mp, const char *data, const char *end)
{
    while (data < end) {
        switch (take(mp, *data)) {
        case UNDECIDED:
            data++;
            break;
        case NO_DELIMITER:
            give_back(mp);
            return data;
        case DELIMITER:
            mp->error = next_part(mp);
            return data + 1;
        case CLOSE_DELIMITER:
            mp->error = close_body(mp);
            return data + 1;
        case TOO_PADDED:
            mp->error = "A boundary is followed by too many spaces.";
            return end;
        }
    }
    return end;
}

/* ---- the search ---- */

/* GCC's and Clang's vectors: SSE2, NEON or plain words, as the processor has it. */
#define LANES 16
#define BLOCK ((apr_size_t)128)
typedef unsigned char lanes __attribute__((vector_size(LANES)));
typedef apr_uint64_t words __attribute__((vector_size(LANES)));

/* Is at any of the BLOCK places from data a CR, and the delimiter's last byte where it had to
 * be? Two bytes that far apart meet rarely, in CR LF after CR LF and in rows of dashes too. */
static int block_may_hold(const up_multipart *mp, const char *data)
{
    apr_size_t reach = mp->delimiter_len - 1, i;
    lanes none = {0}, hits = {0}, first, last;
    lanes cr = none + (unsigned char)'\r';
    lanes end = none + (unsigned char)mp->delimiter[reach];
    words found;

    for (i = 0; i < BLOCK; i += LANES) {
        memcpy(&first, data + i, LANES);
        memcpy(&last, data + i + reach, LANES);
        hits |= (lanes)(first == cr) & (lanes)(last == end);
    }
    found = (words)hits;
    return (found[0] | found[1]) != 0;
}

/* Looks at every CR from data to stop. Linear, as what a comparison passes has no other CR. */
static const char *scan(const up_multipart *mp, const char *data, const char *stop, const char *end)
{
    while ((data = memchr(data, '\r', (apr_size_t)(stop - data))) != NULL) {
        apr_size_t rest = (apr_size_t)(end - data);

        if (memcmp(data, mp->delimiter, rest < mp->delimiter_len ? rest : mp->delimiter_len) == 0)
            return data;
        data++;
    }
    return NULL;
}

/* Where a delimiter begins, be it cut off by the end of the piece; the end where there is none. */
static const char *find_delimiter(const up_multipart *mp, const char *data, const char *end)
{
    const char *found;

    while ((apr_size_t)(end - data) >= BLOCK + mp->delimiter_len) {
        if (block_may_hold(mp, data)) {
            found = scan(mp, data, data + BLOCK, end);
            if (found)
                return found;
        }
        data += BLOCK;
    }
    found = scan(mp, data, end, end);
    return found ? found : end;
}

/* Data up to the next delimiter. Returns where the rest begins. */
static const char *feed_content(up_multipart *mp, const char *data, const char *end)
{
    const char *found = find_delimiter(mp, data, end);
    apr_size_t rest = (apr_size_t)(end - found);

    mp->held = rest < mp->delimiter_len ? rest : mp->delimiter_len;
    emit(mp, data, (apr_size_t)(found - data));
    return found + mp->held;
}

/* ---- feeding ---- */

const char *up_multipart_feed(up_multipart *mp, const char *data, apr_size_t len)
{
    const char *end = data + len;

    if (mp->state == FINISHED && !mp->error)
        mp->error = "The body goes on after its end.";
    while (!mp->error && data < end) {
        if (mp->state == HEADERS)
            data = feed_headers(mp, data, end);
        else if (mp->state == EPILOGUE)
            data = end;
        else if (mp->held > 0)
            data = feed_delimiter(mp, data, end);
        else
            data = feed_content(mp, data, end);
    }
    return mp->error;
}

const char *up_multipart_feed_brigade(up_multipart *mp, apr_bucket_brigade *bb,
                                      apr_status_t *status)
{
    apr_bucket *e = APR_BRIGADE_FIRST(bb), *next;
    const char *data;
    apr_size_t len;

    *status = APR_SUCCESS;
    while (!mp->error && e != APR_BRIGADE_SENTINEL(bb) && !APR_BUCKET_IS_EOS(e)) {
        if (APR_BUCKET_IS_METADATA(e)) {
            e = APR_BUCKET_NEXT(e);
            continue;
        }
        *status = apr_bucket_read(e, &data, &len, APR_BLOCK_READ);
        if (*status != APR_SUCCESS)
            return NULL;
        up_multipart_feed(mp, data, len);
        /* Only now: a read may have put what it left unread behind this bucket. */
        next = APR_BUCKET_NEXT(e);
        apr_bucket_delete(e);
        e = next;
    }
    return mp->error;
}

static const char *cut_off(const up_multipart *mp)
{
    if (mp->state == PREAMBLE)
        return "No line of the body is the boundary that its Content-Type names.";
    if (mp->state == HEADERS)
        return "The body ends within the headers of a part.";
    return "The body ends without its closing boundary.";
}

const char *up_multipart_finish(up_multipart *mp)
{
    if (mp->error || mp->state == FINISHED)
        return mp->error;
    if (mp->held >= mp->delimiter_len + 2 && mp->delimiter[mp->delimiter_len] == '-')
        mp->error = close_body(mp);
    else if (mp->state != EPILOGUE)
        mp->error = cut_off(mp);
    mp->state = FINISHED;
    return mp->error;
}
