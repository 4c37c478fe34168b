/* SPDX-License-Identifier: Apache-2.0 */
#include "core/token.h"

#include "core/base64url.h"
#include "core/json.h"

#include <apr_strings.h>
#include <jwt.h>
#include <openssl/err.h>
#include <string.h>
#include <strings.h>

/* A token, taken apart. Nothing in it is to be believed before its signature holds. */
typedef struct jws {
    const char *text;
    json_t *header;
    json_t *payload;
    apr_size_t signature_len; /* bytes */
    up_alg alg;
    const char *kid; /* NULL: none */
} jws;

/* What libjwt calls an algorithm, and how long its signatures are in bytes; 0: as
 * long as the modulus, which OpenSSL checks. */
static const struct {
    jwt_alg_t jwt;
    apr_size_t signature_len;
} signatures[UP_ALGS] = {
    [UP_HS256] = {JWT_ALG_HS256, 32},  [UP_HS384] = {JWT_ALG_HS384, 48},
    [UP_HS512] = {JWT_ALG_HS512, 64},  [UP_RS256] = {JWT_ALG_RS256, 0},
    [UP_RS384] = {JWT_ALG_RS384, 0},   [UP_RS512] = {JWT_ALG_RS512, 0},
    [UP_ES256] = {JWT_ALG_ES256, 64},  [UP_ES384] = {JWT_ALG_ES384, 96},
    [UP_ES512] = {JWT_ALG_ES512, 132},
};

/* --- The form: every function returns NULL, or why the token is refused. --- */

static const char *read_object(json_t **object, const char *name, const char *part, apr_size_t len,
                               apr_pool_t *p)
{
    apr_size_t size = UP_BASE64URL_SIZE(len);
    unsigned char *bytes = apr_palloc(p, size);
    const char *wrong;

    if (up_base64url_decode(bytes, part, len))
        return apr_psprintf(p, "The %s is not canonical base64url.", name);
    wrong = up_json_object(object, (const char *)bytes, size, 0, p);
    return wrong ? apr_psprintf(p, "The %s is refused: %s", name, wrong) : NULL;
}

static const char *read_signature(apr_size_t *size, const char *part, apr_size_t len)
{
    unsigned char bytes[UP_BASE64URL_SIZE(UP_TOKEN_MAX)];

    *size = UP_BASE64URL_SIZE(len);
    return up_base64url_decode(bytes, part, len) ? "The signature is not canonical base64url."
                                                 : NULL;
}

/* The header without the members that choose the key: what would change how the
 * token is to be read is refused, for it would not be read so. */
static const char *check_header(const json_t *header)
{
    const json_t *typ = json_object_get(header, "typ");

    if (json_object_get(header, "crit"))
        return "The header has a crit; no extension is supported.";
    if (json_object_get(header, "b64"))
        return "The header has a b64; unencoded payloads are not supported.";
    if (typ && (!json_is_string(typ) || strcasecmp(json_string_value(typ), "JWT") != 0))
        return "The header's typ is not JWT.";
    return NULL;
}

static const char *read_key_choice(jws *token)
{
    const json_t *alg = json_object_get(token->header, "alg");
    const json_t *kid = json_object_get(token->header, "kid");

    if (!json_is_string(alg))
        return "The header has no alg that is a string.";
    if (up_alg_find(json_string_value(alg), &token->alg))
        return "The header's alg is none of those that can be configured.";
    if (kid && !json_is_string(kid))
        return "The header's kid is not a string.";
    token->kid = kid ? json_string_value(kid) : NULL;
    return NULL;
}

/* Where the parts begin, each but the last with a dot behind it. */
typedef struct parts {
    const char *header, *payload, *signature;
} parts;

static const char *find_parts(parts *found, const char *text)
{
    const char *first, *second;

    if (strnlen(text, UP_TOKEN_MAX + 1) > UP_TOKEN_MAX)
        return "The token is longer than 4096 bytes.";
    first = strchr(text, '.');
    second = first ? strchr(first + 1, '.') : NULL;
    if (!second || strchr(second + 1, '.'))
        return "The token has not three parts.";
    if (first == text || second == first + 1 || !second[1])
        return "A part of the token is empty.";
    *found = (parts){text, first + 1, second + 1};
    return NULL;
}

static const char *read_header(json_t **header, const parts *at, apr_pool_t *p)
{
    return read_object(header, "header", at->header, (apr_size_t)(at->payload - 1 - at->header), p);
}

