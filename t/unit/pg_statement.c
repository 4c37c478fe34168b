/* SPDX-License-Identifier: Apache-2.0 */

/** Statements on a Postgres that breaks off, hangs or refuses at any byte and any
 *  message: each ends in time with a row or a problem, and the next is served. */
#include "pg_ask.h"

#include <dlfcn.h>

/* Messages of a first use: see pg_plan. */
enum { SETTINGS = 4, PREPARE_FIRST = 6, RUN_FIRST = 9, PREPARE = 10, RUN = 13, COMMIT = 14 };

/* --- A libpq of the past -------------------------------------------------------------------- */

static int forgets_sync, failed_at_commit;

/* Before 15.6 (and 14.11, 16.2) libpq takes an error at the commit for the sync's answer: it drops
 * the sync that follows, and is idle from then on. */
PGresult *PQgetResult(PGconn *conn)
{
    PGresult *(*real)(PGconn *) = (PGresult * (*)(PGconn *)) dlsym(RTLD_NEXT, "PQgetResult");
    PGresult *result = forgets_sync && failed_at_commit ? NULL : real(conn);

    if (result && PQresultStatus(result) == PGRES_FATAL_ERROR)
        failed_at_commit = 1;
    return result;
}

/* --- All is well ---------------------------------------------------------------------------- */

static void test_well(void)
{
    up_dbd_pool *dbd = begin(PG_NO_PLAN, LONG);

    is_int(run(dbd), 0, "a first statement");
    is_int(run(dbd), 0, "a second");
    is(apr_pstrmemdup(pool, server->log, server->log_len), "/PBDESPBDEPBDESBDEBDES",
       "settings and preparations are sent once, and one sync for both statements");
    end();
}

/* --- Each byte ------------------------------------------------------------------------------ */

/* How many bytes the server sends to a first use. */
static int bytes_of_first_use(void)
{
    char out[1024];
    int count = 0;

    for (const char *type = "PBDESPBDEPBDES"; *type; type++)
        count += (int)pg_answer(*type, out);
    return count;
}

static void test_breaks_off(void)
{
    int bytes = bytes_of_first_use(), wrong = 0;

    for (int limit = 0; limit < bytes; limit++) {
        up_dbd_pool *dbd = begin((pg_plan){.nth = 0, .limit = limit}, LONG);
        int broken = run_within(dbd, LONG), after = run_within(dbd, LONG);

        if (broken != 503 || after != 0) {
            printf("# after %d bytes: %d, then %d\n", limit, broken, after);
            wrong++;
        }
        end();
    }
    ok(!wrong, "broken off at each of %d bytes", bytes);
}

static void test_hangs(void)
{
    apr_interval_time_t deadline = apr_time_from_msec(60);
    int bytes = bytes_of_first_use(), wrong = 0;

    for (int limit = 0; limit < bytes; limit += 3) {
        up_dbd_pool *dbd = begin((pg_plan){.nth = 0, .limit = limit, .hangs = 1}, deadline);
        int hung = run_within(dbd, deadline);

        wrong += hung != 503 || !strstr(last_log, "within 60 ms");
        pg = PG_NO_PLAN;
        /* A loaded machine may miss so short a deadline. */
        for (int i = 0; i < 20 && (hung = run(dbd)) == 503; i++)
            ;
        wrong += hung != 0;
        end();
    }
    is_int(wrong, 0, "hangs after some bytes");
}

static void test_trickles(void)
{
    apr_interval_time_t deadline = apr_time_from_msec(300);
    up_dbd_pool *dbd = begin((pg_plan){.nth = 0, .limit = -1, .pause = 10000}, deadline);

    is_int(run_within(dbd, deadline), 503, "a byte each 10 ms: the deadline is that of the whole");
    end();
}

/* --- Errors --------------------------------------------------------------------------------- */

static const struct {
    const char *state;
    int status;
    int replaced; /* the connection is made anew */
} errors[] = {
    {"57014", 503, 0}, {"40P01", 503, 0}, {"53200", 503, 0}, {"25006", 503, 1},
    {"57P01", 503, 1}, {"42703", 500, 0}, {"23505", 400, 0}, {"22001", 400, 0},
};

