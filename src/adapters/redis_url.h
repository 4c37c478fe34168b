/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Where a Redis server is and how it is used: the settings, and the URL that
 * says most of them.
 *
 *   redis://[user:password@]host[:port][/db]
 *   redis+unix://[user:password@]/path/to.sock[?db=N]
 *   redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/db]
 *       [?sentinel_password=password[&sentinel_user=user]]
 *
 * The hosts of the last are sentinels (1 to UP_REDIS_SENTINELS), master is the name
 * under which they watch the server; user, password and db are the server's, as
 * in the other forms, and what the sentinels themselves want is in the query.
 *
 * The generic syntax is RFC 3986's; an IPv6 address stands in brackets, and a
 * character of user, password or path that means something in a URL is
 * percent-encoded. A password without a user (":secret@") is the default user's.
 */
#ifndef UP_REDIS_URL_H
#define UP_REDIS_URL_H

#include <apr_pools.h>
#include <apr_time.h>

/** What a setting is where nothing else was said. */
#define UP_REDIS_PORT 6379
#define UP_REDIS_SENTINEL_PORT 26379
#define UP_REDIS_TIMEOUT apr_time_from_msec(500)
#define UP_REDIS_SCAN_TIMEOUT apr_time_from_sec(2)
#define UP_REDIS_CONNECTIONS 64
#define UP_REDIS_BLACKLIST_PREFIX "blacklisted_access_token:"
#define UP_REDIS_REFRESH_PREFIX "refresh_token:"
#define UP_REDIS_REFRESH_SEPARATOR ":"

/** How many sentinels a URL can name. */
#define UP_REDIS_SENTINELS 8

typedef struct up_redis_host {
    const char *host; /* a name or an address without brackets */
    int port;         /* 1 to 65535 */
} up_redis_host;

typedef struct up_redis_settings {
    /* From the URL: one of host, path and sentinels; the other two are NULL. */
    const char *host;     /* as up_redis_host's */
    int port;             /* likewise */
    const char *path;     /* of a Unix socket, at most 107 bytes */
    int db;               /* 0 or more */
    const char *username; /* NULL: the default user */
    const char *password; /* NULL: no AUTH is sent; a secret */

    const up_redis_host *sentinels; /* who know where the server is */
    int sentinel_count;
    const char *master;            /* what they call it: letters, digits, '.', '-', '_' */
    const char *sentinel_username; /* as username and password, for the sentinels */
    const char *sentinel_password;

    /* From elsewhere, where up_redis_parse() has not set what is right: 1 with sentinels, else 0.
     */
    int replicas; /* how many must have what is written before it counts as done */

    /* From elsewhere. */
    apr_interval_time_t timeout;      /* for one call as a whole: waiting for a connection,
                                         connecting, the command, its second try */
    apr_interval_time_t scan_timeout; /* for the scan of revoke_sessions as a whole, of
                                         which each command has the timeout above; it
                                         passes about a million keys in a second, of
                                         the whole database, not only of sessions */
    int untracked;                    /* each key is asked for, whatever the server may tell */
    int max_connections;              /* of a child process: its number of worker threads */
    const char *blacklist_prefix;     /* key: prefix, jti */
    const char *refresh_prefix;       /* key: prefix, subject, separator, anything */
    const char *refresh_separator;    /* not empty: else one subject's keys could be
                                         another's whose name begins alike */
    const char *index_prefix;         /* key: prefix, subject; a set of what its keys have after
                                         the separator. NULL: none, they are scanned for */
} up_redis_settings;

/**
 * Sets all that a URL says, and gives each other setting that is 0 or NULL its
 * default; the rest stays as it is. So the struct must be zeroed (or set) first.
 * @param url a secret; nothing of it is in the returned sentence.
 * @return NULL, or a sentence (static) for configtest that says what is right;
 *         the settings are then undefined. Strings are in p.
 */
const char *up_redis_parse(apr_pool_t *p, const char *url, up_redis_settings *settings);

/** Are these the same server, database, user and prefix of the blacklist? */
int up_redis_is_same(const up_redis_settings *a, const up_redis_settings *b);

/** "host:port", an IPv6 address in brackets; in p. */
const char *up_redis_show_host(apr_pool_t *p, const char *host, int port);

/** The URL without user and password, for logs; in p. */
const char *up_redis_display(apr_pool_t *p, const up_redis_settings *settings);

#endif
