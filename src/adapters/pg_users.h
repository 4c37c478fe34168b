/* SPDX-License-Identifier: Apache-2.0 */

/** The user store on Postgres: mod_dbd's connections, libpq's statements. */
#ifndef UP_PG_USERS_H
#define UP_PG_USERS_H

#include "adapters/dbd_pool.h"
#include "adapters/sql_journal.h"
#include "core/model.h"
#include "ports/user_store.h"

/** Makes the store. The pool of connections and the model must live as long as
 *  p, the child's pool. @return never NULL. */
up_user_store *up_pg_users_create(apr_pool_t *p, up_dbd_pool *pool, const up_model *model,
                                  const up_journal_settings *settings);

#endif
