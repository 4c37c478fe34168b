/* SPDX-License-Identifier: Apache-2.0 */

/* For LD_PRELOAD in a test's httpd: the first connection to Postgres that a process closes takes it
 * $UP_LATE milliseconds more, so that a child comes to its end late. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((visibility("default"))) void PQfinish(void *connection)
{
    static int closed;
    void (*finish)(void *) = dlsym(RTLD_NEXT, "PQfinish");
    const char *late = getenv("UP_LATE");

    if (late && !closed++)
        usleep((useconds_t)strtol(late, NULL, 10) * 1000);
    finish(connection);
}
