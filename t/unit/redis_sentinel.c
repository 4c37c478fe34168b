/* SPDX-License-Identifier: Apache-2.0 */

/** The token store behind sentinels: who is asked, who is believed, how long that takes, and
 *  that nobody is written to who is no master any more. t/16-sentinel.t has real ones. */
#include "redis_ask.h"

/* --- Sentinels and servers that play a part -------------------------------------------------- */

enum { SENTINEL, ROLE, EXISTS, SET, SCAN, UNLINK, WAIT, COMMANDS };

static const char *const names[COMMANDS] = {"\r\nSENTINEL\r\n", "\r\nROLE\r\n", "\r\nEXISTS\r\n",
                                            "\r\nSET\r\n",      "\r\nSCAN\r\n", "\r\nUNLINK\r\n",
                                            "\r\nWAIT\r\n"};

#define MASTER "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
#define SLAVE "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:0\r\n"
#define NOTHING "" /* it says nothing: it hangs */

typedef struct part {
    fake *f;
    const char *answers[COMMANDS]; /* to anything else: OK */
    int delay;                     /* before each answer, in microseconds */
} part;

static void say(part *who, int command, const char *answer)
{
    __atomic_store_n(&who->answers[command], answer, __ATOMIC_SEQ_CST);
}

static void play(fake *f, int fd, int nth)
{
    part *who = f->data;
    char command[4096];

    (void)nth;
    while (fake_command(f, fd, command, sizeof(command))) {
        const char *answer = "+OK\r\n";

        for (int i = 0; i < COMMANDS; i++)
            if (strstr(command, names[i]))
                answer = __atomic_load_n(&who->answers[i], __ATOMIC_SEQ_CST);
        usleep((useconds_t)who->delay);
        if (!fake_say(fd, answer))
            return;
    }
}

static part *begin_part(void)
{
    part *who = apr_pcalloc(pool, sizeof(*who));

    for (int i = 0; i < COMMANDS; i++)
        who->answers[i] = "-ERR unknown command\r\n";
    who->f = fake_start(play, NULL, 0);
    who->f->data = who;
    return who;
}

static part *begin_master(void)
{
    part *who = begin_part();

    say(who, ROLE, MASTER);
    say(who, EXISTS, ":0\r\n");
    say(who, SET, "+OK\r\n");
    say(who, SCAN, "*2\r\n$1\r\n0\r\n*1\r\n$24\r\nrefresh_token:secret@x:1\r\n");
    say(who, UNLINK, ":1\r\n");
    say(who, WAIT, ":1\r\n");
    return who;
}

/** What a sentinel answers that means this host and port. */
static const char *at(const char *host, int port)
{
    const char *number = apr_itoa(pool, port);

    return apr_psprintf(pool, "*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", (int)strlen(host), host,
                        (int)strlen(number), number);
}

static void name_master(part *sentinel, const part *master)
{
    say(sentinel, SENTINEL, at("127.0.0.1", master->f->port));
}

static part *begin_sentinel(const part *master)
{
    part *who = begin_part();

    name_master(who, master);
    return who;
}

static int heard(const part *who, int command)
{
    return fake_heard(who->f, names[command]);
}

static void end_part(part *who)
{
    fake_stop(who->f);
}

static const char *sentinel_url(int a, int b, int c)
{
    const char *url = apr_psprintf(pool, "redis+sentinel://127.0.0.1:%d", a);

    if (b)
        url = apr_psprintf(pool, "%s,127.0.0.1:%d", url, b);
    if (c)
        url = apr_psprintf(pool, "%s,127.0.0.1:%d", url, c);
    return apr_pstrcat(pool, url, "/mymaster", NULL);
}

static up_token_store *watched(const part *a, const part *b)
{
    return store_at(sentinel_url(a->f->port, b ? b->f->port : 0, 0), 16);
}

static int done(up_problem *problem)
{
    last_log = problem ? problem->log : NULL;
    if (problem)
        printf("# %s\n", problem->log);
    return !problem;
}

/** Until the sentinels are asked again. */
static void let_a_second_pass(void)
{
    usleep(1100000);
}

/* --- Where the master is ---------------------------------------------------------------------- */

