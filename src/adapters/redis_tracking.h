/* SPDX-License-Identifier: Apache-2.0 */

/**
 * No question where the answer is known: Redis tells a child process which of the keys
 * below a prefix change (CLIENT TRACKING), so that a key that was not there need not be
 * asked for again until then.
 *
 * One connection for each server of a child, owned by a thread of its own, which begins
 * with the first question. In RESP2, which is all that hiredis 0.14 knows, Redis sends
 * what has changed to a connection that has subscribed to __redis__:invalidate:
 *
 *   CLIENT ID
 *   CLIENT TRACKING ON REDIRECT {that id} BCAST PREFIX {prefix}
 *   SUBSCRIBE __redis__:invalidate
 *   PING {number}          every UP_REDIS_PING_INTERVAL
 *
 * It is the same connection for all: with two, the one that tracks could end, or lead to
 * another server behind the same name, and the one that listens would look well and hear
 * nothing. In this mode Redis tells of keys in any of its databases, which causes a
 * question more at most.
 *
 * What is known counts only while the link is up: while a PING was answered that was
 * sent within the last UP_REDIS_PING_TRUST. It is answered on the same connection, so
 * after all that was told before it. And not while something has arrived that was not
 * understood yet: a request looks at the socket itself, and so does not depend on when
 * the thread is given its turn. So a revocation counts
 *
 *   - that a client of this httpd was told of, in each child from then on: whoever
 *     revokes counts the change in shared memory (see redis_answers.h) when Redis has
 *     acknowledged it, and before the client is answered. It is counted as well where
 *     Redis did not acknowledge it, as it may have done it; what is then done later,
 *     from the journal, is counted when it is done;
 *   - that somebody else has made, as soon as word of it has come to this machine;
 *   - in any case within UP_REDIS_PING_TRUST, or the key is asked for as ever: of the server that
 *     the link leads to. Where a name, or a proxy, leads to another one from now on and the old
 *     one lives on by itself, what is known is believed for UP_REDIS_ANSWER_LIFE; with sentinels
 *     that cannot be.
 *
 * A link that is lost, for whatever reason, begins a new era: nothing of what was known
 * before counts any more. The reasons: the connection ended, a PING was not answered in
 * time, Redis said what makes no sense here, or the sentinels name another master, one
 * of which is asked once a second. Nor is an answer kept that came from another address
 * than the link's. A request that finds something wrong with its own connection doubts
 * the link, which then has to answer a new PING first.
 *
 * Where Redis does not do this (before 6.0; a user without the rights; a proxy) that is
 * told once, is tried again every UP_REDIS_REFUSED_PAUSE, and each key is asked for.
 *
 * A child that is asked nothing for a while (settings.idle) sends no PING, until it is.
 */
#ifndef UP_REDIS_TRACKING_H
#define UP_REDIS_TRACKING_H

#include "adapters/redis_answers.h"
#include "adapters/redis_link.h"

#define UP_REDIS_PING_INTERVAL apr_time_from_msec(250)
#define UP_REDIS_PING_TRUST apr_time_from_sec(1)
#define UP_REDIS_REFUSED_PAUSE apr_time_from_sec(60)

/** settings.idle, where nothing else is needed. */
#define UP_REDIS_IDLE apr_time_from_sec(10)

typedef struct up_redis_tracking up_redis_tracking;

typedef struct up_redis_tracking_settings {
    const up_redis_settings *redis; /* the server, and the prefix of keys. Not copied */
    up_redis_changes *changes;      /* shared by all children of an httpd */
    apr_interval_time_t idle;       /* without a question for so long, it need not be up */

    /* Takes a line when the link is up, is lost, or, loud, is refused. By its thread. */
    void (*tell)(void *baton, int loud, const char *line);
    void *baton;
} up_redis_tracking_settings;

/**
 * Connects to nothing yet.
 * @param child_pool the child process's: call it after fork. Before anything else of it is
 *        cleaned up the thread is ended, which takes as long as connecting may at most,
 *        and as looking up a name, which only the system's resolver bounds.
 * @param settings copied; what it points to must live as long as child_pool.
 * @return NULL where the system has no memory, locks or random bytes left.
 */
up_redis_tracking *up_redis_tracking_create(apr_pool_t *child_pool,
                                            const up_redis_tracking_settings *settings);

/** What is known of a key, between asking and the answer. */
typedef struct up_redis_check {
    int usable; /* the answer may be kept */
    up_redis_question question;
} up_redis_check;

/**
 * Is it known that the key is not there? Takes no lock, and no time worth mentioning.
 * @param check where 0 is returned: for up_redis_tracking_keep(). Call this before the
 *        question is sent.
 */
int up_redis_tracking_knows(up_redis_tracking *tracking, const char *key, up_redis_check *check);

/** Redis has answered, by this link, that the key is not there. */
void up_redis_tracking_keep(up_redis_tracking *tracking, const up_redis_check *check,
                            const up_redis_link *link);

/** This httpd has written the key, or may have. Call it before a client is told. */
void up_redis_tracking_note(up_redis_tracking *tracking, const char *key);

/** Something is wrong with another connection to the same server. */
void up_redis_tracking_doubt(up_redis_tracking *tracking);

#endif
