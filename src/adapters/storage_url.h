/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The URL by which a sysadmin names an avatar storage, taken apart: what the
 * storages have in common. Nothing here puts a part of the URL into a
 * sentence: any part may hold a secret in the wrong place.
 */
#ifndef UP_STORAGE_URL_H
#define UP_STORAGE_URL_H

#include <apr_pools.h>
#include <apr_tables.h>

/** The longest storage URL, in bytes. */
#define UP_STORAGE_URL_MAX 4096

/** The longest URL of a picture, in bytes. */
#define UP_PICTURE_URL_MAX 1024

/** Bytes of a random ID with its terminating NUL: 128 bits in hexadecimal. */
#define UP_STORAGE_ID_SIZE 33

/** All percent-decoded, in the pool of up_storage_url_parse(), never NULL ("" where absent). */
typedef struct up_storage_url {
    const char *user;
    const char *password;
    const char *host;
    const char *path;
    apr_table_t *query; /* names and values; a name comes once */
} up_storage_url;

/**
 * Takes a storage's URL apart (RFC 3986).
 * @param scheme the scheme that it must have.
 * @return NULL, or a sentence (static) on what is wrong: too long, not
 *         printable ASCII, another scheme, a bad percent escape or one of
 *         NUL, a port, a fragment, a parameter without a value or twice.
 */
const char *up_storage_url_parse(apr_pool_t *p, const char *url, const char *scheme,
                                 up_storage_url *out);

/** Is this text printable ASCII without spaces, of 1 to max bytes? */
int up_storage_url_is_plain(const char *text, apr_size_t max);

/** Has this text only letters, digits and the characters of extra (ASCII), and at least one? */
int up_storage_url_has_only(const char *text, apr_size_t len, const char *extra);

/** Has this path a segment "." or ".." or an empty one? A slash at its start or end makes none. */
int up_storage_url_has_dots(const char *path);

/** Is this host name this machine: 127.0.0.0/8, ::1 (with or without brackets), localhost? */
int up_storage_url_is_loopback(const char *host);

/** 128 random bits as 32 digits of lower-case hexadecimal, in p; NULL where
 *  the system has no randomness. */
const char *up_storage_random_id(apr_pool_t *p);

/** Are these len bytes such an ID? */
int up_storage_is_random_id(const char *id, apr_size_t len);

#endif
