/* SPDX-License-Identifier: Apache-2.0 */

/** Signing for userprofile-token, by libjwt as it verifies for the module. */
#ifndef UP_TOKEN_SIGN_H
#define UP_TOKEN_SIGN_H

#include "tools/token_key.h"
#include "tools/token_options.h"

/**
 * Signs a token for the subject that the options name.
 * @param token where NULL is returned: one that up_token_verify() accepts with this key
 *        at this time, freed with the pool.
 * @param key   as up_token_read_signing_key() reads it.
 * @param now   seconds since 1970, not negative.
 * @return NULL, or a sentence: why the module would refuse the token, or what failed.
 */
const char *up_token_sign(const char **token, const up_token_options *options,
                          const up_signing_key *key, apr_int64_t now, apr_pool_t *p);

#endif
