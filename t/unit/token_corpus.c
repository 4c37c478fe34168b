/* SPDX-License-Identifier: Apache-2.0 */

/* up_token_verify() on other people's tokens: Wycheproof's JWS vectors and keys, and the
 * examples of RFC 7515 and 7519, read from $UP_CORPORA or ../shared/corpora.
 *
 * Wycheproof's payloads are no JSON objects, so all are refused, and most for that.
 * To learn something about signatures, those of RSA and ECDSA are moved to a payload
 * that is one: what was done to the PKCS #1 padding is done again, with the vector's
 * own private key, around the hash of the new text. */
#include "tap.h"
#include "token_maker.h"

#include "core/base64url.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>

#define NOW 1700000000
#define PAYLOAD "{\"sub\":\"ann@example.org\",\"exp\":1700000060}"
#define NUMBER_ROOM 512

static apr_pool_t *top, *pool; /* pool: for a vector */

/* --- The corpora --- */

static json_t *load(const char *name)
{
    const char *folder = getenv("UP_CORPORA");

    return json_load_file(apr_pstrcat(top, folder ? folder : "../shared/corpora", "/", name, NULL),
                          0, NULL);
}

/* The bytes of a JWK's member, or NULL. */
static unsigned char *bytes_of(const json_t *jwk, const char *name, size_t *len)
{
    const json_t *member = json_object_get(jwk, name);
    unsigned char *bytes;

    if (!json_is_string(member))
        return NULL;
    *len = UP_BASE64URL_SIZE(json_string_length(member));
    bytes = apr_palloc(pool, *len + 1);
    return up_base64url_decode(bytes, json_string_value(member), json_string_length(member))
               ? NULL
               : bytes;
}

static BIGNUM *number_of(const json_t *jwk, const char *name)
{
    size_t len = 0;
    unsigned char *bytes = bytes_of(jwk, name, &len);

    return bytes ? BN_bin2bn(bytes, (int)len, NULL) : NULL;
}

static EVP_PKEY *pkey_of(const char *type, OSSL_PARAM_BLD *builder)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    EVP_PKEY_fromdata_init(context);
    EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    return pkey;
}

static EVP_PKEY *rsa_of(const json_t *jwk)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *n = number_of(jwk, "n"), *e = number_of(jwk, "e");
    EVP_PKEY *pkey;

    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e);
    pkey = pkey_of("RSA", builder);
    BN_free(n);
    BN_free(e);
    return pkey;
}

static EVP_PKEY *ec_of(const json_t *jwk)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    size_t x_len = 0, y_len = 0;
    unsigned char *x = bytes_of(jwk, "x", &x_len), *y = bytes_of(jwk, "y", &y_len);
    unsigned char point[NUMBER_ROOM] = {POINT_CONVERSION_UNCOMPRESSED};

    memcpy(point + 1, x, x_len);
    memcpy(point + 1 + x_len, y, y_len);
    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
                                    json_string_value(json_object_get(jwk, "crv")), 0);
    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x_len + y_len);
    return pkey_of("EC", builder);
}

/* All that the key can be configured for, whatever the JWK says it is for. */
static int keys_of(const json_t *jwk, maker keys[3])
{
    const char *type = json_string_value(json_object_get(jwk, "kty"));
    int i;

    if (strcmp(type, "EC") == 0) {
        const char *curve = json_string_value(json_object_get(jwk, "crv"));

        keys[0] = maker_of_pair(pool,
                                strcmp(curve, "P-256") == 0   ? UP_ES256
                                : strcmp(curve, "P-384") == 0 ? UP_ES384
                                                              : UP_ES512,
                                ec_of(jwk));
        return 1;
    }
    for (i = 0; i < 3; i++) {
        size_t len = 0;

        if (strcmp(type, "RSA") == 0) {
            keys[i] = maker_of_pair(pool, (up_alg)(UP_RS256 + i), rsa_of(jwk));
        } else {
            keys[i].key = (up_key){(up_alg)i, NULL, bytes_of(jwk, "k", &len), 0};
            keys[i].key.len = (int)len;
            keys[i].pkey = NULL;
        }
    }
    return 3;
}

