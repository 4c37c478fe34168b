/* SPDX-License-Identifier: Apache-2.0 */

/** The token store against a real redis-server. What goes wrong on the way there
 *  is in redis_faults.c. SIGPIPE keeps its default here: nothing may raise it. */
#include "adapters/redis_tokens.h"
#include "redis_server.h"
#include "tap.h"

#include <apr_escape.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <pthread.h>

static apr_pool_t *pool; /* of one test */
static redis_server server;

static const char *unix_url(const char *rest)
{
    return apr_psprintf(pool, "redis+unix://%s%s", server.sock, rest);
}

static const char *tcp_url(const char *user, const char *rest)
{
    return apr_psprintf(pool, "redis://%s127.0.0.1:%d%s", user, server.port, rest);
}

static up_token_store *make_store(const char *url)
{
    up_redis_settings settings = {0};

    is(up_redis_parse(pool, url, &settings), NULL, "the URL is read");
    return up_redis_tokens_create(pool, &settings, NULL);
}

/** 0 or 1; -1 for a problem, which is shown. */
static int revoked(up_token_store *store, const char *jti)
{
    int answer = -1;
    up_problem *problem = store->is_revoked(store, pool, jti, &answer);

    if (problem)
        printf("# %s\n", problem->log);
    return problem ? -1 : answer;
}

static int done(up_problem *problem)
{
    if (problem)
        printf("# %s\n", problem->log);
    return !problem;
}

static int exists(int db, const char *key)
{
    return (int)admin(&server, db, "EXISTS", key);
}

static void test_blacklist(const char *url, int db)
{
    up_token_store *store = make_store(url);
    const char *key = "blacklisted_access_token:one";
    long long ttl;

    is_int(revoked(store, "one"), 0, "an unknown jti is not revoked");
    ok(done(store->revoke(store, pool, "one", 100)), "it is revoked");
    is_int(revoked(store, "one"), 1, "then it is");
    is_int(revoked(store, "on"), 0, "a shorter one is not");
    is_int(revoked(store, "one1"), 0, "nor a longer one");
    is_int(exists(db, key), 1, "the key is in the database that the URL names");
    ttl = admin(&server, db, "TTL", key);
    ok(ttl == 100 || ttl == 99, "it lives for 100 s");
    ok(done(store->revoke(store, pool, "one", 5)), "revoked again");
    ttl = admin(&server, db, "TTL", key);
    ok(ttl == 5 || ttl == 4, "the later one counts");
    is_int(admin(&server, db, "DBSIZE"), 1, "one key only");
    admin(&server, 0, "FLUSHALL");
    is_int(revoked(store, "one"), 0, "and gone it is not revoked any more");
}

/** A CGI program must not get a connection that has said its password. */
static void test_inheritance(const char *url)
{
    up_token_store *store = make_store(url);
    int all = count_descriptors(), inheritable = count_descriptors_of(1);

    is_int(revoked(store, "x"), 0, "a connection is made");
    is_int(count_descriptors(), all + 1, "that is one descriptor more");
    is_int(count_descriptors_of(1), inheritable, "none that is inherited on exec");
}

static void test_ttl(void)
{
    up_token_store *store = make_store(unix_url(""));
    long long ttl;

    ok(done(store->revoke(store, pool, "short", 1)), "revoked for one second");
    is_int(revoked(store, "short"), 1, "at once it is");
    usleep(1100000);
    is_int(revoked(store, "short"), 0, "later it is not");
    ok(done(store->revoke(store, pool, "zero", 0)) && done(store->revoke(store, pool, "neg", -5)),
       "no time or less than none is the shortest");
    ok(done(store->revoke(store, pool, "long", INT64_MAX)), "more than Redis can count is taken");
    ttl = admin(&server, 0, "TTL", "blacklisted_access_token:long");
    ok(ttl > UP_REDIS_TTL_MAX - 10 && ttl <= UP_REDIS_TTL_MAX, "as the longest");
    admin(&server, 0, "FLUSHALL");
}

