/* SPDX-License-Identifier: Apache-2.0 */

/** The token store where its server talks nonsense, complains, or lies: what is no
 *  answer lets no token through, and deletes no key of another. */
#include "redis_ask.h"

/** Half an answer, then the end. */
static void break_off(fake *f, int fd, int nth)
{
    (void)nth;
    if (fake_read(f, fd))
        fake_write(fd, f->text, f->text_len);
}

static void flood(fake *f, int fd, int nth)
{
    static char bytes[64 * 1024];

    (void)nth;
    memset(bytes, 'x', sizeof(bytes));
    if (fake_read(f, fd) && fake_write(fd, f->text, f->text_len))
        while (fake_write(fd, bytes, sizeof(bytes)))
            ;
}

/** Says the text once it is idle, unasked. */
static void speak_up(fake *f, int fd, int nth)
{
    (void)nth;
    if (fake_read(f, fd) && fake_say(fd, ":0\r\n")) {
        usleep(50000);
        fake_write(fd, f->text, f->text_len);
        while (fake_read(f, fd))
            fake_say(fd, ":0\r\n");
    }
}

static const struct nonsense {
    const char *text, *word;
} nonsenses[] = {
    {"HTTP/1.1 400 Bad Request\r\n\r\n", "not Redis' protocol"},
    {"SSH-2.0-OpenSSH_9.2\r\n", "not Redis' protocol"},
    {"\r\n", "not Redis' protocol"},
    {"*-5\r\n", "not Redis' protocol"},
    {"*x\r\n", "not Redis' protocol"},
    {"$-2\r\n", "not Redis' protocol"},
    {"$99999999999999999999\r\n", "not Redis' protocol"},
    {":\r\n", "not Redis' protocol"},
    {":1x\r\n", "not Redis' protocol"},
    {":99999999999999999999\r\n", "not Redis' protocol"},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "not Redis' protocol"},
    {"*2147483647\r\n", "too large"},
    {"*70000\r\n", "too large"},
    {"*2\r\n:1\r\n*2147483647\r\n", "too large"},
    {"$999999999\r\n", "timed out"},
    {"$9223372036854775807\r\n", "timed out"},
    {"*60000\r\n", "timed out"},
    {":1", "timed out"},
    {":1\r", "timed out"},
    {":1\n", "timed out"},
    {"+OK\r\n", "unexpected reply"},
    {"+0\r\n", "unexpected reply"},
    {"$1\r\n0\r\n", "unexpected reply"},
    {"$-1\r\n", "unexpected reply"},
    {"*-1\r\n", "unexpected reply"},
    {"*0\r\n", "unexpected reply"},
    {"*1\r\n:0\r\n", "unexpected reply"},
    {":0\r\n:0\r\n", "more than it was asked"},
    {":0\r\n:", "more than it was asked"},
};

static void test_nonsense(const struct nonsense *nonsense)
{
    up_token_store *store;
    fake *f = fake_store(&store, say_text, nonsense->text, 0);

    fails(store, "nonsense is a problem", nonsense->word);
    fake_stop(f);
    f = fake_store(&store, break_off, nonsense->text, 0);
    is_int(revoked(store), -1, "  also where it ends there");
    fake_stop(f);
}

static void test_flood(const char *text, const char *word)
{
    up_token_store *store;
    fake *f = fake_store(&store, flood, text, 0);

    fails(store, "a reply without end is a problem", word);
    fake_stop(f);
}

static void test_random(void)
{
    char bytes[65] = {0};
    int let_through = 0, n = 150;

    srand(20240229);
    for (int i = 0; i < n; i++) {
        up_token_store *store;
        fake *f;
        int answer = -1;

        for (size_t j = 0; j < 64; j++)
            bytes[j] = (char)(rand() % 3 ? "*$:+-\r\n0123456789"[rand() % 17] : rand());
        f = fake_start(break_off, bytes, 0);
        f->text_len = 64;
        store = store_at_port(f->port, 4);
        let_through += store->is_revoked(store, pool, "x", &answer) == NULL || answer != 1;
        let_through += store->revoke_sessions(store, pool, "x") == NULL;
        fake_stop(f);
    }
    is_int(let_through, 0, apr_psprintf(pool, "%d random answers let nothing through", n));
}

/** While it was idle it said something: that is no answer to what is asked next. */
static void test_unasked(void)
{
    up_token_store *store;
    fake *f = fake_store(&store, speak_up, ":1\r\n", 0);

    is_int(revoked(store), 0, "an answer");
    usleep(100000);
    is_int(revoked(store), 0, "what came unasked is not taken for the next one");
    is_int(fake_accepted(f), 2, "the connection was replaced");
    fake_stop(f);
}

