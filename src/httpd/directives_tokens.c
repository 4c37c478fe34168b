/* SPDX-License-Identifier: Apache-2.0 */

/* The directives about tokens and sessions. */
#include "httpd/directives.h"

#include "core/text.h"
#include "httpd/config.h"
#include "httpd/directive_args.h"

#include <apr_strings.h>
#include <string.h>
#include <strings.h>

const char *up_add_token_key(cmd_parms *cmd, void *unused, const char *alg, const char *file,
                             const char *option)
{
    up_key *key = apr_array_push(up_list(cmd, &up_said(cmd)->keys, sizeof(up_key)));
    const char *error;

    (void)unused;
    *key = (up_key){.kid = option ? up_option(option, "kid") : NULL};
    if (up_alg_find(alg, &key->alg))
        return apr_psprintf(cmd->pool, "%s: '%s' is no algorithm; there are " UP_ALG_NAMES,
                            cmd->cmd->name, alg);
    if (option && (!key->kid || !*key->kid))
        return apr_psprintf(cmd->pool, "%s: '%s' is no option; there is kid=ID", cmd->cmd->name,
                            option);
    error = up_read_file(cmd, file, up_alg_is_secret(key->alg), &key->data, &key->len);
    if (error)
        return error;
    error = up_key_check(key);
    return error ? apr_psprintf(cmd->pool, "%s %s %s: %s", cmd->cmd->name, alg, file, error) : NULL;
}

static const char *check_claim_name(cmd_parms *cmd, const char *name)
{
    if (!*name || !up_text_is_utf8(name, strlen(name)))
        return apr_psprintf(cmd->pool, "%s takes a claim's name, then the values that are right",
                            cmd->cmd->name);
    if (strcmp(name, "exp") == 0 || strcmp(name, "nbf") == 0 || strcmp(name, "sub") == 0)
        return apr_psprintf(cmd->pool, "%s: %s is always checked", cmd->cmd->name, name);
    if (strcmp(name, "iat") == 0)
        return apr_psprintf(cmd->pool,
                            "%s: iat is a time and has no values; UserProfileStateColumns "
                            "since=COLUMN requires it",
                            cmd->cmd->name);
    return NULL;
}

const char *up_add_token_claim(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    apr_array_header_t *claims = up_list(cmd, &up_said(cmd)->claims, sizeof(up_claim_rule));
    const char *error = check_claim_name(cmd, argc > 0 ? argv[0] : "");
    up_claim_rule *rule;
    int i;

    (void)unused;
    if (error)
        return error;
    if (argc == 1 && up_is_none(argv[0])) {
        apr_array_clear(claims);
        return NULL;
    }
    rule = apr_array_push(claims);
    *rule = (up_claim_rule){.name = argv[0]};
    if (argc > 1)
        rule->values = apr_array_make(cmd->pool, argc - 1, sizeof(const char *));
    for (i = 1; i < argc; i++) {
        if (!*argv[i])
            return apr_psprintf(cmd->pool, "%s %s: a value is empty", cmd->cmd->name, argv[0]);
        APR_ARRAY_PUSH(rule->values, const char *) = argv[i];
    }
    return NULL;
}

const char *up_set_leeway(cmd_parms *cmd, void *unused, const char *seconds)
{
    up_config *config = up_said(cmd);

    (void)unused;
    config->leeway_set = 1;
    return up_parse_int(cmd, "leeway", seconds, 0, 300, &config->leeway);
}

/* "database": two tables of the users' database. */
static const char *set_token_tables(cmd_parms *cmd, up_config *config, int argc, char *const argv[])
{
    up_sql_tokens_settings *tables = apr_pcalloc(cmd->pool, sizeof(*tables));
    int i;

    *tables = (up_sql_tokens_settings){.blacklist = UP_SQL_TOKENS_BLACKLIST,
                                       .sessions = UP_SQL_TOKENS_SESSIONS};
    for (i = 1; i < argc; i++) {
        const char *blacklist = up_option(argv[i], "blacklist");
        const char *sessions = up_option(argv[i], "sessions");
        const char *table = blacklist ? blacklist : sessions;
        const char *error = table ? up_check_table(cmd, table) : NULL;

        if (error)
            return error;
        if (!table)
            return apr_psprintf(cmd->pool,
                                "%s: '%s' is no option; after database there are "
                                "blacklist=TABLE and sessions=TABLE",
                                cmd->cmd->name, argv[i]);
        if (blacklist)
            tables->blacklist = blacklist;
        else
            tables->sessions = sessions;
    }
    config->token_tables = tables;
    return NULL;
}

/* What may stand after the URL. */
typedef struct store_options {
    const char *blacklist, *sessions, *index; /* NULL: not said */
    int replicas;                             /* -1: not said */
    int fail_open, untracked;
} store_options;

/* One of two words. */
static const char *read_choice(cmd_parms *cmd, const char *option, const char *value,
                               const char *usual, const char *other, int *is_other)
{
    *is_other = strcasecmp(value, other) == 0;
    if (*is_other || strcasecmp(value, usual) == 0)
        return NULL;
    return apr_psprintf(cmd->pool, "%s: %s is %s or %s, not '%s'", cmd->cmd->name, option, usual,
                        other, value);
}