static void test_found(void)
{
    part *master = begin_master(), *sentinel = begin_sentinel(master);
    up_token_store *store = watched(sentinel, NULL);

    is_int(fake_accepted(sentinel->f), 0, "nobody is asked before it is needed");
    is_int(revoked(store), 0, "a sentinel names the master, which answers");
    say(master, EXISTS, ":1\r\n");
    is_int(revoked(store), 1, "and again");
    is_int(fake_heard(sentinel->f, "*3\r\n$8\r\nSENTINEL\r\n$23\r\nget-master-addr-by-name\r\n"
                                   "$8\r\nmymaster\r\n"),
           1, "it was asked once, in these words");
    is_int(fake_heard(sentinel->f, "\r\n"), 7, "and nothing else");
    is_int(heard(master, ROLE), 1, "the master has said once that it is one");
    is_int(fake_accepted(master->f), 1, "on one connection");
    let_a_second_pass();
    is_int(revoked(store), 1, "a second later");
    is_int(heard(sentinel, SENTINEL), 2, "a sentinel is asked once more");
    is_int(heard(master, ROLE), 1, "and the connection is kept");
    end_part(sentinel);
    end_part(master);
}

/** Neither learns the other's password. */
static void test_logins(void)
{
    part *master = begin_master(), *sentinel = begin_sentinel(master);
    up_token_store *store =
        store_at(apr_psprintf(pool,
                              "redis+sentinel://me:hunter2@127.0.0.1:%d/mymaster/"
                              "3?sentinel_user=watcher&sentinel_password=sesame",
                              sentinel->f->port),
                 4);

    is_int(revoked(store), 0, "with passwords");
    is_int(fake_heard(sentinel->f,
                      "*3\r\n$4\r\nAUTH\r\n$7\r\nwatcher\r\n$6\r\nsesame\r\n*3\r\n$8\r\nSENTINEL"),
           1, "the sentinel is told its own");
    is_int(fake_heard(sentinel->f, "hunter2") + fake_heard(sentinel->f, "SELECT"), 0,
           "not the server's, and no database");
    is_int(fake_heard(master->f, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$7\r\nhunter2\r\n"
                                 "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*1\r\n$4\r\nROLE\r\n"),
           1, "the master its own, and the database, before it is asked what it is");
    is_int(fake_heard(master->f, "sesame"), 0, "not the sentinel's");
    say(sentinel, SENTINEL, "-NOAUTH Authentication required.\r\n");
    end_part(master);
    fails(store, "a sentinel that wants another", "NOAUTH");
    ok(!logged("sesame") && !logged("hunter2"), "  no password is logged");
    end_part(sentinel);
}

static void test_host_name(void)
{
    part *master = begin_master(), *sentinel = begin_sentinel(master);
    up_token_store *store = store_at(
        apr_psprintf(pool, "redis+sentinel://localhost:%d/mymaster", sentinel->f->port), 4);

    say(sentinel, SENTINEL, at("localhost", master->f->port));
    is_int(revoked(store), 0, "a sentinel and a master by their names");
    end_part(sentinel);
    end_part(master);
}

static const struct bad_answer {
    const char *answer, *word;
} bad_answers[] = {
    {"*-1\r\n", "knows no master 'mymaster'"},
    {"$-1\r\n", "knows no master 'mymaster'"},
    {"-ERR unknown command 'SENTINEL', with args beginning with: 'x'\r\n", "no sentinel"},
    {"-ERR unknown command `SENTINEL`\r\n", "no sentinel"},
    {"-NOAUTH Authentication required.\r\n", "NOAUTH"},
    {"-NOPERM this user has no permissions\r\n", "NOPERM"},
    {"-READONLY x\r\n", "READONLY"},
    {"+OK\r\n", "unexpected reply"},
    {":1\r\n", "unexpected reply"},
    {"$9\r\n127.0.0.1\r\n", "unexpected reply"},
    {"*0\r\n", "unexpected reply"},
    {"*1\r\n$9\r\n127.0.0.1\r\n", "unexpected reply"},
    {"*3\r\n$9\r\n127.0.0.1\r\n$1\r\n1\r\n$1\r\n1\r\n", "unexpected reply"},
    {"*2\r\n$9\r\n127.0.0.1\r\n:1\r\n", "unexpected reply"},
    {"*2\r\n:1\r\n$1\r\n1\r\n", "unexpected reply"},
    {"*2\r\n$-1\r\n$-1\r\n", "unexpected reply"},
    {"*2\r\n*0\r\n*0\r\n", "unexpected reply"},
    {"*2\r\n$0\r\n\r\n$1\r\n1\r\n", "unexpected reply"},
    {"*2\r\n$9\r\n127.0.0.1\r\n$0\r\n\r\n", "unexpected reply"},
    {"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n", "unexpected reply"},
    {"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n65536\r\n", "unexpected reply"},
    {"*2\r\n$9\r\n127.0.0.1\r\n$6\r\n100000\r\n", "unexpected reply"},
    {"*2\r\n$9\r\n127.0.0.1\r\n$2\r\n-1\r\n", "unexpected reply"},
    {"*2\r\n$9\r\n127.0.0.1\r\n$2\r\n1x\r\n", "unexpected reply"},
    {"*2\r\n$7\r\na\r\nb c\n\r\n$1\r\n1\r\n", "unexpected reply"},
    {"*2\r\n$4\r\n%s%n\r\n$1\r\n1\r\n", "unexpected reply"},
    {"*2\r\n$6\r\n/etc/x\r\n$1\r\n1\r\n", "unexpected reply"},
    {"*2\r\n$3\r\na.:\r\n$1\r\n1\r\n", "resolving the host failed"},
    {"HTTP/1.1 400 Bad Request\r\n\r\n", "not Redis' protocol"},
    {"*2147483647\r\n", "too large"},
    {"*2\r\n$999999999\r\n", "timed out"},
    {"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n1\r\n:1\r\n", "more than it was asked"},
    {NOTHING, "timed out"},
};

