/* SPDX-License-Identifier: Apache-2.0 */

/**
 * What the fuzz targets have in common. A target is one C file: it takes an input, asks
 * the code under test, and says with must() what has to hold whatever the input is.
 * libFuzzer runs it (`make fuzz`), and so does replay.c, over the inputs in
 * t/fuzz/corpus/TARGET (`make test`).
 */
#ifndef UP_FUZZ_H
#define UP_FUZZ_H

#include <apr_general.h>
#include <apr_pools.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** One run on size bytes, which end where they end: a byte more is not readable. @return 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Ends the run as a finding where this does not hold. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "# %s:%d: this does not hold: %s\n", __FILE__, __LINE__, #condition);  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** A pool that stays. */
__attribute__((unused)) static apr_pool_t *fuzz_lasting_pool(void)
{
    static apr_pool_t *pool;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    return pool;
}

/** The pool of one run, empty. */
__attribute__((unused)) static apr_pool_t *fuzz_pool(void)
{
    static apr_pool_t *pool;

    if (!pool)
        apr_pool_create(&pool, fuzz_lasting_pool());
    apr_pool_clear(pool);
    return pool;
}

/** What a run ends with: nothing of it is left. */
__attribute__((unused)) static int fuzz_done(void)
{
    fuzz_pool();
    return 0;
}

/** A copy of its very size, to be freed: a sanitizer sees the first byte that is read beyond. */
__attribute__((unused)) static char *fuzz_copy(const void *data, size_t size)
{
    char *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    return copy;
}

/** The text before the next delimiter, terminated, in p; what is left moves behind it. */
__attribute__((unused)) static char *fuzz_text(apr_pool_t *p, const uint8_t **data, size_t *size,
                                               uint8_t delimiter)
{
    const uint8_t *end = *size ? memchr(*data, delimiter, *size) : NULL;
    size_t len = end ? (size_t)(end - *data) : *size;
    char *text = apr_palloc(p, len + 1);

    if (len)
        memcpy(text, *data, len);
    text[len] = '\0';
    *data += end ? len + 1 : len;
    *size -= end ? len + 1 : len;
    return text;
}

/** No control character? */
__attribute__((unused)) static int fuzz_is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return 0;
    return 1;
}

#endif