/** What another program wrote: whatever its type and value are. */
static void test_foreign_values(void)
{
    up_token_store *store = make_store(unix_url(""));

    admin(&server, 0, "SET", "blacklisted_access_token:a", "");
    admin(&server, 0, "SETEX", "blacklisted_access_token:b", "100", "true");
    admin(&server, 0, "SET", "blacklisted_access_token:c", "0");
    admin(&server, 0, "RPUSH", "blacklisted_access_token:d", "x");
    admin(&server, 0, "SET", "BLACKLISTED_ACCESS_TOKEN:e", "1");
    is_int(revoked(store, "a"), 1, "an empty value blacklists");
    is_int(revoked(store, "b"), 1, "a word blacklists");
    is_int(revoked(store, "c"), 1, "a zero blacklists");
    is_int(revoked(store, "d"), 1, "a list blacklists");
    is_int(revoked(store, "e"), 0, "a key in upper case does not");
    ok(done(store->revoke(store, pool, "d", 10)), "and is replaced without complaint");
    admin(&server, 0, "FLUSHALL");
}

static void test_hostile_jtis(void)
{
    static const char *const jtis[] = {
        "%s%n%b",
        "%d%d%d",
        "a b",
        "a\r\nFLUSHALL\r\n",
        "\r\n$5\r\nhello",
        "*",
        "a*",
        "?",
        "[a]",
        "\"'",
        "",
        "\xff\xfe",
        "\xC3\xBC",
        "*1\r\n$4\r\n",
        "\\",
        ":1",
        "{tag}",
        "%",
        "EX 1 XX",
        "\x01\x7f",
        "a;b|c&d",
        "../..",
        "$(id)",
        " ",
        "%00",
        "<script>",
        "a\tb\nc",
        "%.9999999s",
        "-",
        "0",
    };
    up_token_store *store = make_store(unix_url(""));
    int n = (int)(sizeof(jtis) / sizeof(jtis[0])), before = 0, after = 0, keys = 0;
    char *longest = apr_palloc(pool, 4097);

    for (int i = 0; i < n; i++) {
        before += revoked(store, jtis[i]) == 0;
        done(store->revoke(store, pool, jtis[i], 50));
        after += revoked(store, jtis[i]) == 1;
        keys += exists(0, apr_pstrcat(pool, "blacklisted_access_token:", jtis[i], NULL)) == 1;
    }
    is_int(before, n, "none of the hostile jtis is revoked before");
    is_int(after, n, "each is revoked after");
    is_int(keys, n, "each under its own key, byte by byte");
    is_int(admin(&server, 0, "DBSIZE"), n, "and nothing else happened");
    memset(longest, 'j', 4096);
    longest[4096] = '\0';
    is_int(revoked(store, longest), 0, "a jti of 4096 bytes is not revoked");
    ok(done(store->revoke(store, pool, longest, 50)) && revoked(store, longest) == 1,
       "and then it is");
    admin(&server, 0, "FLUSHALL");
}

static void test_prefixes(void)
{
    up_redis_settings settings = {
        .blacklist_prefix = "b*l/", .refresh_prefix = "r[1]*", .refresh_separator = "/?"};
    up_token_store *store;

    up_redis_parse(pool, unix_url(""), &settings);
    store = up_redis_tokens_create(pool, &settings, NULL);
    ok(done(store->revoke(store, pool, "x", 10)), "revoked under a configured prefix");
    is_int(exists(0, "b*l/x"), 1, "it is the key's beginning");
    admin(&server, 0, "MSET", "r[1]*me/?1", "", "r1me/?1", "", "r[1]xme/?1", "", "r[1]*me/x1", "",
          "refresh_token:me:1", "");
    ok(done(store->revoke_sessions(store, pool, "me")), "sessions under a configured prefix");
    is_int(exists(0, "r[1]*me/?1"), 0, "the key of it is gone");
    is_int(exists(0, "r1me/?1") + exists(0, "r[1]xme/?1") + exists(0, "r[1]*me/x1") +
               exists(0, "refresh_token:me:1"),
           4, "no prefix or separator is a glob");
    admin(&server, 0, "FLUSHALL");
}

/** A subject, and a key that its sessions' pattern would match, or seem to, were it a
 *  glob (or were a key's beginning read carelessly). */
