/* SPDX-License-Identifier: Apache-2.0 */

/* The directives about the users' table. */
#include "httpd/directives.h"

#include "core/text.h"
#include "httpd/config.h"
#include "httpd/directive_args.h"

#include <apr_strings.h>
#include <string.h>
#include <strings.h>

/* Seconds of ten years. */
#define GRACE_MAX (3650 * 86400)

const char *up_set_table(cmd_parms *cmd, void *unused, const char *name)
{
    (void)unused;
    up_said(cmd)->table = name;
    return up_check_table(cmd, name);
}

const char *up_set_journal(cmd_parms *cmd, void *unused, const char *name)
{
    (void)unused;
    up_said(cmd)->journal = name;
    return up_check_table(cmd, name);
}

const char *up_set_key_column(cmd_parms *cmd, void *unused, const char *name)
{
    (void)unused;
    up_said(cmd)->key = name;
    return up_check_name(cmd, name);
}

const char *up_set_subject_column(cmd_parms *cmd, void *unused, const char *name, const char *type)
{
    up_config *config = up_said(cmd);

    (void)unused;
    config->subject = name;
    config->subject_type = UP_STRING;
    if (type && (up_type_find(type, &config->subject_type) ||
                 (config->subject_type != UP_STRING && config->subject_type != UP_UUID &&
                  config->subject_type != UP_INTEGER)))
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no type of a subject; take string, uuid or integer",
                            cmd->cmd->name, type);
    return up_check_name(cmd, name);
}

/* Is there a length to be measured: of text, or of an object's bytes? */
static const char *check_length_option(cmd_parms *cmd, const up_field *field, int is_min)
{
    const up_type type = field->type;

    if (type == UP_STRING || type == UP_URL || type == UP_EMAIL || (type == UP_JSON && !is_min))
        return NULL;
    return apr_psprintf(cmd->pool,
                        "%s %s: a field of type %s has no %s; min is for string, url and email, "
                        "max for these and json",
                        cmd->cmd->name, field->name, up_type_name(type), is_min ? "min" : "max");
}

static const char *set_length(cmd_parms *cmd, up_field *field, int is_min, const char *value)
{
    const char *error = check_length_option(cmd, field, is_min);

    if (error)
        return error;
    return is_min ? up_parse_int(cmd, "min", value, 0, 65536, &field->min)
                  : up_parse_int(cmd, "max", value, 1, 65536, &field->max);
}

/* One of a field's options: column=, value=, min=, max=, or a word. */
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
    if ((field->value = up_option(option, "value")))
        return NULL;
    if ((value = up_option(option, "min")))
        return set_length(cmd, field, 1, value);
    if ((value = up_option(option, "max")))
        return set_length(cmd, field, 0, value);
    return apr_psprintf(cmd->pool,
                        "%s: '%s' is no option; there are column=NAME, value=CONSTANT, writable, "
                        "nullable, min=N and max=N",
                        cmd->cmd->name, option);
}

/* What is right for one field alone. */
static const char *check_options(cmd_parms *cmd, const up_field *field)
{
    const char *type = up_type_name(field->type);

    if (field->writable && !up_type_is_writable(field->type))
        return apr_psprintf(cmd->pool, "%s %s: a field of type %s can't be writable",
                            cmd->cmd->name, field->name, type);
    if (field->min > field->max)
        return apr_psprintf(cmd->pool, "%s %s: min=%d is more than max=%d", cmd->cmd->name,
                            field->name, field->min, field->max);
    if (field->value && field->column != field->name)
        return apr_psprintf(cmd->pool, "%s %s: column=%s or value=%s, not both", cmd->cmd->name,
                            field->name, field->column, field->value);
    if (field->value &&
        (field->writable || field->nullable || field->type == UP_AVATAR || field->type == UP_JSON ||
         field->type == UP_EPOCH_MS || field->type == UP_TIMESTAMP))
        return apr_psprintf(cmd->pool,
                            "%s %s: a constant (value=) is neither writable nor nullable, and of "
                            "type string, integer, boolean, uuid, url, email or language",
                            cmd->cmd->name, field->name);
    if (field->value && (!up_type_holds(field->type, field->value) ||
                         !up_text_is_utf8(field->value, strlen(field->value))))
        return apr_psprintf(cmd->pool, "%s %s: the constant '%s' is no %s", cmd->cmd->name,
                            field->name, field->value, type);
    return NULL;
}

/* By a client's text, or by its picture. */
static int is_changeable(const up_field *field)
{
    return field->writable || field->type == UP_AVATAR;
}

