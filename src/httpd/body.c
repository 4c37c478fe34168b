/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/body.h"

#include "core/media_type.h"
#include "core/multipart.h"
#include "httpd/config.h"
#include "httpd/network.h"
#include "httpd/request_state.h"
#include "httpd/spool.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <string.h>
#include <strings.h>

#define PIECE UP_NETWORK_MOST
#define AVATAR_PART "avatar"

static const up_multipart_limits limits = {.parts = 16, .header_size = 8192};

/* One body under way; which members are used depends on its kind. */
typedef struct pump {
    request_rec *r;
    up_body *body;
    up_problem *(*take)(struct pump *pump, apr_bucket_brigade *bb);

    char *text; /* UP_BODY_MAX bytes: JSON, or the values of text parts one after the other */
    apr_size_t text_len;

    up_spool spool;

    up_multipart *multipart;
    apr_off_t fed;         /* bytes of the multipart body so far */
    const char *part;      /* the name of the part under way */
    apr_size_t part_start; /* in text, where its value begins */
    int in_picture;
    int seen_picture;
    int picture_has_name;
} pump;

static int read_pieces(pump *pump)
{
    request_rec *r = pump->r;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    int at_end = 0;

    while (!at_end && !pump->body->problem) {
        apr_status_t status =
            ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, PIECE);

        if (status != APR_SUCCESS)
            return ap_map_http_request_error(status, HTTP_BAD_REQUEST);
        at_end = !APR_BRIGADE_EMPTY(bb) && APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
        up_request_state_of(r)->body_read = at_end;
        pump->body->problem = pump->take(pump, bb);
        apr_brigade_cleanup(bb);
    }
    return OK;
}

/* For what may be a picture. JSON is small, and most of it has come in with the header. */
static int read_large_pieces(pump *pump)
{
    conn_rec *c = pump->r->connection;
    int status;

    up_network_ask(c, PIECE);
    status = read_pieces(pump);
    up_network_ask(c, 0);
    return status;
}

static up_problem *each_bucket(pump *pump, apr_bucket_brigade *bb,
                               up_problem *(*take)(struct pump *pump, const char *data,
                                                   apr_size_t len))
{
    apr_bucket *b;
    up_problem *problem = NULL;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb) && !problem;
         b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;

        if (APR_BUCKET_IS_METADATA(b))
            continue;
        if (apr_bucket_read(b, &data, &len, APR_BLOCK_READ) != APR_SUCCESS)
            return up_problem_make(pump->r->pool, UP_BAD_REQUEST, NULL);
        problem = take(pump, data, len);
    }
    return problem;
}

static int keep_text(pump *pump, const char *data, apr_size_t len)
{
    if (len > UP_BODY_MAX - pump->text_len)
        return 0;
    if (!pump->text)
        pump->text = apr_palloc(pump->r->pool, UP_BODY_MAX);
    memcpy(pump->text + pump->text_len, data, len);
    pump->text_len += len;
    return 1;
}

static up_problem *take_json_bytes(pump *pump, const char *data, apr_size_t len)
{
    return keep_text(pump, data, len) ? NULL
                                      : up_problem_make(pump->r->pool, UP_BODY_TOO_LARGE, NULL);
}

static up_problem *take_json(pump *pump, apr_bucket_brigade *bb)
{
    return each_bucket(pump, bb, take_json_bytes);
}

static up_problem *take_picture_bytes(pump *pump, const char *data, apr_size_t len)
{
    return up_spool_write(&pump->spool, data, len);
}

static up_problem *take_picture(pump *pump, apr_bucket_brigade *bb)
{
    return each_bucket(pump, bb, take_picture_bytes);
}

/* The parser hands back our own string to say that body->problem is set. */
static const char *stop(pump *pump, up_problem *problem)
{
    pump->body->problem = problem;
    return problem ? "" : NULL;
}

static const char *part_begin(void *baton, const up_part *part)
{
    pump *pump = baton;

    pump->part = apr_pstrdup(pump->r->pool, part->name);
    pump->part_start = pump->text_len;
    pump->in_picture = pump->body->wants_picture && strcmp(part->name, AVATAR_PART) == 0;
    if (!pump->in_picture)
        return NULL;
    if (pump->seen_picture)
        return stop(pump, up_problem_make(pump->r->pool, UP_MALFORMED_MULTIPART,
                                          "The field 'avatar' comes twice."));
    pump->seen_picture = 1;
    pump->picture_has_name = part->filename && *part->filename;
    return NULL;
}

static int is_field(const pump *pump)
{
    return up_model_find(pump->body->patch->model, pump->part, strlen(pump->part)) >= 0;
}

/* Is it a field, or an unknown name that is to be refused? */
static int is_wanted(const pump *pump)
{
    const up_patch *patch = pump->body->patch;

    return patch && (patch->model->refuse_unknown || is_field(pump));
}

static const char *part_data(void *baton, const char *data, apr_size_t len)
{
    pump *pump = baton;

    if (pump->in_picture)
        return stop(pump, up_spool_write(&pump->spool, data, len));
    if (is_wanted(pump) && is_field(pump) && !keep_text(pump, data, len))
        return "Everything but the avatar may have at most 64 KiB.";
    return NULL;
}

static const char *part_end(void *baton)
{
    pump *pump = baton;

    if (pump->in_picture || !is_wanted(pump))
        return NULL;
    return stop(pump, up_patch_text(pump->body->patch, pump->part,
                                    pump->text ? pump->text + pump->part_start : "",
                                    pump->text_len - pump->part_start));
}

static up_problem *malformed(pump *pump, const char *why)
{
    if (pump->body->problem)
        return pump->body->problem;
    return why ? up_problem_make(pump->r->pool, UP_MALFORMED_MULTIPART, why) : NULL;
}

