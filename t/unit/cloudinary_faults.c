/* SPDX-License-Identifier: Apache-2.0 */

/* What goes wrong between us and the service: every call ends in time, says what
 * happened, and leaves nothing behind. */
#include "adapters/cloudinary.h"

#include "standin.h"
#include "tap.h"

#include <apr_general.h>
#include <curl/curl.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static apr_pool_t *pool;
static standin service;

static int elapsed_ms(apr_time_t start)
{
    return (int)apr_time_as_msec(apr_time_now() - start);
}

static void fault(const char *query)
{
    standin_do(&service, apr_pstrcat(pool, "fault?", query, NULL));
}

typedef struct fault_case {
    const char *query; /* of /_test/fault */
    const char *log;   /* what the log must say; NULL: the upload succeeds */
    up_upload_end end; /* what is told of the asset, where it fails */
    int least_ms;      /* how long it takes at least */
    int total_ms;      /* the limit, where it is not two seconds */
} fault_case;

#define FAULT(q, l, ...)                                                                           \
    {                                                                                              \
        .query = (q), .log = (l), ##__VA_ARGS__                                                    \
    }

static const fault_case faults[] = {
    FAULT("kind=status&status=500", "HTTP 500: Fault; the service has a problem"),
    FAULT("kind=status&status=503", "HTTP 503"),
    FAULT("kind=status&status=401", "HTTP 401: Fault; check KEY", .end = UP_UPLOAD_FAILED),
    FAULT("kind=status&status=400", "HTTP 400: Fault; see the Cloudinary console",
          .end = UP_UPLOAD_REFUSED),
    FAULT("kind=status&status=404", "HTTP 404: Fault; check CLOUD and upload_prefix",
          .end = UP_UPLOAD_FAILED),
    FAULT("kind=status&status=420", "HTTP 420: Fault; the account's rate limit",
          .end = UP_UPLOAD_FAILED),
    FAULT("kind=status&status=429", "HTTP 429: Fault; the account's rate limit",
          .end = UP_UPLOAD_FAILED),
    FAULT("kind=status&status=403", "HTTP 403: Fault; check KEY", .end = UP_UPLOAD_FAILED),
    FAULT("kind=status&status=408", "HTTP 408", .end = UP_UPLOAD_FAILED),
    FAULT("kind=status&status=413", "HTTP 413", .end = UP_UPLOAD_REFUSED),
    FAULT("kind=status&status=415", "HTTP 415", .end = UP_UPLOAD_REFUSED),
    FAULT("kind=status&status=422", "HTTP 422", .end = UP_UPLOAD_REFUSED),
    FAULT("kind=status&status=200", "HTTP 200: Fault"),
    FAULT("kind=status&status=201", "HTTP 201"),
    FAULT("kind=status&status=400&message=a%0d%0ab%1b[31mc", "HTTP 400: a\\r\\nb\\x1b[31m",
          .end = UP_UPLOAD_REFUSED),
    FAULT("kind=redirect&location=http://127.0.0.1:1/", "HTTP 307: Moved; redirects are not"),
    FAULT("kind=redirect&location=file:///etc/passwd", "HTTP 307"),
    FAULT("kind=hang&seconds=30", "timed out after", .least_ms = 1900),
    FAULT("kind=hang&seconds=30&done=1", "timed out after", .least_ms = 1900),
    FAULT("kind=slow&seconds=1.2", NULL, .least_ms = 1100, .total_ms = 9000),
    FAULT("kind=trickle&bytes=300&seconds=0.5&padding=5000",
          "slower than 1024 bytes a second for 1000 ms", .least_ms = 900, .total_ms = 9000),
    FAULT("kind=trickle&bytes=10&seconds=0.2", "timed out after", .least_ms = 1900),
    FAULT("kind=truncate", "transfer closed with"),
    FAULT("kind=reset", "reset by peer"),
    FAULT("kind=early", ""),
    FAULT("kind=garbage", "no JSON object; check upload_prefix"),
    FAULT("kind=answer&body=[]", "no JSON object"),
    FAULT("kind=answer&body=", "no JSON object"),
    FAULT("kind=answer&body={}", "stored as ''"),
    FAULT("kind=answer&body={\"public_id\":1}", "stored as ''"),
    FAULT("kind=answer&body={\"error\":{}}", "HTTP 200: (no message)"),
    FAULT("kind=answer&body={\"error\":7}", "HTTP 200: (no message)"),
    FAULT("kind=answer&body={\"public_id\":\"a\",\"public_id\":\"b\"}", "no JSON object"),
    FAULT("kind=answer&body={\"public_id\":\"avatars/x\"}", "has no secure_url"),
    FAULT("kind=wrong_id", "stored as 'avatars/xx'"),
    FAULT("kind=url&url=http://res.cloudinary.com/demo/image/upload/v1/avatars/x.png",
          "is not https"),
    FAULT("kind=url&url=javascript:alert(1)", "is not https"),
    FAULT("kind=url&url=https://evil.example/demo/image/upload/v1/avatars/x.png",
          "name it as secure_distribution"),
    FAULT("kind=url&url=https://res.cloudinary.com/demo/image/upload/v1/avatars/y.png",
          "does not tell the public ID"),
    FAULT("kind=url&url=https://res.cloudinary.com/demo/image/upload/v1/avatars/x.png%0d%0aA:+b",
          "x.png\\r\\nA: b' does not"),
    FAULT("kind=url&url=http://127.0.0.1.evil.example/demo/image/upload/avatars/x", "is not https"),
    FAULT("kind=url&url=http://127.0.0.1/demo/image/upload/v7/avatars/x.png", NULL),
    FAULT("kind=big&bytes=60000", NULL),
    FAULT("kind=big&bytes=66000", "longer than 65536 bytes"),
    FAULT("kind=big&bytes=3000000", "longer than 65536 bytes"),
};

