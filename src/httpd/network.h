/* SPDX-License-Identifier: Apache-2.0 */

/**
 * A client's socket, as httpd's input filters read it.
 *
 * httpd reads 8,000 bytes at a time, and an upload is many: most of what a picture
 * takes to come in is the system calls. So that more can be asked for while one does,
 * the connection's socket bucket is ours. It reads as APR's does until told otherwise,
 * and what is read of other modules' requests is what it was.
 */
#ifndef UP_NETWORK_H
#define UP_NETWORK_H

#include <httpd.h>
#include <http_core.h>
#include <util_filter.h>

/** The most that a read of the socket may ask for, in bytes. */
#define UP_NETWORK_MOST 48000

/**
 * Hook insert_network_bucket: puts the connection's socket bucket into the brigade of
 * the filter that reads the network. It lives as long as the connection, in its pool.
 */
apr_status_t up_network_insert(conn_rec *c, apr_bucket_brigade *bb, apr_socket_t *socket);

/**
 * Says how much a read of the client's socket asks for from now on, until the next
 * call; of that size is the buffer, too, which the bucket that was read owns.
 * A connection without a socket of ours (a stream of HTTP/2) stays as it is.
 * @param bytes 1 to UP_NETWORK_MOST; or 0: what httpd asks for, APR_BUCKET_BUFF_SIZE.
 */
void up_network_ask(conn_rec *c, apr_size_t bytes);

#endif
