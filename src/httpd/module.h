/* SPDX-License-Identifier: Apache-2.0 */

/** The module record, defined by the door: the key to our configuration. */
#ifndef UP_MODULE_H
#define UP_MODULE_H

#include "core/version.h"

#include <httpd.h>
#include <http_config.h>

/** What SetHandler calls us. */
#define UP_HANDLER "userprofile"

extern module AP_MODULE_DECLARE_DATA userprofile_module;

#endif