static const struct neighbour {
    const char *subject, *key;
} neighbours[] = {
    {"a*b@x", "refresh_token:aXb@x:1"},
    {"a*b@x", "refresh_token:ab@x:1"},
    {"*", "refresh_token:a@x:1"},
    {"**", "refresh_token:a@x:1"},
    {"a?b@x", "refresh_token:aXb@x:1"},
    {"????", "refresh_token:a@xy:1"},
    {"a[bc]d@x", "refresh_token:abd@x:1"},
    {"a[b", "refresh_token:ab:1"},
    {"a]b@x", "refresh_token:ab@x:1"},
    {"a[^b]d@x", "refresh_token:acd@x:1"},
    {"a^b@x", "refresh_token:ab@x:1"},
    {"a[a-c]d@x", "refresh_token:abd@x:1"},
    {"a-c@x", "refresh_token:b@x:1"},
    {"a\\b@x", "refresh_token:ab@x:1"},
    {"a\\", "refresh_token:a:1"},
    {"a\\*", "refresh_token:a*:1"},
    {"a\\\\*b", "refresh_token:a\\Xb:1"},
    {"[]]", "refresh_token:]:1"},
    {"[\\]]", "refresh_token:]:1"},
    {"a b@x", "refresh_token:ab@x:1"},
    {"a b@x", "refresh_token:a:1"},
    {" a@x", "refresh_token:a@x:1"},
    {"\xC3\xBC@x", "refresh_token:u@x:1"},
    {"\xC3\xBC@x", "refresh_token:\xC3\xBD@x:1"},
    {"\xE6\x97\xA5\xE6\x9C\xAC@\xE4\xBE\x8B.jp", "refresh_token:\xE6\x97\xA5@\xE4\xBE\x8B.jp:1"},
    {"\xF0\x9F\x98\x80@x", "refresh_token:?@x:1"},
    {"a@x", "refresh_token:A@x:1"},
    {"A@X", "refresh_token:a@x:1"},
    {"a@x", "refresh_token:a@xy:1"},
    {"a@x", "refresh_token:a@x"},
    {"a@x", "refresh_token:aa@x:1"},
    {"a@x", "xrefresh_token:a@x:1"},
    {"a@x", "REFRESH_TOKEN:a@x:1"},
    {"a@x:b@y", "refresh_token:a@x:1"},
    {"a@x:b@y", "refresh_token:a@x:b@z:1"},
    {"%s%n@x", "refresh_token:@x:1"},
    {"a\r\nFLUSHALL\r\n@x", "refresh_token:a:1"},
    {"", "refresh_token:a@x:1"},
    {"\x01\x7f\xff", "refresh_token:\x01:1"},
};

static void test_neighbour(const struct neighbour *n)
{
    up_token_store *store = make_store(unix_url(""));
    const char *name = apr_pescape_echo(pool, n->subject, 0);
    const char *own[3];

    own[0] = apr_psprintf(pool, "refresh_token:%s:1", n->subject);
    own[1] = apr_psprintf(pool, "refresh_token:%s:6f1c-*?[]", n->subject);
    own[2] = apr_psprintf(pool, "refresh_token:%s:", n->subject);
    admin(&server, 0, "MSET", n->key, "", own[0], "", own[1], "", own[2], "");
    is_int(admin(&server, 0, "DBSIZE"), 4, "four keys");
    ok(done(store->revoke_sessions(store, pool, n->subject)), "sessions of '%s' revoked", name);
    is_int(exists(0, own[0]) + exists(0, own[1]) + exists(0, own[2]), 0, "  its own are gone");
    is_int(exists(0, n->key), 1,
           apr_psprintf(pool, "  %s stays", apr_pescape_echo(pool, n->key, 0)));
    admin(&server, 0, "FLUSHALL");
}

/** What the layout of the keys means: everything below the subject is its own. */
static void test_below(void)
{
    up_token_store *store = make_store(unix_url(""));
    const char *argv[] = {"SET", "refresh_token:a@x:\0\r\n\xff", "1"};
    size_t lens[] = {3, 22, 1};

    admin_argv(&server, NULL, 0, 3, argv, lens);
    admin(&server, 0, "SADD", "refresh_token:a@x:set", "x");
    admin(&server, 0, "SET", "refresh_token:a@x:1:2:3", "x");
    is_int(admin(&server, 0, "DBSIZE"), 3, "keys with a NUL, of another type, with colons");
    ok(done(store->revoke_sessions(store, pool, "a@x")), "sessions revoked");
    is_int(admin(&server, 0, "DBSIZE"), 0, "all of them");
    ok(done(store->revoke_sessions(store, pool, "a@x")), "where there are none it is no problem");
}

