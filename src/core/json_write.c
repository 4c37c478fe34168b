/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json_write.h"

#include "core/text.h"

#include <string.h>

/* The letter after the backslash; 'u': there is none, and four hexadecimal digits say which it is;
 * 0: it stands for itself. */
static char escape_of(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c < 0x20 ? 'u' : 0;
    }
}

apr_size_t up_json_string_size(const char *text)
{
    apr_size_t size = 2;

    for (; *text; text++) {
        char escape = escape_of((unsigned char)*text);

        size += escape == 'u' ? 6 : escape ? 2 : 1;
    }
    return size;
}

static char *put_escape(char *to, unsigned char c, char escape)
{
    static const char digits[] = "0123456789ABCDEF";

    *to++ = '\\';
    *to++ = escape;
    if (escape == 'u') {
        *to++ = '0';
        *to++ = '0';
        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    return to;
}

char *up_json_put_string(char *to, const char *text)
{
    const char *start = text;
    unsigned char all = 0;

    *to++ = '"';
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        char escape = escape_of(c);

        all |= c;
        if (escape)
            to = put_escape(to, c, escape);
        else
            *to++ = *text;
    }
    *to++ = '"';
    return all < 0x80 || up_text_is_utf8(start, (apr_size_t)(text - start)) ? to : NULL;
}
