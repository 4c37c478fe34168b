/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/redis_url.h"

#include "core/wipe.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#define FORM_TCP "redis://[user:password@]host[:port][/db]"
#define FORM_UNIX "redis+unix://[user:password@]/path/to.sock[?db=N]"
#define FORM_SENTINEL                                                                              \
    "redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/db]"                    \
    "[?sentinel_password=password[&sentinel_user=user]]"
#define ENCODED "in user and password, each of @ : / ? # % is percent-encoded"

#define BAD_SCHEME                                                                                 \
    "The URL of a Redis server is " FORM_TCP " or " FORM_UNIX " or " FORM_SENTINEL "."
#define BAD_TCP "The URL must be " FORM_TCP "; " ENCODED "."
#define BAD_UNIX "The URL must be " FORM_UNIX "; " ENCODED "."
#define BAD_SENTINELS "There must be 1 to 8 sentinels, with a comma between two; " ENCODED "."
#define BAD_MASTER                                                                                 \
    "After the sentinels there must be the name of the master as they know it (letters, digits, "  \
    "'.', '-', '_'), e.g. redis+sentinel://a,b,c/mymaster; " ENCODED "."
#define BAD_QUERY                                                                                  \
    "After the '?' there are sentinel_password=password and sentinel_user=user, each once, not "   \
    "empty, the second not without the first, each of & ? # % in them percent-encoded."
#define BAD_USER                                                                                   \
    "Before the @ there must be user:password or :password, neither empty, once for all "          \
    "hosts; " ENCODED ", with sentinels a comma too."
#define BAD_HOST                                                                                   \
    "The host must be a name (letters, digits, '.', '-', '_'), an IPv4 address or an "             \
    "IPv6 address in brackets; " ENCODED "."
#define BAD_PORT "The port must be a number from 1 to 65535; " ENCODED "."
#define BAD_DB                                                                                     \
    "The database must be a number of at most 9 digits, e.g. redis://localhost:6379/0, "           \
    "redis+unix:///run/redis/redis.sock?db=0 or redis+sentinel://a,b,c/mymaster/0; " ENCODED "."
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

    /* It may be a password. */
    up_wipe_at_end(p, out, in.len + 1);
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

/** @param reserved bytes that have to be percent-encoded. */
static const char *parse_user(apr_pool_t *p, span in, const char *reserved,
                              up_redis_settings *settings)
{
    const char *colon = memchr(in.at, ':', in.len);
    span user = {in.at, 0}, password;

    if (!colon)
        return BAD_USER;
    user.len = (apr_size_t)(colon - in.at);
    password.at = colon + 1;
    password.len = in.len - user.len - 1;
    settings->username = user.len ? decode(p, user, reserved) : NULL;
    settings->password = decode(p, password, reserved);
    if ((user.len && !settings->username) || !settings->password || !*settings->password)
        return BAD_USER;
    return NULL;
}

static const char *parse_port(span in, up_redis_host *out)
{
    out->port = number(in, 5);
    return out->port < 1 || out->port > 65535 ? BAD_PORT : NULL;
}

/** "[::1]" and what follows it. */
static const char *parse_bracketed(apr_pool_t *p, span in, up_redis_host *out)
{
    const char *close = memchr(in.at, ']', in.len);
    struct in6_addr address;
    span port;

    if (!close)
        return BAD_HOST;
    out->host = apr_pstrmemdup(p, in.at + 1, (apr_size_t)(close - in.at) - 1);
    if (inet_pton(AF_INET6, out->host, &address) != 1)
        return BAD_HOST;
    port.at = close + 1;
    port.len = in.len - (apr_size_t)(port.at - in.at);
    if (port.len == 0)
        return NULL;
    if (*port.at != ':')
        return BAD_HOST;
    port.at++;
    port.len--;
    return parse_port(port, out);
}

/** Of a host's name, or of a master's. */
static int is_name(span in)
{
    for (apr_size_t i = 0; i < in.len; i++)
        if (!apr_isalnum(in.at[i]) && !strchr(".-_", in.at[i]))
            return 0;
    return in.len >= 1 && in.len <= 255;
}

