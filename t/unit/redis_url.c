/* SPDX-License-Identifier: Apache-2.0 */

/** The URL of a Redis server: what is taken, what is refused, what is shown. */
#include "adapters/redis_url.h"
#include "tap.h"

#include <apr_escape.h>
#include <apr_general.h>
#include <apr_strings.h>

static apr_pool_t *pool;

static const struct good {
    const char *url, *host, *path;
    int port, db;
    const char *username, *password, *display;
} goods[] = {
    {"redis://localhost", "localhost", NULL, 6379, 0, NULL, NULL, "redis://localhost:6379/0"},
    {"redis://localhost/", "localhost", NULL, 6379, 0, NULL, NULL, "redis://localhost:6379/0"},
    {"REDIS://Redis_1.example-x.net:1/15", "Redis_1.example-x.net", NULL, 1, 15, NULL, NULL,
     "redis://Redis_1.example-x.net:1/15"},
    {"redis://127.0.0.1:65535/999999999", "127.0.0.1", NULL, 65535, 999999999, NULL, NULL,
     "redis://127.0.0.1:65535/999999999"},
    {"redis://[::1]:6379/0", "::1", NULL, 6379, 0, NULL, NULL, "redis://[::1]:6379/0"},
    {"redis://[2001:db8::1]", "2001:db8::1", NULL, 6379, 0, NULL, NULL,
     "redis://[2001:db8::1]:6379/0"},
    {"redis://:secret@[::1]/2", "::1", NULL, 6379, 2, NULL, "secret", "redis://[::1]:6379/2"},
    {"redis://:secret@h", "h", NULL, 6379, 0, NULL, "secret", "redis://h:6379/0"},
    {"redis://me:secret@h:7/1", "h", NULL, 7, 1, "me", "secret", "redis://h:7/1"},
    {"redis://me:s:e:c@h", "h", NULL, 6379, 0, "me", "s:e:c", "redis://h:6379/0"},
    {"redis://m%40e:%40%3A%2f%3F%23%25%20%0A@h", "h", NULL, 6379, 0, "m@e", "@:/?#% \n",
     "redis://h:6379/0"},
    {"redis://a%3Ab:%C3%BC\xC3\xBC@h", "h", NULL, 6379, 0, "a:b", "\xC3\xBC\xC3\xBC",
     "redis://h:6379/0"},
    {"redis://me:%25s%25n@h", "h", NULL, 6379, 0, "me", "%s%n", "redis://h:6379/0"},
    {"redis+unix:///run/redis.sock", NULL, "/run/redis.sock", 6379, 0, NULL, NULL,
     "redis+unix:///run/redis.sock?db=0"},
    {"redis+unix:///run/redis.sock?db=3", NULL, "/run/redis.sock", 6379, 3, NULL, NULL,
     "redis+unix:///run/redis.sock?db=3"},
    {"redis+unix:///a%20b%3Fc@d", NULL, "/a b?c@d", 6379, 0, NULL, NULL,
     "redis+unix:///a b?c@d?db=0"},
    {"redis+unix://me:secret@/run/redis.sock?db=1", NULL, "/run/redis.sock", 6379, 1, "me",
     "secret", "redis+unix:///run/redis.sock?db=1"},
    {"redis+unix://:secret@/run/redis.sock", NULL, "/run/redis.sock", 6379, 0, NULL, "secret",
     "redis+unix:///run/redis.sock?db=0"},
};

