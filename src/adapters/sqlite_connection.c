/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sqlite_connection.h"

#include <apr_strings.h>
#include <string.h>

/* How long a writer sleeps before it looks again whether the database is free. */
#define SHORTEST_SLEEP APR_TIME_C(1000)
#define LONGEST_SLEEP APR_TIME_C(10000)

/* Of SQLite's own instructions: how many between two looks at the clock. */
#define INSTRUCTIONS 10000

static const up_sql_statement session = {.what = "set up a connection"};
static const up_sql_statement begin = {
    .what = "begin to write", .name = "userprofile_begin", .sql = "BEGIN IMMEDIATE"};
static const up_sql_statement commit = {
    .what = "commit what was written", .name = "userprofile_commit", .sql = "COMMIT"};

/* SQLite's own wait grows to a tenth of a second, so that among many who wait some
 * would never have their turn. */
static int wait_for_others(void *data, int count)
{
    const up_sqlite *sqlite = data;
    apr_interval_time_t left = sqlite->end - apr_time_now();
    apr_interval_time_t sleep = SHORTEST_SLEEP * (count + 1);

    if (left <= 0)
        return 0;
    if (sleep > LONGEST_SLEEP)
        sleep = LONGEST_SLEEP;
    apr_sleep(sleep < left ? sleep : left);
    return 1;
}

static int is_too_late(void *data)
{
    return apr_time_now() > ((up_sqlite *)data)->end;
}

/* It passes: others are writing, the disk is full or fails, no memory, or no right to write. */
static int is_passing(int code)
{
    static const int passing[] = {SQLITE_BUSY,  SQLITE_LOCKED, SQLITE_NOMEM,    SQLITE_READONLY,
                                  SQLITE_IOERR, SQLITE_FULL,   SQLITE_CANTOPEN, SQLITE_PROTOCOL,
                                  SQLITE_PERM,  SQLITE_AUTH};
    size_t i;

    for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        if (code == passing[i])
            return 1;
    }
    return 0;
}

static up_problem *failed(const up_sqlite *sqlite, const up_sql_statement *statement)
{
    const int extended = sqlite3_extended_errcode(sqlite->handle), code = extended & 0xff;
    const char *text = sqlite3_errmsg(sqlite->handle);
    const char *state = apr_psprintf(sqlite->p, "SQLite error %d", extended);

    if (code == SQLITE_INTERRUPT || code == SQLITE_BUSY)
        return up_sql_timed_out(sqlite->p, statement, up_dbd_pool_settings(sqlite->pool)->deadline);
    if (statement->from_client &&
        (code == SQLITE_CONSTRAINT || code == SQLITE_TOOBIG || code == SQLITE_MISMATCH))
        return up_sql_not_taken(sqlite->p, statement, text, state);
    if (code == SQLITE_READONLY || code == SQLITE_CANTOPEN || code == SQLITE_PERM)
        text = apr_pstrcat(sqlite->p, text,
                           "; httpd's user must be able to write the database's file and its "
                           "folder",
                           NULL);
    return up_sql_failed(sqlite->p, statement, text, state, is_passing(code));
}

/* mod_dbd could not close a connection that has statements left. */
static apr_status_t finalize_statements(void *data)
{
    up_dbd_connection *connection = data;
    apr_hash_index_t *index;

    for (index = apr_hash_first(NULL, connection->prepared); index; index = apr_hash_next(index)) {
        void *statement;

        apr_hash_this(index, NULL, NULL, &statement);
        sqlite3_finalize(statement);
    }
    apr_hash_clear(connection->prepared);
    return APR_SUCCESS;
}

