/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/redis_pool.h"

#include "adapters/redis_sentinel.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

struct up_redis_pool {
    const up_redis_settings *settings;
    up_redis_resolver *resolver; /* of the one server; NULL where sentinels know which it is */
    up_redis_sentinel *sentinel; /* or else NULL */
    apr_thread_mutex_t *mutex;   /* guards the two stacks */
    apr_thread_cond_t *returned; /* signalled when a stack gets longer */
    up_redis_link **idle;        /* connected, the one used last on top */
    int idle_count;
    up_redis_link **vacant; /* not connected */
    int vacant_count;
};

static apr_status_t close_all(void *data)
{
    up_redis_pool *pool = data;

    while (pool->idle_count)
        up_redis_link_close(pool->idle[--pool->idle_count]);
    return APR_SUCCESS;
}

up_redis_pool *up_redis_pool_create(apr_pool_t *p, const up_redis_settings *settings)
{
    up_redis_pool *pool = apr_pcalloc(p, sizeof(*pool));
    apr_size_t max = (apr_size_t)settings->max_connections;
    up_redis_link *links = apr_pcalloc(p, max * sizeof(*links));

    pool->settings = settings;
    if (settings->sentinels)
        pool->sentinel = up_redis_sentinel_create(p, settings);
    else
        pool->resolver = up_redis_resolver_create(p, settings);
    if ((!pool->resolver && !pool->sentinel) ||
        apr_thread_mutex_create(&pool->mutex, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS ||
        apr_thread_cond_create(&pool->returned, p) != APR_SUCCESS)
        return NULL;
    pool->idle = apr_pcalloc(p, max * sizeof(up_redis_link *));
    pool->vacant = apr_pcalloc(p, max * sizeof(up_redis_link *));
    for (apr_size_t i = 0; i < max; i++) {
        links[i].fd = -1;
        pool->vacant[pool->vacant_count++] = &links[i];
    }
    /* On exec the sockets close by themselves. */
    apr_pool_cleanup_register(p, pool, close_all, apr_pool_cleanup_null);
    return pool;
}

static const char *open_link(up_redis_pool *pool, up_redis_link *link, apr_time_t deadline,
                             apr_pool_t *p)
{
    up_redis_addresses addresses;
    const char *wrong;

    if (pool->sentinel)
        return up_redis_sentinel_open(pool->sentinel, link, deadline, p);
    wrong = up_redis_resolve(pool->resolver, deadline, &addresses, p);
    return wrong ? wrong : up_redis_link_open(link, &addresses, pool->settings, deadline, p);
}

/** Something is wrong with a link that was good: what it leads to may be no master any more. */
static void doubt(up_redis_pool *pool, const up_redis_link *link)
{
    if (pool->sentinel)
        up_redis_sentinel_doubt(pool->sentinel, link->master);
}

/** Can an idle link be asked? */
static int is_usable(up_redis_pool *pool, const up_redis_link *link, apr_time_t deadline,
                     apr_pool_t *p)
{
    if (up_redis_link_is_alive(link))
        return !pool->sentinel ||
               up_redis_sentinel_is_master(pool->sentinel, link->master, deadline, p);
    doubt(pool, link);
    return 0;
}

/** A link from one of the stacks, NULL where none was returned in time. */
static up_redis_link *take(up_redis_pool *pool, apr_time_t deadline)
{
    up_redis_link *link = NULL;
    apr_time_t now;

    apr_thread_mutex_lock(pool->mutex);
    while (!pool->idle_count && !pool->vacant_count && (now = up_clock()) < deadline)
        apr_thread_cond_timedwait(pool->returned, pool->mutex, deadline - now);
    if (pool->idle_count)
        link = pool->idle[--pool->idle_count];
    else if (pool->vacant_count)
        link = pool->vacant[--pool->vacant_count];
    apr_thread_mutex_unlock(pool->mutex);
    return link;
}

static void close_idle(up_redis_pool *pool)
{
    apr_thread_mutex_lock(pool->mutex);
    while (pool->idle_count) {
        up_redis_link *link = pool->idle[--pool->idle_count];

        up_redis_link_close(link);
        pool->vacant[pool->vacant_count++] = link;
    }
    apr_thread_mutex_unlock(pool->mutex);
}

/** Closes a broken link. Where it was stale, so are the idle ones, which are as old:
 *  else each of them would cost a request its whole time. */
static void discard(up_redis_pool *pool, up_redis_link *link)
{
    doubt(pool, link);
    if (link->reused)
        close_idle(pool);
    up_redis_link_close(link);
}

void up_redis_pool_return(up_redis_pool *pool, up_redis_link *link)
{
    if (link->broken)
        discard(pool, link);
    apr_thread_mutex_lock(pool->mutex);
    if (link->fd >= 0)
        pool->idle[pool->idle_count++] = link;
    else
        pool->vacant[pool->vacant_count++] = link;
    apr_thread_cond_signal(pool->returned);
    apr_thread_mutex_unlock(pool->mutex);
}

const char *up_redis_pool_borrow(up_redis_pool *pool, up_redis_link **link, apr_time_t deadline,
                                 apr_pool_t *p)
{
    const char *wrong;

    while ((*link = take(pool, deadline)) != NULL) {
        if ((*link)->fd < 0) {
            wrong = open_link(pool, *link, deadline, p);
            if (wrong)
                up_redis_pool_return(pool, *link);
            return wrong;
        }
        (*link)->reused = 1;
        if (is_usable(pool, *link, deadline, p))
            return NULL;
        up_redis_link_close(*link);
        up_redis_pool_return(pool, *link);
    }
    return apr_psprintf(p,
                        "none of its %d connections became free in time; is the server slow, "
                        "or the number of connections too low?",
                        pool->settings->max_connections);
}

const char *up_redis_pool_renew(up_redis_pool *pool, up_redis_link *link, apr_time_t deadline,
                                apr_pool_t *p)
{
    discard(pool, link);
    return open_link(pool, link, deadline, p);
}
