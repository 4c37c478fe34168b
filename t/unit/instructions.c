/* SPDX-License-Identifier: Apache-2.0 */

/* What is counted in instructions, and not in seconds, which are another machine's:
 * that the multipart parser needs the same for each byte, also of megabytes that are
 * made to have it look twice; and that it does not show in a refusal how far a forged
 * signature is right (CVE-2024-25189).
 *
 * With arguments this program does one of these things; without, it has valgrind's
 * callgrind count what each takes. */
#include "tap.h"
#include "token_maker.h"

#include "core/multipart.h"

#include <apr_general.h>
#include <jansson.h>
#include <unistd.h>

#define MB ((apr_size_t)1024 * 1024)
#define NOW 1700000000
#define PART "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"
#define END "\r\n--b--\r\n"

static apr_pool_t *pool;

/* --- What is counted --- */

/* One thing to do; all else is made before. */
typedef struct work {
    const char *body; /* NULL: a token is verified */
    apr_size_t len;
    up_multipart *parser;
    up_token_rules rules;
    const char *token;
    const char *verdict;
} work;

/* valgrind knows it by its name. */
__attribute__((noinline, noclone)) void up_counted(work *w);

void up_counted(work *w)
{
    const apr_size_t piece = 8000;
    apr_size_t at;

    if (!w->body) {
        w->verdict = maker_refusal(pool, &w->rules, w->token, NOW);
        return;
    }
    for (at = 0; at < w->len; at += piece)
        up_multipart_feed(w->parser, w->body + at, piece < w->len - at ? piece : w->len - at);
    w->verdict = up_multipart_finish(w->parser);
}

static const char *on_begin(void *baton, const up_part *part)
{
    (void)baton;
    (void)part;
    return NULL;
}

static const char *on_data(void *baton, const char *data, apr_size_t len)
{
    (void)baton;
    (void)data;
    (void)len;
    return NULL;
}

static const char *on_end(void *baton)
{
    (void)baton;
    return NULL;
}

/* A body that is mostly this. */
typedef struct flood {
    const char *name, *before, *unit, *after;
} flood;

static const flood floods[] = {
    {"preamble", "", "\r\n", "\r\n" PART "x" END},
    {"preamble-of-half-boundaries", "", "\r\n--", "\r\n" PART "x" END},
    {"epilogue", PART "x" END, "\r\n", ""},
    {"content", PART, "\r\n--b-", END},
};

static int parse(const flood *flood, apr_size_t megabytes)
{
    static const up_multipart_limits limits = {16, 8192};
    static const up_multipart_events events = {on_begin, on_data, on_end};
    apr_size_t unit = strlen(flood->unit), units = megabytes * MB / unit, i;
    char *body = apr_palloc(pool, strlen(flood->before) + units * unit + strlen(flood->after) + 1);
    char *out = stpcpy(body, flood->before);
    work w = {.body = body};

    for (i = 0; i < units; i++)
        out = (char *)memcpy(out, flood->unit, unit) + unit;
    w.len = (apr_size_t)(stpcpy(out, flood->after) - body);
    w.parser = up_multipart_create(pool, "b", &limits, &events, NULL);
    up_counted(&w);
    return w.verdict ? 1 : 0;
}

/* A token whose signature is wrong in one character of its 43: its neighbour takes its
 * place, so that reading base64url takes as long. */
static int verify(int place)
{
    maker m = maker_of_secret(UP_HS256, "a secret of more than thirty-two bytes");
    work w = {.rules = maker_rules(pool, &m, 1)};
    char *token = apr_pstrdup(
        pool, maker_token(pool, &m, "{\"alg\":\"HS256\"}", "{\"sub\":\"ann\",\"exp\":1700000060}"));
    char *c = strrchr(token, '.') + 1 + place;

    json_object_seed(1);
    /* Once before, as what libraries do once is not to be counted. */
    if (maker_refusal(pool, &w.rules, token, NOW))
        return 1;
    *c = (char)(strchr("Zz9", *c) ? *c - 1 : *c + 1);
    w.token = token;
    up_counted(&w);
    return !w.verdict || !strstr(w.verdict, "signature is wrong");
}

static int run(const char *name, int n)
{
    size_t i;

    for (i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        if (strcmp(name, floods[i].name) == 0)
            return parse(&floods[i], (apr_size_t)n);
    }
    return verify(n);
}

/* --- The counting --- */

/* How many instructions up_counted() takes, or -1. */
static long long count(const char *self, const char *name, int n)
{
    const char *command = apr_psprintf(pool,
                                       "valgrind --tool=callgrind --callgrind-out-file=/dev/null "
                                       "--toggle-collect=up_counted %s %s %d 2>&1",
                                       self, name, n);
    FILE *out = popen(command, "r");
    long long counted = -1;
    char line[512];

    while (out && fgets(line, sizeof(line), out)) {
        const char *found = strstr(line, "Collected : ");

        if (found)
            counted = atoll(found + strlen("Collected : "));
    }
    if (!out || pclose(out) != 0 || counted < 1) {
        printf("# %s\n", command);
        return -1;
    }
    return counted;
}

/* From 1 to 2 and from 2 to 5 MB each byte takes as much, and no byte takes much. */
static void test_flood(const char *self, const flood *flood)
{
    long long one = count(self, flood->name, 1), two = count(self, flood->name, 2),
              five = count(self, flood->name, 5);
    long long expected = two + 3 * (two - one);

    printf("# %s: %lld, %lld, %lld instructions for 1, 2, 5 MB\n", flood->name, one, two, five);
    ok(one > 0 && two > one && five < expected + expected / 20 && five > expected - expected / 20,
       "%s: 5 MB take what 1 and 2 let expect, within 5 %%", flood->name);
    ok(one < (long long)MB * 100, "%s: a byte takes less than 100 instructions", flood->name);
}

static void test_signature(const char *self)
{
    static const int places[] = {0, 1, 10, 20, 30, 41};
    long long first = count(self, "token", places[0]);
    size_t i;

    ok(first > 1000, "a forged token takes %lld instructions", first);
    for (i = 1; i < sizeof(places) / sizeof(places[0]); i++)
        is_int(count(self, "token", places[i]), first,
               apr_psprintf(pool, "wrong in character %d, it takes as many", places[i]));
}

int main(int argc, char **argv)
{
    size_t i;
    int status = 0;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    alarm(600);
    if (argc == 3) {
        status = run(argv[1], atoi(argv[2]));
    } else if (system("valgrind --version >/dev/null 2>&1") != 0) {
        printf("1..0 # SKIP no valgrind\n");
    } else if (getenv("GCOV_PREFIX")) {
        printf("1..0 # SKIP where gcov counts, its instructions are counted too\n");
#if defined(__SANITIZE_ADDRESS__)
    } else if (argc == 1) {
        printf("1..0 # SKIP valgrind runs no program with the address sanitizer\n");
#endif
    } else {
        for (i = 0; i < sizeof(floods) / sizeof(floods[0]); i++)
            test_flood(argv[0], &floods[i]);
        test_signature(argv[0]);
        status = done_testing();
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return status;
}