static void test_bad_answers(void)
{
    part *master = begin_master(), *sentinel = begin_part();
    char host[300];

    for (apr_size_t i = 0; i < sizeof(bad_answers) / sizeof(bad_answers[0]); i++) {
        up_token_store *store = watched(sentinel, NULL);

        say(sentinel, SENTINEL, bad_answers[i].answer);
        fails(store, "a sentinel that names no master", bad_answers[i].word);
        ok(logged(apr_psprintf(pool, "sentinel 127.0.0.1:%d: ", sentinel->f->port)),
           "  the log says which");
        ok(!logged("\n") && !logged("%n"), "  and repeats nothing of it");
        /* The same store, when it has come to its senses. */
        name_master(sentinel, master);
        is_int(revoked(store), 0, "  then it does, and all is well at once");
    }
    memset(host, 'a', sizeof(host));
    host[256] = '\0';
    say(sentinel, SENTINEL, at(host, 1));
    fails(watched(sentinel, NULL), "a host of 256 bytes", "unexpected reply");
    end_part(sentinel);
    end_part(master);
}

/* --- Sentinels that are dead ------------------------------------------------------------------ */

/** The sentinel takes connections and never answers. */
static void say_nothing(fake *f, int fd, int nth)
{
    (void)nth;
    while (fake_read(f, fd))
        ;
}

static void test_dead_sentinels(void)
{
    part *master = begin_master(), *sentinel = begin_sentinel(master);
    fake *silent = fake_start(say_nothing, NULL, 0);
    up_token_store *store;
    apr_time_t start, took;

    store = store_at(sentinel_url(free_port(), sentinel->f->port, 0), 4);
    is_int(revoked(store), 0, "the first sentinel is down, the second answers");

    store = store_at(sentinel_url(silent->port, sentinel->f->port, 0), 4);
    start = up_clock();
    is_int(revoked(store), 0, "the first is silent, the second answers");
    took = up_clock() - start;
    ok(took >= TIMEOUT / 3 && took < TIMEOUT, "  after the silent one's share: %d ms",
       (int)(took / 1000));
    let_a_second_pass();
    is_int(revoked(store), 0, "a second later");
    is_int(fake_accepted(silent), 1, "  the silent one is not asked again");

    store = store_at(sentinel_url(silent->port, silent->port, sentinel->f->port), 4);
    is_int(revoked(store), 0, "two are silent, the third answers");

    store = store_at(sentinel_url(silent->port, silent->port, silent->port), 4);
    fails(store, "all are silent", "timed out");
    store = store_at(sentinel_url(free_port(), free_port(), 0), 4);
    fails(store, "all are down", "Connection refused");
    ok(logged("sentinel 127.0.0.1:") && logged("; sentinel 127.0.0.1:"), "  each is named");
    ok(!done(store->revoke_sessions(store, pool, "secret@x")), "  and no session is revoked");
    fake_stop(silent);
    end_part(sentinel);
    end_part(master);
}

