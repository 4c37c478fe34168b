/* SPDX-License-Identifier: Apache-2.0 */

/** The user store on Postgres: mod_dbd's connections, libpq's statements. */
#ifndef UP_PG_USERS_H
#define UP_PG_USERS_H

#include "adapters/dbd_pool.h"
#include "core/model.h"
#include "ports/user_store.h"

typedef struct up_pg_settings {
    const char *owner; /* names this process in the journal, e.g. node:pid:start */
    int lease;         /* seconds for which a journal entry is this request's own: longer than
                          all waits of a request */
} up_pg_settings;

/** Makes the store. The pool of connections and the model must live as long as
 *  p, the child's pool. @return never NULL. */
up_user_store *up_pg_users_create(apr_pool_t *p, up_dbd_pool *pool, const up_model *model,
                                  const up_pg_settings *settings);

#endif