static void test_fault(up_avatar_storage *st, up_picture *picture, const fault_case *f)
{
    apr_time_t start;
    const char *url = NULL;
    up_upload_end end = UP_UPLOAD_UNKNOWN;
    int ms;
    up_problem *problem;

    standin_do(&service, "reset");
    fault(f->query);
    start = apr_time_now();
    problem = st->upload(st, pool, "avatars/x", picture, &url, &end);
    ms = elapsed_ms(start);
    if (!ok(f->log ? problem && problem->code == UP_STORAGE_UPLOAD_ERROR &&
                         strstr(problem->log, f->log)
                   : !problem && url,
            "%s: %s", f->query, f->log ? f->log : "succeeds") &&
        problem)
        printf("# %s\n", problem->log);
    ok(!problem || !strstr(problem->log, STANDIN_SECRET), "no secret is told");
    if (f->log)
        is_int(end, f->end, "what is known of the asset");
    ok(ms >= f->least_ms && ms <= 8000, "took %d ms", ms);
    is_int(standin_count(&service, "requests"), strstr(f->query, "early") ? 0 : 1,
           "it was asked once");
}

static void test_faults(void)
{
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 300000);
    size_t i;

    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        /* A storage of its own for each, so that the connection is a fresh one. */
        apr_pool_t *p;
        up_cloudinary_settings *s;

        apr_pool_create(&p, pool);
        s = standin_settings(&service, p, "");
        s->limits.stall = apr_time_from_sec(1);
        if (faults[i].total_ms)
            s->limits.total = apr_time_from_msec(faults[i].total_ms);
        test_fault(up_cloudinary_create(p, s), &picture, &faults[i]);
        apr_pool_destroy(p);
    }
}

