/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/folder.h"
#include "adapters/storage_url.h"

#include "standin.h"
#include "tap.h"

#include <apr_general.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define HEX "0123456789abcdef0123456789abcdef"

static apr_pool_t *pool;

/* --- the URL --- */

static const struct good_url {
    const char *url, *path, *base;
} good_urls[] = {
    {"file:///srv/avatars?url=/avatars", "/srv/avatars", "/avatars"},
    {"file:///srv/avatars", "/srv/avatars", "/avatars"},
    {"file:///srv/avatars/?url=/avatars/", "/srv/avatars", "/avatars"},
    {"FILE:///srv///?url=/a/b", "/srv", "/a/b"},
    {"file:/srv?url=/a", "/srv", "/a"},
    {"file://localhost/srv?url=/a", "/srv", "/a"},
    {"file:///a%20b/%C3%A9?url=/a", "/a b/\xc3\xa9", "/a"},
    {"file:///srv?url=https://pictures.example/a/", "/srv", "https://pictures.example/a"},
    {"file:///srv?url=http%3A%2F%2Flocalhost%3A8080", "/srv", "http://localhost:8080"},
    {"file:///srv?url=/", "/srv", ""},
    {"file:///?url=/a", "/", "/a"},
};

static const char *const bad_urls[] = {
    "",
    "/srv/avatars",
    "file",
    "file:",
    "file:srv",
    "file://srv/avatars",
    "file://",
    "file://host:80/srv",
    "http:///srv",
    "cloudinary:///srv",
    "file:///srv#x",
    "file:///s rv",
    "file:///srv\n",
    "file:///srv%0a",
    "file:///srv%00",
    "file:///srv%",
    "file:///srv?url=",
    "file:///srv?url",
    "file:///srv?url=avatars",
    "file:///srv?url=//evil.example",
    "file:///srv?url=ftp://a",
    "file:///srv?url=https://",
    "file:///srv?url=https:///a",
    "file:///srv?url=javascript:alert(1)",
    "file:///srv?url=/a/../b",
    "file:///srv?url=/a//b",
    "file:///srv?url=/a%3Fb",
    "file:///srv?url=/a%23b",
    "file:///srv?url=/a%20b",
    "file:///srv?url=/a%22b",
    "file:///srv?url=/a%3Cb",
    "file:///srv?url=https://u@a",
    "file:///srv?url=/a&url=/b",
    "file:///srv?url=/a&mode=0644",
    "file:///srv?mode=0644",
};

static void test_parse(void)
{
    up_folder_settings s;
    size_t i;

    for (i = 0; i < sizeof(good_urls) / sizeof(good_urls[0]); i++) {
        is(up_folder_parse(pool, good_urls[i].url, &s), NULL, good_urls[i].url);
        is(s.path, good_urls[i].path, "its path");
        is(s.url, good_urls[i].base, "its base");
    }
    for (i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++) {
        const char *wrong = up_folder_parse(pool, bad_urls[i], &s);

        ok(wrong && wrong[strlen(wrong) - 1] == '.', "refused: bad URL %d", (int)i);
    }
    ok(up_folder_parse(pool, apr_psprintf(pool, "file:///%01100d", 0), &s) != NULL,
       "a path that is too long is refused");
    up_folder_parse(pool, good_urls[0].url, &s);
    is(up_folder_display(pool, &s), "file:///srv/avatars?url=/avatars/", "what is shown");
}

/* --- which URLs and assets are ours --- */

