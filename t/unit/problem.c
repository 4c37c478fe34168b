/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "core/problem.h"
#include "core/problem_body.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <ctype.h>
#include <jansson.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static apr_pool_t *pool;

/* The contract's codes, section 5, with the statuses of format json. */
static const struct {
    const char *name;
    up_code code;
    int status;
} contract[] = {
    {"MISSING_TOKEN", UP_MISSING_TOKEN, 401},
    {"INVALID_CREDENTIALS", UP_INVALID_CREDENTIALS, 401},
    {"TOKEN_REVOKED", UP_TOKEN_REVOKED, 401},
    {"ACCOUNT_DELETED", UP_ACCOUNT_DELETED, 403},
    {"ACCOUNT_DEACTIVATED", UP_ACCOUNT_DEACTIVATED, 403},
    {"INSUFFICIENT_ROLE", UP_INSUFFICIENT_ROLE, 403},
    {"MALFORMED_JSON", UP_MALFORMED_JSON, 400},
    {"MALFORMED_MULTIPART", UP_MALFORMED_MULTIPART, 400},
    {"VALIDATION_ERROR", UP_VALIDATION_ERROR, 400},
    {"INVALID_LANGUAGE_CODE", UP_INVALID_LANGUAGE_CODE, 400},
    {"INVALID_FILE_TYPE", UP_INVALID_FILE_TYPE, 400},
    {"NOT_FOUND", UP_NOT_FOUND, 404},
    {"METHOD_NOT_ALLOWED", UP_METHOD_NOT_ALLOWED, 405},
    {"PRECONDITION_FAILED", UP_PRECONDITION_FAILED, 412},
    {"FILE_TOO_LARGE", UP_FILE_TOO_LARGE, 413},
    {"BODY_TOO_LARGE", UP_BODY_TOO_LARGE, 413},
    {"UNSUPPORTED_MEDIA_TYPE", UP_UNSUPPORTED_MEDIA_TYPE, 415},
    {"STORAGE_UPLOAD_ERROR", UP_STORAGE_UPLOAD_ERROR, 502},
    {"SERVICE_UNAVAILABLE", UP_SERVICE_UNAVAILABLE, 503},
};

static void test_codes(void)
{
    int i, j;

    for (i = 0; i < (int)COUNT(contract); i++) {
        is(up_code_name(contract[i].code), contract[i].name, contract[i].name);
        is_int(up_code_status(contract[i].code), contract[i].status, contract[i].name);
    }
    for (i = 0; i < UP_CODES; i++) {
        const char *name = up_code_name((up_code)i);
        const char *message = up_code_message((up_code)i);

        ok(name && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == strlen(name), "%s is a name",
           name);
        ok(message && isupper((unsigned char)*message) && message[strlen(message) - 1] == '.',
           "%s has a sentence", name);
        ok(*up_code_title((up_code)i) && !strchr(up_code_title((up_code)i), '.'), "%s has a title",
           name);
        ok(up_code_status((up_code)i) >= 400 && up_code_status((up_code)i) < 600,
           "%s has an error's status", name);
        for (j = 0; j < i; j++)
            if (strcmp(name, up_code_name((up_code)j)) == 0)
                ok(0, "%s is there twice", name);
    }
}

static void test_code_of_status(void)
{
    static const struct {
        int status;
        up_code code;
    } cases[] = {
        {400, UP_BAD_REQUEST},
        {401, UP_MISSING_TOKEN},
        {403, UP_FORBIDDEN},
        {404, UP_NOT_FOUND},
        {405, UP_METHOD_NOT_ALLOWED},
        {408, UP_REQUEST_TIMEOUT},
        {412, UP_PRECONDITION_FAILED},
        {413, UP_BODY_TOO_LARGE},
        {415, UP_UNSUPPORTED_MEDIA_TYPE},
        {418, UP_BAD_REQUEST},
        {500, UP_INTERNAL_ERROR},
        {503, UP_SERVICE_UNAVAILABLE},
        {599, UP_INTERNAL_ERROR},
    };
    apr_size_t i;

    for (i = 0; i < COUNT(cases); i++)
        is(up_code_name(up_code_of_status(cases[i].status)), up_code_name(cases[i].code),
           apr_psprintf(pool, "a status of %d", cases[i].status));
}

static void test_make(void)
{
    up_problem *problem = up_problem_make(pool, UP_MALFORMED_JSON, NULL);

    is(problem->message, up_code_message(UP_MALFORMED_JSON), "a problem has its code's sentence");
    ok(!problem->details && !problem->log && !problem->retry_after, "and nothing else");
    problem = up_problem_make(pool, UP_MALFORMED_JSON, "It is none.");
    is(problem->message, "It is none.", "or its own");

    problem = up_problem_logged(pool, UP_SERVICE_UNAVAILABLE, "%s says %d%%", "db1", 7);
    is(problem->log, "db1 says 7%", "a log line is formatted");
    is(problem->message, up_code_message(UP_SERVICE_UNAVAILABLE), "and is not the client's to see");
    is_int(problem->retry_after, 1, "503 has a Retry-After");
    is_int(up_problem_logged(pool, UP_INTERNAL_ERROR, "x")->retry_after, 0, "500 has none");
}

static up_problem *invalid(int languages_first)
{
    up_problem *problem = NULL;

    if (languages_first)
        up_problem_detail(&problem, pool, "lang", UP_INVALID_LANGUAGE_CODE, "No language.");
    up_problem_detail(&problem, pool, "a/b~c", UP_VALIDATION_ERROR, "Not \"good\".");
    return problem;
}

