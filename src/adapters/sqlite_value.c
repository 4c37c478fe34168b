/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sqlite_value.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MILLION 1000000

/* A point in time: micros is 0 to 999999, also before 1970. */
typedef struct moment {
    apr_int64_t seconds;
    int micros;
} moment;

int up_sqlite_is_true(const char *text)
{
    static const char *const words[] = {"true", "t", "yes", "y", "on"};
    size_t i;

    if (!text)
        return 0;
    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return 1;
    }
    return strtod(text, NULL) != 0;
}

/* So many digits, as a number up to most. */
static int take_number(const char **s, int digits, int most, int *number)
{
    *number = 0;
    for (; digits > 0; digits--, ++*s) {
        if (!apr_isdigit(**s))
            return 0;
        *number = *number * 10 + (**s - '0');
    }
    return *number <= most;
}

static int take(const char **s, char c)
{
    if (**s != c)
        return 0;
    ++*s;
    return 1;
}

/* What follows a point; beyond the sixth digit it is cut. */
static int take_fraction(const char **s, int *micros)
{
    int unit = MILLION / 10;

    *micros = 0;
    if (!apr_isdigit(**s))
        return 0;
    for (; apr_isdigit(**s); ++*s, unit /= 10)
        *micros += (**s - '0') * unit;
    return 1;
}

/* hh:mm, and perhaps :ss and a fraction. */
static int take_clock(const char **s, struct tm *tm, int *micros)
{
    if (!take_number(s, 2, 24, &tm->tm_hour) || !take(s, ':') ||
        !take_number(s, 2, 59, &tm->tm_min))
        return 0;
    if (!take(s, ':'))
        return 1;
    if (!take_number(s, 2, 60, &tm->tm_sec))
        return 0;
    return !take(s, '.') || take_fraction(s, micros);
}

/* Z, +hh, +hhmm or +hh:mm; nothing is UTC. */
static int take_zone(const char **s, int *offset)
{
    int sign = **s == '-' ? -1 : 1, hours, minutes = 0;

    *offset = 0;
    if (take(s, 'Z') || take(s, 'z') || !**s)
        return 1;
    if (!take(s, '+') && !take(s, '-'))
        return 0;
    if (!take_number(s, 2, 23, &hours))
        return 0;
    if ((take(s, ':') || **s) && !take_number(s, 2, 59, &minutes))
        return 0;
    *offset = sign * (hours * 60 + minutes) * 60;
    return 1;
}

static int read_date(const char *s, moment *at)
{
    struct tm tm = {.tm_sec = 0};
    int offset = 0;

    at->micros = 0;
    if (!take_number(&s, 4, 9999, &tm.tm_year) || !take(&s, '-') ||
        !take_number(&s, 2, 12, &tm.tm_mon) || !take(&s, '-') ||
        !take_number(&s, 2, 31, &tm.tm_mday))
        return 0;
    if (*s) {
        if (!take(&s, 'T') && !take(&s, 't') && !take(&s, ' '))
            return 0;
        if (!take_clock(&s, &tm, &at->micros) || !take_zone(&s, &offset) || *s)
            return 0;
    }
    tm.tm_year -= 1900;
    tm.tm_mon--;
    at->seconds = (apr_int64_t)timegm(&tm) - offset;
    return 1;
}

static void from_micros(apr_int64_t micros, moment *at)
{
    at->seconds = micros / MILLION;
    at->micros = (int)(micros % MILLION);
    if (at->micros < 0) {
        at->micros += MILLION;
        at->seconds--;
    }
}

/* A number of seconds with a fraction, or of milliseconds. */
static int read_number(const char *text, apr_int64_t unit, moment *at)
{
    const int negative = *text == '-';
    const char *s = text + negative;
    apr_int64_t whole = 0;
    int micros = 0, digits = (int)strspn(s, "0123456789");

    if (digits < 1 || digits > 12 + (unit < MILLION ? 3 : 0))
        return 0;
    for (; apr_isdigit(*s); s++)
        whole = whole * 10 + (*s - '0');
    if (take(&s, '.') && !take_fraction(&s, &micros))
        return 0;
    if (*s)
        return 0;
    whole = whole * unit + (unit == MILLION ? micros : 0);
    from_micros(negative ? -whole : whole, at);
    return 1;
}

static int read_moment(const char *text, moment *at)
{
    return read_date(text, at) || read_number(text, MILLION, at);
}

int up_sqlite_seconds(const char *text, apr_int64_t *seconds)
{
    moment at;

    if (!read_moment(text, &at))
        return -1;
    *seconds = at.seconds;
    return 0;
}

static const char *write_moment(apr_pool_t *p, const moment *at)
{
    time_t seconds = (time_t)at->seconds;
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || tm.tm_year + 1900 > 9999 || tm.tm_year + 1900 < 0)
        return NULL;
    return apr_psprintf(p, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, at->micros);
}

int up_sqlite_value(apr_pool_t *p, const up_field *field, const char *text, const char **value)
{
    moment at;

    *value = text;
    if (!text)
        return 0;
    switch (field->type) {
    case UP_BOOLEAN:
        *value = up_sqlite_is_true(text) ? "true" : "false";
        return 0;
    case UP_TIMESTAMP:
        *value = read_moment(text, &at) ? write_moment(p, &at) : NULL;
        return *value ? 0 : -1;
    case UP_EPOCH_MS:
        *value = read_number(text, 1000, &at) ? write_moment(p, &at) : NULL;
        return *value ? 0 : -1;
    default:
        return 0;
    }
}