/** URLs of sentinels: these as up_redis_display() shows them. */
static const struct watched {
    const char *url, *master;
    int db;
    const char *username, *password, *sentinel_username, *sentinel_password, *display;
} watcheds[] = {
    {"redis+sentinel://h/m", "m", 0, NULL, NULL, NULL, NULL, "redis+sentinel://h:26379/m/0"},
    {"redis+sentinel://h/m/", "m", 0, NULL, NULL, NULL, NULL, "redis+sentinel://h:26379/m/0"},
    {"REDIS+Sentinel://a,b:1,[::1],[::2]:65535,10.0.0.1/My_master-1.x/12", "My_master-1.x", 12,
     NULL, NULL, NULL, NULL,
     "redis+sentinel://a:26379,b:1,[::1]:26379,[::2]:65535,10.0.0.1:26379/My_master-1.x/12"},
    {"redis+sentinel://1,2,3,4,5,6,7,8/m", "m", 0, NULL, NULL, NULL, NULL,
     "redis+sentinel://1:26379,2:26379,3:26379,4:26379,5:26379,6:26379,7:26379,8:26379/m/0"},
    {"redis+sentinel://:secret@a,b/m", "m", 0, NULL, "secret", NULL, NULL,
     "redis+sentinel://a:26379,b:26379/m/0"},
    {"redis+sentinel://me:s%2Cec%40ret@a,b/m/3?sentinel_password=p%26w", "m", 3, "me", "s,ec@ret",
     NULL, "p&w", "redis+sentinel://a:26379,b:26379/m/3"},
    {"redis+sentinel://a/m?sentinel_password=p=w/@:&sentinel_user=watch%25er", "m", 0, NULL, NULL,
     "watch%er", "p=w/@:", "redis+sentinel://a:26379/m/0"},
    {"redis+sentinel://a/m/0?sentinel_user=u&sentinel_password=p", "m", 0, NULL, NULL, "u", "p",
     "redis+sentinel://a:26379/m/0"},
};

/** URLs that are refused, and a word that the sentence must have. Each "hunter2"
 *  (or "hunter" and "2" around what breaks the URL) is a password. */
