/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/picture_reader.h"

#include <apr_portable.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static apr_status_t read_file(apr_file_t *file, apr_off_t at, char *buffer, apr_size_t *len)
{
    apr_os_file_t fd;
    ssize_t n;

    apr_os_file_get(&fd, file);
    do
        n = pread(fd, buffer, *len, at);
    while (n < 0 && errno == EINTR);
    *len = n > 0 ? (apr_size_t)n : 0;
    return n > 0 ? APR_SUCCESS : n < 0 ? errno : APR_EOF;
}

apr_status_t up_picture_read(const up_picture *picture, apr_off_t at, char *buffer, apr_size_t *len)
{
    const up_picture_piece *piece = (const up_picture_piece *)(void *)picture->pieces->elts;
    const up_picture_piece *end = piece + picture->pieces->nelts;

    while (piece < end && at >= piece->len)
        at -= piece++->len;
    if (piece == end) {
        *len = 0;
        return APR_SUCCESS;
    }
    if ((apr_off_t)*len > piece->len - at)
        *len = (apr_size_t)(piece->len - at);
    if (piece->bytes) {
        memcpy(buffer, piece->bytes + at, *len);
        return APR_SUCCESS;
    }
    return read_file(picture->file, piece->offset + at, buffer, len);
}
