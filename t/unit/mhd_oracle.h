/* SPDX-License-Identifier: Apache-2.0 */

/** What libmicrohttpd's post processor makes of a form. It works for a connection of its server
 * only: so there is one, on loopback, to which each form is posted. */
#ifndef UP_TEST_MHD_ORACLE_H
#define UP_TEST_MHD_ORACLE_H

#if __has_include(<microhttpd.h>)
#define HAVE_MHD 1

#include <apr_escape.h>
#include <apr_pools.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MHD_TEXT 65536

/* One request's; all belong to the pool of the form. */
typedef struct mhd_form {
    struct MHD_PostProcessor *processor;
    char text[MHD_TEXT];
    size_t len; /* of the text */
    int wrong;
} mhd_form;

typedef struct mhd_oracle {
    struct MHD_Daemon *daemon;
    int port;
    apr_pool_t *pool; /* of the form that is asked for */
} mhd_oracle;

static void mhd_add(mhd_form *form, const char *text)
{
    size_t len = strlen(text);

    if (form->len + len >= sizeof(form->text)) {
        form->wrong = 1;
        return;
    }
    memcpy(form->text + form->len, text, len + 1);
    form->len += len;
}

static void mhd_add_hex(mhd_form *form, const char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < len; i++) {
        char two[3] = {digits[(unsigned char)bytes[i] >> 4], digits[bytes[i] & 15], '\0'};

        mhd_add(form, two);
    }
}

static enum MHD_Result mhd_value(void *baton, enum MHD_ValueKind kind, const char *key,
                                 const char *filename, const char *type, const char *encoding,
                                 const char *data, uint64_t offset, size_t size)
{
    mhd_form *form = baton;

    (void)kind;
    (void)type;
    (void)encoding;
    if (offset == 0) {
        mhd_add(form, *form->text ? " " : "");
        mhd_add_hex(form, key ? key : "", key ? strlen(key) : 0);
        mhd_add(form, "/");
        if (filename)
            mhd_add_hex(form, filename, strlen(filename));
        else
            mhd_add(form, "-");
        mhd_add(form, "/");
    }
    mhd_add_hex(form, data, size);
    return MHD_YES;
}

static enum MHD_Result mhd_answer(mhd_form *form, struct MHD_Connection *connection)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    if (MHD_destroy_post_processor(form->processor) != MHD_YES)
        form->wrong = 1;
    mhd_add(form, *form->text ? " " : "");
    response = form->wrong
                   ? MHD_create_response_from_buffer(5, "error", MHD_RESPMEM_PERSISTENT)
                   : MHD_create_response_from_buffer(form->len, form->text, MHD_RESPMEM_MUST_COPY);
    result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result mhd_request(void *baton, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *size, void **state)
{
    mhd_form *form = *state;

    (void)url;
    (void)method;
    (void)version;
    if (!form) {
        *state = form = apr_pcalloc(((mhd_oracle *)baton)->pool, sizeof(*form));
        form->processor = MHD_create_post_processor(connection, 4096, mhd_value, form);
        return form->processor ? MHD_YES : MHD_NO;
    }
    if (*size == 0)
        return mhd_answer(form, connection);
    if (MHD_post_process(form->processor, data, *size) != MHD_YES)
        form->wrong = 1;
    *size = 0;
    return MHD_YES;
}

/** @return 0 where it does not start. */
static int mhd_start(mhd_oracle *o)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const union MHD_DaemonInfo *info;

    o->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, mhd_request, o,
                                 MHD_OPTION_SOCK_ADDR, &loopback, MHD_OPTION_END);
    info = o->daemon ? MHD_get_daemon_info(o->daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    o->port = info ? info->port : 0;
    return o->port != 0;
}

/** @return in p, "error" or the parts as mhd_value() writes them; NULL where it did not answer. */
static const char *mhd_ask(mhd_oracle *o, apr_pool_t *p, const char *body, size_t len)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)o->port)};
    const char *head =
        apr_psprintf(p,
                     "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: "
                     "multipart/form-data; boundary=bo\r\nContent-Length: %d\r\n\r\n",
                     (int)len);
    char *answer = apr_pcalloc(p, MHD_TEXT + 1024), *text = NULL;
    size_t have = 0;
    ssize_t more;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    o->pool = p;
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
        write(fd, head, strlen(head)) == (ssize_t)strlen(head) &&
        write(fd, body, len) == (ssize_t)len) {
        while ((more = read(fd, answer + have, MHD_TEXT + 1023 - have)) > 0)
            have += (size_t)more;
        text = strstr(answer, "\r\n\r\n");
    }
    close(fd);
    return text ? text + 4 : NULL;
}

#endif
#endif
