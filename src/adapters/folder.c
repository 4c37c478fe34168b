/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/folder.h"

#include "adapters/picture_reader.h"
#include "adapters/storage_url.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is copied at a time. */
#define BLOCK 32768

/* httpd must be able to serve it, whatever the umask. */
#define MODE 0644
#define FOLDER_MODE 0755

typedef struct folder {
    up_avatar_storage port; /* first: the port's functions get a pointer to it */
    const up_folder_settings *settings;
} folder;

/* One asset and the names that it has on the disk. */
typedef struct place {
    const folder *self;
    apr_pool_t *pool;
    const char *asset;
    const char *temporary; /* beside it, told by its name alone */
    int dir;               /* descriptor of the folder */
} place;

static const char *parse_base(apr_pool_t *p, const char *base, up_folder_settings *settings)
{
    apr_size_t len = strlen(base);
    const char *path = base;

    if (!up_storage_url_is_plain(base, 512) || strpbrk(base, "?#\\\"<>@"))
        return "url must be printable ASCII of at most 512 bytes, without user, query or fragment.";
    if (strncasecmp(base, "http://", 7) == 0 || strncasecmp(base, "https://", 8) == 0)
        path = strchr(base, ':') + 3;
    else if (base[0] != '/' || base[1] == '/')
        return "url must begin with / or https:// or http://, as the pictures' URLs will.";
    if (up_storage_url_has_dots(path) || (path != base && (*path == '/' || *path == '\0')))
        return "url must have a host after its scheme, and no empty segment, . or .. in its path.";
    settings->url = apr_pstrndup(p, base, base[len - 1] == '/' ? len - 1 : len);
    return NULL;
}

const char *up_folder_parse(apr_pool_t *p, const char *text, up_folder_settings *settings)
{
    up_storage_url url;
    const char *wrong = up_storage_url_parse(p, text, "file", &url);
    const char *base = wrong ? NULL : apr_table_get(url.query, "url");
    const char *create = wrong ? NULL : apr_table_get(url.query, "create");
    apr_size_t len;

    memset(settings, 0, sizeof(*settings));
    if (wrong)
        return wrong;
    if (*url.host && strcasecmp(url.host, "localhost") != 0)
        return "The folder's path must be absolute: file:///path, with three slashes.";
    len = strlen(url.path);
    if (url.path[0] != '/' || len >= 1024)
        return "The folder's path must be absolute and shorter than 1024 bytes: file:///path.";
    if (apr_table_elts(url.query)->nelts > (base ? 1 : 0) + (create ? 1 : 0))
        return "A parameter is unknown: there are url and create (a ? within the path is %3F).";
    if (create && strcmp(create, "yes") != 0 && strcmp(create, "no") != 0)
        return "create is yes or no: whether the folder is made where it is missing.";
    settings->create = create && strcmp(create, "yes") == 0;
    while (len > 1 && url.path[len - 1] == '/')
        len--;
    settings->path = apr_pstrndup(p, url.path, len);
    return parse_base(p, base ? base : "/avatars", settings);
}

const char *up_folder_display(apr_pool_t *p, const up_folder_settings *settings)
{
    return apr_psprintf(p, "file://%s?url=%s/", settings->path, settings->url);
}

up_image up_folder_type_of(const char *name)
{
    static const up_image types[] = {UP_IMAGE_JPEG, UP_IMAGE_PNG, UP_IMAGE_WEBP};
    const char *dot = strchr(name, '.');
    apr_size_t i;

    if (!dot || !up_storage_is_random_id(name, (apr_size_t)(dot - name)))
        return UP_IMAGE_NONE;
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(dot + 1, up_image_extension(types[i])) == 0)
            return types[i];
    }
    return UP_IMAGE_NONE;
}

/* No path, no escape. */
static int is_asset(const char *name)
{
    return up_folder_type_of(name) != UP_IMAGE_NONE;
}

static const char *new_asset(up_avatar_storage *storage, apr_pool_t *p, up_image type)
{
    const char *id = up_storage_random_id(p);

    (void)storage;
    return id ? apr_pstrcat(p, id, ".", up_image_extension(type), NULL) : NULL;
}

static up_problem *failed(const place *at, const char *what, int error, const char *advice)
{
    return up_problem_logged(at->pool, UP_STORAGE_UPLOAD_ERROR,
                             "avatar folder %s: could not %s %s: %pm; %s", at->self->settings->path,
                             what, at->asset, &error, advice);
}

