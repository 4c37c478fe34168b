/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dbd_pool.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <string.h>

/* The connections of one pool of mod_dbd's. */
typedef struct connections {
    up_dbd_settings settings; /* of the first contract that has them */
    apr_pool_t *own;          /* for mod_dbd, used by the thread that is opening only */
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *changed;
    up_dbd_connection **idle; /* a stack of idle_count, with room for most */
    int idle_count;
    int most;    /* that may be open */
    int open;    /* connections that exist, lent or idle */
    int opening; /* a thread is with mod_dbd */
} connections;

/* One contract's way to them. */
struct up_dbd_pool {
    up_dbd_settings settings;
    connections *shared;
};

const up_dbd_settings *up_dbd_pool_settings(const up_dbd_pool *pool)
{
    return &pool->settings;
}

/* Idle at the end of the child, all of them: no thread is left that could hold one,
 * the sweeper's neither. mod_dbd's list ends the process where one is not. */
static apr_status_t close_all(void *data)
{
    connections *shared = data;

    while (shared->idle_count > 0)
        shared->settings.close(shared->settings.server, shared->idle[--shared->idle_count]->rec);
    return APR_SUCCESS;
}

static connections *make_connections(apr_pool_t *p, const up_dbd_settings *settings)
{
    connections *shared = apr_pcalloc(p, sizeof(*shared));

    shared->settings = *settings;
    if (apr_pool_create(&shared->own, p) != APR_SUCCESS ||
        apr_thread_mutex_create(&shared->lock, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS ||
        apr_thread_cond_create(&shared->changed, p) != APR_SUCCESS)
        return NULL;
    apr_pool_pre_cleanup_register(p, shared, close_all);
    return shared;
}

/* Those that another contract of this child has made already, or new ones. */
static connections *find_connections(apr_pool_t *p, const up_dbd_settings *settings)
{
    const char *key;
    void *found = NULL;

    if (!settings->database)
        return make_connections(p, settings);
    key = apr_pstrcat(p, "userprofile_dbd:", settings->database, NULL);
    apr_pool_userdata_get(&found, key, p);
    if (!found) {
        found = make_connections(p, settings);
        apr_pool_userdata_setn(found, key, NULL, p);
    }
    return found;
}

static void make_room(connections *shared, apr_pool_t *p, int most)
{
    up_dbd_connection **idle;

    if (most <= shared->most)
        return;
    idle = apr_pcalloc(p, sizeof(*idle) * (apr_size_t)most);
    if (shared->idle_count)
        memcpy(idle, shared->idle, sizeof(*idle) * (apr_size_t)shared->idle_count);
    shared->idle = idle;
    shared->most = most;
}

up_dbd_pool *up_dbd_pool_create(apr_pool_t *p, const up_dbd_settings *settings)
{
    up_dbd_pool *pool = apr_pcalloc(p, sizeof(*pool));

    pool->settings = *settings;
    pool->shared = find_connections(p, settings);
    if (!pool->shared)
        return NULL;
    make_room(pool->shared, p, settings->connections);
    return pool;
}

/* mod_dbd has logged why it could not connect. */
static up_problem *unreachable(apr_pool_t *p)
{
    return up_problem_logged(p, UP_SERVICE_UNAVAILABLE,
                             "no connection to the database: see mod_dbd's line before this one, "
                             "the server's state and DBDParams");
}

static up_dbd_connection *open_one(connections *shared)
{
    ap_dbd_t *rec = shared->settings.open(shared->own, shared->settings.server);
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
static up_problem *open_alone(connections *shared, apr_pool_t *p, up_dbd_connection **connection)
{
    shared->opening = 1;
    shared->open++;
    apr_thread_mutex_unlock(shared->lock);
    *connection = open_one(shared);
    apr_thread_mutex_lock(shared->lock);
    shared->opening = 0;
    if (!*connection)
        shared->open--;
    apr_thread_cond_broadcast(shared->changed);
    return *connection ? NULL : unreachable(p);
}

static up_problem *take(up_dbd_pool *pool, apr_pool_t *p, up_dbd_connection **connection)
{
    connections *shared = pool->shared;
    apr_time_t end = apr_time_now() + pool->settings.wait;

    for (;;) {
        apr_interval_time_t left;

        if (shared->idle_count > 0) {
            *connection = shared->idle[--shared->idle_count];
            return NULL;
        }
        if (shared->open < shared->most && !shared->opening)
            return open_alone(shared, p, connection);
        left = end - apr_time_now();
        if (left <= 0)
            return up_problem_logged(p, UP_SERVICE_UNAVAILABLE,
                                     "no database connection became free within %d ms: all %d are "
                                     "in use or one is being opened; look for slow statements, or "
                                     "raise UserProfileConnections and DBDMax",
                                     (int)apr_time_as_msec(pool->settings.wait), shared->most);
        apr_thread_cond_timedwait(shared->changed, shared->lock, left);
    }
}

up_problem *up_dbd_renew(apr_pool_t *p, up_dbd_connection *connection)
{
    const ap_dbd_t *rec = connection->rec;

    apr_hash_clear(connection->prepared);
    connection->deadline = 0;
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

    apr_thread_mutex_lock(pool->shared->lock);
    problem = take(pool, p, connection);
    apr_thread_mutex_unlock(pool->shared->lock);
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
    connections *shared = pool->shared;
    int at;

    apr_thread_mutex_lock(shared->lock);
    at = shared->idle_count++;
    if (connection->broken) {
        for (; at > 0; at--)
            shared->idle[at] = shared->idle[at - 1];
    }
    shared->idle[at] = connection;
    apr_thread_mutex_unlock(shared->lock);
    /* Now that it is free: whoever wakes up wants the lock first. */
    apr_thread_cond_signal(shared->changed);
}
