/* SPDX-License-Identifier: Apache-2.0 */

/** For the tests that compare us with others: asks a program, which gets a line for each question
 *  in a file, and answers a line for each. */
#ifndef UP_TEST_ORACLE_H
#define UP_TEST_ORACLE_H

#include "standin.h"

#include <stdio.h>
#include <sys/wait.h>

#define ORACLE_LINE 65536

/** What the program's exit status says where what it needs is not installed. */
#define ORACLE_ABSENT 77

typedef struct oracle {
    apr_file_t *questions;
    FILE *answers;
    char line[ORACLE_LINE];
    int ahead; /* the line is still to be given */
} oracle;

static void oracle_question(oracle *o, const char *line)
{
    if (apr_file_puts(line, o->questions) != APR_SUCCESS ||
        apr_file_putc('\n', o->questions) != APR_SUCCESS) {
        printf("Bail out! A temporary file cannot be written.\n");
        exit(1);
    }
}

/** @return its exit status. */
static int oracle_end(oracle *o)
{
    int status = o->answers ? pclose(o->answers) : -1;

    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/** The next answer, or NULL. */
static const char *oracle_answer(oracle *o)
{
    if (o->ahead)
        o->ahead = 0;
    else if (!o->answers || !fgets(o->line, sizeof(o->line), o->answers))
        return NULL;
    o->line[strcspn(o->line, "\n")] = '\0';
    return o->line;
}

/** Starts it, once all questions are there. @param program with its arguments, for the shell.
 *  @return 0 where it lacks what it needs; it has then ended. */
static int oracle_ask(oracle *o, apr_pool_t *p, const char *program)
{
    const char *name;

    apr_file_flush(o->questions);
    apr_file_name_get(&name, o->questions);
    o->answers = popen(apr_pstrcat(p, program, " <", name, NULL), "r");
    o->ahead = oracle_answer(o) != NULL;
    return o->ahead || oracle_end(o) != ORACLE_ABSENT;
}

/** Of the test's own, so that a seed gives the same everywhere. @return 0 to below - 1. */
static unsigned int oracle_random(apr_uint64_t *state, unsigned int below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned int)(*state >> 33) % below;
}

#endif
