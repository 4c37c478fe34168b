/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The connections of a child process to its Redis server: made when needed,
 * kept warm, bounded in number, shared by all threads.
 */
#ifndef UP_REDIS_POOL_H
#define UP_REDIS_POOL_H

#include "adapters/redis_link.h"

typedef struct up_redis_pool up_redis_pool;

/**
 * Makes a pool without any connection. Call it after fork.
 * @param p owns it; its cleanup closes the idle connections, so no thread may
 *        have one then.
 * @param settings max_connections, 1 or more, is the bound. Not copied.
 * @return NULL where the system has no lock left.
 */
up_redis_pool *up_redis_pool_create(apr_pool_t *p, const up_redis_settings *settings);

/**
 * Borrows a connection: the idle one that was used last, else a new one; where
 * there are as many as there may be, the first that is returned in time.
 * @param link where NULL is returned, to be given back by up_redis_pool_return().
 * @param deadline of up_clock().
 * @return NULL, or for the log what failed, why and what to do; in p.
 */
const char *up_redis_pool_borrow(up_redis_pool *pool, up_redis_link **link, apr_time_t deadline,
                                 apr_pool_t *p);

/**
 * Replaces a borrowed connection, which turned out to be stale, by a new one.
 * @return as up_redis_pool_borrow(); the link is to be given back in any case.
 */
const char *up_redis_pool_renew(up_redis_pool *pool, up_redis_link *link, apr_time_t deadline,
                                apr_pool_t *p);

/** Gives a borrowed connection back. A broken one is closed, and where it had been
 *  idle before, so are those that are idle now: what made it stale made them stale. */
void up_redis_pool_return(up_redis_pool *pool, up_redis_link *link);

#endif
