/* SPDX-License-Identifier: Apache-2.0 */

/** What Redis tells of revocations by itself: that keys that were not there are not asked for
 * again, that none is overlooked, and that all are asked for where that is not certain. */
#include "adapters/redis_tracking.h"
#include "redis_ask.h"

#include <netinet/tcp.h>

#define PREFIX UP_REDIS_BLACKLIST_PREFIX

/** How long something may take that takes a moment, on a busy machine. */
#define SOON apr_time_from_sec(20)

static redis_server server;
static up_redis_changes changes; /* of "all children" */

/* --- What is told --------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char lines[8192]; /* all that was told; a loud line begins with a '!' */

static void note_line(void *baton, int loud, const char *line)
{
    (void)baton;
    pthread_mutex_lock(&mutex);
    snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), "%s%s\n", loud ? "!" : "", line);
    pthread_mutex_unlock(&mutex);
}

static int count_told(const char *text)
{
    int count = 0;

    pthread_mutex_lock(&mutex);
    for (const char *s = lines; (s = strstr(s, text)) != NULL; s++)
        count++;
    pthread_mutex_unlock(&mutex);
    return count;
}

static void forget_lines(void)
{
    pthread_mutex_lock(&mutex);
    printf("# %s\n", lines);
    lines[0] = '\0';
    pthread_mutex_unlock(&mutex);
}

/* --- A child -------------------------------------------------------------------------------- */

typedef struct child {
    apr_pool_t *pool;
    up_redis_settings redis;
    up_redis_tracking *tracking;
    up_token_store *store;
} child;

static child *child_at(const char *url, apr_interval_time_t idle)
{
    apr_pool_t *child_pool;
    child *c;
    up_redis_tracking_settings settings = {.changes = &changes, .idle = idle, .tell = note_line};

    apr_pool_create(&child_pool, NULL);
    c = apr_pcalloc(child_pool, sizeof(*c));
    c->pool = child_pool;
    settings.redis = &c->redis;
    c->redis =
        (up_redis_settings){.timeout = TIMEOUT, .scan_timeout = 3 * TIMEOUT, .max_connections = 8};
    if (up_redis_parse(child_pool, url, &c->redis))
        exit(1);
    c->tracking = up_redis_tracking_create(child_pool, &settings);
    c->store = up_redis_tokens_create(child_pool, &c->redis, c->tracking);
    return c;
}

static void end(child *c)
{
    apr_pool_destroy(c->pool);
}

static const char *at_port(int port)
{
    return apr_psprintf(pool, "redis://127.0.0.1:%d", port);
}

/** Is it revoked? -1 where that could not be asked. */
static int is_revoked(child *c, const char *jti)
{
    apr_pool_t *p;
    int answer = -1;

    apr_pool_create(&p, NULL);
    if (c->store->is_revoked(c->store, p, jti, &answer))
        answer = -1;
    apr_pool_destroy(p);
    return answer;
}

static int revoke_by(child *c, const char *jti)
{
    return c->store->revoke(c->store, pool, jti, 60) == NULL;
}

static int knows(child *c, const char *jti)
{
    up_redis_check check;

    return up_redis_tracking_knows(c->tracking, apr_pstrcat(pool, PREFIX, jti, NULL), &check);
}

/** Until it is known that this token is not revoked. */
static int is_warm(child *c, const char *jti)
{
    const apr_time_t latest = up_clock() + SOON;

    while (!knows(c, jti)) {
        if (up_clock() > latest)
            return 0;
        (void)is_revoked(c, jti);
        usleep(1000);
    }
    return 1;
}

/** Until it is not known any more. Redis may tell of a flush a moment after it has answered whoever
 *  has asked for it, and a busy kernel needs one to bring what was said. */
static int is_unknown(child *c, const char *jti)
{
    const apr_time_t latest = up_clock() + UP_REDIS_PING_TRUST;

    while (knows(c, jti) && up_clock() < latest)
        usleep(100);
    return !knows(c, jti);
}

/** Until it has been told. */
static int is_told(const char *text)
{
    const apr_time_t latest = up_clock() + SOON;

    while (!count_told(text) && up_clock() < latest)
        usleep(5000);
    return count_told(text);
}

