/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/pg_statement.h"

#include <apr_strings.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* One exchange with the server: what is sent, then read until the deadline. */
typedef struct exchange {
    up_dbd_pool *pool;
    up_dbd_connection *connection;
    PGconn *pg;
    apr_pool_t *p;
    apr_time_t end;
    const up_sql_statement *statement;
    const up_sql_statement *preparing[2]; /* whose answers are awaited, in their order */
    int preparing_count, prepared_count;
    int unconfirmed; /* committed, and perhaps not on the synchronous standby */
} exchange;

static PGconn *native(const up_dbd_connection *connection)
{
    return apr_dbd_native_handle(connection->rec->driver, connection->rec->handle);
}

/* libpq believes in a connection until it reads the end of it. Cutting the
 * socket is the one way to have mod_dbd's connection made anew: it answers
 * to nothing else that does not wait for the server. */
static void cut(up_dbd_connection *connection)
{
    PGconn *pg = native(connection);

    if (PQsocket(pg) >= 0)
        shutdown(PQsocket(pg), SHUT_RDWR);
    while (PQstatus(pg) == CONNECTION_OK && PQconsumeInput(pg))
        ;
    connection->broken = 1;
}

/* A server that went away has closed its end, and one that ended the session has
 * said so: seen before anything is sent, so that no write is left in doubt. An idle
 * connection has nothing else to say. What may be run again is not worth the look. */
static int is_alive(up_dbd_connection *connection, const up_sql_statement *statement)
{
    struct pollfd fd = {PQsocket(native(connection)), POLLIN, 0};

    return PQstatus(native(connection)) == CONNECTION_OK && fd.fd >= 0 &&
           (statement->repeatable || poll(&fd, 1, 0) == 0);
}

static int is_class(const char *state, const char *class)
{
    return strncmp(state, class, strlen(class)) == 0;
}

/* The connection is of no use any more: lost, shut down (57P), on a server that
 * has become read-only (25006), or libpq itself is at a loss (no SQLSTATE). */
static int is_lost(const char *state, const PGconn *pg)
{
    return PQstatus(pg) != CONNECTION_OK || !*state || is_class(state, "08") ||
           is_class(state, "57P") || strcmp(state, "25006") == 0;
}

/* Refused for the moment: as above, and too many clients, out of memory or disk
 * (53), timeouts and cancellations (57), deadlocks and serialisation (40),
 * locks not available (55). */
static int is_passing(const char *state, const PGconn *pg)
{
    return is_lost(state, pg) || is_class(state, "53") || is_class(state, "57") ||
           is_class(state, "40") || is_class(state, "55") || is_class(state, "58");
}

/* from_client: the statement that failed had values of a client's. */
static up_problem *failure(exchange *ex, const PGresult *result, int from_client)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *told;
    int passing;

    if (!state)
        state = PQstatus(ex->pg) == CONNECTION_OK ? "" : "08006";
    if (!text)
        text = PQerrorMessage(ex->pg);
    if (is_lost(state, ex->pg))
        cut(ex->connection);
    passing = is_passing(state, ex->pg);
    told = *state ? apr_pstrcat(ex->p, "SQLSTATE ", state, NULL) : "no SQLSTATE";
    if (from_client && (is_class(state, "22") || is_class(state, "23")))
        return up_sql_not_taken(ex->p, ex->statement, text, told);
    return up_sql_failed(ex->p, ex->statement, text, told, passing);
}

static up_problem *failed(exchange *ex, const PGresult *result)
{
    return failure(ex, result, ex->statement->from_client);
}

static up_problem *timed_out(exchange *ex)
{
    cut(ex->connection);
    return up_sql_timed_out(ex->p, ex->statement, up_dbd_pool_settings(ex->pool)->deadline);
}

/* Waits until the socket can be read (or, while output is left, written). */
static int wait_for(exchange *ex, short events)
{
    struct pollfd fd = {PQsocket(ex->pg), events, 0};
    apr_interval_time_t left;
    int ready = 0;

    while (ready <= 0 && (left = ex->end - apr_time_now()) > 0) {
        ready = poll(&fd, 1, (int)((left + 999) / 1000));
        if (ready < 0 && errno != EINTR)
            break;
    }
    return ready > 0;
}

static up_problem *flush(exchange *ex)
{
    int rest;

    while ((rest = PQflush(ex->pg)) > 0) {
        if (!wait_for(ex, POLLIN | POLLOUT))
            return timed_out(ex);
        if (!PQconsumeInput(ex->pg))
            return failed(ex, NULL);
    }
    return rest < 0 ? failed(ex, NULL) : NULL;
}

