/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/directives.h"

#include "httpd/config.h"
#include "httpd/directive_args.h"
#include "httpd/module.h"

#include <apr_strings.h>
#include <http_core.h>
#include <string.h>
#include <strings.h>

/* The configuration that a directive outside of sections fills. */
static up_config *said(cmd_parms *cmd)
{
    up_config *config = up_config_of(cmd->server);

    config->said = 1;
    return config;
}

static apr_array_header_t *list(cmd_parms *cmd, apr_array_header_t **array, int size)
{
    if (!*array)
        *array = apr_array_make(cmd->pool, 8, size);
    return *array;
}

static const char *set_resource(cmd_parms *cmd, void *locationv, int on)
{
    up_location *location = locationv;
    const ap_directive_t *parent = cmd->directive->parent;

    if (!cmd->path || !parent || strcasecmp(parent->directive, "<Location") != 0 ||
        *cmd->path != '/')
        return "UserProfile stands inside of <Location \"/path\">, the path of the resource";
    location->path = on ? apr_pstrdup(cmd->pool, cmd->path) : NULL;
    if (on)
        up_config_of(cmd->server)->used = 1;
    return NULL;
}

static const char *set_table(cmd_parms *cmd, void *unused, const char *name)
{
    (void)unused;
    said(cmd)->table = name;
    return up_check_table(cmd, name);
}

static const char *set_journal(cmd_parms *cmd, void *unused, const char *name)
{
    (void)unused;
    said(cmd)->journal = name;
    return up_check_table(cmd, name);
}

static const char *set_key_column(cmd_parms *cmd, void *unused, const char *name)
{
    (void)unused;
    said(cmd)->key = name;
    return up_check_name(cmd, name);
}

static const char *set_subject_column(cmd_parms *cmd, void *unused, const char *name,
                                      const char *type)
{
    up_config *config = said(cmd);

    (void)unused;
    config->subject = name;
    config->subject_type = UP_STRING;
    if (type && (up_type_find(type, &config->subject_type) ||
                 (config->subject_type != UP_STRING && config->subject_type != UP_EMAIL &&
                  config->subject_type != UP_UUID && config->subject_type != UP_INTEGER)))
        return apr_psprintf(cmd->pool, "%s: '%s' is no type of a subject; take string, email, uuid "
                            "or integer", cmd->cmd->name, type);
    return up_check_name(cmd, name);
}

/* One of a field's options: column=, min=, max=, or a word. */
static const char *set_field_option(cmd_parms *cmd, up_field *field, const char *option)
{
    const char *value;

    if (strcasecmp(option, "writable") == 0) {
        field->writable = 1;
        return NULL;
    }
    if (strcasecmp(option, "nullable") == 0) {
        field->nullable = 1;
        return NULL;
    }
    if ((value = up_option(option, "column"))) {
        field->column = value;
        return up_check_name(cmd, value);
    }
    if ((value = up_option(option, "min")))
        return up_parse_int(cmd, "min", value, 0, 65536, &field->min);
    if ((value = up_option(option, "max")))
        return up_parse_int(cmd, "max", value, 1, 65536, &field->max);
    return apr_psprintf(cmd->pool,
                        "%s: '%s' is no option; there are column=NAME, writable, nullable, min=N "
                        "and max=N",
                        cmd->cmd->name, option);
}

static const char *check_field(cmd_parms *cmd, const up_config *config, const up_field *field)
{
    int i;

    if (field->writable && !up_type_is_writable(field->type))
        return apr_psprintf(cmd->pool, "%s %s: a field of type %s can't be writable",
                            cmd->cmd->name, field->name, up_type_name(field->type));
    if (field->min > field->max)
        return apr_psprintf(cmd->pool, "%s %s: min=%d is more than max=%d", cmd->cmd->name,
                            field->name, field->min, field->max);
    for (i = 0; i < config->fields->nelts - 1; i++) {
        const up_field *other = &APR_ARRAY_IDX(config->fields, i, up_field);

        if (strcmp(other->name, field->name) == 0)
            return apr_psprintf(cmd->pool, "%s: the field %s is there already", cmd->cmd->name,
                                field->name);
        if (field->type == UP_AVATAR && other->type == UP_AVATAR)
            return apr_psprintf(cmd->pool, "%s %s: there is an avatar already, %s", cmd->cmd->name,
                                field->name, other->name);
    }
    return config->fields->nelts > UP_MAX_FIELDS
               ? apr_psprintf(cmd->pool, "%s: at most %d fields", cmd->cmd->name, UP_MAX_FIELDS)
               : NULL;
}