static const struct destroy_case {
    const char *query, *log;
} destroys[] = {
    {"kind=status&status=500", "HTTP 500: Fault"},
    {"kind=status&status=404", "HTTP 404: Fault"},
    {"kind=hang&seconds=30", "timed out"},
    {"kind=reset", "reset by peer"},
    {"kind=garbage", "no JSON object with a result"},
    {"kind=answer&body={\"result\":\"pending%5cn\"}", "the result is 'pending\\n'"},
    {"kind=answer&body={\"result\":true}", "no JSON object with a result"},
    {"kind=answer&body={\"error\":{\"message\":\"no\"}}", "HTTP 200: no"},
    {"kind=answer&body={\"result\":\"ok\"}", NULL},
    {"kind=answer&body={\"result\":\"not+found\"}", NULL},
};

static void test_destroys(void)
{
    size_t i;

    for (i = 0; i < sizeof(destroys) / sizeof(destroys[0]); i++) {
        up_cloudinary_settings *s = standin_settings(&service, pool, "");
        up_avatar_storage *st;
        up_problem *problem;

        s->limits.total = apr_time_from_msec(400);
        st = up_cloudinary_create(pool, s);
        standin_do(&service, "reset");
        fault(destroys[i].query);
        problem = st->destroy(st, pool, "avatars/x");
        if (!destroys[i].log)
            ok(!problem, "destroy, %s: succeeds", destroys[i].query);
        else
            ok(problem && strstr(problem->log, destroys[i].log), "destroy, %s: %s",
               destroys[i].query, destroys[i].log);
    }
}

static void test_message_is_cut(void)
{
    up_avatar_storage *st = up_cloudinary_create(pool, standin_settings(&service, pool, ""));
    up_problem *problem;

    fault(apr_psprintf(pool, "kind=answer&body={\"error\":{\"message\":\"%0390d\"}}", 0));
    problem = st->destroy(st, pool, "avatars/x");
    ok(problem && strstr(problem->log, apr_psprintf(pool, "%0200d", 0)) &&
           !strstr(problem->log, apr_psprintf(pool, "%0201d", 0)),
       "the service's words are cut to 200 bytes");
}

/* --- kept connections --- */

static void test_stale(up_image type, apr_size_t size, const char *query)
{
    up_avatar_storage *st = up_cloudinary_create(pool, standin_settings(&service, pool, ""));
    up_picture picture = make_picture(pool, type, size);
    const char *url;
    up_upload_end end;

    standin_do(&service, "reset");
    ok(!st->upload(st, pool, "avatars/x", &picture, &url, &end), "a connection is made");
    fault(query);
    ok(!st->upload(st, pool, "avatars/x", &picture, &url, &end),
       "when it dies (%s), the upload is made once more on another", query);
    is(standin_last(&service, pool, "earlier"), "0", "on a fresh one");
    fault(query);
    ok(!st->destroy(st, pool, "avatars/x"), "a deletion too");
    is_int(standin_count(&service, "assets"), 0, "with effect");
}

static void test_stale_once(void)
{
    up_cloudinary_settings *s = standin_settings(&service, pool, "");
    up_avatar_storage *st;
    apr_time_t start;

    s->limits.total = apr_time_from_msec(1500);
    st = up_cloudinary_create(pool, s);
    standin_do(&service, "reset");
    ok(!st->destroy(st, pool, "avatars/x"), "a connection is made");
    fault("kind=reset&count=2");
    ok(st->destroy(st, pool, "avatars/x") != NULL, "a fresh connection that dies is a failure");
    is_int(standin_count(&service, "requests"), 3, "there was one repetition");
    ok(!st->destroy(st, pool, "avatars/x"), "a connection is made again");
    fault("kind=stale");
    fault("kind=hang&seconds=30");
    start = apr_time_now();
    ok(st->destroy(st, pool, "avatars/x") != NULL, "a repetition that hangs is a failure");
    ok(elapsed_ms(start) < 2900, "within the time of one request: %d ms", elapsed_ms(start));
}