/** What is known is used while nobody can be asked, but not once it is in doubt. */
static void test_sentinels_die(void)
{
    part *master = begin_master(), *sentinel = begin_sentinel(master);
    up_token_store *store = watched(sentinel, NULL);
    asker askers[4];

    is_int(revoked(store), 0, "a master is found");
    end_part(sentinel);
    let_a_second_pass();
    is_int(revoked(store), 0, "the sentinels are gone: the connection is used");
    master->delay = 50000;
    is_int(ask_at_once(store, askers, 4, NULL), 4, "and new ones are made");
    is_int(heard(master, ROLE), 4, "each with the question what it is");
    end_part(master);
    fails(store, "the master is gone, too", "sentinel 127.0.0.1:");
}

/* --- Masters that are none -------------------------------------------------------------------- */

static void test_old_news(void)
{
    part *old = begin_master(), *master = begin_master();
    part *behind = begin_sentinel(old), *sentinel = begin_sentinel(master);
    up_token_store *store = watched(behind, sentinel);

    say(old, ROLE, SLAVE);
    is_int(revoked(store), 0, "one sentinel still names the old master, the other the new one");
    ok(done(store->revoke(store, pool, "x", 10)), "  which is written to");
    is_int(heard(old, EXISTS) + heard(old, SET), 0,
           "  the old one is neither asked nor written to");
    is_int(heard(master, SET), 1, "  but the new one");

    name_master(sentinel, old);
    store = watched(behind, sentinel);
    fails(store, "all name one that is no master", "no master (ROLE)");
    is_int(heard(old, ROLE), 2, "  it is asked once for all of them");
    name_master(behind, master);
    is_int(revoked(store), 0, "the failover is over: at once");
    end_part(behind);
    end_part(sentinel);
    end_part(old);
    end_part(master);
}

static const struct bad_answer bad_roles[] = {
    {SLAVE, "no master (ROLE)"},
    {"*1\r\n$8\r\nsentinel\r\n", "no master (ROLE)"},
    {"*1\r\n$6\r\nMASTER\r\n", "no master (ROLE)"},
    {"*1\r\n$7\r\nmaster\n\r\n", "no master (ROLE)"},
    {"*0\r\n", "unexpected reply to ROLE"},
    {"*1\r\n:1\r\n", "unexpected reply to ROLE"},
    {"$6\r\nmaster\r\n", "unexpected reply to ROLE"},
    {"+master\r\n", "unexpected reply to ROLE"},
    {"-NOPERM this user has no permissions to run the 'role' command\r\n", "ROLE and WAIT"},
    {"-ERR unknown command 'ROLE'\r\n", "ERR unknown command"},
    {NOTHING, "timed out"},
};

static void test_bad_roles(void)
{
    part *master = begin_master(), *sentinel = begin_sentinel(master);

    for (apr_size_t i = 0; i < sizeof(bad_roles) / sizeof(bad_roles[0]); i++) {
        int before = fake_accepted(master->f);
        up_token_store *store = watched(sentinel, sentinel);

        say(master, ROLE, bad_roles[i].answer);
        fails(store, "a master that does not say that it is one", bad_roles[i].word);
        ok(logged(apr_psprintf(pool, "the master at 127.0.0.1:%d: ", master->f->port)),
           "  the log says which");
        is_int(fake_accepted(master->f), before + 1, "  it is tried once");
    }
    is_int(heard(master, EXISTS), 0, "and never asked");
    end_part(sentinel);
    end_part(master);
}

static void test_demoted(const char *refusal)
{
    part *old = begin_master(), *master = begin_master(), *sentinel = begin_sentinel(old);
    up_token_store *store = watched(sentinel, NULL);

    is_int(revoked(store), 0, apr_psprintf(pool, "a master that then says %.8s", refusal + 1));
    say(old, SET, refusal);
    say(old, ROLE, SLAVE);
    ok(!done(store->revoke(store, pool, "secret-jti", 10)), "  the sentinels know no other yet");
    ok(logged("no master (ROLE)"), "  which the log says");
    is_int(heard(old, SET), 1, "  it was written to once, in vain");
    ok(!done(store->revoke(store, pool, "secret-jti", 10)), "  and again");
    is_int(heard(old, SET), 1, "  it is not written to any more");
    fails(store, "  nor asked", "no master (ROLE)");
    is_int(heard(old, EXISTS), 1, "  only before");
    name_master(sentinel, master);
    ok(done(store->revoke(store, pool, "secret-jti", 10)), "  when they do: done");
    is_int(heard(master, SET), 1, "  by the new one");

    /* The same on a connection that was idle, where they know already. */
    name_master(sentinel, old);
    say(old, ROLE, MASTER);
    store = watched(sentinel, NULL);
    is_int(revoked(store), 0, "  a store on the old one");
    name_master(sentinel, master);
    ok(done(store->revoke(store, pool, "secret-jti", 10)), "  is on the new one at once");
    is_int(heard(old, SET), 2, "  after one try with the old one");
    is_int(heard(master, SET), 2, "  which the new one has");
    is_int(revoked(store), 0, "  and is asked from now on");
    is_int(heard(old, EXISTS), 2, "  not the old one");
    end_part(sentinel);
    end_part(old);
    end_part(master);
}

