/* SPDX-License-Identifier: Apache-2.0 */

/**
 * What a client asks to change: for each field, whether it is given and its
 * new value as text. Only writable fields can be given; unknown and read-only
 * ones are ignored, or refused where the contract says so.
 */
#ifndef UP_PATCH_H
#define UP_PATCH_H

#include "core/model.h"
#include "core/problem.h"

/** The largest JSON body, and the most text of a multipart body, in bytes. */
#define UP_BODY_MAX 65536

typedef struct up_patch {
    const up_model *model;
    int count;           /* how many fields are given */
    char *given;         /* by index of field: 1 where it is given */
    char *seen;          /* likewise: 1 where a part named it, valid or not */
    const char **values; /* likewise: its value; NULL is SQL NULL */
    up_problem *problem; /* the invalid fields so far; NULL while all are valid */
    apr_pool_t *pool;
} up_patch;

/** A patch that changes nothing, in p. */
up_patch *up_patch_create(apr_pool_t *p, const up_model *model);

/**
 * Reads a JSON body: a partial object, or a merge patch of RFC 7396, which for
 * a flat profile is the same. Strict: one object, no member twice, UTF-8, no
 * BOM, at most UP_JSON_DEPTH deep.
 * @param body len bytes, at most UP_BODY_MAX.
 * @return MALFORMED_JSON, or NULL. Invalid values are kept in patch->problem,
 *         all of them, so that they can be reported at once.
 */
up_problem *up_patch_json(up_patch *patch, const char *body, apr_size_t len);

/**
 * Takes the text of one multipart part.
 * @param name the part's name. One that is no writable field is ignored.
 * @return MALFORMED_MULTIPART where the field was given before, or NULL; an
 *         invalid value is kept in patch->problem.
 */
up_problem *up_patch_text(up_patch *patch, const char *name, const char *value, apr_size_t len);

#endif