static up_problem *take_multipart(pump *pump, apr_bucket_brigade *bb)
{
    apr_status_t status;
    apr_off_t len = 0;
    const char *why;

    apr_brigade_length(bb, 1, &len);
    pump->fed += len;
    why = up_multipart_feed_brigade(pump->multipart, bb, &status);
    if (!why && status != APR_SUCCESS)
        return up_problem_make(pump->r->pool, UP_BAD_REQUEST, NULL);
    if (!why && pump->fed - pump->spool.size > UP_BODY_MAX)
        why = "Everything but the avatar may have at most 64 KiB.";
    return malformed(pump, why);
}

/* All invalid fields are told at once, the picture among them. */
static up_problem *finish_picture(pump *pump)
{
    up_problem *problem = NULL, *invalid = pump->body->patch ? pump->body->patch->problem : NULL;

    if (pump->spool.size > 0 || pump->picture_has_name)
        problem = up_spool_picture(&pump->spool, &pump->body->picture);
    if (!problem)
        return invalid;
    /* What is too large comes before what is invalid. */
    if (!invalid || problem->code != UP_INVALID_FILE_TYPE)
        return problem;
    up_problem_detail(&invalid, pump->r->pool, AVATAR_PART, UP_INVALID_FILE_TYPE, problem->message);
    return invalid;
}

static int read_multipart(pump *pump, const up_media_type *type)
{
    static const up_multipart_events events = {part_begin, part_data, part_end};
    const char *boundary = apr_table_get(type->params, "boundary");
    int status;

    pump->take = take_multipart;
    pump->multipart =
        boundary ? up_multipart_create(pump->r->pool, boundary, &limits, &events, pump) : NULL;
    if (!pump->multipart) {
        pump->body->problem =
            up_problem_make(pump->r->pool, UP_MALFORMED_MULTIPART,
                            "Content-Type must have a boundary of 1 to 70 characters.");
        return OK;
    }
    status = read_large_pieces(pump);
    if (status == OK && !pump->body->problem)
        pump->body->problem = malformed(pump, up_multipart_finish(pump->multipart));
    if (status == OK && !pump->body->problem)
        pump->body->problem = finish_picture(pump);
    return status;
}

static int read_json(pump *pump)
{
    up_body *body = pump->body;
    int status;

    pump->take = take_json;
    status = read_pieces(pump);
    if (status != OK || body->problem)
        return status;
    body->problem = up_patch_json(body->patch, pump->text ? pump->text : "", pump->text_len);
    if (!body->problem)
        body->problem = body->patch->problem;
    return OK;
}

static int read_picture(pump *pump)
{
    int status;

    pump->take = take_picture;
    status = read_large_pieces(pump);
    if (status == OK && !pump->body->problem)
        pump->body->problem = up_spool_picture(&pump->spool, &pump->body->picture);
    return status;
}

/* Known before a byte is read, and so told before a byte is read. */
static up_problem *too_large(const request_rec *r, apr_off_t max, up_code code)
{
    const char *header = apr_table_get(r->headers_in, "Content-Length");

    return header && apr_atoi64(header) > max ? up_problem_make(r->pool, code, NULL) : NULL;
}

static int is_image(const char *type)
{
    return strncmp(type, "image/", 6) == 0 || strcmp(type, "application/octet-stream") == 0;
}

static int is_json(const char *type)
{
    return strcmp(type, "application/json") == 0 ||
           strcmp(type, "application/merge-patch+json") == 0;
}

/* No content coding is taken: what is sent is what is meant. */
static int is_encoded(const request_rec *r)
{
    const char *coding = apr_table_get(r->headers_in, "Content-Encoding");

    return coding && *coding && strcasecmp(coding, "identity") != 0;
}

static up_problem *unsupported(request_rec *r, int raw)
{
    return up_problem_make(r->pool, UP_UNSUPPORTED_MEDIA_TYPE,
                           raw ? "Send multipart/form-data with a part named avatar, or the image "
                                 "itself as image/jpeg, image/png, image/webp or "
                                 "application/octet-stream; without Content-Encoding."
                               : "Send application/json, application/merge-patch+json or "
                                 "multipart/form-data; without Content-Encoding.");
}

int up_body_read(request_rec *r, up_body *body, int raw)
{
    const up_dimensions *most = &up_config_of(r->server)->avatar_most;
    pump pump = {.r = r,
                 .body = body,
                 .spool = {.pool = r->pool,
                           .max = UP_PICTURE_MAX,
                           .max_width = most->width,
                           .max_height = most->height}};
    up_media_type *type =
        up_media_type_parse(r->pool, apr_table_get(r->headers_in, "Content-Type"));
    int (*read_it)(struct pump * pump) = NULL;

    if (type && !is_encoded(r)) {
        if (strcmp(type->value, "multipart/form-data") == 0) {
            /* Without pictures it is a form that is too long, and malformed as such. */
            if (body->wants_picture)
                body->problem = too_large(r, UP_PICTURE_MAX + UP_BODY_MAX, UP_FILE_TOO_LARGE);
            return body->problem ? OK : read_multipart(&pump, type);
        }
        if (raw && is_image(type->value))
            read_it = read_picture;
        else if (!raw && is_json(type->value))
            read_it = read_json;
    }
    if (!read_it) {
        body->problem = unsupported(r, raw);
        return OK;
    }
    body->problem = raw ? too_large(r, UP_PICTURE_MAX, UP_FILE_TOO_LARGE)
                        : too_large(r, UP_BODY_MAX, UP_BODY_TOO_LARGE);
    return body->problem ? OK : read_it(&pump);
}
