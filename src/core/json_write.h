/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Writing JSON (RFC 8259) straight into a buffer: what is in each answer to a GET, for which a tree
 * of values that is then printed costs more than the rest of it. Anything else is jansson's.
 */
#ifndef UP_JSON_WRITE_H
#define UP_JSON_WRITE_H

#include <apr.h>

/** How many bytes a text takes as a JSON string, quotes and escapes included. */
apr_size_t up_json_string_size(const char *text);

/**
 * Writes a text as a JSON string, as jansson does: only what has to be escaped is.
 * @param to  up_json_string_size(text) bytes; nothing is written behind them.
 * @return where it ends; NULL where the text is not UTF-8.
 */
char *up_json_put_string(char *to, const char *text);

#endif
