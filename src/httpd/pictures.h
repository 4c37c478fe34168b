/* SPDX-License-Identifier: Apache-2.0 */

/** How httpd serves the pictures in the avatars' folder: as pictures, and as nothing else,
 *  whatever handlers, types and filters the rest of its configuration has for them. */
#ifndef UP_PICTURES_H
#define UP_PICTURES_H

#include <httpd.h>

/** Hook fixups, the last one: a picture of ours is served by httpd's own default
 *  handler, with its type, a name of ours and headers against being taken for more. */
int up_pictures_fixups(request_rec *r);

/** Hook insert_filter, the last one: no filter gets to see a picture as content that it
 *  might change, or run what it finds in it. */
void up_pictures_insert_filter(request_rec *r);

#endif
