/* SPDX-License-Identifier: Apache-2.0 */

/* Runs a fuzz target without libFuzzer: over the files that it is given, else over its corpus,
 * t/fuzz/corpus/TARGET, where TARGET is what follows "fuzz_" in the program's name. One check a
 * file. A child does the work; where it dies, the file that it was at has failed, and another
 * child goes on with the next one. */
#include "tap.h"

#include "fuzz.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Far more than any needs, under a sanitizer on a busy machine too: one that waits for ever. */
#define SECONDS_A_FILE 60

#define FILES_MAX 10000

static char *files[FILES_MAX];
static int count;

static void add(const char *folder, const char *name)
{
    char *path = NULL;

    if (count < FILES_MAX && asprintf(&path, "%s%s%s", folder, *folder ? "/" : "", name) > 0)
        files[count++] = path;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_corpus(const char *program)
{
    const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
    char folder[256];
    DIR *dir;
    struct dirent *entry;

    name += strncmp(name, "fuzz_", 5) == 0 ? 5 : 0;
    snprintf(folder, sizeof(folder), "t/fuzz/corpus/%s", name);
    dir = opendir(folder);
    while (dir && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            add(folder, entry->d_name);
    if (dir)
        closedir(dir);
    qsort(files, (size_t)count, sizeof(files[0]), by_name);
}

/* @return 0 where the file cannot be read. */
static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    uint8_t *data;
    size_t got;

    if (file && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (size < 0) {
        if (file)
            fclose(file);
        return 0;
    }
    rewind(file);
    data = malloc(size ? (size_t)size : 1);
    if (!data)
        abort();
    got = fread(data, 1, (size_t)size, file);
    fclose(file);
    if (got == (size_t)size)
        LLVMFuzzerTestOneInput(data, got);
    free(data);
    return got == (size_t)size;
}

/* What the child does: leaves in *done how far it has come. */
static void run_files(int first, volatile int *done)
{
    int i;

    for (i = first; i < count; i++) {
        alarm(SECONDS_A_FILE);
        if (!run_file(files[i])) {
            fprintf(stderr, "# %s cannot be read\n", files[i]);
            _exit(1);
        }
        *done = i + 1;
    }
    /* By exit(), so that leaks are looked for. */
    exit(0);
}

/* From the first file to the one where the child dies. @return how many files were run. */
static int run_child(const char *program, int first, volatile int *done)
{
    int status = 0, i;
    pid_t child;

    *done = first;
    fflush(NULL);
    child = fork();
    if (child == 0)
        run_files(first, done);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    for (i = first; i < *done; i++)
        ok(1, "%s", files[i]);
    if (*done < count) {
        ok(0, "%s (%s %d)", files[*done], WIFSIGNALED(status) ? "signal" : "exit status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        fprintf(stderr, "# run it again: %s %s\n", program, files[*done]);
        return *done + 1 - first;
    }
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "and nothing is left behind");
    return count - first;
}

int main(int argc, char **argv)
{
    volatile int *done =
        mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int i, ran;

    if (done == MAP_FAILED)
        return 1;
    for (i = 1; i < argc; i++)
        add("", argv[i]);
    if (argc < 2)
        add_corpus(argv[0]);
    ok(count > 0, "there are inputs");
    for (i = 0; i < count; i += ran) {
        ran = run_child(argv[0], i, done);
        if (ran < 1) {
            printf("Bail out! No child can be started.\n");
            return 1;
        }
    }
    for (i = 0; i < count; i++)
        free(files[i]);
    return done_testing();
}
