/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The addresses of a Redis server, so that a name server that hangs does not
 * hang every thread.
 *
 * An address or a socket's path is read once and costs nothing. A name is
 * looked up by the system's resolver, whose waits (resolv.conf: timeout,
 * attempts) cannot be bounded by a caller: so one thread at a time looks it up,
 * and the others go on with what is known, or give up in time where nothing is.
 */
#ifndef UP_REDIS_RESOLVE_H
#define UP_REDIS_RESOLVE_H

#include "adapters/clock.h"
#include "adapters/redis_url.h"

#include <sys/socket.h>

/** How many of a name's addresses are tried. */
#define UP_REDIS_ADDRESSES 8

typedef struct up_redis_address {
    socklen_t len;
    struct sockaddr_storage storage;
} up_redis_address;

typedef struct up_redis_addresses {
    int count;
    up_redis_address entries[UP_REDIS_ADDRESSES];
} up_redis_addresses;

typedef struct up_redis_resolver up_redis_resolver;

/** The time until a deadline shared among so many steps: when the next of them is to be done. */
apr_time_t up_redis_share(apr_time_t deadline, int steps);

/** Makes a resolver, thread safe, in p. @return NULL where the system has no lock left. */
up_redis_resolver *up_redis_resolver_create(apr_pool_t *p, const up_redis_settings *settings);

/**
 * Looks a name up, or reads an address, as long as the system's resolver takes.
 * @param port 1 to 65535.
 * @param out at least one address, where NULL is returned.
 * @return NULL, or for the log what failed and what to do; in p.
 */
const char *up_redis_look_up(const char *host, int port, up_redis_addresses *out, apr_pool_t *p);

/**
 * @param out at least one address, where NULL is returned.
 * @param deadline how long to wait for another thread's look-up. The thread that
 *        looks a name up itself waits as long as the system's resolver does.
 * @return as up_redis_look_up().
 */
const char *up_redis_resolve(up_redis_resolver *resolver, apr_time_t deadline,
                             up_redis_addresses *out, apr_pool_t *p);

#endif