static const struct url_case {
    const char *url, *asset;
} urls[] = {
    {"/avatars/" HEX ".png", HEX ".png"},
    {"/avatars/" HEX ".jpg", HEX ".jpg"},
    {"/avatars/" HEX ".webp", HEX ".webp"},
    {NULL, NULL},
    {"", NULL},
    {"/avatars", NULL},
    {"/avatars/", NULL},
    {"/avatars/" HEX, NULL},
    {"/avatars/" HEX ".", NULL},
    {"/avatars/" HEX ".gif", NULL},
    {"/avatars/" HEX ".svg", NULL},
    {"/avatars/" HEX ".PNG", NULL},
    {"/avatars/" HEX ".png.png", NULL},
    {"/avatars/" HEX ".pngx", NULL},
    {"/avatars/" HEX ".png/", NULL},
    {"/avatars/" HEX ".png?x", NULL},
    {"/avatars/" HEX ".png\n", NULL},
    {"/avatars/0" HEX ".png", NULL},
    {"/avatars/123456789abcdef0123456789abcdef.png", NULL},
    {"/avatars/0123456789ABCDEF0123456789abcdef.png", NULL},
    {"/avatars/0123456789abcdefg123456789abcdef.png", NULL},
    {"/avatars/../" HEX ".png", NULL},
    {"/avatars//" HEX ".png", NULL},
    {"/avatars/a/" HEX ".png", NULL},
    {"/avatars/../../../../../etc/passwd", NULL},
    {"/avatars/..%2f" HEX ".png", NULL},
    {"/other/" HEX ".png", NULL},
    {"/avatarsx/" HEX ".png", NULL},
    {"avatars/" HEX ".png", NULL},
    {"https://evil.example/avatars/" HEX ".png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/" HEX ".png", NULL},
};

static const char *const foreign_assets[] = {
    "",
    ".",
    "..",
    "passwd",
    "../passwd",
    "/etc/passwd",
    HEX,
    HEX ".svg",
    "a/" HEX ".png",
    "../" HEX ".png",
    HEX ".png/../x",
    "." HEX ".png.part",
    ".png",
    HEX "..png",
    HEX ".png ",
};

static up_avatar_storage *storage_at(const char *dir, const char *base)
{
    up_folder_settings *s = apr_palloc(pool, sizeof(*s));

    is(up_folder_parse(pool, apr_pstrcat(pool, "file://", dir, "?url=", base, NULL), s), NULL, dir);
    return up_folder_create(pool, s);
}

static void test_ours(const char *dir)
{
    up_avatar_storage *st = storage_at(dir, "/avatars");
    up_avatar_storage *absolute = storage_at(dir, "https://p.example/a");
    up_avatar_storage *root = storage_at(dir, "/");
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 100);
    const char *url;
    up_upload_end end = UP_UPLOAD_UNKNOWN;
    size_t i;

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        is(st->asset_of(st, pool, urls[i].url), urls[i].asset, urls[i].asset ? "ours" : "not ours");
    is(absolute->asset_of(absolute, pool, "https://p.example/a/" HEX ".png"), HEX ".png",
       "ours by an absolute URL");
    is(absolute->asset_of(absolute, pool, "/a/" HEX ".png"), NULL, "the path alone is not");
    is(root->asset_of(root, pool, "/" HEX ".png"), HEX ".png", "ours at the root");
    is(root->asset_of(root, pool, "//" HEX ".png"), NULL, "with one slash");
    for (i = 0; i < sizeof(foreign_assets) / sizeof(foreign_assets[0]); i++) {
        ok(st->destroy(st, pool, foreign_assets[i]) != NULL, "name %d is not destroyed", (int)i);
        ok(st->upload(st, pool, foreign_assets[i], &picture, &url, &end) != NULL &&
               end == UP_UPLOAD_FAILED,
           "nor written");
    }
}

/* --- files --- */

