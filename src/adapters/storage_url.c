/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/storage_url.h"

#include "core/wipe.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_uri.h>
#include <arpa/inet.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>

static const char hex_digits[] = "0123456789abcdef";

int up_storage_url_is_plain(const char *text, apr_size_t max)
{
    apr_size_t len = 0;

    for (; text[len]; len++) {
        if (len == max || text[len] < 0x21 || text[len] > 0x7e)
            return 0;
    }
    return len > 0;
}

int up_storage_url_has_only(const char *text, apr_size_t len, const char *extra)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        int alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!alnum && (c == '\0' || !strchr(extra, c)))
            return 0;
    }
    return len > 0;
}

int up_storage_url_has_dots(const char *path)
{
    const char *segment = *path == '/' ? path + 1 : path;

    while (*segment) {
        apr_size_t len = strcspn(segment, "/");

        if (len == 0 || (len <= 2 && strncmp(segment, "..", len) == 0))
            return 1;
        segment += len;
        if (*segment == '/')
            segment++;
    }
    return 0;
}

int up_storage_url_is_loopback(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    char bare[INET6_ADDRSTRLEN];
    apr_size_t len = strlen(host);

    if (len > 2 && len - 2 < sizeof(bare) && host[0] == '[' && host[len - 1] == ']') {
        apr_cpystrn(bare, host + 1, len - 1);
        host = bare;
    }
    if (inet_pton(AF_INET, host, address) == 1)
        return address[0] == 127;
    if (inet_pton(AF_INET6, host, address) == 1)
        return memcmp(address, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
    return strcasecmp(host, "localhost") == 0;
}

const char *up_storage_random_id(apr_pool_t *p)
{
    unsigned char bits[(UP_STORAGE_ID_SIZE - 1) / 2];

    if (RAND_bytes(bits, sizeof(bits)) != 1)
        return NULL;
    return apr_pescape_hex(p, bits, sizeof(bits), 0);
}

int up_storage_is_random_id(const char *id, apr_size_t len)
{
    return len == UP_STORAGE_ID_SIZE - 1 && strspn(id, hex_digits) >= len;
}

/* A part, percent-decoded; NULL where an escape is bad or stands for a control character. */
static const char *decode(apr_pool_t *p, const char *part)
{
    const char *decoded = part ? apr_punescape_url(p, part, NULL, NULL, 0) : "";
    const char *c;

    for (c = decoded; c && *c; c++) {
        if (apr_iscntrl(*c))
            return NULL;
    }
    return decoded;
}

static const char *parse_query(apr_pool_t *p, const char *query, apr_table_t *table)
{
    char *rest = apr_pstrdup(p, query ? query : "");
    char *pair, *last;

    for (pair = apr_strtok(rest, "&", &last); pair; pair = apr_strtok(NULL, "&", &last)) {
        char *equals = strchr(pair, '=');
        const char *name, *value;

        if (!equals || equals == pair)
            return "Each parameter after the ? must be name=value.";
        *equals = '\0';
        name = decode(p, pair);
        value = decode(p, equals + 1);
        if (!name || !value)
            return "A parameter has a bad percent escape.";
        if (apr_table_get(table, name))
            return "A parameter comes twice.";
        apr_table_setn(table, name, value);
    }
    return NULL;
}

static void wipe_at_end(apr_pool_t *p, const char *text)
{
    if (text && *text)
        up_wipe_at_end(p, (char *)text, strlen(text));
}

const char *up_storage_url_parse(apr_pool_t *p, const char *url, const char *scheme,
                                 up_storage_url *out)
{
    apr_uri_t uri;

    if (!up_storage_url_is_plain(url, UP_STORAGE_URL_MAX))
        return "The URL must be printable ASCII without spaces, at most 4096 bytes: write other "
               "characters as percent escapes.";
    if (apr_uri_parse(p, url, &uri) != APR_SUCCESS || !uri.scheme)
        return "This is no well-formed URL: write / ? # @ % within a name, key or secret as "
               "percent escapes.";
    if (strcasecmp(uri.scheme, scheme) != 0)
        return "The URL has another scheme than expected.";
    if (uri.port_str || uri.fragment)
        return "The URL must have no port and no fragment (a # within a secret is %23).";
    out->user = decode(p, uri.user);
    out->password = decode(p, uri.password);
    out->host = decode(p, uri.hostname);
    out->path = decode(p, uri.path);
    /* The password is in all three; without escapes two are one. */
    up_wipe(uri.hostinfo);
    wipe_at_end(p, uri.password);
    wipe_at_end(p, out->password);
    if (!out->user || !out->password || !out->host || !out->path)
        return "The URL has a bad percent escape: a % itself is %25, and control characters are "
               "not allowed.";
    out->query = apr_table_make(p, 8);
    return parse_query(p, uri.query, out->query);
}
