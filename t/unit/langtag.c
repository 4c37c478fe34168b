/* SPDX-License-Identifier: Apache-2.0 */

/* Language tags against IANA's registry, as t/unit/langtag_subtags.txt lists it:
 * all that is in it is valid, nothing else is. */
#include "core/langtag.h"
#include "core/langtag_data.h"
#include "tap.h"

#include <jansson.h>
#include <stdlib.h>

#define LETTERS2 (26 * 26)
#define LETTERS3 (26 * LETTERS2)
#define LETTERS4 (26 * LETTERS3)

/** The list, read here: what is registered, with ranges expanded. */
static struct registry {
    char date[11];
    char language2[LETTERS2], language3[LETTERS3];
    char extlang[LETTERS3][4]; /* its prefix, or "" */
    char script[LETTERS4];
    char region2[LETTERS2], region3[1000];
    char variant[512][9];
    char tag[256][12]; /* grandfathered and redundant */
    int variants, tags, grandfathered, records;
} registry;

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        c = (char)(c + 32);
    return c;
}

static char upper(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 32);
    return c;
}

/** "aa" is 0, "ab" 1, … */
static int to_index(const char *s, int len)
{
    int i, index = 0;

    for (i = 0; i < len; i++)
        index = index * 26 + lower(s[i]) - 'a';
    return index;
}

static const char *to_letters(char *s, int index, int len)
{
    s[len] = '\0';
    while (len-- > 0) {
        s[len] = (char)('a' + index % 26);
        index /= 26;
    }
    return s;
}

/** Calls with a copy of exactly the tag's bytes, so that reading on is seen. */
static int call(const char *tag, size_t len, char *out)
{
    char *copy = malloc(len ? len : 1);
    int valid;

    memcpy(copy, tag, len);
    valid = up_langtag_valid(copy, len, out);
    free(copy);
    return valid;
}

/** Is the verdict right (want is NULL where the tag is invalid)? Says so if not. */
static int right_bytes(const char *tag, size_t len, const char *want)
{
    char out[UP_LANGTAG_MAX + 1];
    int valid = call(tag, len, out);

    if (valid ? want && strcmp(out, want) == 0 : !want)
        return 1;
    printf("# %.*s\n#      got: %s\n# expected: %s\n", (int)len, tag, valid ? out : "(invalid)",
           want ? want : "(invalid)");
    return 0;
}

static int right(const char *tag, const char *want)
{
    return right_bytes(tag, strlen(tag), want);
}

/** Is this tag valid in lower, upper and its own case, and does each give it back? */
static int right_in_all_cases(const char *want)
{
    char low[64] = "", up[64] = "";
    size_t i;

    for (i = 0; want[i]; i++) {
        low[i] = lower(want[i]);
        up[i] = upper(want[i]);
    }
    return right(want, want) && right(low, want) && right(up, want);
}

/** A generator of our own, so that a failure comes again. */
static unsigned next_random(unsigned bound)
{
    static unsigned long long state = 20250825;

    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % bound;
}

static void add_letters(char *set, const char *subtag, int len)
{
    const char *range = strstr(subtag, "..");
    int i, last = range ? to_index(range + 2, len) : to_index(subtag, len);

    for (i = to_index(subtag, len); i <= last; i++)
        set[i] = 1;
}

static void add_record(const char *type, const char *subtag, const char *prefix)
{
    size_t len = strcspn(subtag, ".");

    registry.records++;
    if (strcmp(type, "language") == 0 && len == 2)
        add_letters(registry.language2, subtag, 2);
    else if (strcmp(type, "language") == 0 && len == 3)
        add_letters(registry.language3, subtag, 3);
    else if (strcmp(type, "extlang") == 0)
        snprintf(registry.extlang[to_index(subtag, 3)], 4, "%.3s", prefix);
    else if (strcmp(type, "script") == 0)
        add_letters(registry.script, subtag, 4);
    else if (strcmp(type, "region") == 0 && len == 2)
        add_letters(registry.region2, subtag, 2);
    else if (strcmp(type, "region") == 0)
        registry.region3[atoi(subtag)] = 1;
    else if (strcmp(type, "variant") == 0)
        snprintf(registry.variant[registry.variants++], 9, "%.8s", subtag);
    else if (strcmp(type, "grandfathered") == 0 || strcmp(type, "redundant") == 0)
        snprintf(registry.tag[registry.tags++], 12, "%.11s", subtag);
    else
        ok(0, "a record of an unknown kind: %s %s", type, subtag);
    registry.grandfathered += strcmp(type, "grandfathered") == 0;
}