static up_problem *next_result(exchange *ex, PGresult **result)
{
    while (PQisBusy(ex->pg)) {
        if (!wait_for(ex, POLLIN))
            return timed_out(ex);
        if (!PQconsumeInput(ex->pg))
            return failed(ex, NULL);
    }
    *result = PQgetResult(ex->pg);
    return NULL;
}

/* A prepared statement stays, even where the transaction that it was prepared in
 * fails after it: only a statement's preparation answers without rows. */
static void remember(exchange *ex)
{
    if (ex->prepared_count < ex->preparing_count)
        apr_hash_set(ex->connection->prepared, ex->preparing[ex->prepared_count++]->name,
                     APR_HASH_KEY_STRING, "");
}

/* Keeps the last result with rows, which is the answer, and the first error: what
 * follows that is only marked as skipped. Returns 0 for what no statement has. */
static int keep(exchange *ex, PGresult *result, PGresult **answer, PGresult **error)
{
    ExecStatusType status = PQresultStatus(result);
    PGresult **place = status == PGRES_TUPLES_OK ? answer : error;

    if (status == PGRES_TUPLES_OK || (status == PGRES_FATAL_ERROR && !*error)) {
        PQclear(*place);
        *place = result;
        return 1;
    }
    if (status == PGRES_COMMAND_OK)
        remember(ex);
    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_PIPELINE_ABORTED ||
           status == PGRES_FATAL_ERROR;
}

static up_problem *out_of_step(exchange *ex, const PGresult *error)
{
    up_problem *problem = failed(ex, error);

    cut(ex->connection);
    return problem;
}

/* Reads up to the pipeline's end. NULL ends the results of each statement. A second one
 * would be followed by no other for ever: a libpq before 14.11, 15.6 and 16.2 loses the
 * pipeline's end where a commit fails. */
static up_problem *read_results(exchange *ex, PGresult **answer, PGresult **error)
{
    PGresult *result = NULL;
    int ends = 0;

    *answer = *error = NULL;
    for (;;) {
        up_problem *problem = next_result(ex, &result);

        if (problem)
            return problem;
        if (result && PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return NULL;
        }
        ends = result ? 0 : ends + 1;
        if (result ? !keep(ex, result, answer, error)
                   : ends > 1 || PQstatus(ex->pg) != CONNECTION_OK)
            return out_of_step(ex, *error);
    }
}

/* Without values it is prepared only. */
static int send_statement(exchange *ex, const up_sql_statement *statement,
                          const char *const *values)
{
    if (!apr_hash_get(ex->connection->prepared, statement->name, APR_HASH_KEY_STRING)) {
        if (!PQsendPrepare(ex->pg, statement->name, statement->sql, 0, NULL))
            return 0;
        ex->preparing[ex->preparing_count++] = statement;
    }
    return !values || PQsendQueryPrepared(ex->pg, statement->name, statement->parameters, values,
                                          NULL, NULL, 0);
}

static apr_status_t clear_result(void *result)
{
    PQclear(result);
    return APR_SUCCESS;
}

/* What the statements cannot do without: once for each connection, and again for
 * another contract that waits for longer or shorter. With strings that do not conform
 * a backslash at the end of a constant of the configuration would take its quote along. */
static int send_session(exchange *ex)
{
    const apr_interval_time_t deadline = up_dbd_pool_settings(ex->pool)->deadline;
    const char *values[1];

    /* Shorter than our own deadline: a server that is well says so itself, and
       the connection stays of use. */
    values[0] = apr_psprintf(ex->p, "%d", (int)(apr_time_as_msec(deadline) * 9 / 10));
    return PQsendQueryParams(ex->pg,
                             "SELECT set_config('statement_timeout', $1, false), "
                             "set_config('client_encoding', 'UTF8', false), "
                             "set_config('TimeZone', 'UTC', false), "
                             "set_config('standard_conforming_strings', 'on', false), "
                             "set_config('default_transaction_isolation', 'read committed', false)",
                             1, NULL, values, NULL, NULL, 0) &&
           PQpipelineSync(ex->pg);
}

/* Who cancels a commit that waits for its synchronous standby has it answered as
 * done, with a warning: a failover would lose it. The warning has the code of any
 * other and its text is in the server's language; what says it is known by name. */
static void hear(void *arg, const PGresult *notice)
{
    const char *function = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);

    if (arg && function && strcmp(function, "SyncRepWaitForLSN") == 0)
        ((exchange *)arg)->unconfirmed = 1;
}

static up_problem *unconfirmed(const exchange *ex)
{
    return up_problem_logged(
        ex->p, UP_SERVICE_UNAVAILABLE,
        "the database did %s, but its synchronous standby has not confirmed that, as somebody "
        "cancelled the waiting; look at the standby and at synchronous_standby_names",
        ex->statement->what);
}

