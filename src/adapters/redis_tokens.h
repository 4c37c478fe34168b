/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The token store on a Redis server, or on the master that sentinels know of (4.0 or later; no
 * cluster).
 *
 *   is_revoked       EXISTS {blacklist_prefix}{jti}, where redis_tracking does not know
 *   revoke           SET {blacklist_prefix}{jti} 1 EX {ttl}
 *   revoke_sessions  SCAN … MATCH, UNLINK {refresh_prefix}{subject}{refresh_separator}*
 *                    or, where there is an index: SSCAN, UNLINK, SREM {index_prefix}{subject}
 *
 * The index of a subject is a set of what its keys have after the separator. Whoever writes the
 * keys keeps it; with it a revocation takes no longer however many keys of others there are.
 *
 * Where settings->replicas is not 0, what was written has to be on so many replicas (WAIT): else
 * it is a problem, and the caller's to repeat, as a failover could lose it.
 *
 * A Redis user needs these commands, SELECT where a database is named, ROLE with sentinels, WAIT
 * with replicas, and with an index SSCAN and SREM instead of SCAN; the last five are
 * redis_tracking's:
 *   ACL SETUSER httpd on >password ~blacklisted_access_token:* ~refresh_token:*
 *   +exists +set +scan +unlink +select +role +wait
 *   +client|id +client|tracking +subscribe +ping &__redis__:invalidate
 * Where Redis is down, hangs or complains, the problem is SERVICE_UNAVAILABLE;
 * its log names the server, the command, the error and what to do, and no key
 * or password. A connection that was idle may be stale, so a command that
 * fails on it is done once more on a new one, within the same deadline; each
 * of them is idempotent.
 *
 * All keys below {refresh_prefix}{subject}{refresh_separator} are the subject's.
 * So where one subject is another's beginning up to a separator ("a@x" and
 * "a@x:b@y"), the first one's revocation takes the second's sessions along,
 * never the other way round; an address or a UUID has no such colon.
 *
 * Signals: nothing here raises SIGPIPE, so whether the process ignores it (as
 * httpd does) does not matter.
 */
#ifndef UP_REDIS_TOKENS_H
#define UP_REDIS_TOKENS_H

#include "adapters/redis_tracking.h"
#include "adapters/redis_url.h"
#include "ports/token_store.h"

/** The longest time that a jti is blacklisted for, in seconds; what is longer is
 *  cut, as Redis counts in milliseconds and refuses what it cannot count. */
#define UP_REDIS_TTL_MAX APR_INT64_C(100000000000)

/**
 * Makes a token store. It connects when it is first asked; its connections are
 * closed by the cleanup of child_pool.
 * @param child_pool the child process's: call it after fork, in child init.
 * @param settings from up_redis_parse(); copied, but its strings must live as
 *        long as child_pool.
 * @param tracking of the same server and prefix, as what is known need not be asked; or NULL:
 *        each is_revoked asks.
 * @return the store, for all threads at once; NULL where the system has no lock left.
 *
 * A call of is_revoked or revoke takes at most settings->timeout;
 * revoke_sessions at most settings->scan_timeout, after which it is a problem
 * even where some sessions are revoked already: the caller repeats it. Only
 * the look-up of a host's name, a master's too, may take longer (see redis_resolve.h).
 */
up_token_store *up_redis_tokens_create(apr_pool_t *child_pool, const up_redis_settings *settings,
                                       up_redis_tracking *tracking);

#endif