static void test_error(int at, int i, const char *where)
{
    up_dbd_pool *dbd =
        begin((pg_plan){.nth = 0, .at = at, .error = errors[i].state, .limit = -1}, LONG);
    /* The settings have no values of the client's, and without them the connection is of no use. */
    int status = at == SETTINGS && errors[i].status == 400 ? 500 : errors[i].status;
    int accepted = errors[i].replaced || at == SETTINGS ? 2 : 1;
    int was, after;

    second->from_client = 1;
    was = run_within(dbd, LONG);
    after = run(dbd) || run(dbd);
    if (!ok(was == status && !after && fake_accepted(server) == accepted, "%s %s", errors[i].state,
            where))
        printf("# status %d, then %d, with %d connections\n", was, after, fake_accepted(server));
    end();
}

static void test_errors(void)
{
    for (int i = 0; i < (int)(sizeof(errors) / sizeof(errors[0])); i++) {
        test_error(SETTINGS, i, "for the settings");
        test_error(PREPARE_FIRST, i, "for the first's preparation");
        test_error(RUN_FIRST, i, "for the first");
        test_error(PREPARE, i, "for the second's preparation");
        test_error(RUN, i, "for the second");
        test_error(COMMIT, i, "for the commit");
    }
}

/* What was prepared before an error is not prepared again, what was not is. */
static void test_prepared(int at, const char *again, const char *name)
{
    up_dbd_pool *dbd = begin((pg_plan){.nth = 0, .at = at, .error = "40P01", .limit = -1}, LONG);

    run(dbd);
    server->log_len = 0;
    is_int(run(dbd), 0, name);
    is(apr_pstrmemdup(pool, server->log, server->log_len), again, "  prepares what is not");
    end();
}

/* A pooler that always gives another server's connection. */
static void test_forgotten(void)
{
    up_dbd_pool *dbd = begin((pg_plan){.nth = 0, .at = RUN, .error = "26000", .limit = -1}, LONG);

    is_int(run_within(dbd, LONG), 0, "a statement was forgotten: it is prepared anew");
    is_int(fake_accepted(server), 2, "  on a new connection");
    end();

    dbd = begin((pg_plan){.nth = -1, .at = RUN, .error = "26000", .limit = -1}, LONG);
    is_int(run_within(dbd, LONG), 500,
           "it is forgotten again: that is told, and not tried for ever");
    end();
}

/* What only reads is run again where its connection is lost under it, once. */
static void test_repeated(void)
{
    int bytes = bytes_of_first_use(), wrong = 0;
    up_dbd_pool *dbd;

    for (int limit = 0; limit < bytes; limit++) {
        dbd = begin((pg_plan){.nth = 0, .limit = limit}, LONG);
        second->repeatable = 1;
        wrong += run_within(dbd, LONG) != 0 || fake_accepted(server) != 2;
        end();
    }
    ok(!wrong, "broken off at each of %d bytes: read again", bytes);

    dbd = begin((pg_plan){.nth = 0, .limit = bytes}, LONG);
    second->repeatable = 1;
    is_int(run(dbd), 0, "a connection that ends with the answer");
    is_int(run(dbd), 0, "  a read is served nonetheless");
    is_int(fake_accepted(server), 2, "  on a new connection");
    end();

    dbd = begin((pg_plan){.nth = -1, .limit = bytes / 2}, LONG);
    second->repeatable = 1;
    is_int(run_within(dbd, LONG), 503, "the second connection is lost too: that is told");
    is_int(fake_accepted(server), 2, "  and not tried for ever");
    end();
}

/* The time of a read is over once, not twice. */
static void test_repeated_in_time(void)
{
    apr_interval_time_t deadline = apr_time_from_msec(300);
    up_dbd_pool *dbd = begin((pg_plan){.nth = -1, .limit = 0, .hangs = 1}, deadline);

    second->repeatable = 1;
    is_int(run_within(dbd, deadline), 503, "a read that hangs is not run again");
    ok(last_log && strstr(last_log, "within 300 ms"), "  the log says so: %s", last_log);
    end();
}

/* --- What a server should not say ----------------------------------------------------------- */

static void test_libpq_of_the_past(void)
{
    up_dbd_pool *dbd =
        begin((pg_plan){.nth = 0, .at = COMMIT, .error = "23503", .limit = -1}, LONG);
    int status;

    second->from_client = 1;
    forgets_sync = 1;
    failed_at_commit = 0;
    alarm(20);
    status = run_within(dbd, LONG);
    alarm(0);
    forgets_sync = 0;
    is_int(status, 400, "a libpq that forgets the sync: the error at the commit is told");
    is_int(run(dbd), 0, "  and the next is served");
    is_int(fake_accepted(server), 2, "  on a new connection");
    end();
}

