/* SPDX-License-Identifier: Apache-2.0 */

/**
 * base64url (RFC 4648, section 5) as JWS uses it (RFC 7515, section 2): without
 * padding, and canonical, so that no two texts stand for the same bytes.
 */
#ifndef UP_BASE64URL_H
#define UP_BASE64URL_H

#include <apr.h>

/** How many bytes len characters stand for; exact for every len that is valid. */
#define UP_BASE64URL_SIZE(len) ((len) / 4 * 3 + ((len) % 4 * 3) / 4)

/**
 * Decodes strictly: only the 64 characters of the alphabet, no padding, no
 * whitespace, the unused bits of the last character zero (RFC 4648, 3.5).
 * @param out room for UP_BASE64URL_SIZE(len) bytes, which are all set on success.
 * @param in  len characters, need not be terminated; none of them is no bytes.
 * @return 0, or -1 where it is not canonical (out is then undefined).
 */
int up_base64url_decode(unsigned char *out, const char *in, apr_size_t len);

#endif
