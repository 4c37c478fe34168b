/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The token store in two tables of the users' database, of either kind. Times in them are
 * whole numbers, seconds since 1970:
 *
 *   blacklist   jti, expires_at: an access token that is revoked until then
 *   sessions    token, subject, expires_at: a refresh token of this subject
 *
 * The login service writes the second and may write the first. What has expired counts
 * for nothing, and is deleted by expire().
 */
#ifndef UP_SQL_TOKENS_H
#define UP_SQL_TOKENS_H

#include "adapters/sql_statement.h"
#include "ports/token_store.h"

/** What the tables are called where nothing was said. */
#define UP_SQL_TOKENS_BLACKLIST "blacklisted_access_tokens"
#define UP_SQL_TOKENS_SESSIONS "refresh_tokens"

typedef struct up_sql_tokens_settings {
    const char *blacklist, *sessions; /* the tables: "name" or "schema.name", unquoted */
} up_sql_tokens_settings;

/** The settings for a log, in p. */
const char *up_sql_tokens_display(apr_pool_t *p, const up_sql_tokens_settings *settings);

/** Makes a token store. The database must live as long as p, the child's pool.
 *  @return never NULL. */
up_token_store *up_sql_tokens_create(apr_pool_t *p, up_sql_database *database,
                                     const up_sql_tokens_settings *settings);

#endif
