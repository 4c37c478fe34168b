/* SPDX-License-Identifier: Apache-2.0 */
#include "core/langtag.h"
#include "core/langtag_data.h"

#include <apr_cstr.h>
#include <stdlib.h>
#include <string.h>

/* Every subtag but the last takes at least two bytes. */
#define SUBTAGS_MAX ((UP_LANGTAG_MAX + 1) / 2)

/** A tag taken apart: subtags of 1 to 8 letters and digits, in lower case. */
typedef struct subtags {
    char text[UP_LANGTAG_MAX + 1];
    const char *subtag[SUBTAGS_MAX];
    int count;
    int at; /* the next one to look at */
} subtags;

/* The C library's classes of characters depend on the locale; these do not. */
static int is_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c;
}

static char upper(char c)
{
    if (is_letter(c))
        return (char)(c - 'a' + 'A');
    return c;
}

static int is_letters(const char *s, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; is_letter(s[i]); i++)
        ;
    return i == len && s[i] == '\0';
}

static int is_variant(const char *s)
{
    apr_size_t len = strlen(s);

    return len >= 5 || (len == 4 && is_digit(s[0]));
}

static int compare(const void *key, const void *record)
{
    return apr_cstr_casecmp(key, record);
}

/** The record of a list that begins with key, or NULL. */
#define FIND(key, list)                                                                            \
    bsearch((key), up_langtag_##list, up_langtag_##list##_count, sizeof(up_langtag_##list[0]),     \
            compare)

/** The subtag to look at; "", which fits nothing, at the end. */
static const char *current(const subtags *tag)
{
    return tag->at < tag->count ? tag->subtag[tag->at] : "";
}

/**
 * Takes a tag apart.
 * @return 0 where it holds anything but subtags of letters and digits.
 */
static int split(subtags *tag, const char *in, apr_size_t len)
{
    apr_size_t i, start = 0;

    if (len > UP_LANGTAG_MAX)
        return 0;
    for (i = 0; i < len; i++)
        tag->text[i] = lower(in[i]);
    for (i = 0; i <= len; i++) {
        if (i < len && (is_letter(tag->text[i]) || is_digit(tag->text[i])))
            continue;
        if (i < len && tag->text[i] != '-')
            return 0;
        if (i - start < 1 || i - start > 8)
            return 0;
        tag->text[i] = '\0';
        tag->subtag[tag->count++] = tag->text + start;
        start = i + 1;
    }
    return 1;
}

/** Is a letter, 'a' to 'z', in a set of langtag_data.h? */
static int in_set(apr_uint32_t set, char letter)
{
    return (set >> (letter - 'a') & 1) != 0;
}

static int is_language(const char *s)
{
    if (is_letters(s, 2))
        return in_set(up_langtag_languages2[s[0] - 'a'], s[1]);
    if (is_letters(s, 3))
        return in_set(up_langtag_languages3[(s[0] - 'a') * 26 + (s[1] - 'a')], s[2]);
    return 0;
}

/**
 * The language, and an extlang with the one prefix that it has. By RFC 5646
 * 2.2.2 an extlang is always used with its prefix, and a tag with the second or
 * third one that the grammar has room for is and will always remain invalid.
 */
static int take_language(subtags *tag)
{
    const char *language = current(tag);
    const up_langtag_extlang *extlang;

    if (!is_language(language))
        return 0;
    tag->at++;
    if (!is_letters(current(tag), 3))
        return 1;
    extlang = FIND(current(tag), extlangs);
    tag->at++;
    return extlang && strcmp(extlang->prefix, language) == 0;
}

static int take_script(subtags *tag)
{
    const char *script = current(tag);

    if (!is_letters(script, 4))
        return 1;
    tag->at++;
    return FIND(script, scripts) != NULL;
}

static int take_region(subtags *tag)
{
    const char *region = current(tag);

    if (is_letters(region, 2)) {
        tag->at++;
        return in_set(up_langtag_regions2[region[0] - 'a'], region[1]);
    }
    if (strlen(region) == 3 && is_digit(region[0])) {
        tag->at++;
        return FIND(region, regions3) != NULL;
    }
    return 1;
}

/** Variants may come with any language: their prefixes are only RECOMMENDED (RFC 5646 3.1.8). */
static int take_variants(subtags *tag)
{
    int i, first = tag->at;

    for (; is_variant(current(tag)); tag->at++) {
        if (!FIND(current(tag), variants))
            return 0;
        for (i = first; i < tag->at; i++) {
            if (strcmp(tag->subtag[i], current(tag)) == 0)
                return 0;
        }
    }
    return 1;
}

/**
 * Extensions are checked for their form only, so any singleton but x will do:
 * RFC 5646 2.2.9 sets "valid" apart from "valid for a given extension", and
 * 2.2.6 does not ask a validating processor to know any.
 */
static int take_extensions(subtags *tag)
{
    char seen[SUBTAGS_MAX + 1] = "";
    int first;

    while (strlen(current(tag)) == 1 && current(tag)[0] != 'x') {
        if (strchr(seen, current(tag)[0]))
            return 0;
        seen[strlen(seen)] = current(tag)[0];
        first = ++tag->at;
        while (strlen(current(tag)) > 1)
            tag->at++;
        if (tag->at == first)
            return 0;
    }
    return 1;
}

static int take_private_use(subtags *tag)
{
    if (strcmp(current(tag), "x") != 0)
        return 1;
    if (tag->at + 1 == tag->count)
        return 0;
    tag->at = tag->count;
    return 1;
}

static int is_langtag(subtags *tag)
{
    return take_language(tag) && take_script(tag) && take_region(tag) && take_variants(tag) &&
           take_extensions(tag) && take_private_use(tag) && tag->at == tag->count;
}

/** The recommended case. RFC 5646 2.1.1 spares what stands "after singletons", which
 *  is anywhere after one: "en-CA-x-ca", "az-Latn-x-latn". */
static void join(const subtags *tag, char *out)
{
    int i, after_singleton = 0;

    for (i = 0; i < tag->count; i++) {
        apr_size_t j, len = strlen(tag->subtag[i]), capitals = 0;

        if (i > 0 && !after_singleton)
            capitals = len == 2 ? 2 : len == 4 ? 1 : 0;
        for (j = 0; j < len; j++) {
            *out = tag->subtag[i][j];
            if (j < capitals)
                *out = upper(*out);
            out++;
        }
        if (len == 1)
            after_singleton = 1;
        *out++ = '-';
    }
    out[-1] = '\0';
}

int up_langtag_valid(const char *tag, apr_size_t len, char *out)
{
    subtags parts = {0};
    const char *grandfathered;

    if (!split(&parts, tag, len))
        return 0;
    join(&parts, out);
    grandfathered = FIND(out, grandfathered);
    if (grandfathered) {
        memcpy(out, grandfathered, len + 1);
        return 1;
    }
    if (strcmp(parts.subtag[0], "x") == 0)
        return take_private_use(&parts);
    return is_langtag(&parts);
}