/* Nothing but the last of its path: a typing error is to be seen. */
static int open_folder(const up_folder_settings *settings)
{
    int dir = open(settings->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir >= 0 || errno != ENOENT || !settings->create)
        return dir;
    if (mkdir(settings->path, FOLDER_MODE) != 0 && errno != EEXIST)
        return -1;
    return open(settings->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static up_problem *open_place(place *at, const folder *self, apr_pool_t *p, const char *asset)
{
    *at = (place){.self = self, .pool = p, .asset = asset, .dir = -1};
    at->temporary = apr_pstrcat(p, ".", asset, ".part", NULL);
    if (!is_asset(asset))
        return up_problem_logged(p, UP_STORAGE_UPLOAD_ERROR,
                                 "avatar folder %s: refused a name that is no asset's",
                                 self->settings->path);
    at->dir = open_folder(self->settings);
    if (at->dir >= 0)
        return NULL;
    return failed(at, "open the folder for", errno,
                  "it must exist and be readable and writable by httpd's user");
}

static int write_all(int fd, const char *data, apr_size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        data += n;
        len -= (apr_size_t)n;
    }
    return 0;
}

/* @return 0, or the error that stopped the copy. */
static apr_status_t copy(const place *at, int fd, const up_picture *picture)
{
    char *block = apr_palloc(at->pool, BLOCK);
    apr_off_t done = 0;
    apr_size_t len;
    apr_status_t status;

    do {
        len = BLOCK;
        status = up_picture_read(picture, done, block, &len);
        if (status == APR_SUCCESS)
            status = write_all(fd, block, len);
        done += (apr_off_t)len;
    } while (status == APR_SUCCESS && len > 0);
    if (status == APR_SUCCESS && fchmod(fd, MODE) != 0)
        status = errno;
    if (status == APR_SUCCESS && fsync(fd) != 0)
        status = errno;
    return status;
}

static up_problem *write_temporary(const place *at, const up_picture *picture)
{
    int fd =
        openat(at->dir, at->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
    apr_status_t status;

    if (fd < 0)
        return failed(at, "create the file of", errno, "httpd's user must be able to write there");
    status = copy(at, fd, picture);
    if (close(fd) != 0 && status == APR_SUCCESS)
        status = errno;
    if (status == APR_SUCCESS)
        return NULL;
    unlinkat(at->dir, at->temporary, 0);
    return failed(at, "write", status, "is the disk full, or a quota used up?");
}

/* Gives the file its name, and the name its place on the disk. */
static up_problem *publish(const place *at, up_upload_end *end)
{
    if (renameat(at->dir, at->temporary, at->dir, at->asset) != 0) {
        int error = errno;

        unlinkat(at->dir, at->temporary, 0);
        return failed(at, "rename the file of", error, "httpd's user must be able to write there");
    }
    *end = UP_UPLOAD_UNKNOWN;
    if (fsync(at->dir) != 0)
        return failed(at, "bring to the disk the name of", errno, "is the disk all right?");
    return NULL;
}

static up_problem *upload(up_avatar_storage *storage, apr_pool_t *p, const char *asset,
                          const up_picture *picture, const char **url, up_upload_end *end)
{
    const folder *self = (const folder *)storage;
    place at;
    up_problem *problem = open_place(&at, self, p, asset);

    *end = UP_UPLOAD_FAILED;
    if (!problem)
        problem = write_temporary(&at, picture);
    if (!problem)
        problem = publish(&at, end);
    if (!problem)
        *url = apr_pstrcat(p, self->settings->url, "/", asset, NULL);
    if (at.dir >= 0)
        close(at.dir);
    return problem;
}

/* Removes the file and what a crash may have left of it. @return 0 or errno. */
static int unlink_both(const place *at)
{
    if (unlinkat(at->dir, at->asset, 0) != 0 && errno != ENOENT)
        return errno;
    if (unlinkat(at->dir, at->temporary, 0) != 0 && errno != ENOENT)
        return errno;
    return fsync(at->dir) != 0 ? errno : 0;
}

static up_problem *destroy(up_avatar_storage *storage, apr_pool_t *p, const char *asset)
{
    place at;
    up_problem *problem = open_place(&at, (const folder *)storage, p, asset);
    int error;

    if (problem)
        return problem;
    error = unlink_both(&at);
    if (error)
        problem = failed(&at, "delete", error, "httpd's user must be able to write there");
    close(at.dir);
    return problem;
}

static const char *asset_of(up_avatar_storage *storage, apr_pool_t *p, const char *url)
{
    const char *base = ((const folder *)storage)->settings->url;
    apr_size_t len = strlen(base);

    if (!url || strncmp(url, base, len) != 0 || url[len] != '/' || !is_asset(url + len + 1))
        return NULL;
    return apr_pstrdup(p, url + len + 1);
}

up_avatar_storage *up_folder_create(apr_pool_t *p, const up_folder_settings *settings)
{
    folder *self = apr_pcalloc(p, sizeof(*self));

    self->settings = settings;
    self->port.new_asset = new_asset;
    self->port.upload = upload;
    self->port.destroy = destroy;
    self->port.asset_of = asset_of;
    return &self->port;
}
