/* SPDX-License-Identifier: Apache-2.0 */

/**
 * A user's row as the store read it, and what a client sees of it: one flat
 * JSON object of the configured fields in their order, and its entity tag.
 */
#ifndef UP_PROFILE_H
#define UP_PROFILE_H

#include "core/model.h"

/** A row: by index of field the value as text, NULL for SQL NULL. Times are
 *  "2026-03-14T12:00:00.000000Z", booleans "true" or "false". */
typedef struct up_row {
    const char *const *values;
    const char *version; /* the tag, where a column of the table makes it, or NULL */
} up_row;

/** Characters of an entity tag without its quotes. */
#define UP_ETAG_LENGTH 32

/**
 * The profile as JSON, UTF-8, in p. Times lose the zeros at the end of their
 * fraction; a column of JSON is passed on as it is, without its blanks.
 * @return NULL only where memory is exhausted or a value is not UTF-8, or not JSON.
 */
const char *up_profile_json(apr_pool_t *p, const up_model *model, const up_row *row);

/**
 * The tag that a version column makes, in p: the number, with a digest of the user's key
 * before it, as a cache that holds two users' profiles must not take one for the
 * other. Postgres makes the same in SQL.
 * @return NULL only where memory is exhausted.
 */
const char *up_profile_version(apr_pool_t *p, const char *key, apr_int64_t version);

/**
 * The row's strong entity tag (RFC 9110 8.8.3) without its quotes: its version,
 * or else the first 128 bits of SHA-256 over the columns' texts, each as
 * length ":" text, or "-" for NULL, in hex. The store computes the same in SQL
 * where a write has a precondition.
 */
const char *up_profile_etag(apr_pool_t *p, const up_model *model, const up_row *row);

#endif