static int count_files(const char *dir)
{
    DIR *handle = opendir(dir);
    struct dirent *entry;
    int count = 0;

    while (handle && (entry = readdir(handle)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (handle)
        closedir(handle);
    return count;
}

static int open_descriptors(void)
{
    return count_files("/proc/self/fd");
}

/* Are the file's bytes those of the picture, which is in one piece? */
static int same(const char *path, up_picture *picture)
{
    char *want = malloc((size_t)picture->size), *got = malloc((size_t)picture->size + 1);
    FILE *file = fopen(path, "rb");
    size_t len = file ? fread(got, 1, (size_t)picture->size + 1, file) : 0;
    apr_off_t start = 0;
    int equal;

    apr_file_seek(picture->file, APR_SET, &start);
    apr_file_read_full(picture->file, want, (apr_size_t)picture->size, NULL);
    equal = len == (size_t)picture->size && memcmp(want, got, len) == 0;
    if (file)
        fclose(file);
    free(want);
    free(got);
    return equal;
}

static void round_trip(const char *dir, up_image type, apr_size_t size)
{
    up_avatar_storage *st = storage_at(dir, "/avatars");
    const char *asset = st->new_asset(st, pool, type), *url = NULL, *path;
    up_picture picture = make_picture(pool, type, size);
    mode_t mask = umask(077);
    struct stat info;
    up_upload_end end = UP_UPLOAD_UNKNOWN;

    ok(up_storage_is_random_id(asset, 32) && asset[32] == '.' &&
           strcmp(asset + 33, up_image_extension(type)) == 0,
       "a new asset is 128 bits and the extension %s", up_image_extension(type));
    ok(strcmp(asset, st->new_asset(st, pool, type)) != 0, "two differ");
    ok(!st->upload(st, pool, asset, &picture, &url, &end), "%d bytes are stored", (int)size);
    umask(mask);
    is(url, apr_pstrcat(pool, "/avatars/", asset, NULL), "the URL is the base and the asset");
    is(st->asset_of(st, pool, url), asset, "it leads back");
    path = apr_pstrcat(pool, dir, "/", asset, NULL);
    ok(same(path, &picture), "the bytes are the picture's");
    ok(stat(path, &info) == 0 && (info.st_mode & 07777) == 0644,
       "httpd may read it, nobody may run it, whatever the umask");
    is_int(count_files(dir), 1, "there is no other file");
    ok(!st->destroy(st, pool, asset), "it is destroyed");
    is_int(count_files(dir), 0, "it is gone");
    ok(!st->destroy(st, pool, asset), "destroying it again is a success");
}

static void test_crash_leavings(const char *dir)
{
    up_avatar_storage *st = storage_at(dir, "/avatars");
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 100);
    const char *part = apr_pstrcat(pool, dir, "/." HEX ".png.part", NULL), *url;
    FILE *file = fopen(part, "w");
    up_upload_end end;
    up_problem *problem;

    fputs("half a picture", file);
    fclose(file);
    problem = st->upload(st, pool, HEX ".png", &picture, &url, &end);
    ok(problem && end == UP_UPLOAD_FAILED && strstr(problem->log, "create the file"),
       "a half-written file is not written over");
    ok(!st->destroy(st, pool, HEX ".png"), "what a crash has left is destroyed with its asset");
    is_int(count_files(dir), 0, "it is gone");
}

static void test_symbolic_link(const char *dir)
{
    up_avatar_storage *st = storage_at(dir, "/avatars");
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 100);
    const char *target = apr_pstrcat(pool, dir, "-target", NULL), *url;
    up_upload_end end;

    ok(symlink(target, apr_pstrcat(pool, dir, "/." HEX ".png.part", NULL)) == 0,
       "a symbolic link in the way");
    ok(st->upload(st, pool, HEX ".png", &picture, &url, &end) != NULL, "is not followed");
    ok(access(target, F_OK) != 0, "nothing is written where it points");
    st->destroy(st, pool, HEX ".png");
}

static void fails(up_avatar_storage *st, up_picture *picture, const char *log, const char *what)
{
    const char *url;
    up_upload_end end = UP_UPLOAD_UNKNOWN;
    up_problem *problem = st->upload(st, pool, HEX ".png", picture, &url, &end);

    ok(problem && problem->code == UP_STORAGE_UPLOAD_ERROR && end == UP_UPLOAD_FAILED,
       "%s is a failure", what);
    if (!ok(problem && problem->log && strstr(problem->log, log), "the log says: %s", log) &&
        problem)
        printf("# %s\n", problem->log);
    ok(problem && !strchr(problem->message, '/'), "the client learns of no path");
}

