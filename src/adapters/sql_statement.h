/* SPDX-License-Identifier: Apache-2.0 */

/**
 * What the databases have in common: statements with their names, what comes
 * out of one, and what it means where one fails. How a statement is run is each
 * database's own; rooms that need no more than that have it as an up_sql_database.
 */
#ifndef UP_SQL_STATEMENT_H
#define UP_SQL_STATEMENT_H

#include "core/model.h"
#include "core/problem.h"

/** The most parameters of a statement: a pair for each field, and some more. */
#define UP_SQL_PARAMETERS_MAX 160

/** SQL that is prepared on each connection as it is first needed. Lives in the child's
 *  pool. Its parameters are $1, $2, …, in text; NULL is NULL. */
typedef struct up_sql_statement {
    const char *what; /* what it does, in a few words, for the log */
    const char *name; /* a function of the SQL, so that two contracts may share a connection */
    const char *sql;
    int parameters;
    int from_client; /* it writes a client's values: that one is not taken is the client's error */
    int repeatable;  /* it only reads: run once more where its connection is lost */
} up_sql_statement;

/** Makes a statement in p. */
up_sql_statement *up_sql_statement_create(apr_pool_t *p, const char *what, const char *sql,
                                          int parameters);

/** Where the databases do not speak the same SQL. Each function makes its text in p. */
typedef struct up_sql_dialect {
    const char *now;         /* the time, as a users' table has it */
    const char *clock;       /* the time, as the journal has it */
    const char *skip_locked; /* after a SELECT: takes rows that nobody else has taken */
    const char *boolean;     /* after a parameter that is "1" or "0": makes it a condition */
    const char *false_value;
    /** A subject in text (a parameter or a column), to be compared with its column. */
    const char *(*subject)(apr_pool_t *p, const up_model *model, const char *text);
    /** A parameter as a value of this field's column. */
    const char *(*value)(apr_pool_t *p, const up_field *field, int parameter);
    /** The time in the journal that is so many seconds (a parameter) from now. */
    const char *(*later)(apr_pool_t *p, int parameter);
    /** A time of the journal in seconds since 1970, 0 for NULL; its age in seconds. */
    const char *(*seconds)(apr_pool_t *p, const char *column);
    const char *(*age)(apr_pool_t *p, const char *column);
    /** The time in this column of a users' table is more than so many seconds ago. */
    const char *(*older)(apr_pool_t *p, const char *column, int seconds);
    /** A subquery of the texts in a parameter that is a JSON array. */
    const char *(*list)(apr_pool_t *p, int parameter);
} up_sql_dialect;

/** The rows of a statement as text, row after row, in the pool of the request. */
typedef struct up_sql_answer {
    int rows, columns;
    const char *const *values; /* NULL is SQL NULL */
} up_sql_answer;

/** The text at a column of the answer's first row, or NULL for SQL NULL. */
const char *up_sql_text_at(const up_sql_answer *answer, int column);

/** The whole number there, 0 for SQL NULL. */
apr_int64_t up_sql_number_at(const up_sql_answer *answer, int column);

/** A database as somebody needs it who runs single statements. Lives in the child's pool. */
typedef struct up_sql_database up_sql_database;

struct up_sql_database {
    const up_sql_dialect *dialect;

    /** Runs a statement, as a transaction of its own. */
    up_problem *(*run)(up_sql_database *self, apr_pool_t *p, const up_sql_statement *statement,
                       const char *const *values, up_sql_answer *answer);

    /** Prepares it only: does the database know all that it names? */
    up_problem *(*prepare)(up_sql_database *self, apr_pool_t *p, const up_sql_statement *statement);
};

/** Prepares all of them that are not NULL, up to the first that fails. */
up_problem *up_sql_prepare_all(up_sql_database *database, apr_pool_t *p,
                               const up_sql_statement *const *statements, apr_size_t count);

/** What the table does not take, where the values are a client's: VALIDATION_ERROR.
 *  @param state the database's own name of the error. */
up_problem *up_sql_not_taken(apr_pool_t *p, const up_sql_statement *statement, const char *text,
                             const char *state);

/** Any other failure: SERVICE_UNAVAILABLE where it is passing, else INTERNAL_ERROR. */
up_problem *up_sql_failed(apr_pool_t *p, const up_sql_statement *statement, const char *text,
                          const char *state, int passing);

/** It has taken longer than its deadline. */
up_problem *up_sql_timed_out(apr_pool_t *p, const up_sql_statement *statement,
                             apr_interval_time_t deadline);

#endif
