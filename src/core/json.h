/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Reading JSON (RFC 8259) that was written by somebody else: strictly, and
 * within bounds that hold before the first allocation.
 *
 * jansson makes its hash seed by itself at the first object, safely among
 * threads; whoever wants that out of the way of requests calls
 * json_object_seed(0) once in each child process.
 */
#ifndef UP_JSON_H
#define UP_JSON_H

#include <apr_pools.h>
#include <jansson.h>

/** How deep objects and arrays may nest; the outermost object is the first level. */
#define UP_JSON_DEPTH 32

/**
 * Reads a single object: UTF-8 without BOM, no member twice at any level, no
 * deeper than UP_JSON_DEPTH, integers within 64 bits (signed), nothing but
 * whitespace around it. U+0000 is refused, as a byte and, unless flags has
 * JSON_ALLOW_NUL, as an escape in a string; in a member's name always.
 * @param object where NULL is returned: the object, freed with p.
 * @param data   len bytes, need not be terminated.
 * @param flags  0, or decoding flags of jansson's in addition, e.g. JSON_ALLOW_NUL.
 * @return NULL, or a sentence (static) that says what is wrong.
 */
const char *up_json_object(json_t **object, const char *data, apr_size_t len, apr_size_t flags,
                           apr_pool_t *p);

#endif