static const struct bad {
    const char *url, *word;
} bads[] = {
    {"", "redis://"},
    {"localhost", "redis://"},
    {"redis:localhost", "redis://"},
    {"redis:/localhost", "redis://"},
    {" redis://localhost", "redis://"},
    {"rediss://:hunter2@localhost", "redis://"},
    {"http://:hunter2@localhost", "redis://"},
    {"unix:///run/redis.sock", "redis+unix://"},
    {"redis://", "host"},
    {"redis:///0", "host"},
    {"redis://:6379", "host"},
    {"redis://:hunter2@", "host"},
    {"redis://ho st", "host"},
    {"redis://host%20", "host"},
    {"redis://host\n", "host"},
    {"redis://h\xC3\xB6st", "host"},
    {"redis://a,b", "host"},
    {"redis://::1", "host"},
    {"redis://[::1", "host"},
    {"redis://[]", "host"},
    {"redis://[localhost]", "host"},
    {"redis://[127.0.0.1]", "host"},
    {"redis://[::1%25eth0]", "host"},
    {"redis://[::1]x", "host"},
    {"redis://[::1]6379", "host"},
    {"redis://[::1]:", "port"},
    {"redis://[::1]:0", "port"},
    {"redis://h:", "port"},
    {"redis://h:0", "port"},
    {"redis://h:65536", "port"},
    {"redis://h:4294973675", "port"},
    {"redis://h:-1", "port"},
    {"redis://h:+1", "port"},
    {"redis://h:6379x", "port"},
    {"redis://h:1:2", "port"},
    {"redis://h: 1", "port"},
    {"redis://h/x", "database"},
    {"redis://h/-1", "database"},
    {"redis://h/0/", "database"},
    {"redis://h//0", "database"},
    {"redis://h/1000000000", "database"},
    {"redis://h/99999999999999999999", "database"},
    {"redis://h/0?db=1", "database"},
    {"redis://h?db=1", "redis://"},
    {"redis://h#x", "redis://"},
    {"redis://h/0#x", "database"},
    {"redis://hunter2@h", "user:password"},
    {"redis://@h", "user:password"},
    {"redis://:@h", "user:password"},
    {"redis://me:@h", "user:password"},
    {"redis://me:hunter2@x@h", "percent-encoded"},
    {"redis://me@x:hunter2@h", "percent-encoded"},
    {"redis://me:hunter/2@h", "percent-encoded"},
    {"redis://me:hunter?2@h", "percent-encoded"},
    {"redis://me:hunter#2@h", "percent-encoded"},
    {"redis://me:12/34hunter@h", "percent-encoded"},
    {"redis://:hunter/2@h", "percent-encoded"},
    {"redis://me:hunter%2@h", "percent-encoded"},
    {"redis://me:hunter%@h", "percent-encoded"},
    {"redis://me:hunter%zz2@h", "percent-encoded"},
    {"redis://me:hunter%002@h", "percent-encoded"},
    {"redis://m%00e:hunter2@h", "percent-encoded"},
    {"redis://me:hunter 2@h", "percent-encoded"},
    {"redis://me:hunter\t2@h", "percent-encoded"},
    {"redis+sentinel:", "redis+sentinel://"},
    {"redis+sentinel://", "host"},
    {"redis+sentinel:///m", "host"},
    {"redis+sentinel://,/m", "host"},
    {"redis+sentinel://a,/m", "host"},
    {"redis+sentinel://,a/m", "host"},
    {"redis+sentinel://a,,b/m", "host"},
    {"redis+sentinel://a;b/m", "host"},
    {"redis+sentinel://a, b/m", "host"},
    {"redis+sentinel://:hunter2@/m", "host"},
    {"redis+sentinel://a,:hunter2@b,c/m", "a comma too"},
    {"redis+sentinel://:hunter2@a,:hunter2@b/m", "percent-encoded"},
    {"redis+sentinel://me:hunter2,hunter2@b,c/m", "a comma too"},
    {"redis+sentinel://[::1,b/m", "host"},
    {"redis+sentinel://a:0/m", "port"},
    {"redis+sentinel://a,b:65536/m", "port"},
    {"redis+sentinel://a,b:/m", "port"},
    {"redis+sentinel://a:1:2,b/m", "port"},
    {"redis+sentinel://1,2,3,4,5,6,7,8,9/m", "1 to 8 sentinels"},
    {"redis+sentinel://:hunter2@a,b", "name of the master"},
    {"redis+sentinel://a,b/", "name of the master"},
    {"redis+sentinel://a,b//0", "name of the master"},
    {"redis+sentinel://a,b?sentinel_password=hunter2", "name of the master"},
    {"redis+sentinel://a,b/my%20master", "name of the master"},
    {"redis+sentinel://a,b/my master", "name of the master"},
    {"redis+sentinel://a,b/m\xC3\xBC", "name of the master"},
    {"redis+sentinel://a,b/m#x", "name of the master"},
    {"redis+sentinel://me:hunter/2@a,b/m", "percent-encoded"},
    {"redis+sentinel://a,b/m/x", "database"},
    {"redis+sentinel://a,b/m/-1", "database"},
    {"redis+sentinel://a,b/m/0/", "database"},
    {"redis+sentinel://a,b/m//", "database"},
    {"redis+sentinel://a,b/m/1000000000", "database"},
    {"redis+sentinel://a,b/m/0#x", "database"},
    {"redis+sentinel://hunter2@a,b/m", "user:password"},
    {"redis+sentinel://me:@a,b/m", "user:password"},
    {"redis+sentinel://a,b/m?", "sentinel_password"},
    {"redis+sentinel://a,b/m?db=1", "sentinel_password"},
    {"redis+sentinel://a,b/m?password=hunter2", "sentinel_password"},
    {"redis+sentinel://a,b/m?sentinel_password", "sentinel_password"},
    {"redis+sentinel://a,b/m?sentinel_password=", "sentinel_password"},
    {"redis+sentinel://a,b/m?sentinel_user=me", "not without the first"},
    {"redis+sentinel://a,b/m?sentinel_user=&sentinel_password=hunter2", "not empty"},
    {"redis+sentinel://a,b/m?sentinel_password=hunter2&", "each once"},
    {"redis+sentinel://a,b/m?&sentinel_password=hunter2", "each once"},
    {"redis+sentinel://a,b/m?sentinel_password=hunter2&sentinel_password=hunter2", "each once"},
    {"redis+sentinel://a,b/m?sentinel_password=hunter2&x=1", "each once"},
    {"redis+sentinel://a,b/m?sentinel_password=hunter?2", "percent-encoded"},
    {"redis+sentinel://a,b/m?sentinel_password=hunter#2", "percent-encoded"},
    {"redis+sentinel://a,b/m?sentinel_password=hunter%2", "percent-encoded"},
    {"redis+sentinel://a,b/m?sentinel_password=hunter%002", "percent-encoded"},
    {"redis+sentinel://a,b/m?sentinel_password=hunter 2", "percent-encoded"},
    {"redis+unix://", "path"},
    {"redis+unix:///", "path"},
    {"redis+unix://?db=1", "path"},
    {"redis+unix://run/redis.sock", "redis+unix://"},
    {"redis+unix://localhost/run/redis.sock", "redis+unix://"},
    {"redis+unix://me:hunter/2@/run/redis.sock", "redis+unix://"},
    {"redis+unix://me:hunter2@", "path"},
    {"redis+unix:///run/a b", "path"},
    {"redis+unix:///run/a%0Ab", "path"},
    {"redis+unix:///run/a%00b", "path"},
    {"redis+unix:///run/a%b", "path"},
    {"redis+unix:///run/a#b", "path"},
    {"redis+unix:///run/redis.sock?", "redis+unix://"},
    {"redis+unix:///run/redis.sock?db", "redis+unix://"},
    {"redis+unix:///run/redis.sock?db=", "database"},
    {"redis+unix:///run/redis.sock?db=x", "database"},
    {"redis+unix:///run/redis.sock?db=1&db=2", "database"},
    {"redis+unix:///run/redis.sock?DB=1", "redis+unix://"},
    {"redis+unix:///run/redis.sock?password=hunter2", "redis+unix://"},
};

