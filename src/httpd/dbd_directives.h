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

/** Is the database SQLite? Else it is Postgres: up_dbd_misfit() knows no others. */
int up_dbd_is_sqlite(apr_pool_t *p, const server_rec *s);

/** Tells the pools of mod_dbd apart: servers of which this is equal share one. It may
 *  hold a password. */
const char *up_dbd_database(apr_pool_t *p, const server_rec *s);

/** Does this virtual host say which database it uses? */
int up_dbd_is_own(const server_rec *s);

/** Has mod_info and the like print no DBDParams that hold a password. mod_dbd has
 *  read them by now. */
void up_dbd_hide_passwords(apr_pool_t *p);

#endif