static const char *read_payload(json_t **payload, const parts *at, apr_pool_t *p)
{
    return read_object(payload, "payload", at->payload,
                       (apr_size_t)(at->signature - 1 - at->payload), p);
}

static const char *read_token(jws *token, const char *text, apr_pool_t *p)
{
    parts at;
    const char *wrong = find_parts(&at, text);

    token->text = text;
    if (!wrong)
        wrong = read_header(&token->header, &at, p);
    if (!wrong)
        wrong = check_header(token->header);
    if (!wrong)
        wrong = read_key_choice(token);
    if (!wrong)
        wrong = read_payload(&token->payload, &at, p);
    if (!wrong)
        wrong = read_signature(&token->signature_len, at.signature, strlen(at.signature));
    return wrong;
}

const char *up_token_show(json_t **header, json_t **payload, const char *token, apr_pool_t *p)
{
    parts at;
    const char *wrong = find_parts(&at, token), *also_wrong;

    *header = NULL;
    *payload = NULL;
    if (wrong)
        return wrong;
    wrong = read_header(header, &at, p);
    also_wrong = read_payload(payload, &at, p);
    return wrong ? wrong : also_wrong;
}

/* --- The signature --- */

static int is_some_key_named(const apr_array_header_t *keys)
{
    int i;

    for (i = 0; i < keys->nelts; i++) {
        if (APR_ARRAY_IDX(keys, i, up_key).kid)
            return 1;
    }
    return 0;
}

static int is_candidate(const up_key *key, const jws *token, int named)
{
    if (key->alg != token->alg)
        return 0;
    return !named || !token->kid || (key->kid && strcmp(key->kid, token->kid) == 0);
}

/* With an empty key libjwt accepts everything; without memory for its copy of the
 * key it reports success and the algorithm "none": so both are looked at. */
static int is_signed_by(const up_key *key, const jws *token)
{
    apr_size_t len = signatures[key->alg].signature_len;
    jwt_t *jwt = NULL;
    int good;

    if (!key->data || key->len < 1 || (len && token->signature_len != len))
        return 0;
    good = jwt_decode(&jwt, token->text, key->data, key->len) == 0 && jwt &&
           jwt_get_alg(jwt) == signatures[key->alg].jwt;
    jwt_free(jwt);
    return good;
}

static const char *check_signature(const jws *token, const apr_array_header_t *keys)
{
    int named = is_some_key_named(keys), tried = 0, good = 0, i;

    /* A failure leaves errors in the thread's queue, which mod_ssl or libpq would
     * take for their own. */
    ERR_set_mark();
    for (i = 0; i < keys->nelts && !good; i++) {
        const up_key *key = &APR_ARRAY_IDX(keys, i, up_key);

        if (is_candidate(key, token, named)) {
            tried = 1;
            good = is_signed_by(key, token);
        }
    }
    ERR_pop_to_mark();
    if (!tried)
        return "No key is configured for the header's alg and kid.";
    return good ? NULL : "The signature is wrong.";
}

/* --- The claims --- */

/* Category Cc: U+0000 to U+001F, U+007F to U+009F. The text is UTF-8. */
static int has_control(const char *text, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x20 || c == 0x7f)
            return 1;
        if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0)
            return 1;
    }
    return 0;
}

/* *text stays as it is where the claim is missing. */
static const char *read_text(const char **text, const json_t *payload, const char *name,
                             apr_size_t max, apr_pool_t *p)
{
    const json_t *claim = json_object_get(payload, name);
    apr_size_t len = json_string_length(claim);

    if (!claim)
        return NULL;
    if (!json_is_string(claim) || len == 0)
        return apr_psprintf(p, "The %s is not a string, or empty.", name);
    if (len > max)
        return apr_psprintf(p, "The %s is longer than %" APR_SIZE_T_FMT " bytes.", name, max);
    if (has_control(json_string_value(claim), len))
        return apr_psprintf(p, "The %s has control characters.", name);
    *text = apr_pstrmemdup(p, json_string_value(claim), len);
    return NULL;
}

/* *number stays as it is where the claim is missing. A real is no whole number,
 * 1e10 and 1.0 neither. */
static const char *read_number(apr_int64_t *number, const json_t *payload, const char *name,
                               apr_int64_t min, apr_pool_t *p)
{
    const json_t *claim = json_object_get(payload, name);

    if (!claim)
        return NULL;
    if (!json_is_integer(claim))
        return apr_psprintf(p, "The %s is not a whole number.", name);
    if (json_integer_value(claim) < min)
        return apr_psprintf(p, "The %s is negative.", name);
    *number = json_integer_value(claim);
    return NULL;
}

