/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/token_sign.h"

#include <apr_strings.h>
#include <jwt.h>
#include <stdlib.h>

static json_t *list_of(const apr_array_header_t *texts)
{
    json_t *list = json_array();
    int i;

    for (i = 0; list && i < texts->nelts; i++) {
        if (json_array_append_new(list, json_string(APR_ARRAY_IDX(texts, i, const char *))) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *value_of(const up_token_claim *claim)
{
    if (claim->json)
        return json_incref(claim->json);
    if (claim->is_list || claim->texts->nelts > 1)
        return list_of(claim->texts);
    return json_string(APR_ARRAY_IDX(claim->texts, 0, const char *));
}

/* jansson takes no text that is not UTF-8. */
static const char *set_claim(json_t *claims, const char *name, json_t *value, apr_pool_t *p)
{
    return json_object_set_new(claims, name, value) == 0
               ? NULL
               : apr_psprintf(p, "The claim %s is not UTF-8.", name);
}

static const char *set_claims(json_t *claims, const up_token_options *options, apr_int64_t now,
                              apr_pool_t *p)
{
    const char *wrong = set_claim(claims, "sub", json_string(options->operand), p);
    int i;

    if (!wrong)
        wrong = set_claim(claims, "iat", json_integer(now), p);
    if (!wrong)
        wrong = set_claim(claims, "exp", json_integer(now + options->lifetime), p);
    for (i = 0; i < options->claims->nelts && !wrong; i++) {
        const up_token_claim *claim = &APR_ARRAY_IDX(options->claims, i, up_token_claim);

        wrong = set_claim(claims, claim->name, value_of(claim), p);
    }
    return wrong;
}

static const char *encode(const char **token, json_t *claims, const up_signing_key *key,
                          apr_pool_t *p)
{
    char *payload = json_dumps(claims, JSON_COMPACT), *text = NULL;
    jwt_t *jwt = NULL;

    if (payload && jwt_new(&jwt) == 0 && jwt_add_grants_json(jwt, payload) == 0 &&
        jwt_set_alg(jwt, jwt_str_alg(up_alg_name(key->key.alg)), key->data, key->len) == 0 &&
        (!key->key.kid || jwt_add_header(jwt, "kid", key->key.kid) == 0))
        text = jwt_encode_str(jwt);
    *token = text ? apr_pstrdup(p, text) : NULL;
    free(text);
    free(payload);
    jwt_free(jwt);
    return *token ? NULL : "libjwt does not sign with this key.";
}

/* Nobody is helped by a token that the module refuses. */
static const char *check_token(const char *token, const up_key *key, apr_int64_t now, apr_pool_t *p)
{
    up_token_rules rules = {.keys = apr_array_make(p, 1, sizeof(up_key)),
                            .claims = apr_array_make(p, 1, sizeof(up_claim_rule))};
    up_claims *claims;
    up_problem *problem;

    APR_ARRAY_PUSH(rules.keys, up_key) = *key;
    problem = up_token_verify(&claims, &rules, token, now, p);
    return problem ? apr_pstrcat(p, "The module would not take this token. ", problem->log, NULL)
                   : NULL;
}

const char *up_token_sign(const char **token, const up_token_options *options,
                          const up_signing_key *key, apr_int64_t now, apr_pool_t *p)
{
    json_t *claims = json_object();
    const char *wrong = set_claims(claims, options, now, p);

    if (!wrong)
        wrong = encode(token, claims, key, p);
    json_decref(claims);
    return wrong ? wrong : check_token(*token, &key->key, now, p);
}
