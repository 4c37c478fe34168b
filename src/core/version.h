/* SPDX-License-Identifier: Apache-2.0 */

/** The version of the module and of the program beside it: the one place where it is written in C. */
#ifndef UP_VERSION_H
#define UP_VERSION_H

#define UP_VERSION "0.1.0"

#endif
