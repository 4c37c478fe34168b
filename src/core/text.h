/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Text as people write it, made one: trimmed of White_Space (Unicode property,
 * UAX #44), normalised to NFC (UAX #15), measured in code points, free of
 * control characters (general category Cc). By utf8proc.
 */
#ifndef UP_TEXT_H
#define UP_TEXT_H

#include <apr_pools.h>

typedef enum up_text_status {
    UP_TEXT_OK,
    UP_TEXT_NOT_UTF8, /* ill-formed UTF-8: overlong, surrogate, above U+10FFFF, cut short */
    UP_TEXT_CONTROL,  /* a character of category Cc, U+0000 too, is left after trimming */
    UP_TEXT_NO_MEMORY
} up_text_status;

/**
 * @param in  len bytes, which may hold NULs; at most 1 MiB, else UP_TEXT_NO_MEMORY.
 * @param out the text, NUL-terminated, in p; "" where nothing is left.
 * @param points its length in code points, after trimming and NFC.
 */
up_text_status up_text_clean(apr_pool_t *p, const char *in, apr_size_t len, const char **out,
                             apr_size_t *points);

/** Is this well-formed UTF-8 (RFC 3629)? NUL is. */
int up_text_is_utf8(const char *in, apr_size_t len);

#endif
