/* SPDX-License-Identifier: Apache-2.0 */

/* up_token_verify(): which key, which algorithm, and whether the signature holds. */
#include "tap.h"
#include "token_maker.h"

#include <apr_thread_proc.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#define NOW 1700000000
#define PAYLOAD "{\"sub\":\"ann@example.org\",\"exp\":1700000060}"
#define COUNT(array) ((int)(sizeof(array) / sizeof(*(array))))
#define SIGNATURE_ROOM 1024

static apr_pool_t *pool;      /* for a test */
static maker makers[UP_ALGS]; /* a key of each algorithm */

static const char *refusal(const maker *keys, int count, const char *token)
{
    up_token_rules rules = maker_rules(pool, keys, count);

    return maker_refusal(pool, &rules, token, NOW);
}

/* Expects a refusal whose reason has these words, or with NULL an acceptance. */
static void expect(const maker *keys, int count, const char *token, const char *words,
                   const char *name)
{
    const char *got = refusal(keys, count, token);

    if (!ok(words ? got && strstr(got, words) : !got, "%s", name))
        printf("#   got: %s\n# words: %s\n", got ? got : "(accepted)",
               words ? words : "(accepted)");
}

static const char *good_token(up_alg alg)
{
    return maker_token(pool, &makers[alg], maker_header(pool, alg), PAYLOAD);
}

/* The token with these bytes as its signature. */
static const char *with_signature(const char *input, const unsigned char *signature, size_t len)
{
    return apr_pstrcat(pool, input, ".", maker_base64url(pool, signature, len), NULL);
}

static const char *name_of(up_alg alg, const char *what)
{
    return apr_pstrcat(pool, up_alg_name(alg), ": ", what, NULL);
}

static void test_each_algorithm(void)
{
    int i;

    for (i = 0; i < UP_ALGS; i++) {
        up_alg alg = (up_alg)i;
        maker other = maker_new(pool, alg);

        ok(!up_key_check(&makers[i].key), "%s: the key is fit", up_alg_name(alg));
        expect(&makers[i], 1, good_token(alg), NULL, name_of(alg, "its own key"));
        expect(&other, 1, good_token(alg), "signature is wrong", name_of(alg, "another key"));
    }
}

/* Each key, asked about each alg in the header, signed with each hash: right is one
 * of 27 for each key. */
static void test_confusion(void)
{
    int key, alg, hash, accepted = 0, wrong = 0;

    for (key = 0; key < UP_ALGS; key++) {
        for (alg = 0; alg < UP_ALGS; alg++) {
            for (hash = UP_HS256; hash <= UP_HS512; hash++) {
                const char *token = maker_token_as(pool, &makers[key], (up_alg)hash,
                                                   maker_header(pool, (up_alg)alg), PAYLOAD);
                int good = !refusal(&makers[key], 1, token);

                accepted += good;
                wrong += good != (alg == key && hash == alg % 3);
            }
        }
    }
    is_int(accepted, 9, "of 243 combinations of key, alg and hash 9 are accepted");
    is_int(wrong, 0, "and those are the right ones");
}

/* What an attacker has is the public key: here as the secret of an HMAC. libjwt takes
 * it for one. */
static void test_public_key_as_secret(void)
{
    static const char *names[] = {"HS256", "HS384", "HS512", "hs256", "Hs512"};
    int key, i;

    for (key = UP_RS256; key < UP_ALGS; key++) {
        for (i = 0; i < COUNT(names); i++) {
            maker attacker = {makers[key].key, NULL};
            const char *token =
                maker_token_as(pool, &attacker, (up_alg)(i % 3 == 2 ? UP_HS512 : i % 3),
                               apr_psprintf(pool, "{\"alg\":\"%s\"}", names[i]), PAYLOAD);

            expect(&makers[key], 1, token, i < 3 ? "No key" : "alg is none of",
                   apr_psprintf(pool, "%s: its public key as the secret of %s",
                                up_alg_name((up_alg)key), names[i]));
        }
    }
}

/* The signature is right, the name is written otherwise. */
static void test_case_of_names(void)
{
    int i;

    for (i = 0; i < UP_ALGS; i++) {
        char *name = apr_pstrdup(pool, up_alg_name((up_alg)i));

        name[0] = (char)(name[0] + ('a' - 'A'));
        expect(&makers[i], 1,
               maker_token(pool, &makers[i], apr_psprintf(pool, "{\"alg\":\"%s\"}", name), PAYLOAD),
               "alg is none of", name);
        name[1] = 's';
        expect(&makers[i], 1,
               maker_token(pool, &makers[i], apr_psprintf(pool, "{\"alg\":\"%s\"}", name), PAYLOAD),
               "alg is none of", name);
    }
}