/* A name in quotes that is no column is an error, and no text. */
static up_problem *set_up(up_sqlite *sqlite)
{
    up_dbd_connection *connection = sqlite->connection;

    sqlite3_db_config(sqlite->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    if (sqlite3_exec(sqlite->handle,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                     "PRAGMA foreign_keys = ON;",
                     NULL, NULL, NULL) != SQLITE_OK)
        return failed(sqlite, &session);
    apr_pool_cleanup_register(connection->pool, connection, finalize_statements,
                              apr_pool_cleanup_null);
    connection->deadline = up_dbd_pool_settings(sqlite->pool)->deadline;
    return NULL;
}

up_problem *up_sqlite_borrow(up_sqlite *sqlite, up_dbd_pool *pool, apr_pool_t *p)
{
    up_problem *problem;
    const ap_dbd_t *rec;

    *sqlite = (up_sqlite){.pool = pool, .p = p};
    problem = up_dbd_acquire(pool, p, &sqlite->connection);
    if (problem)
        return problem;
    rec = sqlite->connection->rec;
    sqlite->handle = apr_dbd_native_handle(rec->driver, rec->handle);
    sqlite->end = apr_time_now() + up_dbd_pool_settings(pool)->deadline;
    sqlite3_busy_handler(sqlite->handle, wait_for_others, sqlite);
    sqlite3_progress_handler(sqlite->handle, INSTRUCTIONS, is_too_late, sqlite);
    if (!sqlite->connection->deadline)
        problem = set_up(sqlite);
    return problem ? up_sqlite_return(sqlite, problem) : NULL;
}

up_problem *up_sqlite_borrow_to_write(up_sqlite *sqlite, up_dbd_pool *pool, apr_pool_t *p)
{
    up_sql_answer answer;
    up_problem *problem = up_sqlite_borrow(sqlite, pool, p);

    if (problem)
        return problem;
    problem = up_sqlite_run(sqlite, &begin, NULL, &answer);
    return problem ? up_sqlite_return(sqlite, problem) : NULL;
}

/* Whatever happened: it is lent out without a transaction, and without us. */
up_problem *up_sqlite_return(up_sqlite *sqlite, up_problem *problem)
{
    up_sql_answer answer;

    if (!problem && !sqlite3_get_autocommit(sqlite->handle))
        problem = up_sqlite_run(sqlite, &commit, NULL, &answer);
    sqlite3_progress_handler(sqlite->handle, 0, NULL, NULL);
    if (!sqlite3_get_autocommit(sqlite->handle))
        sqlite3_exec(sqlite->handle, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_busy_handler(sqlite->handle, NULL, NULL);
    up_dbd_release(sqlite->pool, sqlite->connection);
    return problem;
}

up_problem *up_sqlite_prepare(up_sqlite *sqlite, const up_sql_statement *statement)
{
    apr_hash_t *prepared = sqlite->connection->prepared;
    sqlite3_stmt *stmt = NULL;

    if (apr_hash_get(prepared, statement->name, APR_HASH_KEY_STRING))
        return NULL;
    if (sqlite3_prepare_v3(sqlite->handle, statement->sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt,
                           NULL) != SQLITE_OK)
        return failed(sqlite, statement);
    apr_hash_set(prepared, statement->name, APR_HASH_KEY_STRING, stmt);
    return NULL;
}

/* By name, as each may stand in the SQL more than once, or not at all. */
static int bind_values(sqlite3_stmt *stmt, const up_sql_statement *statement,
                       const char *const *values)
{
    int i, code = SQLITE_OK;

    for (i = 0; i < statement->parameters && code == SQLITE_OK; i++) {
        char name[16];
        int index;

        apr_snprintf(name, sizeof(name), "$%d", i + 1);
        index = sqlite3_bind_parameter_index(stmt, name);
        if (index && values[i])
            code = sqlite3_bind_text(stmt, index, values[i], -1, SQLITE_STATIC);
    }
    return code;
}

static void add_row(apr_pool_t *p, sqlite3_stmt *stmt, apr_array_header_t *texts)
{
    int i;

    for (i = 0; i < sqlite3_column_count(stmt); i++) {
        const char *text = (const char *)sqlite3_column_text(stmt, i);

        APR_ARRAY_PUSH(texts, const char *) =
            text ? apr_pstrmemdup(p, text, (apr_size_t)sqlite3_column_bytes(stmt, i)) : NULL;
    }
}

up_problem *up_sqlite_run(up_sqlite *sqlite, const up_sql_statement *statement,
                          const char *const *values, up_sql_answer *answer)
{
    up_problem *problem = up_sqlite_prepare(sqlite, statement);
    apr_array_header_t *texts;
    sqlite3_stmt *stmt;
    int code;

    if (problem)
        return problem;
    stmt = apr_hash_get(sqlite->connection->prepared, statement->name, APR_HASH_KEY_STRING);
    texts = apr_array_make(sqlite->p, sqlite3_column_count(stmt) + 1, sizeof(const char *));
    *answer = (up_sql_answer){.columns = sqlite3_column_count(stmt)};
    code = bind_values(stmt, statement, values);
    while (code == SQLITE_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        add_row(sqlite->p, stmt, texts);
        answer->rows++;
        code = SQLITE_OK;
    }
    answer->values = (const char *const *)texts->elts;
    if (code != SQLITE_DONE)
        problem = failed(sqlite, statement);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return problem;
}