static const char *add_field(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_config *config = said(cmd);
    up_field *field;
    const char *error = NULL;
    int i;

    (void)unused;
    if (argc < 2)
        return apr_psprintf(cmd->pool, "%s takes a name and a type, then options", cmd->cmd->name);
    field = apr_array_push(list(cmd, &config->fields, sizeof(up_field)));
    *field = (up_field){.name = argv[0], .column = argv[0], .max = 255};
    if (up_type_find(argv[1], &field->type))
        return apr_psprintf(cmd->pool, "%s %s: '%s' is no type; there are %s", cmd->cmd->name,
                            argv[0], argv[1], up_type_names(cmd->pool));
    for (i = 2; i < argc && !error; i++)
        error = set_field_option(cmd, field, argv[i]);
    if (!error)
        error = up_check_name(cmd, field->name);
    return error ? error : check_field(cmd, config, field);
}

static const char *set_state_columns(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_config *config = said(cmd);
    const char *error = NULL;
    int i;

    (void)unused;
    config->state_set = 1;
    for (i = 0; i < argc && !error; i++) {
        const char *value;

        if ((value = up_option(argv[i], "deleted")))
            config->state.deleted = value;
        else if ((value = up_option(argv[i], "active")))
            config->state.active = value;
        else if ((value = up_option(argv[i], "updated")))
            config->state.updated = value;
        else if ((value = up_option(argv[i], "since")))
            config->state.since = value;
        else
            return apr_psprintf(cmd->pool,
                                "%s: '%s' is no option; there are deleted=COLUMN, active=COLUMN, "
                                "updated=COLUMN and since=COLUMN",
                                cmd->cmd->name, argv[i]);
        error = up_check_name(cmd, value);
    }
    return error;
}

static up_related *add_related(cmd_parms *cmd, const char *table, const char *column,
                               const char **error)
{
    up_related *related = apr_array_push(list(cmd, &said(cmd)->related, sizeof(up_related)));

    *related = (up_related){.table = table, .column = column};
    *error = up_check_table(cmd, table);
    if (!*error)
        *error = up_check_name(cmd, column);
    return related;
}

static const char *add_erase(cmd_parms *cmd, void *unused, const char *table, const char *column)
{
    const char *error;

    (void)unused;
    add_related(cmd, table, column, &error);
    return error;
}

static const char *add_anonymise(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_related *related;
    const char *error;
    int i;

    (void)unused;
    if (argc < 3)
        return apr_psprintf(cmd->pool,
                            "%s takes a table, its column that refers to the user, and what is "
                            "set: COLUMN for NULL or COLUMN=VALUE",
                            cmd->cmd->name);
    related = add_related(cmd, argv[0], argv[1], &error);
    related->anonymise = apr_array_make(cmd->pool, argc - 2, sizeof(up_constant));
    for (i = 2; i < argc && !error; i++) {
        up_constant *constant = apr_array_push(related->anonymise);
        const char *equals = strchr(argv[i], '=');

        constant->column = equals ? apr_pstrmemdup(cmd->pool, argv[i], (apr_size_t)(equals - argv[i]))
                                  : argv[i];
        constant->value = equals ? equals + 1 : NULL;
        error = up_check_name(cmd, constant->column);
    }
    return error;
}

static const char *set_methods(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    static const struct {
        const char *name;
        up_methods method;
    } methods[] = {{"GET", UP_ALLOW_GET},       {"PATCH", UP_ALLOW_PATCH},
                   {"PUT", UP_ALLOW_PUT},       {"DELETE", UP_ALLOW_DELETE},
                   {"avatar", UP_ALLOW_AVATAR}};
    up_config *config = said(cmd);
    unsigned int all = 0;
    int i;
    size_t j;

    (void)unused;
    for (i = 0; i < argc; i++) {
        unsigned int found = 0;

        for (j = 0; j < sizeof(methods) / sizeof(methods[0]); j++) {
            if (strcmp(argv[i], methods[j].name) == 0)
                found = methods[j].method;
        }
        if (!found)
            return apr_psprintf(cmd->pool,
                                "%s: '%s' can't be enabled; there are GET (which brings HEAD), "
                                "PATCH, PUT, DELETE and avatar",
                                cmd->cmd->name, argv[i]);
        all |= found;
    }
    config->methods = (up_methods)all;
    return all ? NULL : apr_psprintf(cmd->pool, "%s takes at least one method", cmd->cmd->name);
}

static const char *set_unknown_user(cmd_parms *cmd, void *unused, const char *status)
{
    (void)unused;
    if (strcmp(status, "401") != 0 && strcmp(status, "404") != 0)
        return apr_psprintf(cmd->pool, "%s is 401 or 404", cmd->cmd->name);
    said(cmd)->unknown_user = status[2] == '1' ? 401 : 404;
    return NULL;
}