/** How many connections listen. */
static int listeners(void)
{
    redisContext *c = redisConnectUnix(server.sock);
    redisReply *reply = redisCommand(c, "CLIENT LIST TYPE pubsub");
    int count = 0;

    for (const char *s = reply && reply->str ? reply->str : ""; *s; s++)
        count += *s == '\n';
    freeReplyObject(reply);
    redisFree(c);
    return count;
}

/** How often Redis was asked for a key. */
static long asked(void)
{
    redisContext *c = redisConnectUnix(server.sock);
    redisReply *reply = redisCommand(c, "INFO commandstats");
    const char *found = reply && reply->str ? strstr(reply->str, "cmdstat_exists:calls=") : NULL;
    long count = found ? atol(found + 21) : 0;

    freeReplyObject(reply);
    redisFree(c);
    return count;
}

static int set(int db, const char *jti)
{
    return admin(&server, db, "SET", apr_pstrcat(pool, PREFIX, jti, NULL), "1", "EX", "600") == 0;
}

/** Is a token refused that others have revoked? Redis may answer them a moment before it tells us:
 *  where it has an answer to a PING to send in the same turn. */
static int is_soon_refused(child *c, const char *jti)
{
    const apr_time_t latest = up_clock() + UP_REDIS_PING_TRUST;
    int answer;

    do
        answer = is_revoked(c, jti);
    while (answer != 1 && up_clock() < latest);
    return answer == 1;
}

/* --- A real server -------------------------------------------------------------------------- */

static const char *url;

static void test_spares(void)
{
    child *c = child_at(url, UP_REDIS_IDLE);
    long before;
    int wrong = 0;

    forget_lines();
    is_int(is_revoked(c, "first"), 0, "the first question is asked");
    ok(is_warm(c, "warm"), "the link comes up");
    before = asked();
    for (int i = 0; i < 1000; i++)
        wrong += is_revoked(c, "warm") != 0;
    is_int(wrong, 0, "a thousand more have the same answer");
    /* While an answer to a PING is on its way to the thread it is asked. */
    ok(asked() - before < 100, "Redis was asked %ld times", asked() - before);
    is_int(count_told("tells of revocations by itself from now on"), 1, "it was told, once");
    ok(!count_told("!"), "and not loudly");

    ok(set(0, "warm") && is_soon_refused(c, "warm"), "whoever revokes is heard");
    is_int(is_revoked(c, "warm"), 1, "and what is revoked is asked for each time");
    admin(&server, 0, "DEL", PREFIX "warm");
    is_int(is_revoked(c, "warm"), 0, "until it is revoked no more");

    ok(is_warm(c, "warm") && set(3, "warm"), "a key of another database");
    is_int(is_revoked(c, "warm"), 0, "does not count");
    ok(is_warm(c, "warm") && is_warm(c, "other"), "two are known");
    admin(&server, 0, "FLUSHDB");
    ok(is_unknown(c, "warm") && is_unknown(c, "other"), "after FLUSHDB none is");
    ok(is_warm(c, "warm"), "until it is asked for");
    admin(&server, 0, "FLUSHALL");
    ok(is_unknown(c, "warm"), "after FLUSHALL none is");
    end(c);
}

/** By others: soon, and by another child: at once, each time. */
static void test_at_once(void)
{
    child *a = child_at(url, UP_REDIS_IDLE), *b = child_at(url, UP_REDIS_IDLE);
    int cold = 0, late = 0, late_here = 0, late_there = 0;

    for (int i = 0; i < 200; i++) {
        const char *jti = apr_psprintf(pool, "cli-%d", i);

        cold += !is_warm(a, jti);
        (void)set(0, jti);
        late += !is_soon_refused(a, jti);
    }
    for (int i = 0; i < 200; i++) {
        const char *jti = apr_psprintf(pool, "child-%d", i);

        cold += !is_warm(a, jti) || !is_warm(b, jti) || !revoke_by(a, jti);
        late_there += is_revoked(b, jti) != 1;
        late_here += is_revoked(a, jti) != 1;
    }
    is_int(cold, 0, "each was known not to be revoked");
    is_int(late, 0, "200 revoked by others are refused soon");
    is_int(late_there, 0, "200 revoked by another child at once");
    is_int(late_here, 0, "and in that child");
    end(a);
    end(b);
}

