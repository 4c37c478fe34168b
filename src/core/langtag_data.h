/* SPDX-License-Identifier: Apache-2.0 */

/**
 * IANA's language subtag registry as tables: internal to langtag.c, written by
 * langtag_gen.js. Ranges of the registry (qaa..qtz) are expanded.
 */
#ifndef UP_LANGTAG_DATA_H
#define UP_LANGTAG_DATA_H

#include <apr.h>

/* Bytes of a record, its NUL included. */
#define UP_LANGTAG_REGIONS3_SIZE 4
#define UP_LANGTAG_SCRIPTS_SIZE 5
#define UP_LANGTAG_VARIANTS_SIZE 9
#define UP_LANGTAG_GRANDFATHERED_SIZE 12

typedef struct up_langtag_extlang {
    char subtag[4];
    char prefix[4]; /* the one language that it is used with */
} up_langtag_extlang;

/** The registry's File-Date, e.g. "2025-08-25": validity is as of this day. */
extern const char up_langtag_date[];

/* Sets of letters: bit 0 is "a". The index is what stands before the last
 * letter: "b" of "by" is 1, "by" of "bya" is 1 * 26 + 24. */
extern const apr_uint32_t up_langtag_languages2[26];
extern const apr_uint32_t up_langtag_languages3[26 * 26];
extern const apr_uint32_t up_langtag_regions2[26];

/* Lists in lower case, sorted by strcmp(). */
extern const char up_langtag_regions3[][UP_LANGTAG_REGIONS3_SIZE];
extern const apr_size_t up_langtag_regions3_count;
extern const up_langtag_extlang up_langtag_extlangs[];
extern const apr_size_t up_langtag_extlangs_count;
extern const char up_langtag_scripts[][UP_LANGTAG_SCRIPTS_SIZE];
extern const apr_size_t up_langtag_scripts_count;
extern const char up_langtag_variants[][UP_LANGTAG_VARIANTS_SIZE];
extern const apr_size_t up_langtag_variants_count;

/* Whole tags in the registry's own case, sorted without regard to case. */
extern const char up_langtag_grandfathered[][UP_LANGTAG_GRANDFATHERED_SIZE];
extern const apr_size_t up_langtag_grandfathered_count;

#endif
