/* SPDX-License-Identifier: Apache-2.0 */

/* A language tag: the input is its bytes. */
#include "fuzz.h"

#include "core/langtag.h"

#include <ctype.h>
#include <strings.h>

#define ROOM 128

/* Is it valid? From memory of its very size; out has not one byte more than it needs. */
static int valid(const char *tag, size_t len, char *out)
{
    char *copy = fuzz_copy(tag, len), *room = malloc(UP_LANGTAG_MAX + 1);
    int answer;

    if (!room)
        abort();
    answer = up_langtag_valid(copy, len, room);
    must(answer == 0 || answer == 1);
    if (answer)
        memcpy(out, room, strlen(room) + 1);
    free(copy);
    free(room);
    return answer;
}

static void check_form(const char *tag, size_t len, const char *out)
{
    size_t i;

    must(len <= UP_LANGTAG_MAX && strlen(out) == len);
    must(strncasecmp(tag, out, len) == 0);
    for (i = 0; i < len; i++)
        must(isalnum((unsigned char)out[i]) || out[i] == '-');
    must(isalnum((unsigned char)out[0]) && isalnum((unsigned char)out[len - 1]));
    must(!strstr(out, "--"));
}

/* What is valid stays so with private use after it: RFC 5646 2.1 allows that for each langtag, and
 * for a privateuse as one more subtag. The grandfathered are whole as they are, and an irregular
 * one is no langtag at all: those begin with i-, or sgn-, or are the one that ends in -oed. */
static void check_extended(const char *out)
{
    char longer[UP_LANGTAG_MAX + 8], again[UP_LANGTAG_MAX + 1];
    int private = out[1] == '-' || strstr(out, "-x-") != NULL;

    snprintf(longer, sizeof(longer), "%s%s", out, private ? "-q1" : "-x-q1");
    if (strncmp(out, "i-", 2) == 0 || strncmp(out, "sgn-", 4) == 0 || strstr(out, "-oed") ||
        strlen(longer) > UP_LANGTAG_MAX)
        return;
    /* Of the regular ones the language is not in the registry (zh-min, cel-gaulish). */
    if (strncmp(out, "art-", 4) == 0 || strncmp(out, "cel-", 4) == 0 ||
        strncmp(out, "no-", 3) == 0 || strncmp(out, "zh-", 3) == 0)
        return;
    must(valid(longer, strlen(longer), again) && strcmp(again, longer) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char tag[ROOM], other[ROOM], out[UP_LANGTAG_MAX + 1] = "", again[UP_LANGTAG_MAX + 1] = "";
    size_t i;
    int answer;

    if (size > ROOM)
        return 0;
    memcpy(tag, data, size);
    answer = valid(tag, size, out);
    for (i = 0; i < size; i++)
        other[i] = (char)(data[i] < 0x80 ? (isupper(data[i]) ? tolower(data[i]) : toupper(data[i]))
                                         : data[i]);
    must(valid(other, size, again) == answer);
    must(strcmp(out, again) == 0);
    if (answer) {
        check_form(tag, size, out);
        must(valid(out, size, again) && strcmp(out, again) == 0);
        check_extended(out);
    }
    return 0;
}
