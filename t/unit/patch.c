/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "core/patch.h"
#include "model_maker.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static apr_pool_t *pool;

/* A field of each type that can be written, and of some that cannot. */
static const up_field fields[] = {
    {.name = "id", .type = UP_INTEGER},
    {.name = "name", .type = UP_STRING, .writable = 1, .nullable = 1, .max = 5},
    {.name = "nick", .type = UP_STRING, .writable = 1, .min = 2, .max = 3},
    {.name = "lang", .type = UP_LANGUAGE, .writable = 1},
    {.name = "tongue", .type = UP_LANGUAGE, .writable = 1, .nullable = 1},
    {.name = "age", .type = UP_INTEGER, .writable = 1, .nullable = 1},
    {.name = "open", .type = UP_BOOLEAN, .writable = 1},
    {.name = "uuid", .type = UP_UUID, .writable = 1, .max = 36},
    {.name = "url", .type = UP_URL, .writable = 1, .nullable = 1, .max = 30},
    {.name = "mail", .type = UP_EMAIL, .writable = 1, .max = 30},
    {.name = "extra", .type = UP_JSON, .writable = 1, .nullable = 1, .max = 20},
    {.name = "locked", .type = UP_STRING, .nullable = 1, .max = 5},
    {.name = "picture", .type = UP_AVATAR, .nullable = 1, .max = 5},
};

static up_patch *new_patch(void)
{
    return up_patch_create(pool, model_of(pool, fields, COUNT(fields)));
}

/* "name=value" of each field that is given, "!name" of each that is invalid, with
 * a "?" for what should not be: a wrong count or code, a value that is not given. */
static const char *show(const up_patch *patch)
{
    const char *text = "";
    int i, count = 0, languages = 0;
    const up_problem *problem = patch->problem;

    for (i = 0; i < patch->model->fields->nelts; i++) {
        const char *value = patch->values[i];

        if (patch->given[i])
            text =
                apr_pstrcat(pool, text, count++ ? " " : "", up_model_field(patch->model, i)->name,
                            "=", value ? value : "NULL", NULL);
        else if (value)
            text = apr_pstrcat(pool, text, "?value", NULL);
    }
    if (count != patch->count)
        text = apr_pstrcat(pool, text, "?count", NULL);
    for (i = 0; problem && i < problem->details->nelts; i++) {
        const up_detail *detail = &APR_ARRAY_IDX(problem->details, i, up_detail);

        text = apr_pstrcat(pool, text, *text ? " !" : "!", detail->field,
                           detail->code == UP_INVALID_LANGUAGE_CODE ? ":lang" : "", NULL);
        languages += detail->code == UP_INVALID_LANGUAGE_CODE;
        if (!detail->message || detail->message[strlen(detail->message) - 1] != '.')
            text = apr_pstrcat(pool, text, "?message", NULL);
    }
    if (problem && (problem->code == UP_INVALID_LANGUAGE_CODE) != (languages > 0))
        text = apr_pstrcat(pool, text, "?code", NULL);
    return text;
}

/* From memory of its very size, which is gone when the patch is looked at. */
static const char *of_json(up_patch *patch, const char *body, apr_size_t len)
{
    char *copy = malloc(len ? len : 1);
    up_problem *problem;

    memcpy(copy, body, len);
    problem = up_patch_json(patch, copy, len);
    memset(copy, 'x', len);
    free(copy);
    return problem ? up_code_name(problem->code) : show(patch);
}

static const char *of_text(up_patch *patch, const char *name, const char *value, apr_size_t len)
{
    char *copy = malloc(len ? len : 1);
    up_problem *problem;

    memcpy(copy, value, len);
    problem = up_patch_text(patch, name, copy, len);
    memset(copy, 'x', len);
    free(copy);
    return problem ? up_code_name(problem->code) : show(patch);
}

/* A body as the name of a check, which has to be one line. */
static const char *line(const char *text)
{
    char *copy = apr_pstrdup(pool, text), *s;

    for (s = copy; *s; s++)
        if ((unsigned char)*s < ' ' || (unsigned char)*s >= 0x7F)
            *s = '.';
    return copy;
}

