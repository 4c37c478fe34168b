/* SPDX-License-Identifier: Apache-2.0 */

/* up_key_check() and up_key_weakness(): which keys a server may start with. */
#include "tap.h"
#include "token_maker.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/ui.h>
#include <openssl/x509.h>

static apr_pool_t *pool;

/* Expects a sentence with these words, or with NULL none. */
static void expect(const char *got, const char *words, const char *name)
{
    int pass = words ? got && strstr(got, words) && got[strlen(got) - 1] == '.' : !got;

    ok(pass, "%s%s%s", name, got ? ": " : "", got ? got : "");
}

static void expect_text(up_alg alg, const char *text, const char *words, const char *name)
{
    maker m = maker_of_secret(alg, text);

    expect(up_key_check(&m.key), words, name);
}

static void expect_pair(up_alg alg, EVP_PKEY *pkey, const char *words, const char *name)
{
    maker m;

    if (!ok(pkey != NULL, "%s: the key can be made", name))
        return;
    m = maker_of_pair(pool, alg, pkey);
    expect(up_key_check(&m.key), words, name);
}

/* What was written to the BIO, which is freed. */
static const char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    const char *text = apr_pstrmemdup(pool, data, (apr_size_t)len);

    BIO_free(bio);
    return text;
}

static const char *private_pem(EVP_PKEY *pkey, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_PrivateKey(bio, pkey, cipher, (const unsigned char *)"pass", 4, NULL, NULL);
    return text_of(bio);
}

static const char *traditional_pem(EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL);
    return text_of(bio);
}

static const char *certificate_pem(EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509 *cert = X509_new();

    X509_set_pubkey(cert, pkey);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_sign(cert, pkey, EVP_sha256());
    PEM_write_bio_X509(bio, cert);
    X509_free(cert);
    return text_of(bio);
}

static EVP_PKEY *generate(const char *type, int bits)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    EVP_PKEY_keygen_init(context);
    if (bits)
        EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits);
    EVP_PKEY_generate(context, &pkey);
    EVP_PKEY_CTX_free(context);
    return pkey;
}

/* The public key with these numbers, whether they make sense or not. */
static EVP_PKEY *rsa_of(const BIGNUM *n, unsigned long exponent)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params;
    EVP_PKEY *pkey = NULL;

    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_ulong(builder, OSSL_PKEY_PARAM_RSA_E, exponent);
    params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_fromdata_init(context);
    EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return pkey;
}

static void test_names(void)
{
    static const char *bad[] = {"",       "none", "NONE",  "hs256", "Hs256",  "HS2560",
                                "HS256 ", "HS25", "PS256", "EdDSA", "ES256K", "RS1"};
    up_alg alg;
    size_t i;
    int same = 1;

    for (i = 0; i < UP_ALGS; i++)
        same = same && up_alg_find(up_alg_name((up_alg)i), &alg) == 0 && alg == (up_alg)i;
    ok(same, "each algorithm is found by its name");
    is(up_alg_name(UP_HS256), "HS256", "the first is HS256");
    is(up_alg_name(UP_ES512), "ES512", "the last is ES512");
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ok(up_alg_find(bad[i], &alg) == -1, "'%s' is the name of none", bad[i]);
}

static void test_secrets(EVP_PKEY *rsa)
{
    static const int sizes[] = {32, 48, 64};
    static const char zeros[64];
    up_key key = {UP_HS256, NULL, NULL, 0};
    int i;

    expect(up_key_check(&key), "empty", "HS256: no key at all");
    key.len = 32;
    expect(up_key_check(&key), "empty", "HS256: 32 bytes that are nowhere");
    key.data = (const unsigned char *)"";
    key.len = 0;
    expect(up_key_check(&key), "empty", "HS256: no bytes");
    key.len = -1;
    expect(up_key_check(&key), "empty", "HS256: fewer than no bytes");
    for (i = 0; i < 3; i++) {
        key = (up_key){(up_alg)i, NULL, (const unsigned char *)zeros, sizes[i]};
        expect(up_key_check(&key), NULL, "a secret as long as the hash, all NULs");
        expect(up_key_weakness(&key), NULL, "is not weak");
        key.len--;
        expect(up_key_check(&key), NULL, "a secret one byte shorter");
        expect(up_key_weakness(&key), up_alg_name((up_alg)i), "is weak");
    }
    expect_text(UP_HS256, "x", NULL, "HS256: a secret of one byte may be used");
    expect_text(UP_HS256, maker_pem(pool, rsa), "PEM", "HS256: a public key as the secret");
    expect_text(UP_HS512, apr_pstrcat(pool, "\n# our key\n", certificate_pem(rsa), NULL), "PEM",
                "HS512: a certificate after a comment");
    expect_text(UP_HS384, private_pem(rsa, NULL), "PEM", "HS384: a private key as the secret");
    expect_text(UP_HS256, "-----BEGIN", "PEM", "HS256: ten characters of a PEM file");
    expect_text(UP_HS256, "-----BEGI", NULL, "HS256: nine of them are a secret");
}