static int read_registry(void)
{
    FILE *file = fopen("t/unit/langtag_subtags.txt", "r");
    char line[128], type[32], subtag[32], prefix[8];

    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file)) {
        prefix[0] = '\0';
        if (sscanf(line, "# File-Date %10s", registry.date) == 1 || line[0] == '#')
            continue;
        if (sscanf(line, "%31s %31s %7s", type, subtag, prefix) >= 2)
            add_record(type, subtag, prefix);
    }
    fclose(file);
    return 1;
}

static int is_variant(const char *s)
{
    int i;

    for (i = 0; i < registry.variants; i++) {
        if (strcmp(registry.variant[i], s) == 0)
            return 1;
    }
    return 0;
}

/* ---- all there is, and all there is not. What is registered stays so: a later
 * registry has at least as many. */

static void test_list(void)
{
    ok(registry.records > 9000, "the list has %d records", registry.records);
    is_int(registry.grandfathered, 26, "26 of them grandfathered tags");
    is(up_langtag_date, registry.date, "the tables and the list are of the same day");
    ok(registry.language3[to_index("qaa", 3)] && registry.language3[to_index("qtz", 3)] &&
           !registry.language3[to_index("qzz", 3)],
       "the private-use languages are in it");
}

static void test_languages(void)
{
    int i, in = 0, bad = 0;
    char s[8];

    for (i = 0; i < LETTERS2; i++) {
        in += registry.language2[i];
        to_letters(s, i, 2);
        bad += registry.language2[i] ? !right_in_all_cases(s) : !right(s, NULL);
    }
    ok(in >= 190 && bad == 0, "all %d languages of 2 letters, and no other", in);
    for (in = 0, bad = 0, i = 0; i < LETTERS3; i++) {
        in += registry.language3[i];
        to_letters(s, i, 3);
        bad += registry.language3[i] ? !right_in_all_cases(s) : !right(s, NULL);
    }
    ok(in >= 8597 && bad == 0, "all %d languages of 3 letters, and no other", in);
}

static void test_extlangs(void)
{
    static const char *const languages[] = {"ar", "kok", "lv",  "ms",  "sgn", "sw",
                                            "uz", "zh",  "cmn", "qaa", "en"};
    int i, in = 0, bad = 0;
    size_t j;
    char s[8], tag[16];

    for (i = 0; i < LETTERS3; i++) {
        in += registry.extlang[i][0] != '\0';
        for (j = 0; j < sizeof(languages) / sizeof(languages[0]); j++) {
            snprintf(tag, sizeof(tag), "%s-%s", languages[j], to_letters(s, i, 3));
            if (strcmp(tag, "zh-min") == 0) /* grandfathered */
                continue;
            bad += strcmp(registry.extlang[i], languages[j]) == 0 ? !right_in_all_cases(tag)
                                                                  : !right(tag, NULL);
        }
    }
    ok(in >= 256 && bad == 0, "all %d extlangs with their prefix, and with no other", in);
}

static void test_scripts(void)
{
    int i, in = 0, bad = 0;
    char s[8], tag[16];

    for (i = 0; i < LETTERS4; i++) {
        in += registry.script[i];
        to_letters(s, i, 4);
        s[0] = upper(s[0]);
        snprintf(tag, sizeof(tag), "en-%s", s);
        bad += registry.script[i] ? !right_in_all_cases(tag) : !right(tag, NULL);
        bad += !right(s, NULL);
    }
    ok(in >= 274 && bad == 0, "all %d scripts, and no other; none as a language", in);
}