/** Pipelined, as one by one it takes a while. */
static void fill(const char *format, int count)
{
    redisContext *c = redisConnectUnix(server.sock);
    void *reply;

    for (int i = 0; i < count; i++)
        redisAppendCommand(c, "SET %s 1", apr_psprintf(pool, format, i));
    for (int i = 0; i < count && redisGetReply(c, &reply) == REDIS_OK; i++)
        freeReplyObject(reply);
    redisFree(c);
}

static void test_many_keys(void)
{
    up_token_store *store = make_store(tcp_url("", ""));
    char *email = apr_palloc(pool, 255);

    memset(email, 'm', 254);
    memcpy(email + 200, "*@x", 3);
    email[254] = '\0';
    fill("refresh_token:user%d@example.com:1", 5000);
    fill("refresh_token:me@example.com:%08d", 2500);
    fill(apr_psprintf(pool, "refresh_token:%s:%%032d", email), 2500);
    fill("blacklisted_access_token:%d", 500);
    is_int(admin(&server, 0, "DBSIZE"), 10500, "10,500 keys");
    admin(&server, 0, "CONFIG", "RESETSTAT");
    ok(done(store->revoke_sessions(store, pool, "me@example.com")), "one user's 2,500 revoked");
    is_int(admin(&server, 0, "DBSIZE"), 8000, "and no other's");
    ok(done(store->revoke_sessions(store, pool, email)), "another's 2,500 long ones revoked");
    is_int(admin(&server, 0, "DBSIZE"), 5500, "and no other's");
    is_int(exists(0, "refresh_token:user4999@example.com:1"), 1, "one of them looked at");
    is_int(server_info(&server, "commandstats", "cmdstat_keys"), -1, "KEYS was not used");
    is_int(server_info(&server, "commandstats", "cmdstat_del"), -1, "nor DEL");
    ok(server_info(&server, "commandstats", "cmdstat_scan") == 0 &&
           server_info(&server, "commandstats", "cmdstat_unlink") == 0,
       "but SCAN and UNLINK");
    admin(&server, 0, "FLUSHALL");
}

/** No time is left for the first page: nothing was looked at, and that must not count as done. */
static void test_no_time(void)
{
    up_redis_settings settings = {.scan_timeout = 1};
    up_token_store *store;
    up_problem *problem;

    up_redis_parse(pool, unix_url(""), &settings);
    store = up_redis_tokens_create(pool, &settings, NULL);
    admin(&server, 0, "SET", "refresh_token:a@x:1", "");
    is_int(revoked(store, "x"), 0, "a connection is made");
    problem = store->revoke_sessions(store, pool, "a@x");
    ok(problem && strstr(problem->log, "took too long"), "no time for the sessions is a problem");
    is_int(exists(0, "refresh_token:a@x:1"), 1, "as they are there");
    admin(&server, 0, "FLUSHALL");
}

/** A store that finds sessions by their users' sets. */
static up_token_store *make_indexed(void)
{
    up_redis_settings settings = {.index_prefix = "user_sessions:"};

    up_redis_parse(pool, unix_url(""), &settings);
    return up_redis_tokens_create(pool, &settings, NULL);
}