/* --- Errors that the server reports --------------------------------------------------------- */

static const struct complaint {
    const char *text, *code, *advice;
} complaints[] = {
    {"-LOADING Redis is loading the dataset in memory\r\n", "LOADING", "once its data is loaded"},
    {"-READONLY You can't write against a read only replica.\r\n", "READONLY", "primary"},
    {"-NOAUTH Authentication required.\r\n", "NOAUTH", "password"},
    {"-WRONGPASS invalid username-password pair\r\n", "WRONGPASS", "check user and password"},
    {"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OOM", "raise maxmemory"},
    {"-ERR something\r\n", "ERR something", "see the server's log"},
    {"-MISCONF Redis is configured to save RDB snapshots\r\n", "MISCONF", "save to disk"},
    {"-MOVED 3999 127.0.0.1:6381\r\n", "MOVED 3999 127.", "Cluster"},
    {"-CLUSTERDOWN The cluster is down\r\n", "CLUSTERDOWN", "Cluster"},
    {"-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN", "primary"},
    {"-BUSY Redis is busy running a script.\r\n", "BUSY", "SCRIPT KILL"},
    {"-DENIED Redis is running in protected mode\r\n", "DENIED", "protected mode"},
    {"-ERR unknown command `EXISTS`, with args beginning with: `x:secret-jti`, \r\n",
     "ERR unknown command", "4.0 or later"},
    {"-ERR unknown command EXISTS blacklisted_access_token:secret-jti\r\n", "ERR unknown", "4.0"},
    {"-ERR no such thing as \"secret-jti\"\r\n", "ERR no such", "see the server's log"},
    {"-\r\n", "answered", "see the server's log"},
    {"-\x1b[31mred\n\x07%s%n\r\n", "answered", "see the server's log"},
};

static void test_complaint(const struct complaint *complaint)
{
    up_token_store *store;
    fake *f = fake_store(&store, say_text, complaint->text, 0);

    fails(store, "an error reply", complaint->code);
    ok(logged(complaint->advice), "  with what to do: '%s'", complaint->advice);
    ok(logged(apr_psprintf(pool, "redis://127.0.0.1:%d/0", f->port)) && logged("EXISTS"),
       "  and the server and the command");
    ok(!logged("\x1b") && !logged("\n") && !logged("%n"), "  and nothing else");
    revoked(store);
    is_int(fake_accepted(f), 1, "  the connection is kept");
    ok(sessions_fail(store, complaint->code), "  so with SCAN");
    fake_stop(f);
}

/** A server that repeats the password where it complains of it. */
static void test_password_echo(const char *text)
{
    fake *f = fake_start(say_text, text, 0);
    up_token_store *store =
        store_at(apr_psprintf(pool, "redis://me:hunter2@127.0.0.1:%d", f->port), 4);

    fails(store, "a password that the server repeats", "AUTH");
    ok(!logged("hunter2"), "  is not logged");
    is_int(fake_heard(f, "EXISTS"), 0, "  and nothing is asked without it");
    fake_stop(f);
}

/* --- Scans ---------------------------------------------------------------------------------- */

/** Keys that nobody asked for, and what is no key. */
static void foreign_keys(fake *f, int fd, int nth)
{
    (void)nth;
    if (fake_read(f, fd) &&
        fake_say(fd, "*2\r\n$1\r\n0\r\n*5\r\n$23\r\nrefresh_token:other@x:1\r\n"
                     "$24\r\nrefresh_token:secret@y:1\r\n:5\r\n$-1\r\n$3\r\nfoo\r\n"))
        while (fake_read(f, fd))
            fake_say(fd, ":1\r\n");
}

static void own_key(fake *f, int fd, int nth)
{
    (void)nth;
    if (fake_read(f, fd) && fake_say(fd, "*2\r\n$1\r\n0\r\n*2\r\n$23\r\nrefresh_token:other@x:1\r\n"
                                         "$24\r\nrefresh_token:secret@x:1\r\n"))
        while (fake_read(f, fd))
            fake_say(fd, f->text);
}

/** The first connection breaks after a page. The second says that all is done. */
static void break_scan(fake *f, int fd, int nth)
{
    if (!fake_read(f, fd))
        return;
    if (nth == 0) { /* a reused connection */
        fake_say(fd, ":0\r\n");
        fake_read(f, fd);
        fake_say(fd, "*2\r\n$1\r\n7\r\n*0\r\n");
        fake_read(f, fd);
        return;
    }
    fake_say(fd, "*2\r\n$1\r\n0\r\n*0\r\n");
    fake_read(f, fd);
}

