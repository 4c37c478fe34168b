/* SPDX-License-Identifier: Apache-2.0 */

/* The temporary file of a picture, on file systems that know files without a name and on those
 * that do not: this program's open() may be one of the latter. */
#include "httpd/spool.h"

#include "tap.h"

#include <apr_general.h>
#include <apr_portable.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PNG                                                                                        \
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x8\0\0\0\0CRCC"                                 \
    "\0\0\0\1IDATxCRCC\0\0\0\0IENDCRCC"
#define MAX 4096

static apr_pool_t *pool;
static char folder[] = "/tmp/userprofile-spool.XXXXXX";

/* What open() answers to O_TMPFILE; 0: as the system does. */
static int refusal;
static int nameless;

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    if ((flags & O_TMPFILE) == O_TMPFILE) {
        nameless++;
        if (refusal) {
            errno = refusal;
            return -1;
        }
    }
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list args;

        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return openat(AT_FDCWD, path, flags, mode);
}

static int files(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2; /* . and .. */
}

static long long modified(void)
{
    struct stat status;

    return stat(folder, &status) == 0
               ? status.st_mtim.tv_sec * 1000000000LL + status.st_mtim.tv_nsec
               : -1;
}

static up_spool *spool_in(apr_pool_t *p)
{
    up_spool *spool = apr_pcalloc(p, sizeof(*spool));

    spool->pool = p;
    spool->max = MAX;
    spool->max_width = spool->max_height = 1;
    return spool;
}

static void is_spooled(const char *name)
{
    const int before = files("/proc/self/fd");
    apr_pool_t *p;
    up_spool *spool;
    up_picture *picture = NULL;
    apr_off_t start = 0;
    char back[sizeof(PNG) - 1] = "";
    struct stat status;
    apr_os_file_t fd = -1;

    apr_pool_create(&p, pool);
    spool = spool_in(p);
    ok(!up_spool_write(spool, PNG, 5) && !up_spool_write(spool, &PNG[5], sizeof(PNG) - 6),
       "%s: written", name);
    is_int(files(folder), 0, "... without a name");
    ok(!up_spool_picture(spool, &picture) && picture->type == UP_IMAGE_PNG, "... a picture");
    is_int(picture ? picture->size : -1, sizeof(PNG) - 1, "... of its size");
    ok(apr_file_seek(spool->file, APR_SET, &start) == APR_SUCCESS &&
           apr_file_read_full(spool->file, back, sizeof(back), NULL) == APR_SUCCESS &&
           memcmp(back, PNG, sizeof(back)) == 0,
       "... read as it was written");
    apr_os_file_get(&fd, spool->file);
    ok(fstat(fd, &status) == 0 && (status.st_mode & 0777) == 0600, "... nobody else's");
    ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "... and no other program's");
    apr_pool_destroy(p);
    is_int(files("/proc/self/fd"), before, "... gone with its pool");
}

static void test_pixels(void)
{
    up_spool *spool = spool_in(pool);
    up_picture *picture = NULL;
    up_problem *problem;

    up_spool_write(spool, PNG, sizeof(PNG) - 1);
    spool->max_height = 0;
    problem = up_spool_picture(spool, &picture);
    ok(problem && problem->code == UP_FILE_TOO_LARGE && !picture, "a picture that is too high");
    spool->max_height = 1;
    spool->max_width = 0;
    problem = up_spool_picture(spool, &picture);
    ok(problem && problem->code == UP_FILE_TOO_LARGE && !picture, "or too wide");
    spool = spool_in(pool);
    up_spool_write(spool, PNG, sizeof(PNG) - 2);
    problem = up_spool_picture(spool, &picture);
    ok(problem && problem->code == UP_INVALID_FILE_TYPE && !picture, "or broken");
}

/* A kill between two calls finds no name: the folder is not written at all. */
static void test_without_a_name(void)
{
    const long long before = modified();

    nameless = 0;
    is_spooled("a file without a name");
    is_int(nameless, 1, "asked for as such");
    is_int(modified(), before, "the folder is as it was");
}

static void test_file_systems_that_do_not_know_them(void)
{
    static const int refusals[] = {EOPNOTSUPP, EISDIR, EINVAL};
    size_t i;

    for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        refusal = refusals[i];
        is_spooled(strerror(refusal));
    }
    refusal = 0;
}

static void test_what_cannot_be_opened(void)
{
    static const int refusals[] = {EACCES, ENOENT, EMFILE, ENOSPC, EROFS};
    size_t i;

    for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        up_problem *problem;

        refusal = refusals[i];
        problem = up_spool_write(spool_in(pool), PNG, 5);
        ok(problem && problem->code == UP_SERVICE_UNAVAILABLE &&
               strstr(problem->log, strerror(refusal)) && strstr(problem->log, folder),
           "refused: %s", strerror(refusal));
    }
    refusal = 0;
}

static void test_limits(void)
{
    static const char zeros[MAX];
    up_spool *spool = spool_in(pool);
    up_picture *picture = NULL;
    up_problem *problem;

    ok(!up_spool_write(spool, "", 0) && !spool->file, "nothing to write opens nothing");
    ok(!up_spool_write(spool, zeros, MAX), "as much as there may be");
    problem = up_spool_write(spool, zeros, 1);
    ok(problem && problem->code == UP_FILE_TOO_LARGE, "a byte more");
    problem = up_spool_picture(spool, &picture);
    ok(problem && problem->code == UP_INVALID_FILE_TYPE && !picture, "no picture");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!mkdtemp(folder) || setenv("TMPDIR", folder, 1) != 0)
        return 1;
    test_without_a_name();
    test_file_systems_that_do_not_know_them();
    test_what_cannot_be_opened();
    test_limits();
    test_pixels();
    apr_pool_destroy(pool);
    rmdir(folder);
    return done_testing();
}
