/* SPDX-License-Identifier: Apache-2.0 */

/* For LD_PRELOAD in a test's httpd: a process that crashes leaves the names of its frames in the
 * file $UP_CRASHES/PID before it ends by the signal as it would have. A core would say more, but
 * whether there is one, and where, is the machine's to say. */
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define FRAMES 64

static int (*set_action)(int, const struct sigaction *, struct sigaction *);
static const char *folder;

static void write_frames(int number)
{
    void *frames[FRAMES];
    char file[256];
    int fd;

    signal(number, SIG_DFL);
    snprintf(file, sizeof(file), "%s/%d", folder, (int)getpid());
    fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0) {
        backtrace_symbols_fd(frames, backtrace(frames, FRAMES), fd);
        close(fd);
    }
    raise(number);
}

/* httpd's own handler only notes where its core goes. */
PUBLIC int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    struct sigaction ours = {.sa_handler = write_frames, .sa_flags = SA_NODEFER};
    int crash = number == SIGSEGV || number == SIGBUS || number == SIGABRT;

    if (!set_action)
        set_action = dlsym(RTLD_NEXT, "sigaction");
    return set_action(number, folder && action && crash ? &ours : action, old);
}

__attribute__((constructor)) static void begin(void)
{
    void *frame[1];

    folder = getenv("UP_CRASHES");
    (void)backtrace(frame, 1); /* which loads what it needs, as a handler must not */
}
