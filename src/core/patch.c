/* SPDX-License-Identifier: Apache-2.0 */
#include "core/patch.h"

#include "core/json.h"
#include "core/langtag.h"
#include "core/text.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

up_patch *up_patch_create(apr_pool_t *p, const up_model *model)
{
    up_patch *patch = apr_pcalloc(p, sizeof(*patch));

    patch->model = model;
    patch->pool = p;
    patch->given = apr_pcalloc(p, model->fields->nelts);
    patch->seen = apr_pcalloc(p, model->fields->nelts);
    patch->values = apr_pcalloc(p, model->fields->nelts * sizeof(char *));
    return patch;
}

static void invalid(up_patch *patch, const up_field *field, up_code code, const char *message)
{
    up_problem_detail(&patch->problem, patch->pool, field->name, code, message);
}

static void set(up_patch *patch, int i, const char *value)
{
    const up_field *field = up_model_field(patch->model, i);

    if (!value && !field->nullable) {
        invalid(patch, field,
                field->type == UP_LANGUAGE ? UP_INVALID_LANGUAGE_CODE : UP_VALIDATION_ERROR,
                "This field can't be null or empty.");
        return;
    }
    if (!patch->given[i])
        patch->count++;
    patch->given[i] = 1;
    patch->values[i] = value;
}

static void set_string(up_patch *patch, int i, const char *text, apr_size_t points)
{
    const up_field *field = up_model_field(patch->model, i);

    if (points < (apr_size_t)field->min || points > (apr_size_t)field->max) {
        invalid(patch, field, UP_VALIDATION_ERROR,
                apr_psprintf(patch->pool, "This field must have %d to %d characters.", field->min,
                             field->max));
        return;
    }
    set(patch, i, text);
}

static void set_language(up_patch *patch, int i, const char *text)
{
    char tag[UP_LANGTAG_MAX + 1];

    if (!up_langtag_valid(text, strlen(text), tag)) {
        invalid(patch, up_model_field(patch->model, i), UP_INVALID_LANGUAGE_CODE,
                "This must be a valid BCP 47 language tag, such as 'en' or 'zh-Hant-TW'.");
        return;
    }
    set(patch, i, apr_pstrdup(patch->pool, tag));
}

/* What a value of each type is; text and languages have their own sentences. */
static const char *const descriptions[UP_TYPES] = {
    [UP_INTEGER] = "This must be a whole number of at most 64 bits.",
    [UP_BOOLEAN] = "This must be true or false.",
    [UP_UUID] = "This must be a UUID, such as '550e8400-e29b-41d4-a716-446655440000'.",
    [UP_URL] = "This must be an absolute http or https URL.",
    [UP_EMAIL] = "This must be an email address.",
    [UP_JSON] = "This must be a JSON object.",
};

static const char *description(up_type type)
{
    return descriptions[type] ? descriptions[type] : "This must be a string.";
}

/* jansson writes a U+0000 as an escape; a backslash before it is itself escaped. */
static int has_nul(const char *json)
{
    for (; *json; json++) {
        if (*json != '\\')
            continue;
        if (strncmp(json, "\\u0000", 6) == 0)
            return 1;
        json++;
    }
    return 0;
}

/* With no more digits than it takes to have the same numbers: 0.1 is not to become
 * 0.10000000000000001. Of a double 17 are always enough. */
static const char *object_text(apr_pool_t *p, const json_t *object)
{
    size_t digits, size, flags;
    char *text;
    json_t *again;
    int same;

    for (digits = 15;; digits++) {
        flags = JSON_COMPACT | JSON_REAL_PRECISION(digits);
        size = json_dumpb(object, NULL, 0, flags);
        text = apr_palloc(p, size + 1);
        json_dumpb(object, text, size, flags);
        text[size] = '\0';
        again = digits < 17 ? json_loadb(text, size, JSON_ALLOW_NUL, NULL) : NULL;
        same = json_equal(again, object);
        json_decref(again);
        if (same || digits == 17)
            return text;
    }
}

/* For the database an object is text; a U+0000 in it is none. */
static void set_object(up_patch *patch, int i, const json_t *object)
{
    const up_field *field = up_model_field(patch->model, i);
    const char *text = object_text(patch->pool, object);
    size_t size = strlen(text);

    if (size > (size_t)field->max)
        invalid(patch, field, UP_VALIDATION_ERROR,
                apr_psprintf(patch->pool, "This object must have at most %d bytes.", field->max));
    else if (has_nul(text))
        invalid(patch, field, UP_VALIDATION_ERROR, "This object must not contain U+0000.");
    else
        set(patch, i, text);
}

static int is_json_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The object as it would be in a JSON body: its strings are not ours to trim. */
static void parse_object(up_patch *patch, int i, const char *text, apr_size_t len)
{
    json_t *object;

    while (len > 0 && is_json_blank(text[len - 1]))
        len--;
    if (len == 0)
        set(patch, i, NULL);
    else if (up_json_object(&object, text, len, JSON_ALLOW_NUL, patch->pool))
        invalid(patch, up_model_field(patch->model, i), UP_VALIDATION_ERROR, description(UP_JSON));
    else
        set_object(patch, i, object);
}

