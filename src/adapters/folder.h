/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Avatar storage in a local folder that httpd serves. Assets are named
 * id.jpg, id.png or id.webp, with an id of 128 random bits, so that what is
 * served has one of three types and no part of a client's own name.
 */
#ifndef UP_FOLDER_H
#define UP_FOLDER_H

#include "ports/avatar_storage.h"

/** Of the pool of up_folder_parse(). */
typedef struct up_folder_settings {
    const char *path; /* absolute, without a slash at its end (but "/" itself) */
    const char *url;  /* what the pictures' URLs begin with, without a slash at its end */
    int create;       /* is it made where it is missing? */
} up_folder_settings;

/**
 * Reads a folder storage's URL:
 *
 *     file:///absolute/path[?url=BASE][&create=yes]
 *
 * BASE is a path or an http or https URL, "/avatars" by default. With
 * create=yes a folder that is missing is made as the first picture is stored, where the one
 * above it is there. The disk is not looked at.
 * @return NULL, or a sentence (static) on what is wrong.
 */
const char *up_folder_parse(apr_pool_t *p, const char *url, up_folder_settings *settings);

/** The type of a picture by its asset's name, as the storage makes them: 32 hexadecimal digits
 *  and an extension; UP_IMAGE_NONE for any other name. */
up_image up_folder_type_of(const char *name);

/** The settings for a log, in p. */
const char *up_folder_display(apr_pool_t *p, const up_folder_settings *settings);

/**
 * Makes the storage. A picture appears under its name only when it is whole
 * and on the disk. What a crash leaves of one is removed when its asset is
 * destroyed.
 * @param p the child's pool.
 * @param settings not copied: must live as long as p.
 * @return never NULL.
 */
up_avatar_storage *up_folder_create(apr_pool_t *p, const up_folder_settings *settings);

#endif
