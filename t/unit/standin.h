/* SPDX-License-Identifier: Apache-2.0 */

/** Starts, asks and stops t/cloudinary.pl, the stand-in for Cloudinary, and makes
 *  pictures to upload. */
#ifndef UP_STANDIN_H
#define UP_STANDIN_H

#include "adapters/cloudinary.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STANDIN_SECRET "s3cr-et_of.tests"

typedef struct standin {
    pid_t pid;
    int port;
    int life; /* it ends when this is closed, and so with this process */
} standin;

/* @param port 0: any. @return 0, or -1 where it did not start. */
__attribute__((unused)) static int standin_start_at(standin *s, const char *algorithm, int port)
{
    int in[2], out[2];
    char number[16];
    FILE *from;

    memset(s, 0, sizeof(*s));
    snprintf(number, sizeof(number), "%d", port);
    if (pipe(in) != 0 || pipe(out) != 0 || (s->pid = fork()) < 0)
        return -1;
    if (s->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execlp("perl", "perl", "t/cloudinary.pl", "--key", "key1", "--secret", STANDIN_SECRET,
               "--cloud", "demo", "--algorithm", algorithm, "--port", number, "--until-eof",
               (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    s->life = in[1];
    from = fdopen(out[0], "r");
    s->port = 0;
    if (fscanf(from, "port %d", &s->port) != 1)
        s->port = 0;
    fclose(from);
    return s->port ? 0 : -1;
}

__attribute__((unused)) static int standin_start(standin *s, const char *algorithm)
{
    return standin_start_at(s, algorithm, 0);
}

__attribute__((unused)) static void standin_stop(standin *s)
{
    close(s->life);
    kill(s->pid, SIGTERM);
    waitpid(s->pid, NULL, 0);
}

/* The JSON answer to a request of the tests' own; the program ends where there is none. */
__attribute__((unused)) static json_t *standin_ask(const standin *s, const char *method,
                                                   const char *target)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)s->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char *answer = NULL, *body, request[512];
    size_t len = 0;
    ssize_t n;
    json_t *json;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(request, sizeof(request), "%s /_test/%s HTTP/1.1\r\nConnection: close\r\n\r\n", method,
             target);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        write(fd, request, strlen(request)) != (ssize_t)strlen(request)) {
        printf("Bail out! The stand-in does not answer.\n");
        exit(1);
    }
    do {
        char *larger = realloc(answer, len + 65537);

        if (!larger)
            abort();
        answer = larger;
        n = read(fd, answer + len, 65536);
        len += n > 0 ? (size_t)n : 0;
        answer[len] = '\0';
    } while (n > 0);
    close(fd);
    body = strstr(answer, "\r\n\r\n");
    json = body ? json_loads(body, 0, NULL) : NULL;
    free(answer);
    if (!json) {
        printf("Bail out! The stand-in answers with no JSON.\n");
        exit(1);
    }
    return json;
}

__attribute__((unused)) static void standin_do(const standin *s, const char *target)
{
    json_decref(standin_ask(s, "POST", target));
}

__attribute__((unused)) static int standin_count(const standin *s, const char *what)
{
    json_t *json = standin_ask(s, "GET", what);
    int count = (int)json_integer_value(json_object_get(json, "count"));

    json_decref(json);
    return count;
}

/* A member of the last request, as text in p; "" where it has none. */
__attribute__((unused)) static const char *standin_last(const standin *s, apr_pool_t *p,
                                                        const char *member)
{
    json_t *json = standin_ask(s, "GET", "requests");
    json_t *list = json_object_get(json, "requests");
    json_t *value = json_object_get(json_array_get(list, json_array_size(list) - 1), member);
    const char *text = json_is_integer(value)
                           ? apr_psprintf(p, "%d", (int)json_integer_value(value))
                           : apr_pstrdup(p, json_is_string(value) ? json_string_value(value) : "");

    json_decref(json);
    return text;
}

