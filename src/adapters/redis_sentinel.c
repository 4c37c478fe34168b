/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/redis_sentinel.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <stdlib.h>
#include <string.h>

/** How long a master is believed to be one before a sentinel is asked again. */
#define FRESH apr_time_from_sec(1)

/** The longest name or address of a master that is taken, in bytes. */
#define HOST_MAX 255

/** A sentinel: where it is, and what it wants. */
typedef struct watcher {
    up_redis_settings settings;
    up_redis_resolver *resolver;
} watcher;

typedef struct master {
    int number; /* of those that there were, from 1; 0: none */
    char host[HOST_MAX + 1];
    int port;
    up_redis_addresses addresses;
} master;

struct up_redis_sentinel {
    const up_redis_settings *settings; /* of the master */
    watcher *watchers;
    apr_thread_mutex_t *mutex; /* guards what follows */
    apr_thread_cond_t *done;   /* signalled when busy becomes 0 */
    int busy;                  /* a thread asks; only it changes what follows, but for doubtful */
    int first;                 /* the watcher to begin with */
    apr_time_t since;          /* when one was asked last */
    master known;              /* the master, or the last one */
    int doubtful;              /* it may be none: 1 before there was one */
};

up_redis_sentinel *up_redis_sentinel_create(apr_pool_t *p, const up_redis_settings *settings)
{
    up_redis_sentinel *sentinel = apr_pcalloc(p, sizeof(*sentinel));
    apr_size_t count = (apr_size_t)settings->sentinel_count;

    sentinel->settings = settings;
    sentinel->doubtful = 1;
    sentinel->watchers = apr_pcalloc(p, count * sizeof(watcher));
    for (apr_size_t i = 0; i < count; i++) {
        watcher *w = &sentinel->watchers[i];

        w->settings.host = settings->sentinels[i].host;
        w->settings.port = settings->sentinels[i].port;
        w->settings.username = settings->sentinel_username;
        w->settings.password = settings->sentinel_password;
        w->resolver = up_redis_resolver_create(p, &w->settings);
        if (!w->resolver)
            return NULL;
    }
    if (apr_thread_mutex_create(&sentinel->mutex, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS ||
        apr_thread_cond_create(&sentinel->done, p) != APR_SUCCESS)
        return NULL;
    return sentinel;
}

/* --- Asking ----------------------------------------------------------------------------------- */

/** Is it [host, port]? Copies them. */
static int read_address(const redisReply *reply, master *out)
{
    const redisReply *host, *port;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return 0;
    host = reply->element[0];
    port = reply->element[1];
    if (host->type != REDIS_REPLY_STRING || host->len < 1 || host->len > HOST_MAX ||
        strspn(host->str, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_") !=
            host->len ||
        port->type != REDIS_REPLY_STRING || port->len < 1 || port->len > 5 ||
        strspn(port->str, "0123456789") != port->len)
        return 0;
    memcpy(out->host, host->str, host->len + 1);
    out->port = (int)strtol(port->str, NULL, 10);
    return out->port >= 1 && out->port <= 65535;
}

static const char *read_answer(const redisReply *reply, const up_redis_command *command,
                               master *out, apr_pool_t *p)
{
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ERR unknown command", 19) == 0)
        return "it is no sentinel; name the sentinels' ports in the URL (26379 by default)";
    if (reply->type == REDIS_REPLY_ERROR)
        return up_redis_complaint(p, reply, command);
    if (reply->type == REDIS_REPLY_NIL)
        return apr_psprintf(p, "it knows no master '%s'; name it in the URL as the sentinels do",
                            command->argv[2]);
    if (!read_address(reply, out))
        return "an unexpected reply; is this a sentinel?";
    return up_redis_look_up(out->host, out->port, &out->addresses, p);
}

/** Asks a sentinel for the master, on a connection of its own. @return NULL or what is wrong. */
static const char *ask_watcher(const up_redis_sentinel *sentinel, const watcher *w, master *out,
                               apr_time_t deadline, apr_pool_t *p)
{
    const char *argv[] = {"SENTINEL", "get-master-addr-by-name", sentinel->settings->master};
    up_redis_command command = {3, argv, NULL};
    up_redis_link link = {.fd = -1};
    up_redis_addresses addresses;
    redisReply *reply;
    const char *wrong = up_redis_resolve(w->resolver, deadline, &addresses, p);

    if (!wrong)
        wrong = up_redis_link_open(&link, &addresses, &w->settings, deadline, p);
    if (wrong)
        return wrong;
    reply = up_redis_link_ask(&link, &command, deadline, &wrong, p);
    if (reply)
        wrong = read_answer(reply, &command, out, p);
    freeReplyObject(reply);
    up_redis_link_close(&link);
    return wrong;
}

/** Does it say by itself that it is a master? */
static const char *check_role(up_redis_link *link, apr_time_t deadline, apr_pool_t *p)
{
    const char *argv[] = {"ROLE"};
    up_redis_command command = {1, argv, NULL};
    const char *wrong;
    redisReply *reply = up_redis_link_ask(link, &command, deadline, &wrong, p);

    if (!reply)
        return wrong;
    if (reply->type == REDIS_REPLY_ERROR)
        wrong = up_redis_complaint(p, reply, &command);
    else if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1 ||
             reply->element[0]->type != REDIS_REPLY_STRING)
        wrong = "an unexpected reply to ROLE; is this a Redis server?";
    else if (strcmp(reply->element[0]->str, "master") != 0)
        wrong = "it is no master (ROLE); is a failover under way?";
    freeReplyObject(reply);
    return wrong;
}

/** Connects to a master, which has to say that it is one. */
static const char *open_master(const up_redis_sentinel *sentinel, const master *m,
                               up_redis_link *link, apr_time_t deadline, apr_pool_t *p)
{
    const char *wrong = up_redis_link_open(link, &m->addresses, sentinel->settings, deadline, p);

    if (!wrong) {
        wrong = check_role(link, deadline, p);
        if (wrong)
            up_redis_link_close(link);
        link->master = wrong ? 0 : m->number;
    }
    return wrong ? apr_psprintf(p, "the master at %s: %s", up_redis_show_host(p, m->host, m->port),
                                wrong)
                 : NULL;
}

static int is_same(const master *a, const master *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/** Asks one sentinel after the other until one names a master that says that it is one, and
 *  connects to it; only while busy. @return NULL, or what was wrong with each. */
static const char *find_master(const up_redis_sentinel *sentinel, int first, master *found, int *by,
                               up_redis_link *link, apr_time_t deadline, apr_pool_t *p)
{
    const int count = sentinel->settings->sentinel_count;
    const char *all = NULL;
    master refused = {.number = 0};

    for (int i = 0; i < count && (!i || up_clock() < deadline); i++) {
        const watcher *w;
        const char *wrong;

        *by = (first + i) % count;
        w = &sentinel->watchers[*by];
        wrong = ask_watcher(sentinel, w, found, up_redis_share(deadline, count - i + 1), p);
        if (!wrong && is_same(found, &refused)) {
            wrong = "it names the same";
        } else if (!wrong) {
            wrong = open_master(sentinel, found, link,
                                up_redis_share(deadline, i + 1 < count ? 2 : 1), p);
            if (!wrong)
                return NULL;
            refused = *found;
        }
        all = apr_psprintf(p, "%s%ssentinel %s: %s", all ? all : "", all ? "; " : "",
                           up_redis_show_host(p, w->settings.host, w->settings.port), wrong);
    }
    return all;
}

/* --- What all threads know -------------------------------------------------------------------- */

/* Each of these is called with the lock held. */

static void begin(up_redis_sentinel *sentinel)
{
    sentinel->busy = 1;
    sentinel->since = up_clock();
    apr_thread_mutex_unlock(sentinel->mutex);
}

static void end(up_redis_sentinel *sentinel)
{
    apr_thread_mutex_lock(sentinel->mutex);
    sentinel->busy = 0;
    apr_thread_cond_broadcast(sentinel->done);
}

/** Asks one sentinel whether the master is still the same. One that does not answer makes room
 *  for the next one, and changes nothing else. */
static void refresh(up_redis_sentinel *sentinel, apr_time_t deadline, apr_pool_t *p)
{
    const int count = sentinel->settings->sentinel_count, first = sentinel->first;
    master named = {.number = 0};
    const char *wrong;

    if (sentinel->busy || sentinel->doubtful || up_clock() - sentinel->since < FRESH)
        return;
    begin(sentinel);
    wrong = ask_watcher(sentinel, &sentinel->watchers[first], &named,
                        up_redis_share(deadline, count + 1), p);
    end(sentinel);
    if (wrong)
        sentinel->first = (first + 1) % count;
    else if (!is_same(&named, &sentinel->known))
        sentinel->doubtful = 1;
}

/** Finds a master and connects to it. */
static const char *search(up_redis_sentinel *sentinel, up_redis_link *link, apr_time_t deadline,
                          apr_pool_t *p)
{
    int first = sentinel->first, by = 0;
    master found = {.number = 0};
    const char *wrong;

    begin(sentinel);
    wrong = find_master(sentinel, first, &found, &by, link, deadline, p);
    end(sentinel);
    if (wrong)
        return wrong;
    found.number = sentinel->known.number + !is_same(&found, &sentinel->known);
    link->master = found.number;
    sentinel->known = found;
    sentinel->first = by;
    sentinel->doubtful = 0;
    return NULL;
}

/* ---------------------------------------------------------------------------------------------- */

/** Connects to the known master; where there is none, to the one that this thread finds, or
 *  that another has found in time. */
static const char *open_once(up_redis_sentinel *sentinel, up_redis_link *link, int *searched,
                             apr_time_t deadline, apr_pool_t *p)
{
    const char *wrong = NULL;
    apr_time_t now;
    master known;

    apr_thread_mutex_lock(sentinel->mutex);
    refresh(sentinel, deadline, p);
    while (sentinel->doubtful && sentinel->busy && (now = up_clock()) < deadline)
        apr_thread_cond_timedwait(sentinel->done, sentinel->mutex, deadline - now);
    *searched = sentinel->doubtful;
    if (sentinel->doubtful && sentinel->busy)
        wrong = "another request asks the sentinels for the master, and has no answer in time; are "
                "they running?";
    else if (sentinel->doubtful)
        wrong = search(sentinel, link, deadline, p);
    else
        known = sentinel->known;
    apr_thread_mutex_unlock(sentinel->mutex);
    if (*searched)
        return wrong;
    wrong = open_master(sentinel, &known, link, deadline, p);
    if (wrong)
        up_redis_sentinel_doubt(sentinel, known.number);
    return wrong;
}

const char *up_redis_sentinel_open(up_redis_sentinel *sentinel, up_redis_link *link,
                                   apr_time_t deadline, apr_pool_t *p)
{
    const char *wrong;
    int searched;

    do
        wrong = open_once(sentinel, link, &searched, deadline, p);
    while (wrong && !searched && up_clock() < deadline);
    return wrong;
}

int up_redis_sentinel_is_master(up_redis_sentinel *sentinel, int master, apr_time_t deadline,
                                apr_pool_t *p)
{
    int is;

    apr_thread_mutex_lock(sentinel->mutex);
    refresh(sentinel, deadline, p);
    is = !sentinel->doubtful && sentinel->known.number == master;
    apr_thread_mutex_unlock(sentinel->mutex);
    return is;
}

void up_redis_sentinel_doubt(up_redis_sentinel *sentinel, int master)
{
    apr_thread_mutex_lock(sentinel->mutex);
    if (sentinel->known.number == master)
        sentinel->doubtful = 1;
    apr_thread_mutex_unlock(sentinel->mutex);
}
