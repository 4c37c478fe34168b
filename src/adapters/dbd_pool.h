/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The database connections of a child process, borrowed from mod_dbd and
 * lent to one request at a time, never for longer than a statement.
 *
 * mod_dbd opens connections and owns them; here they wait between statements.
 * This stands in front of mod_dbd because its own pool waits for ever when it
 * is exhausted, and opens a connection under the lock that everybody needs:
 * here waiting is bounded, and one thread at a time goes to mod_dbd. For the same
 * reason contracts that mod_dbd gives one pool of its own share theirs here: else
 * what lies idle in one would be waited for in another.
 */
#ifndef UP_DBD_POOL_H
#define UP_DBD_POOL_H

#include "core/problem.h"

#include <apr_dbd.h>
#include <apr_hash.h>
#include <httpd.h>
#include <mod_dbd.h>

typedef struct up_dbd_settings {
    server_rec *server;           /* whose DBD directives hold */
    const char *database;         /* what they say: pools of one child that are equal in this
                                     share their connections; NULL: this one is alone */
    int connections;              /* most at a time in a child; not above DBDMax. Of pools that
                                     share, the largest number holds for all. */
    apr_interval_time_t wait;     /* for a free connection */
    apr_interval_time_t deadline; /* for a statement */
    /* mod_dbd's functions, which it exports as optional ones */
    ap_dbd_t *(*open)(apr_pool_t *p, server_rec *s);
    void (*close)(server_rec *s, ap_dbd_t *rec);
} up_dbd_settings;

/** A borrowed connection. It belongs to the thread that acquired it. */
typedef struct up_dbd_connection {
    ap_dbd_t *rec;
    apr_pool_t *pool;             /* lives as long as the connection */
    apr_hash_t *prepared;         /* names of the statements that it has prepared */
    apr_interval_time_t deadline; /* what the session's settings were made for; 0: not yet */
    int broken;                   /* to be connected anew before it is used again */
} up_dbd_connection;

typedef struct up_dbd_pool up_dbd_pool;

/**
 * Makes a pool; no connection yet. Not safe among threads: for child_init.
 * @param p the child's own pool, not a subpool of it: connections go back to
 *        mod_dbd in its pre-cleanup, before mod_dbd's own pools are destroyed.
 * @return NULL where the system has no mutex left.
 */
up_dbd_pool *up_dbd_pool_create(apr_pool_t *p, const up_dbd_settings *settings);

const up_dbd_settings *up_dbd_pool_settings(const up_dbd_pool *pool);

/**
 * Borrows a connection, waiting for at most settings->wait (and, where a new
 * one has to be opened, the driver's own time for connecting). A broken one is
 * connected anew first.
 * @param p the request's pool, for the problem.
 * @return NULL, or SERVICE_UNAVAILABLE.
 */
up_problem *up_dbd_acquire(up_dbd_pool *pool, apr_pool_t *p, up_dbd_connection **connection);

/** Has the driver connect again, in place and within its own connect_timeout.
 *  @return NULL, or SERVICE_UNAVAILABLE: the connection is then marked broken. */
up_problem *up_dbd_renew(apr_pool_t *p, up_dbd_connection *connection);

/** Gives it back. One that is marked broken is kept for the last. */
void up_dbd_release(up_dbd_pool *pool, up_dbd_connection *connection);

#endif
