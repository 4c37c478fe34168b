/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/redis_tracking.h"

#include "adapters/redis_sentinel.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CHANNEL "__redis__:invalidate"

/** Between two tries to connect: the first, and each time twice as long. */
#define PAUSE_FIRST apr_time_from_msec(100)
#define PAUSE_LONGEST apr_time_from_sec(2)

struct up_redis_tracking {
    up_redis_tracking_settings settings;
    const char *display;
    up_redis_answers *answers;
    up_redis_resolver *resolver; /* of the one server; NULL where sentinels know which it is */
    up_redis_sentinel *sentinel; /* or else NULL */

    pthread_t thread;
    _Atomic int begun;    /* it was started, or cannot be */
    _Atomic int running;  /* it has to be joined */
    _Atomic int stopping; /* the child ends */
    int wakeup;           /* an eventfd that ends its waiting */
    _Atomic int used;     /* there was a question since it looked last */
    _Atomic int asleep;   /* it waits for a question */

    /* Written by the thread, read by all. */
    _Atomic apr_uint64_t era;
    _Atomic apr_time_t answered; /* when the last PING that was answered had been sent; 0: lost */
    _Atomic int fd;              /* of the link */
    _Atomic int unread;          /* something has come that is not understood yet */
    apr_thread_mutex_t *mutex;   /* guards peer, and that it begins and stops once */
    up_redis_address peer;

    /* Written by all. */
    _Atomic int readers;        /* how many look at fd; it is not closed meanwhile */
    _Atomic apr_time_t doubted; /* when somebody doubted last */
};

/** What the thread is at. */
typedef struct session {
    up_redis_link link;
    int subscribed;
    int refused;          /* Redis does not do what we need */
    unsigned long number; /* of the last PING */
    apr_time_t sent;      /* when SUBSCRIBE or PING was sent, which has no answer yet; else 0 */
    apr_time_t next;      /* when the next PING is to be sent */
    apr_time_t needed;    /* when there was a question last, as far as is known */
    apr_interval_time_t pause;
    enum { NOTHING, LOST, REFUSED } told; /* since it was up */
} session;

/* --- In a request ----------------------------------------------------------------------------- */

static void wake(up_redis_tracking *t)
{
    const apr_uint64_t one = 1;
    ssize_t written = write(t->wakeup, &one, sizeof(one));

    (void)written; /* it fails only where the thread was woken 2^64 times */
}

static void *run(void *data);

static void tell(const up_redis_tracking *t, int loud, const char *line)
{
    t->settings.tell(t->settings.baton, loud, line);
}

/** Starts the thread. No signal is for it: prefork's would end the child in the middle of it. */
static void begin(up_redis_tracking *t)
{
    sigset_t all, before;

    apr_thread_mutex_lock(t->mutex);
    if (t->begun || t->stopping) {
        apr_thread_mutex_unlock(t->mutex);
        return;
    }
    t->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->wakeup >= 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        t->running = pthread_create(&t->thread, NULL, run, t) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    t->begun = 1;
    apr_thread_mutex_unlock(t->mutex);
    if (!t->running)
        tell(t, 1,
             "the system has no thread left to hear of revocations; the token store is asked "
             "with each request");
}

/** There is a question. The thread may have gone to sleep before it could know. */
static void note_use(up_redis_tracking *t)
{
    if (!t->begun)
        begin(t);
    if (!t->used)
        t->used = 1;
    if (t->asleep)
        wake(t);
}

static int is_up(const up_redis_tracking *t, apr_time_t now)
{
    const apr_time_t answered = t->answered;

    return answered && now - answered < UP_REDIS_PING_TRUST && answered > t->doubted;
}

/** Is all understood that has come? What the thread reads it notes before it reads it. */
static int is_quiet(up_redis_tracking *t)
{
    struct pollfd pfd = {.fd = t->fd, .events = POLLIN};

    /* Not read before poll() is done, which a plain load might be. */
    return poll(&pfd, 1, 0) == 0 && atomic_fetch_add(&t->unread, 0) == 0;
}

int up_redis_tracking_knows(up_redis_tracking *t, const char *key, up_redis_check *check)
{
    const apr_size_t len = strlen(key);
    const apr_time_t now = up_clock();
    apr_uint64_t era;
    int known = 0;

    check->usable = 0;
    if (t->settings.redis->untracked || t->stopping || len > UP_REDIS_ANSWER_KEY_MAX)
        return 0;
    note_use(t);
    t->readers++;
    /* Of a link that is lost between the two, this is the era that is over. */
    era = t->era;
    if (is_up(t, now)) {
        const int quiet = is_quiet(t);

        check->usable =
            up_redis_question_take(t->answers, key, len, era, now, &check->question);
        /* A new era may have begun before it was quiet. */
        known = check->usable && quiet && up_redis_answers_have(t->answers, &check->question) && t->era == era;
    }
    t->readers--;
    return known;
}

