/* SPDX-License-Identifier: Apache-2.0 */
#include "core/exif.h"

#include <string.h>

#define ORIENTATION 0x0112
#define SHORT 3

static unsigned long number(const unsigned char *bytes, int len, int big_endian)
{
    unsigned long value = 0;
    int i;

    for (i = 0; i < len; i++)
        value = value << 8 | bytes[big_endian ? i : len - 1 - i];
    return value;
}

int up_exif_orientation(const unsigned char *tiff, apr_size_t len)
{
    unsigned long directory, count, i;
    int big;

    if (len < 8 || (memcmp(tiff, "MM\0*", 4) != 0 && memcmp(tiff, "II*\0", 4) != 0))
        return 1;
    big = tiff[0] == 'M';
    directory = number(tiff + 4, 4, big);
    if (directory > len - 2)
        return 1;
    count = number(tiff + directory, 2, big);
    for (i = 0; i < count && directory + 2 + 12 * (i + 1) <= len; i++) {
        const unsigned char *entry = tiff + directory + 2 + 12 * i;
        unsigned long value = number(entry + 8, 2, big);

        if (number(entry, 2, big) == ORIENTATION && number(entry + 2, 2, big) == SHORT)
            return value >= 2 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

void up_exif_make(unsigned char out[UP_EXIF_SIZE], int orientation)
{
    static const unsigned char tiff[UP_EXIF_SIZE] = {
        'M',  'M',  0, '*',   0, 0, 0, 8, 0, 1, /* one entry: */
        0x01, 0x12, 0, SHORT, 0, 0, 0, 1, 0, 1, /* Orientation, one value */
    };

    memcpy(out, tiff, UP_EXIF_SIZE);
    out[19] = (unsigned char)orientation;
}