static void test_index(void)
{
    up_token_store *store = make_indexed();
    const char *member[] = {"SADD", "user_sessions:a@x", "\0\r\n\xff"};
    const char *key[] = {"SET", "refresh_token:a@x:\0\r\n\xff", "1"};
    size_t member_lens[] = {4, 17, 4}, key_lens[] = {3, 22, 1};

    admin(&server, 0, "MSET", "refresh_token:a@x:1", "", "refresh_token:a@x:*", "",
          "refresh_token:a@x:left out", "", "refresh_token:b@x:1", "", "1", "");
    admin_argv(&server, NULL, 0, 3, member, member_lens);
    admin_argv(&server, NULL, 0, 3, key, key_lens);
    admin(&server, 0, "SADD", "user_sessions:a@x", "1", "*", "expired", "");
    admin(&server, 0, "SADD", "user_sessions:b@x", "1");
    admin(&server, 0, "CONFIG", "RESETSTAT");
    ok(done(store->revoke_sessions(store, pool, "a@x")), "the sessions of a set revoked");
    is_int(exists(0, "refresh_token:a@x:1") + exists(0, "refresh_token:a@x:*") +
               exists(0, "user_sessions:a@x"),
           0, "they are gone, and their set");
    is_int(exists(0, "refresh_token:a@x:left out") + exists(0, "refresh_token:b@x:1") +
               exists(0, "user_sessions:b@x") + exists(0, "1"),
           4, "what is not in the set stays, and others'");
    is_int(admin(&server, 0, "DBSIZE"), 4, "and a key with a NUL is gone");
    is_int(server_info(&server, "commandstats", "cmdstat_scan"), -1, "nothing was scanned");
    ok(done(store->revoke_sessions(store, pool, "a@x")), "a set that is not there is no problem");
    ok(done(store->revoke_sessions(store, pool, "nobody*")), "nor one that never was");
    is_int(exists(0, "user_sessions:b@x"), 1, "a subject is no glob");
    admin(&server, 0, "SET", "user_sessions:c@x", "no set");
    ok(store->revoke_sessions(store, pool, "c@x") != NULL, "what is no set is a problem");
    admin(&server, 0, "FLUSHALL");
}

/** More members than Redis gives at once; and what is done of it however many others there are. */
static void test_large_index(void)
{
    up_token_store *store = make_indexed();
    redisContext *c = redisConnectUnix(server.sock);

    fill("refresh_token:other%d@x:1", 5000);
    fill("refresh_token:a@x:%08d", 2500);
    for (int i = 0; i < 2500; i++)
        freeReplyObject(redisCommand(c, "SADD user_sessions:a@x %s", apr_psprintf(pool, "%08d", i)));
    redisFree(c);
    admin(&server, 0, "CONFIG", "RESETSTAT");
    ok(done(store->revoke_sessions(store, pool, "a@x")), "2,500 sessions of a set revoked");
    is_int(admin(&server, 0, "DBSIZE"), 5000, "and no other's");
    is_int(server_info(&server, "commandstats", "cmdstat_scan"), -1, "nothing was scanned");
    admin(&server, 0, "FLUSHALL");
}

/** A problem whose log has these words and not those; both lists end with NULL. */
static void refused(up_problem *problem, const char *name, const char *const *words,
                    const char *const *secrets)
{
    ok(problem != NULL, "refused: %s", name);
    if (!problem)
        return;
    printf("# %s\n", problem->log);
    is_int(problem->code, UP_SERVICE_UNAVAILABLE, "  it is SERVICE_UNAVAILABLE");
    is(problem->message, up_code_message(UP_SERVICE_UNAVAILABLE), "  the client learns no more");
    ok(problem->retry_after > 0, "  and when to come again");
    for (; *words; words++)
        ok(strstr(problem->log, *words) != NULL, "  the log has '%s'", *words);
    for (; *secrets; secrets++)
        ok(strstr(problem->log, *secrets) == NULL, "  the log has no '%s'", *secrets);
}

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static up_problem *ask(const char *url, int *answer)
{
    up_token_store *store = make_store(url);

    *answer = -1;
    return store->is_revoked(store, pool, "secret-jti", answer);
}

static void test_auth(void)
{
    int answer;

    admin(&server, 0, "CONFIG", "SET", "requirepass", "s:e@c%ret");
    server.password = "s:e@c%ret";
    ok(!ask(tcp_url(":s:e%40c%25ret@", ""), &answer) && answer == 0, "the right password");
    ok(!ask(tcp_url("default:s:e%40c%25ret@", "/3"), &answer) && answer == 0,
       "with the user, and a database");
    ok(!ask(apr_psprintf(pool, "redis+unix://:s:e%%40c%%25ret@%s", server.sock), &answer) &&
           answer == 0,
       "on the Unix socket");
    refused(ask(tcp_url(":hunter2@", ""), &answer), "a wrong password",
            WORDS("WRONGPASS", "AUTH", "redis://127.0.0.1:", "check user and password"),
            WORDS("hunter2", "secret-jti"));
    refused(ask(tcp_url("default:hunter2@", ""), &answer), "a wrong password of a user",
            WORDS("WRONGPASS"), WORDS("hunter2"));
    refused(ask(tcp_url("", ""), &answer), "no password", WORDS("NOAUTH", "EXISTS", "into the URL"),
            WORDS("secret-jti"));
    is_int(answer, 1, "and whoever looks at the answer all the same sees a revoked token");
    refused(ask(tcp_url("", "/1"), &answer), "no password, another database",
            WORDS("NOAUTH", "SELECT"), WORDS("secret-jti"));
    admin(&server, 0, "CONFIG", "SET", "requirepass", "");
    server.password = NULL;
    refused(ask(tcp_url(":hunter2@", ""), &answer), "a password where there is none",
            WORDS("ERR AUTH", "requirepass"), WORDS("hunter2"));
}