/** Four idle connections to a master that dies. */
static void test_master_dies(void)
{
    part *old = begin_master(), *master = begin_master(), *sentinel = begin_sentinel(old);
    up_token_store *store = watched(sentinel, NULL);
    asker askers[4];

    old->delay = 50000;
    is_int(ask_at_once(store, askers, 4, NULL), 4, "four connections to a master");
    is_int(fake_accepted(old->f), 4, "  are four");
    end_part(old);
    fails(store, "it dies, and is still named", "Connection refused");
    name_master(sentinel, master);
    is_int(revoked(store), 0, "another is named: the first request succeeds");
    master->delay = 20000;
    is_int(ask_at_once(store, askers, 4, NULL), 4, "and four at once");
    ok(fake_accepted(master->f) <= 4, "  on %d connections", fake_accepted(master->f));
    end_part(sentinel);
    end_part(master);
}

/** One that hangs costs the request that finds it, and no other. */
static void test_master_hangs(void)
{
    part *old = begin_master(), *master = begin_master(), *sentinel = begin_sentinel(old);
    up_token_store *store = watched(sentinel, NULL);

    is_int(revoked(store), 0, "a master");
    say(old, EXISTS, NOTHING);
    name_master(sentinel, master);
    fails(store, "it hangs", "timed out");
    is_int(revoked(store), 0, "another was named: the next request is served by it");
    end_part(sentinel);
    end_part(old);
    end_part(master);
}

/** An old master that was cut off goes on as if nothing had happened: it would not know what
 *  was revoked since. */
static void test_isolated(void)
{
    part *old = begin_master(), *master = begin_master(), *sentinel = begin_sentinel(old);
    up_token_store *store = watched(sentinel, NULL);
    asker askers[4];
    int asked;

    old->delay = 50000;
    is_int(ask_at_once(store, askers, 4, NULL), 4, "four connections to a master");
    say(master, EXISTS, ":1\r\n");
    name_master(sentinel, master);
    let_a_second_pass();
    asked = heard(old, EXISTS);
    is_int(revoked(store), 1, "a second after another was named it is asked");
    is_int(ask_at_once(store, askers, 4, NULL), 0, "by all");
    is_int(heard(old, EXISTS), asked, "not the old one, whose connections were good");
    is_int(heard(master, EXISTS), 5, "but the new one");
    /* And back: connections to what was a master once are not used again. */
    name_master(sentinel, old);
    let_a_second_pass();
    asked = fake_accepted(old->f);
    is_int(revoked(store), 0, "the old one is named again");
    is_int(fake_accepted(old->f), asked + 1, "  on a new connection");
    end_part(sentinel);
    end_part(old);
    end_part(master);
}

/* --- Many threads ----------------------------------------------------------------------------- */

static void test_crowd(void)
{
    part *master = begin_master(), *sentinel = begin_sentinel(master);
    fake *silent = fake_start(say_nothing, NULL, 0);
    up_token_store *store = watched(sentinel, NULL);
    asker askers[16];
    int late = 0;

    sentinel->delay = 50000;
    is_int(ask_at_once(store, askers, 16, NULL), 16, "sixteen threads at once find the master");
    is_int(heard(sentinel, SENTINEL), 1, "one of them has asked");

    store = store_at(sentinel_url(silent->port, silent->port, 0), 16);
    is_int(ask_at_once(store, askers, 16, NULL), 0, "sixteen threads, and silent sentinels");
    for (int i = 0; i < 16; i++)
        late += askers[i].took > TIMEOUT + SLACK;
    is_int(late, 0, "all give up in time");
    fake_stop(silent);
    end_part(sentinel);
    end_part(master);
}

/* --- Replicas --------------------------------------------------------------------------------- */

