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

static void set_integer(up_patch *patch, int i, const char *text)
{
    if (!up_type_holds(UP_INTEGER, text)) {
        invalid(patch, up_model_field(patch->model, i), UP_VALIDATION_ERROR,
                "This must be a whole number of at most 64 bits.");
        return;
    }
    set(patch, i, text);
}

static void set_boolean(up_patch *patch, int i, const char *text)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        invalid(patch, up_model_field(patch->model, i), UP_VALIDATION_ERROR,
                "This must be true or false.");
        return;
    }
    set(patch, i, text);
}

/* What is empty after trimming is null, for every type. */
static void set_text(up_patch *patch, int i, const char *value, apr_size_t len)
{
    const up_field *field = up_model_field(patch->model, i);
    up_code code = field->type == UP_LANGUAGE ? UP_INVALID_LANGUAGE_CODE : UP_VALIDATION_ERROR;
    const char *text;
    apr_size_t points;

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
    else if (field->type == UP_LANGUAGE)
        set_language(patch, i, text);
    else if (field->type == UP_INTEGER)
        set_integer(patch, i, text);
    else if (field->type == UP_BOOLEAN)
        set_boolean(patch, i, text);
    else
        set_string(patch, i, text, points);
}

static void set_json(up_patch *patch, int i, const json_t *value)
{
    const up_field *field = up_model_field(patch->model, i);

    if (json_is_null(value))
        set(patch, i, NULL);
    else if (json_is_string(value) && field->type != UP_INTEGER && field->type != UP_BOOLEAN)
        set_text(patch, i, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value) && field->type == UP_INTEGER)
        set(patch, i, apr_psprintf(patch->pool, "%" JSON_INTEGER_FORMAT,
                                   json_integer_value(value)));
    else if (json_is_boolean(value) && field->type == UP_BOOLEAN)
        set(patch, i, json_is_true(value) ? "true" : "false");
    else if (field->type == UP_LANGUAGE)
        invalid(patch, field, UP_INVALID_LANGUAGE_CODE, "This must be a string.");
    else
        invalid(patch, field, UP_VALIDATION_ERROR,
                apr_psprintf(patch->pool, "This must be a JSON %s.",
                             field->type == UP_INTEGER   ? "integer"
                             : field->type == UP_BOOLEAN ? "boolean"
                                                         : "string"));
}

up_problem *up_patch_json(up_patch *patch, const char *body, apr_size_t len)
{
    const char *wrong, *name;
    json_t *object, *value;

    /* A NUL in a value is an invalid value, not a malformed body. */
    wrong = up_json_object(&object, body, len, JSON_ALLOW_NUL, patch->pool);
    if (wrong)
        return up_problem_make(patch->pool, UP_MALFORMED_JSON,
                               apr_pstrcat(patch->pool, "The body must be a single JSON object. ",
                                           wrong, NULL));
    json_object_foreach(object, name, value)
    {
        int i = up_model_find(patch->model, name, strlen(name));

        if (i >= 0 && up_model_field(patch->model, i)->writable)
            set_json(patch, i, value);
    }
    return NULL;
}

up_problem *up_patch_text(up_patch *patch, const char *name, const char *value, apr_size_t len)
{
    int i = up_model_find(patch->model, name, strlen(name));

    if (i < 0)
        return NULL;
    if (patch->seen[i])
        return up_problem_make(
            patch->pool, UP_MALFORMED_MULTIPART,
            apr_pstrcat(patch->pool, "The field '", up_model_field(patch->model, i)->name,
                        "' comes twice.", NULL));
    patch->seen[i] = 1;
    if (up_model_field(patch->model, i)->writable)
        set_text(patch, i, value, len);
    return NULL;
}
