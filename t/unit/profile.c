/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "core/profile.h"
#include "model_maker.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <jansson.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static apr_pool_t *pool;

static const up_field fields[] = {
    {.name = "id", .type = UP_INTEGER},           {.name = "email", .type = UP_EMAIL},
    {.name = "full_name", .type = UP_STRING},     {.name = "is_active", .type = UP_BOOLEAN},
    {.name = "created_at", .type = UP_TIMESTAMP},
};

/* A row of these fields in JSON, or its tag. */
static const char *json(const char *const *values)
{
    up_row row = {.values = values};

    return up_profile_json(pool, model_of(pool, fields, COUNT(fields)), &row);
}

static const char *etag(const char *const *values)
{
    up_row row = {.values = values};

    return up_profile_etag(pool, model_of(pool, fields, COUNT(fields)), &row);
}

static const char *one(up_type type, const char *value)
{
    const up_field field = {.name = "f", .type = type};
    up_row row = {.values = &value};

    return up_profile_json(pool, model_of(pool, &field, 1), &row);
}

static void test_json(void)
{
    static const char *const ada[] = {"1", "user@example.com", "Ada Lovelace", "true",
                                      "2026-03-14T12:00:00.000000Z"};
    static const char *const nobody[] = {"-9223372036854775808", "", NULL, "false", NULL};

    is(json(ada),
       "{\"id\":1,\"email\":\"user@example.com\",\"full_name\":\"Ada Lovelace\","
       "\"is_active\":true,\"created_at\":\"2026-03-14T12:00:00Z\"}",
       "a profile, in the order of the fields");
    is(json(nobody),
       "{\"id\":-9223372036854775808,\"email\":\"\",\"full_name\":null,\"is_active\":false,"
       "\"created_at\":null}",
       "NULLs, what is empty, the least integer");
}

static void test_values(void)
{
    static const struct {
        up_type type;
        const char *value, *json;
    } cases[] = {
        {UP_INTEGER, "9223372036854775807", "9223372036854775807"},
        {UP_INTEGER, "0", "0"},
        {UP_BOOLEAN, "true", "true"},
        {UP_BOOLEAN, "false", "false"},
        {UP_STRING, "", "\"\""},
        {UP_STRING, "true", "\"true\""},
        {UP_STRING, "12", "\"12\""},
        {UP_STRING, "\"\\/\b\f\n\r\t\x01\x7f", "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\""},
        {UP_STRING, "\xC3\xA9\xF0\x9F\x98\x80", "\"\xC3\xA9\xF0\x9F\x98\x80\""},
        {UP_STRING, "</script>", "\"</script>\""},
        {UP_LANGUAGE, "zh-Hant-TW", "\"zh-Hant-TW\""},
        {UP_UUID, "550e8400-e29b-41d4-a716-446655440000",
         "\"550e8400-e29b-41d4-a716-446655440000\""},
        {UP_AVATAR, "https://example.com/a.png", "\"https://example.com/a.png\""},
        {UP_TIMESTAMP, "2026-03-14T12:00:00.000000Z", "\"2026-03-14T12:00:00Z\""},
        {UP_TIMESTAMP, "2026-03-14T12:00:00.120000Z", "\"2026-03-14T12:00:00.12Z\""},
        {UP_TIMESTAMP, "2026-03-14T12:00:00.000001Z", "\"2026-03-14T12:00:00.000001Z\""},
        {UP_TIMESTAMP, "2026-03-14T12:00:00.100000Z", "\"2026-03-14T12:00:00.1Z\""},
        {UP_TIMESTAMP, "2026-03-14T12:00:10.000000Z", "\"2026-03-14T12:00:10Z\""},
        {UP_TIMESTAMP, "2026-03-14T12:00:00Z", "\"2026-03-14T12:00:00Z\""},
        {UP_TIMESTAMP, "", "\"\""},
        {UP_EPOCH_MS, "1970-01-01T00:00:00.500000Z", "\"1970-01-01T00:00:00.5Z\""},
        {UP_JSON, "{\"a\": [1, null, {\"b\": \"c\"}]}", "{\"a\":[1,null,{\"b\":\"c\"}]}"},
        {UP_JSON, "{}", "{}"},
        {UP_JSON, "null", "null"},
        {UP_JSON, "\"a\\u0000b\"", "\"a\\u0000b\""},
        {UP_JSON, "{\"n\": 12345678901234567890, \"x\": [0.1, 1.10, 1e400]}",
         "{\"n\":12345678901234567890,\"x\":[0.1,1.10,1e400]}"},
        {UP_JSON, "{\"a \\\" :\\\\\": \"b , c\"}\n", "{\"a \\\" :\\\\\":\"b , c\"}"},
    };
    apr_size_t i;

    for (i = 0; i < COUNT(cases); i++)
        is(one(cases[i].type, cases[i].value), apr_psprintf(pool, "{\"f\":%s}", cases[i].json),
           apr_psprintf(pool, "%s %s", up_type_name(cases[i].type), cases[i].json));
    for (i = 0; i < UP_TYPES; i++)
        is(one((up_type)i, NULL), "{\"f\":null}",
           apr_psprintf(pool, "%s: NULL is null", up_type_name((up_type)i)));
    for (i = 250; i <= 260; i++) {
        const char *text = apr_psprintf(pool, "%0*d", (int)i, 7);

        is(one(UP_STRING, text), apr_pstrcat(pool, "{\"f\":\"", text, "\"}", NULL),
           apr_psprintf(pool, "a string of %d bytes", (int)i));
    }
    ok(one(UP_STRING, "\xC3") == NULL, "what is not UTF-8 is no JSON");
    ok(one(UP_STRING, "\xED\xA0\x80") == NULL, "nor is a surrogate");
    ok(one(UP_JSON, "{\"a\":") == NULL, "nor a column of JSON that is none");
}

