/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/redis_tokens.h"

#include "adapters/redis_pool.h"

#include <apr_strings.h>
#include <string.h>

/** How many keys, or members of an index, Redis looks at in one step, while it serves nobody else.
 */
#define SCAN_COUNT "1000"

typedef struct redis_tokens {
    up_token_store functions; /* first: a store is one of these */
    up_redis_settings settings;
    up_redis_pool *pool;
    up_redis_tracking *tracking; /* NULL: each key is asked for */
    const char *display;
} redis_tokens;

/** What is to be done on a connection, and done again on another where that was stale. */
typedef struct operation operation;
struct operation {
    const char *(*run)(operation *op, up_redis_link *link, apr_pool_t *p);
    redis_tokens *store;
    apr_time_t deadline;  /* of all of it */
    const char *command;  /* which command it is at, for the log; NULL: it connects */
    const char *key;      /* is_revoked, revoke: the key; revoke_sessions: how the keys begin */
    const char *value;    /* revoke: seconds to live; revoke_sessions: the pattern, or the index */
    int revoked;          /* is_revoked: the answer */
    up_redis_check check; /* is_revoked: what to do with it */
    apr_int64_t removed;  /* revoke_sessions: how many keys so far */
};

/** When a single step of it, to connect or to ask, has to be done. */
static apr_time_t step_deadline(const operation *op)
{
    apr_time_t deadline = up_clock() + op->store->settings.timeout;

    return deadline < op->deadline ? deadline : op->deadline;
}

/** Asks for a reply of this type. @return NULL where there is none, or another one, or
 *  an error; *wrong then says so. */
static redisReply *ask(operation *op, up_redis_link *link, const up_redis_command *command,
                       int type, const char **wrong, apr_pool_t *p)
{
    redisReply *reply;

    op->command = command->argv[0];
    reply = up_redis_link_ask(link, command, step_deadline(op), wrong, p);
    if (!reply || reply->type == type)
        return reply;
    if (reply->type == REDIS_REPLY_ERROR) {
        *wrong = up_redis_complaint(p, reply, command);
    } else {
        link->broken = 1;
        *wrong = "an unexpected reply; is this a Redis server?";
    }
    freeReplyObject(reply);
    return NULL;
}

/** Waits until so many replicas have all that was written before. A WAIT of no replica would be
 *  answered at once, and one of 0 milliseconds never be. */
static const char *await_replicas(operation *op, up_redis_link *link, apr_pool_t *p)
{
    const int wanted = op->store->settings.replicas;
    /* Less than what there is, so that the answer comes and the connection is kept. */
    apr_time_t wait = (step_deadline(op) - up_clock()) * 3 / 4;
    const char *argv[] = {"WAIT", apr_itoa(p, wanted), NULL};
    up_redis_command command = {3, argv, NULL};
    const char *wrong = NULL;
    redisReply *reply;

    if (!wanted)
        return NULL;
    argv[2] = apr_psprintf(p, "%" APR_TIME_T_FMT, wait < 1000 ? 1 : apr_time_as_msec(wait));
    reply = ask(op, link, &command, REDIS_REPLY_INTEGER, &wrong, p);
    if (reply && reply->integer < wanted)
        wrong = apr_psprintf(p,
                             "%" APR_INT64_T_FMT
                             " of %d replicas have what was written; is one down or behind? "
                             "See replicas= of UserProfileTokenStore",
                             (apr_int64_t)reply->integer, wanted);
    freeReplyObject(reply);
    return wrong;
}

static void doubt(const redis_tokens *store)
{
    if (store->tracking)
        up_redis_tracking_doubt(store->tracking);
}

/** Runs an operation on a connection, twice where the first was stale. */
static const char *run_on_link(operation *op, apr_pool_t *p)
{
    up_redis_pool *pool = op->store->pool;
    up_redis_link *link;
    const char *wrong = up_redis_pool_borrow(pool, &link, step_deadline(op), p);

    if (wrong) {
        doubt(op->store);
        return wrong;
    }
    wrong = op->run(op, link, p);
    if (link->broken)
        doubt(op->store);
    if (wrong && link->broken && link->reused && up_clock() < op->deadline) {
        op->command = NULL;
        wrong = up_redis_pool_renew(pool, link, step_deadline(op), p);
        if (!wrong)
            wrong = op->run(op, link, p);
    }
    up_redis_pool_return(pool, link);
    return wrong;
}

static up_problem *perform(operation *op, apr_pool_t *p)
{
    const char *wrong = run_on_link(op, p);

    if (!wrong)
        return NULL;
    return up_problem_logged(p, UP_SERVICE_UNAVAILABLE, "token store %s: %s%s%s",
                             op->store->display, op->command ? op->command : "",
                             op->command ? ": " : "", wrong);
}

