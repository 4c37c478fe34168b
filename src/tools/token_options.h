/* SPDX-License-Identifier: Apache-2.0 */

/** The command line of userprofile-token, read once and checked as a whole. */
#ifndef UP_TOKEN_OPTIONS_H
#define UP_TOKEN_OPTIONS_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <jansson.h>

typedef enum up_token_mode {
    UP_TOKEN_SIGN,
    UP_TOKEN_DECODE,
    UP_TOKEN_VERIFY,
    UP_TOKEN_HELP,
    UP_TOKEN_VERSION
} up_token_mode;

/** A claim to be written, or to be asked for: texts, or a value as JSON. */
typedef struct up_token_claim {
    const char *name;
    apr_array_header_t *texts; /* of const char *, at least one; NULL: json it is */
    json_t *json;              /* freed with the pool; NULL: texts they are */
    int is_list;               /* a list also where it is one text */
} up_token_claim;

/** Strings are those of the command line, or static; the rest lives in the pool. */
typedef struct up_token_options {
    up_token_mode mode;
    apr_array_header_t *keys;   /* of const char *, as UserProfileTokenKey takes them; not empty,
                                   and a single one for signing */
    apr_array_header_t *claims; /* of up_token_claim, each name once */
    const char *operand;        /* the subject; or the token, NULL: standard input has it */
    int lifetime;               /* seconds, at least 1 */
    int leeway;                 /* seconds, 0 to 300 */
} up_token_options;

/** What --help prints. */
extern const char up_token_usage[];

/**
 * Reads the command line.
 * @param options filled; its mode is right where NULL is returned.
 * @return NULL, or a sentence that says what is wrong and what is right.
 */
const char *up_token_read_options(up_token_options *options, int argc, char *const argv[],
                                  apr_pool_t *p);

#endif