static void test_good(const struct good *good)
{
    up_redis_settings settings = {0};
    const char *wrong = up_redis_parse(pool, good->url, &settings);

    is(wrong, NULL, apr_psprintf(pool, "taken: %s", good->url));
    if (wrong)
        return;
    is(settings.host, good->host, "  its host");
    is(settings.path, good->path, "  its path");
    is_int(settings.port, good->port, "  its port");
    is_int(settings.db, good->db, "  its database");
    is(settings.username, good->username, "  its user");
    is(settings.password, good->password, "  its password");
    is(up_redis_display(pool, &settings), good->display, "  as it is shown");
    ok(!settings.sentinels && !settings.master, "  no sentinels");
    is_int(settings.replicas, 0, "  no replica is waited for");
}

static void test_watched(const struct watched *watched)
{
    up_redis_settings settings = {.host = "old", .path = "/old", .sentinel_password = "old"};
    const char *wrong = up_redis_parse(pool, watched->url, &settings);

    is(wrong, NULL, apr_psprintf(pool, "taken: %s", watched->url));
    if (wrong)
        return;
    is(settings.master, watched->master, "  the master's name");
    is_int(settings.db, watched->db, "  its database");
    is(settings.username, watched->username, "  its user");
    is(settings.password, watched->password, "  its password");
    is(settings.sentinel_username, watched->sentinel_username, "  the sentinels' user");
    is(settings.sentinel_password, watched->sentinel_password, "  the sentinels' password");
    is(up_redis_display(pool, &settings), watched->display, "  the sentinels, as they are shown");
    ok(!settings.host && !settings.path, "  no server by itself");
    is_int(settings.replicas, 1, "  one replica is waited for");
}

static void test_bad(const struct bad *bad)
{
    up_redis_settings settings = {0};
    const char *wrong = up_redis_parse(pool, bad->url, &settings);

    ok(wrong != NULL, "refused: %s", apr_pescape_echo(pool, bad->url, 0));
    if (!wrong)
        return;
    ok(strstr(wrong, bad->word) != NULL, "  the sentence speaks of '%s': %s", bad->word, wrong);
    ok(strstr(wrong, "hunter") == NULL, "  and has no secret");
}

