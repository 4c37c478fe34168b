/* SPDX-License-Identifier: Apache-2.0 */

/* A JSON body, or the text parts of a form, to a patch: what is accepted keeps to its field's
 * rules, and is accepted as it is when it comes again.
 *
 * The input: a byte for the mode; then a JSON body, or names and values that end with 0xFF. */
#include "fuzz.h"

#include "core/langtag.h"
#include "core/patch.h"
#include "core/text.h"
#include "model_maker.h"

#include <apr_strings.h>
#include <jansson.h>

enum { FORM = 1, REFUSE_UNKNOWN = 2 };

static const up_field fields[] = {
    {.name = "id", .type = UP_INTEGER},
    {.name = "name", .type = UP_STRING, .writable = 1, .nullable = 1, .max = 20},
    {.name = "nick", .type = UP_STRING, .writable = 1, .min = 2, .max = 5},
    {.name = "lang", .type = UP_LANGUAGE, .writable = 1},
    {.name = "tongue", .type = UP_LANGUAGE, .writable = 1, .nullable = 1},
    {.name = "age", .type = UP_INTEGER, .writable = 1, .nullable = 1},
    {.name = "open", .type = UP_BOOLEAN, .writable = 1},
    {.name = "uuid", .type = UP_UUID, .writable = 1, .max = 36},
    {.name = "url", .type = UP_URL, .writable = 1, .nullable = 1, .max = 40},
    {.name = "mail", .type = UP_EMAIL, .writable = 1, .max = 30},
    {.name = "extra", .type = UP_JSON, .writable = 1, .nullable = 1, .max = 60},
    {.name = "locked", .type = UP_STRING, .nullable = 1, .max = 5},
    {.name = "picture", .type = UP_AVATAR, .nullable = 1, .max = 5},
};

static const int count = sizeof(fields) / sizeof(fields[0]);

static up_patch *make_patch(apr_pool_t *p, int mode)
{
    up_model *model = model_of(p, fields, count);

    model->refuse_unknown = (mode & REFUSE_UNKNOWN) != 0;
    return up_patch_create(p, model);
}

static int same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* A text that was accepted is as text should be: UTF-8, trimmed, NFC, no longer than its field. */
static void check_text(apr_pool_t *p, const up_field *field, const char *value)
{
    const char *again = NULL;
    apr_size_t points = 0;

    must(up_text_clean(p, value, strlen(value), &again, &points) == UP_TEXT_OK);
    must(same(again, value) && points > 0);
    if (field->max)
        must(points >= (apr_size_t)field->min && points <= (apr_size_t)field->max);
    if (field->type == UP_LANGUAGE)
        must(strlen(value) <= UP_LANGTAG_MAX);
}

static void check_value(apr_pool_t *p, const up_field *field, int i, const char *value)
{
    up_patch *again = make_patch(p, 0);

    must(up_text_is_utf8(value, strlen(value)));
    must(up_type_holds(field->type, value));
    if (field->type == UP_JSON) {
        json_t *object = json_loads(value, JSON_REJECT_DUPLICATES, NULL);

        must(json_is_object(object) && strlen(value) <= (size_t)field->max);
        json_decref(object);
    } else {
        check_text(p, field, value);
    }
    must(!up_patch_text(again, field->name, value, strlen(value)));
    must(again->count == 1 && again->given[i] && !again->problem);
    must(same(again->values[i], value));
}

static void check_problem(const up_problem *problem)
{
    int i;

    must(problem->details && problem->details->nelts > 0);
    must(problem->details->nelts <= UP_DETAILS_MAX);
    for (i = 0; i < problem->details->nelts; i++) {
        const up_detail *detail = &APR_ARRAY_IDX(problem->details, i, up_detail);

        must(up_text_is_utf8(detail->field, strlen(detail->field)));
        must(detail->message[strlen(detail->message) - 1] == '.');
    }
}

static void check_patch(apr_pool_t *p, const up_patch *patch)
{
    int i, given = 0;

    for (i = 0; i < count; i++) {
        given += patch->given[i] != 0;
        must(!patch->given[i] || fields[i].writable);
        must(patch->given[i] || !patch->values[i]);
        must(!patch->given[i] || patch->values[i] || fields[i].nullable);
        if (patch->values[i])
            check_value(p, &fields[i], i, patch->values[i]);
    }
    must(given == patch->count);
    if (patch->problem)
        check_problem(patch->problem);
}

/* A string of JSON and the same text in a form are one and the same. */
static void check_as_form(apr_pool_t *p, const up_patch *patch, const char *body, size_t size)
{
    json_t *object = json_loadb(body, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    int i;

    must(json_is_object(object));
    for (i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        up_patch *form;

        if (!json_is_string(value) || !fields[i].writable || fields[i].type == UP_INTEGER ||
            fields[i].type == UP_BOOLEAN || fields[i].type == UP_JSON)
            continue;
        form = make_patch(p, 0);
        must(!up_patch_text(form, fields[i].name, json_string_value(value),
                            json_string_length(value)));
        must(form->given[i] == patch->given[i] && same(form->values[i], patch->values[i]));
        must((form->problem != NULL) == !form->given[i]);
    }
    json_decref(object);
}

static void run_json(apr_pool_t *p, int mode, const uint8_t *data, size_t size)
{
    up_patch *patch = make_patch(p, mode);
    char *body = fuzz_copy(data, size);
    up_problem *problem = up_patch_json(patch, body, size);

    if (problem) {
        must(problem->code == UP_MALFORMED_JSON && !patch->count && !patch->problem);
        must(up_text_is_utf8(problem->message, strlen(problem->message)));
    } else {
        check_as_form(p, patch, body, size);
    }
    memset(body, '#', size);
    free(body);
    check_patch(p, patch);
}

static void run_form(apr_pool_t *p, int mode, const uint8_t *data, size_t size)
{
    up_patch *patch = make_patch(p, mode);
    up_problem *problem = NULL;

    while (size > 0 && !problem) {
        char *name = fuzz_text(p, &data, &size, 0xff);
        const uint8_t *end = size ? memchr(data, 0xff, size) : NULL;
        size_t len = end ? (size_t)(end - data) : size;
        char *value = fuzz_copy(data, len);

        problem = up_patch_text(patch, name, value, len);
        memset(value, '#', len);
        free(value);
        data += end ? len + 1 : len;
        size -= end ? len + 1 : len;
    }
    if (problem)
        must(problem->code == UP_MALFORMED_MULTIPART);
    check_patch(p, patch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();

    if (size < 1)
        return 0;
    if (data[0] & FORM)
        run_form(p, data[0], data + 1, size - 1);
    else
        run_json(p, data[0], data + 1, size - 1);
    return fuzz_done();
}
