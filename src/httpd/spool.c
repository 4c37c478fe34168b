/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/spool.h"

#include <apr_portable.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static apr_status_t close_file(void *file)
{
    return apr_file_close(file);
}

/* Where a file system can, it never has a name: a process that is killed between two
 * calls leaves nothing either. */
static apr_status_t open_nameless(up_spool *spool)
{
    apr_os_file_t fd = open(folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    apr_status_t status;

    if (fd < 0)
        return errno;
    status = apr_os_file_put(&spool->file, &fd, APR_FOPEN_READ | APR_FOPEN_WRITE, spool->pool);
    if (status == APR_SUCCESS)
        apr_pool_cleanup_register(spool->pool, spool->file, close_file, apr_pool_cleanup_null);
    return status;
}

static apr_status_t open_and_unlink(up_spool *spool)
{
    char *name = apr_pstrcat(spool->pool, folder(), "/userprofile.XXXXXX", NULL);
    apr_status_t status = apr_file_mktemp(&spool->file, name,
                                          APR_FOPEN_CREATE | APR_FOPEN_READ | APR_FOPEN_WRITE |
                                              APR_FOPEN_EXCL | APR_FOPEN_BINARY,
                                          spool->pool);

    if (status == APR_SUCCESS)
        apr_file_remove(name, spool->pool);
    return status;
}

static apr_status_t free_buffer(void *buffer)
{
    free(buffer);
    return APR_SUCCESS;
}

/* Either way it lives as long as its descriptor. */
static up_problem *open_file(up_spool *spool)
{
    apr_status_t status = open_nameless(spool);

    /* NFS, for one, and the kernels that take the flags for those of a folder */
    if (status == EOPNOTSUPP || status == EISDIR || status == EINVAL)
        status = open_and_unlink(spool);
    if (status != APR_SUCCESS) {
        spool->file = NULL;
        return failed(spool, "opened", status);
    }
    spool->unwritten = malloc(UP_SPOOL_BUFFER);
    if (!spool->unwritten)
        return up_problem_logged(spool->pool, UP_SERVICE_UNAVAILABLE,
                                 "no memory is left for an avatar on its way");
    apr_pool_cleanup_register(spool->pool, spool->unwritten, free_buffer, apr_pool_cleanup_null);
    return NULL;
}

static void release_buffer(up_spool *spool)
{
    if (spool->unwritten)
        apr_pool_cleanup_run(spool->pool, spool->unwritten, free_buffer);
    spool->unwritten = NULL;
}

static up_problem *flush(up_spool *spool)
{
    apr_status_t status;

    if (spool->unwritten_len == 0)
        return NULL;
    status = apr_file_write_full(spool->file, spool->unwritten, spool->unwritten_len, NULL);
    spool->unwritten_len = 0;
    return status == APR_SUCCESS ? NULL : failed(spool, "written", status);
}

static up_problem *append(up_spool *spool, const char *data, apr_size_t len)
{
    up_problem *problem = NULL;

    while (len > 0 && !problem) {
        apr_size_t room = UP_SPOOL_BUFFER - spool->unwritten_len;
        apr_size_t now = len < room ? len : room;

        memcpy(spool->unwritten + spool->unwritten_len, data, now);
        spool->unwritten_len += now;
        spool->size += (apr_off_t)now;
        data += now;
        len -= now;
        if (now == room)
            problem = flush(spool);
    }
    return problem;
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

    if (len == 0)
        return NULL;
    if ((apr_off_t)len > spool->max - spool->size)
        return up_problem_make(spool->pool, UP_FILE_TOO_LARGE, NULL);
    if (!spool->file && (problem = open_file(spool)))
        return problem;
    keep_head(spool, data, len);
    return append(spool, data, len);
}

static apr_status_t read_back(void *baton, apr_off_t at, unsigned char *buffer, apr_size_t len)
{
    apr_os_file_t fd;

    apr_os_file_get(&fd, baton);
    while (len > 0) {
        ssize_t n = pread(fd, buffer, len, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : APR_EOF;
        at += n;
        buffer += n;
        len -= (apr_size_t)n;
    }
    return APR_SUCCESS;
}

/* @param message what is wrong, or NULL for the code's own sentence. */
static up_problem *no_picture(const up_spool *spool, const char *message)
{
    up_problem *problem = NULL;

    if (!message)
        message = up_code_message(UP_INVALID_FILE_TYPE);
    up_problem_detail(&problem, spool->pool, "avatar", UP_INVALID_FILE_TYPE, message);
    problem->code = UP_INVALID_FILE_TYPE;
    problem->message = message;
    return problem;
}

up_problem *up_spool_picture(up_spool *spool, up_picture **picture)
{
    apr_size_t len = spool->size < UP_IMAGE_HEAD ? (apr_size_t)spool->size : UP_IMAGE_HEAD;
    up_image type = up_image_sniff(spool->head, len);
    up_picture_source source = {.size = spool->size, .read = read_back, .baton = spool->file};
    up_picture_outline outline;
    up_problem *problem;
    apr_status_t status;

    if (type == UP_IMAGE_NONE)
        return no_picture(spool, NULL);
    problem = flush(spool);
    if (problem)
        return problem;
    release_buffer(spool);
    status = up_picture_strip(spool->pool, &source, type, &outline);
    if (status != APR_SUCCESS)
        return failed(spool, "read", status);
    if (outline.broken)
        return no_picture(spool, "The avatar is a broken JPEG, PNG or WebP image; send it whole.");
    if (outline.width > (unsigned)spool->max_width || outline.height > (unsigned)spool->max_height)
        return up_problem_make(spool->pool, UP_FILE_TOO_LARGE,
                               apr_psprintf(spool->pool,
                                            "The avatar may be at most %d x %d pixels large; this "
                                            "one is %lu x %lu.",
                                            spool->max_width, spool->max_height, outline.width,
                                            outline.height));
    *picture = apr_palloc(spool->pool, sizeof(**picture));
    **picture = (up_picture){
        .file = spool->file, .pieces = outline.pieces, .size = outline.size, .type = type};
    return NULL;
}
