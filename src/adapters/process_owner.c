/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/process_owner.h"

#include <apr_file_io.h>
#include <apr_network_io.h>
#include <apr_strings.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROC_FILE_MAX 1024

/* The first bytes of a file of /proc, or NULL where there is none. */
static char *read_proc(apr_pool_t *p, const char *path)
{
    char *text = apr_palloc(p, PROC_FILE_MAX + 1);
    apr_size_t len = PROC_FILE_MAX;
    apr_file_t *file;

    if (apr_file_open(&file, path, APR_FOPEN_READ, APR_OS_DEFAULT, p) != APR_SUCCESS)
        return NULL;
    if (apr_file_read(file, text, &len) != APR_SUCCESS)
        len = 0;
    apr_file_close(file);
    text[len] = '\0';
    return text;
}

/* proc(5): the 22nd field of stat. The second, a name in parentheses, may hold
 * anything, so fields are counted from the last parenthesis. */
static const char *start_of(apr_pool_t *p, const char *pid)
{
    char *stat = read_proc(p, apr_pstrcat(p, "/proc/", pid, "/stat", NULL));
    char *field = stat ? strrchr(stat, ')') : NULL;
    int i;

    for (i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    return field ? apr_pstrmemdup(p, field + 1, strcspn(field + 1, " \n")) : NULL;
}

static const char *boot_id(apr_pool_t *p)
{
    char *id = read_proc(p, "/proc/sys/kernel/random/boot_id");

    return id ? apr_pstrmemdup(p, id, strcspn(id, "-\n")) : "";
}

/* "pid:[4026531836]" has the namespace's number. */
static const char *pid_namespace(apr_pool_t *p)
{
    char link[64];
    ssize_t len = readlink("/proc/self/ns/pid", link, sizeof(link) - 1);
    const char *number;

    if (len <= 0)
        return "";
    link[len] = '\0';
    number = strchr(link, '[');
    return number ? apr_pstrmemdup(p, number + 1, strcspn(number + 1, "]")) : "";
}

const char *up_owner_node(apr_pool_t *p)
{
    char host[APRMAXHOSTLEN + 1] = "localhost";

    apr_gethostname(host, sizeof(host), p);
    return apr_pstrcat(p, host, "/", boot_id(p), "/", pid_namespace(p), ":", NULL);
}

const char *up_owner_name(apr_pool_t *p)
{
    const char *start = start_of(p, "self");

    return apr_psprintf(p, "%s%" APR_PID_T_FMT ":%s", up_owner_node(p), getpid(),
                        start ? start : "0");
}

int up_owner_is_dead(apr_pool_t *p, const char *owner)
{
    const char *node = up_owner_node(p);
    const char *pid, *start, *colon;

    if (strncmp(owner, node, strlen(node)) != 0)
        return 0;
    pid = owner + strlen(node);
    colon = strchr(pid, ':');
    if (!colon || colon == pid || strspn(pid, "0123456789") != (size_t)(colon - pid))
        return 0;
    start = start_of(p, apr_pstrmemdup(p, pid, (apr_size_t)(colon - pid)));
    /* What /proc does not show may be hidden, or out of reach for the moment. */
    if (!start)
        return kill((pid_t)strtol(pid, NULL, 10), 0) != 0 && errno == ESRCH;
    return strcmp(start, colon + 1) != 0;
}