static const char *run_is_revoked(operation *op, up_redis_link *link, apr_pool_t *p)
{
    const char *argv[] = {"EXISTS", op->key};
    size_t lens[] = {6, strlen(op->key)};
    up_redis_command command = {2, argv, lens};
    const char *wrong;
    redisReply *reply = ask(op, link, &command, REDIS_REPLY_INTEGER, &wrong, p);

    if (!reply)
        return wrong;
    op->revoked = reply->integer != 0;
    freeReplyObject(reply);
    if (!op->revoked && op->store->tracking)
        up_redis_tracking_keep(op->store->tracking, &op->check, link);
    return NULL;
}

static up_problem *redis_is_revoked(up_token_store *self, apr_pool_t *p, const char *jti,
                                    int *revoked)
{
    redis_tokens *store = (redis_tokens *)self;
    operation op = {.run = run_is_revoked, .store = store};
    up_problem *problem;

    op.deadline = up_clock() + store->settings.timeout;
    op.key = apr_pstrcat(p, store->settings.blacklist_prefix, jti, NULL);
    if (store->tracking && up_redis_tracking_knows(store->tracking, op.key, &op.check)) {
        *revoked = 0;
        return NULL;
    }
    /* Whoever overlooks the problem must not let the token through. */
    *revoked = 1;
    problem = perform(&op, p);
    if (!problem)
        *revoked = op.revoked;
    return problem;
}

static const char *run_revoke(operation *op, up_redis_link *link, apr_pool_t *p)
{
    const char *argv[] = {"SET", op->key, "1", "EX", op->value};
    size_t lens[] = {3, strlen(op->key), 1, 2, strlen(op->value)};
    up_redis_command command = {5, argv, lens};
    const char *wrong;
    redisReply *reply = ask(op, link, &command, REDIS_REPLY_STATUS, &wrong, p);

    if (!reply)
        return wrong;
    freeReplyObject(reply);
    return await_replicas(op, link, p);
}

static up_problem *redis_revoke(up_token_store *self, apr_pool_t *p, const char *jti,
                                apr_int64_t ttl)
{
    redis_tokens *store = (redis_tokens *)self;
    operation op = {.run = run_revoke, .store = store};
    up_problem *problem;

    if (ttl < 1)
        ttl = 1;
    else if (ttl > UP_REDIS_TTL_MAX)
        ttl = UP_REDIS_TTL_MAX;
    op.deadline = up_clock() + store->settings.timeout;
    op.key = apr_pstrcat(p, store->settings.blacklist_prefix, jti, NULL);
    op.value = apr_psprintf(p, "%" APR_INT64_T_FMT, ttl);
    problem = perform(&op, p);
    /* Also where that failed: Redis may have done it all the same. */
    if (store->tracking)
        up_redis_tracking_note(store->tracking, op.key);
    return problem;
}

/** A glob that matches what begins with this text, and as good as nothing else:
 *  Redis takes a backslash and any byte for that byte. */
static const char *make_pattern(apr_pool_t *p, const char *beginning)
{
    char *pattern = apr_palloc(p, 2 * strlen(beginning) + 2), *out = pattern;

    for (const char *s = beginning; *s; s++) {
        if (strchr("*?[]\\^-", *s))
            *out++ = '\\';
        *out++ = *s;
    }
    *out++ = '*';
    *out = '\0';
    return pattern;
}

/** A command with room for these arguments more. */
static up_redis_command make_command(apr_pool_t *p, const char *name, size_t more)
{
    const char **argv = apr_palloc(p, (more + 1) * sizeof(*argv));
    size_t *lens = apr_palloc(p, (more + 1) * sizeof(*lens));

    argv[0] = name;
    lens[0] = strlen(name);
    return (up_redis_command){1, argv, lens};
}

static void add_argument(up_redis_command *command, const char *bytes, size_t len)
{
    command->argv[command->argc] = bytes;
    ((size_t *)command->lens)[command->argc++] = len;
}

/** How many keys or members it has removed, added to *removed where that is not NULL. */
static const char *ask_to_remove(operation *op, up_redis_link *link, up_redis_command *command,
                                 apr_int64_t *removed, apr_pool_t *p)
{
    const char *wrong = NULL;
    redisReply *reply = ask(op, link, command, REDIS_REPLY_INTEGER, &wrong, p);

    if (!reply)
        return wrong;
    if (removed)
        *removed += reply->integer;
    freeReplyObject(reply);
    return NULL;
}

/** Removes those of the keys that begin so byte by byte: the glob is only to
 *  spare the network, and other servers have other globs. */
static const char *unlink_keys(operation *op, up_redis_link *link, const redisReply *keys,
                               apr_pool_t *p)
{
    up_redis_command command = make_command(p, "UNLINK", keys->elements);
    size_t len = strlen(op->key);

    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];

        if (key->type == REDIS_REPLY_STRING && key->len >= len &&
            memcmp(key->str, op->key, len) == 0)
            add_argument(&command, key->str, key->len);
    }
    return command.argc > 1 ? ask_to_remove(op, link, &command, &op->removed, p) : NULL;
}

/** Removes the keys of an index's members, then these: in this order, as what is in the index
 *  no more would be found by nobody. */