typedef struct racer {
    pthread_t thread;
    child *child;
    unsigned int seed;
    long wrong, asked;
} racer;

#define RACES 400
static _Atomic int revoked_so_far, racing;

/** Asks for those that are about to be revoked, or just were. */
static void *race(void *data)
{
    racer *r = data;
    unsigned int seed = r->seed;

    while (racing) {
        int done = revoked_so_far, i = done - 2 + rand_r(&seed) % 5;
        char jti[32];

        apr_snprintf(jti, sizeof(jti), "race-%d", i < 0 ? 0 : i);
        r->asked++;
        r->wrong += is_revoked(r->child, jti) != 1 && i >= 0 && i < done;
    }
    return NULL;
}

/** What this httpd has revoked before a question is never overlooked by it. */
static void test_races(void)
{
    child *a = child_at(url, UP_REDIS_IDLE), *b = child_at(url, UP_REDIS_IDLE);
    racer racers[4];
    long wrong = 0, count = 0;

    racing = 1;
    revoked_so_far = 0;
    for (int i = 0; i < 4; i++) {
        racers[i] = (racer){.child = i % 2 ? a : b, .seed = (unsigned int)i};
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    }
    (void)(is_warm(a, "race-warm") && is_warm(b, "race-warm"));
    for (int i = 0; i < RACES; i++) {
        char jti[32];

        apr_snprintf(jti, sizeof(jti), "race-%d", i);
        if (!revoke_by(i % 2 ? a : b, jti))
            exit(1);
        revoked_so_far = i + 1;
    }
    racing = 0;
    for (int i = 0; i < 4; i++) {
        pthread_join(racers[i].thread, NULL);
        wrong += racers[i].wrong;
        count += racers[i].asked;
    }
    is_int(wrong, 0,
           apr_psprintf(pool, "%ld questions while %d are revoked: none too late", count, RACES));
    end(a);
    end(b);
}

static void test_lost(void)
{
    child *c = child_at(url, UP_REDIS_IDLE);

    ok(is_warm(c, "lost") && is_told("from now on"), "the link is up");
    forget_lines();
    admin(&server, 0, "CLIENT", "KILL", "TYPE", "pubsub");
    ok(is_unknown(c, "lost"), "killed: nothing is known");
    is_int(is_revoked(c, "lost"), 0, "  so it is asked");
    ok(is_warm(c, "lost"), "  until it is up again");
    ok(count_told("closed the connection") == 1 && is_told("from now on"), "  which is told");

    server_kill(&server);
    ok(is_unknown(c, "lost"), "the server is down: nothing is known");
    is_int(is_revoked(c, "lost"), -1, "  and it is a problem");
    ok(server_start(&server) && set(0, "lost"), "it was started anew, and it was revoked");
    is_int(is_revoked(c, "lost"), 1, "  which is seen");
    ok(is_warm(c, "found"), "  and the link comes up again");
    end(c);
}

static void test_hung(void)
{
    child *c = child_at(url, UP_REDIS_IDLE);
    apr_time_t start;

    ok(is_warm(c, "hung"), "the link is up");
    start = up_clock();
    kill(server.pid, SIGSTOP);
    while (knows(c, "hung") && up_clock() < start + SOON)
        usleep(1000);
    ok(up_clock() - start < UP_REDIS_PING_TRUST + SLACK,
       "the server hangs: nothing is known after "
       "%d ms",
       (int)((up_clock() - start) / 1000));
    is_int(is_revoked(c, "hung"), -1, "  and it is a problem");
    ok(is_told("does it hang?"), "  which is told");
    kill(server.pid, SIGCONT);
    ok(set(0, "hung"), "it goes on, and it was revoked");
    is_int(is_revoked(c, "hung"), 1, "  which is seen");
    ok(is_warm(c, "going"), "  and the link comes up again");
    end(c);
}

