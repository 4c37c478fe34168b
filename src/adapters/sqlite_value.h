/* SPDX-License-Identifier: Apache-2.0 */

/**
 * What SQLite's columns hold, as the profile has it. SQLite has neither a type for times nor
 * one for booleans, so that what is found is read generously:
 *
 *   times      RFC 3339, or ISO 8601 with a blank in the place of the T; without a zone
 *              it is UTC; a date alone is its midnight; a number is seconds since 1970
 *   booleans   a number that is not 0; or, in any case, true, t, yes, y, on
 */
#ifndef UP_SQLITE_VALUE_H
#define UP_SQLITE_VALUE_H

#include "core/model.h"

/** Is it true? NULL is not. */
int up_sqlite_is_true(const char *text);

/** Whole seconds since 1970 of a time, rounded down.
 *  @return 0, or -1 where it is none. */
int up_sqlite_seconds(const char *text, apr_int64_t *seconds);

/** A field's value as up_row has it, in p, from a column's text.
 *  @return 0, or -1 where the field's type has no such value. */
int up_sqlite_value(apr_pool_t *p, const up_field *field, const char *text, const char **value);

#endif
