/* SPDX-License-Identifier: Apache-2.0 */
#include "core/model.h"

#include <string.h>

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

/* RFC 3986, as far as a browser needs it: http or https, a host, no blanks. */
static int is_url(const char *text)
{
    const char *host = strncmp(text, "https://", 8) == 0  ? text + 8
                       : strncmp(text, "http://", 7) == 0 ? text + 7
                                                          : NULL;

    return host && *host && !strchr("/?#:@", *host) && !strpbrk(host, " \t\"<>\\^`{|}");
}

/* RFC 5321's Mailbox without quoted strings and address literals; whether it
 * exists only a message can tell. */
static int is_email(const char *text)
{
    const char *at = strchr(text, '@');
    const char *domain = at ? at + 1 : "";
    size_t len = strlen(domain);

    return at && at > text && at - text <= 64 && len > 0 && len <= 255 &&
           !strpbrk(text, " \t\"(),:;<>[]\\") && !strchr(domain, '@') && !strstr(text, "..") &&
           *text != '.' && at[-1] != '.' && *domain != '.' && *domain != '-' &&
           domain[len - 1] != '.' && domain[len - 1] != '-';
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
