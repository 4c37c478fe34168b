/* SPDX-License-Identifier: Apache-2.0 */

/* From the header Authorization to a caller, by httpd's hook (src/httpd/bearer.c) and all that it
 * asks: only a token with a valid signature passes, which is looked at here by other code.
 *
 * The input: a byte for how it is to be read, a byte for the server, then the header; or the two
 * objects of a token, with a NUL between, which is then signed here, and so gets to its claims. */
#include "fuzz.h"

#include "httpd/bearer.h"
#include "httpd/config.h"
#include "httpd/hold.h"
#include "httpd/request_state.h"
#include "httpd/respond.h"
#include "token_maker.h"

#include <http_core.h>
#include <strings.h>

#define NOW 1700000000

enum how { RAW, SIGNED_HS256, SIGNED_HS512, SIGNED_ES256, TAMPERED, BY_PUBLIC_KEY, HOWS };
enum server { NAMED_KEYS = 1, ELSEWHERE = 2, LEEWAY = 4, CLAIM = 8 };

static const char secret[] = "a secret of this test, long enough";

/* --- What the hook asks of httpd and of the rest of the module --- */

static up_config config;
static up_request_state state;
static int is_resource;
static up_problem *answer;

module AP_MODULE_DECLARE_DATA userprofile_module;

up_config *up_config_of(server_rec *s)
{
    (void)s;
    return &config;
}

up_request_state *up_request_state_of(request_rec *r)
{
    (void)r;
    return &state;
}

int up_is_resource(const request_rec *r)
{
    (void)r;
    return is_resource;
}

int up_respond_problem(request_rec *r, up_problem *problem)
{
    (void)r;
    must(!answer);
    answer = problem;
    return up_code_status(problem->code);
}

void up_respond_challenge(request_rec *r, int token_was_sent)
{
    (void)r;
    (void)token_was_sent;
}

void up_hold_signals(up_hold *hold)
{
    hold->held = 0;
}

void up_let_signals(const up_hold *hold)
{
    (void)hold;
}

const char *ap_auth_type(request_rec *r)
{
    (void)r;
    return "bearer";
}

static up_problem *is_revoked(up_token_store *self, apr_pool_t *p, const char *jti, int *revoked)
{
    (void)self;
    *revoked = strcmp(jti, "revoked") == 0;
    return strcmp(jti, "down") == 0 ? up_problem_logged(p, UP_SERVICE_UNAVAILABLE, "down") : NULL;
}

static up_problem *read_user(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                             up_account *account, const up_row **row)
{
    (void)self;
    (void)p;
    *account = caller->subject[0] == 'x' ? UP_ACCOUNT_MISSING : UP_ACCOUNT_ACTIVE;
    *row = NULL;
    return NULL;
}

/* --- The keys --- */

static maker keys[3];
static maker rsa; /* with its public half only a token is signed, and that is no signature */
static const char *public_key;

static void make_keys(void)
{
    apr_pool_t *p = fuzz_lasting_pool();

    if (public_key)
        return;
    keys[0] = maker_of_secret(UP_HS256, secret);
    keys[1] = maker_new(p, UP_HS512);
    keys[2] = maker_new(p, UP_ES256);
    rsa = maker_new(p, UP_RS256);
    public_key = (const char *)rsa.key.data;
}

static void set_server(apr_pool_t *p, int bits)
{
    static up_token_store tokens = {.is_revoked = is_revoked};
    static up_user_store users = {.read = read_user};
    static up_service service = {.tokens = &tokens, .users = &users};
    static up_model model = {.subject_type = UP_STRING};
    up_key *key;
    int i;

    service.verified = up_token_cache_create(p);
    must(service.verified != NULL);
    config = (up_config){.service = &service, .model = &model};
    config.rules = maker_rules(p, keys, 3);
    key = apr_array_push(config.rules.keys);
    *key = (up_key){UP_RS256, NULL, (const unsigned char *)public_key, (int)strlen(public_key)};
    for (i = 0; bits & NAMED_KEYS && i < 3; i++)
        APR_ARRAY_IDX(config.rules.keys, i, up_key).kid = i == 0 ? "one" : i == 1 ? "two" : "ec";
    config.rules.leeway = bits & LEEWAY ? 300 : 0;
    if (bits & CLAIM) {
        up_claim_rule *rule = apr_array_push(config.rules.claims);

        *rule = (up_claim_rule){"type", apr_array_make(p, 1, sizeof(const char *))};
        APR_ARRAY_PUSH(rule->values, const char *) = "access";
    }
    is_resource = !(bits & ELSEWHERE);
    memset(&state, 0, sizeof(state));
    answer = NULL;
}

/* --- A second opinion --- */

/* The object in a part, which is whole base64url. */
static json_t *object_of(apr_pool_t *p, const char *part, size_t len)
{
    char *base64 = apr_pstrmemdup(p, part, len), *padded, *c;
    unsigned char *out = apr_palloc(p, len + 8);
    int size, pad = (int)((4 - len % 4) % 4);

    for (c = base64; *c; c++)
        if (*c == '-' || *c == '_')
            *c = *c == '-' ? '+' : '/';
    padded = apr_pstrcat(p, base64, &"=="[pad > 2 ? 0 : 2 - pad], NULL);
    size = EVP_DecodeBlock(out, (unsigned char *)padded, (int)strlen(padded));
    must(size >= pad);
    return json_loadb((char *)out, (size_t)(size - pad), JSON_REJECT_DUPLICATES, NULL);
}

