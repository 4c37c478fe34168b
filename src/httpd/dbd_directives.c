/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/dbd_directives.h"

#include <apr_strings.h>
#include <http_config.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* apr_dbd's names of the databases that there are rooms for. */
#define POSTGRES "pgsql"
#define SQLITE "sqlite3"

/* What mod_dbd takes where nothing is said. */
#define DBD_MIN_DEFAULT 1
#define DBD_KEEP_DEFAULT 2
#define DBD_MAX_DEFAULT 10
#define DBD_EXPTIME_DEFAULT 300

/* The arguments of the last directive of this name among these siblings. Those that
 * are hidden are still there: see hide_passwords(). */
static const char *last_of(const ap_directive_t *node, const char *name)
{
    const char *args = NULL;

    for (; node; node = node->next) {
        if (strcasecmp(node->directive, name) == 0)
            args = node->data ? node->data : node->args;
    }
    return args;
}

static const ap_directive_t *section_of(const server_rec *s)
{
    const ap_directive_t *node;

    for (node = ap_conftree; node; node = node->next) {
        if (strcasecmp(node->directive, "<VirtualHost") == 0 && s->defn_name &&
            node->line_num == (int)s->defn_line_number && strcmp(node->filename, s->defn_name) == 0)
            return node->first_child;
    }
    return NULL;
}

/* As mod_dbd merges them: what the virtual host says, else what the main server says. */
static const char *args_for(apr_pool_t *p, const server_rec *s, const char *name)
{
    const char *args = s->is_virtual ? last_of(section_of(s), name) : NULL;

    if (!args)
        args = last_of(ap_conftree, name);
    return args ? ap_getword_conf(p, &args) : NULL;
}

int up_dbd_is_own(const server_rec *s)
{
    const ap_directive_t *section = section_of(s);

    return last_of(section, "DBDriver") || last_of(section, "DBDParams");
}

/* libpq's password and sslpassword, in its own form or as a URI. */
static int has_password(const char *args)
{
    return ap_strcasestr(args, "password") || strstr(args, "://");
}

static void hide_passwords(apr_pool_t *p, ap_directive_t *node)
{
    for (; node; node = node->next) {
        hide_passwords(p, node->first_child);
        if (strcasecmp(node->directive, "DBDParams") != 0 || !has_password(node->args))
            continue;
        /* A place in the tree for the directive's own module, which mod_dbd leaves empty. */
        node->data = (void *)node->args;
        node->args = apr_pstrdup(p, "\"(not shown: it has a password)\"");
    }
}

void up_dbd_hide_passwords(apr_pool_t *p)
{
    hide_passwords(p, ap_conftree);
}

static long number_for(apr_pool_t *p, const server_rec *s, const char *name, long otherwise)
{
    const char *number = args_for(p, s, name);

    return number ? strtol(number, NULL, 10) : otherwise;
}

const char *up_dbd_database(apr_pool_t *p, const server_rec *s)
{
    const char *driver = args_for(p, s, "DBDriver"), *params = args_for(p, s, "DBDParams");

    return apr_psprintf(p, "%s %ld %ld %ld %ld %s", driver ? driver : "",
                        number_for(p, s, "DBDMin", DBD_MIN_DEFAULT),
                        number_for(p, s, "DBDKeep", DBD_KEEP_DEFAULT),
                        number_for(p, s, "DBDMax", DBD_MAX_DEFAULT),
                        number_for(p, s, "DBDExptime", DBD_EXPTIME_DEFAULT), params ? params : "");
}

int up_dbd_is_sqlite(apr_pool_t *p, const server_rec *s)
{
    const char *driver = args_for(p, s, "DBDriver");

    return driver && strcmp(driver, SQLITE) == 0;
}

/* Relative to what, nobody could say; and in memory each connection has its own. */
static const char *misfit_file(apr_pool_t *p, const server_rec *s)
{
    const char *file = args_for(p, s, "DBDParams");

    if (file && *file == '/')
        return NULL;
    return apr_psprintf(p,
                        "DBDParams is %s: with DBDriver " SQLITE " it is the absolute path of the "
                        "database's file, e.g. DBDParams /var/lib/userprofile/userprofile.db",
                        file ? file : "missing");
}

const char *up_dbd_misfit(apr_pool_t *p, const server_rec *s, int connections)
{
    const char *driver = args_for(p, s, "DBDriver"), *error;
    long most = number_for(p, s, "DBDMax", DBD_MAX_DEFAULT);

    if (!driver)
        return "DBDriver is missing: say where the users' table is, e.g. DBDriver pgsql and "
               "DBDParams \"host=/var/run/postgresql dbname=users\"";
    if (strcmp(driver, POSTGRES) != 0 && strcmp(driver, SQLITE) != 0)
        return apr_psprintf(p, "DBDriver is %s: UserProfile needs " POSTGRES " or " SQLITE, driver);
    error = strcmp(driver, SQLITE) == 0 ? misfit_file(p, s) : NULL;
    if (error)
        return error;
    /* Beyond DBDMax mod_dbd would wait for ever. */
    if (connections > most)
        return apr_psprintf(p,
                            "UserProfileConnections %d is more than DBDMax %ld: lower the one or "
                            "raise the other",
                            connections, most);
    return NULL;
}