static void test_restart(void)
{
    up_avatar_storage *st = up_cloudinary_create(pool, standin_settings(&service, pool, ""));
    up_picture picture = make_picture(pool, UP_IMAGE_JPEG, 200000);
    const char *url;
    up_upload_end end = UP_UPLOAD_UNKNOWN;
    int port = service.port;

    ok(!st->upload(st, pool, "avatars/x", &picture, &url, &end), "a connection is made");
    standin_stop(&service);
    ok(st->upload(st, pool, "avatars/x", &picture, &url, &end) != NULL && end == UP_UPLOAD_FAILED,
       "while the service is down nothing is stored");
    if (!ok(standin_start_at(&service, "sha1", port) == 0, "the service is back"))
        exit(1);
    ok(!st->upload(st, pool, "avatars/x", &picture, &url, &end), "and the first upload works");
    standin_stop(&service);
    standin_start_at(&service, "sha1", port);
    ok(!st->upload(st, pool, "avatars/x", &picture, &url, &end),
       "a restart between two requests is not noticed");
}

/* --- no connection --- */

static void test_refused(void)
{
    up_cloudinary_settings *s = standin_settings(&service, pool, "&folder=f");
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 100);
    up_avatar_storage *st;
    up_problem *problem;
    const char *url;
    up_upload_end end = UP_UPLOAD_UNKNOWN;

    s->upload_prefix = "http://127.0.0.1:1";
    st = up_cloudinary_create(pool, s);
    problem = st->upload(st, pool, "f/x", &picture, &url, &end);
    ok(problem && strstr(problem->log, "(Connection refused); can this machine"),
       "a refused connection is told");
    is_int(end, UP_UPLOAD_FAILED, "nothing is stored");
    s->upload_prefix = "http://name.invalid";
    problem = st->upload(st, pool, "f/x", &picture, &url, &end);
    ok(problem && strstr(problem->log, "name.invalid"), "a name that does not resolve is told");
    is_int(end, UP_UPLOAD_FAILED, "nothing is stored");
}

static int name_server_hangs[2]; /* a pipe: until its writing end is closed */

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* In the place of the C library's, for libcurl too. */
int getaddrinfo(const char *restrict name, const char *restrict service_name,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
    char byte;

    if (!name || strcmp(name, "hanging.invalid") != 0)
        return ((look_up *)dlsym(RTLD_NEXT, "getaddrinfo"))(name, service_name, hints, result);
    while (read(name_server_hangs[0], &byte, 1) > 0)
        ;
    return EAI_AGAIN;
}

static void test_name_server_hangs(void)
{
    up_cloudinary_settings *s = standin_settings(&service, pool, "");
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 100);
    up_avatar_storage *st;
    up_upload_end end = UP_UPLOAD_UNKNOWN;
    apr_time_t start;
    const char *url;

    if (pipe(name_server_hangs) != 0)
        exit(1);
    s->upload_prefix = "https://hanging.invalid";
    st = up_cloudinary_create(pool, s);
    start = apr_time_now();
    ok(st->upload(st, pool, "avatars/x", &picture, &url, &end) != NULL,
       "a name server that hangs is a failure");
    ok(elapsed_ms(start) >= 450 && elapsed_ms(start) < 8000, "after %d ms", elapsed_ms(start));
    is_int(end, UP_UPLOAD_FAILED, "nothing is stored");
    close(name_server_hangs[1]);
}

/* A listener that accepts no more: its backlog is full. */
static void test_connect_hangs(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    up_cloudinary_settings *s = standin_settings(&service, pool, "");
    int fds[4], i, listener = socket(AF_INET, SOCK_STREAM, 0);
    apr_time_t start;
    up_avatar_storage *st;
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 100);
    const char *url;
    up_upload_end end = UP_UPLOAD_UNKNOWN;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener, (struct sockaddr *)&at, sizeof(at));
    listen(listener, 0);
    getsockname(listener, (struct sockaddr *)&at, &len);
    for (i = 0; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fds[i], (struct sockaddr *)&at, sizeof(at));
    }
    s->upload_prefix = apr_psprintf(pool, "http://127.0.0.1:%d", ntohs(at.sin_port));
    st = up_cloudinary_create(pool, s);
    start = apr_time_now();
    ok(st->upload(st, pool, "avatars/x", &picture, &url, &end) != NULL,
       "a connection that hangs is a failure");
    ok(elapsed_ms(start) >= 450 && elapsed_ms(start) < 8000, "after %d ms", elapsed_ms(start));
    is_int(end, UP_UPLOAD_FAILED, "nothing is stored");
    for (i = 0; i < 4; i++)
        close(fds[i]);
    close(listener);
}

