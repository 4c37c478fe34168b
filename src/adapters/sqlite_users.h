/* SPDX-License-Identifier: Apache-2.0 */

/** The user store on SQLite: mod_dbd's connections, SQLite's own functions. Each write is
 *  one transaction. */
#ifndef UP_SQLITE_USERS_H
#define UP_SQLITE_USERS_H

#include "adapters/dbd_pool.h"
#include "adapters/sql_journal.h"
#include "core/model.h"
#include "ports/journal.h"
#include "ports/user_store.h"

/** Makes the store. The pool of connections, the model and the settings' strings must
 *  live as long as p, the child's pool. @return never NULL. */
up_user_store *up_sqlite_users_create(apr_pool_t *p, up_dbd_pool *pool, const up_model *model,
                                      const up_journal_settings *settings);

#endif