static void test_regions(void)
{
    int i, in = 0, bad = 0;
    char s[8], tag[16];

    for (i = 0; i < LETTERS2; i++) {
        in += registry.region2[i];
        to_letters(s, i, 2);
        snprintf(tag, sizeof(tag), "en-%c%c", upper(s[0]), upper(s[1]));
        bad += registry.region2[i] ? !right_in_all_cases(tag) : !right(tag, NULL);
    }
    ok(in >= 312 && bad == 0, "all %d regions of 2 letters, and no other", in);
    for (in = 0, bad = 0, i = 0; i < 1000; i++) {
        in += registry.region3[i];
        snprintf(tag, sizeof(tag), "en-%03d", i);
        bad += !right(tag, registry.region3[i] ? tag : NULL);
    }
    ok(in >= 31 && bad == 0, "all %d regions of 3 digits, and no other", in);
}

static void test_variants(void)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    int i, near = 0, bad = 0;
    size_t at, c;
    char tag[16];

    for (i = 0; i < registry.variants; i++) {
        snprintf(tag, sizeof(tag), "en-%s", registry.variant[i]);
        bad += !right_in_all_cases(tag);
        for (at = 3; tag[at]; at++) {
            char was = tag[at];

            for (c = 0; alphabet[c]; c++) {
                tag[at] = alphabet[c];
                if (is_variant(tag + 3))
                    continue;
                near++;
                /* "1994" with a letter first has the form of a script, or of nothing */
                bad += !right(tag, NULL);
            }
            tag[at] = was;
        }
    }
    ok(registry.variants >= 134 && bad == 0, "all %d variants, and none of %d like them",
       registry.variants, near);
}

static void test_tags(void)
{
    int i, bad = 0;
    char longer[32];

    for (i = 0; i < registry.tags; i++) {
        bad += !right_in_all_cases(registry.tag[i]);
        snprintf(longer, sizeof(longer), "%s-zzzzz", registry.tag[i]);
        bad += !right(longer, NULL);
    }
    ok(registry.tags >= 93 && bad == 0, "all %d grandfathered and redundant tags", registry.tags);
}

static void test_valid(void)
{
    static const char *const tags[][2] = {
        {"ZH-hANT-tw", "zh-Hant-TW"},
        {"en-ca-X-CA", "en-CA-x-ca"},
        {"AZ-latn-X-LATN", "az-Latn-x-latn"},
        {"EN-gb-OED", "en-GB-oed"},
        {"I-KLINGON", "i-klingon"},
        {"qaa-qaaa-qm-x-Southern", "qaa-Qaaa-QM-x-southern"},
        {"qtz-qabx-xz", "qtz-Qabx-XZ"},
        {"ZH-YUE-hant-hk", "zh-yue-Hant-HK"},
        {"sl-rozaj-biske-1994", "sl-rozaj-biske-1994"},
        {"DE-1901-1996", "de-1901-1996"},
        {"de-de-U-CO-PHONEBK", "de-DE-u-co-phonebk"},
        {"en-A-bcd-1-EF-ghij", "en-a-bcd-1-ef-ghij"},
        {"en-t-fr-latn-ca-U-nu-LATN", "en-t-fr-latn-ca-u-nu-latn"},
        {"X-A-B-1", "x-a-b-1"},
        {"x-a-a-x-x", "x-a-a-x-x"},
        {"en-x-u-u", "en-x-u-u"},
        {"en-a-bb-x-a-bb-a-bb", "en-a-bb-x-a-bb-a-bb"},
        {"iw", "iw"},       /* deprecated is registered still, and is not replaced */
        {"de-DD", "de-DD"}, /* likewise */
        {"und-Zzzz-ZZ", "und-Zzzz-ZZ"},
        {"fr-1606nict", "fr-1606nict"}, /* a variant that begins with a digit */
        {"ja-boont", "ja-boont"},       /* a variant's prefix is a recommendation */
    };
    size_t i;
    int bad = 0;

    for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        bad += !right(tags[i][0], tags[i][1]);
    is_int(bad, 0, "tags in the recommended case, whatever case they come in");
}