static const json_t *jwk_of(const json_t *group)
{
    const json_t *jwk = json_object_get(group, "public");

    return jwk ? jwk : json_object_get(group, "private");
}

static int is_valid(const json_t *vector)
{
    return strcmp(json_string_value(json_object_get(vector, "result")), "valid") == 0;
}

static const char *refusal(const json_t *jwk, const char *token)
{
    maker keys[3];
    int count = keys_of(jwk, keys);
    up_token_rules rules = maker_rules(pool, keys, count);

    return maker_refusal(pool, &rules, token, NOW);
}

/* --- A vector's signature, moved to another payload --- */

/* "header.payload" with the vector's header and our payload, or NULL. */
static const char *moved_input(const char *token)
{
    const char *dot = strchr(token, '.');

    return dot ? apr_pstrcat(pool, apr_pstrndup(pool, token, (apr_size_t)(dot - token)), ".",
                             maker_base64url(pool, PAYLOAD, strlen(PAYLOAD)), NULL)
               : NULL;
}

/* The signature's bytes, or NULL where it has none in base64url. */
static unsigned char *signature_of(const char *token, size_t *len)
{
    const char *dot = strrchr(token, '.');
    unsigned char *bytes;

    if (!dot || !dot[1])
        return NULL;
    *len = UP_BASE64URL_SIZE(strlen(dot + 1));
    bytes = apr_palloc(pool, *len);
    return up_base64url_decode(bytes, dot + 1, strlen(dot + 1)) ? NULL : bytes;
}

/* Raises a number of as many bytes as the modulus to the exponent of that name. */
static void raise_to(unsigned char *number, size_t len, const json_t *jwk, const char *exponent)
{
    BN_CTX *context = BN_CTX_new();
    BIGNUM *n = number_of(jwk, "n"), *e = number_of(jwk, exponent),
           *x = BN_bin2bn(number, (int)len, NULL);

    BN_mod_exp(x, x, e, n, context);
    BN_bn2binpad(x, number, (int)len);
    BN_free(x);
    BN_free(e);
    BN_free(n);
    BN_CTX_free(context);
}

/* Puts the hash of one text in the place of another's. @return how often it was there. */
static int replace_hash(unsigned char *block, size_t len, const char *from, size_t from_len,
                        const char *to)
{
    unsigned char old[SHA256_DIGEST_LENGTH], new[SHA256_DIGEST_LENGTH];
    size_t i;
    int found = 0;

    SHA256((const unsigned char *)from, from_len, old);
    SHA256((const unsigned char *)to, strlen(to), new);
    for (i = 0; i + sizeof(old) <= len; i++) {
        if (memcmp(block + i, old, sizeof(old)) == 0) {
            memcpy(block + i, new, sizeof(new));
            found++;
        }
    }
    return found;
}

/* The vector with its padding around the hash of our payload, or NULL where its
 * signature is not one block with the hash of its own text in it. */
static const char *moved_rsa(const json_t *private_jwk, const char *token)
{
    const char *input = moved_input(token);
    size_t len = 0, modulus_len = 0;
    unsigned char *block = signature_of(token, &len);

    if (!input || !block || !bytes_of(private_jwk, "n", &modulus_len) || len != modulus_len)
        return NULL;
    raise_to(block, len, private_jwk, "e");
    if (!replace_hash(block, len, token, (size_t)(strrchr(token, '.') - token), input))
        return NULL;
    raise_to(block, len, private_jwk, "d");
    return apr_pstrcat(pool, input, ".", maker_base64url(pool, block, len), NULL);
}

