/* SPDX-License-Identifier: Apache-2.0 */

/**
 * One connection to a Redis server: opened, asked and closed within deadlines.
 *
 * The protocol is hiredis' work (redisFormatCommandArgv, redisReader); the
 * socket is ours, as hiredis' own blocking connection bounds each read and not
 * the command, tries one address only, and is inherited by what httpd executes.
 * The socket does not block, is closed on exec, and raises no SIGPIPE.
 *
 * A link is used by one thread at a time. Deadlines are times of up_clock().
 */
#ifndef UP_REDIS_LINK_H
#define UP_REDIS_LINK_H

#include "adapters/redis_resolve.h"
#include "adapters/redis_url.h"

#include <hiredis/hiredis.h>

/** The largest reply that is read, in bytes and in elements of an array. */
#define UP_REDIS_REPLY_MAX ((apr_size_t)4 * 1024 * 1024)
#define UP_REDIS_ELEMENTS_MAX (64 * 1024)

typedef struct up_redis_link {
    int fd;                /* -1: not connected */
    redisReader *reader;   /* NULL: not connected */
    int reused;            /* it was open before it was borrowed, so it may be stale */
    int broken;            /* dead, or out of step with its replies: never to be asked again */
    int master;            /* which of the masters that sentinels named; 0: no sentinel did */
    up_redis_address peer; /* where it leads to */
    apr_size_t partial;    /* bytes read of a reply that is not complete yet */
    redisReplyObjectFunctions functions; /* the reader's, with a limit on arrays */
} up_redis_link;

/** A command: its name and its arguments, as bytes, never as a format. */
typedef struct up_redis_command {
    int argc;
    const char **argv;
    const size_t *lens; /* of each of argv; NULL where they are NUL-terminated */
} up_redis_command;

/**
 * Connects to one of the addresses, and sends AUTH and SELECT where the settings ask for them.
 * @param link not connected; connected where NULL is returned.
 * @return NULL, or for the log what failed, why, and what to do; in p.
 */
const char *up_redis_link_open(up_redis_link *link, const up_redis_addresses *addresses,
                               const up_redis_settings *settings, apr_time_t deadline,
                               apr_pool_t *p);

/** Closes it, where it is open. */
void up_redis_link_close(up_redis_link *link);

/** Is an idle link still open and in step? 0 where the server has closed it or has
 *  said something unasked. A dead one that does not know it yet passes. */
int up_redis_link_is_alive(const up_redis_link *link);

/**
 * Sends a command and waits for its reply. On a link to a master, an error which says that it
 * is none, or may soon be none, breaks the link.
 * @param wrong set where NULL is returned: as up_redis_link_open() says it. The
 *        link is then broken.
 * @return the reply, to be freed with freeReplyObject(); it may be an error's
 *         (REDIS_REPLY_ERROR).
 */
redisReply *up_redis_link_ask(up_redis_link *link, const up_redis_command *command,
                              apr_time_t deadline, const char **wrong, apr_pool_t *p);

/**
 * Sends a command and waits for no reply: what comes is up_redis_link_next()'s.
 * @return NULL, or what failed, as up_redis_link_open() says it. The link is then broken.
 */
const char *up_redis_link_send(up_redis_link *link, const up_redis_command *command,
                               apr_time_t deadline, apr_pool_t *p);

/**
 * The next of the replies that have come, without waiting for one.
 * @param wrong set where NULL is returned: NULL where no reply is complete yet (link->partial
 *        says whether one has begun), or as up_redis_link_open() says it. The link is then broken.
 * @return the reply, to be freed with freeReplyObject().
 */
redisReply *up_redis_link_next(up_redis_link *link, const char **wrong, apr_pool_t *p);

/** What an error reply (REDIS_REPLY_ERROR) to a command says, for the log, as up_redis_complaint()
 *  does, without what to do. */
const char *up_redis_quote(apr_pool_t *p, const redisReply *reply, const up_redis_command *command);

/**
 * An error reply (REDIS_REPLY_ERROR) for the log: its code, its text, and what
 * to do. Redis repeats arguments in some errors ("unknown command"), and they
 * are secrets: so the text is cut at the first quotation and the first argument.
 */
const char *up_redis_complaint(apr_pool_t *p, const redisReply *reply,
                               const up_redis_command *command);

#endif
