/* SPDX-License-Identifier: Apache-2.0 */

/** The journal on Postgres. */
#ifndef UP_PG_JOURNAL_H
#define UP_PG_JOURNAL_H

#include "adapters/pg_users.h"
#include "ports/journal.h"

/** Makes the journal of a contract. @param p, pool, model, settings as for
 *  up_pg_users_create(). @return never NULL. */
up_journal *up_pg_journal_create(apr_pool_t *p, up_dbd_pool *pool, const up_model *model,
                                 const up_pg_settings *settings);

#endif