/* What is right for a field beside the others. */
static const char *check_field(cmd_parms *cmd, const up_config *config, const up_field *field)
{
    int i;

    for (i = 0; i < config->fields->nelts - 1; i++) {
        const up_field *other = &APR_ARRAY_IDX(config->fields, i, up_field);

        if (strcmp(other->name, field->name) == 0)
            return apr_psprintf(cmd->pool, "%s: the field %s is there already", cmd->cmd->name,
                                field->name);
        if (field->type == UP_AVATAR && other->type == UP_AVATAR)
            return apr_psprintf(cmd->pool, "%s %s: there is an avatar already, %s", cmd->cmd->name,
                                field->name, other->name);
        if (is_changeable(field) && is_changeable(other) &&
            strcmp(other->column, field->column) == 0)
            return apr_psprintf(cmd->pool, "%s %s: the column %s can be changed as %s already",
                                cmd->cmd->name, field->name, field->column, other->name);
    }
    if (config->fields->nelts > UP_MAX_FIELDS)
        return apr_psprintf(cmd->pool, "%s: at most %d fields", cmd->cmd->name, UP_MAX_FIELDS);
    return check_options(cmd, field);
}

const char *up_add_field(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_config *config = up_said(cmd);
    up_field *field;
    const char *error = NULL;
    int i;

    (void)unused;
    if (argc < 2)
        return apr_psprintf(cmd->pool, "%s takes a name and a type, then options", cmd->cmd->name);
    field = apr_array_push(up_list(cmd, &config->fields, sizeof(up_field)));
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

const char *up_set_state_columns(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    up_config *config = up_said(cmd);
    const char *error = NULL;
    int i;

    (void)unused;
    config->state_set = 1;
    if (argc == 1 && up_is_none(argv[0]))
        return NULL;
    if (argc < 1)
        return apr_psprintf(cmd->pool,
                            "%s takes at least one of deleted=COLUMN, active=COLUMN, "
                            "updated=COLUMN, since=COLUMN and version=COLUMN, or none",
                            cmd->cmd->name);
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
        else if ((value = up_option(argv[i], "version")))
            config->state.version = value;
        else
            return apr_psprintf(cmd->pool,
                                "%s: '%s' is no option; there are deleted=COLUMN, active=COLUMN, "
                                "updated=COLUMN, since=COLUMN and version=COLUMN, or none alone",
                                cmd->cmd->name, argv[i]);
        error = up_check_name(cmd, value);
    }
    return error;
}

/* In days usually, for which httpd has no unit. */
static int parse_period(const char *text, int *seconds)
{
    static const struct {
        const char *unit;
        int seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    const char *unit = text + strspn(text, "0123456789");
    apr_int64_t number = unit - text <= 10 ? apr_atoi64(text) : 0;
    size_t i;

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcasecmp(unit, units[i].unit) == 0 && number >= 1 &&
            number <= GRACE_MAX / units[i].seconds) {
            *seconds = (int)number * units[i].seconds;
            return 0;
        }
    }
    return -1;
}

const char *up_set_grace(cmd_parms *cmd, void *unused, const char *period)
{
    up_config *config = up_said(cmd);

    (void)unused;
    config->grace_set = 1;
    config->grace = 0;
    if (up_is_none(period) || parse_period(period, &config->grace) == 0)
        return NULL;
    return apr_psprintf(cmd->pool,
                        "%s: '%s' is no period; write e.g. 30d, with one of d, h, min and s, up to "
                        "3650d, or none",
                        cmd->cmd->name, period);
}

const char *up_add_condition(cmd_parms *cmd, void *unused, const char *column, const char *value)
{
    apr_array_header_t *conditions = up_list(cmd, &up_said(cmd)->conditions, sizeof(up_constant));

    (void)unused;
    if (!value && up_is_none(column)) {
        apr_array_clear(conditions);
        return NULL;
    }
    if (!value || !up_text_is_utf8(value, strlen(value)))
        return apr_psprintf(cmd->pool,
                            "%s takes a column and the value that it has in the rows "
                            "that are users, or none",
                            cmd->cmd->name);
    APR_ARRAY_PUSH(conditions, up_constant) = (up_constant){.column = column, .value = value};
    return up_check_name(cmd, column);
}

static up_related *add_related(cmd_parms *cmd, const char *table, const char *column,
                               const char **error)
{
    up_related *related = apr_array_push(up_list(cmd, &up_said(cmd)->related, sizeof(up_related)));

    *related = (up_related){.table = table, .column = column};
    *error = up_check_table(cmd, table);
    if (!*error)
        *error = up_check_name(cmd, column);
    return related;
}

const char *up_add_erase(cmd_parms *cmd, void *unused, const char *table, const char *column)
{
    const char *error;

    (void)unused;
    if (!column && up_is_none(table)) {
        apr_array_clear(up_list(cmd, &up_said(cmd)->related, sizeof(up_related)));
        return NULL;
    }
    if (!column)
        return apr_psprintf(cmd->pool,
                            "%s takes a table and its column that refers to the user's "
                            "key, or none",
                            cmd->cmd->name);
    add_related(cmd, table, column, &error);
    return error;
}

const char *up_add_anonymise(cmd_parms *cmd, void *unused, int argc, char *const argv[])
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

        constant->column =
            equals ? apr_pstrmemdup(cmd->pool, argv[i], (apr_size_t)(equals - argv[i])) : argv[i];
        constant->value = equals ? equals + 1 : NULL;
        error = up_check_name(cmd, constant->column);
    }
    return error;
}