static const char *read_store_option(cmd_parms *cmd, store_options *options, int number,
                                     const char *argument)
{
    const char *value;

    if ((value = up_option(argument, "blacklist"))) {
        options->blacklist = value;
    } else if ((value = up_option(argument, "sessions"))) {
        options->sessions = value;
    } else if ((value = up_option(argument, "index"))) {
        if (!*value)
            return apr_psprintf(cmd->pool, "%s: index takes what the keys of the sets begin with",
                                cmd->cmd->name);
        options->index = value;
    } else if ((value = up_option(argument, "replicas"))) {
        return up_parse_int(cmd, "replicas", value, 0, 100, &options->replicas);
    } else if ((value = up_option(argument, "fail"))) {
        return read_choice(cmd, "fail", value, "closed", "open", &options->fail_open);
    } else if ((value = up_option(argument, "tracking"))) {
        return read_choice(cmd, "tracking", value, "on", "off", &options->untracked);
    } else {
        /* Not shown: it may be a piece of a URL that has a blank in its password. */
        return apr_psprintf(cmd->pool,
                            "%s: argument %d is no option; after the URL there are "
                            "blacklist=PREFIX and sessions=PREFIX, index=PREFIX, "
                            "replicas=NUMBER, fail=closed|open and tracking=on|off",
                            cmd->cmd->name, number);
    }
    return NULL;
}

static const char *read_store_url(cmd_parms *cmd, const char *argument,
                                  const store_options *options, up_redis_settings *redis)
{
    const char *url, *error = up_secret_argument(cmd, argument, &url);

    if (error)
        return error;
    redis->blacklist_prefix = options->blacklist;
    redis->refresh_prefix = options->sessions;
    redis->index_prefix = options->index;
    error = up_redis_parse(cmd->pool, url, redis);
    if (error)
        return apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", error, NULL);
    if (options->replicas >= 0)
        redis->replicas = options->replicas;
    redis->untracked = options->untracked;
    up_mask_argument(cmd, argument, up_redis_display(cmd->pool, redis));
    return NULL;
}

static const char *set_redis(cmd_parms *cmd, up_config *config, int argc, char *const argv[])
{
    store_options options = {.replicas = -1};
    const char *error = NULL;
    int i;

    for (i = 1; i < argc && !error; i++)
        error = read_store_option(cmd, &options, i + 1, argv[i]);
    if (error)
        return error;
    config->redis = apr_pcalloc(cmd->pool, sizeof(*config->redis));
    config->fail_open = options.fail_open;
    return read_store_url(cmd, argv[0], &options, config->redis);
}

const char *up_set_token_store(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_config *config = up_said(cmd);

    (void)unused;
    config->tokens_set = 1;
    config->redis = NULL;
    config->fail_open = 0;
    config->token_tables = NULL;
    if (argc < 1)
        return apr_psprintf(cmd->pool,
                            "%s takes a URL, e.g. redis://127.0.0.1:6379/0, or database, or none",
                            cmd->cmd->name);
    if (argc == 1 && up_is_none(argv[0]))
        return NULL;
    if (strcasecmp(argv[0], "database") == 0)
        return set_token_tables(cmd, config, argc, argv);
    return set_redis(cmd, config, argc, argv);
}

const char *up_set_cookie(cmd_parms *cmd, void *unused, const char *name, const char *attributes)
{
    up_config *config = up_said(cmd);

    (void)unused;
    config->cookie_set = 1;
    config->cookie = NULL;
    if (!attributes && up_is_none(name))
        return NULL;
    if (!*name || strpbrk(name, "()<>@,;:\\\"/[]?={} \t") || !up_is_printable(name))
        return apr_psprintf(cmd->pool, "%s: '%s' is no name of a cookie", cmd->cmd->name, name);
    if (attributes && !up_is_printable(attributes))
        return apr_psprintf(cmd->pool, "%s: the attributes have control characters",
                            cmd->cmd->name);
    config->cookie =
        apr_pstrcat(cmd->pool, name, "=; Max-Age=0", attributes ? "; " : "", attributes, NULL);
    return NULL;
}

const char *up_set_roles_claim(cmd_parms *cmd, void *unused, const char *name)
{
    (void)unused;
    up_said(cmd)->roles_claim = name;
    return *name ? NULL : apr_psprintf(cmd->pool, "%s takes the name of a claim", cmd->cmd->name);
}

const char *up_add_role_alias(cmd_parms *cmd, void *unused, const char *name, const char *role)
{
    apr_array_header_t *aliases = up_list(cmd, &up_said(cmd)->role_aliases, sizeof(up_role_alias));

    (void)unused;
    if (!role && up_is_none(name)) {
        apr_array_clear(aliases);
        return NULL;
    }
    if (!role || !*name || !*role)
        return apr_psprintf(cmd->pool,
                            "%s takes two roles: the one that tokens have, and the one "
                            "that it counts as; or none",
                            cmd->cmd->name);
    APR_ARRAY_PUSH(aliases, up_role_alias) = (up_role_alias){.name = name, .role = role};
    return NULL;
}
