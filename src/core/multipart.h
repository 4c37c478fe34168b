/* SPDX-License-Identifier: Apache-2.0 */

/**
 * An incremental parser of multipart/form-data (RFC 7578, RFC 2046 5.1).
 *
 * It has no socket and keeps no content: it is fed the body in pieces of any
 * size and calls back with the parts and their data, which points into the
 * pieces themselves where it can. Its only buffers are one for a line of a
 * part's headers (limited) and one for a delimiter that is split between two
 * pieces (shorter than 160 bytes), both made once, in the pool of
 * up_multipart_create(), and a subpool for the part's strings, cleared after
 * each part. Time is linear in the body, however it is cut. An error is sticky.
 *
 * It reads strictly:
 * - A line ends in CR LF. A bare LF or CR is an error in a part's headers, and
 *   data elsewhere: no delimiter begins or ends with it.
 * - A delimiter is "--boundary" at the start of a line (the body's and a part's
 *   first count), then at most 64 spaces and tabs (more is an error), then CR LF.
 *   The close delimiter has "--" after the boundary, and may be ended by the end
 *   of the body too, or by a CR there. A longer line that begins so is data.
 * - What precedes the first delimiter and what follows the close delimiter is
 *   skipped. A body without parts is an empty form if nothing was skipped before
 *   its close delimiter, else an error: its boundary will have been another.
 * - A part's headers are `name: value` lines with an RFC 9110 token for a name,
 *   and no control character but HTAB; folded lines are an error. Unknown ones
 *   are ignored (RFC 7578 4.8).
 * - Content-Disposition must be there, once, as form-data with a name, which must
 *   not be empty; see up_media_type_parse() for its syntax. `name*` is an error and
 *   `filename*` is ignored (RFC 7578 4.2). Content-Type may come once.
 * - Content-Transfer-Encoding, deprecated by RFC 7578 4.7, must be 7bit, 8bit or
 *   binary, so that data is always as sent.
 */
#ifndef UP_MULTIPART_H
#define UP_MULTIPART_H

#include <apr_buckets.h>
#include <apr_pools.h>

/** RFC 2046 5.1.1: the longest boundary, in bytes. */
#define UP_MULTIPART_BOUNDARY_MAX 70

typedef struct up_multipart up_multipart;

/**
 * A part as its headers describe it. The strings live until part_end returns.
 * They hold no control character but HTAB and may hold bytes above 0x7F, which are
 * not checked to be UTF-8. What browsers write for a quote and line ends in a name
 * (%22, %0D, %0A) is left as it is.
 */
typedef struct up_part {
    const char *name;         /* of Content-Disposition; never NULL, never empty */
    const char *filename;     /* likewise, or NULL where there is none; may be empty */
    const char *content_type; /* as sent, or NULL */
} up_part;

/** What the parser calls. Each returns NULL, or why it stops: that string is then
 *  what the feeding function returns, and the parser stays in error. None may
 *  feed the parser. A part that is cut off by an error has no part_end. */
typedef struct up_multipart_events {
    const char *(*part_begin)(void *baton, const up_part *part);
    /** @param data len bytes, at least 1, which live until it returns. */
    const char *(*part_data)(void *baton, const char *data, apr_size_t len);
    const char *(*part_end)(void *baton);
} up_multipart_events;

/** Limits; what exceeds one is an error. */
typedef struct up_multipart_limits {
    int parts;              /* parts in a body, e.g. 16 */
    apr_size_t header_size; /* bytes of header lines of one part, line ends included and the
                               empty line not, e.g. 8192 */
} up_multipart_limits;

/**
 * Makes a parser.
 * @param boundary the boundary parameter, 1 to 70 bytes, as from
 *        up_media_type_parse(); copied.
 * @param limits copied, as events.
 * @return the parser, living in p, or NULL where the boundary is none by
 *         RFC 2046 (length, characters, a space at its end).
 */
up_multipart *up_multipart_create(apr_pool_t *p, const char *boundary,
                                  const up_multipart_limits *limits,
                                  const up_multipart_events *events, void *baton);

/**
 * Feeds the next piece.
 * @param data its bytes; used during the call only.
 * @return NULL, or a sentence on what is wrong (static, of the pool of
 *         up_multipart_create(), or a callback's).
 */
const char *up_multipart_feed(up_multipart *mp, const char *data, apr_size_t len);

/**
 * Feeds all data buckets of a brigade, reading each (blocking) and deleting it
 * once it is parsed, so that the brigade's memory is free again. Stops before
 * an EOS bucket; other metadata buckets are skipped, and stay.
 * @param status set to the failure of a bucket's read, else APR_SUCCESS.
 * @return as up_multipart_feed(); NULL too where *status is a failure.
 */
const char *up_multipart_feed_brigade(up_multipart *mp, apr_bucket_brigade *bb,
                                      apr_status_t *status);

/**
 * Says that the body is over; nothing can be fed after it. It may call part_end.
 * @return NULL, or why it is not a whole one (no close delimiter was seen, or an
 *         error before).
 */
const char *up_multipart_finish(up_multipart *mp);

#endif
