/* SPDX-License-Identifier: Apache-2.0 */

/** The bytes of a picture that waits to be stored, in whatever order. */
#ifndef UP_PICTURE_READER_H
#define UP_PICTURE_READER_H

#include "ports/avatar_storage.h"

/**
 * Reads a part of the picture as it is to be stored. It neither moves the position of the
 * picture's file nor depends on it.
 * @param at from 0 to picture->size.
 * @param len how many bytes fit into buffer; then how many were read: at least 1,
 *        but 0 at the picture's end.
 * @return the failure of the file.
 */
apr_status_t up_picture_read(const up_picture *picture, apr_off_t at, char *buffer,
                             apr_size_t *len);

#endif