static void test_rsa_paddings(const json_t *group)
{
    const json_t *jwk = json_object_get(group, "private");
    json_t *vector;
    size_t i;
    int moved = 0, accepted = 0, wrong = 0;

    json_array_foreach(json_object_get(group, "tests"), i, vector)
    {
        const char *token, *got;

        apr_pool_create(&pool, top);
        token = moved_rsa(jwk, json_string_value(json_object_get(vector, "jws")));
        if (token) {
            got = refusal(jwk_of(group), token);
            moved++;
            accepted += !got;
            wrong += is_valid(vector) ? got != NULL : !got || !strstr(got, "signature is wrong");
        }
        apr_pool_destroy(pool);
    }
    ok(moved > 100 && !wrong, "%d RSA paddings on a JSON payload: %d wrong", moved, wrong);
    is_int(accepted, 1, "the right padding is the only one that is accepted");
}

/* Numbers r and s that no signature may have are wrong on every payload. */
static void test_ecdsa_numbers(const json_t *group)
{
    json_t *vector;
    size_t i;
    int moved = 0, refused = 0;

    json_array_foreach(json_object_get(group, "tests"), i, vector)
    {
        const char *jws = json_string_value(json_object_get(vector, "jws")), *got;

        apr_pool_create(&pool, top);
        got = refusal(jwk_of(group), apr_pstrcat(pool, moved_input(jws), strrchr(jws, '.'), NULL));
        moved++;
        refused += got && strstr(got, "signature is wrong");
        apr_pool_destroy(pool);
    }
    ok(moved == refused && moved > 20, "%d ECDSA signatures on a JSON payload are refused", moved);
}

/* --- The tests --- */

static void test_wycheproof(const json_t *corpus)
{
    json_t *group, *vector;
    size_t i, j;
    int valid = 0, invalid = 0, accepted = 0, odd = 0;

    json_array_foreach(json_object_get(corpus, "testGroups"), i, group)
    {
        const char *comment = json_string_value(json_object_get(group, "comment"));

        json_array_foreach(json_object_get(group, "tests"), j, vector)
        {
            const json_t *jws = json_object_get(vector, "jws");
            const char *got;

            apr_pool_create(&pool, top);
            got = refusal(jwk_of(group), json_string_value(jws));
            if (!got)
                printf("# accepted: %s\n", json_string_value(json_object_get(vector, "comment")));
            accepted += !got;
            odd += got && strncmp(got, "Token refused. ", 15) != 0;
            valid += is_valid(vector);
            invalid += !is_valid(vector);
            apr_pool_destroy(pool);
        }
        if (strcmp(comment, "rs256") == 0 && json_array_size(json_object_get(group, "tests")) > 100)
            test_rsa_paddings(group);
        if (strcmp(comment, "SpecialCaseEs256") == 0)
            test_ecdsa_numbers(group);
    }
    ok(invalid > 300 && !accepted && !odd,
       "Wycheproof: %d invalid and %d valid vectors (whose payload is no object) are refused",
       invalid, valid);
}

/* Is it no key for the algorithm that it says it is for? Others than ours it can't be
 * configured for. */
static int is_unfit(const json_t *jwk)
{
    const char *name = json_string_value(json_object_get(jwk, "alg"));
    const char *type = json_string_value(json_object_get(jwk, "kty"));
    EVP_PKEY *pkey = NULL;
    up_alg alg;
    maker pair;
    size_t len = 0;

    if (up_alg_find(name, &alg))
        return 1;
    if (alg < UP_RS256) {
        up_key secret = {alg, NULL, bytes_of(jwk, "k", &len), 0};

        secret.len = (int)len;
        return up_key_check(&secret) || up_key_weakness(&secret);
    }
    if (strcmp(type, "EC") == 0)
        pkey = ec_of(jwk);
    else if (json_object_get(jwk, "n"))
        pkey = rsa_of(jwk);
    if (!pkey)
        return 1;
    pair = maker_of_pair(pool, alg, pkey);
    return up_key_check(&pair.key) != NULL;
}

/* Keys that are weak, damaged or for something else, by Wycheproof's own names. That
 * one is Infineon's (ROCA) nobody sees who does not look for it; for what else a key is
 * meant (its use), PEM does not say. */
