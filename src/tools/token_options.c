/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/token_options.h"

#include <apr_strings.h>
#include <apr_uuid.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What the shipped configurations have. */
#define DEFAULT_KEY "HS256 /etc/apache2/userprofile.key"
#define DEFAULT_TYPE "access"
#define DEFAULT_LIFETIME (15 * 60)

#define LIFETIME_MAX (3650 * 24 * 60 * 60)
#define LEEWAY_MAX 300

const char up_token_usage[] =
    "userprofile-token [-k KEY] [-i ISSUER] [-a AUDIENCE] [-t TYPE] [-j ID] [-r ROLE]\n"
    "                  [-c NAME=TEXT] [-C NAME=JSON] [-l LIFETIME] SUBJECT\n"
    "userprofile-token -d [TOKEN]\n"
    "userprofile-token -v [-k KEY] [-i ISSUER] [-a AUDIENCE] [-t TYPE] [-j ID] [-r ROLE]\n"
    "                  [-c NAME=TEXT] [-L SECONDS] [TOKEN]\n"
    "\n"
    "Signs a bearer token for a subject, decodes one, or verifies one as mod_userprofile does.\n"
    "\n"
    "  -k, --key KEY              as UserProfileTokenKey takes it: 'ALGORITHM FILE [kid=ID]',\n"
    "                             FILE being - for standard input; to sign by RS* or ES* it\n"
    "                             is the private key (default: '" DEFAULT_KEY "')\n"
    "  -i, --issuer ISSUER        the claim iss\n"
    "  -a, --audience AUDIENCE    the claim aud\n"
    "  -t, --type TYPE            the claim type (signing: " DEFAULT_TYPE " by default), or none\n"
    "  -j, --jti ID               the claim jti (signing: a random one by default), or none\n"
    "  -r, --role ROLE            one of the list in the claim roles\n"
    "  -c, --claim NAME=TEXT      any claim that is a text\n"
    "  -C, --json-claim NAME=JSON any claim\n"
    "  -l, --lifetime LIFETIME    a number with its unit, d, h, min or s (default: 15min)\n"
    "  -L, --leeway SECONDS       how far clocks may differ, 0 to 300 (default: 0)\n"
    "  -d, --decode               print the header and the claims as JSON\n"
    "  -v, --verify               likewise, and say whether the token is valid, or why not\n"
    "  -h, --help                 print this\n"
    "      --version              print the version\n"
    "\n"
    "A claim that is given several times becomes a list; to verify, one of its values must be\n"
    "there. Without TOKEN it is read from standard input. Exit status: 0; 1 where the token is\n"
    "not valid, or would not be; 2 for a wrong command line; 3 for a key that cannot be used;\n"
    "4 where reading or writing fails.\n";

/* Those without a letter. */
enum { OPTION_VERSION = 256 };

static const struct option longs[] = {{"key", required_argument, NULL, 'k'},
                                      {"issuer", required_argument, NULL, 'i'},
                                      {"audience", required_argument, NULL, 'a'},
                                      {"type", required_argument, NULL, 't'},
                                      {"jti", required_argument, NULL, 'j'},
                                      {"role", required_argument, NULL, 'r'},
                                      {"claim", required_argument, NULL, 'c'},
                                      {"json-claim", required_argument, NULL, 'C'},
                                      {"lifetime", required_argument, NULL, 'l'},
                                      {"leeway", required_argument, NULL, 'L'},
                                      {"decode", no_argument, NULL, 'd'},
                                      {"verify", no_argument, NULL, 'v'},
                                      {"help", no_argument, NULL, 'h'},
                                      {"version", no_argument, NULL, OPTION_VERSION},
                                      {NULL, 0, NULL, 0}};

/* What has been said, before it is known whether it goes together. */
typedef struct reading {
    up_token_options *options;
    apr_pool_t *p;
    int without_jti, without_type; /* "none" */
    int lifetime, leeway;          /* -1: not said */
} reading;

/* --- Claims --- */

static up_token_claim *find_claim(const reading *now, const char *name)
{
    int i;

    for (i = 0; i < now->options->claims->nelts; i++) {
        up_token_claim *claim = &APR_ARRAY_IDX(now->options->claims, i, up_token_claim);

        if (strcmp(claim->name, name) == 0)
            return claim;
    }
    return NULL;
}

static up_token_claim *new_claim(const reading *now, const char *name)
{
    up_token_claim *claim = apr_array_push(now->options->claims);

    *claim = (up_token_claim){.name = name};
    return claim;
}