/* With create=yes the last of the path is made, and no more. */
static void test_create(const char *dir)
{
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 1000);
    up_folder_settings *settings = apr_palloc(pool, sizeof(*settings));
    const char *path = apr_pstrcat(pool, dir, "/made", NULL), *url;
    up_avatar_storage *st;
    up_upload_end end;

    ok(!up_folder_parse(pool, apr_pstrcat(pool, "file://", path, "?create=yes", NULL), settings) &&
           settings->create,
       "create=yes is understood");
    st = up_folder_create(pool, settings);
    ok(!st->upload(st, pool, HEX ".png", &picture, &url, &end), "a folder that is missing is made");
    is_int(count_files(path), 1, "and has the picture");
    ok(!st->destroy(st, pool, HEX ".png"), "which can be destroyed");
    apr_dir_remove(path, pool);

    ok(!up_folder_parse(pool, apr_pstrcat(pool, "file://", path, "/below?create=yes", NULL),
                        settings),
       "a folder below one that is missing");
    fails(st, &picture, "No such file", "it is not made");
    ok(!up_folder_parse(pool, "file:///a?create=no", settings) && !settings->create, "create=no");
    ok(up_folder_parse(pool, "file:///a?create=maybe", settings) != NULL,
       "create=maybe is refused");
}

static void test_failures(const char *dir)
{
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 100000);
    up_avatar_storage *missing = storage_at(apr_pstrcat(pool, dir, "/missing", NULL), "/a");
    up_avatar_storage *file = storage_at("/dev/null", "/a");
    up_avatar_storage *st = storage_at(dir, "/a");

    fails(missing, &picture, "No such file", "a folder that is missing");
    ok(missing->destroy(missing, pool, HEX ".png") != NULL, "for a deletion too");
    test_create(dir);
    fails(file, &picture, "Not a directory", "a folder that is none");
    picture = whole_file(pool, picture.file, 100010, UP_IMAGE_PNG);
    fails(st, &picture, "End of file", "a picture that is shorter than it should be");
    is_int(count_files(dir), 0, "nothing is left");
}

/* What the kernel does where the disk is full, by a limit of this process's own. */
static void test_file_too_large(const char *dir)
{
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 300000);
    up_avatar_storage *st = storage_at(dir, "/a");
    struct rlimit before, limit;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = (struct rlimit){100000, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    fails(st, &picture, "File too large", "a write that stops half-way");
    setrlimit(RLIMIT_FSIZE, &before);
    is_int(count_files(dir), 0, "the temporary file is gone");
}

/* A file system of 64 KiB, where we may mount one. */
static void test_disk_full(const char *dir)
{
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 300000);
    up_picture small = make_picture(pool, UP_IMAGE_PNG, 1000);
    up_avatar_storage *st = storage_at(dir, "/a");
    const char *url;
    up_upload_end end;

    /* Mounts of our own, which end with this process at the latest. */
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", dir, "tmpfs", 0, "size=64k") != 0) {
        ok(1, "# SKIP no file system can be mounted: %s", strerror(errno));
        return;
    }
    fails(st, &picture, "No space left on device; is the disk full", "a full disk");
    is_int(count_files(dir), 0, "the temporary file is gone");
    ok(!st->upload(st, pool, HEX ".png", &small, &url, &end), "what has room is stored");
    umount(dir);
    if (mount("none", dir, "tmpfs", MS_RDONLY, "size=64k") == 0) {
        fails(st, &small, "Read-only file system", "a read-only disk");
        umount(dir);
    }
}

