/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/network.h"

#include "httpd/module.h"

#include <apr_buckets.h>
#include <apr_network_io.h>

typedef struct network {
    apr_socket_t *socket;
    apr_size_t ask;
} network;

static apr_status_t receive(const network *net, char *buffer, apr_size_t *len, apr_read_type_e block)
{
    apr_interval_time_t timeout;
    apr_status_t status;

    if (block == APR_BLOCK_READ)
        return apr_socket_recv(net->socket, buffer, len);
    apr_socket_timeout_get(net->socket, &timeout);
    apr_socket_timeout_set(net->socket, 0);
    status = apr_socket_recv(net->socket, buffer, len);
    apr_socket_timeout_set(net->socket, timeout);
    return status;
}

static apr_bucket *network_bucket(apr_bucket_alloc_t *list, network *net);

/* As apr_bucket_type_t has it: the bucket becomes one of what was read, and the rest of
 * the socket a bucket behind it; at the end of the socket it becomes an empty one. */
static apr_status_t network_read(apr_bucket *b, const char **str, apr_size_t *len,
                                 apr_read_type_e block)
{
    network *net = b->data;
    apr_bucket_alloc_t *list = b->list;
    apr_size_t size = net->ask;
    char *buffer = apr_bucket_alloc(size, list);
    apr_status_t status;

    *str = NULL;
    *len = 0;
    if (!buffer)
        return APR_ENOMEM;
    *len = size;
    status = receive(net, buffer, len, block);
    if (status != APR_SUCCESS && status != APR_EOF) {
        apr_bucket_free(buffer);
        *len = 0;
        return status;
    }
    if (*len == 0) {
        apr_bucket_free(buffer);
        apr_bucket_immortal_make(b, "", 0);
        *str = b->data;
        return APR_SUCCESS;
    }
    apr_bucket_heap_make(b, buffer, *len, apr_bucket_free);
    ((apr_bucket_heap *)b->data)->alloc_len = size;
    *str = buffer;
    APR_BUCKET_INSERT_AFTER(b, network_bucket(list, net));
    return APR_SUCCESS;
}

/* The connection's pool owns what it points to. */
static const apr_bucket_type_t network_type = {"USERPROFILE_NETWORK",
                                               5,
                                               APR_BUCKET_DATA,
                                               apr_bucket_destroy_noop,
                                               network_read,
                                               apr_bucket_setaside_notimpl,
                                               apr_bucket_split_notimpl,
                                               apr_bucket_copy_notimpl};

static apr_bucket *network_bucket(apr_bucket_alloc_t *list, network *net)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    b->type = &network_type;
    b->length = (apr_size_t)-1;
    b->start = -1;
    b->data = net;
    return b;
}

apr_status_t up_network_insert(conn_rec *c, apr_bucket_brigade *bb, apr_socket_t *socket)
{
    network *net = apr_palloc(c->pool, sizeof(*net));

    *net = (network){.socket = socket, .ask = APR_BUCKET_BUFF_SIZE};
    ap_set_module_config(c->conn_config, &userprofile_module, net);
    APR_BRIGADE_INSERT_TAIL(bb, network_bucket(c->bucket_alloc, net));
    return APR_SUCCESS;
}

void up_network_ask(conn_rec *c, apr_size_t bytes)
{
    network *net = ap_get_module_config(c->conn_config, &userprofile_module);

    if (net)
        net->ask = bytes ? bytes : APR_BUCKET_BUFF_SIZE;
}
