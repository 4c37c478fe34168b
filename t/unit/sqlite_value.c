/* SPDX-License-Identifier: Apache-2.0 */

/* What SQLite's columns hold, as the profile has it. */
#include "adapters/sqlite_value.h"

#include "tap.h"

#include <apr_general.h>
#include <string.h>

static apr_pool_t *pool;

/* --- times --- */

static const struct known_time {
    const char *text, *value;
    apr_int64_t seconds;
} known_times[] = {
    {"2026-03-14T12:00:00Z", "2026-03-14T12:00:00.000000Z", 1773489600},
    {"2026-03-14t12:00:00z", "2026-03-14T12:00:00.000000Z", 1773489600},
    {"2026-03-14T12:00:00.123Z", "2026-03-14T12:00:00.123000Z", 1773489600},
    {"2026-03-14T12:00:00.123456Z", "2026-03-14T12:00:00.123456Z", 1773489600},
    {"2026-03-14T12:00:00.1234567890Z", "2026-03-14T12:00:00.123456Z", 1773489600},
    {"2026-03-14 12:00:00", "2026-03-14T12:00:00.000000Z", 1773489600},
    {"2026-03-14 12:00", "2026-03-14T12:00:00.000000Z", 1773489600},
    {"2026-03-14", "2026-03-14T00:00:00.000000Z", 1773446400},
    {"2026-03-14 12:00:00+00", "2026-03-14T12:00:00.000000Z", 1773489600},
    {"2026-03-14T17:45:00+05:45", "2026-03-14T12:00:00.000000Z", 1773489600},
    {"2026-03-14T17:45:00+0545", "2026-03-14T12:00:00.000000Z", 1773489600},
    {"2026-03-14T04:00:00-08:00", "2026-03-14T12:00:00.000000Z", 1773489600},
    {"2024-02-29T23:59:60Z", "2024-03-01T00:00:00.000000Z", 1709251200},
    {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z", -1},
    {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z", -62135596800},
    {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z", 253402300799},
    {"1773489600", "2026-03-14T12:00:00.000000Z", 1773489600},
    {"1773489600.25", "2026-03-14T12:00:00.250000Z", 1773489600},
    {"0", "1970-01-01T00:00:00.000000Z", 0},
    {"-1", "1969-12-31T23:59:59.000000Z", -1},
    {"-0.25", "1969-12-31T23:59:59.750000Z", -1},
};

static const char *const no_times[] = {
    "",
    " ",
    "now",
    "infinity",
    "2026-03",
    "2026-3-14",
    "2026-13-14",
    "2026-03-32",
    "26-03-14",
    "12026-03-14T00:00:00Z",
    "2026-03-14T",
    "2026-03-14T12",
    "2026-03-14T12:",
    "2026-03-14T12:60Z",
    "2026-03-14T25:00Z",
    "2026-03-14T12:00:61Z",
    "2026-03-14T12:00:00.Z",
    "2026-03-14T12:00:00,5Z",
    "2026-03-14T12:00:00ZZ",
    "2026-03-14T12:00:00 Z",
    "2026-03-14T12:00:00+",
    "2026-03-14T12:00:00+5",
    "2026-03-14T12:00:00+05:",
    "2026-03-14T12:00:00+05:60",
    "2026-03-14T12:00:00+05:45x",
    " 2026-03-14",
    "2026-03-14 ",
    "0044-03-15 12:00:00+00 BC",
    "1e9",
    "0x10",
    "--1",
    "-",
    ".",
    "1.",
    "999999999999",
    "9999999999999",
    "99999999999999999999999999",
};

static int read_time(up_type type, const char *text, const char **value)
{
    const up_field field = {.type = type};

    return up_sqlite_value(pool, &field, text, value);
}

static void test_times(void)
{
    const char *value;
    apr_int64_t seconds;
    size_t i;

    for (i = 0; i < sizeof(known_times) / sizeof(known_times[0]); i++) {
        const struct known_time *known = &known_times[i];

        ok(read_time(UP_TIMESTAMP, known->text, &value) == 0, "'%s' is a time", known->text);
        is(value, known->value, known->text);
        ok(up_sqlite_seconds(known->text, &seconds) == 0 && seconds == known->seconds,
           "'%s' in seconds", known->text);
    }
    for (i = 0; i < sizeof(no_times) / sizeof(no_times[0]); i++)
        ok(read_time(UP_TIMESTAMP, no_times[i], &value) != 0, "'%s' is none", no_times[i]);
    ok(read_time(UP_TIMESTAMP, NULL, &value) == 0 && !value, "NULL stays NULL");
}

static void test_milliseconds(void)
{
    const char *value;

    ok(read_time(UP_EPOCH_MS, "1773489600123", &value) == 0, "milliseconds");
    is(value, "2026-03-14T12:00:00.123000Z", "milliseconds since 1970");
    ok(read_time(UP_EPOCH_MS, "-1", &value) == 0, "one before 1970");
    is(value, "1969-12-31T23:59:59.999000Z", "one millisecond before 1970");
    ok(read_time(UP_EPOCH_MS, "2026-03-14", &value) != 0, "a date is none");
    ok(read_time(UP_EPOCH_MS, "99999999999999999", &value) != 0, "nor is what is after 9999");
}

/* --- booleans, and the rest --- */

static void test_booleans(void)
{
    static const char *const yes[] = {"1", "2", "-1",  "0.5", "true", "TRUE",
                                      "t", "T", "yes", "y",   "on",   "On"};
    static const char *const no[] = {"0", "0.0", "", "false", "f", "no", "off", "x", "truely"};
    const up_field field = {.type = UP_BOOLEAN};
    const char *value;
    size_t i;

    for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        ok(up_sqlite_is_true(yes[i]), "'%s' is true", yes[i]);
    for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        ok(!up_sqlite_is_true(no[i]), "'%s' is not", no[i]);
    ok(!up_sqlite_is_true(NULL), "NULL is not");
    ok(up_sqlite_value(pool, &field, "1", &value) == 0, "a boolean");
    is(value, "true", "1 is true");
    ok(up_sqlite_value(pool, &field, "0", &value) == 0, "another");
    is(value, "false", "0 is false");
    ok(up_sqlite_value(pool, &field, NULL, &value) == 0 && !value, "NULL stays NULL");
}

static void test_others(void)
{
    const up_field field = {.type = UP_STRING};
    const char *value;

    ok(up_sqlite_value(pool, &field, "2026-03-14", &value) == 0, "text");
    is(value, "2026-03-14", "text stays as it is");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_times();
    test_milliseconds();
    test_booleans();
    test_others();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