static const struct sample {
    const char *body, *shown;
} bodies[] = {
    {"{}", ""},
    {" {\r\n} ", ""},
    {"{\"name\":\"Ada\"}", "name=Ada"},
    {"{\"nick\":\"ada\",\"name\":null}", "name=NULL nick=ada"},
    {"{\"name\":\" Ada\\n\",\"lang\":\" EN-us \"}", "name=Ada lang=en-US"},
    {"{\"name\":\"\"}", "name=NULL"},
    {"{\"name\":\" \\u3000\\t\"}", "name=NULL"},
    {"{\"na\\u006de\":\"A\\u0301\"}", "name=\xC3\x81"},
    {"{\"name\":\"12345\"}", "name=12345"},
    {"{\"name\":\"123456\"}", "!name"},
    {"{\"name\":\"\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00\"}",
     "name=\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80"},
    {"{\"nick\":\"a\"}", "!nick"},
    {"{\"nick\":\"ab\"}", "nick=ab"},
    {"{\"nick\":\"abc\"}", "nick=abc"},
    {"{\"nick\":\"abcd\"}", "!nick"},
    {"{\"nick\":null}", "!nick"},
    {"{\"nick\":\" \"}", "!nick"},
    {"{\"name\":\"a\\u0000b\"}", "!name"},
    {"{\"name\":\"\\u0000\"}", "!name"},
    {"{\"name\":\"a\\u0085b\"}", "!name"},
    {"{\"name\":1}", "!name"},
    {"{\"name\":false}", "!name"},
    {"{\"name\":[\"a\"]}", "!name"},
    {"{\"name\":{}}", "!name"},

    {"{\"lang\":\"xx\"}", "!lang:lang"},
    {"{\"lang\":null}", "!lang:lang"},
    {"{\"lang\":\"\"}", "!lang:lang"},
    {"{\"lang\":1}", "!lang:lang"},
    {"{\"lang\":\"en\\u0000\"}", "!lang:lang"},
    {"{\"lang\":\"e\\u0001n\"}", "!lang:lang"},
    {"{\"tongue\":null}", "tongue=NULL"},
    {"{\"tongue\":\" \"}", "tongue=NULL"},
    {"{\"tongue\":\"i-klingon\"}", "tongue=i-klingon"},

    {"{\"age\":0}", "age=0"},
    {"{\"age\":-1}", "age=-1"},
    {"{\"age\":9223372036854775807}", "age=9223372036854775807"},
    {"{\"age\":-9223372036854775808}", "age=-9223372036854775808"},
    {"{\"age\":null}", "age=NULL"},
    {"{\"age\":1.0}", "!age"},
    {"{\"age\":1e2}", "!age"},
    {"{\"age\":\"1\"}", "!age"},
    {"{\"age\":true}", "!age"},
    {"{\"age\":9223372036854775808}", "MALFORMED_JSON"},
    {"{\"open\":true}", "open=true"},
    {"{\"open\":false}", "open=false"},
    {"{\"open\":\"true\"}", "!open"},
    {"{\"open\":1}", "!open"},
    {"{\"open\":null}", "!open"},

    {"{\"uuid\":\"550e8400-e29b-41d4-A716-446655440000\"}",
     "uuid=550e8400-e29b-41d4-A716-446655440000"},
    {"{\"uuid\":\"550e8400e29b41d4a716446655440000\"}", "!uuid"},
    {"{\"uuid\":\"{550e8400-e29b-41d4-a716-446655440000}\"}", "!uuid"},
    {"{\"uuid\":1}", "!uuid"},
    {"{\"url\":\"https://example.com/a\"}", "url=https://example.com/a"},
    {"{\"url\":\"\"}", "url=NULL"},
    {"{\"url\":\"javascript:alert(1)\"}", "!url"},
    {"{\"url\":\"https://\"}", "!url"},
    {"{\"url\":\"https://example.com/ a\"}", "!url"},
    {"{\"url\":\"//example.com/\"}", "!url"},
    {"{\"url\":\"https://example.com/0123456789a\"}", "!url"},
    {"{\"mail\":\" ada@example.com\"}", "mail=ada@example.com"},
    {"{\"mail\":\"ada\"}", "!mail"},
    {"{\"mail\":\"ada@\"}", "!mail"},
    {"{\"mail\":\"a@b@example.com\"}", "!mail"},
    {"{\"mail\":\"Ada <ada@example.com>\"}", "!mail"},

    {"{\"extra\":{}}", "extra={}"},
    {"{\"extra\":{\"a\": [1,\n2]}}", "extra={\"a\":[1,2]}"},
    {"{\"extra\":{\"a\":\" b\\n \"}}", "extra={\"a\":\" b\\n \"}"},
    {"{\"extra\":null}", "extra=NULL"},
    {"{\"extra\":{\"a\":\"012345678901\"}}", "extra={\"a\":\"012345678901\"}"},
    {"{\"extra\":{\"a\":\"0123456789012\"}}", "!extra"},
    {"{\"extra\":{\"a\":\"\\u0000\"}}", "!extra"},
    {"{\"extra\":{\"a\":\"\\\\\\u0000\"}}", "!extra"},
    {"{\"extra\":{\"a\":\"\\\\u0000\"}}", "extra={\"a\":\"\\\\u0000\"}"},
    {"{\"extra\":[]}", "!extra"},
    {"{\"extra\":\"{}\"}", "!extra"},
    {"{\"extra\":\"\"}", "!extra"},
    {"{\"extra\":1}", "!extra"},

    /* ignored */
    {"{\"id\":1,\"locked\":\"x\",\"picture\":\"x\",\"nobody\":\"x\",\"\":1}", ""},
    {"{\"id\":[],\"locked\":\"\\u0000\",\"nobody\":{\"name\":\"x\"},\"name\":\"a\"}", "name=a"},
    {"{\"Name\":\"a\",\"name \":\"a\",\"nam\":\"a\",\"names\":\"a\"}", ""},

    /* all at once, in their order */
    {"{\"name\":1,\"lang\":\"xx\",\"age\":\"\",\"tongue\":\"en\"}",
     "tongue=en !name !lang:lang !age"},
    {"{\"open\":0,\"nick\":\"\",\"locked\":0}", "!open !nick"},

    /* none */
    {"", "MALFORMED_JSON"},
    {"[]", "MALFORMED_JSON"},
    {"null", "MALFORMED_JSON"},
    {"\"name\"", "MALFORMED_JSON"},
    {"{\"name\":\"a\"", "MALFORMED_JSON"},
    {"{\"name\":\"a\"}x", "MALFORMED_JSON"},
    {"{\"name\":\"a\"}{}", "MALFORMED_JSON"},
    {"\xEF\xBB\xBF{\"name\":\"a\"}", "MALFORMED_JSON"},
    {"{\"name\":\"a\",\"name\":\"a\"}", "MALFORMED_JSON"},
    {"{\"x\":{\"a\":1,\"a\":1},\"name\":\"a\"}", "MALFORMED_JSON"},
    {"{\"name\":\"\xFF\"}", "MALFORMED_JSON"},
    {"{\"name\":\"\\ud800\"}", "MALFORMED_JSON"},
    {"{\"name\":\"a\nb\"}", "MALFORMED_JSON"},
    {"{'name':'a'}", "MALFORMED_JSON"},
};

