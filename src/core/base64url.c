/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base64url.h"

/* The six bits of a character, or -1. */
static int bits_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

int up_base64url_decode(unsigned char *out, const char *in, apr_size_t len)
{
    unsigned int pending = 0;
    int pending_bits = 0;
    apr_size_t i;

    if (len % 4 == 1)
        return -1;
    for (i = 0; i < len; i++) {
        int bits = bits_of((unsigned char)in[i]);

        if (bits < 0)
            return -1;
        pending = pending << 6 | (unsigned int)bits;
        pending_bits += 6;
        if (pending_bits >= 8) {
            pending_bits -= 8;
            *out++ = (unsigned char)(pending >> pending_bits);
            pending &= (1U << pending_bits) - 1;
        }
    }
    /* Stray bits would make a second spelling of the same token. */
    return pending ? -1 : 0;
}
