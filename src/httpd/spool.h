/* SPDX-License-Identifier: Apache-2.0 */

/** A picture on its way: in a temporary file without a name, which is gone with
 *  the request however that ends. Its folder is that of TMPDIR in httpd's
 *  environment, or /tmp. */
#ifndef UP_SPOOL_H
#define UP_SPOOL_H

#include "core/image.h"
#include "core/problem.h"
#include "ports/avatar_storage.h"

#include <apr_pools.h>

typedef struct up_spool {
    apr_pool_t *pool; /* the request's */
    apr_file_t *file; /* NULL until the first byte */
    apr_off_t size;
    apr_off_t max;             /* bytes */
    int max_width, max_height; /* pixels */
    char head[UP_IMAGE_HEAD];
    char *unwritten;          /* UP_SPOOL_BUFFER bytes, with the file, until it is whole: the
                                 storage's own buffers take their place then */
    apr_size_t unwritten_len; /* of size, the last bytes */
} up_spool;

/** What is written to the file, and with a single call, in bytes. */
#define UP_SPOOL_BUFFER 65536

/** Appends. @return NULL; FILE_TOO_LARGE beyond max; SERVICE_UNAVAILABLE where
 *  the file can't be written. */
up_problem *up_spool_write(up_spool *spool, const char *data, apr_size_t len);

/** What was written, as a picture of the type that it begins like, without what it tells
 *  about its maker. Nothing can be appended any more.
 *  @return NULL; INVALID_FILE_TYPE, also where it is broken; FILE_TOO_LARGE beyond max_width
 *          or max_height; SERVICE_UNAVAILABLE where the file can't be read. */
up_problem *up_spool_picture(up_spool *spool, up_picture **picture);

#endif
