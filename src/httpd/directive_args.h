/* SPDX-License-Identifier: Apache-2.0 */

/** What the arguments of several directives have in common. A check returns
 *  NULL, or a sentence that begins with the directive's name. */
#ifndef UP_DIRECTIVE_ARGS_H
#define UP_DIRECTIVE_ARGS_H

#include "httpd/config.h"

#include <httpd.h>
#include <http_config.h>

/** The configuration that a directive outside of sections fills. */
up_config *up_said(cmd_parms *cmd);

/** Is it the word for nothing at all, which a virtual host can say in the place of what
 *  the main server says? */
int up_is_none(const char *argument);

/** The array, made on first use, of elements of size bytes. */
apr_array_header_t *up_list(cmd_parms *cmd, apr_array_header_t **array, int size);

/** Is this a column's or field's name: 1 to 63 bytes of UTF-8, without control characters? */
const char *up_check_name(cmd_parms *cmd, const char *name);

/** Is this a table's name, with or without its schema? */
const char *up_check_table(cmd_parms *cmd, const char *name);

/** The value of an option written name=value, or NULL where it is another. */
const char *up_option(const char *argument, const char *name);

/** A whole number from min to max. */
const char *up_parse_int(cmd_parms *cmd, const char *what, const char *text, int min, int max,
                         int *value);

/** A time as httpd writes it: a number of seconds, or with a unit: ms, s, min, h.
 *  @return 0, or -1 where it is none. */
int up_parse_time(const char *text, apr_interval_time_t *value);

/** No control characters? */
int up_is_printable(const char *text);

/** "string, integer, …" for error messages. */
const char *up_type_names(apr_pool_t *p);

/**
 * Reads a file of at most 64 KiB, relative to ServerRoot, without the line end
 * at its end. Where everybody on this machine can change it or, where it is a secret, read it,
 * that is noted in the configuration's exposed.
 * @param data NUL-terminated, in the configuration pool, and wiped as that ends.
 */
const char *up_read_file(cmd_parms *cmd, const char *name, int secret, const unsigned char **data,
                         int *len);

/** An argument that may hold a secret: itself, or, written @file, what is in that file. */
const char *up_secret_argument(cmd_parms *cmd, const char *argument, const char **value);

/** Has mod_info and the like print what may be shown in the place of an argument
 *  that holds a secret. */
void up_mask_argument(cmd_parms *cmd, const char *argument, const char *shown);

#endif