/* A server with a certificate of its own making. */
static void test_certificate(void)
{
    char dir[] = "/tmp/up-test-XXXXXX";
    up_cloudinary_settings *s = standin_settings(&service, pool, "");
    const char *make =
        mkdtemp(dir)
            ? apr_psprintf(
                  pool,
                  "openssl req -x509 -newkey rsa:2048 -nodes -keyout %s/k -out %s/c -days 1 "
                  "-subj /CN=localhost -addext subjectAltName=DNS:localhost >/dev/null 2>&1",
                  dir, dir)
            : "false";
    int port = 20000 + (int)(getpid() % 20000), i;
    up_problem *problem = NULL;
    pid_t pid;

    if (system(make) != 0) {
        is_int(system(apr_psprintf(pool, "rm -r %s", dir)), 0, "the folder is removed");
        ok(1, "# SKIP the openssl command makes no certificate");
        return;
    }
    pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_RDWR), 1);
        execlp("openssl", "openssl", "s_server", "-quiet", "-accept",
               apr_psprintf(pool, "127.0.0.1:%d", port), "-key", apr_pstrcat(pool, dir, "/k", NULL),
               "-cert", apr_pstrcat(pool, dir, "/c", NULL), "-www", (char *)NULL);
        _exit(127);
    }
    s->upload_prefix = apr_psprintf(pool, "https://localhost:%d", port);
    for (i = 0; i < 50; i++) {
        up_avatar_storage *st = up_cloudinary_create(pool, s);

        problem = st->destroy(st, pool, "avatars/x");
        if (!problem || !strstr(problem->log, "reach it"))
            break;
        usleep(100000);
    }
    if (!ok(problem && strstr(problem->log, "are the certificate"),
            "a certificate that nobody vouches for is refused") &&
        problem)
        printf("# %s\n", problem->log);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    is_int(system(apr_psprintf(pool, "rm -r %s", dir)), 0, "it is removed");
}

