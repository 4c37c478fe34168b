/* SPDX-License-Identifier: Apache-2.0 */

/** What the tests of statements share: a Postgres that fails as it is told, a pool of
 *  one connection to it, and two statements that are run together. */
#ifndef UP_TEST_PG_ASK_H
#define UP_TEST_PG_ASK_H

#include "adapters/pg_statement.h"
#include "pg_fake.h"
#include "tap.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <signal.h>

/* What a call may take beyond its limit, on a busy machine under a sanitizer. */
#define SLACK apr_time_from_msec(1000)
/* The deadline of a statement that is not to meet it. */
#define LONG apr_time_from_sec(5)

static apr_pool_t *pool; /* of one test */
static fake *server;
static up_sql_statement *first, *second;
static const char *last_log;

static ap_dbd_t *open_one(apr_pool_t *p, server_rec *s)
{
    ap_dbd_t *rec = apr_pcalloc(p, sizeof(*rec));
    const char *error = NULL;

    (void)s;
    rec->pool = p;
    if (apr_dbd_get_driver(p, "pgsql", &rec->driver) != APR_SUCCESS ||
        apr_dbd_open_ex(rec->driver, p,
                        apr_psprintf(p,
                                     "host=127.0.0.1 port=%d user=u dbname=d sslmode=disable "
                                     "gssencmode=disable connect_timeout=2",
                                     server->port),
                        &rec->handle, &error) != APR_SUCCESS)
        return NULL;
    return rec;
}

static void close_one(server_rec *s, ap_dbd_t *rec)
{
    (void)s;
    apr_dbd_close(rec->driver, rec->handle);
}

static up_dbd_pool *connections(apr_interval_time_t deadline)
{
    up_dbd_settings settings = {.connections = 1,
                                .wait = apr_time_from_msec(500),
                                .deadline = deadline,
                                .open = open_one,
                                .close = close_one};

    return up_dbd_pool_create(pool, &settings);
}

/* Begins a test: a server that does so, a pool that has not connected yet. */
__attribute__((unused)) static up_dbd_pool *begin(pg_plan plan, apr_interval_time_t deadline)
{
    apr_pool_create(&pool, NULL);
    pg = plan;
    server = fake_start(pg_script, NULL, 0);
    first = up_sql_statement_create(pool, "lock a row", "SELECT 1 WHERE $1 = 'x' FOR UPDATE", 1);
    second = up_sql_statement_create(pool, "read a row", "SELECT c FROM t WHERE k = $1", 1);
    return connections(deadline);
}

__attribute__((unused)) static void end(void)
{
    apr_pool_destroy(pool);
    fake_stop(server);
}

/* Runs both statements. 0: there is a row; else the problem's status. */
__attribute__((unused)) static int run(up_dbd_pool *dbd)
{
    const char *values[] = {"k"};
    PGresult *result = NULL;
    apr_pool_t *p;
    int status = 0;
    up_problem *problem;

    apr_pool_create(&p, pool);
    problem = up_pg_run(dbd, p, first, second, values, &result);
    last_log = problem ? apr_pstrdup(pool, problem->log ? problem->log : "") : NULL;
    if (problem)
        status = up_code_status(problem->code);
    else if (PQntuples(result) != 1 || strcmp(up_pg_text_at(result, 0), "row") != 0)
        status = -1;
    apr_pool_destroy(p);
    return status;
}

/* Likewise, and it must have ended within the deadline. */
__attribute__((unused)) static int run_within(up_dbd_pool *dbd, apr_interval_time_t deadline)
{
    apr_time_t start = apr_time_now();
    int status = run(dbd);

    return apr_time_now() - start < deadline + SLACK ? status : -2;
}

/** Before the first test. */
__attribute__((unused)) static void initialize(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (apr_dbd_init(pool) != APR_SUCCESS)
        exit(1);
    signal(SIGPIPE, SIG_IGN);
}

#endif
