/* SPDX-License-Identifier: Apache-2.0 */

/** Statements while libpq finds no memory: each of its allocations fails in turn, once
 *  alone and once with all that follow. The call ends in time with the row or a problem,
 *  and when memory is back the next is served. */
#include "tap.h"

#include <features.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if !__has_feature(address_sanitizer)
#define TORTURE 1
#endif
#else
#define TORTURE 1
#endif
#endif

#ifdef TORTURE

#include "pg_ask.h"

#include <link.h>
#include <stdint.h>

/* glibc's own, below the three that everybody in this process calls. */
extern void *__libc_malloc(size_t size);               // NOLINT
extern void *__libc_calloc(size_t count, size_t size); // NOLINT
extern void *__libc_realloc(void *block, size_t size); // NOLINT

static struct {
    int on;              /* 1: count, and fail where it is said */
    int at;              /* the allocation that fails, from 1 */
    int rest;            /* 1: those behind it fail too */
    int seen;            /* allocations so far */
    uintptr_t from, end; /* where libpq's code is: APR's allocations may not fail */
} torture;

static int fails(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;

    if (!torture.on || at < torture.from || at >= torture.end)
        return 0;
    torture.seen++;
    return torture.seen == torture.at || (torture.rest && torture.seen > torture.at);
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(block, size);
}

static int find_libpq(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    (void)data;
    if (!strstr(info->dlpi_name, "/libpq.so"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
            torture.from = info->dlpi_addr + segment->p_vaddr;
            torture.end = torture.from + segment->p_memsz;
        }
    }
    return 1;
}

/* One use with that allocation failing; the connection is there already, or not. */
static int tortured(int connected, int at, int rest, int *after)
{
    /* Some wait in vain for what they could not read. */
    apr_interval_time_t deadline = at ? apr_time_from_msec(100) : LONG;
    up_dbd_pool *dbd = begin(PG_NO_PLAN, deadline);
    int status;

    if (connected)
        run(dbd);
    torture.at = at;
    torture.rest = rest;
    torture.seen = 0;
    torture.on = 1;
    status = run_within(dbd, deadline);
    torture.on = 0;
    /* A loaded machine may miss so short a deadline. */
    for (int i = 0; i < 20 && (*after = run(dbd)) == 503; i++)
        ;
    end();
    return status;
}

static void test_each(int connected, const char *name)
{
    int all, after, wrong = 0, served = 0, cases = 0;

    ok(tortured(connected, 0, 0, &after) == 0, "%s: served while there is memory", name);
    all = torture.seen;
    for (int rest = 0; rest <= 1; rest++) {
        for (int at = 1; at <= all; at++, cases++) {
            int status = tortured(connected, at, rest, &after);

            served += status == 0;
            if ((status == 0 || status == 503) && after == 0)
                continue;
            wrong++;
            printf("# %s, number %d%s: %d, then %d: %s\n", name, at, rest ? " and on" : "", status,
                   after, last_log ? last_log : "");
        }
    }
    ok(all > 0 && !wrong, "%s: a row or 503 while one of %d allocations fails", name, all);
    printf("# served in %d of %d\n", served, cases);
}

int main(void)
{
    initialize();
    dl_iterate_phdr(find_libpq, NULL);
    alarm(120);
    test_each(1, "on an open connection");
    test_each(0, "on a new connection");
    return done_testing();
}

#else

int main(void)
{
    printf("1..0 # SKIP allocations cannot be made to fail in this build\n");
    return 0;
}

#endif
