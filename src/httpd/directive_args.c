/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/directive_args.h"

#include "core/model.h"
#include "core/text.h"
#include "core/wipe.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Postgres cuts longer names silently, and so would take another column. */
#define NAME_MAX_BYTES 63

up_config *up_said(cmd_parms *cmd)
{
    up_config *config = up_config_of(cmd->server);

    config->said = 1;
    return config;
}

apr_array_header_t *up_list(cmd_parms *cmd, apr_array_header_t **array, int size)
{
    if (!*array)
        *array = apr_array_make(cmd->pool, 8, size);
    return *array;
}

int up_is_printable(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return 0;
    }
    return 1;
}

static const char *check_identifier(cmd_parms *cmd, const char *name, apr_size_t len)
{
    if (len == 0 || len > NAME_MAX_BYTES || !up_is_printable(name) || !up_text_is_utf8(name, len))
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no name: 1 to %d bytes of UTF-8, no control characters",
                            cmd->cmd->name, name, NAME_MAX_BYTES);
    return NULL;
}

int up_is_none(const char *argument)
{
    return strcasecmp(argument, "none") == 0;
}

const char *up_check_name(cmd_parms *cmd, const char *name)
{
    return check_identifier(cmd, name, strlen(name));
}

const char *up_check_table(cmd_parms *cmd, const char *name)
{
    const char *dot = strchr(name, '.');
    const char *error;

    if (!dot)
        return up_check_name(cmd, name);
    if (strchr(dot + 1, '.'))
        return apr_psprintf(cmd->pool, "%s: '%s' has more than one dot; write schema.table",
                            cmd->cmd->name, name);
    error = check_identifier(cmd, name, (apr_size_t)(dot - name));
    return error ? error : check_identifier(cmd, dot + 1, strlen(dot + 1));
}

const char *up_option(const char *argument, const char *name)
{
    apr_size_t len = strlen(name);

    return strncmp(argument, name, len) == 0 && argument[len] == '=' ? argument + len + 1 : NULL;
}

const char *up_parse_int(cmd_parms *cmd, const char *what, const char *text, int min, int max,
                         int *value)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < min || number > max)
        return apr_psprintf(cmd->pool, "%s: %s is a whole number from %d to %d, not '%s'",
                            cmd->cmd->name, what, min, max, text);
    *value = (int)number;
    return NULL;
}

int up_parse_time(const char *text, apr_interval_time_t *value)
{
    static const char *const units[] = {"", "s", "ms", "mi", "min", "h"};
    const char *unit = text + strspn(text, "0123456789");
    size_t i;

    /* httpd's own function looks at a unit's first letters only. */
    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcasecmp(unit, units[i]) == 0 && unit > text &&
            ap_timeout_parameter_parse(text, value, "s") == APR_SUCCESS)
            return 0;
    }
    return -1;
}

const char *up_type_names(apr_pool_t *p)
{
    const char *names = up_type_name((up_type)0);
    int i;

    for (i = 1; i < UP_TYPES; i++)
        names = apr_pstrcat(p, names, i + 1 < UP_TYPES ? ", " : " and ", up_type_name((up_type)i),
                            NULL);
    return names;
}

/* Of the file itself, as it is open: what a symbolic link to it says does not matter. */
static void note_exposure(cmd_parms *cmd, apr_file_t *file, const char *name, int secret)
{
    apr_finfo_t info;
    int reads, writes;

    if (apr_file_info_get(&info, APR_FINFO_PROT | APR_FINFO_TYPE, file) != APR_SUCCESS ||
        info.filetype != APR_REG)
        return;
    reads = secret && info.protection & APR_FPROT_WREAD;
    writes = (info.protection & APR_FPROT_WWRITE) != 0;
    if (!reads && !writes)
        return;
    APR_ARRAY_PUSH(up_list(cmd, &up_said(cmd)->exposed, sizeof(const char *)), const char *) =
        apr_psprintf(cmd->pool,
                     "%s: the mode of the file %s lets everybody %s it, and it %s; chmod o%s it: "
                     "httpd reads it as it starts, as the user that starts it",
                     cmd->cmd->name, name,
                     reads && writes ? "read and change"
                     : reads         ? "read"
                                     : "change",
                     secret ? "holds a secret" : "says whose tokens are believed",
                     secret ? "=" : "-w");
}

const char *up_read_file(cmd_parms *cmd, const char *name, int secret, const unsigned char **data,
                         int *len)
{
    const char *path = ap_server_root_relative(cmd->pool, name);
    char *bytes = apr_palloc(cmd->pool, UP_SECRET_FILE_MAX + 1);
    apr_size_t size = 0;
    apr_file_t *file;
    apr_status_t status = path ? apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY,
                                               APR_OS_DEFAULT, cmd->temp_pool)
                               : APR_EBADPATH;
    char why[120];

    up_wipe_at_end(cmd->pool, bytes, UP_SECRET_FILE_MAX + 1);
    if (status == APR_SUCCESS) {
        note_exposure(cmd, file, name, secret);
        status = apr_file_read_full(file, bytes, UP_SECRET_FILE_MAX + 1, &size);
        apr_file_close(file);
        if (status == APR_EOF)
            status = APR_SUCCESS;
    }
    if (status != APR_SUCCESS)
        return apr_psprintf(cmd->pool, "%s: the file %s can't be read: %s", cmd->cmd->name, name,
                            apr_strerror(status, why, sizeof(why)));
    if (size > UP_SECRET_FILE_MAX)
        return apr_psprintf(cmd->pool, "%s: the file %s has more than %d bytes", cmd->cmd->name,
                            name, UP_SECRET_FILE_MAX);
    *len = up_secret_file_text(bytes, size);
    *data = (const unsigned char *)bytes;
    return NULL;
}

const char *up_secret_argument(cmd_parms *cmd, const char *argument, const char **value)
{
    const unsigned char *data = NULL;
    const char *error;
    int len;

    *value = argument;
    if (*argument != '@')
        return NULL;
    error = up_read_file(cmd, argument + 1, 1, &data, &len);
    *value = (const char *)data;
    return error;
}

void up_mask_argument(cmd_parms *cmd, const char *argument, const char *shown)
{
    ap_directive_t *directive = (ap_directive_t *)cmd->directive;
    const char *at;

    if (*argument == '@')
        return;
    at = strstr(directive->args, argument);
    /* Not found as it is where it was written with escapes. */
    directive->args = at ? apr_pstrcat(cmd->pool,
                                       apr_pstrmemdup(cmd->pool, directive->args,
                                                      (apr_size_t)(at - directive->args)),
                                       shown, at + strlen(argument), NULL)
                         : apr_pstrdup(cmd->pool, shown);
}