static int is_same_address(const up_redis_address *a, const up_redis_address *b)
{
    return a->len == b->len && memcmp(&a->storage, &b->storage, a->len) == 0;
}

void up_redis_tracking_keep(up_redis_tracking *t, const up_redis_check *check,
                            const up_redis_link *link)
{
    int same;

    if (!check->usable)
        return;
    apr_thread_mutex_lock(t->mutex);
    same = is_same_address(&link->peer, &t->peer);
    apr_thread_mutex_unlock(t->mutex);
    if (same)
        up_redis_answers_keep(t->answers, &check->question);
}

void up_redis_tracking_note(up_redis_tracking *t, const char *key)
{
    up_redis_changes_note(t->settings.changes, key, strlen(key));
}

void up_redis_tracking_doubt(up_redis_tracking *t)
{
    t->doubted = up_clock();
}

/* --- What Redis says -------------------------------------------------------------------------- */

static int is_text(const redisReply *reply, const char *text)
{
    return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, text) == 0;
}

/** Does it say that it does not do what we need? What else it may say, such as LOADING, passes. */
static int is_refusal(const redisReply *reply)
{
    return strncmp(reply->str, "NOPERM", 6) == 0 ||
           (strncmp(reply->str, "ERR", 3) == 0 &&
            strncmp(reply->str, "ERR max number of clients", 25) != 0);
}

/** Keys that have changed; none where all have. @return 0 where it is neither. */
static int take_news(up_redis_tracking *t, const redisReply *keys)
{
    if (keys->type == REDIS_REPLY_NIL) {
        t->era++;
        return 1;
    }
    if (keys->type != REDIS_REPLY_ARRAY)
        return 0;
    for (size_t i = 0; i < keys->elements; i++) {
        if (keys->element[i]->type != REDIS_REPLY_STRING)
            return 0;
        up_redis_changes_note(t->settings.changes, keys->element[i]->str, keys->element[i]->len);
    }
    return 1;
}

static int take_subscription(session *s, redisReply **words)
{
    if (s->subscribed || !is_text(words[0], "subscribe") || !is_text(words[1], CHANNEL))
        return 0;
    s->subscribed = 1;
    s->sent = 0;
    return 1;
}

/** The answer to the last PING. */
static int take_pong(up_redis_tracking *t, session *s, const redisReply *number)
{
    char expected[24];

    apr_snprintf(expected, sizeof(expected), "%lu", s->number);
    if (!s->subscribed || !s->sent || !is_text(number, expected))
        return 0;
    t->answered = s->sent;
    s->sent = 0;
    return 1;
}

/** @return NULL, or what is wrong with what was said. */
static const char *understand(up_redis_tracking *t, session *s, const redisReply *reply,
                              apr_pool_t *p)
{
    static const up_redis_command none = {0, NULL, NULL};
    redisReply **words = reply->element;
    int good = 0;

    if (reply->type == REDIS_REPLY_ERROR) {
        s->refused = is_refusal(reply);
        return up_redis_quote(p, reply, &none);
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && is_text(words[0], "message"))
        good = is_text(words[1], CHANNEL) && take_news(t, words[2]);
    else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3)
        good = take_subscription(s, words);
    else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
        good = is_text(words[0], "pong") && take_pong(t, s, words[1]);
    return good ? NULL : "an unexpected message; is this a Redis server?";
}

/** Reads all that has come. */
static const char *take_in(up_redis_tracking *t, session *s, apr_pool_t *p)
{
    const char *wrong = NULL;
    redisReply *reply = NULL;

    t->unread = 1;
    while (!wrong && !t->stopping && (reply = up_redis_link_next(&s->link, &wrong, p)) != NULL) {
        wrong = understand(t, s, reply, p);
        freeReplyObject(reply);
    }
    if (!wrong && !s->link.partial)
        t->unread = 0;
    return wrong;
}

/* --- The link --------------------------------------------------------------------------------- */

/** A command of the handshake. @return NULL or what is wrong. */
static const char *ask(session *s, int argc, const char **argv, int type, long long *number,
                       apr_time_t deadline, apr_pool_t *p)
{
    up_redis_command command = {argc, argv, NULL};
    const char *wrong = NULL;
    redisReply *reply = up_redis_link_ask(&s->link, &command, deadline, &wrong, p);

    if (reply && reply->type == REDIS_REPLY_ERROR) {
        wrong = up_redis_quote(p, reply, &command);
        s->refused = is_refusal(reply);
    } else if (reply && reply->type != type) {
        wrong = "an unexpected reply; is this a Redis server?";
    } else if (reply) {
        *number = reply->integer;
    }
    freeReplyObject(reply);
    return wrong ? apr_psprintf(p, "%s %s: %s", argv[0], argv[1], wrong) : NULL;
}

