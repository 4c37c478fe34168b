/* SPDX-License-Identifier: Apache-2.0 */

/** The journal, on either database. */
#ifndef UP_SQL_JOURNAL_H
#define UP_SQL_JOURNAL_H

#include "adapters/sql_statement.h"
#include "ports/journal.h"

/** How this process is known in the journal. */
typedef struct up_journal_settings {
    const char *owner; /* names this process, e.g. node:pid:start */
    int lease;         /* seconds for which an entry is this request's own: longer than all
                          waits of a request */
} up_journal_settings;

/** Makes the journal of a contract. The database, the model and the settings' strings must
 *  live as long as p, the child's pool. @return never NULL. */
up_journal *up_sql_journal_create(apr_pool_t *p, up_sql_database *database, const up_model *model,
                                  const up_journal_settings *settings);

#endif