static void test_none(void)
{
    static const char *names[] = {"none", "None", "NONE", "nOne"};
    int i;

    for (i = 0; i < COUNT(names); i++) {
        const char *input =
            maker_input(pool, apr_psprintf(pool, "{\"alg\":\"%s\"}", names[i]), PAYLOAD);

        expect(makers, UP_ALGS, apr_pstrcat(pool, input, ".", NULL), "empty",
               apr_pstrcat(pool, names[i], " without signature", NULL));
        expect(makers, UP_ALGS, apr_pstrcat(pool, input, ".AA", NULL), "alg is none of",
               apr_pstrcat(pool, names[i], " with some signature", NULL));
    }
    expect(makers, UP_ALGS,
           maker_sign_input(pool, makers, UP_HS256, maker_input(pool, "{}", PAYLOAD)), "no alg",
           "no alg at all");
}

/* With an empty key libjwt accepts every signature. */
static void test_empty_key(void)
{
    maker empty = maker_of_secret(UP_HS256, "");
    const char *header = maker_header(pool, UP_HS256);

    expect(&empty, 1, maker_token(pool, &empty, header, PAYLOAD), "signature is wrong",
           "an empty key, and a token signed with it");
    expect(&empty, 1, good_token(UP_HS256), "signature is wrong", "an empty key, and any token");
    empty.key.data = NULL;
    expect(&empty, 1, good_token(UP_HS256), "signature is wrong", "no key, and any token");
    empty.key.len = 32;
    expect(&empty, 1, good_token(UP_HS256), "signature is wrong", "no key of 32 bytes");
    expect(&empty, 0, good_token(UP_HS256), "No key", "no keys at all");
}