static const char *read_times(up_claims *claims, const json_t *payload, apr_pool_t *p)
{
    const char *wrong;

    claims->exp = -1;
    claims->nbf = APR_INT64_MIN;
    claims->iat = -1;
    wrong = read_number(&claims->exp, payload, "exp", 0, p);
    if (!wrong)
        wrong = read_number(&claims->nbf, payload, "nbf", APR_INT64_MIN, p);
    if (!wrong)
        wrong = read_number(&claims->iat, payload, "iat", 0, p);
    return wrong;
}

static const char *check_times(const up_claims *claims, int leeway, apr_int64_t now)
{
    /* The leeway is put where it cannot overflow: now is not negative, and nbf is
     * greater than now where it is taken from it. */
    if (claims->exp < 0)
        return "The token has no exp.";
    if (claims->exp <= now - leeway)
        return "The token has expired (exp).";
    if (claims->nbf > now && claims->nbf - leeway > now)
        return "The token is not valid yet (nbf).";
    return NULL;
}

static const char *check_names(up_claims *claims, const json_t *payload, apr_pool_t *p)
{
    const char *wrong = read_text(&claims->subject, payload, "sub", UP_SUBJECT_MAX, p);

    if (wrong)
        return wrong;
    if (!claims->subject)
        return "The token has no sub.";
    return read_text(&claims->jti, payload, "jti", UP_JTI_MAX, p);
}

static int is_among(const json_t *string, const apr_array_header_t *values)
{
    int i;

    for (i = 0; i < values->nelts; i++) {
        if (strcmp(json_string_value(string), APR_ARRAY_IDX(values, i, const char *)) == 0)
            return 1;
    }
    return 0;
}

/* An array that is not all of strings has no match. */
static int has_match(const json_t *array, const apr_array_header_t *values)
{
    int match = 0;
    size_t i;

    for (i = 0; i < json_array_size(array); i++) {
        const json_t *element = json_array_get(array, i);

        if (!json_is_string(element))
            return 0;
        match |= is_among(element, values);
    }
    return match;
}

static int is_satisfied(const up_claim_rule *rule, const json_t *claim)
{
    if (!rule->values)
        return json_string_length(claim) > 0;
    if (json_is_string(claim))
        return is_among(claim, rule->values);
    return has_match(claim, rule->values);
}

static const char *check_rules(const json_t *payload, const apr_array_header_t *rules,
                               apr_pool_t *p)
{
    int i;

    for (i = 0; i < rules->nelts; i++) {
        const up_claim_rule *rule = &APR_ARRAY_IDX(rules, i, up_claim_rule);

        if (!is_satisfied(rule, json_object_get(payload, rule->name)))
            return apr_psprintf(p, "The claim %s is missing or has no value that is configured.",
                                rule->name);
    }
    return NULL;
}

static up_problem *refused(apr_pool_t *p, const char *why)
{
    return up_problem_logged(p, UP_INVALID_CREDENTIALS, "Token refused. %s", why);
}

up_problem *up_token_verify(up_claims **claims, const up_token_rules *rules, const char *token,
                            apr_int64_t now, apr_pool_t *p)
{
    up_claims *result = apr_pcalloc(p, sizeof(*result));
    jws parsed = {0};
    const char *wrong = read_token(&parsed, token, p);

    if (!wrong)
        wrong = check_signature(&parsed, rules->keys);
    if (!wrong)
        wrong = read_times(result, parsed.payload, p);
    if (!wrong)
        wrong = check_times(result, rules->leeway, now);
    if (!wrong)
        wrong = check_names(result, parsed.payload, p);
    if (!wrong)
        wrong = check_rules(parsed.payload, rules->claims, p);
    if (wrong)
        return refused(p, wrong);
    result->pool = p;
    result->token = token;
    result->payload = parsed.payload;
    *claims = result;
    return NULL;
}

up_problem *up_claims_check_times(const up_claims *claims, int leeway, apr_int64_t now,
                                  apr_pool_t *p)
{
    const char *wrong = check_times(claims, leeway, now);

    return wrong ? refused(p, wrong) : NULL;
}

const json_t *up_claims_payload(up_claims *claims)
{
    const char *payload = strchr(claims->token, '.') + 1;

    if (!claims->payload)
        (void)read_object(&claims->payload, "payload", payload, strcspn(payload, "."),
                          claims->pool);
    return claims->payload;
}
