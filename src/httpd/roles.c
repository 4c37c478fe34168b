/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/roles.h"

#include "httpd/config.h"
#include "httpd/request_state.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>

/* One Require line. */
typedef struct requirement {
    apr_array_header_t *roles; /* of const char * */
    int negated;
} requirement;

static int is_required(const requirement *required, const char *role)
{
    int i;

    for (i = 0; i < required->roles->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(required->roles, i, const char *), role) == 0)
            return 1;
    }
    return 0;
}

/* A role counts as itself and as what it is an alias of. */
static int has_role(const up_config *config, const requirement *required, const char *role)
{
    int i;

    if (is_required(required, role))
        return 1;
    for (i = 0; i < config->role_aliases->nelts; i++) {
        const up_role_alias *alias = &APR_ARRAY_IDX(config->role_aliases, i, up_role_alias);

        if (strcmp(alias->name, role) == 0 && is_required(required, alias->role))
            return 1;
    }
    return 0;
}

/* The claim is a list of roles, or one. */
static int has_any(const up_config *config, const requirement *required, const json_t *payload)
{
    const json_t *claim = json_object_get(payload, config->roles_claim), *role;
    size_t i;

    if (json_is_string(claim))
        return has_role(config, required, json_string_value(claim));
    json_array_foreach(claim, i, role)
    {
        if (json_is_string(role) && has_role(config, required, json_string_value(role)))
            return 1;
    }
    return 0;
}

static authz_status check(request_rec *r, const char *line, const void *parsed)
{
    const requirement *required = parsed;
    up_request_state *state = up_request_state_of(r);
    const json_t *payload;

    (void)line;
    /* A CORS preflight has no token, and nothing that it must not have. */
    if (!state->claims && r->user && r->method_number == M_OPTIONS && up_is_resource(r))
        return required->negated ? AUTHZ_NEUTRAL : AUTHZ_GRANTED;
    if (!state->claims)
        return AUTHZ_DENIED_NO_USER;
    payload = up_claims_payload(state->claims);
    if (!payload)
        return AUTHZ_GENERAL_ERROR;
    if (has_any(up_config_of(r->server), required, payload))
        return AUTHZ_GRANTED;
    /* Told where no other Require line lets the request in. */
    if (!required->negated)
        state->problem = up_problem_make(r->pool, UP_INSUFFICIENT_ROLE, NULL);
    return AUTHZ_DENIED;
}

static const char *parse(cmd_parms *cmd, const char *line, const void **parsed)
{
    requirement *required = apr_pcalloc(cmd->pool, sizeof(*required));
    const char *role;

    required->roles = apr_array_make(cmd->pool, 4, sizeof(const char *));
    required->negated = strncasecmp(cmd->directive->args, "not ", 4) == 0;
    while (*(role = ap_getword_conf(cmd->pool, &line)))
        APR_ARRAY_PUSH(required->roles, const char *) = role;
    *parsed = required;
    return required->roles->nelts ? NULL : "Require " UP_ROLES_PROVIDER " takes at least one role";
}

const authz_provider up_roles_provider = {check, parse};