/* Made by sha256sum, e.g. of  1:1----  for the second. */
static void test_etag(void)
{
    static const char *const ada[] = {"1", "user@example.com", "Ada Lovelace", "true",
                                      "2026-03-14T12:00:00.000000Z"};
    static const char *const nulls[] = {"1", NULL, NULL, NULL, NULL};
    static const char *const unicode[] = {"1", "", "\xC3\xA9\xF0\x9F\x98\x80", "false", "-"};

    is(etag(ada), "c648d8fd3e3a82778c5dde1ff59e51ce", "the tag of a profile");
    is(etag(nulls), "eb0340b774bbd6e78a3120a1731b234b", "of one with NULLs");
    is(etag(unicode), "168b6985f603994e1af0d49c0eef1aea", "of one with bytes above 0x7F");
    is_int(strlen(etag(ada)), UP_ETAG_LENGTH, "its length");
}

/* Rows that are not the same have not the same tag, wherever their texts begin and end. */
static void test_etags_differ(void)
{
    static const char *const rows[][5] = {
        {"1", "a", "b", "true", NULL},     {"1", "ab", "", "true", NULL},
        {"1", "", "ab", "true", NULL},     {"1", "ab", NULL, "true", NULL},
        {"1", NULL, "ab", "true", NULL},   {"1", "-", "ab", "true", NULL},
        {"1", "a", "-", "true", NULL},     {"1", "a", NULL, "true", NULL},
        {"1", "a", "", "true", NULL},      {"1", "a1:b", NULL, "true", NULL},
        {"1", "a", "b", "false", NULL},    {"1", "a", "b", "true", ""},
        {"1", "a", "b4:true", "-", NULL},  {"11", "a", "b", "true", NULL},
        {"1", "-1:b", NULL, "true", NULL}, {"1", "A", "b", "true", NULL},
        {"1", "a ", "b", "true", NULL},    {NULL, "a", "b", "true", NULL},
    };
    apr_size_t i, j;
    int same = 0;

    for (i = 0; i < COUNT(rows); i++) {
        is(etag(rows[i]), etag(rows[i]), apr_psprintf(pool, "row %d has always one tag", (int)i));
        for (j = 0; j < i; j++)
            same += strcmp(etag(rows[i]), etag(rows[j])) == 0;
    }
    is_int(same, 0, "no two rows have the same");
}

static void test_version(void)
{
    const char *value = "1";
    const up_field field = {.name = "f", .type = UP_STRING};
    up_row row = {.values = &value, .version = "42"};

    is(up_profile_etag(pool, model_of(pool, &field, 1), &row), "42",
       "a version takes the tag's place");
    is(up_profile_json(pool, model_of(pool, &field, 1), &row), "{\"f\":\"1\"}",
       "and is no part of the profile");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_json();
    test_values();
    test_etag();
    test_etags_differ();
    test_version();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