static void test_unconfirmed(void)
{
    char notice[512];
    size_t len = pg_report(notice, 'N', "WARNING", "01000", "SyncRepWaitForLSN");
    up_dbd_pool *dbd = begin(
        (pg_plan){.nth = 0, .at = COMMIT, .before = notice, .before_len = len, .limit = -1}, LONG);

    is_int(run(dbd), 503, "committed, and not confirmed by the synchronous standby");
    ok(last_log && strstr(last_log, "synchronous standby"), "  the log says so: %s", last_log);
    is_int(run(dbd), 0, "  the next one is");
    is_int(fake_accepted(server), 1, "  on the same connection");
    end();

    len = pg_report(notice, 'N', "WARNING", "01000", "exec_stmt_raise");
    dbd = begin((pg_plan){.nth = 0, .at = COMMIT, .before = notice, .before_len = len, .limit = -1},
                LONG);
    is_int(run(dbd), 0, "the warning of a trigger is none of ours");
    end();
}

/* Of the leak sanitizer, where there is one. libpq itself loses the result that it is making
 * where the server says too early that it is ready. */
void __lsan_disable(void) __attribute__((weak)); // NOLINT
void __lsan_enable(void) __attribute__((weak));  // NOLINT

static int run_leaking(up_dbd_pool *dbd, apr_interval_time_t deadline)
{
    int status;

    if (__lsan_disable)
        __lsan_disable();
    status = run_within(dbd, deadline);
    if (__lsan_enable)
        __lsan_enable();
    return status;
}

/* This instead of an answer: a row after all, or 503 in time; and the next is served. */
static void test_said(int at, const char *bytes, size_t len, int expected, const char *name)
{
    const apr_interval_time_t deadline = apr_time_from_msec(300);
    pg_plan plan = {.nth = 0, .at = at, .bytes = bytes, .len = len, .limit = -1};
    up_dbd_pool *dbd = begin(plan, deadline);
    int status = run_leaking(dbd, deadline), after = run_within(dbd, LONG);

    if (!ok(status == expected && after == 0, "%s", name))
        printf("# %d, then %d\n", status, after);
    end();
}

#define SAID(at, bytes, status, name) test_said(at, bytes, sizeof(bytes) - 1, status, name)

static void test_said_wrongly(void)
{
    SAID(RUN, "", 503, "no answer to a statement");
    SAID(COMMIT, "", 503, "no answer to the sync");
    SAID(RUN, "?\0\0\0\4", 503, "a message that there is not");
    SAID(RUN, "D\377\377\377\377", 503, "a message of a negative length");
    SAID(RUN, "D\0\0\0\1", 503, "a message shorter than its length");
    SAID(RUN, "D\177\377\377\377", 503, "a message of two gigabytes");
    SAID(RUN, "D\0\0\0\12\0\7\0\0\0\3", 503, "a row of other columns");
    SAID(RUN, "Z\0\0\0\5I", 503, "ready, with the answer still to come");
    SAID(RUN, "s\0\0\0\4", 503, "a portal that is suspended");
    SAID(RUN, "G\0\0\0\7\0\0\0", 503, "a copy that begins");
    SAID(RUN, "H\0\0\0\7\0\0\0", 503, "a copy that comes");
    SAID(COMMIT,
         "1\0\0\0\4"
         "1\0\0\0\4"
         "Z\0\0\0\5I",
         0, "preparations that nobody asked for");
    SAID(COMMIT,
         "C\0\0\0\13COMMIT\0"
         "C\0\0\0\13COMMIT\0"
         "C\0\0\0\13COMMIT\0"
         "Z\0\0\0\5I",
         0, "ends that nobody asked for");
}

int main(void)
{
    initialize();
    test_well();
    test_breaks_off();
    test_hangs();
    test_trickles();
    test_errors();
    test_prepared(PREPARE_FIRST, "PBDEPBDES", "the first's preparation failed");
    test_prepared(RUN_FIRST, "BDEPBDES", "the first failed");
    test_prepared(PREPARE, "BDEPBDES", "the second's preparation failed");
    test_prepared(RUN, "BDEBDES", "the second failed");
    test_forgotten();
    test_repeated();
    test_repeated_in_time();
    test_libpq_of_the_past();
    test_unconfirmed();
    test_said_wrongly();
    return done_testing();
}