static void test_invalid(void)
{
    /* clang-format off */
    static const char *const tags[] = {
        "", "-", "--", "-en", "en-", "en--US", "en-US-", "e", "1", "12", "a-DE", "i", "i-", "x",
        "x-", "x--a", "x-123456789", "i-en", "i-unknown", "en_US", "en US", " en", "en ",
        "en\n", "en-US\t", "en.US", "*", "en-*", "en\xc3\xa9", "\xc3\xa9n", "e\xef\xbd\x8e",
        "english", "English", "french", "deutsch", "en-latn-latn", "en-GB-US", "en-US-Latn",
        "en-Latn-Latn", "en-boont-US", "en-boont-Latn", "en-boont-boont", "en-boont-BOONTT",
        "en-boont-scouse-BOONT", "de-1996-1996", "en-yue", "en-cmn", "de-cmn", "zh-cmn-yue",
        "zh-yue-cmn-gan", "zh-cmn-cmn", "yue-zh", "zh-Hant-yue", "zh-TW-yue", "cmn-cmn",
        "ar-yue", "en-a", "en-a-", "en-a-b", "en-a-b-cc", "en-a-bb-a-cc", "en-a-bb-A-cc",
        "en-u-ca-u-nu", "en-1-aa-1-bb", "en-a-bb-b", "en-x", "en-a-x-foo", "en-x-", "en-x--a",
        "en-a-bb-x", "en-abcdefghi", "en-x-abcdefghi", "abcdefghi", "en-a-abcdefghi",
        "en-US-boontx", "en-12", "en-1", "en-1234", "en-12345", "en-1a", "en-a1", "en-1ab",
        "en-ab1", "en-abc1", "1en", "e1", "en-US-x", "xx", "xxx", "xx-US", "en-Xxxx", "en-XYZ",
        "qua1", "qzz-US", "qaaa", "en-Qaby", "en-QL", "c", "C", "POSIX", "null", "undefined",
        "en-US,fr", "en;q=1", "en-US.UTF-8", "qaa..qtz", "en-Qaaa..Qabx", "no-bok-NO",
        "zh-min-nan-TW", "art-lojban-x-foo", "Latn", "US", "419", "Latn-en", "US-en", "boont",
        "1901",
    };
    /* clang-format on */
    size_t i;
    int bad = 0;

    for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        bad += !right(tags[i], NULL);
    ok(bad == 0, "%d tags that are not valid", (int)i);
    ok(right_bytes("en\0", 3, NULL) && right_bytes("\0en", 3, NULL) &&
           right_bytes("en\0US", 5, NULL) && right_bytes("en-US\0", 6, NULL),
       "NUL is no part of a tag");
    ok(right_bytes("en-US", 2, "en") && right_bytes("deutsch", 2, "de"),
       "the length that is given is the length");
}

static void test_lengths(void)
{
    char tag[80];
    size_t len, bad = 0;

    ok(right("en-x-abcdefgh-abcdefgh-abcdefgh-abc", "en-x-abcdefgh-abcdefgh-abcdefgh-abc"),
       "35 bytes are accepted");
    ok(right("en-x-abcdefgh-abcdefgh-abcdefgh-abcd", NULL), "36 bytes are not");
    ok(right("x-1-2-3-4-5-6-7-8-9-a-b-c-d-e-f-g-h", "x-1-2-3-4-5-6-7-8-9-a-b-c-d-e-f-g-h"),
       "as many subtags as 35 bytes can hold");
    for (len = 0; len < sizeof(tag); len++) {
        memset(tag, 'a', sizeof(tag));
        bad += !right_bytes(tag, len, len == 2 ? "aa" : len == 3 ? "aaa" : NULL);
        memset(tag, '-', sizeof(tag));
        bad += !right_bytes(tag, len, NULL);
    }
    is_int(bad, 0, "one letter or hyphen repeated, of every length");
    for (len = 1; len < sizeof(tag); len++) { /* "x-a-a-a" */
        tag[len - 1] = "a-"[len % 2 == 0];
        tag[0] = 'x';
        tag[len] = '\0';
        bad += !right(tag, len % 2 && len > 2 && len <= UP_LANGTAG_MAX ? tag : NULL);
    }
    is_int(bad, 0, "private use of every length");
}