static void check_signature(apr_pool_t *p, enum how how, const char *alg, const char *token,
                            const char *signature)
{
    const char *input = apr_pstrmemdup(p, token, (apr_size_t)(signature - 1 - token));
    const maker *key = strcmp(alg, "HS256") == 0 ? &keys[0] : &keys[1];

    if (strcmp(alg, "ES256") == 0) {
        must(how == SIGNED_ES256);
        return;
    }
    must(strcmp(alg, "HS256") == 0 || strcmp(alg, "HS512") == 0);
    must(strcmp(token, maker_sign_input(p, key, key->key.alg, input)) == 0);
}

static void check_kid(const char *alg, const json_t *header)
{
    const char *kid = json_string_value(json_object_get(header, "kid"));

    must(!kid || strcmp(kid, strcmp(alg, "HS256") == 0   ? "one"
                             : strcmp(alg, "HS512") == 0 ? "two"
                                                         : "ec") == 0);
}

static void check_accepted(apr_pool_t *p, enum how how, const request_rec *r, const char *token,
                           int bits)
{
    const char *payload = strchr(token, '.') + 1, *signature = strchr(payload, '.') + 1, *alg, *sub;
    json_t *header = object_of(p, token, (size_t)(payload - 1 - token));
    json_t *claims = object_of(p, payload, (size_t)(signature - 1 - payload));
    json_int_t exp = json_integer_value(json_object_get(claims, "exp"));

    must(how != TAMPERED && how != BY_PUBLIC_KEY);
    alg = json_string_value(json_object_get(header, "alg"));
    sub = json_string_value(json_object_get(claims, "sub"));
    must(alg && sub && *sub);
    check_signature(p, how, alg, token, signature);
    if (bits & NAMED_KEYS)
        check_kid(alg, header);
    must(!json_object_get(header, "crit") && !json_object_get(header, "b64"));
    must(strcmp(r->user, sub) == 0 && fuzz_is_printable(sub) && strlen(sub) <= UP_SUBJECT_MAX);
    must(state.claims && strcmp(state.caller.subject, sub) == 0);
    must(json_is_integer(json_object_get(claims, "exp")));
    must(exp > NOW - config.rules.leeway && state.caller.exp > NOW - 301);
    must(json_integer_value(json_object_get(claims, "nbf")) <= NOW + config.rules.leeway);
    must(!state.caller.jti || strcmp(state.caller.jti, "revoked") != 0);
    must(!state.caller.jti || strcmp(state.caller.jti, "down") != 0);
    json_decref(header);
    json_decref(claims);
}

static void check_refused(const request_rec *r, int status, const char *header)
{
    const char *last = strrchr(header, '.');

    must(answer && up_code_status(answer->code) == status && !r->user);
    must(status == 401 || status == 503);
    if (!answer->log)
        return;
    /* The log has no part of the token that could be used. */
    must(fuzz_is_printable(answer->log));
    must(!last || strlen(last) < 20 || !strstr(answer->log, last));
}

/* --- The header --- */

static const char *make_token(apr_pool_t *p, enum how how, const uint8_t *data, size_t size)
{
    int flip = 0;
    char *header, *payload, *token;

    if (how == TAMPERED && size > 1) {
        flip = data[0] << 8 | data[1];
        data += 2;
        size -= 2;
    }
    header = fuzz_text(p, &data, &size, '\0');
    payload = fuzz_text(p, &data, &size, '\0');
    if (how == BY_PUBLIC_KEY) {
        maker confused = maker_of_secret(UP_HS256, public_key);

        return maker_token(p, &confused, header, payload);
    }
    token = apr_pstrdup(p, maker_token(p,
                                       &keys[how == SIGNED_HS512   ? 1
                                             : how == SIGNED_ES256 ? 2
                                                                   : 0],
                                       header, payload));
    /* Another character of base64url, or one that is none. */
    if (how == TAMPERED) {
        char *at = token + flip % (int)strlen(token);

        *at = *at == 'A' ? 'B' : 'A';
    }
    return token;
}

static const char *make_header(apr_pool_t *p, enum how how, const uint8_t *data, size_t size)
{
    return how == RAW ? fuzz_text(p, &data, &size, '\0')
                      : apr_pstrcat(p, "Bearer ", make_token(p, how, data, size), NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    server_rec server = {0};
    request_rec r = {.pool = p, .server = &server, .method_number = M_GET};
    enum how how;
    const char *header, *token;
    int status;

    if (size < 2)
        return 0;
    make_keys();
    set_server(p, data[1]);
    how = (enum how)(data[0] % HOWS);
    header = make_header(p, how, data + 2, size - 2);
    r.headers_in = apr_table_make(p, 1);
    r.err_headers_out = apr_table_make(p, 1);
    r.request_time = apr_time_from_sec(NOW);
    apr_table_set(r.headers_in, "Authorization", header);
    status = up_bearer_check(&r);
    if (status == OK) {
        must(strncasecmp(header, "bearer ", 7) == 0);
        token = header + 7 + strspn(header + 7, " ");
        must(!answer);
        check_accepted(p, how, &r, token, data[1]);
        /* Now it is known. */
        memset(&state, 0, sizeof(state));
        must(up_bearer_check(&r) == OK && !answer);
        check_accepted(p, how, &r, token, data[1]);
    } else {
        check_refused(&r, status, header);
    }
    return fuzz_done();
}