static void test_replicas(void)
{
    part *master = begin_master(), *sentinel = begin_sentinel(master);
    up_token_store *store = watched(sentinel, NULL);
    apr_time_t start;

    is_int(revoked(store), 0, "asking");
    is_int(heard(master, WAIT), 0, "  waits for no replica");
    ok(done(store->revoke(store, pool, "x", 10)), "a token is revoked");
    is_int(fake_heard(master->f, "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$3\r\n5"), 1,
           "  when a replica has it, which has most of the time");
    ok(done(store->revoke_sessions(store, pool, "secret@x")), "sessions are revoked");
    is_int(heard(master, UNLINK), 1, "  of which there was one");
    is_int(heard(master, WAIT), 2, "  likewise");

    say(master, WAIT, ":0\r\n");
    ok(!done(store->revoke(store, pool, "secret-jti", 10)), "no replica has it: a problem");
    ok(logged("WAIT: 0 of 1 replicas") && logged("replicas="), "  the log says so, and what to do");
    ok(sessions_fail(store, "0 of 1 replicas"), "so with sessions");
    is_int(revoked(store), 0, "asking goes on");
    is_int(fake_accepted(master->f), 1, "  on the same connection");

    say(master, WAIT, NOTHING);
    start = up_clock();
    ok(!done(store->revoke(store, pool, "secret-jti", 10)), "WAIT hangs: a problem");
    ok(up_clock() - start < TIMEOUT + SLACK, "  within the limit");
    say(master, WAIT, "+OK\r\n");
    ok(!done(store->revoke(store, pool, "secret-jti", 10)), "WAIT makes no sense: a problem");
    say(master, WAIT, "-NOPERM this user has no permissions to run the 'wait' command\r\n");
    ok(!done(store->revoke(store, pool, "secret-jti", 10)), "WAIT is forbidden: a problem");
    ok(logged("ROLE and WAIT"), "  with what to do");
    end_part(sentinel);
    end_part(master);
}

/** Also where no sentinel watches; and none where none is wanted. */
static void test_replicas_said(const char *(*url)(const part *sentinel, const part *master),
                               int replicas, const char *name)
{
    part *master = begin_master(), *sentinel = begin_sentinel(master);
    up_redis_settings settings = {.timeout = TIMEOUT};
    up_token_store *store;

    up_redis_parse(pool, url(sentinel, master), &settings);
    settings.replicas = replicas;
    store = up_redis_tokens_create(pool, &settings, NULL);
    say(master, WAIT, ":2\r\n");
    ok(done(store->revoke(store, pool, "x", 10)) == (replicas <= 2), "%s", name);
    is_int(heard(master, WAIT), replicas > 0, "  WAIT is asked for where it has to be");
    end_part(sentinel);
    end_part(master);
}

static const char *by_sentinel(const part *sentinel, const part *master)
{
    (void)master;
    return sentinel_url(sentinel->f->port, 0, 0);
}

static const char *by_itself(const part *sentinel, const part *master)
{
    (void)sentinel;
    return apr_psprintf(pool, "redis://127.0.0.1:%d", master->f->port);
}

static void test_all_replicas(void)
{
    test_replicas();
    test_replicas_said(by_sentinel, 0, "sentinels, no replica wanted");
    test_replicas_said(by_sentinel, 2, "sentinels, two of two");
    test_replicas_said(by_sentinel, 3, "sentinels, two of three");
    test_replicas_said(by_itself, 0, "a server, no replica wanted");
    test_replicas_said(by_itself, 1, "a server, two of one");
    test_replicas_said(by_itself, 3, "a server, two of three");
}

static void test_all_demoted(void)
{
    test_demoted("-READONLY You can't write against a read only replica.\r\n");
    test_demoted("-NOREPLICAS Not enough good replicas to write.\r\n");
    test_demoted("-MASTERDOWN Link with MASTER is down\r\n");
    test_demoted("-LOADING Redis is loading the dataset in memory\r\n");
}

int main(void)
{
    apr_initialize();
    in_pool(test_found);
    in_pool(test_logins);
    in_pool(test_host_name);
    in_pool(test_bad_answers);
    in_pool(test_dead_sentinels);
    in_pool(test_sentinels_die);
    in_pool(test_old_news);
    in_pool(test_bad_roles);
    in_pool(test_all_demoted);
    in_pool(test_master_dies);
    in_pool(test_master_hangs);
    in_pool(test_isolated);
    in_pool(test_crowd);
    in_pool(test_all_replicas);
    apr_terminate();
    return done_testing();
}