/* What is stored is what the pieces say. */
static void test_pieces(const char *dir)
{
    up_avatar_storage *st = storage_at(dir, "/a");
    up_picture file = make_picture(pool, UP_IMAGE_PNG, 90000), want;
    up_picture picture = in_pieces(pool, &file, &want);
    const char *url;
    up_upload_end end;

    ok(!st->upload(st, pool, HEX ".png", &picture, &url, &end), "a picture in pieces is stored");
    ok(same(apr_pstrcat(pool, dir, "/" HEX ".png", NULL), &want), "piece by piece");
    st->destroy(st, pool, HEX ".png");
}

static void test_memory_and_descriptors(const char *dir)
{
    up_avatar_storage *st = storage_at(dir, "/a");
    up_picture large = make_picture(pool, UP_IMAGE_PNG, 5242880);
    int before = open_descriptors(), i, wrong = 0;
    struct rusage start, end;
    apr_pool_t *p;

    apr_pool_create(&p, pool);
    getrusage(RUSAGE_SELF, &start);
    for (i = 0; i < 50; i++) {
        const char *asset = st->new_asset(st, p, UP_IMAGE_PNG), *url;
        up_upload_end end;

        if (i == 0)
            wrong += st->upload(st, p, asset, &large, &url, &end) != NULL;
        wrong += st->destroy(st, p, asset) != NULL;
        wrong += st->destroy(st, p, "foreign") == NULL;
        apr_pool_clear(p);
    }
    getrusage(RUSAGE_SELF, &end);
    apr_pool_destroy(p);
    is_int(wrong, 0, "5 MB are stored and destroyed");
    is_int(open_descriptors(), before, "no descriptor is left");
#if !defined(__SANITIZE_ADDRESS__)
    ok(end.ru_maxrss - start.ru_maxrss < 512, "it takes %ld KiB of memory",
       end.ru_maxrss - start.ru_maxrss);
#endif
}

static void *work(void *data)
{
    up_avatar_storage *st = data;
    apr_pool_t *p;
    long wrong = 0;
    int i;

    apr_pool_create(&p, NULL);
    for (i = 0; i < 20; i++) {
        const char *asset = st->new_asset(st, p, UP_IMAGE_WEBP), *url = NULL;
        up_picture picture = make_picture(p, UP_IMAGE_WEBP, 20000 + (apr_size_t)i);
        up_upload_end end;

        wrong += st->upload(st, p, asset, &picture, &url, &end) != NULL;
        wrong += !url || !st->asset_of(st, p, url) || strcmp(st->asset_of(st, p, url), asset) != 0;
        if (i % 2)
            wrong += st->destroy(st, p, asset) != NULL;
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return (void *)wrong;
}

static void test_threads(const char *dir)
{
    up_avatar_storage *st = storage_at(dir, "/a");
    pthread_t threads[8];
    long wrong = 0;
    void *result;
    int i;

    for (i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, work, st);
    for (i = 0; i < 8; i++) {
        pthread_join(threads[i], &result);
        wrong += (long)result;
    }
    is_int(wrong, 0, "8 threads at once: all right");
    is_int(count_files(dir), 80, "the right pictures are left");
}

int main(void)
{
    char dir[] = "/tmp/up-test-XXXXXX";
    int rc;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!ok(mkdtemp(dir) != NULL, "a folder"))
        return 1;
    test_parse();
    test_ours(dir);
    round_trip(dir, UP_IMAGE_JPEG, 1);
    round_trip(dir, UP_IMAGE_JPEG, 70001);
    round_trip(dir, UP_IMAGE_PNG, 32768);
    round_trip(dir, UP_IMAGE_WEBP, 5242880);
    test_crash_leavings(dir);
    test_symbolic_link(dir);
    test_failures(dir);
    test_file_too_large(dir);
    test_disk_full(dir);
    test_pieces(dir);
    test_memory_and_descriptors(dir);
    test_threads(dir);
    rc = system(apr_psprintf(pool, "rm -r %s", dir));
    is_int(rc, 0, "the folder is removed");
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