static void test_wycheproof_keys(const json_t *corpus)
{
    static const char *const fit[] = {"acceptsValid", "long_key", "rejectsKeyWithRocaVulnerability",
                                      NULL};
    json_t *group, *vector;
    size_t i, j;
    int count = 0, accepted = 0;

    json_array_foreach(json_object_get(corpus, "testGroups"), i, group)
    {
        const json_t *set = json_object_get(jwk_of(group), "keys");
        const json_t *jwk = set ? json_array_get(set, 0) : jwk_of(group);

        if (json_array_size(set) > 1)
            continue; /* those are about kid, and the keys fit */
        json_array_foreach(json_object_get(group, "tests"), j, vector)
        {
            const char *name = json_string_value(json_object_get(vector, "comment"));
            const char *of = json_string_value(json_object_get(group, "comment"));
            int k, good = strcmp(of, "invalid_use") == 0;

            for (k = 0; fit[k]; k++)
                good |= strcmp(name, fit[k]) == 0;
            apr_pool_create(&pool, top);
            ok(is_unfit(jwk) == !good, "Wycheproof: the key of %s, %s is %s", of, name,
               good ? "fit" : "refused, or warned of");
            if (!is_unfit(jwk))
                accepted += !refusal(jwk, json_string_value(json_object_get(vector, "jws")));
            apr_pool_destroy(pool);
            count++;
        }
    }
    ok(count > 20 && !accepted, "Wycheproof: %d keys, and no token of theirs is accepted", count);
}

static void test_rfc_examples(const json_t *corpus)
{
    json_t *example;
    size_t i;
    int run = 0;

    json_array_foreach(corpus, i, example)
    {
        const char *source = json_string_value(json_object_get(example, "source"));
        const char *token = json_string_value(json_object_get(example, "jws"));
        const json_t *jwk = json_object_get(example, "jwk");
        maker keys[3];
        int count;
        up_token_rules rules;

        apr_pool_create(&pool, top);
        run++;
        count = jwk ? keys_of(jwk, keys) : (keys[0] = maker_new(pool, UP_HS256), 1);
        rules = maker_rules(pool, keys, count);
        if (json_is_true(json_object_get(example, "signature_valid"))) {
            is(maker_refusal(pool, &rules, token, 1300819379),
               "Token refused. The token has no sub.",
               apr_pstrcat(pool, source, ": the signature holds, it has no sub", NULL));
            is(maker_refusal(pool, &rules, token, 1300819380),
               "Token refused. The token has expired (exp).",
               apr_pstrcat(pool, source, ": expired in 2011", NULL));
        } else {
            ok(maker_refusal(pool, &rules, token, 1300819379) != NULL, "%s: refused", source);
        }
        apr_pool_destroy(pool);
    }
    ok(run > 0, "%d examples of the RFCs", run);
}

int main(void)
{
    json_t *wycheproof, *keys, *examples;

    apr_initialize();
    apr_pool_create(&top, NULL);
    wycheproof = load("jwt-wycheproof/json_web_signature_test.json");
    keys = load("jwt-wycheproof/json_web_key_test.json");
    examples = load("jwt-rfc-examples/examples.json");
    if (wycheproof)
        test_wycheproof(wycheproof);
    else
        printf("# skipped: no corpus jwt-wycheproof in ../shared/corpora or $UP_CORPORA\n");
    if (keys)
        test_wycheproof_keys(keys);
    if (examples)
        test_rfc_examples(examples);
    else
        printf("# skipped: no corpus jwt-rfc-examples in ../shared/corpora or $UP_CORPORA\n");
    json_decref(wycheproof);
    json_decref(keys);
    json_decref(examples);
    apr_pool_destroy(top);
    apr_terminate();
    if (!tap_run) {
        printf("1..0 # SKIP no corpora\n");
        return 0;
    }
    return done_testing();
}