static void test_every_byte(void)
{
    static const char alphabet[] =
        "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char *const tags[] = {
        "en",         "zh-yue-Hant-HK", "de-DE-1901-u-co-phonebk", "i-klingon", "en-GB-oed",
        "x-whatever", "es-419-x-ab",    "sl-IT-nedis-a-bb-x-ab"};
    char tag[40], out[UP_LANGTAG_MAX + 1], again[UP_LANGTAG_MAX + 1];
    size_t i, at, len;
    int byte, bad = 0, tried = 0;

    for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        len = strlen(tags[i]);
        for (at = 0; at <= len; at++) {
            for (byte = 0; byte < 256; byte++, tried++) {
                memcpy(tag, tags[i], len + 1);
                tag[at] = (char)byte; /* at len, it is appended */
                if (!call(tag, len + (at == len), out))
                    continue;
                bad += byte == '\0' || !strchr(alphabet, byte);
                bad += strlen(out) != len + (at == len);
                bad += !call(out, strlen(out), again) || strcmp(out, again) != 0;
            }
        }
    }
    ok(bad == 0, "every byte in every place (%d tags): only letters, digits, hyphens pass", tried);
}

/** A registered member of a set of letters, at random. */
static const char *pick(char *s, const char *set, int size, int len)
{
    int i;

    do {
        i = (int)next_random((unsigned)size);
    } while (!set[i]);
    return to_letters(s, i, len);
}

static void append(char *tag, const char *subtag)
{
    size_t len = strlen(tag);

    snprintf(tag + len, 128 - len, "%s%s", len ? "-" : "", subtag);
}

/** Builds a valid tag of up to 127 bytes, in the recommended case. */
static void build(char *tag)
{
    char s[16];
    int i, n;

    tag[0] = '\0';
    append(tag, next_random(2) ? pick(s, registry.language2, LETTERS2, 2)
                               : pick(s, registry.language3, LETTERS3, 3));
    if (next_random(4) == 0) {
        do {
            i = (int)next_random(LETTERS3);
        } while (!registry.extlang[i][0]);
        snprintf(tag, 128, "%s-%s", registry.extlang[i], to_letters(s, i, 3));
    }
    if (next_random(2)) {
        pick(s, registry.script, LETTERS4, 4);
        s[0] = upper(s[0]);
        append(tag, s);
    }
    if (next_random(2)) {
        pick(s, registry.region2, LETTERS2, 2);
        s[0] = upper(s[0]);
        s[1] = upper(s[1]);
        append(tag, s);
    }
    i = (int)next_random(40);
    for (n = (int)next_random(3); n > 0; n--, i += 1 + (int)next_random(40))
        append(tag, registry.variant[i]);
    for (n = (int)next_random(3), i = 'a'; n > 0; n--, i++) {
        append(tag, (char[]){(char)i, '\0'});
        append(tag, pick(s, registry.script, LETTERS4, 4));
        append(tag, pick(s, registry.region2, LETTERS2, 2));
    }
    if (next_random(3) == 0)
        append(tag, "x-u-1");
}

static void test_built(void)
{
    char tag[128], mixed[128];
    int i, fit = 0, bad = 0;
    size_t j;

    for (i = 0; i < 200000; i++) {
        build(tag);
        for (j = 0; j <= strlen(tag); j++)
            mixed[j] = next_random(2) ? lower(tag[j]) : upper(tag[j]);
        fit += strlen(tag) <= UP_LANGTAG_MAX;
        bad += !right(mixed, strlen(tag) <= UP_LANGTAG_MAX ? tag : NULL);
    }
    ok(bad == 0, "%d tags built at random, %d of them short enough: right verdict and case", i,
       fit);
}

