/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/redis_resolve.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <netdb.h>
#include <string.h>
#include <sys/un.h>

/** How long a name's addresses are believed, so that a failover by DNS is followed. */
#define FRESH apr_time_from_sec(1)

struct up_redis_resolver {
    const char *host; /* NULL: the addresses never change */
    int port;
    apr_thread_mutex_t *mutex; /* guards what follows */
    apr_thread_cond_t *done;   /* signalled when busy becomes 0 */
    int busy;                  /* a thread is looking the name up */
    apr_time_t since;          /* when the addresses were found */
    const char *failure;       /* of the last look-up, or NULL */
    up_redis_addresses known;
};

apr_time_t up_redis_share(apr_time_t deadline, int steps)
{
    apr_time_t now = up_clock();

    return now + (deadline - now) / steps;
}

static void set_path(up_redis_addresses *out, const char *path)
{
    struct sockaddr_un *sun = (struct sockaddr_un *)&out->entries[0].storage;

    sun->sun_family = AF_UNIX;
    apr_cpystrn(sun->sun_path, path, sizeof(sun->sun_path));
    out->entries[0].len = sizeof(*sun);
    out->count = 1;
}

/** getaddrinfo, copied. @return NULL or what is wrong, static. */
static const char *look_up(const char *host, int port, int flags, up_redis_addresses *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *found = NULL;
    char service[8];
    int rv;

    apr_snprintf(service, sizeof(service), "%d", port);
    rv = getaddrinfo(host, service, &hints, &found);
    out->count = 0;
    if (rv != 0)
        return gai_strerror(rv);
    for (struct addrinfo *a = found; a && out->count < UP_REDIS_ADDRESSES; a = a->ai_next) {
        up_redis_address *entry = &out->entries[out->count++];

        memcpy(&entry->storage, a->ai_addr, a->ai_addrlen);
        entry->len = a->ai_addrlen;
    }
    freeaddrinfo(found);
    return NULL;
}

static const char *explain(apr_pool_t *p, const char *failure)
{
    return failure
               ? apr_psprintf(p, "resolving the host failed: %s; check its name and the resolver",
                              failure)
               : NULL;
}

const char *up_redis_look_up(const char *host, int port, up_redis_addresses *out, apr_pool_t *p)
{
    return explain(p, look_up(host, port, 0, out));
}

up_redis_resolver *up_redis_resolver_create(apr_pool_t *p, const up_redis_settings *settings)
{
    up_redis_resolver *resolver = apr_pcalloc(p, sizeof(*resolver));

    if (apr_thread_mutex_create(&resolver->mutex, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS ||
        apr_thread_cond_create(&resolver->done, p) != APR_SUCCESS)
        return NULL;
    if (settings->path) {
        set_path(&resolver->known, settings->path);
        return resolver;
    }
    resolver->port = settings->port;
    if (look_up(settings->host, settings->port, AI_NUMERICHOST, &resolver->known) != NULL)
        resolver->host = settings->host;
    return resolver;
}

/** Looks the name up, outside of the lock, which it takes again. */
static void refresh(up_redis_resolver *resolver)
{
    up_redis_addresses found;
    const char *failure;

    resolver->busy = 1;
    apr_thread_mutex_unlock(resolver->mutex);
    failure = look_up(resolver->host, resolver->port, 0, &found);
    apr_thread_mutex_lock(resolver->mutex);
    resolver->busy = 0;
    resolver->failure = failure;
    /* A name server that is out of order does not make a server unknown that was known. */
    if (!failure)
        resolver->known = found;
    resolver->since = up_clock();
    apr_thread_cond_broadcast(resolver->done);
}

const char *up_redis_resolve(up_redis_resolver *resolver, apr_time_t deadline,
                             up_redis_addresses *out, apr_pool_t *p)
{
    apr_time_t now = up_clock();
    const char *failure = NULL;

    if (!resolver->host) {
        *out = resolver->known;
        return NULL;
    }
    apr_thread_mutex_lock(resolver->mutex);
    if (!resolver->busy && (!resolver->since || now - resolver->since > FRESH))
        refresh(resolver);
    while (resolver->busy && !resolver->known.count && (now = up_clock()) < deadline)
        apr_thread_cond_timedwait(resolver->done, resolver->mutex, deadline - now);
    *out = resolver->known;
    if (!out->count)
        failure = resolver->busy ? "the look-up of its name hangs" : resolver->failure;
    apr_thread_mutex_unlock(resolver->mutex);
    return explain(p, failure);
}
