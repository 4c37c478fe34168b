/* SPDX-License-Identifier: Apache-2.0 */

/**
 * From the text of a bearer token to claims that can be believed: JWS compact
 * serialisation (RFC 7515) of a JWT (RFC 7519), read strictly.
 *
 * The signature is libjwt's work; what libjwt 1.10 does not refuse by itself is
 * refused here: the algorithm is the configured key's, never the token's.
 */
#ifndef UP_TOKEN_H
#define UP_TOKEN_H

#include "core/problem.h"

#include <apr_pools.h>
#include <apr_tables.h>
#include <jansson.h>

/** The longest token that is looked at, in bytes. */
#define UP_TOKEN_MAX 4096

/** The longest sub and the longest jti that are accepted, in bytes of UTF-8. */
#define UP_SUBJECT_MAX 1024
#define UP_JTI_MAX 512

typedef enum up_alg {
    UP_HS256,
    UP_HS384,
    UP_HS512,
    UP_RS256,
    UP_RS384,
    UP_RS512,
    UP_ES256,
    UP_ES384,
    UP_ES512,
    UP_ALGS /* how many there are */
} up_alg;

/** Their names, as a sentence has them. */
#define UP_ALG_NAMES "HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 and ES512"

/** A key that tokens are verified with. Lives in the configuration pool. */
typedef struct up_key {
    up_alg alg;
    const char *kid;           /* NULL: the key has no name */
    const unsigned char *data; /* HS*: the secret; else a public key as PEM, NUL-terminated */
    int len;                   /* bytes of data, at least 1 */
} up_key;

/** A claim that a token must have. */
typedef struct up_claim_rule {
    const char *name;
    apr_array_header_t *values; /* of const char *: one of them must be the value, or among
                                   the values where the claim is an array of strings (aud);
                                   NULL: any string that is not empty */
} up_claim_rule;

typedef struct up_token_rules {
    apr_array_header_t *keys;   /* of up_key, at least one */
    apr_array_header_t *claims; /* of up_claim_rule; may be empty */
    int leeway;                 /* seconds of clock skew allowed for exp, nbf; 0 to 300 */
} up_token_rules;

/** What a verified token says. Lives in the pool of up_token_verify(). */
typedef struct up_claims {
    apr_pool_t *pool;    /* where they live, and what is read of them later */
    const char *token;   /* borrowed: as it was given */
    const char *subject; /* sub: not empty, no NUL or other control characters */
    const char *jti;     /* NULL where the token has none */
    apr_int64_t exp;     /* seconds since 1970 */
    apr_int64_t nbf;     /* likewise; APR_INT64_MIN where the token has none */
    apr_int64_t iat;     /* likewise; -1 where the token has none */
    json_t *payload;     /* by up_claims_payload() */
} up_claims;

/** An algorithm's exact name (RFC 7518 3.1), e.g. "HS256". Static. */
const char *up_alg_name(up_alg alg);

/** The algorithm with exactly this name. @return 0, or -1 where there is none. */
int up_alg_find(const char *name, up_alg *alg);

/** Is an algorithm's key a secret (HS*)? Else it is public. */
int up_alg_is_secret(up_alg alg);

/**
 * Is this key material fit for its algorithm? For HS*: not empty, and not a
 * PEM file: a public key is no secret. For RS*: an RSA public key of 2048 bits
 * or more. For ES*: a public key on the algorithm's curve. RS* and ES*: a single
 * PEM block, not encrypted, no private key and no certificate.
 * Every key must have passed before it is given to up_token_verify(), which
 * does not look at a key's curve or size again.
 * @return NULL, or a sentence (static) that says what is wrong and what is right.
 */
const char *up_key_check(const up_key *key);

/**
 * Is a key that up_key_check() accepts weaker than it should be? For HS*: shorter
 * than the hash (RFC 7518, section 3.2). For the log at start, not to refuse it.
 * @return NULL, or a sentence (static) that says what is weak and what is right.
 */
const char *up_key_weakness(const up_key *key);

/**
 * Takes a token apart, to be shown and not to be believed: nothing is verified, nor is
 * there a look at what the header and the payload say. They are read as strictly as
 * by up_token_verify().
 * @param header  and
 * @param payload what the parts say, freed with p; each is NULL where it cannot be read.
 * @param token   NUL-terminated; longer than UP_TOKEN_MAX is refused.
 * @return NULL, or a sentence that says which part cannot be read, and why.
 */
const char *up_token_show(json_t **header, json_t **payload, const char *token, apr_pool_t *p);

/**
 * Verifies a token. Read strictly: three parts in canonical base64url; header and
 * payload are objects as up_json_object() reads them.
 *
 * Of the header, alg must be exactly the name of a configured key's algorithm; a
 * crit or b64 of any kind is refused (RFC 7515 4.1.11, RFC 7797), and so is a typ
 * other than "JWT" (in any case, RFC 7519 5.1; libjwt's rule); jku, jwk, x5u, x5c,
 * zip and all else have no effect.
 *
 * Which key: where some key was configured with a kid, a token's kid chooses those
 * of that name, and a kid that no key has is refused; where none was, the kid is
 * ignored. Of those left, the keys of the token's algorithm are tried in turn, as
 * they are all for a token without kid.
 *
 * Of the payload: exp is required, nbf and iat may be there, all whole numbers of
 * 64 bits; now < exp + leeway; nbf - leeway <= now; neither exp nor iat negative.
 * sub is required and jti may be there: strings, not empty, without control
 * characters (category Cc), of at most UP_SUBJECT_MAX and UP_JTI_MAX bytes.
 *
 * Safe among threads. libjwt has no state of its own, jansson's hash seed is dealt
 * with in core/json.h, and OpenSSL's error queue is left as it was found.
 * @param claims what it says, where NULL is returned.
 * @param token  the text after "Bearer ", NUL-terminated; longer than
 *        UP_TOKEN_MAX is refused.
 * @param now    seconds since 1970, not negative.
 * @return NULL, or INVALID_CREDENTIALS. The problem's log names the reason for
 *         the sysadmin's debug log, without any part of the token.
 */
up_problem *up_token_verify(up_claims **claims, const up_token_rules *rules, const char *token,
                            apr_int64_t now, apr_pool_t *p);

/**
 * Does a verified token still hold? Its exp and nbf are all of it that changes with time.
 * @param leeway, now  as in up_token_verify(), which has asked this already.
 * @return NULL, or INVALID_CREDENTIALS.
 */
up_problem *up_claims_check_times(const up_claims *claims, int leeway, apr_int64_t now,
                                  apr_pool_t *p);

/**
 * All claims of a verified token, read when somebody first asks for them.
 * @return the object, borrowed and freed with the claims; NULL where there is no memory for it.
 */
const json_t *up_claims_payload(up_claims *claims);

#endif
