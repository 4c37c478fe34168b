/* SPDX-License-Identifier: Apache-2.0 */

/* The address sanitizer sees nothing within a pool: a pool's memory is one piece to malloc(). Here
 * each piece that a pool gives is followed by bytes that nobody may touch. These definitions come
 * before APR's own, which they call. Without the sanitizer there are none. */
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <apr_pools.h>
#include <apr_strings.h>
#include <dlfcn.h>
#include <sanitizer/asan_interface.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RED_ZONE 32

#undef apr_palloc
#undef apr_pcalloc

void *apr_palloc(apr_pool_t *p, apr_size_t size)
{
    static void *(*real)(apr_pool_t *, apr_size_t);
    /* Shadow memory knows eight bytes at a time, of which the first ones can be open. */
    apr_size_t room = ((size ? size : 1) + 7) / 8 * 8;
    char *memory;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "apr_palloc");
    memory = real(p, room + RED_ZONE);
    if (memory) {
        ASAN_UNPOISON_MEMORY_REGION(memory, room);
        ASAN_POISON_MEMORY_REGION(memory + size, room + RED_ZONE - size);
    }
    return memory;
}

void *apr_pcalloc(apr_pool_t *p, apr_size_t size)
{
    void *memory = apr_palloc(p, size);

    return memory ? memset(memory, 0, size) : NULL;
}

/* APR's own writes into the pool's free memory, where poison of an earlier run may be. */
char *apr_pvsprintf(apr_pool_t *p, const char *format, va_list args)
{
    static int (*print)(char *, apr_size_t, const char *, va_list);
    va_list again;
    int len;
    char *text;

    if (!print)
        *(void **)&print = dlsym(RTLD_DEFAULT, "apr_vsnprintf");
    for (len = 128;; len *= 2) {
        char *room = malloc((size_t)len);

        if (!room)
            abort();
        va_copy(again, args);
        /* Formats of APR's own are not vsnprintf()'s; what fills the room may have been cut. */
        if (print(room, (apr_size_t)len, format, again) < len - 1) {
            va_end(again);
            text = apr_palloc(p, strlen(room) + 1);
            memcpy(text, room, strlen(room) + 1);
            free(room);
            return text;
        }
        va_end(again);
        free(room);
    }
}

char *apr_psprintf(apr_pool_t *p, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = apr_pvsprintf(p, format, args);
    va_end(args);
    return text;
}
#else
typedef int nothing;
#endif
