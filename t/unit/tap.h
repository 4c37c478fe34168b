/* SPDX-License-Identifier: Apache-2.0 */

/** The Test Anything Protocol for the unit tests in C: a line for each check,
 *  the plan at the end. A failed check says where and what, on standard error,
 *  which prove shows. */
#ifndef UP_TAP_H
#define UP_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_run, tap_failed;

__attribute__((format(printf, 4, 5), unused)) static int tap_ok(int pass, const char *file,
                                                                int line, const char *fmt, ...)
{
    va_list args;

    printf("%sok %d - ", pass ? "" : "not ", ++tap_run);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    if (!pass) {
        tap_failed++;
        fprintf(stderr, "# failed at %s:%d\n", file, line);
    }
    fflush(stdout);
    return pass;
}

__attribute__((unused)) static int tap_is(const char *got, const char *want, const char *file,
                                          int line, const char *name)
{
    int pass = got && want ? strcmp(got, want) == 0 : got == want;

    tap_ok(pass, file, line, "%s", name);
    if (!pass)
        fprintf(stderr, "#      got: %s\n# expected: %s\n", got ? got : "(null)",
                want ? want : "(null)");
    return pass;
}

/** ok(condition, "format", …) */
#define ok(cond, ...) tap_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
/** is(got, want, "name"): equal strings, NULL too */
#define is(got, want, name) tap_is((got), (want), __FILE__, __LINE__, (name))
/** is_int(got, want, "name") */
#define is_int(got, want, name)                                                                    \
    do {                                                                                           \
        long long tap_got = (long long)(got), tap_want = (long long)(want);                        \
        if (!tap_ok(tap_got == tap_want, __FILE__, __LINE__, "%s", (name)))                        \
            fprintf(stderr, "#      got: %lld\n# expected: %lld\n", tap_got, tap_want);            \
    } while (0)
/** return done_testing(); from main() */
#define done_testing() (printf("1..%d\n", tap_run), tap_failed ? 1 : 0)

#endif
