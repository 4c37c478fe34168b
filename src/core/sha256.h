/* SPDX-License-Identifier: Apache-2.0 */

/** SHA-256 (FIPS 180-4), by OpenSSL. */
#ifndef UP_SHA256_H
#define UP_SHA256_H

#include <apr_pools.h>

#define UP_SHA256_SIZE 32

/**
 * Looks the algorithm up once, until p ends: OpenSSL does so for each digest otherwise, which takes
 * longer than a short one itself. For a process that is to make many, before it has threads.
 */
void up_sha256_prepare(apr_pool_t *p);

/**
 * @param sum room for UP_SHA256_SIZE bytes.
 * @return 1; 0 where there is no memory, and sum is undefined then. Safe among threads.
 */
int up_sha256(unsigned char *sum, const void *data, apr_size_t len);

#endif