static const char *add_text(const reading *now, const char *name, const char *text, int is_list)
{
    up_token_claim *claim = find_claim(now, name);

    if (!*text)
        return apr_psprintf(now->p, "The claim %s is empty.", name);
    if (claim && claim->json)
        return apr_psprintf(now->p, "The claim %s is given twice.", name);
    if (!claim) {
        claim = new_claim(now, name);
        claim->texts = apr_array_make(now->p, 2, sizeof(const char *));
        claim->is_list = is_list;
    }
    APR_ARRAY_PUSH(claim->texts, const char *) = text;
    return NULL;
}

/* "NAME=…" */
static const char *split_claim(const reading *now, const char *argument, const char **name,
                               const char **value)
{
    static const char *const ours[] = {"sub", "exp", "iat", "nbf"};
    const char *equals = strchr(argument, '=');
    size_t i;

    if (!equals || equals == argument)
        return apr_psprintf(now->p, "A claim is NAME=VALUE, not '%s'.", argument);
    *name = apr_pstrmemdup(now->p, argument, (apr_size_t)(equals - argument));
    *value = equals + 1;
    for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strcmp(*name, ours[i]) == 0)
            return apr_psprintf(now->p,
                                "The claim %s cannot be given as one: sub is SUBJECT, and the "
                                "times follow from the clock and --lifetime.",
                                *name);
    }
    return NULL;
}

static const char *add_claim(const reading *now, const char *argument)
{
    const char *name = "", *text = "", *wrong = split_claim(now, argument, &name, &text);

    return wrong ? wrong : add_text(now, name, text, 0);
}

static apr_status_t release(void *value)
{
    json_decref(value);
    return APR_SUCCESS;
}

static const char *add_json(const reading *now, const char *argument)
{
    const char *name = "", *text = "", *wrong = split_claim(now, argument, &name, &text);
    json_error_t error;
    json_t *value;

    if (wrong)
        return wrong;
    if (find_claim(now, name))
        return apr_psprintf(now->p, "The claim %s is given twice.", name);
    value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (!value)
        return apr_psprintf(now->p, "The claim %s is not JSON: %s.", name, error.text);
    apr_pool_cleanup_register(now->p, value, release, apr_pool_cleanup_null);
    new_claim(now, name)->json = value;
    return NULL;
}

static const char *add_or_none(const reading *now, const char *name, const char *text, int *without)
{
    *without = strcasecmp(text, "none") == 0;
    return *without ? NULL : add_text(now, name, text, 0);
}

/* --- Numbers --- */

static const char *read_lifetime(reading *now, const char *text)
{
    static const struct {
        const char *name;
        int seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"h", 60 * 60}, {"d", 24 * 60 * 60}};
    size_t digits = strspn(text, "0123456789"), i;
    long long number = strtoll(text, NULL, 10);

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (digits > 0 && strcmp(text + digits, units[i].name) == 0 && number > 0 &&
            number <= LIFETIME_MAX / units[i].seconds) {
            now->lifetime = (int)number * units[i].seconds;
            return NULL;
        }
    }
    return apr_psprintf(now->p,
                        "A lifetime is a number with its unit, d, h, min or s, from 1s to 3650d, "
                        "not '%s'.",
                        text);
}

static const char *read_leeway(reading *now, const char *text)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < 0 || number > LEEWAY_MAX)
        return apr_psprintf(now->p, "A leeway is a whole number of seconds from 0 to %d, not '%s'.",
                            LEEWAY_MAX, text);
    now->leeway = (int)number;
    return NULL;
}

/* --- The whole --- */

static const char *set_mode(const reading *now, up_token_mode mode)
{
    /* --verify decodes as well. */
    if (mode > now->options->mode)
        now->options->mode = mode;
    return NULL;
}

static const char *read_option(reading *now, int letter, const char *argument)
{
    switch (letter) {
    case 'k':
        APR_ARRAY_PUSH(now->options->keys, const char *) = argument;
        return NULL;
    case 'i':
        return add_text(now, "iss", argument, 0);
    case 'a':
        return add_text(now, "aud", argument, 0);
    case 't':
        return add_or_none(now, "type", argument, &now->without_type);
    case 'j':
        return add_or_none(now, "jti", argument, &now->without_jti);
    case 'r':
        return add_text(now, "roles", argument, 1);
    case 'c':
        return add_claim(now, argument);
    case 'C':
        return add_json(now, argument);
    case 'l':
        return read_lifetime(now, argument);
    case 'L':
        return read_leeway(now, argument);
    case 'd':
        return set_mode(now, UP_TOKEN_DECODE);
    case 'v':
        return set_mode(now, UP_TOKEN_VERIFY);
    case 'h':
        return set_mode(now, UP_TOKEN_HELP);
    case OPTION_VERSION:
        return set_mode(now, UP_TOKEN_VERSION);
    default:
        return "There is no such option.";
    }
}