static void test_rsa(EVP_PKEY *rsa)
{
    const char *pem = maker_pem(pool, rsa);
    BIGNUM *n = NULL;
    int i;

    for (i = UP_RS256; i <= UP_RS512; i++) {
        maker m = maker_of_secret((up_alg)i, pem);

        expect(up_key_check(&m.key), NULL, "an RSA key of 2048 bits");
        expect(up_key_weakness(&m.key), NULL, "is not weak");
    }
    expect_pair(UP_RS256, generate("RSA", 1024), "too short", "RS256: 1024 bits");
    expect_pair(UP_RS256, generate("RSA", 2047), "too short", "RS256: 2047 bits");
    expect_pair(UP_RS256, generate("RSA-PSS", 2048), "not an RSA", "RS256: a key for PSS alone");
    expect_pair(UP_RS384, generate("ED25519", 0), "not an RSA", "RS384: an Ed25519 key");
    expect_pair(UP_RS512, EVP_EC_gen("P-521"), "not an RSA", "RS512: an EC key");

    EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_N, &n);
    expect_pair(UP_RS256, rsa_of(n, 65537), NULL, "RS256: the same numbers again");
    expect_pair(UP_RS256, rsa_of(n, 1), "damaged", "RS256: exponent 1 lets everybody sign");
    expect_pair(UP_RS256, rsa_of(n, 4), "damaged", "RS256: an even exponent");
    BN_sub_word(n, 1);
    expect_pair(UP_RS256, rsa_of(n, 65537), "damaged", "RS256: an even modulus");
    BN_free(n);
}

static void test_curves(EVP_PKEY *rsa)
{
    static const char *curves[] = {"P-256", "P-384", "P-521", "secp256k1", "brainpoolP256r1"};
    int alg, i;

    for (alg = UP_ES256; alg <= UP_ES512; alg++) {
        for (i = 0; i < 5; i++)
            expect_pair(
                (up_alg)alg, EVP_EC_gen(curves[i]),
                alg - UP_ES256 == i ? NULL : "not an EC public key on the curve",
                apr_pstrcat(pool, up_alg_name((up_alg)alg), ": a key on ", curves[i], NULL));
    }
    expect_text(UP_ES256, maker_pem(pool, rsa), "not an EC", "ES256: an RSA key");
    expect_pair(UP_ES256, generate("ED25519", 0), "not an EC", "ES256: an Ed25519 key");
    expect_pair(UP_ES256, generate("X25519", 0), "not an EC", "ES256: an X25519 key");
}

static int asked; /* how often somebody at the terminal would have been asked */

static int count_question(UI *ui)
{
    (void)ui;
    asked++;
    return 0;
}

/* A file that is said to be encrypted must not make a starting server wait. */
static void test_no_question(EVP_PKEY *rsa)
{
    const char *rest = strchr(maker_pem(pool, rsa), '\n') + 1;
    UI_METHOD *method = UI_create_method("counts");

    UI_method_set_opener(method, count_question);
    UI_set_default_method(method);
    expect_text(UP_RS256,
                apr_pstrcat(pool,
                            "-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\n"
                            "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n",
                            rest, NULL),
                "OpenSSL can read", "a public key said to be encrypted");
    is_int(asked, 0, "nobody is asked for its passphrase");
    UI_set_default_method(UI_OpenSSL());
    UI_destroy_method(method);
}

/* The same file in other clothes. */
static void test_files(EVP_PKEY *rsa)
{
    const char *pem = maker_pem(pool, rsa);

    expect_text(UP_RS256, "", "empty", "an empty file");
    expect_text(UP_RS256, "\n", "not a single", "a line without anything");
    expect_text(UP_RS256, "secret", "not a single", "a secret");
    expect_text(UP_RS256, private_pem(rsa, NULL), "private key", "a private key (PKCS #8)");
    expect_text(UP_RS256, private_pem(rsa, EVP_aes_128_cbc()), "private key",
                "an encrypted private key");
    expect_text(UP_RS256, traditional_pem(rsa), "private key", "a private key (PKCS #1)");
    expect_text(UP_RS256, apr_pstrcat(pool, pem, private_pem(rsa, NULL), NULL), "private key",
                "a public key and its private key");
    expect_text(UP_RS256, certificate_pem(rsa), "certificate", "a certificate");
    expect_text(UP_RS256, apr_pstrcat(pool, pem, pem, NULL), "not a single", "two public keys");
    expect_text(UP_RS256, apr_pstrcat(pool, "the key of May\n", pem, NULL), NULL,
                "a public key with a comment before it");
    expect_text(UP_RS256, apr_pstrndup(pool, pem, strlen(pem) / 2), "OpenSSL can read",
                "half a public key");
}

static void test_error_queue(EVP_PKEY *rsa)
{
    const char *half = apr_pstrndup(pool, maker_pem(pool, rsa), 100);

    ERR_clear_error();
    expect_text(UP_RS256, half, "OpenSSL can read", "a key that OpenSSL complains about");
    ok(ERR_peek_error() == 0, "leaves nothing in an empty error queue");
    ERR_raise(ERR_LIB_USER, 42);
    expect_text(UP_RS256, half, "OpenSSL can read", "once more");
    is_int(ERR_GET_REASON(ERR_get_error()), 42, "an error that was there before stays");
    ok(ERR_peek_error() == 0, "and is alone");
}

int main(void)
{
    EVP_PKEY *rsa;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    rsa = EVP_RSA_gen(2048);
    test_names();
    test_secrets(rsa);
    test_rsa(rsa);
    test_curves(rsa);
    test_files(rsa);
    test_no_question(rsa);
    test_error_queue(rsa);
    EVP_PKEY_free(rsa);
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
