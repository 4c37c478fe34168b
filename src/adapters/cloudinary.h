/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Avatar storage on Cloudinary, by its upload API: signed requests, a public
 * ID of its own for each picture, below one folder.
 */
#ifndef UP_CLOUDINARY_H
#define UP_CLOUDINARY_H

#include "adapters/http_client.h"
#include "ports/avatar_storage.h"

/** What signatures are made with; both are accepted by the service. */
typedef enum up_cloudinary_digest { UP_CLOUDINARY_SHA1, UP_CLOUDINARY_SHA256 } up_cloudinary_digest;

/** Of the pool of up_cloudinary_parse(); the caller may change agent and limits after it. */
typedef struct up_cloudinary_settings {
    const char *cloud;
    const char *key;
    const char *secret;
    const char *folder;        /* public IDs are folder/id */
    const char *upload_prefix; /* of the API, without a slash at its end */
    const char *upload_host;   /* its host name (an IPv6 address without brackets) */
    const char *upload_port;   /* its port, or NULL */
    const char *distribution;  /* the host of a private CDN or CNAME, or NULL */
    up_cloudinary_digest digest;
    const char *agent;     /* the User-Agent; "mod_userprofile" */
    up_http_limits limits; /* 3 s to connect, 10 s in all, 1 KiB/s over 5 s, 64 KiB, 8 kept */
} up_cloudinary_settings;

/**
 * Reads the SDKs' CLOUDINARY_URL:
 *
 *     cloudinary://KEY:SECRET@CLOUD[/DISTRIBUTION][?name=value&…]
 *
 * with upload_prefix (default https://api.cloudinary.com; http:// only for this
 * machine), signature_algorithm (sha1, the default, or sha256),
 * secure_distribution (a host, as DISTRIBUTION is), and folder (default
 * avatars). The SDKs' other parameters change nothing here and are ignored; an
 * unknown one is an error.
 * @return NULL, or a sentence (static) on what is wrong, without any part of
 *         the URL.
 */
const char *up_cloudinary_parse(apr_pool_t *p, const char *url, up_cloudinary_settings *settings);

/** The settings for a log, in p: without key and secret. */
const char *up_cloudinary_display(apr_pool_t *p, const up_cloudinary_settings *settings);

/**
 * The signature of an API request: the parameters sorted by name, name=value
 * joined with &, the secret after them, hashed. A & within a parameter is
 * signed as %26 (the SDKs' signature version 2), so that no value can pass for
 * two parameters. Parameters without a value are left out.
 * @param params of up_http_field; sorted in place.
 * @return lower-case hexadecimal in p; NULL where libcrypto has not the digest.
 */
const char *up_cloudinary_sign(apr_pool_t *p, up_cloudinary_digest digest,
                               apr_array_header_t *params, const char *secret);

/**
 * Makes the storage of a child process; no connection yet.
 *
 * What it uploads must come back as an https URL (http on this machine) that
 * its asset_of() understands: else the upload fails, as the picture could never
 * be deleted again.
 * @param p the child's pool.
 * @param settings not copied: must live as long as p.
 * @return NULL where the system has no mutex left.
 */
up_avatar_storage *up_cloudinary_create(apr_pool_t *p, const up_cloudinary_settings *settings);

#endif