static const char *track(up_redis_tracking *t, session *s, apr_time_t deadline, apr_pool_t *p)
{
    const char *identify[] = {"CLIENT", "ID"}, *subscribe[] = {"SUBSCRIBE", CHANNEL};
    const char *tracking[] = {"CLIENT", "TRACKING", "ON",     "REDIRECT",
                              NULL,     "BCAST",    "PREFIX", t->settings.redis->blacklist_prefix};
    const up_redis_command command = {2, subscribe, NULL};
    long long id = 0;
    const char *wrong = ask(s, 2, identify, REDIS_REPLY_INTEGER, &id, deadline, p);

    if (wrong)
        return wrong;
    tracking[4] = apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)id);
    wrong = ask(s, 8, tracking, REDIS_REPLY_STATUS, &id, deadline, p);
    if (!wrong)
        wrong = up_redis_link_send(&s->link, &command, deadline, p);
    s->sent = up_clock();
    return wrong;
}

static const char *open_link(up_redis_tracking *t, session *s, apr_pool_t *p)
{
    const apr_time_t deadline = up_clock() + t->settings.redis->timeout;
    up_redis_addresses addresses;
    const char *wrong;

    s->subscribed = s->refused = 0;
    if (t->sentinel) {
        wrong = up_redis_sentinel_open(t->sentinel, &s->link, deadline, p);
    } else {
        wrong = up_redis_resolve(t->resolver, deadline, &addresses, p);
        if (!wrong)
            wrong = up_redis_link_open(&s->link, &addresses, t->settings.redis, deadline, p);
    }
    if (!wrong)
        wrong = track(t, s, deadline, p);
    if (wrong)
        return wrong;
    apr_thread_mutex_lock(t->mutex);
    t->peer = s->link.peer;
    apr_thread_mutex_unlock(t->mutex);
    t->unread = 1;
    t->fd = s->link.fd;
    return NULL;
}

/** First nobody believes in it any more, then nobody looks at it, then it is closed. */
static void close_link(up_redis_tracking *t, session *s)
{
    t->answered = 0;
    t->era++;
    t->fd = -1;
    while (t->readers && !t->stopping)
        poll(NULL, 0, 1);
    if (t->sentinel && !s->refused)
        up_redis_sentinel_doubt(t->sentinel, s->link.master);
    up_redis_link_close(&s->link);
}

static void tell_up(const up_redis_tracking *t, session *s, apr_pool_t *p)
{
    s->told = NOTHING;
    s->pause = 0;
    tell(t, 0,
         apr_psprintf(p, "token store %s tells of revocations by itself from now on", t->display));
}

static void tell_lost(const up_redis_tracking *t, session *s, const char *wrong, apr_pool_t *p)
{
    if (s->told >= (s->refused ? REFUSED : LOST))
        return;
    s->told = s->refused ? REFUSED : LOST;
    if (s->refused)
        tell(t, 1,
             apr_psprintf(p,
                          "token store %s is asked with each request, as it does not tell of "
                          "revocations by itself: %s; that needs Redis 6.0 or later, no proxy, "
                          "and for its user +client|id +client|tracking +subscribe +ping and "
                          "&" CHANNEL " (ACL SETUSER); UserProfileTokenStore tracking=off does "
                          "without",
                          t->display, wrong));
    else
        tell(t, 0,
             apr_psprintf(p,
                          "token store %s is asked with each request until it tells of "
                          "revocations by itself again: %s",
                          t->display, wrong));
}

/* --- The thread ------------------------------------------------------------------------------- */