static void test_acl(void)
{
    up_token_store *store;
    int answer;

    admin(&server, 0, "ACL", "SETUSER", "httpd", "on", ">pass word", "~blacklisted_access_token:*",
          "~refresh_token:*", "+exists", "+set", "+scan", "+unlink", "+select");
    store = make_store(tcp_url("httpd:pass%20word@", "/2"));
    admin(&server, 2, "SET", "refresh_token:a@x:1", "");
    ok(done(store->revoke(store, pool, "x", 10)) && revoked(store, "x") == 1 &&
           done(store->revoke_sessions(store, pool, "a@x")) &&
           exists(2, "refresh_token:a@x:1") == 0,
       "a user who may do only what the header says can do all");
    admin(&server, 0, "ACL", "SETUSER", "httpd", "-exists");
    refused(ask(tcp_url("httpd:pass%20word@", ""), &answer), "a user who may not ask",
            WORDS("NOPERM", "EXISTS", "ACL SETUSER"), WORDS("secret-jti", "pass word"));
    admin(&server, 0, "ACL", "SETUSER", "httpd", "+exists", "resetkeys", "~other:*");
    refused(ask(tcp_url("httpd:pass%20word@", ""), &answer), "a user of other keys",
            WORDS("NOPERM"), WORDS("secret-jti"));
    admin(&server, 0, "ACL", "DELUSER", "httpd");
    admin(&server, 0, "FLUSHALL");
}

static void test_complaints(void)
{
    up_token_store *store = make_store(unix_url(""));
    int answer;

    refused(ask(unix_url("?db=16"), &answer), "a database that is not there",
            WORDS("SELECT", "ERR DB index is out of range", "?db=16"), WORDS("secret-jti"));
    admin(&server, 0, "CONFIG", "SET", "maxmemory", "1");
    refused(store->revoke(store, pool, "secret-jti", 10), "no memory left on the server",
            WORDS("SET", "OOM", "maxmemory"), WORDS("secret-jti"));
    is_int(revoked(store, "x"), 0, "asking goes on meanwhile, on the same connection");
    admin(&server, 0, "CONFIG", "SET", "maxmemory", "0");
    ok(done(store->revoke(store, pool, "y", 10)), "with memory it works again");

    admin(&server, 0, "SET", "refresh_token:secret@x:1", "");
    admin(&server, 0, "REPLICAOF", "127.0.0.1", "1");
    refused(store->revoke(store, pool, "secret-jti", 10), "a replica",
            WORDS("SET", "READONLY", "primary"), WORDS("secret-jti"));
    refused(store->revoke_sessions(store, pool, "secret@x"), "sessions on a replica",
            WORDS("UNLINK", "READONLY", "unfinished"), WORDS("secret@x"));
    admin(&server, 0, "REPLICAOF", "NO", "ONE");
    admin(&server, 0, "FLUSHALL");
}

static void test_maxclients(void)
{
    const char *argv[] = {"CONFIG", "SET", "maxclients", "1"};
    redisContext *only = redisConnectUnix(server.sock);
    int answer;

    freeReplyObject(redisCommandArgv(only, 4, argv, NULL));
    refused(ask(tcp_url("", ""), &answer), "too many clients", WORDS("max number of clients"),
            WORDS("secret-jti"));
    argv[3] = "1000";
    freeReplyObject(redisCommandArgv(only, 4, argv, NULL));
    redisFree(only);
    ok(!ask(tcp_url("", ""), &answer) && answer == 0, "when there is room again it works");
}

