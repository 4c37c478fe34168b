/* SPDX-License-Identifier: Apache-2.0 */

/* The directives about the resource, its answers, its storage and its limits. */
#include "httpd/directives.h"

#include "httpd/config.h"
#include "httpd/directive_args.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <http_core.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Its path is compared with the request's as it is: no pattern, and no slash
 * at its end, as avatar follows after one. */
static int is_plain_location(const cmd_parms *cmd)
{
    const ap_directive_t *parent = cmd->directive->parent;
    apr_size_t len = cmd->path ? strlen(cmd->path) : 0;

    return parent && strcasecmp(parent->directive, "<Location") == 0 && len > 1 &&
           cmd->path[0] == '/' && cmd->path[len - 1] != '/' && !strpbrk(cmd->path, "*?[") &&
           parent->args[strspn(parent->args, " \t")] != '~';
}

const char *up_set_resource(cmd_parms *cmd, void *locationv, int on)
{
    up_location *location = locationv;

    if (!is_plain_location(cmd))
        return "UserProfile stands inside of <Location \"/path\">, where /path is that of the "
               "resource: no pattern, and no slash at its end";
    location->path = on ? apr_pstrdup(cmd->pool, cmd->path) : NULL;
    location->path_set = 1;
    if (on)
        up_config_of(cmd->server)->used = 1;
    return NULL;
}

const char *up_set_methods(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    static const struct {
        const char *name;
        up_methods method;
    } methods[] = {{"GET", UP_ALLOW_GET},
                   {"PATCH", UP_ALLOW_PATCH},
                   {"PUT", UP_ALLOW_PUT},
                   {"DELETE", UP_ALLOW_DELETE},
                   {"avatar", UP_ALLOW_AVATAR}};
    up_config *config = up_said(cmd);
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

const char *up_set_unknown_user(cmd_parms *cmd, void *unused, const char *status)
{
    (void)unused;
    if (strcmp(status, "401") != 0 && strcmp(status, "404") != 0)
        return apr_psprintf(cmd->pool, "%s is 401 or 404", cmd->cmd->name);
    up_said(cmd)->unknown_user = status[2] == '1' ? 401 : 404;
    return NULL;
}

const char *up_set_timeouts(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_timeouts *timeouts = &up_said(cmd)->timeouts;
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
        if (!text || up_parse_time(text, value) || *value < apr_time_from_msec(1) ||
            *value > apr_time_from_sec(300))
            return apr_psprintf(cmd->pool,
                                "%s: '%s' is no timeout; write e.g. statement=3s, with one of "
                                "pool, statement, tokens, connect, storage, and 1ms to 300s",
                                cmd->cmd->name, argv[i]);
    }
    return argc ? NULL : apr_psprintf(cmd->pool, "%s takes at least one", cmd->cmd->name);
}

const char *up_set_connections(cmd_parms *cmd, void *unused, const char *number)
{
    (void)unused;
    return up_parse_int(cmd, "connections", number, 1, 1000, &up_said(cmd)->connections);
}

