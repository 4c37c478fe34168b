/* SPDX-License-Identifier: Apache-2.0 */

/** Makes tokens for the tests, good and bad ones, with OpenSSL and nothing of
 *  what is tested: keys are made at run time, parts are taken as they are given. */
#ifndef UP_TOKEN_MAKER_H
#define UP_TOKEN_MAKER_H

#include "core/token.h"

#include <apr_strings.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED __attribute__((unused))

/** A configured key and what signs for it. */
typedef struct maker {
    up_key key;
    EVP_PKEY *pkey; /* NULL: HMAC with the key's data */
} maker;

UNUSED static const char *maker_base64url(apr_pool_t *p, const void *data, size_t len)
{
    char *out = apr_palloc(p, len / 3 * 4 + 5), *c;

    EVP_EncodeBlock((unsigned char *)out, data, (int)len);
    for (c = out; *c && *c != '='; c++)
        if (*c == '+' || *c == '/')
            *c = *c == '+' ? '-' : '_';
    *c = '\0';
    return out;
}

UNUSED static const EVP_MD *maker_digest(up_alg alg)
{
    const char *name = up_alg_name(alg) + 2;

    return strcmp(name, "256") == 0   ? EVP_sha256()
           : strcmp(name, "384") == 0 ? EVP_sha384()
                                      : EVP_sha512();
}

UNUSED static const char *maker_pem(apr_pool_t *p, EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long len;
    const char *pem;

    PEM_write_bio_PUBKEY(bio, pkey);
    len = BIO_get_mem_data(bio, &data);
    pem = apr_pstrmemdup(p, data, (apr_size_t)len);
    BIO_free(bio);
    return pem;
}

UNUSED static apr_status_t maker_free(void *pkey)
{
    EVP_PKEY_free(pkey);
    return APR_SUCCESS;
}

/** A key pair that is freed with the pool. */
UNUSED static maker maker_of_pair(apr_pool_t *p, up_alg alg, EVP_PKEY *pkey)
{
    const char *pem = maker_pem(p, pkey);
    maker m = {{alg, NULL, (const unsigned char *)pem, (int)strlen(pem)}, pkey};

    apr_pool_cleanup_register(p, pkey, maker_free, apr_pool_cleanup_null);
    return m;
}

UNUSED static maker maker_of_secret(up_alg alg, const char *secret)
{
    maker m = {{alg, NULL, (const unsigned char *)secret, (int)strlen(secret)}, NULL};

    return m;
}

/** A fresh key for an algorithm; secrets are as long as the hash. */
UNUSED static maker maker_new(apr_pool_t *p, up_alg alg)
{
    static const char *curves[] = {"P-256", "P-384", "P-521"};
    maker m = {{alg, NULL, NULL, 0}, NULL};
    int i;

    if (alg >= UP_ES256)
        return maker_of_pair(p, alg, EVP_EC_gen(curves[alg - UP_ES256]));
    if (alg >= UP_RS256)
        return maker_of_pair(p, alg, EVP_RSA_gen(2048));
    m.key.len = EVP_MD_get_size(maker_digest(alg));
    m.key.data = apr_palloc(p, (apr_size_t)m.key.len);
    for (i = 0; i < m.key.len; i++)
        ((unsigned char *)m.key.data)[i] = (unsigned char)(rand() >> 4); /* NULs too */
    return m;
}

/* DER to r and s, each as long as the curve's field (RFC 7518 3.4). */
static size_t raw_of_der(unsigned char *out, const unsigned char *der, size_t len, EVP_PKEY *pkey)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    int half = (EVP_PKEY_get_bits(pkey) + 7) / 8;

    BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, half);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + half, half);
    ECDSA_SIG_free(sig);
    return (size_t)half * 2;
}

/** The signature's bytes. @param der for ES*: as OpenSSL writes it, not as JWS. */
UNUSED static size_t maker_signature(const maker *m, up_alg alg, const char *input, int der,
                                     unsigned char *out, size_t room)
{
    EVP_MD_CTX *context;
    unsigned char buf[1024];
    unsigned int hmac_len = 0;
    size_t len = sizeof(buf);

    if (!m->pkey) {
        HMAC(maker_digest(alg), m->key.data, m->key.len, (const unsigned char *)input,
             strlen(input), out, &hmac_len);
        return hmac_len;
    }
    context = EVP_MD_CTX_new();
    if (EVP_DigestSignInit(context, NULL, maker_digest(alg), NULL, m->pkey) != 1 ||
        EVP_DigestSign(context, buf, &len, (const unsigned char *)input, strlen(input)) != 1 ||
        len > room)
        abort();
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_get_id(m->pkey) == EVP_PKEY_EC && !der)
        return raw_of_der(out, buf, len, m->pkey);
    memcpy(out, buf, len);
    return len;
}

/** "header.payload." signed. @param alg what hash to sign with, whatever the header says. */
UNUSED static const char *maker_sign_input(apr_pool_t *p, const maker *m, up_alg alg,
                                           const char *input)
{
    unsigned char signature[1024];
    size_t len = maker_signature(m, alg, input, 0, signature, sizeof(signature));

    return apr_pstrcat(p, input, ".", maker_base64url(p, signature, len), NULL);
}

UNUSED static const char *maker_input(apr_pool_t *p, const char *header, const char *payload)
{
    return apr_pstrcat(p, maker_base64url(p, header, strlen(header)), ".",
                       maker_base64url(p, payload, strlen(payload)), NULL);
}

/** A token with this header and payload, signed as alg says. */
UNUSED static const char *maker_token_as(apr_pool_t *p, const maker *m, up_alg alg,
                                         const char *header, const char *payload)
{
    return maker_sign_input(p, m, alg, maker_input(p, header, payload));
}

/** A token with this header and payload, signed as the key's algorithm says. */
UNUSED static const char *maker_token(apr_pool_t *p, const maker *m, const char *header,
                                      const char *payload)
{
    return maker_token_as(p, m, m->key.alg, header, payload);
}

/** {"alg":"…"} */
UNUSED static const char *maker_header(apr_pool_t *p, up_alg alg)
{
    return apr_pstrcat(p, "{\"alg\":\"", up_alg_name(alg), "\"}", NULL);
}

/** Rules with count keys and no claims but the standing ones. */
UNUSED static up_token_rules maker_rules(apr_pool_t *p, const maker *keys, int count)
{
    up_token_rules rules = {apr_array_make(p, 1, sizeof(up_key)),
                            apr_array_make(p, 1, sizeof(up_claim_rule)), 0};
    int i;

    for (i = 0; i < count; i++)
        APR_ARRAY_PUSH(rules.keys, up_key) = keys[i].key;
    return rules;
}

/** Why the token is refused, or NULL where it is accepted. */
UNUSED static const char *maker_refusal(apr_pool_t *p, const up_token_rules *rules,
                                        const char *token, apr_int64_t now)
{
    up_claims *claims = NULL;
    up_problem *problem = up_token_verify(&claims, rules, token, now, p);

    if (!problem)
        return claims && claims->payload ? NULL : "accepted without claims";
    return problem->code == UP_INVALID_CREDENTIALS && !claims && problem->log ? problem->log
                                                                              : "no proper refusal";
}

#endif
