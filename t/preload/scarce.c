/* SPDX-License-Identifier: Apache-2.0 */

/* For LD_PRELOAD in a test's httpd: one of the allocations that the module, jansson, libjwt and
 * libcurl ask for fails, and what they have not freed is counted. Those of others are let be: APR
 * ends the process by design, and so does hiredis 0.14 by mistake.
 *
 * The test and the child share the file that $UP_SCARCE names, five numbers:
 *
 *     on    1: count, and fail where it is said; 0: nothing but what follows the living
 *     at    the allocation that fails, from 1; 0: none
 *     rest  1: those behind it fail too
 *     seen  how many there were since `on`
 *     live  how many of them all have not been freed
 */
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define WATCHED 4
/* A power of two, many times what lives at once. */
#define BLOCKS (1U << 18)

extern void *__libc_malloc(size_t size);               // NOLINT
extern void *__libc_calloc(size_t count, size_t size); // NOLINT
extern void *__libc_realloc(void *block, size_t size); // NOLINT
extern void __libc_free(void *block);                  // NOLINT

static const char *const names[WATCHED] = {"/mod_userprofile.so", "/libjansson.so", "/libjwt.so",
                                           "/libcurl.so"};

static volatile int64_t *shared;
static struct {
    uintptr_t from, end;
} code[WATCHED];

/* The blocks that live, by their address; a place that was left is TOMB. */
#define TOMB ((void *)1)
static void *blocks[BLOCKS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

enum { ON, AT, REST, SEEN, LIVE, NUMBERS };

static int find_code(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    (void)data;
    for (int i = 0; i < WATCHED; i++) {
        if (!strstr(info->dlpi_name, names[i]))
            continue;
        for (int j = 0; j < info->dlpi_phnum; j++) {
            const ElfW(Phdr) *segment = &info->dlpi_phdr[j];

            if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
                code[i].from = info->dlpi_addr + segment->p_vaddr;
                code[i].end = code[i].from + segment->p_memsz;
            }
        }
    }
    return 0;
}

static void open_shared(void)
{
    const char *name = getenv("UP_SCARCE");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *at =
        fd < 0 ? MAP_FAILED
               : mmap(NULL, NUMBERS * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (at != MAP_FAILED)
        shared = at;
    if (fd >= 0)
        close(fd);
}

/* The module is loaded long after this: it is looked for when the first request of a child is
 * counted. A child inherits what its parent has found; it is the same there. */
__attribute__((constructor)) static void start(void)
{
    open_shared();
}

static int is_watched(const void *caller)
{
    const uintptr_t at = (uintptr_t)caller;

    if (!shared || !shared[ON])
        return 0;
    if (!code[0].end)
        dl_iterate_phdr(find_code, NULL);
    for (int i = 0; i < WATCHED; i++) {
        if (at >= code[i].from && at < code[i].end)
            return 1;
    }
    return 0;
}

static int fails(void)
{
    const int64_t seen = __atomic_add_fetch(&shared[SEEN], 1, __ATOMIC_SEQ_CST);

    return shared[AT] && (seen == shared[AT] || (shared[REST] && seen > shared[AT]));
}

static size_t place(const void *block)
{
    return ((uintptr_t)block >> 4) * 0x9E3779B97F4A7C15U >> 46;
}

static void born(void *block)
{
    size_t at = place(block);

    if (!block)
        return;
    pthread_mutex_lock(&mutex);
    while (blocks[at] && blocks[at] != TOMB)
        at = (at + 1) % BLOCKS;
    blocks[at] = block;
    shared[LIVE]++;
    pthread_mutex_unlock(&mutex);
}

static void gone(const void *block)
{
    size_t at = place(block);

    if (!block || !shared)
        return;
    pthread_mutex_lock(&mutex);
    while (blocks[at] && blocks[at] != block)
        at = (at + 1) % BLOCKS;
    if (blocks[at]) {
        blocks[at] = TOMB;
        shared[LIVE]--;
    }
    pthread_mutex_unlock(&mutex);
}

PUBLIC void *malloc(size_t size)
{
    void *block;

    if (!is_watched(__builtin_return_address(0)))
        return __libc_malloc(size);
    block = fails() ? NULL : __libc_malloc(size);
    born(block);
    return block;
}

PUBLIC void *calloc(size_t count, size_t size)
{
    void *block;

    if (!is_watched(__builtin_return_address(0)))
        return __libc_calloc(count, size);
    block = fails() ? NULL : __libc_calloc(count, size);
    born(block);
    return block;
}

PUBLIC void *realloc(void *old, size_t size)
{
    void *block;

    if (!is_watched(__builtin_return_address(0))) {
        gone(old);
        return __libc_realloc(old, size);
    }
    if (fails())
        return NULL;
    gone(old);
    block = __libc_realloc(old, size);
    born(block);
    return block;
}

PUBLIC char *strdup(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy;

    if (!is_watched(__builtin_return_address(0)))
        copy = __libc_malloc(size);
    else if ((copy = fails() ? NULL : __libc_malloc(size)))
        born(copy);
    return copy ? memcpy(copy, text, size) : NULL;
}

PUBLIC void free(void *block)
{
    gone(block);
    __libc_free(block);
}