#define SCAN_FROM(cursor) "$4\r\nSCAN\r\n$1\r\n" cursor "\r\n"

static void test_scan(void)
{
    up_token_store *store;
    apr_time_t start_time = up_clock(), took;
    fake *f = fake_store(&store, say_text, "*2\r\n$1\r\n7\r\n*0\r\n", 0);

    ok(sessions_fail(store, "took too long"), "a scan without end");
    took = up_clock() - start_time;
    ok(took >= 3 * TIMEOUT && took < 3 * TIMEOUT + SLACK, "  has its own limit");
    fake_stop(f);

    f = fake_store(&store, foreign_keys, NULL, 0);
    ok(!store->revoke_sessions(store, pool, "secret@x"), "a page of keys that nobody asked for");
    is_int(fake_heard(f, "UNLINK"), 0, "  none is deleted");
    fake_stop(f);

    f = fake_store(&store, own_key, ":1\r\n", 0);
    ok(!store->revoke_sessions(store, pool, "secret@x"), "one of ours among them");
    is_int(fake_heard(f, "*2\r\n$6\r\nUNLINK\r\n$24\r\nrefresh_token:secret@x:1\r\n"), 1,
           "  is deleted alone");
    fake_stop(f);

    f = fake_store(&store, own_key, "-NOPERM this user has no permissions\r\n", 0);
    ok(sessions_fail(store, "UNLINK: the server answered \"NOPERM"), "UNLINK is refused");
    fake_stop(f);

    f = fake_store(&store, break_scan, NULL, 0);
    is_int(revoked(store), 0, "a connection is made");
    ok(!store->revoke_sessions(store, pool, "secret@x"), "and breaks in the middle of a scan");
    is_int(fake_heard(f, SCAN_FROM("0")), 2, "  which begins anew on another");
    is_int(fake_heard(f, SCAN_FROM("7")), 1, "  whose cursors are others");
    fake_stop(f);
}

static void test_bad_pages(void)
{
    static const char *const pages[] = {
        "*0\r\n",
        "*1\r\n$1\r\n0\r\n",
        "*3\r\n$1\r\n0\r\n*0\r\n*0\r\n",
        "*2\r\n*0\r\n$1\r\n0\r\n",
        "*2\r\n:0\r\n*0\r\n",
        "*2\r\n$-1\r\n*0\r\n",
        "*2\r\n$0\r\n\r\n*0\r\n",
        "*2\r\n$1\r\nx\r\n*0\r\n",
        "*2\r\n$2\r\n-1\r\n*0\r\n",
        "*2\r\n$3\r\n1\0002\r\n*0\r\n",
        "*2\r\n$21\r\n111111111111111111111\r\n*0\r\n",
        "*2\r\n$1\r\n0\r\n*-1\r\n",
        "*2\r\n$1\r\n0\r\n$1\r\nx\r\n",
        ":0\r\n",
    };

    for (apr_size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        up_token_store *store;
        fake *f = fake_store(&store, say_text, pages[i], 0);

        if (i == 9)
            f->text_len = 17 /* with the NUL */;
        ok(sessions_fail(store, "unexpected reply"), "a page that is none");
        fake_stop(f);
    }
}

/* --- All of it ------------------------------------------------------------------------------ */

static void test_all_nonsense(void)
{
    for (apr_size_t i = 0; i < sizeof(nonsenses) / sizeof(nonsenses[0]); i++)
        test_nonsense(&nonsenses[i]);
    test_flood("$999999999\r\n", "larger than");
    test_flood("*3\r\n$999999999\r\n", "larger than");
    /* Either limit may be met first: a line is looked through again with each piece. */
    test_flood("+", "is");
    test_random();
    test_unasked();
}

static void test_all_complaints(void)
{
    for (apr_size_t i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++)
        test_complaint(&complaints[i]);
    test_password_echo("-ERR unknown command 'AUTH', with args beginning with: 'hunter2'\r\n");
    test_password_echo("-ERR AUTH me hunter2\r\n");
    test_password_echo("-WRONGPASS hunter2 is wrong\r\n");
    test_password_echo("+hunter2\r\n");
    test_password_echo(":1\r\n");
}

int main(void)
{
    apr_initialize();
    in_pool(test_all_nonsense);
    in_pool(test_all_complaints);
    in_pool(test_scan);
    in_pool(test_bad_pages);
    apr_terminate();
    return done_testing();
}