/** host[:port]; out->port is the port where none is said. */
static const char *parse_host(apr_pool_t *p, span in, up_redis_host *out)
{
    const char *colon = memchr(in.at, ':', in.len);
    span host = in, port;

    if (in.len && in.at[0] == '[')
        return parse_bracketed(p, in, out);
    if (colon)
        host.len = (apr_size_t)(colon - in.at);
    if (!is_name(host))
        return BAD_HOST;
    out->host = apr_pstrmemdup(p, host.at, host.len);
    if (!colon)
        return NULL;
    port.at = colon + 1;
    port.len = in.len - host.len - 1;
    return parse_port(port, out);
}

static const char *parse_db(span in, up_redis_settings *settings)
{
    settings->db = number(in, 9);
    return settings->db < 0 ? BAD_DB : NULL;
}

static span rest_of(const char *text)
{
    return (span){text, strlen(text)};
}

/** host[:port][/db] */
static const char *parse_tcp(apr_pool_t *p, span authority, const char *rest,
                             up_redis_settings *settings)
{
    up_redis_host server = {.port = UP_REDIS_PORT};
    const char *wrong = parse_host(p, authority, &server);

    if (wrong)
        return wrong;
    settings->host = server.host;
    settings->port = server.port;
    if (rest[0] == '?' || rest[0] == '#')
        return BAD_TCP;
    if (rest[0] == '\0' || rest[1] == '\0')
        return NULL;
    return parse_db(rest_of(rest + 1), settings);
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
    return strncmp(query, "?db=", 4) == 0 ? parse_db(rest_of(query + 4), settings) : BAD_UNIX;
}

/** Cuts off what is before the first such byte; in is then what is behind it, or NULL where
 *  there is none. */
static span cut(span *in, char separator)
{
    const char *found = in->len ? memchr(in->at, separator, in->len) : NULL;
    span before = {in->at, found ? (apr_size_t)(found - in->at) : in->len};

    in->at = found ? found + 1 : NULL;
    in->len -= found ? before.len + 1 : before.len;
    return before;
}

/** host[:port][,host[:port]...] */
static const char *parse_sentinels(apr_pool_t *p, span in, up_redis_settings *settings)
{
    up_redis_host *hosts = apr_pcalloc(p, UP_REDIS_SENTINELS * sizeof(*hosts));
    const char *wrong = NULL;
    int count = 0;

    while (in.at && !wrong) {
        if (count == UP_REDIS_SENTINELS)
            return BAD_SENTINELS;
        hosts[count].port = UP_REDIS_SENTINEL_PORT;
        wrong = parse_host(p, cut(&in, ','), &hosts[count++]);
    }
    settings->sentinels = hosts;
    settings->sentinel_count = count;
    return wrong;
}

/** Is this "name=…"? Then in is what follows. */
static int is_parameter(span *in, const char *name)
{
    apr_size_t len = strlen(name);

    if (in->len <= len || strncmp(in->at, name, len) != 0 || in->at[len] != '=')
        return 0;
    in->at += len + 1;
    in->len -= len + 1;
    return 1;
}

/** sentinel_password=password[&sentinel_user=user], in any order; or no query at all. */
static const char *parse_sentinel_login(apr_pool_t *p, span in, up_redis_settings *settings)
{
    if (!in.at)
        return NULL;
    while (in.at) {
        span parameter = cut(&in, '&');
        const char **value = NULL;

        if (is_parameter(&parameter, "sentinel_password"))
            value = &settings->sentinel_password;
        else if (is_parameter(&parameter, "sentinel_user"))
            value = &settings->sentinel_username;
        if (!value || *value || !parameter.len)
            return BAD_QUERY;
        *value = decode(p, parameter, "?#");
        if (!*value)
            return BAD_QUERY;
    }
    return settings->sentinel_password ? NULL : BAD_QUERY;
}

