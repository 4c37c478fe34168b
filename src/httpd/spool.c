/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/spool.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

/* Not by apr_temp_dir_get(), which goes to another folder where this one is full: a
 * sysadmin has chosen it, for its size or for whoever else may read it. */
static const char *folder(void)
{
    const char *chosen = getenv("TMPDIR");

    return chosen && *chosen ? chosen : "/tmp";
}

static up_problem *failed(const up_spool *spool, const char *what, apr_status_t status)
{
    char why[120];

    return up_problem_logged(spool->pool, UP_SERVICE_UNAVAILABLE,
                             "a temporary file for an avatar can't be %s in %s: %s; free space "
                             "there, let httpd's user write there, or set another TMPDIR in "
                             "httpd's environment",
                             what, folder(), apr_strerror(status, why, sizeof(why)));
}

static up_problem *open_file(up_spool *spool)
{
    char *name = apr_pstrcat(spool->pool, folder(), "/userprofile.XXXXXX", NULL);
    apr_status_t status = apr_file_mktemp(&spool->file, name,
                                          APR_FOPEN_CREATE | APR_FOPEN_READ | APR_FOPEN_WRITE |
                                              APR_FOPEN_EXCL | APR_FOPEN_BINARY,
                                          spool->pool);

    if (status != APR_SUCCESS) {
        spool->file = NULL;
        return failed(spool, "opened", status);
    }
    /* From here on it lives as long as its descriptor, a kill -9 included. */
    apr_file_remove(name, spool->pool);
    return NULL;
}

static void keep_head(up_spool *spool, const char *data, apr_size_t len)
{
    apr_size_t have, room;

    if (spool->size >= UP_IMAGE_HEAD)
        return;
    have = (apr_size_t)spool->size;
    room = UP_IMAGE_HEAD - have;
    memcpy(spool->head + have, data, len < room ? len : room);
}

up_problem *up_spool_write(up_spool *spool, const char *data, apr_size_t len)
{
    up_problem *problem;
    apr_status_t status;

    if (len == 0)
        return NULL;
    if ((apr_off_t)len > spool->max - spool->size)
        return up_problem_make(spool->pool, UP_FILE_TOO_LARGE, NULL);
    if (!spool->file && (problem = open_file(spool)))
        return problem;
    keep_head(spool, data, len);
    status = apr_file_write_full(spool->file, data, len, NULL);
    if (status != APR_SUCCESS)
        return failed(spool, "written", status);
    spool->size += (apr_off_t)len;
    return NULL;
}

up_problem *up_spool_picture(up_spool *spool, up_picture **picture)
{
    apr_size_t len = spool->size < UP_IMAGE_HEAD ? (apr_size_t)spool->size : UP_IMAGE_HEAD;
    up_image type = up_image_sniff(spool->head, len);

    if (type == UP_IMAGE_NONE) {
        up_problem *problem = NULL;

        up_problem_detail(&problem, spool->pool, "avatar", UP_INVALID_FILE_TYPE,
                          up_code_message(UP_INVALID_FILE_TYPE));
        problem->code = UP_INVALID_FILE_TYPE;
        problem->message = up_code_message(UP_INVALID_FILE_TYPE);
        return problem;
    }
    *picture = apr_palloc(spool->pool, sizeof(**picture));
    **picture = (up_picture){.file = spool->file, .size = spool->size, .type = type};
    return NULL;
}
