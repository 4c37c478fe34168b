/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/dbd_directives.h"

#include <apr_strings.h>
#include <http_config.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What mod_dbd takes where nothing is said. */
#define DBD_MAX_DEFAULT 10

/* The arguments of the last directive of this name among these siblings. */
static const char *last_of(const ap_directive_t *node, const char *name)
{
    const char *args = NULL;

    for (; node; node = node->next) {
        if (strcasecmp(node->directive, name) == 0)
            args = node->args;
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

const char *up_dbd_misfit(apr_pool_t *p, const server_rec *s, int connections)
{
    const char *driver = args_for(p, s, "DBDriver");
    const char *max = args_for(p, s, "DBDMax");
    long most = max ? strtol(max, NULL, 10) : DBD_MAX_DEFAULT;

    if (!driver)
        return "DBDriver is missing: say where the users' table is, e.g. DBDriver pgsql and "
               "DBDParams \"host=/var/run/postgresql dbname=users\"";
    if (strcmp(driver, "pgsql") != 0)
        return apr_psprintf(p, "DBDriver is %s: UserProfile needs pgsql", driver);
    /* Beyond DBDMax mod_dbd would wait for ever. */
    if (connections > most)
        return apr_psprintf(p,
                            "UserProfileConnections %d is more than DBDMax %ld: lower the one or "
                            "raise the other",
                            connections, most);
    return NULL;
}