static void test_bit_flips(void)
{
    int i;

    for (i = 0; i < UP_ALGS; i++) {
        unsigned char signature[SIGNATURE_ROOM];
        const char *input = maker_input(pool, maker_header(pool, (up_alg)i), PAYLOAD);
        size_t len = maker_signature(&makers[i], (up_alg)i, input, 0, signature, SIGNATURE_ROOM);
        size_t bit;
        int accepted = 0;

        for (bit = 0; bit < len * 8; bit++) {
            signature[bit / 8] ^= (unsigned char)(1 << bit % 8);
            accepted += !refusal(&makers[i], 1, with_signature(input, signature, len));
            signature[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        ok(len && !accepted, "%s: a signature with any one of %d bits flipped is refused",
           up_alg_name((up_alg)i), (int)len * 8);
        expect(&makers[i], 1, with_signature(input, signature, len), NULL,
               name_of((up_alg)i, "with none flipped it is accepted"));
    }
}

/* A right signature, but one byte longer or shorter at either end, and down to one. */
static void test_lengths(void)
{
    int i;

    for (i = 0; i < UP_ALGS; i++) {
        unsigned char room[SIGNATURE_ROOM] = {0}, *signature = room + 1;
        const char *input = maker_input(pool, maker_header(pool, (up_alg)i), PAYLOAD);
        size_t len =
            maker_signature(&makers[i], (up_alg)i, input, 0, signature, SIGNATURE_ROOM - 2);
        size_t n;
        int accepted = 0;

        for (n = 1; n < len; n++)
            accepted += !refusal(&makers[i], 1, with_signature(input, signature, n)) +
                        !refusal(&makers[i], 1, with_signature(input, signature + n, len - n));
        accepted += !refusal(&makers[i], 1, with_signature(input, room, len + 1));
        accepted += !refusal(&makers[i], 1, with_signature(input, signature, len + 1));
        memcpy(signature + len, signature, len);
        accepted += !refusal(&makers[i], 1, with_signature(input, signature, len * 2));
        ok(len && !accepted, "%s: of another length it is refused", up_alg_name((up_alg)i));
    }
}

/* What ECDSA libraries have got wrong: the encoding, and numbers outside of 1 to n-1. */
static void test_ecdsa_numbers(void)
{
    int alg;

    for (alg = UP_ES256; alg <= UP_ES512; alg++) {
        const char *input = maker_input(pool, maker_header(pool, (up_alg)alg), PAYLOAD);
        unsigned char s[SIGNATURE_ROOM] = {0};
        BIGNUM *n = NULL;
        int half = (EVP_PKEY_get_bits(makers[alg].pkey) + 7) / 8;
        size_t len = maker_signature(&makers[alg], (up_alg)alg, input, 1, s, sizeof(s));

        expect(&makers[alg], 1, with_signature(input, s, len), "signature is wrong",
               name_of((up_alg)alg, "DER"));
        memset(s, 0, sizeof(s));
        expect(&makers[alg], 1, with_signature(input, s, (size_t)half * 2), "signature is wrong",
               name_of((up_alg)alg, "r and s are 0"));
        s[half - 1] = s[half * 2 - 1] = 1;
        expect(&makers[alg], 1, with_signature(input, s, (size_t)half * 2), "signature is wrong",
               name_of((up_alg)alg, "r and s are 1"));
        EVP_PKEY_get_bn_param(makers[alg].pkey, OSSL_PKEY_PARAM_EC_ORDER, &n);
        BN_bn2binpad(n, s, half);
        BN_bn2binpad(n, s + half, half);
        expect(&makers[alg], 1, with_signature(input, s, (size_t)half * 2), "signature is wrong",
               name_of((up_alg)alg, "r and s are the order"));
        memset(s, 0xff, sizeof(s));
        expect(&makers[alg], 1, with_signature(input, s, (size_t)half * 2), "signature is wrong",
               name_of((up_alg)alg, "r and s are the greatest numbers"));
        BN_free(n);
    }
}

/* A key on another curve than its algorithm's is refused at start; were it not, its
 * signatures would still have the wrong length. */
static void test_other_curve(void)
{
    maker m = maker_of_pair(pool, UP_ES256, EVP_EC_gen("P-384"));

    expect(&m, 1, maker_token(pool, &m, maker_header(pool, UP_ES256), PAYLOAD),
           "signature is wrong", "ES256: a key and a signature on P-384");
}

static void test_pss(void)
{
    const char *input = maker_input(pool, maker_header(pool, UP_RS256), PAYLOAD);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey_context;
    unsigned char signature[SIGNATURE_ROOM];
    size_t len = sizeof(signature);

    EVP_DigestSignInit(context, &pkey_context, EVP_sha256(), NULL, makers[UP_RS256].pkey);
    EVP_PKEY_CTX_set_rsa_padding(pkey_context, RSA_PKCS1_PSS_PADDING);
    is_int(EVP_DigestSign(context, signature, &len, (const unsigned char *)input, strlen(input)), 1,
           "a signature with PSS can be made");
    EVP_MD_CTX_free(context);
    expect(&makers[UP_RS256], 1, with_signature(input, signature, len), "signature is wrong",
           "RS256: a signature with PSS");
}

/* PEM as PKCS #1 has it, which OpenSSL reads from 3.0 on. */
static const char *pkcs1_pem(EVP_PKEY *pkey)
{
    unsigned char *der = NULL;
    int der_len = i2d_PublicKey(pkey, &der);
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long len;
    const char *pem;

    PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, der_len);
    len = BIO_get_mem_data(bio, &data);
    pem = apr_pstrmemdup(pool, data, (apr_size_t)len);
    BIO_free(bio);
    OPENSSL_free(der);
    return pem;
}

/* What up_key_check() lets pass verifies, and what it refuses does not. */
static void test_pem_forms(void)
{
    const char *pem = (const char *)makers[UP_RS256].key.data;
    const char *texts[] = {
        pem,
        apr_pstrcat(pool, "# the key of May\r\n", pem, NULL),
        apr_pstrndup(pool, pem, strlen(pem) - 1),
        apr_pstrndup(pool, pem, strlen(pem) - 30),
        apr_pstrndup(pool, pem, strlen(pem) / 2),
        pkcs1_pem(makers[UP_RS256].pkey),
    };
    int i, fit = 0;

    for (i = 0; i < COUNT(texts); i++) {
        maker m = maker_of_secret(UP_RS256, texts[i]);
        int verifies = !refusal(&m, 1, good_token(UP_RS256));

        ok(verifies == !up_key_check(&m.key), "PEM in form %d %s", i,
           verifies ? "is fit, and verifies" : "is not, and does not");
        fit += verifies;
    }
    ok(fit >= 3 && fit <= 4, "%d forms are fit", fit);
}

typedef struct kid_case {
    const char *kids[3]; /* of the three keys a, b, c */
    int signer;
    const char *kid;   /* of the header, as JSON; NULL: none */
    const char *words; /* of the reason; NULL: accepted */
} kid_case;

static void test_kid(void)
{
    static const kid_case cases[] = {
        {{NULL, NULL, NULL}, 0, NULL, NULL},
        {{NULL, NULL, NULL}, 2, NULL, NULL},
        {{NULL, NULL, NULL}, 2, "\"any\"", NULL},
        {{NULL, NULL, NULL}, 2, "\"\"", NULL},
        {{NULL, NULL, NULL}, 2, "7", "kid is not a string"},
        {{"a", "b", "c"}, 1, "\"b\"", NULL},
        {{"a", "b", "c"}, 1, "\"\\u0062\"", NULL},
        {{"a", "b", "c"}, 1, "\"a\"", "signature is wrong"},
        {{"a", "b", "c"}, 1, "\"B\"", "No key"},
        {{"a", "b", "c"}, 1, "\"b \"", "No key"},
        {{"a", "b", "c"}, 1, "\"\"", "No key"},
        {{"a", "b", "c"}, 1, "\"bb\"", "No key"},
        {{"a", "b", "c"}, 1, NULL, NULL},
        {{"a", "b", "c"}, 1, "[\"b\"]", "kid is not a string"},
        {{"a", NULL, NULL}, 0, "\"a\"", NULL},
        {{"a", NULL, NULL}, 1, "\"a\"", "signature is wrong"},
        {{"a", NULL, NULL}, 1, "\"x\"", "No key"},
        {{"a", NULL, NULL}, 1, NULL, NULL},
        {{NULL, NULL, "c"}, 0, "\"x\"", "No key"},
        {{"a", "a", "c"}, 1, "\"a\"", NULL},
        {{"a", "a", "c"}, 2, "\"a\"", "signature is wrong"},
        {{"", "b", "c"}, 0, "\"\"", NULL},
    };
    maker keys[3];
    int i, k;

    for (k = 0; k < 3; k++)
        keys[k] = maker_new(pool, UP_HS256);
    for (i = 0; i < COUNT(cases); i++) {
        const kid_case *c = &cases[i];
        const char *header = c->kid ? apr_psprintf(pool, "{\"alg\":\"HS256\",\"kid\":%s}", c->kid)
                                    : "{\"alg\":\"HS256\"}";

        for (k = 0; k < 3; k++)
            keys[k].key.kid = c->kids[k];
        expect(keys, 3, maker_token(pool, &keys[c->signer], header, PAYLOAD), c->words,
               apr_psprintf(pool, "keys %s %s %s, signed by the %d., kid %s",
                            c->kids[0] ? c->kids[0] : "-", c->kids[1] ? c->kids[1] : "-",
                            c->kids[2] ? c->kids[2] : "-", c->signer + 1, c->kid ? c->kid : "-"));
    }
}

/* A kid chooses a key, but never its algorithm. */
static void test_mixed_keys(void)
{
    maker keys[UP_ALGS];
    int i, j, accepted = 0;

    memcpy(keys, makers, sizeof(keys));
    for (i = 0; i < UP_ALGS; i++)
        expect(keys, UP_ALGS, good_token((up_alg)i), NULL,
               name_of((up_alg)i, "accepted where all nine keys are configured"));
    for (i = 0; i < UP_ALGS; i++)
        keys[i].key.kid = up_alg_name((up_alg)i);
    for (i = 0; i < UP_ALGS; i++) {
        for (j = 0; j < UP_ALGS; j++) {
            const char *header = apr_psprintf(pool, "{\"alg\":\"%s\",\"kid\":\"%s\"}",
                                              up_alg_name((up_alg)i), up_alg_name((up_alg)j));
            const char *got = refusal(keys, UP_ALGS, maker_token(pool, &keys[i], header, PAYLOAD));

            accepted += !got && i == j;
            accepted -= !got && i != j;
        }
    }
    is_int(accepted, UP_ALGS, "of 81 pairs of alg and kid the 9 that go together are accepted");
}

/* RFC 7515, appendix A.3: made by others, with ES256. It has no sub, so that is what
 * it is refused for once its signature holds and its time has not come yet. */
static void test_rfc_es256(void)
{
    static const unsigned char spki[] = {
        0x30,         0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
        0x02,         0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
        0x07,         0x03, 0x42, 0x00, 0x04,
        /* x */ 0x7f, 0xcd, 0xce, 0x27, 0x70, 0xf6, 0xc4, 0x5d, 0x41, 0x83, 0xcb,
        0xee,         0x6f, 0xdb, 0x4b, 0x7b, 0x58, 0x07, 0x33, 0x35, 0x7b, 0xe9,
        0xef,         0x13, 0xba, 0xcf, 0x6e, 0x3c, 0x7b, 0xd1, 0x54, 0x45, /* y */ 0xc7,
        0xf1,         0x44, 0xcd, 0x1b, 0xbd, 0x9b, 0x7e, 0x87, 0x2c, 0xdf, 0xed,
        0xb9,         0xee, 0xb9, 0xf4, 0xb3, 0x69, 0x5d, 0x6e, 0xa9, 0x0b, 0x24,
        0xad,         0x8a, 0x46, 0x23, 0x28, 0x85, 0x88, 0xe5, 0xad};
    const char *token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
                        "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOy"
                        "KAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const unsigned char *der = spki;
    maker m = maker_of_pair(pool, UP_ES256, d2i_PUBKEY(NULL, &der, sizeof(spki)));
    up_token_rules rules = maker_rules(pool, &m, 1);
    char *forged = apr_pstrdup(pool, token);

    is(maker_refusal(pool, &rules, token, 1300819379), "Token refused. The token has no sub.",
       "RFC 7515 A.3: the signature holds");
    is(maker_refusal(pool, &rules, token, 1300819380),
       "Token refused. The token has expired (exp).", "RFC 7515 A.3: expired in 2011");
    *strrchr(forged, 'D') = 'E';
    is(maker_refusal(pool, &rules, forged, 1300819379), "Token refused. The signature is wrong.",
       "RFC 7515 A.3: changed");
}

/* mod_ssl and libpq share the thread, and look into its error queue. */
static void test_error_queue(void)
{
    int i;

    for (i = 0; i < UP_ALGS; i++) {
        maker other = maker_new(pool, (up_alg)i), broken = maker_of_secret((up_alg)i, "no PEM");

        ERR_clear_error();
        refusal(&other, 1, good_token((up_alg)i));
        refusal(&broken, 1, good_token((up_alg)i));
        ok(ERR_peek_error() == 0, "%s: a refusal leaves no error behind", up_alg_name((up_alg)i));
        ERR_raise(ERR_LIB_USER, 42);
        refusal(&other, 1, good_token((up_alg)i));
        ok(ERR_GET_REASON(ERR_get_error()) == 42 && ERR_peek_error() == 0,
           "%s: nor does it take away another's", up_alg_name((up_alg)i));
    }
}

#define THREADS 4
#define ROUNDS 200

typedef struct worker {
    const char *tokens[UP_ALGS];
    int accepted;
} worker;

static void *APR_THREAD_FUNC verify_all(apr_thread_t *thread, void *data)
{
    worker *self = data;
    apr_pool_t *p;
    int i;

    (void)thread;
    apr_pool_create_unmanaged(&p);
    for (i = 0; i < ROUNDS; i++) {
        up_token_rules rules = maker_rules(p, makers, UP_ALGS);

        self->accepted += !maker_refusal(p, &rules, self->tokens[i % UP_ALGS], NOW);
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return NULL;
}

static void test_threads(void)
{
    worker workers[THREADS];
    apr_thread_t *threads[THREADS];
    apr_status_t status;
    int i, alg;

    for (i = 0; i < THREADS; i++) {
        workers[i].accepted = 0;
        for (alg = 0; alg < UP_ALGS; alg++)
            workers[i].tokens[alg] = good_token((up_alg)alg);
        apr_thread_create(&threads[i], NULL, verify_all, &workers[i], pool);
    }
    for (i = 0; i < THREADS; i++) {
        apr_thread_join(&status, threads[i]);
        is_int(workers[i].accepted, ROUNDS, "a thread among others accepts all its good tokens");
    }
}

int main(void)
{
    static void (*const tests[])(void) = {
        test_each_algorithm,
        test_confusion,
        test_public_key_as_secret,
        test_case_of_names,
        test_none,
        test_empty_key,
        test_bit_flips,
        test_lengths,
        test_ecdsa_numbers,
        test_other_curve,
        test_pss,
        test_pem_forms,
        test_kid,
        test_mixed_keys,
        test_rfc_es256,
        test_error_queue,
        test_threads,
    };
    apr_pool_t *top;
    int i;

    apr_initialize();
    apr_pool_create(&top, NULL);
    for (i = 0; i < UP_ALGS; i++)
        makers[i] = maker_new(top, (up_alg)i);
    for (i = 0; i < COUNT(tests); i++) {
        apr_pool_create(&pool, top);
        tests[i]();
        apr_pool_destroy(pool);
    }
    apr_pool_destroy(top);
    apr_terminate();
    return done_testing();
}