static void refuses(child *c, const char *why)
{
    is_int(is_revoked(c, "refused"), 0, "it is asked");
    ok(is_told(why), "it is told why: %s", why);
    ok(count_told("!token store redis") == 1 && count_told("tracking=off") == 1,
       "  loudly, with what to do");
    is_int(is_revoked(c, "refused"), 0, "it is asked all the same");
    ok(!knows(c, "refused"), "  as nothing is known");
    is_int(count_told("\n"), 1, "  and no more is told");
    end(c);
    forget_lines();
}

static void test_acl(void)
{
    static const char *const without[] = {"-client|id", "-client|tracking", "-subscribe", "-ping",
                                          "resetchannels"};
    const char *user = apr_psprintf(pool, "redis://httpd:secret-word@127.0.0.1:%d", server.port);
    child *c;

    admin(&server, 0, "ACL", "SETUSER", "httpd", "reset", "on", ">secret-word",
          "~blacklisted_access_token:*", "+exists", "+client|id", "+client|tracking", "+subscribe",
          "+ping", "&__redis__:invalidate");
    forget_lines();
    c = child_at(user, UP_REDIS_IDLE);
    ok(is_warm(c, "refused"), "a user with all rights that it needs");
    end(c);
    forget_lines();
    for (apr_size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        printf("# %s\n", without[i]);
        admin(&server, 0, "ACL", "SETUSER", "httpd", without[i]);
        refuses(child_at(user, UP_REDIS_IDLE), "NOPERM");
        admin(&server, 0, "ACL", "SETUSER", "httpd", "+client|id", "+client|tracking", "+subscribe",
              "+ping", "&__redis__:invalidate");
    }
    ok(!count_told("secret-word"), "no password is told");
    admin(&server, 0, "ACL", "DELUSER", "httpd");
}

static void test_renamed(void)
{
    redis_server other = {.renamed = "CLIENT"};
    child *c;

    if (!ok(server_start(&other), "a server without CLIENT is started"))
        return;
    c = child_at(apr_psprintf(pool, "redis+unix://%s", other.sock), UP_REDIS_IDLE);
    is_int(is_revoked(c, "refused"), 0, "it is asked");
    ok(is_told("CLIENT ID: the server answered \"ERR unknown command"), "it is told why");
    ok(!knows(c, "refused") && is_revoked(c, "refused") == 0, "and asked each time");
    end(c);
    server_remove(&other);
}

/** In the same server and prefix, but never known. */
static void test_untracked(void)
{
    child *c = child_at(url, UP_REDIS_IDLE), *off = child_at(url, UP_REDIS_IDLE);
    long before;

    off->redis.untracked = 1;
    ok(is_warm(c, "off"), "the link is up");
    is_int(listeners(), 1, "by one connection");
    is_int(is_revoked(off, "off"), 0, "one without asks");
    before = asked();
    for (int i = 0; i < 10; i++)
        (void)is_revoked(off, "off");
    is_int(asked() - before, 10, "each time");
    is_int(listeners(), 1, "and has none");
    ok(revoke_by(off, "off") && is_revoked(c, "off") == 1, "what it revokes the other knows");
    end(off);
    end(c);
}

/* --- A server that says what it should not --------------------------------------------------- */

static struct {
    const char *_Atomic tracking,
        *_Atomic subscribe;               /* answers, where they are not as they should be */
    _Atomic int mute, wrong_number, idle; /* of PING: none; another one */
    _Atomic int link;                     /* the link's socket; 0: none */
    const char *_Atomic at_exists;        /* said on the link before an answer to EXISTS */
    _Atomic int revoked;
} how;

/** A descriptor and all that is said on it, whole. */
static void push(const char *text)
{
    if (how.link)
        (void)fake_say(how.link, text);
}

static void pong(int fd, const char *command)
{
    char answer[64], number[24];
    const char *at = strrchr(command, '$');
    unsigned long n = at && strchr(at, '\n') ? strtoul(strchr(at, '\n'), NULL, 10) : 0;

    if (how.mute)
        return;
    snprintf(number, sizeof(number), "%lu", n + (unsigned long)how.wrong_number);
    snprintf(answer, sizeof(answer), "*2\r\n$4\r\npong\r\n$%zu\r\n%s\r\n", strlen(number), number);
    (void)fake_say(fd, answer);
}

