/* SPDX-License-Identifier: Apache-2.0 */

/**
 * A header value of the form  token[/token] *( ; name=value ) : a media type
 * (RFC 9110 8.3.1) or a Content-Disposition (RFC 6266, RFC 7578 4.2).
 */
#ifndef UP_MEDIA_TYPE_H
#define UP_MEDIA_TYPE_H

#include <apr_pools.h>
#include <apr_tables.h>

/** More parameters than this are malformed: nobody needs them, and each is compared
 *  with all others. */
#define UP_MEDIA_TYPE_PARAMS_MAX 16

typedef struct up_media_type {
    const char *value;   /* in lower case, without parameters: "application/json" */
    apr_table_t *params; /* names without case; quoted strings are unquoted */
} up_media_type;

/**
 * Parses strictly: tokens are RFC 9110 tokens, a parameter comes once, a
 * quoted string is closed, no control characters but HTAB, nothing follows.
 *
 * As RFC 9110 5.6.6 has it, there may be spaces and tabs around the value and
 * around a ";" but not around "=", and nothing between two ";" or after the last.
 * A backslash in a quoted string stands for the character after it (5.6.4), so
 * "C:\dir\x.png" is accepted and reads "C:dirx.png". Bytes above 0x7F are
 * accepted in quoted strings, and not checked to be UTF-8.
 *
 * @param header the value; NULL gives NULL. The work is linear in its length.
 * @return in p, or NULL where it is malformed.
 */
up_media_type *up_media_type_parse(apr_pool_t *p, const char *header);

/**
 * The end of the token (RFC 9110 5.6.2) that s begins with: s itself where it
 * begins with none.
 */
const char *up_http_token_end(const char *s);

#endif