/* A text that is neither empty nor too long for what follows. */
static void set_value(up_patch *patch, int i, const char *text, apr_size_t points)
{
    const up_field *field = up_model_field(patch->model, i);

    if (field->type == UP_LANGUAGE)
        set_language(patch, i, text);
    else if (!up_type_holds(field->type, text))
        invalid(patch, field, UP_VALIDATION_ERROR, description(field->type));
    else if (field->type == UP_INTEGER || field->type == UP_BOOLEAN)
        set(patch, i, text);
    else
        set_string(patch, i, text, points);
}

/* What is empty after trimming is null, for every type. */
static void set_text(up_patch *patch, int i, const char *value, apr_size_t len)
{
    const up_field *field = up_model_field(patch->model, i);
    up_code code = field->type == UP_LANGUAGE ? UP_INVALID_LANGUAGE_CODE : UP_VALIDATION_ERROR;
    const char *text;
    apr_size_t points;

    if (field->type == UP_JSON) {
        parse_object(patch, i, value, len);
        return;
    }
    switch (up_text_clean(patch->pool, value, len, &text, &points)) {
    case UP_TEXT_OK:
        break;
    case UP_TEXT_NOT_UTF8:
        invalid(patch, field, code, "This field must be UTF-8.");
        return;
    case UP_TEXT_CONTROL:
        invalid(patch, field, code, "This field must not contain control characters.");
        return;
    default:
        invalid(patch, field, code, "This field can't be processed.");
        return;
    }
    if (points == 0)
        set(patch, i, NULL);
    else
        set_value(patch, i, text, points);
}

/* Numbers and truth values come as such; all others but objects as strings. */
static void set_json(up_patch *patch, int i, const json_t *value)
{
    const up_field *field = up_model_field(patch->model, i);
    const int text =
        field->type != UP_INTEGER && field->type != UP_BOOLEAN && field->type != UP_JSON;

    if (json_is_null(value))
        set(patch, i, NULL);
    else if (json_is_string(value) && text)
        set_text(patch, i, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value) && field->type == UP_INTEGER)
        set(patch, i,
            apr_psprintf(patch->pool, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value)));
    else if (json_is_boolean(value) && field->type == UP_BOOLEAN)
        set(patch, i, json_is_true(value) ? "true" : "false");
    else if (json_is_object(value) && field->type == UP_JSON)
        set_object(patch, i, value);
    else
        invalid(patch, field,
                field->type == UP_LANGUAGE ? UP_INVALID_LANGUAGE_CODE : UP_VALIDATION_ERROR,
                description(field->type));
}

/* A name that the client made up is told back, but not at any length. */
#define NAME_SHOWN 64

static void refuse_name(up_patch *patch, int i, const char *name)
{
    apr_size_t len = strlen(name), shown = len < NAME_SHOWN ? len : NAME_SHOWN;

    if (!patch->model->refuse_unknown)
        return;
    /* Of UTF-8 the first byte begins a character, so that this ends; and an answer is UTF-8. */
    if (up_text_is_utf8(name, len)) {
        while (shown < len && (name[shown] & 0xc0) == 0x80)
            shown--;
    } else {
        shown = 0;
    }
    up_problem_detail(&patch->problem, patch->pool, apr_pstrmemdup(patch->pool, name, shown),
                      UP_VALIDATION_ERROR,
                      i < 0 ? "There is no such field." : "This field can't be changed.");
}

up_problem *up_patch_json(up_patch *patch, const char *body, apr_size_t len)
{
    const char *wrong, *name;
    json_t *object, *value;

    /* A NUL in a value is an invalid value, not a malformed body. */
    wrong = up_json_object(&object, body, len, JSON_ALLOW_NUL, patch->pool);
    if (wrong)
        return up_problem_make(
            patch->pool, UP_MALFORMED_JSON,
            apr_pstrcat(patch->pool, "The body must be a single JSON object. ", wrong, NULL));
    json_object_foreach(object, name, value)
    {
        int i = up_model_find(patch->model, name, strlen(name));

        if (i >= 0 && up_model_field(patch->model, i)->writable)
            set_json(patch, i, value);
        else
            refuse_name(patch, i, name);
    }
    return NULL;
}

up_problem *up_patch_text(up_patch *patch, const char *name, const char *value, apr_size_t len)
{
    int i = up_model_find(patch->model, name, strlen(name));

    if (i < 0) {
        refuse_name(patch, i, name);
        return NULL;
    }
    if (patch->seen[i])
        return up_problem_make(patch->pool, UP_MALFORMED_MULTIPART,
                               apr_pstrcat(patch->pool, "The field '",
                                           up_model_field(patch->model, i)->name, "' comes twice.",
                                           NULL));
    patch->seen[i] = 1;
    if (up_model_field(patch->model, i)->writable)
        set_text(patch, i, value, len);
    else
        refuse_name(patch, i, name);
    return NULL;
}