static void answer_exists(int fd)
{
    char answer[8];

    snprintf(answer, sizeof(answer), ":%d\r\n", how.revoked);
    if (how.at_exists)
        push(how.at_exists);
    (void)fake_say(fd, answer);
}

#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n"
#define MESSAGE "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"

static void behave(fake *f, int fd, int nth)
{
    char command[4096];

    (void)nth;
    /* As Redis does. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    while (fake_command(f, fd, command, sizeof(command))) {
        if (strstr(command, "\r\nID\r\n"))
            (void)fake_say(fd, ":7\r\n");
        else if (strstr(command, "\r\nTRACKING\r\n"))
            (void)fake_say(fd, how.tracking ? how.tracking : "+OK\r\n");
        else if (strstr(command, "\r\nSUBSCRIBE\r\n")) {
            how.link = fd;
            (void)fake_say(fd, how.subscribe ? how.subscribe : SUBSCRIBED);
        } else if (strstr(command, "\r\nPING\r\n"))
            pong(fd, command);
        else if (strstr(command, "\r\nEXISTS\r\n"))
            answer_exists(fd);
        else
            (void)fake_say(fd, "+OK\r\n");
    }
    if (how.link == fd)
        how.link = 0;
}

static fake *fake_redis(void)
{
    memset(&how, 0, sizeof(how));
    forget_lines();
    return fake_start(behave, NULL, 0);
}

static void test_refusals(void)
{
    static const struct {
        const char *tracking, *subscribe, *told;
    } refusals[] = {
        {"-ERR Unknown subcommand or wrong number of arguments for 'TRACKING'\r\n", NULL,
         "CLIENT TRACKING: the server answered \"ERR Unknown subcommand or wrong number of "
         "arguments for ...\""},
        {"-NOPERM this user has no permissions\r\n", NULL, "NOPERM"},
        {NULL, "-NOPERM this user has no permissions to access one of the channels\r\n", "NOPERM"},
        {NULL, "-ERR unknown command\r\n", "ERR unknown command"},
    };

    for (apr_size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        fake *f = fake_redis();

        how.tracking = refusals[i].tracking;
        how.subscribe = refusals[i].subscribe;
        refuses(child_at(at_port(f->port), UP_REDIS_IDLE), refusals[i].told);
        is_int(fake_heard(f, "EXISTS"), 2, "  each question was asked");
        fake_stop(f);
    }
}

/** What passes is not told loudly, and tried again soon. */
static void test_passing_troubles(void)
{
    static const char *const answers[] = {"-LOADING Redis is loading the dataset in memory\r\n",
                                          ":3\r\n",
                                          "*0\r\n",
                                          "$-1\r\n",
                                          "?\r\n",
                                          "+OK\r\n+OK\r\n",
                                          "-ERR max number of clients reached\r\n"};

    for (apr_size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        fake *f = fake_redis();
        child *c;

        printf("# %.*s\n", (int)strcspn(answers[i], "\r"), answers[i]);
        how.tracking = answers[i];
        c = child_at(at_port(f->port), UP_REDIS_IDLE);
        is_int(is_revoked(c, "x"), 0, "asked");
        ok(is_told("until it tells of revocations by itself again") && !count_told("!"), "told");
        how.tracking = NULL;
        ok(is_warm(c, "x"), "  until it works");
        end(c);
        fake_stop(f);
    }
}

/** What is said on a link that is up, and makes no sense, ends it. */
static void test_nonsense(void)
{
    static const char *const texts[] = {
        MESSAGE ":5\r\n",
        MESSAGE "$3\r\nabc\r\n",
        MESSAGE "*1\r\n:5\r\n",
        MESSAGE "*1\r\n*0\r\n",
        "*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$-1\r\n",
        "*3\r\n$7\r\nmessage\r\n$-1\r\n$-1\r\n",
        "*3\r\n$-1\r\n$-1\r\n$-1\r\n",
        "*2\r\n$4\r\npong\r\n$1\r\n0\r\n",
        "*2\r\n$4\r\npong\r\n:1\r\n",
        "*1\r\n$4\r\npong\r\n",
        "*0\r\n",
        "*-1\r\n",
        "+PONG\r\n",
        ":1\r\n",
        "-ERR what\r\n",
        "nonsense\r\n",
        "*70000\r\n",
        SUBSCRIBED,
    };
    fake *f = fake_redis();
    child *c = child_at(at_port(f->port), UP_REDIS_IDLE);

    for (apr_size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        printf("# %s", texts[i]);
        ok(is_warm(c, "x") && is_told("from now on"), "it is up");
        forget_lines();
        push(texts[i]);
        ok(is_unknown(c, "x"), "  nothing is known");
        ok(is_told("token store redis"), "  and it is told");
        if (strncmp(texts[i], "-ERR", 4) == 0) {
            end(c); /* as that is a refusal, it is not tried again soon */
            c = child_at(at_port(f->port), UP_REDIS_IDLE);
            forget_lines();
        }
    }
    end(c);
    fake_stop(f);
}

/** Of half a message nobody knows which key it names. */
static void test_half(void)
{
    fake *f = fake_redis();
    child *c = child_at(at_port(f->port), UP_REDIS_IDLE);
    int known = 0;

    ok(is_warm(c, "x"), "it is up");
    push(MESSAGE "*2\r\n$9\r\nnot:ours:\r\n$26\r\nblack");
    ok(is_unknown(c, "x"), "half a message has come");
    for (int i = 0; i < 50; i++) {
        known += knows(c, "x");
        usleep(2000);
    }
    is_int(known, 0, "half a message: nothing is known");
    push("listed_access_token:y\r\n");
    ok(is_warm(c, "x"), "the other half: it is another key");
    push(MESSAGE "*1\r\n$26\r\nblacklisted_access_tok");
    how.mute = 1;
    ok(is_told("does it hang?"), "half a message, and no more: it is lost");
    how.mute = 0;
    ok(is_warm(c, "x"), "and comes back");
    end(c);
    fake_stop(f);
}

static void test_pings(void)
{
    fake *f = fake_redis();
    child *c = child_at(at_port(f->port), UP_REDIS_IDLE);
    apr_time_t start;

    ok(is_warm(c, "x") && is_told("from now on"), "it is up");
    forget_lines();
    start = up_clock();
    how.mute = 1;
    while (knows(c, "x") && up_clock() < start + SOON)
        usleep(1000);
    ok(up_clock() - start < UP_REDIS_PING_TRUST + SLACK, "no PING is answered: lost after %d ms",
       (int)((up_clock() - start) / 1000));
    ok(is_told("does it hang?"), "  which is told");
    how.mute = 0;
    ok(is_warm(c, "x"), "  and comes back");
    forget_lines();
    how.wrong_number = 1;
    ok(is_told("unexpected message"), "the answer to another PING: lost");
    how.wrong_number = 0;
    ok(is_warm(c, "x"), "  and comes back");
    end(c);
    fake_stop(f);
}

/** A revocation between a question and its answer. */
static void test_between(void)
{
    static const char *const texts[] = {MESSAGE "*1\r\n$26\r\nblacklisted_access_token:m\r\n",
                                        MESSAGE "$-1\r\n"};
    fake *f = fake_redis();
    child *c = child_at(at_port(f->port), UP_REDIS_IDLE);

    for (int i = 0; i < 2; i++) {
        const char *jti = i ? "n" : "m";
        int known = 0;

        ok(is_warm(c, "other"), "it is up");
        how.at_exists = texts[i];
        is_int(is_revoked(c, jti), 0, "not revoked, it says, and then that it is");
        ok(is_unknown(c, jti), "  which is heard");
        for (int j = 0; j < 20; j++) {
            known += knows(c, jti);
            usleep(2000);
        }
        is_int(known, 0, "  so nothing is known");
        how.at_exists = NULL;
        ok(is_warm(c, jti), "  until it is asked again");
    }
    end(c);
    fake_stop(f);
}

/** A child whose link hears nothing of it, as all is sent to another: by the shared memory alone.
 */
static void test_shared(void)
{
    fake *f = fake_redis();
    child *a = child_at(at_port(f->port), UP_REDIS_IDLE);
    child *b = child_at(at_port(f->port), UP_REDIS_IDLE);

    ok(is_warm(a, "m") && is_warm(b, "m"), "two children know of a token");
    ok(revoke_by(a, "m"), "one revokes it");
    how.revoked = 1;
    is_int(is_revoked(b, "m"), 1, "the other asks");
    is_int(is_revoked(a, "m"), 1, "so does the one");
    end(a);
    end(b);
    fake_stop(f);
}

static void test_doubt(void)
{
    fake *f = fake_redis();
    child *c = child_at(at_port(f->port), UP_REDIS_IDLE);
    up_redis_check check;
    up_redis_link link = {.fd = -1};
    const char *key = PREFIX "elsewhere";

    ok(is_warm(c, "x"), "it is up");
    up_redis_tracking_doubt(c->tracking);
    ok(!knows(c, "x"), "doubted: nothing is known");
    ok(is_warm(c, "x"), "  until a PING was answered that was sent later");

    ok(!up_redis_tracking_knows(c->tracking, key, &check) && check.usable, "a question");
    up_redis_tracking_keep(c->tracking, &check, &link);
    ok(!up_redis_tracking_knows(c->tracking, key, &check),
       "an answer from another server than the link's is not kept");
    end(c);
    fake_stop(f);
}

/** Does it send no PING for so long that nothing can be known? A machine that has much to do may
 * put one off, so that is looked at more than once; each look is a question, which wakes it. */
static int falls_asleep(fake *f, child *c)
{
    for (int i = 0; i < 8; i++) {
        int before;

        usleep(4 * UP_REDIS_PING_INTERVAL);
        before = fake_heard(f, "PING");
        usleep((unsigned int)UP_REDIS_PING_TRUST);
        if (fake_heard(f, "PING") == before && !knows(c, "x"))
            return 1;
    }
    return 0;
}

static void test_idle(void)
{
    fake *f = fake_redis();
    child *c = child_at(at_port(f->port), apr_time_from_msec(300));

    is_int(fake_accepted(f), 0, "no connection is made before a question");
    ok(is_warm(c, "x"), "it is up");
    ok(falls_asleep(f, c),
       "a while after the last question it sends no PING, and nothing is known");
    ok(is_warm(c, "x"), "until there is a question");
    is_int(count_told("\n") - 2 * count_told("did not answer within a second"), 1,
           "on the same link, unless a busy machine was late");
    end(c);
    fake_stop(f);
}

/** Its thread ends with the child's pool, wherever it is. */
static void test_end(void)
{
    fake *f = fake_redis();
    child *c = child_at(at_port(f->port), UP_REDIS_IDLE);
    apr_time_t start;

    end(c);
    for (int i = 0; i < 20; i++) {
        c = child_at(at_port(f->port), UP_REDIS_IDLE);
        (void)is_revoked(c, "x");
        usleep((unsigned int)i * 500);
        end(c);
    }
    c = child_at(at_port(free_port()), UP_REDIS_IDLE);
    is_int(is_revoked(c, "x"), -1, "nobody is there");
    ok(is_told("Connection refused"), "  which the thread tells, too");
    start = up_clock();
    end(c);
    ok(up_clock() - start < SLACK, "it does not wait for its next try");
    fake_stop(f);
}

static void run_real(void)
{
    url = apr_psprintf(pool, "redis+unix://%s", server.sock);
    test_spares();
    test_at_once();
    test_races();
    test_lost();
    test_untracked();
    url = at_port(server.port);
    test_spares();
    test_lost();
    test_hung();
    test_acl();
    test_renamed();
}

int main(void)
{
    apr_initialize();
    if (server_is_installed() && server_start(&server)) {
        in_pool(run_real);
        server_remove(&server);
    } else {
        printf("# no redis-server\n");
    }
    in_pool(test_refusals);
    in_pool(test_passing_troubles);
    in_pool(test_nonsense);
    in_pool(test_half);
    in_pool(test_pings);
    in_pool(test_between);
    in_pool(test_shared);
    in_pool(test_doubt);
    in_pool(test_idle);
    in_pool(test_end);
    apr_terminate();
    return done_testing();
}
