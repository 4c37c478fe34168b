/* SPDX-License-Identifier: Apache-2.0 */

/** The directives: each fills its part of an up_config, or says in one sentence
 *  what is wrong with its arguments and what is right. */
#ifndef UP_DIRECTIVES_H
#define UP_DIRECTIVES_H

#include <httpd.h>
#include <http_config.h>

/** For the module record. */
extern const command_rec up_directives[];

/* About the users' table: directives_table.c */
const char *up_set_table(cmd_parms *cmd, void *unused, const char *name);
const char *up_set_journal(cmd_parms *cmd, void *unused, const char *name);
const char *up_set_key_column(cmd_parms *cmd, void *unused, const char *name);
const char *up_set_subject_column(cmd_parms *cmd, void *unused, const char *name, const char *type);
const char *up_add_field(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *up_set_state_columns(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *up_add_condition(cmd_parms *cmd, void *unused, const char *column, const char *value);
const char *up_add_erase(cmd_parms *cmd, void *unused, const char *table, const char *column);
const char *up_add_anonymise(cmd_parms *cmd, void *unused, int argc, char *const argv[]);

const char *up_set_grace(cmd_parms *cmd, void *unused, const char *period);

/* About tokens and sessions: directives_tokens.c */
const char *up_add_token_key(cmd_parms *cmd, void *unused, const char *alg, const char *file,
                             const char *option);
const char *up_add_token_claim(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *up_set_leeway(cmd_parms *cmd, void *unused, const char *seconds);
const char *up_set_token_store(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *up_set_cookie(cmd_parms *cmd, void *unused, const char *name, const char *attributes);

const char *up_set_roles_claim(cmd_parms *cmd, void *unused, const char *name);
const char *up_add_role_alias(cmd_parms *cmd, void *unused, const char *name, const char *role);

/* About the resource, its answers, its storage and its limits: directives_contract.c */
const char *up_set_resource(cmd_parms *cmd, void *locationv, int on);
const char *up_set_methods(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *up_set_unknown_user(cmd_parms *cmd, void *unused, const char *status);
const char *up_set_timeouts(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *up_set_connections(cmd_parms *cmd, void *unused, const char *number);
const char *up_set_avatar_storage(cmd_parms *cmd, void *unused, const char *argument);
const char *up_set_avatar_dimensions(cmd_parms *cmd, void *unused, const char *argument);

const char *up_set_sweep(cmd_parms *cmd, void *unused, const char *seconds);
const char *up_set_unknown_fields(cmd_parms *cmd, void *unused, const char *what);
const char *up_set_errors(cmd_parms *cmd, void *unused, const char *format, const char *base);
const char *up_set_envelope(cmd_parms *cmd, void *unused, int argc, char *const argv[]);

#endif