/** Waits for the link, where there is one, or to be woken, until then; 0: for ever. */
static void await(up_redis_tracking *t, int fd, apr_time_t until)
{
    struct pollfd pfds[] = {{.fd = t->wakeup, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    apr_time_t left = until - up_clock();
    apr_uint64_t count;

    if (left < 0)
        left = 0;
    if (poll(pfds, 2, until ? (int)((left + 999) / 1000) : -1) > 0 && pfds[0].revents & POLLIN) {
        ssize_t len = read(t->wakeup, &count, sizeof(count));

        (void)len;
    }
}

/** Was nothing asked for a while? Then it is asleep, until it is woken. */
static int is_idle(up_redis_tracking *t, session *s, apr_time_t now)
{
    if (atomic_exchange(&t->used, 0))
        s->needed = now;
    if (now - s->needed < t->settings.idle) {
        t->asleep = 0;
        return 0;
    }
    t->asleep = 1;
    /* Whoever asks now sees that; whoever asked before is seen here. */
    if (!t->used)
        return 1;
    t->asleep = 0;
    return 0;
}

static const char *ping(up_redis_tracking *t, session *s, apr_time_t now, apr_pool_t *p)
{
    const apr_time_t deadline = now + t->settings.redis->timeout;
    const char *argv[] = {"PING", apr_psprintf(p, "%lu", ++s->number)};
    const up_redis_command command = {2, argv, NULL};

    if (t->sentinel && !up_redis_sentinel_is_master(t->sentinel, s->link.master, deadline, p))
        return "the sentinels name another master";
    s->sent = up_clock();
    s->next = s->sent + UP_REDIS_PING_INTERVAL;
    return up_redis_link_send(&s->link, &command, deadline, p);
}

/** Listens until something is wrong, or the child ends. */
static const char *listen_to(up_redis_tracking *t, session *s, apr_pool_t *p)
{
    apr_time_t now, until;
    const char *wrong = NULL;
    int up = 0;

    while (!wrong && !t->stopping) {
        apr_pool_clear(p);
        now = up_clock();
        until = s->sent ? s->sent + UP_REDIS_PING_TRUST : s->next;
        if (s->sent && now >= until)
            return "it did not answer within a second; does it hang?";
        if (!s->sent && is_idle(t, s, now))
            until = 0;
        else if (!s->sent && now >= s->next)
            wrong = ping(t, s, now, p);
        if (!wrong)
            await(t, s->link.fd, s->sent ? s->sent + UP_REDIS_PING_TRUST : until);
        if (!wrong)
            wrong = take_in(t, s, p);
        if (!up && t->answered)
            tell_up(t, s, p);
        up = up || t->answered;
    }
    return wrong;
}

/** Until the next try is due: not before there is a question. */
static void rest(up_redis_tracking *t, session *s)
{
    apr_time_t until;

    s->pause = s->refused ? UP_REDIS_REFUSED_PAUSE : s->pause ? 2 * s->pause : PAUSE_FIRST;
    if (!s->refused && s->pause > PAUSE_LONGEST)
        s->pause = PAUSE_LONGEST;
    until = up_clock() + s->pause;
    while (!t->stopping && up_clock() < until)
        await(t, -1, until);
    while (!t->stopping && is_idle(t, s, up_clock()))
        await(t, -1, 0);
}

static void *run(void *data)
{
    up_redis_tracking *t = data;
    session s = {.link = {.fd = -1}, .needed = up_clock()};
    apr_pool_t *p;

    /* Of its own, as no other thread's may be used. */
    if (apr_pool_create_unmanaged_ex(&p, NULL, NULL) != APR_SUCCESS)
        return NULL;
    while (!t->stopping) {
        const char *wrong;

        apr_pool_clear(p);
        s.next = s.sent = 0;
        wrong = open_link(t, &s, p);
        if (!wrong)
            wrong = listen_to(t, &s, p);
        if (wrong && !t->stopping)
            tell_lost(t, &s, wrong, p);
        close_link(t, &s);
        if (!t->stopping)
            rest(t, &s);
    }
    apr_pool_destroy(p);
    return NULL;
}

/** Before what the thread uses is gone. The threads of mod_http2 may still ask: they are ended at
 *  the same time, in an order that the order of LoadModule decides. */
static apr_status_t stop(void *data)
{
    up_redis_tracking *t = data;

    apr_thread_mutex_lock(t->mutex);
    t->stopping = 1;
    apr_thread_mutex_unlock(t->mutex);
    if (t->running) {
        wake(t);
        pthread_join(t->thread, NULL);
    }
    return APR_SUCCESS;
}

/** When all who might wake it are gone. */
static apr_status_t close_wakeup(void *data)
{
    up_redis_tracking *t = data;

    if (t->wakeup >= 0)
        close(t->wakeup);
    return APR_SUCCESS;
}

up_redis_tracking *up_redis_tracking_create(apr_pool_t *p,
                                            const up_redis_tracking_settings *settings)
{
    up_redis_tracking *t = apr_pcalloc(p, sizeof(*t));

    t->settings = *settings;
    t->display = up_redis_display(p, settings->redis);
    t->wakeup = -1;
    t->fd = -1;
    t->answers = up_redis_answers_create(p, settings->changes);
    if (settings->redis->sentinels)
        t->sentinel = up_redis_sentinel_create(p, settings->redis);
    else
        t->resolver = up_redis_resolver_create(p, settings->redis);
    if (!t->answers || (!t->resolver && !t->sentinel) ||
        apr_thread_mutex_create(&t->mutex, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS)
        return NULL;
    apr_pool_pre_cleanup_register(p, t, stop);
    apr_pool_cleanup_register(p, t, close_wakeup, apr_pool_cleanup_null);
    return t;
}