/* Both ends of the pipeline: read_results() always reads up to its sync. */
static up_problem *converse(exchange *ex, const up_sql_statement *first,
                            const up_sql_statement *statement, const char *const *values,
                            PGresult **answer, PGresult **error)
{
    up_problem *problem;
    apr_interval_time_t deadline = up_dbd_pool_settings(ex->pool)->deadline;
    int session = ex->connection->deadline != deadline;

    PQsetnonblocking(ex->pg, 1);
    PQsetNoticeReceiver(ex->pg, hear, ex);
    if (!PQenterPipelineMode(ex->pg) || (session && !send_session(ex)) ||
        (first && !send_statement(ex, first, values)) || !send_statement(ex, statement, values) ||
        !PQpipelineSync(ex->pg))
        return failed(ex, NULL);
    problem = flush(ex);
    if (!problem && session) {
        problem = read_results(ex, answer, error);
        if (!problem && *error)
            problem = failure(ex, *error, 0);
        PQclear(*answer);
        PQclear(*error);
        *answer = *error = NULL;
        ex->connection->deadline = problem ? 0 : deadline;
    }
    return problem ? problem : read_results(ex, answer, error);
}

/* The server has forgotten the statement (26000), e.g. by DISCARD ALL of a pooler
 * in between, or a column has changed its type under it (0A000). */
static int is_forgotten(const PGresult *error)
{
    const char *state = error ? PQresultErrorField(error, PG_DIAG_SQLSTATE) : NULL;

    return state && (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0);
}

static up_problem *run(exchange *ex, const up_sql_statement *first,
                       const up_sql_statement *statement, const char *const *values,
                       PGresult **answer, int *forgotten)
{
    PGresult *error = NULL;
    up_problem *problem;

    *answer = NULL;
    ex->preparing_count = ex->prepared_count = 0;
    problem = converse(ex, first, statement, values, answer, &error);
    *forgotten = !problem && is_forgotten(error);
    if (!problem && error)
        problem = failed(ex, error);
    if (!problem && values && !*answer)
        problem = failed(ex, NULL);
    if (!problem && ex->unconfirmed)
        problem = unconfirmed(ex);
    if (!ex->connection->broken && !PQexitPipelineMode(ex->pg)) {
        up_problem *lost = out_of_step(ex, NULL);

        problem = problem ? problem : lost;
    }
    PQsetNoticeReceiver(ex->pg, hear, NULL);
    PQclear(error);
    if (problem) {
        PQclear(*answer);
        *answer = NULL;
    }
    return problem;
}

/* Ready to be sent to: an idle connection may have died since it was last used. */
static up_problem *borrow(exchange *ex)
{
    up_problem *problem = up_dbd_acquire(ex->pool, ex->p, &ex->connection);

    if (problem)
        return problem;
    if (!is_alive(ex->connection, ex->statement)) {
        cut(ex->connection);
        problem = up_dbd_renew(ex->p, ex->connection);
        if (problem)
            up_dbd_release(ex->pool, ex->connection);
    }
    ex->pg = native(ex->connection);
    return problem;
}

/* The connection had died, or died over the statement, and there is time left. */
static int may_repeat(const exchange *ex, const up_problem *problem)
{
    return problem && ex->statement->repeatable && ex->connection->broken &&
           apr_time_now() < ex->end;
}

up_problem *up_pg_run(up_dbd_pool *pool, apr_pool_t *p, const up_sql_statement *first,
                      const up_sql_statement *statement, const char *const *values,
                      PGresult **result)
{
    exchange ex = {.pool = pool, .p = p, .statement = statement};
    up_problem *problem = borrow(&ex);
    int forgotten = 0;

    if (problem)
        return problem;
    ex.end = apr_time_now() + up_dbd_pool_settings(pool)->deadline;
    problem = run(&ex, first, statement, values, result, &forgotten);
    if (forgotten || may_repeat(&ex, problem)) {
        cut(ex.connection);
        problem = up_dbd_renew(p, ex.connection);
        if (!problem)
            problem = run(&ex, first, statement, values, result, &forgotten);
    }
    up_dbd_release(pool, ex.connection);
    if (!problem && *result)
        apr_pool_cleanup_register(p, *result, clear_result, apr_pool_cleanup_null);
    return problem;
}

up_problem *up_pg_prepare(up_dbd_pool *pool, apr_pool_t *p, const up_sql_statement *statement)
{
    PGresult *none = NULL;

    return up_pg_run(pool, p, NULL, statement, NULL, &none);
}

const char *up_pg_text_at(const PGresult *result, int column)
{
    return PQgetisnull(result, 0, column) ? NULL : PQgetvalue(result, 0, column);
}

apr_int64_t up_pg_number_at(const PGresult *result, int column)
{
    const char *text = up_pg_text_at(result, column);

    return text ? apr_atoi64(text) : 0;
}
