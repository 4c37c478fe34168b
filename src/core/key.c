/* SPDX-License-Identifier: Apache-2.0 */
#include "core/token.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define RSA_MIN_BITS 2048

typedef struct alg_entry {
    const char *name;
    int secret_min;    /* HS*: bytes of the hash, and so of a good secret; else 0 */
    const char *weak;  /* HS*: the sentence about a shorter one */
    const char *curve; /* ES*: OpenSSL's name of the curve; else NULL */
    const char *wrong; /* ES*: the sentence about any other key */
} alg_entry;

static const alg_entry algs[UP_ALGS] = {
    [UP_HS256] = {"HS256", 32,
                  "The secret is shorter than the hash: for HS256 use 32 random bytes or more "
                  "(RFC 7518, section 3.2).",
                  NULL, NULL},
    [UP_HS384] = {"HS384", 48,
                  "The secret is shorter than the hash: for HS384 use 48 random bytes or more "
                  "(RFC 7518, section 3.2).",
                  NULL, NULL},
    [UP_HS512] = {"HS512", 64,
                  "The secret is shorter than the hash: for HS512 use 64 random bytes or more "
                  "(RFC 7518, section 3.2).",
                  NULL, NULL},
    [UP_RS256] = {"RS256", 0, NULL, NULL, NULL},
    [UP_RS384] = {"RS384", 0, NULL, NULL, NULL},
    [UP_RS512] = {"RS512", 0, NULL, NULL, NULL},
    [UP_ES256] = {"ES256", 0, NULL, "prime256v1",
                  "The key is not an EC public key on the curve P-256, which ES256 requires."},
    [UP_ES384] = {"ES384", 0, NULL, "secp384r1",
                  "The key is not an EC public key on the curve P-384, which ES384 requires."},
    [UP_ES512] = {"ES512", 0, NULL, "secp521r1",
                  "The key is not an EC public key on the curve P-521, which ES512 requires."},
};

const char *up_alg_name(up_alg alg)
{
    return algs[alg].name;
}

int up_alg_is_secret(up_alg alg)
{
    return algs[alg].secret_min > 0;
}

int up_alg_find(const char *name, up_alg *alg)
{
    int i;

    for (i = 0; i < UP_ALGS; i++) {
        if (strcmp(name, algs[i].name) == 0) {
            *alg = (up_alg)i;
            return 0;
        }
    }
    return -1;
}

/* How often the text is in the key's data, which may have NULs. */
static int occurrences(const up_key *key, const char *text)
{
    int len = (int)strlen(text), count = 0, i;

    for (i = 0; i + len <= key->len; i++)
        count += memcmp(key->data + i, text, (size_t)len) == 0;
    return count;
}

static const char *check_secret(const up_key *key)
{
    if (occurrences(key, "-----BEGIN"))
        return "The secret is a PEM file: with a public key as the secret everybody could make "
               "tokens; use random bytes, or an RS or ES algorithm.";
    return NULL;
}

/* What a PEM file must be before it is parsed, so that no other than the public
 * key can be what was meant. */
static const char *check_pem(const up_key *key)
{
    if (occurrences(key, "PRIVATE KEY-----"))
        return "The file has a private key; tokens are verified with the public key alone, which "
               "'openssl pkey -pubout' prints.";
    if (occurrences(key, "-----BEGIN CERTIFICATE"))
        return "The file is a certificate; the public key is needed, which 'openssl x509 -noout "
               "-pubkey' prints.";
    if (occurrences(key, "-----BEGIN") != 1)
        return "The file is not a single public key in PEM ('-----BEGIN PUBLIC KEY-----').";
    return NULL;
}

/* OpenSSL would ask on the terminal for the passphrase of an encrypted file. */
static int no_passphrase(char *buf, int size, int writing, void *baton)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)baton;
    return -1;
}

static EVP_PKEY *read_public_key(const up_key *key)
{
    BIO *bio = BIO_new_mem_buf(key->data, key->len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;

    BIO_free(bio);
    return pkey;
}

/* Is the point on its curve, the modulus odd and composite, the exponent sane? */
static int is_sound(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pkey, NULL);
    int sound = context && EVP_PKEY_public_check(context) == 1;

    EVP_PKEY_CTX_free(context);
    return sound;
}

static int is_on_curve(EVP_PKEY *pkey, const char *curve)
{
    char name[32] = "";

    return EVP_PKEY_get_id(pkey) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(pkey, name, sizeof(name), NULL) == 1 && strcmp(name, curve) == 0;
}

static const char *check_public_key(const up_key *key, EVP_PKEY *pkey)
{
    if (!pkey)
        return "The file is not a public key in PEM that OpenSSL can read.";
    if (algs[key->alg].curve && !is_on_curve(pkey, algs[key->alg].curve))
        return algs[key->alg].wrong;
    if (!algs[key->alg].curve && EVP_PKEY_get_id(pkey) != EVP_PKEY_RSA)
        return "The key is not an RSA public key, which the RS algorithms require.";
    if (!algs[key->alg].curve && EVP_PKEY_get_bits(pkey) < RSA_MIN_BITS)
        return "The RSA key is too short: the RS algorithms require 2048 bits or more "
               "(RFC 7518, section 3.3).";
    if (!is_sound(pkey))
        return "The public key is damaged: its numbers cannot be those of a key.";
    return NULL;
}

const char *up_key_check(const up_key *key)
{
    EVP_PKEY *pkey;
    const char *wrong;

    if (!key->data || key->len < 1)
        return "The key is empty: whoever knows that could make tokens.";
    if (algs[key->alg].secret_min)
        return check_secret(key);
    wrong = check_pem(key);
    if (wrong)
        return wrong;

    /* What OpenSSL complains about here is nothing to the thread's next user. */
    ERR_set_mark();
    pkey = read_public_key(key);
    wrong = check_public_key(key, pkey);
    EVP_PKEY_free(pkey);
    ERR_pop_to_mark();
    return wrong;
}

const char *up_key_weakness(const up_key *key)
{
    return key->len < algs[key->alg].secret_min ? algs[key->alg].weak : NULL;
}
