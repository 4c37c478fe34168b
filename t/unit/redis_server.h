/* SPDX-License-Identifier: Apache-2.0 */

/** A redis-server of the test's own: in a folder under /tmp, on a Unix socket
 *  and a loopback port, as nobody where the test runs as root. It dies with
 *  the test, whatever becomes of that. */
#ifndef UP_TEST_REDIS_SERVER_H
#define UP_TEST_REDIS_SERVER_H

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <hiredis/hiredis.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct redis_server {
    char dir[64];
    char sock[96];
    int port;
    pid_t pid;
    const char *password; /* what the admin's connections send, or NULL */
    const char *renamed;  /* a command that it does not know, or NULL */
} redis_server;

__attribute__((unused)) static int server_is_installed(void)
{
    return system("command -v redis-server >/dev/null 2>&1") == 0;
}

/** A loopback port that nobody has now. */
static int free_port(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
        getsockname(fd, (struct sockaddr *)&sin, &len) != 0)
        exit(1);
    close(fd);
    return ntohs(sin.sin_port);
}

/** A command of the test's own, on a connection of its own. Returns the reply's
 *  number, or -1 for an error, a nil, or no answer; text gets up to 255 bytes. */
__attribute__((unused)) static long long admin_argv(const redis_server *server, char text[256],
                                                    int db, int argc, const char **argv,
                                                    const size_t *lens)
{
    struct timeval wait = {5, 0};
    redisContext *c = redisConnectUnixWithTimeout(server->sock, wait);
    redisReply *reply = NULL;
    long long number = -1;

    if (text)
        text[0] = '\0';
    if (c && !c->err && redisSetTimeout(c, wait) == REDIS_OK) {
        if (server->password)
            freeReplyObject(redisCommand(c, "AUTH %s", server->password));
        if (db)
            freeReplyObject(redisCommand(c, "SELECT %d", db));
        reply = redisCommandArgv(c, argc, argv, lens);
    }
    if (reply && reply->type == REDIS_REPLY_INTEGER)
        number = reply->integer;
    else if (reply && reply->type != REDIS_REPLY_ERROR && reply->type != REDIS_REPLY_NIL)
        number = 0;
    if (reply && reply->str && text)
        snprintf(text, 256, "%s", reply->str);
    freeReplyObject(reply);
    redisFree(c);
    return number;
}

/** admin(server, db, "DEL", "key"), as admin_argv() with strings */
#define admin(server, db, ...) admin_strings(server, db, __VA_ARGS__, (char *)NULL)

__attribute__((unused)) static long long admin_strings(const redis_server *server, int db, ...)
{
    const char *argv[16];
    int argc = 0;
    va_list args;

    va_start(args, db);
    while (argc < 16 && (argv[argc] = va_arg(args, const char *)) != NULL)
        argc++;
    va_end(args);
    return admin_argv(server, NULL, db, argc, argv, NULL);
}

static void become_nobody(void)
{
    struct passwd *nobody = getpwnam("nobody");

    if (geteuid() != 0)
        return;
    if (!nobody || setgroups(0, NULL) || setgid(nobody->pw_gid) || setuid(nobody->pw_uid))
        _exit(1);
}

static void exec_server(const redis_server *server)
{
    char port[8], log[96];
    int null = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, 0);
    dup2(null, 1);
    become_nobody();
    unsetenv("LD_PRELOAD"); /* a sanitizer of the test's */
    snprintf(port, sizeof(port), "%d", server->port);
    snprintf(log, sizeof(log), "%s/log", server->dir);
    execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--port", port, "--unixsocket",
           server->sock, "--unixsocketperm", "777", "--dir", server->dir, "--save", "",
           "--appendonly", "no", "--daemonize", "no", "--logfile", log, "--maxclients", "1000",
           server->renamed ? "--rename-command" : NULL, server->renamed, "", NULL);
    _exit(1);
}

/** Starts it, where it was before if it was; waits until it answers. */
__attribute__((unused)) static int server_start(redis_server *server)
{
    if (!server->dir[0]) {
        strcpy(server->dir, "/tmp/up_redis_XXXXXX");
        if (!mkdtemp(server->dir))
            return 0;
        /* The server is another user; nothing secret is in there. */
        chmod(server->dir, 0777);
        snprintf(server->sock, sizeof(server->sock), "%s/s", server->dir);
        server->port = free_port();
    }
    server->pid = fork();
    if (server->pid == 0)
        exec_server(server);
    for (int i = 0; i < 500; i++) {
        if (admin(server, 0, "PING") == 0)
            return 1;
        usleep(20000);
    }
    return 0;
}

__attribute__((unused)) static void server_kill(redis_server *server)
{
    kill(server->pid, SIGCONT);
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    unlink(server->sock);
}

/** Stops it for good and removes its folder. */
__attribute__((unused)) static void server_remove(redis_server *server)
{
    char log[96];

    server_kill(server);
    snprintf(log, sizeof(log), "%s/log", server->dir);
    unlink(log);
    if (rmdir(server->dir) != 0)
        printf("# %s is not empty\n", server->dir);
}

/** A number from INFO, e.g. "connected_clients". -1 where it is not there. */
__attribute__((unused)) static long server_info(const redis_server *server, const char *section,
                                                const char *name)
{
    redisContext *c = redisConnectUnix(server->sock);
    redisReply *reply = redisCommand(c, "INFO %s", section);
    const char *found = reply && reply->str ? strstr(reply->str, name) : NULL;
    long number = found && found[strlen(name)] == ':' ? atol(found + strlen(name) + 1)
                  : found                             ? 0
                                                      : -1;

    freeReplyObject(reply);
    redisFree(c);
    return number;
}

/** How many descriptors this process has open; with inheritable, of those that a program
 *  would get that it executes. */
__attribute__((unused)) static int count_descriptors_of(int inheritable)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    int count = 0;

    while ((entry = readdir(dir)) != NULL) {
        int flags = fcntl(atoi(entry->d_name), F_GETFD);

        count += entry->d_name[0] != '.' && !(inheritable && (flags & FD_CLOEXEC));
    }
    closedir(dir);
    return count;
}

__attribute__((unused)) static int count_descriptors(void)
{
    return count_descriptors_of(0);
}

#endif