static void test_details(void)
{
    up_problem *problem = invalid(0);

    is_int(problem->code, UP_VALIDATION_ERROR, "an invalid field");
    is(problem->message, up_code_message(UP_VALIDATION_ERROR), "has its sentence");
    up_problem_detail(&problem, pool, "lang", UP_INVALID_LANGUAGE_CODE, "No language.");
    is_int(problem->code, UP_INVALID_LANGUAGE_CODE, "an invalid language beside it");
    is(problem->message, up_code_message(UP_INVALID_LANGUAGE_CODE), "has the sentence then");
    up_problem_detail(&problem, pool, "x", UP_VALIDATION_ERROR, "No.");
    is_int(problem->code, UP_INVALID_LANGUAGE_CODE, "which stays");
    is_int(problem->details->nelts, 3, "all are kept");
    is(APR_ARRAY_IDX(problem->details, 1, up_detail).field, "lang", "in their order");
    is_int(APR_ARRAY_IDX(problem->details, 2, up_detail).code, UP_VALIDATION_ERROR,
           "each with its own code");
    is_int(invalid(1)->code, UP_INVALID_LANGUAGE_CODE, "the language first");
}

static void test_body_json(void)
{
    up_problem *secret = up_problem_logged(pool, UP_SERVICE_UNAVAILABLE, "password of db1");

    is(up_problem_body_json(pool, up_problem_make(pool, UP_NOT_FOUND, NULL), NULL),
       "{\"status\":\"error\",\"code\":\"NOT_FOUND\",\"message\":\"There is no such resource.\","
       "\"details\":[]}",
       "json: an error");
    is(up_problem_body_json(pool, up_problem_make(pool, UP_NOT_FOUND, "A \"\xC3\xA9\"\n."), NULL),
       "{\"status\":\"error\",\"code\":\"NOT_FOUND\",\"message\":\"A \\\"\xC3\xA9\\\"\\n.\","
       "\"details\":[]}",
       "json: what has to be escaped is");
    is(up_problem_body_json(pool, invalid(1), NULL),
       apr_pstrcat(pool, "{\"status\":\"error\",\"code\":\"INVALID_LANGUAGE_CODE\",\"message\":\"",
                   up_code_message(UP_INVALID_LANGUAGE_CODE),
                   "\",\"details\":["
                   "{\"field\":\"lang\",\"code\":\"INVALID_LANGUAGE_CODE\","
                   "\"message\":\"No language.\"},"
                   "{\"field\":\"a/b~c\",\"code\":\"VALIDATION_ERROR\","
                   "\"message\":\"Not \\\"good\\\".\"}]}",
                   NULL),
       "json: its details");
    ok(!strstr(up_problem_body_json(pool, secret, "ab12"), "db1"), "json: no line of the log");
    ok(strstr(up_problem_body_json(pool, secret, "ab12"), "ab12"), "json: the error-log ID");
    is(up_problem_body_json(pool, up_problem_make(pool, UP_NOT_FOUND, "\xFF"), NULL),
       "{\"status\":\"error\",\"code\":\"NOT_FOUND\",\"message\":\"There is no such resource.\","
       "\"details\":[]}",
       "json: where a text is not UTF-8, the code's sentence has to do");
}

static void test_body_problem(void)
{
    const up_problem_frame frame = {.status = 422, .base = "urn:x:", .instance = "/me"};
    const up_problem_frame fault = {
        .status = 503, .base = "https://example.com/errors/", .instance = "/me", .log_id = "ab12"};
    up_problem *secret = up_problem_logged(pool, UP_SERVICE_UNAVAILABLE, "password of db1");
    const char *body = up_problem_body_problem(pool, secret, &fault);
    json_t *object = json_loads(body, JSON_REJECT_DUPLICATES, NULL);

    is(up_problem_body_problem(pool, invalid(0), &frame),
       apr_pstrcat(pool, "{\"type\":\"urn:x:validation-error\",\"title\":\"",
                   up_code_title(UP_VALIDATION_ERROR), "\",\"status\":422,\"detail\":\"",
                   up_code_message(UP_VALIDATION_ERROR),
                   "\",\"instance\":\"/me\",\"code\":\"VALIDATION_ERROR\",\"errors\":["
                   "{\"pointer\":\"#/a~1b~0c\",\"field\":\"a/b~c\",\"code\":\"VALIDATION_ERROR\","
                   "\"detail\":\"Not \\\"good\\\".\"}]}",
                   NULL),
       "problem: with its errors");
    is(json_string_value(json_object_get(object, "type")),
       "https://example.com/errors/service-unavailable", "problem: its type");
    is_int(json_integer_value(json_object_get(object, "status")), 503, "problem: the status");
    ok(!json_object_get(object, "errors"), "problem: no errors where no field is at fault");
    ok(!strstr(body, "db1") && strstr(body, "ab12"), "problem: the ID, and no line, of the log");
    json_decref(object);

    is(up_problem_body_problem(pool, up_problem_make(pool, UP_NOT_FOUND, "\xFF"), &fault),
       "{\"type\":\"about:blank\",\"title\":\"Not found\",\"status\":503,"
       "\"detail\":\"There is no such resource. (error-log ID ab12)\",\"code\":\"NOT_FOUND\"}",
       "problem: where a text is not UTF-8, the code's sentence has to do");
}

/* What stands in for a text is put into JSON as it is. */
static void test_sentences(void)
{
    int code;

    for (code = 0; code < UP_CODES; code++)
        ok(!strpbrk(up_code_message(code), "\"\\\n") && !strpbrk(up_code_title(code), "\"\\\n"),
           "%s: a sentence without escapes", up_code_name(code));
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_codes();
    test_code_of_status();
    test_make();
    test_details();
    test_body_json();
    test_body_problem();
    test_sentences();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
