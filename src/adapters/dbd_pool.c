/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dbd_pool.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

struct up_dbd_pool {
    up_dbd_settings settings;
    apr_pool_t *own; /* for mod_dbd, used by the thread that is opening only */
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *changed;
    up_dbd_connection **idle; /* a stack of idle_count, with room for settings.connections */
    int idle_count;
    int open;    /* connections that exist, lent or idle */
    int opening; /* a thread is with mod_dbd */
};

const up_dbd_settings *up_dbd_pool_settings(const up_dbd_pool *pool)
{
    return &pool->settings;
}

/* Idle at the end of the child: no thread is left that could hold one. */
static apr_status_t close_all(void *data)
{
    up_dbd_pool *pool = data;

    while (pool->idle_count > 0)
        pool->settings.close(pool->settings.server, pool->idle[--pool->idle_count]->rec);
    return APR_SUCCESS;
}

up_dbd_pool *up_dbd_pool_create(apr_pool_t *p, const up_dbd_settings *settings)
{
    up_dbd_pool *pool = apr_pcalloc(p, sizeof(*pool));

    pool->settings = *settings;
    apr_pool_create(&pool->own, p);
    pool->idle = apr_pcalloc(p, (apr_size_t)settings->connections * sizeof(void *));
    if (apr_thread_mutex_create(&pool->lock, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS ||
        apr_thread_cond_create(&pool->changed, p) != APR_SUCCESS)
        return NULL;
    apr_pool_pre_cleanup_register(p, pool, close_all);
    return pool;
}

/* mod_dbd has logged why it could not connect. */
static up_problem *unreachable(apr_pool_t *p)
{
    return up_problem_logged(p, UP_SERVICE_UNAVAILABLE,
                             "no connection to the database: see mod_dbd's line before this one, "
                             "the server's state and DBDParams");
}

static up_dbd_connection *open_one(up_dbd_pool *pool)
{
    ap_dbd_t *rec = pool->settings.open(pool->own, pool->settings.server);
    up_dbd_connection *connection;

    if (!rec)
        return NULL;
    connection = apr_pcalloc(rec->pool, sizeof(*connection));
    connection->rec = rec;
    connection->pool = rec->pool;
    connection->prepared = apr_hash_make(rec->pool);
    return connection;
}

/* One thread opens while the others wait for what comes back, or for their time. */
static up_problem *open_alone(up_dbd_pool *pool, apr_pool_t *p, up_dbd_connection **connection)
{
    pool->opening = 1;
    pool->open++;
    apr_thread_mutex_unlock(pool->lock);
    *connection = open_one(pool);
    apr_thread_mutex_lock(pool->lock);
    pool->opening = 0;
    if (!*connection)
        pool->open--;
    apr_thread_cond_broadcast(pool->changed);
    return *connection ? NULL : unreachable(p);
}

static up_problem *take(up_dbd_pool *pool, apr_pool_t *p, up_dbd_connection **connection)
{
    apr_time_t end = apr_time_now() + pool->settings.wait;

    for (;;) {
        apr_interval_time_t left;

        if (pool->idle_count > 0) {
            *connection = pool->idle[--pool->idle_count];
            return NULL;
        }
        if (pool->open < pool->settings.connections && !pool->opening)
            return open_alone(pool, p, connection);
        left = end - apr_time_now();
        if (left <= 0)
            return up_problem_logged(p, UP_SERVICE_UNAVAILABLE,
                                     "no database connection became free within %d ms: all %d are "
                                     "in use or one is being opened; look for slow statements, or "
                                     "raise UserProfileConnections and DBDMax",
                                     (int)apr_time_as_msec(pool->settings.wait),
                                     pool->settings.connections);
        apr_thread_cond_timedwait(pool->changed, pool->lock, left);
    }
}

up_problem *up_dbd_renew(apr_pool_t *p, up_dbd_connection *connection)
{
    const ap_dbd_t *rec = connection->rec;

    apr_hash_clear(connection->prepared);
    connection->ready = 0;
    connection->broken = apr_dbd_check_conn(rec->driver, p, rec->handle) != APR_SUCCESS;
    if (connection->broken)
        return up_problem_logged(p, UP_SERVICE_UNAVAILABLE,
                                 "the database does not take connections: %s",
                                 apr_dbd_error(rec->driver, rec->handle, 0));
    return NULL;
}

up_problem *up_dbd_acquire(up_dbd_pool *pool, apr_pool_t *p, up_dbd_connection **connection)
{
    up_problem *problem;

    apr_thread_mutex_lock(pool->lock);
    problem = take(pool, p, connection);
    apr_thread_mutex_unlock(pool->lock);
    if (!problem && (*connection)->broken) {
        problem = up_dbd_renew(p, *connection);
        if (problem)
            up_dbd_release(pool, *connection);
    }
    return problem;
}

/* A broken one goes to the bottom of the stack, so that the good ones are used first. */
void up_dbd_release(up_dbd_pool *pool, up_dbd_connection *connection)
{
    int at;

    apr_thread_mutex_lock(pool->lock);
    at = pool->idle_count++;
    if (connection->broken) {
        for (; at > 0; at--)
            pool->idle[at] = pool->idle[at - 1];
    }
    pool->idle[at] = connection;
    apr_thread_cond_signal(pool->changed);
    apr_thread_mutex_unlock(pool->lock);
}