static void test_json(void)
{
    apr_size_t i, len;
    const char *whole = "{\"name\":\"Ada\",\"age\":12}";

    for (i = 0; i < COUNT(bodies); i++)
        is(of_json(new_patch(), bodies[i].body, strlen(bodies[i].body)), bodies[i].shown,
           line(bodies[i].body));
    for (len = 0; len < strlen(whole); len++)
        is(of_json(new_patch(), whole, len), "MALFORMED_JSON",
           apr_psprintf(pool, "the first %d bytes of %s", (int)len, whole));
    is(of_json(new_patch(), "{}\0", 3), "MALFORMED_JSON", "a NUL after the object");
    is(of_json(new_patch(), "{\"name\":\"a\0b\"}", 14), "MALFORMED_JSON", "a NUL in a string");
}

static void test_depth(void)
{
    char body[400];
    int levels;

    for (levels = 30; levels <= 34; levels++) {
        apr_snprintf(body, sizeof(body), "{\"x\":%.*s%.*s,\"name\":\"a\"}", levels - 1,
                     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", levels - 1,
                     "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        is(of_json(new_patch(), body, strlen(body)), levels <= 32 ? "name=a" : "MALFORMED_JSON",
           apr_psprintf(pool, "%d levels", levels));
    }
}

static const struct part {
    const char *name, *value, *shown;
} parts[] = {
    {"name", "Ada", "name=Ada"},
    {"name", "", "name=NULL"},
    {"name", " \r\n", "name=NULL"},
    {"name", " Ada\r\n", "name=Ada"},
    {"name", "123456", "!name"},
    {"name", "null", "name=null"},
    {"name", "\xFF", "!name"},
    {"name", "a\nb", "!name"},
    {"nick", "", "!nick"},
    {"lang", "DE-ch", "lang=de-CH"},
    {"lang", "", "!lang:lang"},
    {"lang", "\xFF", "!lang:lang"},
    {"lang", "xx", "!lang:lang"},
    {"tongue", "", "tongue=NULL"},
    {"age", " 12 ", "age=12"},
    {"age", "-12", "age=-12"},
    {"age", "9223372036854775807", "age=9223372036854775807"},
    {"age", "", "age=NULL"},
    {"age", "9223372036854775808", "!age"},
    {"age", "+1", "!age"},
    {"age", "1.0", "!age"},
    {"age", "0x1", "!age"},
    {"age", "1 2", "!age"},
    {"age", "-", "!age"},
    {"age", "\xD9\xA1", "!age"},
    {"open", "true", "open=true"},
    {"open", "false", "open=false"},
    {"open", "", "!open"},
    {"open", "TRUE", "!open"},
    {"open", "1", "!open"},
    {"open", "on", "!open"},
    {"extra", "{\"a\":1}", "extra={\"a\":1}"},
    {"extra", " {\r\n \"a\": \" b\\n\"\r\n}\r\n", "extra={\"a\":\" b\\n\"}"},
    {"extra", "", "extra=NULL"},
    {"extra", " \r\n", "extra=NULL"},
    {"extra", "{\"a\":\"A\xCC\x80\"}", "extra={\"a\":\"A\xCC\x80\"}"},
    {"extra", "null", "!extra"},
    {"extra", "[1]", "!extra"},
    {"extra", "{\"a\":1,\"a\":2}", "!extra"},
    {"extra", "{\"a\":1", "!extra"},
    {"extra", "{\"a\":\"\xFF\"}", "!extra"},
    {"extra", "{\"a\":\"\\u0000\"}", "!extra"},
    {"extra", "x", "!extra"},
    {"id", "1", ""},
    {"locked", "\xFF", ""},
    {"picture", "x", ""},
    {"nobody", "x", ""},
    {"Name", "x", ""},
    {"\xFF", "x", ""},
};

