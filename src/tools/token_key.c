/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/token_key.h"

#include "core/text.h"
#include "core/wipe.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

/* The argument's words. */
typedef struct key_words {
    const char *alg, *file, *kid;
} key_words;

static const char *split_argument(key_words *words, const char *argument, apr_pool_t *p)
{
    char **word;
    int count = 0;

    *words = (key_words){"", "", NULL};
    if (apr_tokenize_to_argv(argument, &word, p) != APR_SUCCESS)
        return "A key is 'ALGORITHM FILE [kid=ID]'.";
    while (word[count])
        count++;
    if (count < 2 || count > 3)
        return apr_psprintf(p, "A key is 'ALGORITHM FILE [kid=ID]' in one argument, not '%s'.",
                            argument);
    if (count == 3 && (strncmp(word[2], "kid=", 4) != 0 || !word[2][4] ||
                       !up_text_is_utf8(word[2], strlen(word[2]))))
        return apr_psprintf(p, "After a key's file there may be kid=ID, not '%s'.", word[2]);
    *words = (key_words){word[0], word[1], count == 3 ? word[2] + 4 : NULL};
    return NULL;
}

static int is_stdin(const char *file)
{
    return strcmp(file, "-") == 0;
}

int up_token_key_is_stdin(const char *argument, apr_pool_t *p)
{
    key_words words;

    return !split_argument(&words, argument, p) && is_stdin(words.file);
}

static const char *read_file(const char *name, const unsigned char **data, int *len, apr_pool_t *p)
{
    char *bytes = apr_palloc(p, UP_SECRET_FILE_MAX + 1);
    apr_size_t size = 0;
    apr_file_t *file;
    apr_status_t status =
        is_stdin(name)
            ? apr_file_open_stdin(&file, p)
            : apr_file_open(&file, name, APR_FOPEN_READ | APR_FOPEN_BINARY, APR_OS_DEFAULT, p);
    char why[120];

    up_wipe_at_end(p, bytes, UP_SECRET_FILE_MAX + 1);
    if (status == APR_SUCCESS)
        status = apr_file_read_full(file, bytes, UP_SECRET_FILE_MAX + 1, &size);
    if (status != APR_SUCCESS && status != APR_EOF)
        return apr_psprintf(p, "The file %s can't be read: %s.", name,
                            apr_strerror(status, why, sizeof(why)));
    if (size > UP_SECRET_FILE_MAX)
        return apr_psprintf(p, "The file %s has more than %d bytes.", name, UP_SECRET_FILE_MAX);
    *len = up_secret_file_text(bytes, size);
    *data = (const unsigned char *)bytes;
    return NULL;
}

/* The argument and its file, not looked at yet. */
static const char *read_argument(up_key *key, key_words *words, const char *argument, apr_pool_t *p)
{
    const char *wrong = split_argument(words, argument, p);

    if (wrong)
        return wrong;
    *key = (up_key){.kid = words->kid};
    if (up_alg_find(words->alg, &key->alg))
        return apr_psprintf(p, "'%s' is no algorithm; there are " UP_ALG_NAMES ".", words->alg);
    return read_file(words->file, &key->data, &key->len, p);
}

static const char *check_key(const up_key *key, const key_words *words, apr_pool_t *p)
{
    const char *wrong = up_key_check(key);

    return wrong ? apr_pstrcat(p, words->file, ": ", wrong, NULL) : NULL;
}

const char *up_token_read_key(up_key *key, const char *argument, apr_pool_t *p)
{
    key_words words;
    const char *wrong = read_argument(key, &words, argument, p);

    return wrong ? wrong : check_key(key, &words, p);
}

/* --- The private key of a pair --- */

/* As libjwt reads it again to sign, it would ask for the passphrase again. */
static int no_passphrase(char *buf, int size, int writing, void *was_asked)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(int *)was_asked = 1;
    return -1;
}

static EVP_PKEY *read_private_key(const up_key *key, int *is_encrypted)
{
    BIO *bio = BIO_new_mem_buf(key->data, key->len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, is_encrypted) : NULL;

    BIO_free(bio);
    return pkey;
}

/* The public key that belongs to it takes the place of the private one. */
static const char *take_public_key(up_key *key, EVP_PKEY *pkey, apr_pool_t *p)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    long len;

    if (bio && PEM_write_bio_PUBKEY(bio, pkey) == 1) {
        len = BIO_get_mem_data(bio, &pem);
        key->data = (const unsigned char *)apr_pstrmemdup(p, pem, (apr_size_t)len);
        key->len = (int)len;
        pem = NULL;
    }
    BIO_free(bio);
    return key->data ? NULL : "its public key cannot be made";
}

static const char *use_pair(up_signing_key *pair, const key_words *words, apr_pool_t *p)
{
    int is_encrypted = 0;
    EVP_PKEY *pkey;
    const char *wrong;

    ERR_set_mark();
    pkey = read_private_key(&pair->key, &is_encrypted);
    ERR_pop_to_mark();
    if (is_encrypted)
        return apr_psprintf(p,
                            "%s: the private key is encrypted; 'openssl pkey -in FILE | "
                            "userprofile-token -k \"%s -\" …' asks for its passphrase.",
                            words->file, words->alg);
    if (!pkey)
        return apr_psprintf(p,
                            "%s: this is no private key in PEM that OpenSSL can read; %s is signed "
                            "with the private key, and verified with the public one.",
                            words->file, words->alg);
    pair->data = pair->key.data;
    pair->len = pair->key.len;
    pair->key.data = NULL;
    wrong = take_public_key(&pair->key, pkey, p);
    EVP_PKEY_free(pkey);
    return wrong ? apr_pstrcat(p, words->file, ": ", wrong, ".", NULL)
                 : check_key(&pair->key, words, p);
}

const char *up_token_read_signing_key(up_signing_key *key, const char *argument, apr_pool_t *p)
{
    key_words words;
    const char *wrong;

    *key = (up_signing_key){.len = 0};
    wrong = read_argument(&key->key, &words, argument, p);
    if (wrong)
        return wrong;
    if (!up_alg_is_secret(key->key.alg))
        return use_pair(key, &words, p);
    key->data = key->key.data;
    key->len = key->key.len;
    return check_key(&key->key, &words, p);
}
