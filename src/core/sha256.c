/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sha256.h"

#include <openssl/evp.h>

/* The pool's that it was looked up for, or NULL. */
static EVP_MD *prepared;

static apr_status_t forget(void *data)
{
    EVP_MD_free(data);
    prepared = NULL;
    return APR_SUCCESS;
}

void up_sha256_prepare(apr_pool_t *p)
{
    if (prepared)
        return;
    prepared = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (prepared)
        apr_pool_cleanup_register(p, prepared, forget, apr_pool_cleanup_null);
}

int up_sha256(unsigned char *sum, const void *data, apr_size_t len)
{
    return EVP_Digest(data, len, sum, NULL, prepared ? prepared : EVP_sha256(), NULL) == 1;
}
