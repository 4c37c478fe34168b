/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The name of a process among all that have ever been at the journal, and
 * whether the process of such a name is gone. By Linux' /proc.
 */
#ifndef UP_PROCESS_OWNER_H
#define UP_PROCESS_OWNER_H

#include <apr_pools.h>

/** This process: "node:pid:start", in p. The start, in clock ticks since the
 *  boot, tells it from an earlier one of the same number. */
const char *up_owner_name(apr_pool_t *p);

/** The node's part of such names, with the colon after it: the host, its boot and
 *  its namespace of process IDs, so that a number means one process. In p. */
const char *up_owner_node(apr_pool_t *p);

/** Is this the name of a process of this node that runs no more? For any other
 *  name 0. */
int up_owner_is_dead(apr_pool_t *p, const char *owner);

#endif