static const char *set_timeouts(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_timeouts *timeouts = &said(cmd)->timeouts;
    const struct {
        const char *name;
        apr_interval_time_t *value;
    } names[] = {{"pool", &timeouts->pool},
                 {"statement", &timeouts->statement},
                 {"tokens", &timeouts->tokens},
                 {"connect", &timeouts->connect},
                 {"storage", &timeouts->storage}};
    int i;

    (void)unused;
    for (i = 0; i < argc; i++) {
        apr_interval_time_t *value = NULL;
        const char *text = NULL;
        size_t j;

        for (j = 0; j < sizeof(names) / sizeof(names[0]) && !text; j++) {
            text = up_option(argv[i], names[j].name);
            value = names[j].value;
        }
        if (!text || ap_timeout_parameter_parse(text, value, "s") != APR_SUCCESS ||
            *value < apr_time_from_msec(1) || *value > apr_time_from_sec(300))
            return apr_psprintf(cmd->pool,
                                "%s: '%s' is no timeout; write e.g. statement=3s, with one of "
                                "pool, statement, tokens, connect, storage, and 1ms to 300s",
                                cmd->cmd->name, argv[i]);
    }
    return argc ? NULL : apr_psprintf(cmd->pool, "%s takes at least one", cmd->cmd->name);
}

static const char *set_connections(cmd_parms *cmd, void *unused, const char *number)
{
    (void)unused;
    return up_parse_int(cmd, "connections", number, 1, 1000, &said(cmd)->connections);
}

static const char *add_token_key(cmd_parms *cmd, void *unused, const char *alg, const char *file,
                                 const char *option)
{
    up_key *key = apr_array_push(list(cmd, &said(cmd)->keys, sizeof(up_key)));
    const char *error;

    (void)unused;
    *key = (up_key){.kid = option ? up_option(option, "kid") : NULL};
    if (up_alg_find(alg, &key->alg))
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no algorithm; there are HS256, HS384, HS512, RS256, RS384, "
                            "RS512, ES256, ES384 and ES512",
                            cmd->cmd->name, alg);
    if (option && (!key->kid || !*key->kid))
        return apr_psprintf(cmd->pool, "%s: '%s' is no option; there is kid=ID", cmd->cmd->name,
                            option);
    error = up_read_file(cmd, file, &key->data, &key->len);
    if (error)
        return error;
    error = up_key_check(key);
    return error ? apr_psprintf(cmd->pool, "%s %s %s: %s", cmd->cmd->name, alg, file, error) : NULL;
}

static const char *add_token_claim(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_claim_rule *rule;
    int i;

    (void)unused;
    if (argc < 1 || !*argv[0])
        return apr_psprintf(cmd->pool, "%s takes a claim's name, then the values that are right",
                            cmd->cmd->name);
    if (strcmp(argv[0], "exp") == 0 || strcmp(argv[0], "nbf") == 0 || strcmp(argv[0], "sub") == 0)
        return apr_psprintf(cmd->pool, "%s: %s is always checked", cmd->cmd->name, argv[0]);
    rule = apr_array_push(list(cmd, &said(cmd)->claims, sizeof(up_claim_rule)));
    *rule = (up_claim_rule){.name = argv[0]};
    if (argc > 1)
        rule->values = apr_array_make(cmd->pool, argc - 1, sizeof(const char *));
    for (i = 1; i < argc; i++)
        APR_ARRAY_PUSH(rule->values, const char *) = argv[i];
    return NULL;
}

static const char *set_leeway(cmd_parms *cmd, void *unused, const char *seconds)
{
    up_config *config = said(cmd);

    (void)unused;
    config->leeway_set = 1;
    return up_parse_int(cmd, "leeway", seconds, 0, 300, &config->leeway);
}

static const char *set_token_store(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_config *config = said(cmd);
    const char *url, *error, *value;
    int i;

    (void)unused;
    if (argc < 1)
        return apr_psprintf(cmd->pool, "%s takes a URL, e.g. redis://127.0.0.1:6379/0",
                            cmd->cmd->name);
    config->redis = apr_pcalloc(cmd->pool, sizeof(*config->redis));
    for (i = 1; i < argc; i++) {
        if ((value = up_option(argv[i], "blacklist")))
            config->redis->blacklist_prefix = value;
        else if ((value = up_option(argv[i], "sessions")))
            config->redis->refresh_prefix = value;
        else
            return apr_psprintf(cmd->pool,
                                "%s: '%s' is no option; there are blacklist=PREFIX and "
                                "sessions=PREFIX",
                                cmd->cmd->name, argv[i]);
    }
    error = up_secret_argument(cmd, argv[0], &url);
    if (error)
        return error;
    error = up_redis_parse(cmd->pool, url, config->redis);
    if (error)
        return apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", error, NULL);
    up_mask_argument(cmd, argv[0], up_redis_display(cmd->pool, config->redis));
    return NULL;
}

