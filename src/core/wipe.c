/* SPDX-License-Identifier: Apache-2.0 */
#include "core/wipe.h"

#include <openssl/crypto.h>
#include <string.h>

typedef struct secret {
    void *bytes;
    apr_size_t len;
} secret;

static apr_status_t wipe(void *data)
{
    const secret *secret = data;

    OPENSSL_cleanse(secret->bytes, secret->len);
    return APR_SUCCESS;
}

void up_wipe_at_end(apr_pool_t *p, void *bytes, apr_size_t len)
{
    secret *secret = apr_palloc(p, sizeof(*secret));

    secret->bytes = bytes;
    secret->len = len;
    apr_pool_cleanup_register(p, secret, wipe, apr_pool_cleanup_null);
}

void up_wipe(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
}

int up_secret_file_text(char *bytes, apr_size_t size)
{
    if (size > 0 && bytes[size - 1] == '\n')
        size--;
    if (size > 0 && bytes[size - 1] == '\r')
        size--;
    bytes[size] = '\0';
    return (int)size;
}