/* Settings for the stand-in, with waits of half a second and two seconds. */
__attribute__((unused)) static up_cloudinary_settings *
standin_settings(const standin *s, apr_pool_t *p, const char *more)
{
    up_cloudinary_settings *settings = apr_pcalloc(p, sizeof(*settings));
    const char *wrong = up_cloudinary_parse(
        p,
        apr_psprintf(p, "cloudinary://key1:%s@demo?upload_prefix=http://127.0.0.1:%d%s",
                     STANDIN_SECRET, s->port, more),
        settings);

    if (wrong) {
        printf("Bail out! %s\n", wrong);
        exit(1);
    }
    settings->limits.connect = apr_time_from_msec(500);
    settings->limits.total = apr_time_from_msec(2000);
    return settings;
}

/* An empty file, gone when p is. */
__attribute__((unused)) static apr_file_t *temporary_file(apr_pool_t *p)
{
    char *name = apr_pstrdup(p, "/tmp/up-test-XXXXXX");
    apr_file_t *file;

    if (apr_file_mktemp(&file, name,
                        APR_FOPEN_CREATE | APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_EXCL |
                            APR_FOPEN_DELONCLOSE,
                        p) == APR_SUCCESS)
        return file;
    printf("Bail out! No temporary file can be made.\n");
    exit(1);
}

/* The first size bytes of a file as a picture, in one piece. */
__attribute__((unused)) static up_picture whole_file(apr_pool_t *p, apr_file_t *file,
                                                     apr_size_t size, up_image type)
{
    apr_array_header_t *pieces = apr_array_make(p, 1, sizeof(up_picture_piece));

    APR_ARRAY_PUSH(pieces, up_picture_piece) = (up_picture_piece){NULL, 0, (apr_off_t)size};
    return (up_picture){.file = file, .pieces = pieces, .size = (apr_off_t)size, .type = type};
}

/* A picture by its first bytes, of this size, written without much memory. */
__attribute__((unused)) static up_picture make_picture(apr_pool_t *p, up_image type,
                                                       apr_size_t size)
{
    static const char *const heads[] = {"", "\xff\xd8\xff\xe0", "\x89PNG\r\n\x1a\n",
                                        "RIFF....WEBPVP8 "};
    up_picture picture = whole_file(p, temporary_file(p), size, type);
    char block[4096];
    apr_size_t done, i;

    for (done = 0; done < size; done += sizeof(block)) {
        for (i = 0; i < sizeof(block); i++)
            block[i] = (char)((done + i) * 31 + (done + i) / 251);
        if (done == 0)
            memcpy(block, heads[type], strlen(heads[type]));
        i = size - done < sizeof(block) ? size - done : sizeof(block);
        if (apr_file_write_full(picture.file, block, i, NULL) != APR_SUCCESS) {
            printf("Bail out! A temporary file cannot be written.\n");
            exit(1);
        }
    }
    return picture;
}

/* A picture of pieces of a larger file and of new bytes, and what it must come to, in a file of
 * its own. */
__attribute__((unused)) static up_picture in_pieces(apr_pool_t *p, const up_picture *file,
                                                    up_picture *want)
{
    const up_picture_piece pieces[] = {{NULL, 0, 8},      {"ab", 0, 2},         {"c", 0, 1},
                                       {NULL, 20, 40000}, {NULL, 40021, 30000}, {"the end", 0, 7}};
    up_picture picture = whole_file(p, file->file, 0, file->type);
    apr_array_header_t *array = apr_array_make(p, 6, sizeof(up_picture_piece));
    char *bytes = apr_palloc(p, 40000);
    size_t i;

    *want = whole_file(p, temporary_file(p), 70018, file->type);
    for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        apr_off_t at = pieces[i].offset;

        APR_ARRAY_PUSH(array, up_picture_piece) = pieces[i];
        picture.size += pieces[i].len;
        apr_file_seek(file->file, APR_SET, &at);
        apr_file_read_full(file->file, bytes, (apr_size_t)pieces[i].len, NULL);
        apr_file_write_full(want->file, pieces[i].bytes ? pieces[i].bytes : bytes,
                            (apr_size_t)pieces[i].len, NULL);
    }
    picture.pieces = array;
    return picture;
}

#endif