static void test_defaults(void)
{
    up_redis_settings settings = {0};

    up_redis_parse(pool, "redis://h", &settings);
    is_int(settings.timeout, 500000, "the timeout is 0.5 s");
    is_int(settings.scan_timeout, 2000000, "the scan's is 2 s");
    ok(settings.max_connections > 0, "connections are bounded");
    is(settings.blacklist_prefix, "blacklisted_access_token:", "the blacklist's prefix");
    is(settings.refresh_prefix, "refresh_token:", "the refresh tokens' prefix");
    is(settings.refresh_separator, ":", "the refresh tokens' separator");
}

static void test_kept(void)
{
    up_redis_settings settings = {.timeout = 1,
                                  .scan_timeout = 2,
                                  .max_connections = 3,
                                  .blacklist_prefix = "",
                                  .refresh_prefix = "r",
                                  .refresh_separator = "/",
                                  .username = "old",
                                  .password = "old",
                                  .path = "/old",
                                  .db = 9,
                                  .port = 9};

    up_redis_parse(pool, "redis://h", &settings);
    ok(settings.timeout == 1 && settings.scan_timeout == 2 && settings.max_connections == 3,
       "numbers that were set are kept");
    is(settings.blacklist_prefix, "", "an empty prefix is one");
    is(settings.refresh_prefix, "r", "a prefix that was set is kept");
    is(settings.refresh_separator, "/", "so is a separator");
    ok(!settings.username && !settings.password && !settings.path && settings.db == 0 &&
           settings.port == 6379,
       "what a URL says replaces all that an earlier one said");
}

static void test_path_length(void)
{
    up_redis_settings settings = {0};
    char path[200];

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[107] = '\0';
    is(up_redis_parse(pool, apr_pstrcat(pool, "redis+unix://", path, NULL), &settings), NULL,
       "a path of 107 bytes is taken");
    is(settings.path, path, "whole");
    path[107] = 'a';
    path[108] = '\0';
    ok(up_redis_parse(pool, apr_pstrcat(pool, "redis+unix://", path, NULL), &settings) != NULL,
       "one of 108 is refused");
}

static void test_host_length(void)
{
    up_redis_settings settings = {0};
    char host[300];

    memset(host, 'a', sizeof(host));
    host[255] = '\0';
    is(up_redis_parse(pool, apr_pstrcat(pool, "redis://", host, NULL), &settings), NULL,
       "a host of 255 bytes is taken");
    host[255] = 'a';
    host[256] = '\0';
    ok(up_redis_parse(pool, apr_pstrcat(pool, "redis://", host, NULL), &settings) != NULL,
       "one of 256 is refused");
}

/** A good URL cut short anywhere, and with each byte replaced, is read without a fault. */
static void test_mutations(void)
{
    static const char *const urls[] = {"redis://me:%20x@[2001:db8::1]:6379/12",
                                       "redis+unix://me:p@/run/x%20y.sock?db=12",
                                       "redis://user:pass@host.example:1/1",
                                       "redis+sentinel://u:p@a:1,[::1],b/m.x/"
                                       "1?sentinel_user=u&sentinel_password=%41"};
    static const char bytes[] = "\x01 %@:/?#[]0a\x7f\xff";
    int read = 0, shown = 0;

    for (apr_size_t u = 0; u < sizeof(urls) / sizeof(urls[0]); u++) {
        for (apr_size_t i = 0; i < strlen(urls[u]); i++) {
            for (apr_size_t b = 0; b < sizeof(bytes); b++) {
                up_redis_settings settings = {0};
                char *url = apr_pstrdup(pool, urls[u]);

                url[i] = bytes[b]; /* the last is the NUL: cut short */
                read++;
                if (!up_redis_parse(pool, url, &settings))
                    shown += up_redis_display(pool, &settings)[0] == 'r';
            }
        }
    }
    ok(read > 1500 && shown > 100 && shown < read, "%d mutations, %d of them URLs", read, shown);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    for (apr_size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++)
        test_good(&goods[i]);
    for (apr_size_t i = 0; i < sizeof(watcheds) / sizeof(watcheds[0]); i++)
        test_watched(&watcheds[i]);
    for (apr_size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
        test_bad(&bads[i]);
    test_defaults();
    test_kept();
    test_path_length();
    test_host_length();
    test_mutations();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
