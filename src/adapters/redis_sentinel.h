/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The master of a Redis that sentinels watch: where it is, and connections to it.
 *
 * The sentinels are asked one after the other (SENTINEL get-master-addr-by-name),
 * beginning with the one that answered last. Each has its share of the time that
 * is left, so that a dead one does not cost the others theirs. Whom it names has
 * to say by itself that it is a master (ROLE), on each new connection: a sentinel
 * may not know yet that it was demoted.
 *
 * A master is believed to be one until a connection to it fails, it answers as
 * none does (READONLY and the like), or a sentinel names another, which one of
 * them is asked for once a second. Then no connection to it is used again, and
 * nobody is a master until a sentinel has named one that says so. Where no
 * sentinel answers, the connections that there are go on.
 *
 * For all threads at once: one asks, the others wait for what it learns. A master
 * that is announced by its name is looked up as long as the system's resolver
 * takes (see redis_resolve.h). Deadlines are times of up_clock().
 */
#ifndef UP_REDIS_SENTINEL_H
#define UP_REDIS_SENTINEL_H

#include "adapters/redis_link.h"

typedef struct up_redis_sentinel up_redis_sentinel;

/**
 * Asks nobody yet. Call it after fork.
 * @param p owns it.
 * @param settings with sentinels. Not copied.
 * @return NULL where the system has no lock left.
 */
up_redis_sentinel *up_redis_sentinel_create(apr_pool_t *p, const up_redis_settings *settings);

/**
 * Connects a link to the master, and sets link->master.
 * @param link not connected; connected where NULL is returned.
 * @return NULL, or for the log what failed, why, and what to do; in p.
 */
const char *up_redis_sentinel_open(up_redis_sentinel *sentinel, up_redis_link *link,
                                   apr_time_t deadline, apr_pool_t *p);

/**
 * Is this, a link's master, the master still, as far as is known? Once a second a
 * sentinel is asked, by one thread, which waits a part of the time until the deadline.
 */
int up_redis_sentinel_is_master(up_redis_sentinel *sentinel, int master, apr_time_t deadline,
                                apr_pool_t *p);

/** This, a link's master, may be none any more: whoever needs one has to ask. */
void up_redis_sentinel_doubt(up_redis_sentinel *sentinel, int master);

#endif
