/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/redis_url.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#define FORM_TCP "redis://[user:password@]host[:port][/db]"
#define FORM_UNIX "redis+unix://[user:password@]/path/to.sock[?db=N]"
#define ENCODED "in user and password, each of @ : / ? # % is percent-encoded"

#define BAD_SCHEME "The URL of a Redis server is " FORM_TCP " or " FORM_UNIX "."
#define BAD_TCP "The URL must be " FORM_TCP "; " ENCODED "."
#define BAD_UNIX "The URL must be " FORM_UNIX "; " ENCODED "."
#define BAD_USER                                                                                   \
    "Before the @ there must be user:password or :password, neither empty; " ENCODED "."
#define BAD_HOST                                                                                   \
    "The host must be a name (letters, digits, '.', '-', '_'), an IPv4 address or an "             \
    "IPv6 address in brackets; " ENCODED "."
#define BAD_PORT "The port must be a number from 1 to 65535; " ENCODED "."
#define BAD_DB                                                                                     \
    "The database must be a number of at most 9 digits, e.g. redis://localhost:6379/0 or "         \
    "redis+unix:///run/redis/redis.sock?db=0; " ENCODED "."
#define BAD_PATH                                                                                   \
    "The socket's path must begin with a '/', be at most 107 bytes long, and have "                \
    "'?', '#', '%' and blanks percent-encoded, without control characters."

/** A run of bytes of the URL. */
typedef struct span {
    const char *at;
    apr_size_t len;
} span;

/** "Not decodable" is NULL: a '%' without two digits, a NUL, a blank or a control. */
static const char *decode(apr_pool_t *p, span in, const char *forbidden)
{
    char *out = apr_palloc(p, in.len + 1), *o = out;
    const char *s = in.at, *end = in.at + in.len;

    for (; s < end; s++) {
        char hex[3] = {0};

        if (*s != '%') {
            if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr(forbidden, *s))
                return NULL;
            *o++ = *s;
            continue;
        }
        if (end - s < 3 || !apr_isxdigit(s[1]) || !apr_isxdigit(s[2]))
            return NULL;
        memcpy(hex, s + 1, 2);
        *o = (char)apr_strtoi64(hex, NULL, 16);
        if (*o++ == '\0')
            return NULL;
        s += 2;
    }
    *o = '\0';
    return out;
}

/** A decimal number of 1 to digits digits, or -1. */
static int number(span in, apr_size_t digits)
{
    int value = 0;

    if (in.len < 1 || in.len > digits)
        return -1;
    for (apr_size_t i = 0; i < in.len; i++) {
        if (!apr_isdigit(in.at[i]))
            return -1;
        value = value * 10 + (in.at[i] - '0');
    }
    return value;
}

static const char *parse_user(apr_pool_t *p, span in, up_redis_settings *settings)
{
    const char *colon = memchr(in.at, ':', in.len);
    span user = {in.at, 0}, password;

    if (!colon)
        return BAD_USER;
    user.len = (apr_size_t)(colon - in.at);
    password.at = colon + 1;
    password.len = in.len - user.len - 1;
    settings->username = user.len ? decode(p, user, "@") : NULL;
    settings->password = decode(p, password, "@");
    if ((user.len && !settings->username) || !settings->password || !*settings->password)
        return BAD_USER;
    return NULL;
}

static const char *parse_port(span in, up_redis_settings *settings)
{
    settings->port = number(in, 5);
    return settings->port < 1 || settings->port > 65535 ? BAD_PORT : NULL;
}

/** "[::1]" and what follows it. */
static const char *parse_bracketed(apr_pool_t *p, span in, up_redis_settings *settings)
{
    const char *close = memchr(in.at, ']', in.len);
    struct in6_addr address;
    span port;

    if (!close)
        return BAD_HOST;
    settings->host = apr_pstrmemdup(p, in.at + 1, (apr_size_t)(close - in.at) - 1);
    if (inet_pton(AF_INET6, settings->host, &address) != 1)
        return BAD_HOST;
    port.at = close + 1;
    port.len = in.len - (apr_size_t)(port.at - in.at);
    if (port.len == 0)
        return NULL;
    if (*port.at != ':')
        return BAD_HOST;
    port.at++;
    port.len--;
    return parse_port(port, settings);
}

static const char *parse_host(apr_pool_t *p, span in, up_redis_settings *settings)
{
    const char *colon = memchr(in.at, ':', in.len);
    span host = in, port;

    if (in.len && in.at[0] == '[')
        return parse_bracketed(p, in, settings);
    if (colon)
        host.len = (apr_size_t)(colon - in.at);
    if (host.len < 1 || host.len > 255)
        return BAD_HOST;
    for (apr_size_t i = 0; i < host.len; i++)
        if (!apr_isalnum(host.at[i]) && !strchr(".-_", host.at[i]))
            return BAD_HOST;
    settings->host = apr_pstrmemdup(p, host.at, host.len);
    if (!colon)
        return NULL;
    port.at = colon + 1;
    port.len = in.len - host.len - 1;
    return parse_port(port, settings);
}