/** host[:port][,host[:port]...]/master[/db][?…] */
static const char *parse_sentinel(apr_pool_t *p, span authority, const char *rest,
                                  up_redis_settings *settings)
{
    const char *wrong = parse_sentinels(p, authority, settings);
    span query = rest_of(rest), path = cut(&query, '?'), master;

    if (wrong)
        return wrong;
    if (!path.len || path.at[0] != '/')
        return BAD_MASTER;
    cut(&path, '/');
    master = cut(&path, '/');
    if (!is_name(master))
        return BAD_MASTER;
    settings->master = apr_pstrmemdup(p, master.at, master.len);
    settings->replicas = 1;
    if (path.len)
        wrong = parse_db(path, settings);
    return wrong ? wrong : parse_sentinel_login(p, query, settings);
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

/** The schemes; another way to find a server is one more line. */
static const struct scheme {
    const char *prefix, *reserved; /* bytes, in user and password */
    const char *(*parse)(apr_pool_t *p, span authority, const char *rest,
                         up_redis_settings *settings);
} schemes[] = {{"redis://", "@", parse_tcp},
               {"redis+unix://", "@", parse_unix},
               {"redis+sentinel://", "@,", parse_sentinel}};

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
    settings->sentinels = NULL;
    settings->master = settings->sentinel_username = settings->sentinel_password = NULL;
    settings->port = UP_REDIS_PORT;
    settings->db = settings->sentinel_count = settings->replicas = 0;
    set_defaults(settings);

    authority.at = url + strlen(scheme->prefix);
    authority.len = strcspn(authority.at, "/?#");
    /* The last '@': one that was left unencoded in a password is then found there. */
    at = memrchr(authority.at, '@', authority.len);
    if (at) {
        span user = {authority.at, (apr_size_t)(at - authority.at)};
        const char *wrong = parse_user(p, user, scheme->reserved, settings);

        if (wrong)
            return wrong;
        authority.len -= user.len + 1;
        authority.at = at + 1;
    }
    return scheme->parse(p, authority, authority.at + authority.len, settings);
}

const char *up_redis_show_host(apr_pool_t *p, const char *host, int port)
{
    return apr_psprintf(p, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
}

static const char *show_sentinels(apr_pool_t *p, const up_redis_settings *settings)
{
    const char *list = "";

    for (int i = 0; i < settings->sentinel_count; i++)
        list = apr_pstrcat(
            p, list, i ? "," : "",
            up_redis_show_host(p, settings->sentinels[i].host, settings->sentinels[i].port), NULL);
    return list;
}

const char *up_redis_display(apr_pool_t *p, const up_redis_settings *settings)
{
    if (settings->path)
        return apr_psprintf(p, "redis+unix://%s?db=%d", settings->path, settings->db);
    if (settings->sentinels)
        return apr_psprintf(p, "redis+sentinel://%s/%s/%d", show_sentinels(p, settings),
                            settings->master, settings->db);
    return apr_psprintf(p, "redis://%s/%d", up_redis_show_host(p, settings->host, settings->port),
                        settings->db);
}

static int is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static int has_same_sentinels(const up_redis_settings *a, const up_redis_settings *b)
{
    if (a->sentinel_count != b->sentinel_count)
        return 0;
    for (int i = 0; i < a->sentinel_count; i++)
        if (a->sentinels[i].port != b->sentinels[i].port ||
            strcmp(a->sentinels[i].host, b->sentinels[i].host) != 0)
            return 0;
    return is_same_text(a->master, b->master) &&
           is_same_text(a->sentinel_username, b->sentinel_username) &&
           is_same_text(a->sentinel_password, b->sentinel_password);
}

int up_redis_is_same(const up_redis_settings *a, const up_redis_settings *b)
{
    return a->port == b->port && a->db == b->db && is_same_text(a->host, b->host) &&
           is_same_text(a->path, b->path) && has_same_sentinels(a, b) &&
           is_same_text(a->username, b->username) && is_same_text(a->password, b->password) &&
           is_same_text(a->blacklist_prefix, b->blacklist_prefix);
}