static const char *set_cookie(cmd_parms *cmd, void *unused, const char *name,
                              const char *attributes)
{
    (void)unused;
    if (!*name || strpbrk(name, "()<>@,;:\\\"/[]?={} \t") || !up_is_printable(name))
        return apr_psprintf(cmd->pool, "%s: '%s' is no name of a cookie", cmd->cmd->name, name);
    if (attributes && !up_is_printable(attributes))
        return apr_psprintf(cmd->pool, "%s: the attributes have control characters",
                            cmd->cmd->name);
    said(cmd)->cookie = apr_pstrcat(cmd->pool, name, "=; Max-Age=0", attributes ? "; " : "",
                                    attributes, NULL);
    return NULL;
}

static const char *set_avatar_storage(cmd_parms *cmd, void *unused, const char *argument)
{
    up_config *config = said(cmd);
    const char *url, *error, *display;

    (void)unused;
    error = up_secret_argument(cmd, argument, &url);
    if (error)
        return error;
    config->cloudinary = NULL;
    config->folder = NULL;
    if (strncmp(url, "file:", 5) == 0) {
        config->folder = apr_pcalloc(cmd->pool, sizeof(*config->folder));
        error = up_folder_parse(cmd->pool, url, config->folder);
        display = error ? "" : up_folder_display(cmd->pool, config->folder);
    } else {
        config->cloudinary = apr_pcalloc(cmd->pool, sizeof(*config->cloudinary));
        error = up_cloudinary_parse(cmd->pool, url, config->cloudinary);
        display = error ? "" : up_cloudinary_display(cmd->pool, config->cloudinary);
    }
    if (error)
        return apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", error, NULL);
    up_mask_argument(cmd, argument, display);
    return NULL;
}

#define SERVER(kind, name, function, help) AP_INIT_##kind(name, function, NULL, RSRC_CONF, help)

const command_rec up_directives[] = {
    AP_INIT_FLAG("UserProfile", set_resource, NULL, ACCESS_CONF,
                 "On: this <Location> is the resource of the signed-in user"),

    SERVER(TAKE1, "UserProfileTable", set_table, "the users' table: name or schema.name"),
    SERVER(TAKE1, "UserProfileJournal", set_journal,
           "the journal's table (default userprofile_journal)"),
    SERVER(TAKE1, "UserProfileKeyColumn", set_key_column, "the primary key of the users' table"),
    SERVER(TAKE12, "UserProfileSubjectColumn", set_subject_column,
           "the column that a token's sub is looked up in, and its type (default string)"),
    SERVER(TAKE_ARGV, "UserProfileField", add_field,
           "name type [column=name] [writable] [nullable] [min=n] [max=n]"),
    SERVER(TAKE_ARGV, "UserProfileStateColumns", set_state_columns,
           "[deleted=column] [active=column] [updated=column] [since=column]"),
    SERVER(TAKE2, "UserProfileErase", add_erase,
           "a table and its column that refers to the user: its rows go with an erased account"),
    SERVER(TAKE_ARGV, "UserProfileAnonymise", add_anonymise,
           "table column name[=value]…: what is set in its rows as an account is erased"),

    SERVER(TAKE_ARGV, "UserProfileMethods", set_methods,
           "what is enabled: GET PATCH PUT DELETE avatar (default GET PATCH DELETE avatar)"),
    SERVER(TAKE1, "UserProfileUnknownUser", set_unknown_user,
           "what a token of nobody gets: 401 (the default) or 404"),

    SERVER(TAKE23, "UserProfileTokenKey", add_token_key,
           "algorithm file [kid=id]: a key that tokens are verified with"),
    SERVER(TAKE_ARGV, "UserProfileTokenClaim", add_token_claim,
           "name [value…]: a claim that a token must have, with one of these values"),
    SERVER(TAKE1, "UserProfileTokenLeeway", set_leeway, "seconds of clock skew (default 0)"),
    SERVER(TAKE_ARGV, "UserProfileTokenStore", set_token_store,
           "URL of Redis [blacklist=prefix] [sessions=prefix]; or @file with the URL"),
    SERVER(TAKE12, "UserProfileCookie", set_cookie,
           "the refresh token's cookie, cleared with the account, and its attributes"),

    SERVER(TAKE1, "UserProfileAvatarStorage", set_avatar_storage,
           "cloudinary://… or file://…; or @file with the URL"),

    SERVER(TAKE_ARGV, "UserProfileTimeout", set_timeouts,
           "name=time…: pool, statement, tokens, connect, storage"),
    SERVER(TAKE1, "UserProfileConnections", set_connections,
           "most database connections of a child, not above DBDMax (default 8)"),
    {.name = NULL}};