static const char *parse_db(const char *text, up_redis_settings *settings)
{
    span in = {text, strlen(text)};

    settings->db = number(in, 9);
    return settings->db < 0 ? BAD_DB : NULL;
}

/** host[:port][/db] */
static const char *parse_tcp(apr_pool_t *p, span authority, const char *rest,
                             up_redis_settings *settings)
{
    const char *wrong = parse_host(p, authority, settings);

    if (wrong)
        return wrong;
    if (rest[0] == '?' || rest[0] == '#')
        return BAD_TCP;
    if (rest[0] == '\0' || rest[1] == '\0')
        return NULL;
    return parse_db(rest + 1, settings);
}

/** Would it be one line in a log, and does it fit into a socket's address? */
static int is_socket_path(const char *path)
{
    for (const char *s = path; *s; s++)
        if (apr_iscntrl(*s))
            return 0;
    return strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path);
}

/** /path[?db=N] */
static const char *parse_unix(apr_pool_t *p, span authority, const char *rest,
                              up_redis_settings *settings)
{
    const char *query = strchr(rest, '?');
    span path = {rest, query ? (apr_size_t)(query - rest) : strlen(rest)};

    if (authority.len)
        return BAD_UNIX;
    if (path.len < 2 || path.at[0] != '/')
        return BAD_PATH;
    settings->path = decode(p, path, "#");
    if (!settings->path || !is_socket_path(settings->path))
        return BAD_PATH;
    if (!query)
        return NULL;
    return strncmp(query, "?db=", 4) == 0 ? parse_db(query + 4, settings) : BAD_UNIX;
}

static void set_defaults(up_redis_settings *settings)
{
    if (settings->timeout <= 0)
        settings->timeout = UP_REDIS_TIMEOUT;
    if (settings->scan_timeout <= 0)
        settings->scan_timeout = UP_REDIS_SCAN_TIMEOUT;
    if (settings->max_connections <= 0)
        settings->max_connections = UP_REDIS_CONNECTIONS;
    if (!settings->blacklist_prefix)
        settings->blacklist_prefix = UP_REDIS_BLACKLIST_PREFIX;
    if (!settings->refresh_prefix)
        settings->refresh_prefix = UP_REDIS_REFRESH_PREFIX;
    if (!settings->refresh_separator)
        settings->refresh_separator = UP_REDIS_REFRESH_SEPARATOR;
}

/** The schemes; another way to find a server (a sentinel, say) is one more line. */
static const struct scheme {
    const char *prefix;
    const char *(*parse)(apr_pool_t *p, span authority, const char *rest,
                         up_redis_settings *settings);
} schemes[] = {{"redis://", parse_tcp}, {"redis+unix://", parse_unix}};

static const struct scheme *find_scheme(const char *url)
{
    for (apr_size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncasecmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
            return &schemes[i];
    return NULL;
}

const char *up_redis_parse(apr_pool_t *p, const char *url, up_redis_settings *settings)
{
    const struct scheme *scheme = find_scheme(url);
    span authority;
    const char *at;

    if (!scheme)
        return BAD_SCHEME;
    settings->host = settings->path = settings->username = settings->password = NULL;
    settings->port = UP_REDIS_PORT;
    settings->db = 0;
    set_defaults(settings);

    authority.at = url + strlen(scheme->prefix);
    authority.len = strcspn(authority.at, "/?#");
    /* The last '@': one that was left unencoded in a password is then found there. */
    at = memrchr(authority.at, '@', authority.len);
    if (at) {
        span user = {authority.at, (apr_size_t)(at - authority.at)};
        const char *wrong = parse_user(p, user, settings);
        if (wrong)
            return wrong;
        authority.len -= user.len + 1;
        authority.at = at + 1;
    }
    return scheme->parse(p, authority, authority.at + authority.len, settings);
}

const char *up_redis_display(apr_pool_t *p, const up_redis_settings *settings)
{
    if (settings->path)
        return apr_psprintf(p, "redis+unix://%s?db=%d", settings->path, settings->db);
    if (strchr(settings->host, ':'))
        return apr_psprintf(p, "redis://[%s]:%d/%d", settings->host, settings->port, settings->db);
    return apr_psprintf(p, "redis://%s:%d/%d", settings->host, settings->port, settings->db);
}
