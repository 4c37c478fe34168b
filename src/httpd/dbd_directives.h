/* SPDX-License-Identifier: Apache-2.0 */

/** What the sysadmin has told mod_dbd, read from the configuration's tree, as
 *  mod_dbd itself does not say. For the configuration phase only. */
#ifndef UP_DBD_DIRECTIVES_H
#define UP_DBD_DIRECTIVES_H

#include <httpd.h>

/**
 * Does it fit a contract that borrows up to this many connections?
 * @return NULL, or a sentence that names the directive and what is right.
 */
const char *up_dbd_misfit(apr_pool_t *p, const server_rec *s, int connections);

#endif
