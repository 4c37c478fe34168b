/* SPDX-License-Identifier: Apache-2.0 */

/* The socket bucket: what its reads ask for, and what they leave behind. */
#include "httpd/network.h"

#include "httpd/module.h"

#include "tap.h"

#include <apr_buckets.h>
#include <apr_general.h>
#include <apr_portable.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SENT 76000
#define TIMEOUT apr_time_from_msec(20)

/* All that the file needs of the module: where its configuration is. */
module userprofile_module = {.module_index = 0};

static apr_pool_t *pool;

/* A connection, as far as it is looked at; the filter's brigade; and the client's end. */
typedef struct world {
    void *configs[1];
    conn_rec c;
    apr_bucket_brigade *bb;
    apr_socket_t *socket;
    int client;
} world;

static world *connect_world(apr_pool_t *p)
{
    world *w = apr_pcalloc(p, sizeof(*w));
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        abort();
    w->client = ends[1];
    w->c.pool = p;
    w->c.conn_config = (ap_conf_vector_t *)(void *)w->configs;
    w->c.bucket_alloc = apr_bucket_alloc_create(p);
    w->bb = apr_brigade_create(p, w->c.bucket_alloc);
    apr_os_sock_put(&w->socket, &ends[0], p);
    apr_socket_timeout_set(w->socket, TIMEOUT);
    ok(up_network_insert(&w->c, w->bb, w->socket) == APR_SUCCESS, "a socket's bucket");
    return w;
}

/* Reads the last bucket, which is the socket's; its length, or -1. */
static int read_last(world *w, apr_read_type_e block, const char **data, apr_status_t *status)
{
    apr_size_t len = 0;

    *status = apr_bucket_read(APR_BRIGADE_LAST(w->bb), data, &len, block);
    return *status == APR_SUCCESS ? (int)len : -1;
}

static int ends_with_socket(const world *w)
{
    return !APR_BRIGADE_EMPTY(w->bb) && APR_BRIGADE_LAST(w->bb)->length == (apr_size_t)-1;
}

static void test_reads(world *w)
{
    /* -1: nothing was said yet */
    static const int sizes[] = {-1, UP_NETWORK_MOST, 0, 1, 0};
    static const int wants[] = {APR_BUCKET_BUFF_SIZE, UP_NETWORK_MOST, APR_BUCKET_BUFF_SIZE, 1,
                                APR_BUCKET_BUFF_SIZE};
    char *sent = apr_palloc(w->c.pool, SENT);
    const char *data;
    apr_status_t status;
    int i, at = 0;

    for (i = 0; i < SENT; i++)
        sent[i] = (char)(i * 31 + i / 256);
    is_int(write(w->client, sent, SENT), SENT, "more than one read can take");
    for (i = 0; i < (int)(sizeof(sizes) / sizeof(sizes[0])); i++) {
        if (sizes[i] >= 0)
            up_network_ask(&w->c, (apr_size_t)sizes[i]);
        is_int(read_last(w, i % 2 ? APR_BLOCK_READ : APR_NONBLOCK_READ, &data, &status), wants[i],
               "what is asked for");
        ok(memcmp(data, sent + at, (size_t)wants[i]) == 0, "... the bytes that come next");
        at += wants[i];
        ok(ends_with_socket(w), "... and the rest of the socket after them");
    }
    up_network_ask(&w->c, UP_NETWORK_MOST);
    is_int(read_last(w, APR_BLOCK_READ, &data, &status), SENT - at,
           "what there is, where more is asked for");
    ok(memcmp(data, sent + at, (size_t)(SENT - at)) == 0, "... the last bytes");
}

static void test_nothing(world *w)
{
    apr_interval_time_t timeout = 0;
    const char *data;
    apr_status_t status;

    read_last(w, APR_NONBLOCK_READ, &data, &status);
    ok(APR_STATUS_IS_EAGAIN(status), "nothing there: not waited for");
    ok(apr_socket_timeout_get(w->socket, &timeout) == APR_SUCCESS && timeout == TIMEOUT,
       "... and the timeout is as it was");
    read_last(w, APR_BLOCK_READ, &data, &status);
    ok(APR_STATUS_IS_TIMEUP(status), "nothing there: waited for until the timeout");
    ok(ends_with_socket(w), "the socket can still be read");
    is_int(write(w->client, "x", 1), 1, "a byte");
    is_int(read_last(w, APR_BLOCK_READ, &data, &status), 1, "... is read");
    ok(*data == 'x', "... as it was sent");
}

static void test_end(world *w)
{
    const char *data;
    apr_status_t status;

    close(w->client);
    is_int(read_last(w, APR_BLOCK_READ, &data, &status), 0, "the end: no bytes");
    ok(!ends_with_socket(w), "... and no socket any more");
    apr_brigade_cleanup(w->bb);
    apr_socket_close(w->socket);
}

int main(void)
{
    world *w;
    void *configs[1] = {NULL};
    conn_rec stream = {.conn_config = (ap_conf_vector_t *)(void *)configs};

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    w = connect_world(pool);
    test_reads(w);
    test_nothing(w);
    test_end(w);
    up_network_ask(&stream, UP_NETWORK_MOST);
    ok(!configs[0], "a stream of HTTP/2 has no socket of its own");
    apr_pool_destroy(pool);
    return done_testing();
}
