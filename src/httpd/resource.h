/* SPDX-License-Identifier: Apache-2.0 */

/** The resource of the signed-in user: its methods, at its path and at …/avatar. */
#ifndef UP_RESOURCE_H
#define UP_RESOURCE_H

#include <httpd.h>

/** Hook map_to_storage: our URLs have no file behind them, so no folder is
 *  walked and no .htaccess looked for. */
int up_resource_map_to_storage(request_rec *r);

/** Hook fixups: a <Location> with UserProfile On is served by our handler. */
int up_resource_fixups(request_rec *r);

/** Hook handler. */
int up_resource_handler(request_rec *r);

#endif
