/* SPDX-License-Identifier: Apache-2.0 */

/** Of Exif the one thing that a picture is shown by: its orientation. */
#ifndef UP_EXIF_H
#define UP_EXIF_H

#include <apr.h>

/** How many bytes up_exif_make() makes. */
#define UP_EXIF_SIZE 26

/**
 * Reads the orientation in a TIFF structure (TIFF 6.0 section 2; Exif 4.6.4 tag 0x0112).
 * @param tiff len bytes of anything.
 * @return 1 to 8; 1, which is upright, also where it is not said or makes no sense.
 */
int up_exif_orientation(const unsigned char *tiff, apr_size_t len);

/** Makes a TIFF structure that says the orientation (1 to 8) and nothing else. */
void up_exif_make(unsigned char out[UP_EXIF_SIZE], int orientation);

#endif
