/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/picture_reader.h"

#include <string.h>

apr_status_t up_picture_read(const up_picture *picture, apr_off_t at, char *buffer, apr_size_t *len)
{
    const up_picture_piece *piece = (const up_picture_piece *)(void *)picture->pieces->elts;
    const up_picture_piece *end = piece + picture->pieces->nelts;
    apr_off_t position;
    apr_status_t status;

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
    position = piece->offset + at;
    status = apr_file_seek(picture->file, APR_SET, &position);
    return status == APR_SUCCESS ? apr_file_read(picture->file, buffer, len) : status;
}