static const char *unlink_members(operation *op, up_redis_link *link, const redisReply *members,
                                  apr_pool_t *p)
{
    up_redis_command unlink = make_command(p, "UNLINK", members->elements);
    up_redis_command forget = make_command(p, "SREM", members->elements + 1);
    size_t len = strlen(op->key);
    const char *wrong;

    add_argument(&forget, op->value, strlen(op->value));
    for (size_t i = 0; i < members->elements; i++) {
        const redisReply *member = members->element[i];
        char *key;

        if (member->type != REDIS_REPLY_STRING)
            continue;
        key = apr_palloc(p, len + member->len);
        memcpy(key, op->key, len);
        memcpy(key + len, member->str, member->len);
        add_argument(&unlink, key, len + member->len);
        add_argument(&forget, member->str, member->len);
    }
    if (unlink.argc == 1)
        return NULL;
    wrong = ask_to_remove(op, link, &unlink, &op->removed, p);
    return wrong ? wrong : ask_to_remove(op, link, &forget, NULL, p);
}

/** Is it [cursor, keys]? Copies the cursor, a number of 64 bits. */
static int read_page(const redisReply *reply, char cursor[24])
{
    const redisReply *next = reply->elements == 2 ? reply->element[0] : NULL;

    if (!next || next->type != REDIS_REPLY_STRING || next->len < 1 || next->len > 20 ||
        strspn(next->str, "0123456789") != next->len ||
        reply->element[1]->type != REDIS_REPLY_ARRAY)
        return 0;
    memcpy(cursor, next->str, next->len + 1);
    return 1;
}

/** One step of the scan: a page of keys, or of the index, and away with ours. */
static const char *scan_page(operation *op, up_redis_link *link, char cursor[24], apr_pool_t *p)
{
    const int indexed = op->store->settings.index_prefix != NULL;
    const char *by_key[] = {"SCAN", cursor, "MATCH", op->value, "COUNT", SCAN_COUNT};
    const char *by_index[] = {"SSCAN", op->value, cursor, "COUNT", SCAN_COUNT};
    up_redis_command command = {indexed ? 5 : 6, indexed ? by_index : by_key, NULL};
    const char *wrong;
    redisReply *reply = ask(op, link, &command, REDIS_REPLY_ARRAY, &wrong, p);

    if (!reply)
        return wrong;
    if (read_page(reply, cursor)) {
        wrong = indexed ? unlink_members(op, link, reply->element[1], p)
                        : unlink_keys(op, link, reply->element[1], p);
    } else {
        link->broken = 1;
        wrong = "an unexpected reply; is this a Redis server?";
    }
    freeReplyObject(reply);
    return wrong;
}

/** The whole scan on one connection: a cursor means nothing to a server that was
 *  restarted, so on a new connection it begins anew. */
static const char *run_revoke_sessions(operation *op, up_redis_link *link, apr_pool_t *p)
{
    apr_pool_t *page_pool;
    char cursor[24] = "0";
    const char *wrong = NULL;
    int late;

    if (apr_pool_create(&page_pool, p) != APR_SUCCESS)
        return "no memory is left";
    do {
        apr_pool_clear(page_pool);
        late = up_clock() >= op->deadline;
        if (!late)
            wrong = scan_page(op, link, cursor, page_pool);
        /* A page that fails at the deadline fails for it. */
        if (late || (wrong && up_clock() >= op->deadline))
            wrong = "the scan for a subject's sessions took too long; raise its time limit";
    } while (!wrong && strcmp(cursor, "0") != 0);
    if (!wrong)
        wrong = await_replicas(op, link, page_pool);
    if (wrong)
        wrong = apr_psprintf(p, "%s (unfinished: %" APR_INT64_T_FMT " revoked so far)", wrong,
                             op->removed);
    apr_pool_destroy(page_pool);
    return wrong;
}

static up_problem *redis_revoke_sessions(up_token_store *self, apr_pool_t *p, const char *subject)
{
    redis_tokens *store = (redis_tokens *)self;
    operation op = {.run = run_revoke_sessions, .store = store};

    op.deadline = up_clock() + store->settings.scan_timeout;
    op.key = apr_pstrcat(p, store->settings.refresh_prefix, subject,
                         store->settings.refresh_separator, NULL);
    op.value = store->settings.index_prefix
                   ? apr_pstrcat(p, store->settings.index_prefix, subject, NULL)
                   : make_pattern(p, op.key);
    return perform(&op, p);
}

up_token_store *up_redis_tokens_create(apr_pool_t *child_pool, const up_redis_settings *settings,
                                       up_redis_tracking *tracking)
{
    redis_tokens *store = apr_pcalloc(child_pool, sizeof(*store));

    store->functions.is_revoked = redis_is_revoked;
    store->functions.revoke = redis_revoke;
    store->functions.revoke_sessions = redis_revoke_sessions;
    store->settings = *settings;
    store->tracking = tracking;
    store->display = up_redis_display(child_pool, settings);
    store->pool = up_redis_pool_create(child_pool, &store->settings);
    return store->pool ? &store->functions : NULL;
}