/* An option that would have no effect is a mistake. */
static const char *check_mode(const reading *now, int operands)
{
    const up_token_options *options = now->options;
    int i;

    if (options->mode == UP_TOKEN_SIGN && operands != 1)
        return operands ? "There is more than one SUBJECT." : "There is no SUBJECT to sign for.";
    if (operands > 1)
        return "There is more than one TOKEN.";
    if (options->mode == UP_TOKEN_SIGN && options->keys->nelts > 1)
        return "A token is signed with one --key.";
    if (options->mode != UP_TOKEN_SIGN && now->lifetime >= 0)
        return "--lifetime is for signing.";
    if (options->mode != UP_TOKEN_VERIFY && now->leeway >= 0)
        return "--leeway is for --verify.";
    if (options->mode == UP_TOKEN_DECODE && options->keys->nelts > 0)
        return "--decode needs no key; --verify does.";
    if (options->mode == UP_TOKEN_DECODE && options->claims->nelts > 0)
        return "--decode asks for no claims; --verify does.";
    for (i = 0; options->mode == UP_TOKEN_VERIFY && i < options->claims->nelts; i++) {
        if (APR_ARRAY_IDX(options->claims, i, up_token_claim).json)
            return "--json-claim is for signing; the module compares texts: --claim.";
    }
    return NULL;
}

static void set_defaults(const reading *now)
{
    up_token_options *options = now->options;
    char *jti = apr_palloc(now->p, APR_UUID_FORMATTED_LENGTH + 1);
    apr_uuid_t uuid;

    if (options->keys->nelts == 0)
        APR_ARRAY_PUSH(options->keys, const char *) = DEFAULT_KEY;
    options->lifetime = now->lifetime < 0 ? DEFAULT_LIFETIME : now->lifetime;
    options->leeway = now->leeway < 0 ? 0 : now->leeway;
    if (options->mode != UP_TOKEN_SIGN)
        return;
    apr_uuid_get(&uuid);
    apr_uuid_format(jti, &uuid);
    if (!now->without_type && !find_claim(now, "type"))
        add_text(now, "type", DEFAULT_TYPE, 0);
    if (!now->without_jti && !find_claim(now, "jti"))
        add_text(now, "jti", jti, 0);
}

/* Of a long option optopt has nothing, or its letter where it was given an argument. */
static const char *explain_unknown(const char *last, apr_pool_t *p)
{
    if (optopt == 0)
        return apr_psprintf(p, "There is no option %s.", last);
    if (optopt >= OPTION_VERSION || strchr("dvh", optopt))
        return apr_psprintf(p, "The option takes no argument: %s.", last);
    return apr_psprintf(p, "There is no option -%c.", optopt);
}

const char *up_token_read_options(up_token_options *options, int argc, char *const argv[],
                                  apr_pool_t *p)
{
    reading now = {.options = options, .p = p, .lifetime = -1, .leeway = -1};
    const char *wrong = NULL;
    int letter;

    *options = (up_token_options){.mode = UP_TOKEN_SIGN,
                                  .keys = apr_array_make(p, 1, sizeof(const char *)),
                                  .claims = apr_array_make(p, 4, sizeof(up_token_claim))};
    opterr = 0;
    while (!wrong &&
           (letter = getopt_long(argc, argv, ":k:i:a:t:j:r:c:C:l:L:dvh", longs, NULL)) >= 0) {
        if (letter == '?')
            wrong = explain_unknown(argv[optind - 1], p);
        else if (letter == ':')
            wrong = apr_psprintf(p, "The option %s needs an argument.", argv[optind - 1]);
        else
            wrong = read_option(&now, letter, optarg);
    }
    if (wrong || options->mode >= UP_TOKEN_HELP)
        return wrong;
    wrong = check_mode(&now, argc - optind);
    if (wrong)
        return wrong;
    options->operand = argv[optind];
    set_defaults(&now);
    return NULL;
}
