/* SPDX-License-Identifier: Apache-2.0 */

/** The directives: each fills its part of an up_config, or says in one sentence
 *  what is wrong with its arguments and what is right. */
#ifndef UP_DIRECTIVES_H
#define UP_DIRECTIVES_H

#include <httpd.h>
#include <http_config.h>

/** For the module record. */
extern const command_rec up_directives[];

#endif
