/* SPDX-License-Identifier: Apache-2.0 */

/** A clock for deadlines. */
#ifndef UP_CLOCK_H
#define UP_CLOCK_H

#include <apr_time.h>

/** Now in microseconds, on a clock that nobody sets (CLOCK_MONOTONIC). */
apr_time_t up_clock(void);

#endif
