/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/directives.h"

#include "httpd/config.h"
#include "httpd/directive_args.h"

#define SERVER(kind, name, function, help) AP_INIT_##kind(name, function, NULL, RSRC_CONF, help)

const command_rec up_directives[] = {
    /* Outside of sections too, where it says itself what is right. */
    AP_INIT_FLAG("UserProfile", up_set_resource, NULL, ACCESS_CONF | RSRC_CONF,
                 "On: this <Location> is the resource of the signed-in user"),

    SERVER(TAKE1, "UserProfileTable", up_set_table, "the users' table: name or schema.name"),
    SERVER(TAKE1, "UserProfileJournal", up_set_journal,
           "the journal's table (default userprofile_journal)"),
    SERVER(TAKE1, "UserProfileKeyColumn", up_set_key_column, "the primary key of the users' table"),
    SERVER(TAKE12, "UserProfileSubjectColumn", up_set_subject_column,
           "the column that a token's sub is looked up in, and its type (default string)"),
    SERVER(TAKE_ARGV, "UserProfileField", up_add_field,
           "name type [column=name | value=constant] [writable] [nullable] [min=n] [max=n]"),
    SERVER(TAKE_ARGV, "UserProfileStateColumns", up_set_state_columns,
           "[deleted=column] [active=column] [updated=column] [since=column] [version=column], "
           "or none"),
    SERVER(TAKE12, "UserProfileCondition", up_add_condition,
           "a column and its value: only rows that have it are users; or none"),
    SERVER(TAKE12, "UserProfileErase", up_add_erase,
           "a table and its column that refers to the user: its rows go with an erased account; "
           "or none"),
    SERVER(TAKE_ARGV, "UserProfileAnonymise", up_add_anonymise,
           "table column name[=value]...: what is set in its rows as an account is erased"),

    SERVER(TAKE1, "UserProfileGracePeriod", up_set_grace,
           "how long a soft-deleted account is kept before it is erased, e.g. 30d; or none"),

    SERVER(TAKE_ARGV, "UserProfileMethods", up_set_methods,
           "what is enabled: GET PATCH PUT DELETE avatar (default GET PATCH DELETE avatar)"),
    SERVER(TAKE1, "UserProfileUnknownUser", up_set_unknown_user,
           "what a token of nobody gets: 401 (the default) or 404"),
    SERVER(TAKE1, "UserProfileUnknownFields", up_set_unknown_fields,
           "ignore (the default) or refuse what a client can't write"),
    SERVER(TAKE12, "UserProfileErrors", up_set_errors,
           "json (the default), or problem and the URI that its types begin with"),
    SERVER(TAKE_ARGV, "UserProfileEnvelope", up_set_envelope,
           "name=value... and one name alone, the member that holds the profile; or none"),

    SERVER(TAKE23, "UserProfileTokenKey", up_add_token_key,
           "algorithm file [kid=id]: a key that tokens are verified with"),
    SERVER(TAKE_ARGV, "UserProfileTokenClaim", up_add_token_claim,
           "name [value...]: a claim that a token must have, with one of these values; or none"),
    SERVER(TAKE1, "UserProfileTokenLeeway", up_set_leeway, "seconds of clock skew (default 0)"),
    SERVER(TAKE1, "UserProfileRolesClaim", up_set_roles_claim,
           "the claim that Require userprofile-role looks at (default roles)"),
    SERVER(TAKE12, "UserProfileRoleAlias", up_add_role_alias,
           "a role that tokens have, and the one that it counts as; or none"),
    SERVER(
        TAKE_ARGV, "UserProfileTokenStore", up_set_token_store,
        "URL of Redis [blacklist=prefix] [sessions=prefix] [replicas=number] [fail=closed|open]; "
        "or @file with the URL; or none"),
    SERVER(TAKE12, "UserProfileCookie", up_set_cookie,
           "the refresh token's cookie, cleared with the account, and its attributes; or none"),

    SERVER(TAKE1, "UserProfileAvatarStorage", up_set_avatar_storage,
           "cloudinary://... or file://...; or @file with the URL; or none"),
    SERVER(TAKE1, "UserProfileAvatarDimensions", up_set_avatar_dimensions,
           "WIDTHxHEIGHT: the largest picture, in pixels (default 8192x8192)"),

    SERVER(TAKE_ARGV, "UserProfileTimeout", up_set_timeouts,
           "name=time...: pool, statement, tokens, connect, storage"),
    SERVER(TAKE1, "UserProfileConnections", up_set_connections,
           "most database connections of a child, not above DBDMax (default 8)"),
    SERVER(TAKE1, "UserProfileSweep", up_set_sweep,
           "seconds between two sweeps of the journal in the background (default 10), 0 for none"),
    {.name = NULL}};
