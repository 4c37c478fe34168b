/* SPDX-License-Identifier: Apache-2.0 */

/* What Cloudinary answers, to the adapter and to libcurl under it: status line, headers, JSON. A
 * socket is a pair of this process, whose other end has the answer in it already.
 *
 * The input: a byte for the call and for how the rest is to be read: as the whole answer; as the
 * JSON of one with status 200; or as a picture's URL, which asset_of() is to understand or not. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fuzz.h"

#include "adapters/cloudinary.h"
#include "adapters/storage_url.h"

#include <apr_portable.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASSET "avatars/0123456789abcdef0123456789abcdef"
#define SECRET "s3cr-et_of.tests"
#define ANSWER_MAX 65536
#define CONNECTIONS_MAX 4

enum { UPLOAD = 1, JSON = 2, URL = 4, PRIVATE_HOST = 8 };

static char answer[ANSWER_MAX + 256];
static size_t answer_len;
static int peers[CONNECTIONS_MAX], peer_count;

/* --- The system's calls, as libcurl sees them --- */

int socket(int domain, int type, int protocol)
{
    int ends[2], room = 2 * (int)sizeof(answer);

    (void)domain;
    (void)protocol;
    if (peer_count == CONNECTIONS_MAX) {
        errno = EMFILE;
        return -1;
    }
    must(socketpair(AF_UNIX, SOCK_STREAM | (type & ~0xf), 0, ends) == 0);
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    must(send(ends[1], answer, answer_len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)answer_len);
    shutdown(ends[1], SHUT_WR);
    peers[peer_count++] = ends[1];
    return ends[0];
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)fd;
    (void)address;
    (void)len;
    return 0;
}

/* --- --- */

/* Lives as long as the process: so does its configuration. */
static up_avatar_storage *storage(int bits)
{
    static up_cloudinary_settings settings[2];
    static up_avatar_storage *storages[2];
    int private = (bits & PRIVATE_HOST) != 0;
    up_cloudinary_settings *s = &settings[private];
    apr_pool_t *p = fuzz_lasting_pool();

    if (storages[private])
        return storages[private];
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
    must(!up_cloudinary_parse(p,
                              private ? "cloudinary://key1:" SECRET "@demo/img.example.com"
                                        "?upload_prefix=http://127.0.0.1:9"
                                      : "cloudinary://key1:" SECRET
                                        "@demo?upload_prefix=http://127.0.0.1:9",
                              s));
    /* None is kept: the answer of one run is none of the next one. */
    s->limits.idle_max = 0;
    s->limits.answer_max = 16384;
    storages[private] = up_cloudinary_create(p, s);
    must(storages[private]);
    return storages[private];
}

static up_picture picture(void)
{
    static up_picture_piece whole = {NULL, 0, 8};
    static const apr_array_header_t pieces = {
        .elt_size = sizeof(whole), .nelts = 1, .nalloc = 1, .elts = (char *)&whole};
    static up_picture one;
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("picture", MFD_CLOEXEC);
        must(write(fd, "\xff\xd8\xff\xdb....", 8) == 8);
        one = (up_picture){.pieces = &pieces, .size = 8, .type = UP_IMAGE_JPEG};
        must(apr_os_file_put(&one.file, &fd, APR_FOPEN_READ, fuzz_lasting_pool()) == APR_SUCCESS);
    }
    return one;
}

/* One line for the log, which has neither our secret nor what nobody can read. */
static void check_problem(const up_problem *problem)
{
    must(problem->code == UP_STORAGE_UPLOAD_ERROR && problem->log);
    must(fuzz_is_printable(problem->log));
    must(!strstr(problem->log, SECRET));
    must(strlen(problem->log) < 4096);
}

/* A URL that is taken can be understood again, and is no other's. */
static void check_url(up_avatar_storage *st, apr_pool_t *p, const char *url)
{
    const char *asset = st->asset_of(st, p, url);

    must(asset && strcmp(asset, ASSET) == 0);
    must(strlen(url) <= UP_PICTURE_URL_MAX && fuzz_is_printable(url));
    must(strncmp(url, "https://", 8) == 0 || strncmp(url, "http://127.", 11) == 0 ||
         strncmp(url, "http://localhost", 16) == 0 || strncmp(url, "http://[::1]", 12) == 0);
}

static void run_call(up_avatar_storage *st, apr_pool_t *p, int bits)
{
    up_picture one = picture();
    const char *url = NULL;
    up_upload_end end = UP_UPLOAD_UNKNOWN;
    up_problem *problem =
        bits & UPLOAD ? st->upload(st, p, ASSET, &one, &url, &end) : st->destroy(st, p, ASSET);

    if (problem)
        check_problem(problem);
    else if (bits & UPLOAD)
        check_url(st, p, url);
    else
        must(memmem(answer, answer_len, "result", 6));
    while (peer_count > 0)
        close(peers[--peer_count]);
}

static void run_url(up_avatar_storage *st, apr_pool_t *p, const uint8_t *data, size_t size)
{
    char *text = fuzz_text(p, &data, &size, '\0'), *url = fuzz_copy(text, strlen(text) + 1);
    const char *asset = st->asset_of(st, p, url), *c;

    if (asset) {
        must(strncmp(asset, "avatars/", 8) == 0 && strlen(asset) < UP_ASSET_ID_MAX);
        must(strstr(url, asset) && !strstr(asset, ".."));
        for (c = asset + 8; *c; c++)
            must(strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", *c));
        must(!strpbrk(url, "@\\#?% \r\n"));
    }
    free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    apr_pool_t *p = fuzz_pool();
    up_avatar_storage *st;
    size_t before;

    if (size < 1 || size > ANSWER_MAX)
        return 0;
    st = storage(data[0]);
    if (data[0] & URL) {
        run_url(st, p, data + 1, size - 1);
        return fuzz_done();
    }
    before = data[0] & JSON ? sizeof(head) - 1 : 0;
    memcpy(answer, head, before);
    memcpy(answer + before, data + 1, size - 1);
    answer_len = before + size - 1;
    run_call(st, p, data[0]);
    return fuzz_done();
}
