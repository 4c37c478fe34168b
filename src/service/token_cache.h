/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The tokens that this process has verified, so that the next request of the same caller need
 * not verify its token again: parsing it and its signature is what takes the time, and does not
 * change. What does is asked each time: exp and nbf here, whether it is revoked by the caller.
 *
 * A token is known by the SHA-256 of its whole text, and by the rules that it was verified by; it
 * is not kept itself. A refused one is not remembered.
 *
 * Memory: UP_TOKEN_CACHE_ENTRIES of UP_TOKEN_CACHE_TEXT bytes and some 100 each, about 1.4 MB a
 * process, which the system gives as it is filled. Where it is full, the one that was not asked for
 * longest makes room (of the four that a digest can be among).
 */
#ifndef UP_TOKEN_CACHE_H
#define UP_TOKEN_CACHE_H

#include "core/token.h"

#define UP_TOKEN_CACHE_ENTRIES 4096

/** Bytes for sub and jti with a NUL each; a token with longer ones is verified each time. */
#define UP_TOKEN_CACHE_TEXT 256

typedef struct up_token_cache up_token_cache;

/** One for all contracts of a process; lives in p. @return NULL without memory or locks. */
up_token_cache *up_token_cache_create(apr_pool_t *p);

/**
 * As up_token_verify(), with the same answers. Safe among threads.
 * @param rules  do not change, nor are they freed before the cache: it knows them by their place.
 */
up_problem *up_token_cache_verify(up_token_cache *cache, up_claims **claims,
                                  const up_token_rules *rules, const char *token, apr_int64_t now,
                                  apr_pool_t *p);

#endif
