/* SPDX-License-Identifier: Apache-2.0 */

/* What each type of field holds, and what it does not. */
#include "tap.h"

#include "core/model.h"
#include "model_maker.h"

#include <apr_escape.h>
#include <apr_general.h>
#include <apr_strings.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static apr_pool_t *pool;

static const char *const uuids[] = {
    "550e8400-e29b-41d4-a716-446655440000", "550E8400-E29B-41D4-A716-446655440000",
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"};
static const char *const no_uuids[] = {"",
                                       "5",
                                       "550e8400-e29b-41d4-a716-44665544000",
                                       "550e8400-e29b-41d4-a716-4466554400000",
                                       "550e8400e29b41d4a716446655440000",
                                       "550e8400-e29b-41d4-a716_446655440000",
                                       "550e8400-e29b-41d4-a71-6446655440000",
                                       "{550e8400-e29b-41d4-a716-446655440000}",
                                       "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
                                       " 550e8400-e29b-41d4-a716-446655440000",
                                       "550e8400-e29b-41d4-a716-446655440000 ",
                                       "550e8400-e29b-41d4-a716-44665544000g",
                                       "------------------------------------"};

static const char *const integers[] = {"0",    "1",
                                       "-1",   "9223372036854775807",
                                       "-0",   "-9223372036854775808",
                                       "0007", "1000000000000000000"};
static const char *const no_integers[] = {"",
                                          "-",
                                          "+1",
                                          "--1",
                                          "1.0",
                                          "1e3",
                                          "0x10",
                                          " 1",
                                          "1 ",
                                          "1,000",
                                          "one",
                                          "9223372036854775808",
                                          "-9223372036854775809",
                                          "99999999999999999999",
                                          "\xD9\xA1"};

static const char *const booleans[] = {"true", "false"};
static const char *const no_booleans[] = {"",  "True", "FALSE", "yes",   "no",   "on",
                                          "0", "1",    "t",     "true ", " true"};

static const char *const urls[] = {"http://a",
                                   "https://example.com",
                                   "HTTPS://Example.COM/",
                                   "https://example.com/a/b?c=d&e=f#g",
                                   "https://example.com?x",
                                   "https://example.com#x",
                                   "https://example.com./",
                                   "http://127.0.0.1:8080/",
                                   "http://example.com:/",
                                   "http://example.com:65535",
                                   "http://[::1]/",
                                   "http://[2001:db8::1]:443/x",
                                   "https://example.com/%C3%A9",
                                   "https://b\303\274cher.example/\303\251",
                                   "https://example.com/a@b:c",
                                   "https://example.com/?to=https://other.example/"};
static const char *const no_urls[] = {"",
                                      "example.com",
                                      "/avatars/1.png",
                                      "//example.com/",
                                      "http:",
                                      "http:/example.com",
                                      "http://",
                                      "http:///path",
                                      "http://?x",
                                      "http://#x",
                                      "http://:80/",
                                      "ftp://example.com/",
                                      "javascript:alert(1)",
                                      "JavaScript://example.com/%0aalert(1)",
                                      "data:text/html,x",
                                      "https://user@example.com/",
                                      "https://user:pass@example.com/",
                                      "https://example.com:x/",
                                      "https://example.com:65536/",
                                      "https://example.com:0000080/",
                                      "https://example.com:80:80/",
                                      "https://exa mple.com/",
                                      "https://example.com/a b",
                                      "https://example.com/\n",
                                      "https://example.com/\"onload=x",
                                      "https://example.com/<b>",
                                      "https://example.com/a\\b",
                                      "https://example.com\\@evil.example/",
                                      "https://example.com/%",
                                      "https://example.com/%zz",
                                      "https://example.com/%4",
                                      "https://.example.com/",
                                      "https://example..com/",
                                      "https://-example.com/",
                                      "https://ex_ample.com/",
                                      "http://[::1/",
                                      "http://[]/",
                                      "http://[::1]x/",
                                      "http://[example]/",
                                      " https://example.com/"};

static const char *const emails[] = {"a@b",
                                     "ada@example.com",
                                     "Ada.Lovelace@Example.COM",
                                     "ada+tag@example.com",
                                     "!#$%&'*+-/=?^_`{|}~@example.com",
                                     "o'brien@example.co.uk",
                                     "1@1.1",
                                     "ada@xn--bcher-kva.example",
                                     "\303\251@b\303\274cher.example",
                                     "a@a-b.c"};
static const char *const no_emails[] = {"",
                                        "@",
                                        "a",
                                        "a@",
                                        "@b",
                                        "a@b@c",
                                        "a b@example.com",
                                        " a@example.com",
                                        "a@example.com ",
                                        "a@exam ple.com",
                                        ".a@example.com",
                                        "a.@example.com",
                                        "a..b@example.com",
                                        "a@.example.com",
                                        "a@example.com.",
                                        "a@example..com",
                                        "a@-example.com",
                                        "a@example-.com",
                                        "a@ex_ample.com",
                                        "a@example.com/x",
                                        "a@example.com:25",
                                        "a@[127.0.0.1]",
                                        "\"a b\"@example.com",
                                        "a(comment)@example.com",
                                        "Ada <ada@example.com>",
                                        "mailto:ada@example.com",
                                        "a@b,c@d",
                                        "a;b@example.com",
                                        "a\\b@example.com",
                                        "a\n@example.com",
                                        "a\x7f@example.com"};

static const struct {
    up_type type;
    const char *const *good, *const *bad;
    size_t goods, bads;
} tables[] = {{UP_UUID, uuids, no_uuids, COUNT(uuids), COUNT(no_uuids)},
              {UP_INTEGER, integers, no_integers, COUNT(integers), COUNT(no_integers)},
              {UP_BOOLEAN, booleans, no_booleans, COUNT(booleans), COUNT(no_booleans)},
              {UP_URL, urls, no_urls, COUNT(urls), COUNT(no_urls)},
              {UP_EMAIL, emails, no_emails, COUNT(emails), COUNT(no_emails)}};

static void test_holds(void)
{
    size_t i, j;

    for (i = 0; i < COUNT(tables); i++) {
        const char *name = up_type_name(tables[i].type);

        for (j = 0; j < tables[i].goods; j++)
            ok(up_type_holds(tables[i].type, tables[i].good[j]), "%s: '%s'", name,
               tables[i].good[j]);
        /* Printed as far as a line of TAP can have it. */
        for (j = 0; j < tables[i].bads; j++)
            ok(!up_type_holds(tables[i].type, tables[i].bad[j]), "no %s: '%s'", name,
               apr_pescape_echo(pool, tables[i].bad[j], 0));
    }
}

static const char *repeat(char c, int count)
{
    char *text = apr_palloc(pool, (apr_size_t)count + 1);

    memset(text, c, (apr_size_t)count);
    text[count] = '\0';
    return text;
}

static const char *email_of(int local, int label, int labels)
{
    const char *text = apr_pstrcat(pool, repeat('a', local), "@", NULL);
    int i;

    for (i = 0; i < labels; i++)
        text = apr_pstrcat(pool, text, i ? "." : "", repeat('b', label), NULL);
    return text;
}

static void test_lengths(void)
{
    ok(up_type_holds(UP_EMAIL, email_of(64, 3, 1)), "a local part of 64 bytes");
    ok(!up_type_holds(UP_EMAIL, email_of(65, 3, 1)), "and none of 65");
    ok(up_type_holds(UP_EMAIL, email_of(1, 63, 1)), "a label of 63 bytes");
    ok(!up_type_holds(UP_EMAIL, email_of(1, 64, 1)), "and none of 64");
    ok(up_type_holds(UP_EMAIL, email_of(62, 47, 4)), "an address of 254 bytes");
    ok(!up_type_holds(UP_EMAIL, email_of(63, 47, 4)), "and none of 255");
    ok(up_type_holds(UP_URL, apr_pstrcat(pool, "http://x/", repeat('a', 60000), NULL)),
       "a URL's length is the field's to limit");
    ok(!up_type_holds(UP_URL, apr_pstrcat(pool, "http://", repeat('a', 64), "/", NULL)),
       "but not that of its host's labels");
}

/* Each is its own name's type, and the others hold any text. */
static void test_types(void)
{
    up_type type = UP_TYPES;
    int i, found = 0;

    for (i = 0; i < UP_TYPES; i++)
        found += up_type_find(up_type_name((up_type)i), &type) == 0 && (int)type == i;
    is_int(found, UP_TYPES, "every type is found by its name");
    is_int(up_type_find("String", &type), -1, "in this case only");
    is_int(up_type_find("", &type), -1, "and none without a name");
    is_int(up_type_find("text", &type), -1, "nor by another");
    ok(up_type_is_writable(UP_STRING) && up_type_is_writable(UP_JSON), "most can be written");
    ok(!up_type_is_writable(UP_TIMESTAMP) && !up_type_is_writable(UP_EPOCH_MS) &&
           !up_type_is_writable(UP_AVATAR),
       "times and the avatar can't");
    ok(up_type_holds(UP_STRING, "") && up_type_holds(UP_STRING, "\n") &&
           up_type_holds(UP_LANGUAGE, "?") && up_type_holds(UP_JSON, "{"),
       "what is text to this floor is anything");
}

static void test_find(void)
{
    static const up_field fields[] = {{.name = "name"}, {.name = "names"}, {.name = "Name"}};
    const up_model *model = model_of(pool, fields, COUNT(fields));

    is_int(up_model_find(model, "name", 4), 0, "a field by its name");
    is_int(up_model_find(model, "names", 5), 1, "one whose name begins with another's");
    is_int(up_model_find(model, "names", 4), 0, "a name that is not terminated");
    is_int(up_model_find(model, "Name", 4), 2, "case counts");
    is_int(up_model_find(model, "nam", 3), -1, "no part of a name");
    is_int(up_model_find(model, "name\0x", 6), -1, "no name with a NUL in it");
    is_int(up_model_find(model, "", 0), -1, "no name at all");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_holds();
    test_lengths();
    test_types();
    test_find();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