/** Whatever the bytes are: what comes out is valid, the same but for case, and stays so. */
static void test_noise(void)
{
    static const char alphabet[] = "aAdDeEnNhHzZxXuUsSiIkK0149-----";
    char tag[40], out[UP_LANGTAG_MAX + 1], again[UP_LANGTAG_MAX + 1];
    size_t i, len;
    int n, bad = 0, valid = 0;

    for (n = 0; n < 2000000; n++) {
        len = next_random(12);
        for (i = 0; i < len; i++)
            tag[i] = alphabet[next_random(sizeof(alphabet) - 1)];
        if (!up_langtag_valid(tag, len, out))
            continue;
        valid++;
        bad += strlen(out) != len;
        for (i = 0; i < len; i++)
            bad += lower(out[i]) != lower(tag[i]);
        bad += !up_langtag_valid(out, len, again) || strcmp(out, again) != 0;
    }
    ok(bad == 0 && valid > 1000, "%d tags of noise, %d valid: same letters, case settled", n,
       valid);
}

/** Well-formed, but not valid: why. */
static const struct {
    const char *tag, *why;
} corpus_invalid[] = {
    {"aa-111", "no region 111"},
    {"aa-b1b1b-6a8b-cccccc", "no variant b1b1b"},
    {"aa-b1b1b", "no variant b1b1b"},
    {"aa-bbb-ccc-1111-ccccc-b1b1b", "no extlang bbb, and two"},
    {"aa-bbb-ccc-ddd", "no extlang bbb, and three"},
    {"aa-bbb", "no extlang bbb"},
    {"aa-bbbb-cc", "no script bbbb"},
    {"aa-bbbb", "no script bbbb"},
    {"aaa-bbb-ccc-ddd-abcd-123-abc123-0abc-b-01-abc123-x-01ab-abc12", "61 bytes"},
    {"aaa-bbb-ccc", "no extlang bbb, and two"},
    {"aaaa", "4 letters are reserved"},
    {"aaaaa", "no language of 5 letters is registered"},
    {"aaaaaa", "nor of 6"},
    {"aaaaaaa", "nor of 7"},
    {"aaaaaaaa", "nor of 8"},
};

static void test_corpus(void)
{
    const char *corpora = getenv("UP_CORPORA");
    char path[512], out[UP_LANGTAG_MAX + 1];
    json_t *cases, *entry;
    size_t i, j, n = sizeof(corpus_invalid) / sizeof(corpus_invalid[0]);
    int bad = 0, invalid = 0;

    snprintf(path, sizeof(path), "%s/lang-bcp47-wooorm/index.json",
             corpora ? corpora : "../shared/corpora");
    cases = json_load_file(path, 0, NULL);
    if (!cases) {
        ok(1, "lang-bcp47-wooorm # SKIP no such corpus here");
        return;
    }
    json_array_foreach(cases, i, entry)
    {
        const char *tag = json_string_value(json_object_get(entry, "tag"));

        for (j = 0; j < n && strcmp(corpus_invalid[j].tag, tag) != 0; j++)
            ;
        invalid += j < n;
        if (call(tag, strlen(tag), out) != (j == n)) {
            bad++;
            printf("# %s: %s\n", tag, j < n ? corpus_invalid[j].why : "is valid");
        }
    }
    ok(bad == 0 && invalid == (int)n && json_array_size(cases) == 91,
       "lang-bcp47-wooorm: %d well-formed tags, %d of them not valid", (int)i, invalid);
    json_decref(cases);
}

int main(void)
{
    if (!ok(read_registry(), "the list of subtags can be read"))
        return done_testing();
    test_list();
    test_languages();
    test_extlangs();
    test_scripts();
    test_regions();
    test_variants();
    test_tags();
    test_valid();
    test_invalid();
    test_lengths();
    test_every_byte();
    test_built();
    test_noise();
    test_corpus();
    return done_testing();
}
