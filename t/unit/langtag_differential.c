/* SPDX-License-Identifier: Apache-2.0 */

/* Language tags, good and bad ones, as others judge them: what is valid to us is so to
 * language-tags, which knows IANA's registry, and well formed to bcp-47, which knows the grammar;
 * and what both like is valid to us. The tags are made from a seed. */
#include "oracle.h"
#include "tap.h"

#include "core/langtag.h"

#include <apr_general.h>

#define SEED 20240229
#define TAGS 6000
#define TAG_MAX 64

static apr_pool_t *pool;
static apr_uint64_t state = SEED;

/* Of each kind, some that are registered and some that are not. */
static const char *const kinds[][16] = {
    {"en", "de", "zh", "sl", "sgn", "ar", "sr", "hy", "es", "az", "ja", "yy", "xyz", "abcd", "fr",
     "e"},
    {"cmn", "yue", "gan", "arb", "ase", "aaa", "zzz", "", "", "", "", "", "", "", "", ""},
    {"Latn", "Hant", "Hans", "Cyrl", "Arab", "Zyyy", "Abcd", "Zzzz", "", "", "", "", "", "", "",
     ""},
    {"DE", "AT", "TW", "419", "001", "US", "GB", "XX", "999", "ZZ", "", "", "", "", "", ""},
    {"1996", "1901", "rozaj", "biske", "nedis", "valencia", "arevela", "fonipa", "abcde", "1abc",
     "", "", "", "", "", ""},
    {"u-co-phonebk", "a-bbb", "t-en", "a-b", "u", "0-ab", "x-a", "x-whatever", "x", "b-ccc-ddd", "",
     "", "", "", "", ""},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *const whole[] = {"i-klingon",   "en-GB-oed", "art-lojban", "zh-min-nan",
                                    "zh-min",      "x-a-b",     "i-default",  "sgn-BE-FR",
                                    "cel-gaulish", "no-bok"};

static const char *kind(unsigned int i)
{
    return kinds[i][oracle_random(&state, 16)];
}

/* A tag in the right order, or with a subtag more, or one of the odd ones, perhaps changed. */
static void make_tag(char tag[TAG_MAX])
{
    unsigned int i;
    char *at = apr_cpystrn(tag, kind(0), TAG_MAX);

    for (i = 1; i < KINDS; i++) {
        const char *subtag =
            oracle_random(&state, 8) ? kind(i) : kind(oracle_random(&state, KINDS));

        if (oracle_random(&state, 3) == 0 && *subtag && at - tag + strlen(subtag) + 2 < TAG_MAX)
            at += snprintf(at, TAG_MAX - (size_t)(at - tag), "-%s", subtag);
    }
    if (oracle_random(&state, 12) == 0)
        apr_cpystrn(tag, whole[oracle_random(&state, 10)], TAG_MAX);
    if (oracle_random(&state, 4) == 0)
        tag[oracle_random(&state, (unsigned int)strlen(tag))] = "-a1Z_"[oracle_random(&state, 5)];
}

/* --- What they think of it --- */

/* Errors of language-tags that are none of validity: a deprecated tag or subtag is valid, and so is
 * a script that the language need not have. (RFC 5646 2.2.9; 4.1 says what is better.) With
 * many_variants, nor is the one that it finds wherever there are two variants. */
static int is_valid_by_registry(const char *errors, int many_variants)
{
    static const char *const allowed[] = {"1", "10", "11", "8"};
    const size_t count = many_variants ? 4 : 3;
    char *state_of = NULL, *copy = apr_pstrdup(pool, errors), *error;
    size_t i;

    if (strcmp(errors, "-") == 0)
        return 1;
    for (error = apr_strtok(copy, ",", &state_of); error;
         error = apr_strtok(NULL, ",", &state_of)) {
        for (i = 0; i < count && strcmp(error, allowed[i]) != 0; i++)
            ;
        if (i == count)
            return 0;
    }
    return 1;
}

/* Where they are known to be wrong, and why we are not. */

/* A subtag of the registry's ranges for private use: none of them has a record of its own. */
static int has_private_code(const char *tag)
{
    char *state_of = NULL, *copy = apr_pstrdup(pool, tag), *subtag;

    for (subtag = apr_strtok(copy, "-", &state_of); subtag;
         subtag = apr_strtok(NULL, "-", &state_of)) {
        char first = (char)(subtag[0] | 0x20), second = (char)(subtag[1] | 0x20);

        if (strlen(subtag) == 2 && (first == 'x' || (first == 'q' && second >= 'm')))
            return 1;
        if (first == 'q' && second >= 'a' && second <= 't' &&
            (strlen(subtag) == 3 || strlen(subtag) == 4))
            return 1;
    }
    return 0;
}

/* An extended language with another language before it than the registry says. */
static int has_foreign_extlang(const char *tag)
{
    static const char *const right[] = {"zh-cmn", "zh-yue", "zh-gan", "ar-arb", "sgn-ase"};
    const char *extlang = strchr(tag, '-');
    size_t i;

    if (!extlang || strcspn(extlang + 1, "-") != 3)
        return 0;
    for (i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        size_t len = strlen(right[i]);

        if (strncasecmp(tag, right[i], len) == 0 && (!tag[len] || tag[len] == '-'))
            return 0;
    }
    return 1;
}

static int has_singleton_twice(const char *tag)
{
    const char *at;

    for (at = tag; (at = strchr(at, '-')) != NULL; at++) {
        char singleton[4] = {'-', at[1], '-', '\0'};

        if (at[1] && at[2] == '-' && strstr(at + 1, singleton))
            return 1;
    }
    return 0;
}

static const char *known_difference(const char *tag, int ours, const char *theirs)
{
    if (ours && strncasecmp(tag, "x-", 2) == 0)
        return "RFC 5646 2.2.7: a tag can be for private use as a whole";
    if (ours && has_private_code(tag))
        return "RFC 5646 2.2.1 to 2.2.4: language-tags knows no ranges of the registry";
    if (ours && is_valid_by_registry(apr_pstrmemdup(pool, theirs, strcspn(theirs, " ")), 1))
        return "language-tags takes each second variant for the first";
    if (!ours && has_foreign_extlang(tag))
        return "RFC 5646 2.2.2: an extended language has one prefix";
    if (!ours && has_singleton_twice(tag))
        return "RFC 5646 2.2.9: a singleton comes once, which neither looks at";
    if (!ours && strlen(tag) > 2 && strcasecmp(tag + strlen(tag) - 2, "-x") == 0)
        return "RFC 5646 2.1: x is followed by a subtag, which bcp-47 does without";
    return NULL;
}

static void compare(oracle *o)
{
    int i, different = 0, valid = 0, known = 0;
    const char *theirs;

    state = SEED;
    for (i = 0; i < TAGS && (theirs = oracle_answer(o)) != NULL; i++) {
        char tag[TAG_MAX], out[UP_LANGTAG_MAX + 1];
        const char *formed = strchr(theirs, ' ');
        int ours, by_others;

        make_tag(tag);
        ours = up_langtag_valid(tag, strlen(tag), out);
        by_others =
            formed && formed[1] == '1' &&
            is_valid_by_registry(apr_pstrmemdup(pool, theirs, (apr_size_t)(formed - theirs)), 0);
        valid += ours && by_others;
        if (ours == by_others)
            continue;
        if (known_difference(tag, ours, theirs))
            known++;
        else if (++different <= 20)
            printf("# %s: we say %d, they %s\n", tag, ours, theirs);
    }
    is_int(i, TAGS, "each tag was judged by all");
    is_int(different, 0, "none otherwise");
    ok(valid > TAGS / 20, "%d of them are valid to all, %d are known to be judged otherwise", valid,
       known);
}

int main(void)
{
    oracle o = {NULL};
    char tag[TAG_MAX];
    int i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    o.questions = temporary_file(pool);
    printf("# seed %d\n", SEED);
    for (i = 0; i < TAGS; i++) {
        make_tag(tag);
        oracle_question(&o, tag);
    }
    if (!oracle_ask(&o, pool, "node t/unit/langtag_oracle.js")) {
        printf("1..0 # SKIP language-tags and bcp-47 are not installed: make test does so where "
               "there is npm\n");
        return 0;
    }
    compare(&o);
    is_int(oracle_end(&o), 0, "and there was no error");
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
