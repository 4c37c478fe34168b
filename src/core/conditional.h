/* SPDX-License-Identifier: Apache-2.0 */

/** Conditional requests (RFC 9110 section 13): lists of entity tags. */
#ifndef UP_CONDITIONAL_H
#define UP_CONDITIONAL_H

#include <apr_pools.h>
#include <apr_tables.h>

/** The value of If-Match or If-None-Match. */
typedef struct up_tags {
    int any;                  /* "*" */
    apr_array_header_t *list; /* of up_tag */
} up_tags;

typedef struct up_tag {
    const char *value; /* without quotes and without the suffix that a filter of
                          httpd adds for a content coding (-gzip, -br) */
    int weak;          /* W/"…" */
} up_tag;

/**
 * Parses a list of entity tags. What is malformed ends the list: what cannot
 * be read can match nothing.
 * @param header the field's value, NULL for none.
 * @return in p, or NULL where header is NULL: there is no condition.
 */
up_tags *up_tags_parse(apr_pool_t *p, const char *header);

/** Does the list hold this tag, compared strongly (weak ones never match), as
 *  for If-Match? NULL tags: no condition, so yes. */
int up_tags_match_strong(const up_tags *tags, const char *etag);

/** Does the list hold this tag, compared weakly, as for If-None-Match? NULL
 *  tags: no condition, so no. */
int up_tags_match_weak(const up_tags *tags, const char *etag);

#endif