static void test_parts(void)
{
    apr_size_t i;
    up_patch *patch;

    for (i = 0; i < COUNT(parts); i++)
        is(of_text(new_patch(), parts[i].name, parts[i].value, strlen(parts[i].value)),
           parts[i].shown,
           line(apr_psprintf(pool, "a part: %s: %s", parts[i].name, parts[i].value)));
    is(of_text(new_patch(), "name", "a\0b", 3), "!name", "a part: a NUL within");
    is(of_text(new_patch(), "name", "a\0", 2), "!name", "a part: a NUL at the end");
    is(of_text(new_patch(), "lang", "en\0", 3), "!lang:lang", "a part: a language and a NUL");
    is(of_text(new_patch(), "extra", "{}\0", 3), "!extra", "a part: an object and a NUL");

    patch = new_patch();
    of_text(patch, "name", "Ada", 3);
    of_text(patch, "lang", "xx", 2);
    of_text(patch, "age", "", 0);
    is(of_text(patch, "nobody", "", 0), "name=Ada age=NULL !lang:lang", "one part after the other");
}

static void test_twice(void)
{
    static const char *const names[] = {"name", "lang", "id", "locked"};
    apr_size_t i;

    for (i = 0; i < COUNT(names); i++) {
        up_patch *patch = new_patch();

        up_patch_text(patch, names[i], "en", 2);
        is(of_text(patch, names[i], "en", 2), "MALFORMED_MULTIPART",
           apr_psprintf(pool, "%s comes twice", names[i]));
        patch = new_patch();
        up_patch_text(patch, names[i], "\xFF", 1);
        is(of_text(patch, names[i], "en", 2), "MALFORMED_MULTIPART",
           apr_psprintf(pool, "%s comes twice, invalid first", names[i]));
    }
    {
        up_patch *patch = new_patch();

        up_patch_text(patch, "nobody", "x", 1);
        is(of_text(patch, "nobody", "x", 1), "", "a name that nobody knows may come twice");
    }
}