static void test_environment(void)
{
    up_avatar_storage *st;

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    st = up_cloudinary_create(pool, standin_settings(&service, pool, ""));
    ok(!st->destroy(st, pool, "avatars/x"), "no proxy of the environment's is used");
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

/* --- what is left behind --- */

/* A handle's descriptors: its connection and libcurl's own pair of sockets. */
#define PER_HANDLE 3

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void test_descriptors(void)
{
    static const char *const kinds[] = {
        "kind=status&status=500", "kind=reset", "kind=truncate",        "kind=early",
        "kind=garbage",           "kind=stale", "kind=big&bytes=80000",
    };
    up_cloudinary_settings *s = standin_settings(&service, pool, "");
    int before = open_descriptors(), i, failures = 0;
    apr_pool_t *p, *each;
    up_avatar_storage *st;

    s->limits.total = apr_time_from_msec(300);
    apr_pool_create(&p, pool);
    st = up_cloudinary_create(p, s);
    apr_pool_create(&each, p);
    for (i = 0; i < 200; i++) {
        up_picture picture = make_picture(each, UP_IMAGE_PNG, 3000);
        const char *url;
        up_upload_end end;

        standin_do(&service, "reset");
        fault(i % 20 ? kinds[i % 7] : "kind=hang&seconds=30");
        failures += st->upload(st, each, "avatars/x", &picture, &url, &end) != NULL;
        apr_pool_clear(each);
    }
    ok(failures >= 100, "of 200 uploads %d failed, the others after a repetition did not",
       failures);
    ok(open_descriptors() <= before + PER_HANDLE, "at most a kept handle is open: %d, %d before",
       open_descriptors(), before);
    apr_pool_destroy(p);
    is_int(open_descriptors(), before, "with the storage it is closed");
    standin_do(&service, "reset");
}

static void test_memory(void)
{
    up_avatar_storage *st = up_cloudinary_create(pool, standin_settings(&service, pool, ""));
    up_picture small = make_picture(pool, UP_IMAGE_PNG, 100000);
    up_picture large = make_picture(pool, UP_IMAGE_PNG, 5242880);
    struct rusage before, after;
    const char *url;
    up_upload_end end;

    st->upload(st, pool, "avatars/x", &small, &url, &end);
    getrusage(RUSAGE_SELF, &before);
    ok(!st->upload(st, pool, "avatars/y", &large, &url, &end), "5 MB are uploaded");
    getrusage(RUSAGE_SELF, &after);
    is(standin_last(&service, pool, "public_id"), "avatars/y", "and arrive");
    if (SANITIZED)
        ok(1, "# SKIP memory means nothing under a sanitizer");
    else
        ok(after.ru_maxrss - before.ru_maxrss < 512, "it takes %ld KiB of memory",
           after.ru_maxrss - before.ru_maxrss);
}

#define THREADS 8
#define ROUNDS 20

static void *work(void *data)
{
    up_avatar_storage *st = data;
    apr_pool_t *p;
    long wrong = 0;
    int i;

    apr_pool_create(&p, NULL);
    for (i = 0; i < ROUNDS; i++) {
        const char *asset = st->new_asset(st, p, UP_IMAGE_WEBP), *url = "";
        up_picture picture = make_picture(p, UP_IMAGE_WEBP, 50000 + (apr_size_t)i);
        up_upload_end end;

        wrong += st->upload(st, p, asset, &picture, &url, &end) != NULL;
        wrong += strcmp(st->asset_of(st, p, url) ? st->asset_of(st, p, url) : "", asset) != 0;
        if (i % 2)
            wrong += st->destroy(st, p, asset) != NULL;
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return (void *)wrong;
}

static void test_threads(void)
{
    up_cloudinary_settings *s = standin_settings(&service, pool, "");
    pthread_t threads[THREADS];
    int before, i;
    void *result;
    long wrong = 0;
    up_avatar_storage *st;

    standin_do(&service, "reset");
    s->limits.idle_max = 4;
    s->limits.total = apr_time_from_sec(20);
    st = up_cloudinary_create(pool, s);
    before = open_descriptors();
    for (i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, st);
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        wrong += (long)result;
    }
    is_int(wrong, 0, "8 threads at once: all right");
    is_int(standin_count(&service, "requests"), THREADS * ROUNDS * 3 / 2,
           "every request came once");
    is_int(standin_count(&service, "assets"), THREADS * ROUNDS / 2, "the right pictures are left");
    ok(open_descriptors() <= before + 4 * PER_HANDLE, "four handles are kept: %d, %d before",
       open_descriptors(), before);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!ok(standin_start(&service, "sha1") == 0, "the stand-in starts"))
        return 1;
    test_faults();
    test_destroys();
    test_message_is_cut();
    test_stale(UP_IMAGE_PNG, 5000, "kind=stale");
    test_stale(UP_IMAGE_PNG, 5242880, "kind=stale");
    test_stale(UP_IMAGE_PNG, 5242880, "kind=early&on=upload");
    test_stale_once();
    test_restart();
    test_refused();
    test_name_server_hangs();
    test_connect_hangs();
    test_certificate();
    test_environment();
    test_descriptors();
    test_memory();
    test_threads();
    standin_stop(&service);
    apr_pool_destroy(pool);
    curl_global_cleanup();
    apr_terminate();
    return done_testing();
}