const char *up_set_avatar_storage(cmd_parms *cmd, void *unused, const char *argument)
{
    up_config *config = up_said(cmd);
    const char *url, *error, *display;

    (void)unused;
    config->avatars_set = 1;
    config->cloudinary = NULL;
    config->folder = NULL;
    if (up_is_none(argument))
        return NULL;
    error = up_secret_argument(cmd, argument, &url);
    if (error)
        return error;
    if (strncasecmp(url, "file:", 5) != 0 && strncasecmp(url, "cloudinary:", 11) != 0)
        return apr_psprintf(cmd->pool,
                            "%s takes a URL, cloudinary://KEY:SECRET@CLOUD or file:///path?url=/"
                            "avatars; or @file with such a URL; or none",
                            cmd->cmd->name);
    if (strncasecmp(url, "file:", 5) == 0) {
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

/* The digits at *text, which is moved behind them. @return 0 where they are no number of pixels. */
static int parse_pixels(const char **text)
{
    apr_size_t len = strspn(*text, "0123456789");
    long number = len <= 5 ? strtol(*text, NULL, 10) : 0;

    *text += len;
    return number <= UP_DIMENSION_MAX ? (int)number : 0;
}

const char *up_set_avatar_dimensions(cmd_parms *cmd, void *unused, const char *argument)
{
    up_dimensions *most = &up_said(cmd)->avatar_most;
    const char *at = argument;

    (void)unused;
    most->width = parse_pixels(&at);
    at += *at == 'x' || *at == 'X';
    most->height = parse_pixels(&at);
    if (most->width && most->height && !*at)
        return NULL;
    return apr_psprintf(
        cmd->pool, "%s: '%s' is no WIDTHxHEIGHT; write e.g. 8192x8192, each from 1 to %d pixels",
        cmd->cmd->name, argument, UP_DIMENSION_MAX);
}

const char *up_set_sweep(cmd_parms *cmd, void *unused, const char *seconds)
{
    up_config *config = up_said(cmd);

    (void)unused;
    config->sweep_set = 1;
    return up_parse_int(cmd, "sweep", seconds, 0, 3600, &config->sweep);
}

const char *up_set_unknown_fields(cmd_parms *cmd, void *unused, const char *what)
{
    (void)unused;
    if (strcasecmp(what, "ignore") != 0 && strcasecmp(what, "refuse") != 0)
        return apr_psprintf(cmd->pool, "%s is ignore or refuse", cmd->cmd->name);
    up_said(cmd)->unknown_fields =
        strcasecmp(what, "refuse") == 0 ? UP_UNKNOWN_REFUSED : UP_UNKNOWN_IGNORED;
    return NULL;
}

const char *up_set_errors(cmd_parms *cmd, void *unused, const char *format, const char *base)
{
    up_config *config = up_said(cmd);

    (void)unused;
    if (strcasecmp(format, "json") == 0 && !base) {
        config->errors = UP_ERRORS_JSON;
    } else if (strcasecmp(format, "problem") == 0) {
        config->errors = UP_ERRORS_PROBLEM;
        config->problem_base = base ? base : UP_PROBLEM_BASE;
    } else {
        return apr_psprintf(
            cmd->pool,
            "%s is json, or problem and the URI that types begin with (default " UP_PROBLEM_BASE
            ")",
            cmd->cmd->name);
    }
    return base && (!up_is_printable(base) || strpbrk(base, " <>\""))
               ? apr_psprintf(cmd->pool, "%s: '%s' is no URI", cmd->cmd->name, base)
               : NULL;
}

/* As JSON: what is no number or truth value is a string. NULL where it is not UTF-8. */
static const char *envelope_value(cmd_parms *cmd, const char *text, int only_string)
{
    json_t *value = only_string ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
    char *dumped;
    const char *json;

    if (!json_is_number(value) && !json_is_boolean(value)) {
        json_decref(value);
        value = json_string(text);
    }
    dumped = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    json = dumped ? apr_pstrdup(cmd->pool, dumped) : NULL;
    free(dumped);
    json_decref(value);
    return json;
}

/* One member: NAME=VALUE, or NAME, whose value is the profile. Returns what comes
 * before the value, and the value itself (NULL: the profile) through *value. */
static const char *envelope_member(cmd_parms *cmd, const char *argument, apr_hash_t *names,
                                   const char **value)
{
    const char *equals = strchr(argument, '=');
    const char *name =
        equals ? apr_pstrmemdup(cmd->pool, argument, (apr_size_t)(equals - argument)) : argument;
    const char *quoted = *name ? envelope_value(cmd, name, 1) : NULL;

    *value = equals ? envelope_value(cmd, equals + 1, 0) : NULL;
    if (!quoted || (equals && !*value) || apr_hash_get(names, name, APR_HASH_KEY_STRING))
        return NULL;
    apr_hash_set(names, name, APR_HASH_KEY_STRING, "");
    return apr_pstrcat(cmd->pool, apr_hash_count(names) > 1 ? "," : "{", quoted, ":", NULL);
}

/* Makes the text before the profile and the text after it. */
const char *up_set_envelope(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_config *config = up_said(cmd);
    up_envelope *envelope = apr_pcalloc(cmd->pool, sizeof(*envelope));
    apr_hash_t *names = apr_hash_make(cmd->temp_pool);
    const char *text = "";
    int i;

    (void)unused;
    config->envelope_set = 1;
    config->envelope = NULL;
    if (argc == 1 && up_is_none(argv[0]))
        return NULL;
    for (i = 0; i < argc; i++) {
        const char *value, *member = envelope_member(cmd, argv[i], names, &value);

        if (!member || (!value && envelope->head))
            return apr_psprintf(cmd->pool,
                                "%s: '%s' is no member, or is there already; write NAME=VALUE, and "
                                "once NAME alone for the one that holds the profile",
                                cmd->cmd->name, argv[i]);
        text = apr_pstrcat(cmd->pool, text, member, value, NULL);
        if (!value) {
            envelope->head = text;
            text = "";
        }
    }
    if (!envelope->head)
        return apr_psprintf(cmd->pool,
                            "%s: name the member that holds the profile, e.g. %s status=success "
                            "message=OK data; or none",
                            cmd->cmd->name, cmd->cmd->name);
    envelope->tail = apr_pstrcat(cmd->pool, text, "}", NULL);
    config->envelope = envelope;
    return NULL;
}
