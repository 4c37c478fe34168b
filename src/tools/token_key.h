/* SPDX-License-Identifier: Apache-2.0 */

/** A key of userprofile-token's: from the argument of UserProfileTokenKey to the bytes. */
#ifndef UP_TOKEN_KEY_H
#define UP_TOKEN_KEY_H

#include "core/token.h"

/** What a token is signed with. */
typedef struct up_signing_key {
    up_key key;                /* as the module would have it: of a pair the public key */
    const unsigned char *data; /* HS*: the secret; else the private key as PEM */
    int len;                   /* bytes of data */
} up_signing_key;

/**
 * Reads a key that tokens are verified with, as the directive does.
 * @param key      filled; its bytes are overwritten as the pool ends.
 * @param argument "ALGORITHM FILE [kid=ID]", words as in a shell; FILE is a path, or -
 *        for standard input. At most 64 KiB; a newline at the end is no part of it.
 * @return NULL, or a sentence that says what is wrong, without any part of the key.
 */
const char *up_token_read_key(up_key *key, const char *argument, apr_pool_t *p);

/**
 * Likewise one to sign with: for HS* the same secret, else the private key as a PEM
 * file that is not encrypted. Its public key has to be one that the module takes.
 */
const char *up_token_read_signing_key(up_signing_key *key, const char *argument, apr_pool_t *p);

/** Does this argument, of whatever form, take standard input? */
int up_token_key_is_stdin(const char *argument, apr_pool_t *p);

#endif
