/* SPDX-License-Identifier: Apache-2.0 */

/* up_json_put_string(): the same as jansson writes, for every byte, beside every other, and for
 * many texts at random; into no byte more than it has said. */
#include "core/json_write.h"

#include "tap.h"

#include <jansson.h>
#include <stdlib.h>

/* 1 where both write the same, or both refuse it. */
static int is_as_jansson(const char *text)
{
    json_t *value = json_string(text);
    char *want = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    apr_size_t size = up_json_string_size(text);
    char *out = malloc(size), *end = up_json_put_string(out, text);
    int same = want ? end == out + size && strlen(want) == size && memcmp(want, out, size) == 0
                    : end == NULL;

    free(out);
    free(want);
    json_decref(value);
    return same;
}

static void test_bytes(void)
{
    char text[4] = {0};
    int wrong = 0, a, b;

    for (a = 1; a < 256; a++) {
        for (b = 0; b < 256; b++) {
            text[0] = (char)a;
            text[1] = (char)b;
            wrong += !is_as_jansson(text);
        }
    }
    is_int(wrong, 0, "every byte and every pair of bytes");
}

static void test_random(void)
{
    static const char *const pieces[] = {"\"",
                                         "\\",
                                         "/",
                                         "\x01",
                                         "\x1f",
                                         "\x7f",
                                         "a",
                                         "\n",
                                         "\xC3\xA9",
                                         "\xE2\x82\xAC",
                                         "\xED\xA0\x80",
                                         "\xC0\x80",
                                         "\xF4\x90\x80\x80",
                                         "\xF0\x9F\x98\x80",
                                         "\xEF\xBF\xBE",
                                         "\x80",
                                         "</script>",
                                         "\xE2\x82"};
    int wrong = 0, i, j;

    srand(7);
    for (i = 0; i < 20000; i++) {
        char text[128] = "", *end = text;

        for (j = rand() % 8; j > 0; j--) {
            const char *piece = pieces[rand() % (int)(sizeof(pieces) / sizeof(pieces[0]))];

            end += snprintf(end, sizeof(text) - (size_t)(end - text), "%s", piece);
        }
        if (!is_as_jansson(text) && wrong++ < 3)
            printf("# %s\n", text);
    }
    is_int(wrong, 0, "20,000 texts at random");
}

int main(void)
{
    ok(is_as_jansson(""), "nothing");
    test_bytes();
    test_random();
    return done_testing();
}