/** "unknown command" repeats the arguments. */
static void test_renamed(void)
{
    redis_server other = {.renamed = "EXISTS"};
    up_redis_settings settings = {0};
    up_token_store *store;
    int answer;

    if (!ok(server_start(&other), "a server without EXISTS is started"))
        return;
    up_redis_parse(pool, apr_psprintf(pool, "redis+unix://%s", other.sock), &settings);
    store = up_redis_tokens_create(pool, &settings, NULL);
    refused(store->is_revoked(store, pool, "secret-jti", &answer), "a command that is not there",
            WORDS("ERR unknown command", "EXISTS", "renamed"), WORDS("secret-jti", "blacklisted"));
    server_remove(&other);
}

typedef struct worker {
    pthread_t thread;
    up_token_store *store;
    int number, wrong;
} worker;

/** 1000 commands: its own jtis are revoked and then are, nobody's else. */
static void *work(void *data)
{
    worker *w = data;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    for (int i = 0; i < 250; i++) {
        const char *jti = apr_psprintf(p, "t%d-%d", w->number, i);
        int before = -1, after = -1, other = -1;

        w->wrong += w->store->is_revoked(w->store, p, jti, &before) != NULL;
        w->wrong += w->store->revoke(w->store, p, jti, 100) != NULL;
        w->wrong += w->store->is_revoked(w->store, p, jti, &after) != NULL;
        w->wrong += w->store->is_revoked(w->store, p, "nobody", &other) != NULL;
        w->wrong += before != 0 || after != 1 || other != 0;
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return NULL;
}

static void test_threads(const char *url, int max)
{
    up_redis_settings settings = {.max_connections = max, .timeout = apr_time_from_sec(20)};
    worker workers[16];
    apr_pool_t *child;
    int wrong = 0, descriptors;
    long clients = server_info(&server, "clients", "connected_clients");

    apr_pool_create(&child, NULL);
    up_redis_parse(pool, url, &settings);
    descriptors = count_descriptors();
    for (int i = 0; i < 16; i++) {
        workers[i] = (worker){.number = i};
        workers[i].store = i ? workers[0].store : up_redis_tokens_create(child, &settings, NULL);
    }
    for (int i = 0; i < 16; i++)
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    for (int i = 0; i < 16; i++) {
        pthread_join(workers[i].thread, NULL);
        wrong += workers[i].wrong;
    }
    is_int(wrong, 0, apr_psprintf(pool, "16 threads, 1,000 commands each, on %d connections", max));
    is_int(admin(&server, 0, "DBSIZE"), 16 * 250, "each did its own");
    clients = server_info(&server, "clients", "connected_clients") - clients;
    ok(clients >= 1 && clients <= max, "%ld connections are kept, %d at most", clients, max);
    is_int(count_descriptors() - descriptors, clients, "a descriptor each");
    apr_pool_destroy(child);
    is_int(count_descriptors() - descriptors, 0, "none is left when the pool is destroyed");
    admin(&server, 0, "FLUSHALL");
}

static void run_all(void)
{
    test_blacklist(unix_url(""), 0);
    test_blacklist(unix_url("?db=5"), 5);
    test_blacklist(tcp_url("", ""), 0);
    test_blacklist(tcp_url("", "/3"), 3);
    test_inheritance(unix_url(""));
    test_inheritance(tcp_url("", ""));
    test_ttl();
    test_foreign_values();
    test_hostile_jtis();
    test_prefixes();
    for (apr_size_t i = 0; i < sizeof(neighbours) / sizeof(neighbours[0]); i++)
        test_neighbour(&neighbours[i]);
    test_below();
    test_many_keys();
    test_no_time();
    test_index();
    test_large_index();
    test_auth();
    test_acl();
    test_complaints();
    test_maxclients();
    test_renamed();
    test_threads(unix_url(""), 16);
    test_threads(tcp_url("", ""), 4);
    test_threads(unix_url(""), 1);
}

int main(void)
{
    int descriptors;

    if (!server_is_installed()) {
        printf("1..0 # SKIP redis-server is not installed\n");
        return 0;
    }
    apr_initialize();
    apr_pool_create(&pool, NULL);
    descriptors = count_descriptors();
    if (ok(server_start(&server), "a redis-server is started"))
        run_all();
    server_remove(&server);
    apr_pool_destroy(pool);
    is_int(count_descriptors(), descriptors, "no descriptor is left");
    apr_terminate();
    return done_testing();
}