/* Where the contract says that what can't be written is an error. */
static void test_refused_names(void)
{
    up_model *model = model_of(pool, fields, COUNT(fields));
    char name[100];
    up_patch *patch;
    int i;

    model->refuse_unknown = 1;
    is(of_json(up_patch_create(pool, model), "{\"name\":\"a\",\"id\":1,\"x\":1}", 25),
       "name=a !id !x", "a read-only and an unknown member");
    is(of_text(up_patch_create(pool, model), "locked", "x", 1), "!locked", "a read-only part");
    is(of_text(up_patch_create(pool, model), "x/~\"", "x", 1), "!x/~\"", "an unknown part");
    is(of_text(up_patch_create(pool, model), "x\xFF", "x", 1), "!",
       "a name that is not UTF-8 is not told back");
    is(of_text(up_patch_create(pool, model), "\x80\x80x", "x", 1), "!",
       "nor is one that begins within a character");
    is(of_json(up_patch_create(pool, model), "{\"name\":\"a\"}", 12), "name=a",
       "what can be written is none of them");
    for (i = 60; i <= 66; i++) {
        memset(name, 'a', sizeof(name));
        memcpy(name + i, "\xF0\x9F\x98\x80zz", 7);
        patch = up_patch_create(pool, model);
        up_patch_text(patch, name, "x", 1);
        name[i <= 60 ? 64 : i < 64 ? i : 64] = '\0';
        is(APR_ARRAY_IDX(patch->problem->details, 0, up_detail).field, name,
           apr_psprintf(pool, "a long name is cut before a character, which begins at %d", i));
    }
}

/* Whatever a client sends: what can't be written is not, and values are as they should be. */
static void test_random(void)
{
    static const char *const pieces[] = {
        "{",           "}",       "\"name\":", "\"lang\":", "\"age\":", "\"id\":", "\"extra\":",
        "\"locked\":", "\"Ada\"", "\"en\"",    "null",      "1",        ",",       ",",
        "\"\\u0000\"", "[",       "]",         "\xFF",      " ",        "x"};
    int round, i, wrong = 0, taken = 0;

    srand(1);
    for (round = 0; round < 50000; round++) {
        apr_pool_t *p, *before = pool;
        up_patch *patch;
        const char *body = "{";

        apr_pool_create(&p, pool);
        pool = p;
        for (i = rand() % 6; i >= 0; i--)
            body = apr_pstrcat(p, body, pieces[rand() % (int)COUNT(pieces)], NULL);
        patch = new_patch();
        if (!strstr(of_json(patch, apr_pstrcat(p, body, "}", NULL), strlen(body) + 1), "MALFORMED"))
            taken++;
        wrong += strchr(show(patch), '?') != NULL;
        for (i = 0; i < (int)COUNT(fields); i++)
            wrong += patch->given[i] &&
                     (!fields[i].writable || (!patch->values[i] && !fields[i].nullable));
        pool = before;
        apr_pool_destroy(p);
    }
    is_int(wrong, 0, "50,000 random bodies");
    ok(taken > 100, "of which some are JSON (%d)", taken);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    is(show(new_patch()), "", "a new patch gives nothing");
    test_json();
    test_depth();
    test_parts();
    test_twice();
    test_refused_names();
    test_random();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
