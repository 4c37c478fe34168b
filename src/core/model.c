/* SPDX-License-Identifier: Apache-2.0 */
#include "core/model.h"

#include <apr_lib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    int writable;
} types[UP_TYPES] = {
    [UP_STRING] = {"string", 1},     [UP_INTEGER] = {"integer", 1},
    [UP_BOOLEAN] = {"boolean", 1},   [UP_TIMESTAMP] = {"timestamp", 0},
    [UP_EPOCH_MS] = {"epoch-ms", 0}, [UP_UUID] = {"uuid", 1},
    [UP_URL] = {"url", 1},           [UP_EMAIL] = {"email", 1},
    [UP_JSON] = {"json", 1},         [UP_LANGUAGE] = {"language", 1},
    [UP_AVATAR] = {"avatar", 0},
};

int up_model_find(const up_model *model, const char *name, apr_size_t len)
{
    int i;

    for (i = 0; i < model->fields->nelts; i++) {
        const char *candidate = up_model_field(model, i)->name;

        if (strlen(candidate) == len && memcmp(candidate, name, len) == 0)
            return i;
    }
    return -1;
}

const char *up_type_name(up_type type)
{
    return types[type].name;
}

int up_type_find(const char *name, up_type *type)
{
    int i;

    for (i = 0; i < UP_TYPES; i++) {
        if (strcmp(types[i].name, name) == 0) {
            *type = (up_type)i;
            return 0;
        }
    }
    return -1;
}

int up_type_is_writable(up_type type)
{
    return types[type].writable;
}

/* RFC 4122, section 3: the text form, in either case. */
static int is_uuid(const char *text)
{
    int i;

    for (i = 0; i < 36; i++) {
        int hyphen = i == 8 || i == 13 || i == 18 || i == 23;

        if (hyphen ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]) || !text[i])
            return 0;
    }
    return text[36] == '\0';
}

/* A whole number that fits 64 bits, as SQL writes it. */
static int is_integer(const char *text)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t len = strlen(digits);
    const char *limit = text[0] == '-' ? "9223372036854775808" : "9223372036854775807";

    if (len == 0 || len > 19 || strspn(digits, "0123456789") != len)
        return 0;
    return len < 19 || strcmp(digits, limit) <= 0;
}

/* Beyond ASCII it is for others to judge: IDNA, RFC 6531, RFC 3987. */
static int is_letter(char c)
{
    return (unsigned char)c >= 0x80 || apr_isalnum(c);
}

/* Labels of 1 to 63 bytes with a dot between, no hyphen at a label's start or end. */
static int is_domain(const char *text, size_t len)
{
    size_t i, start = 0;

    for (i = 0; i <= len; i++) {
        if (i < len && text[i] != '.') {
            if (!is_letter(text[i]) && text[i] != '-')
                return 0;
            continue;
        }
        if (i == start || i - start > 63 || text[start] == '-' || text[i - 1] == '-')
            return 0;
        start = i + 1;
    }
    return len <= 253;
}

/* RFC 3986, 3.2: a host and perhaps a port. A user's name there is a trap for those
 * who read it (RFC 9110, 4.2.4). */
static int is_authority(const char *text, size_t len)
{
    const char *end = text + len, *port;
    size_t host = *text == '[' ? strcspn(text, "]") + 1 : strcspn(text, ":/?#");

    if (host < 1 || host > len)
        return 0;
    if (*text == '[' ? strspn(text + 1, "0123456789abcdefABCDEF:.") + 2 != host || host < 4
                     : !is_domain(text, text[host - 1] == '.' ? host - 1 : host))
        return 0;
    port = text + host;
    if (port == end)
        return 1;
    return *port == ':' && end - port <= 6 &&
           strspn(port + 1, "0123456789") >= (size_t)(end - port - 1) &&
           strtol(port + 1, NULL, 10) <= 65535;
}

/* No blanks nor what never stands in a URL; percent signs as escapes only. */
static int is_path(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f || strchr("\"<>\\^`{|}", *text))
            return 0;
        if (*text == '%' && (!apr_isxdigit(text[1]) || !apr_isxdigit(text[2])))
            return 0;
    }
    return 1;
}

/* RFC 3986, as far as a browser needs it: http or https, and a host. */
static int is_url(const char *text)
{
    const char *authority = strncasecmp(text, "https://", 8) == 0  ? text + 8
                            : strncasecmp(text, "http://", 7) == 0 ? text + 7
                                                                   : NULL;
    size_t len = authority ? strcspn(authority, "/?#") : 0;

    return authority && is_authority(authority, len) && is_path(authority + len);
}

/* RFC 5322's dot-atom; RFC 5321, 4.5.3.1.1: at most 64 bytes. */
static int is_local_part(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (text[i] == '.' ? i == 0 || i == len - 1 || text[i - 1] == '.'
                           : !is_letter(text[i]) && !strchr("!#$%&'*+-/=?^_`{|}~", text[i]))
            return 0;
    }
    return len > 0 && len <= 64;
}

/* RFC 5321's Mailbox without quoted strings and address literals; whether it
 * exists only a message can tell. */
static int is_email(const char *text)
{
    const char *at = strchr(text, '@');

    return at && strlen(text) <= 254 && is_local_part(text, (size_t)(at - text)) &&
           is_domain(at + 1, strlen(at + 1));
}

int up_type_holds(up_type type, const char *text)
{
    switch (type) {
    case UP_UUID:
        return is_uuid(text);
    case UP_INTEGER:
        return is_integer(text);
    case UP_BOOLEAN:
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    case UP_URL:
        return is_url(text);
    case UP_EMAIL:
        return is_email(text);
    default:
        return 1;
    }
}
