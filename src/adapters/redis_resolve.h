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

/** Now in microseconds on a clock that nobody sets (CLOCK_MONOTONIC); deadlines are
 *  such times. */
apr_time_t up_redis_now(void);

/** Makes a resolver, thread safe, in p. @return NULL where the system has no lock left. */
up_redis_resolver *up_redis_resolver_create(apr_pool_t *p, const up_redis_settings *settings);

/**
 * @param out at least one address, where NULL is returned.
 * @param deadline how long to wait for another thread's look-up. The thread that
 *        looks a name up itself waits as long as the system's resolver does.
 * @return NULL, or a sentence (static) for the log.
 */
const char *up_redis_resolve(up_redis_resolver *resolver, apr_time_t deadline,
                             up_redis_addresses *out);

#endif
