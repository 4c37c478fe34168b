/* SPDX-License-Identifier: Apache-2.0 */

/* userprofile-token: signs, decodes and verifies bearer tokens as the module beside it has
 * them. docs/userprofile-token.1 is its manual. */
#include "core/version.h"
#include "tools/token_sign.h"

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum exit_status {
    STATUS_GOOD = 0,
    STATUS_TOKEN = 1,   /* it is not valid, or would not be */
    STATUS_OPTIONS = 2, /* the command line is wrong */
    STATUS_KEY = 3,     /* a key cannot be used */
    STATUS_IO = 4       /* reading or writing failed */
} exit_status;

static exit_status fail(exit_status status, const char *sentence)
{
    fprintf(stderr, "userprofile-token: %s\n", sentence);
    return status;
}

static exit_status write_line(const char *text)
{
    return puts(text) >= 0 && fflush(stdout) == 0
               ? STATUS_GOOD
               : fail(STATUS_IO, "What standard output is does not take it.");
}

static void warn_of_weakness(const up_key *key)
{
    const char *weakness = up_key_weakness(key);

    if (weakness)
        fprintf(stderr, "userprofile-token: warning: %s\n", weakness);
}

/* --- Signing --- */

static exit_status sign(const up_token_options *options, apr_int64_t now, apr_pool_t *p)
{
    up_signing_key key;
    const char *token;
    const char *wrong =
        up_token_read_signing_key(&key, APR_ARRAY_IDX(options->keys, 0, const char *), p);

    if (wrong)
        return fail(STATUS_KEY, wrong);
    warn_of_weakness(&key.key);
    wrong = up_token_sign(&token, options, &key, now, p);
    return wrong ? fail(STATUS_TOKEN, wrong) : write_line(token);
}

/* --- Decoding and verifying --- */

/* One byte more than is looked at shows that it is too long; blanks around it are not of it. */
static const char *read_token(const char **token, apr_pool_t *p)
{
    char *text = apr_palloc(p, UP_TOKEN_MAX + 64);
    apr_size_t size = 0;
    apr_file_t *file;
    apr_status_t got = apr_file_open_stdin(&file, p);
    char why[120];

    if (got == APR_SUCCESS)
        got = apr_file_read_full(file, text, UP_TOKEN_MAX + 63, &size);
    if (got != APR_SUCCESS && got != APR_EOF)
        return apr_psprintf(p, "Standard input can't be read: %s.",
                            apr_strerror(got, why, sizeof(why)));
    if (memchr(text, '\0', size))
        return "Standard input has a NUL, which no token has.";
    while (size > 0 && strchr(" \t\r\n", text[size - 1]))
        size--;
    text[size] = '\0';
    *token = text + strspn(text, " \t\r\n");
    return NULL;
}

static exit_status show(const char *token, apr_pool_t *p)
{
    json_t *header, *claims, *both;
    const char *wrong = up_token_show(&header, &claims, token, p);
    exit_status written = STATUS_GOOD;
    char *text;

    if (header || claims) {
        both = json_pack("{s:O*, s:O*}", "header", header, "claims", claims);
        /* In ASCII: what a stranger has written into it is not for the terminal to obey. */
        text = json_dumps(both, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        written = text ? write_line(text) : fail(STATUS_IO, "There is no memory to show it.");
        free(text);
        json_decref(both);
    }
    return wrong ? fail(STATUS_TOKEN, wrong) : written;
}

static const char *read_keys(apr_array_header_t **keys, const up_token_options *options,
                             apr_pool_t *p)
{
    const char *wrong = NULL;
    int i;

    *keys = apr_array_make(p, options->keys->nelts, sizeof(up_key));
    for (i = 0; i < options->keys->nelts && !wrong; i++) {
        up_key *key = apr_array_push(*keys);

        wrong = up_token_read_key(key, APR_ARRAY_IDX(options->keys, i, const char *), p);
        if (!wrong)
            warn_of_weakness(key);
    }
    return wrong;
}

static apr_array_header_t *rules_of(const apr_array_header_t *claims, apr_pool_t *p)
{
    apr_array_header_t *rules = apr_array_make(p, claims->nelts, sizeof(up_claim_rule));
    int i;

    for (i = 0; i < claims->nelts; i++) {
        const up_token_claim *claim = &APR_ARRAY_IDX(claims, i, up_token_claim);

        APR_ARRAY_PUSH(rules, up_claim_rule) = (up_claim_rule){claim->name, claim->texts};
    }
    return rules;
}

static void say_valid(const up_claims *claims, apr_int64_t now)
{
    if (claims->exp > now)
        fprintf(stderr, "userprofile-token: The token is valid for %" APR_INT64_T_FMT " s.\n",
                claims->exp - now);
    else
        fprintf(
            stderr,
            "userprofile-token: The token is valid by the leeway: it has expired %" APR_INT64_T_FMT
            " s ago.\n",
            now - claims->exp);
}

static exit_status verify(const up_token_options *options, const char *token, apr_int64_t now,
                          apr_pool_t *p)
{
    up_token_rules rules = {.claims = rules_of(options->claims, p), .leeway = options->leeway};
    const char *wrong = read_keys(&rules.keys, options, p);
    up_problem *problem;
    up_claims *claims;
    exit_status shown;

    if (wrong)
        return fail(STATUS_KEY, wrong);
    shown = show(token, p);
    if (shown)
        return shown;
    problem = up_token_verify(&claims, &rules, token, now, p);
    if (problem)
        return fail(STATUS_TOKEN, problem->log);
    say_valid(claims, now);
    return STATUS_GOOD;
}

/* How often standard input is to be read; it can be once. */
static int count_stdin(const up_token_options *options, apr_pool_t *p)
{
    int count = options->mode != UP_TOKEN_SIGN && !options->operand, i;

    for (i = 0; i < options->keys->nelts; i++)
        count += up_token_key_is_stdin(APR_ARRAY_IDX(options->keys, i, const char *), p);
    return count;
}

static exit_status run(const up_token_options *options, apr_pool_t *p)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    const char *token = options->operand, *wrong;

    if (options->mode == UP_TOKEN_HELP)
        return write_line(up_token_usage);
    if (options->mode == UP_TOKEN_VERSION)
        return write_line("userprofile-token " UP_VERSION);
    if (count_stdin(options, p) > 1)
        return fail(STATUS_OPTIONS, "Standard input can be one thing only, a key or the token.");
    if (options->mode == UP_TOKEN_SIGN)
        return sign(options, now, p);
    wrong = token ? NULL : read_token(&token, p);
    if (wrong)
        return fail(STATUS_IO, wrong);
    return options->mode == UP_TOKEN_DECODE ? show(token, p) : verify(options, token, now, p);
}

int main(int argc, char *argv[])
{
    up_token_options options;
    apr_pool_t *p;
    const char *wrong;
    exit_status status;

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&p, NULL) != APR_SUCCESS)
        return fail(STATUS_IO, "APR does not start.");
    wrong = up_token_read_options(&options, argc, argv, p);
    status = wrong ? fail(STATUS_OPTIONS, wrong) : run(&options, p);
    if (wrong)
        fputs("userprofile-token --help says how it is used.\n", stderr);
    apr_terminate();
    return status;
}
