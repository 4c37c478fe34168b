/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/request_state.h"

#include "httpd/config.h"
#include "httpd/module.h"

#include <http_config.h>

up_request_state *up_request_state_of(request_rec *r)
{
    up_request_state *state = ap_get_module_config(r->request_config, &userprofile_module);

    if (!state) {
        state = apr_pcalloc(r->pool, sizeof(*state));
        ap_set_module_config(r->request_config, &userprofile_module, state);
    }
    return state;
}

void up_forget_refusal(request_rec *r)
{
    up_request_state *state = ap_get_module_config(r->request_config, &userprofile_module);

    if (state)
        state->problem = NULL;
}

int up_is_resource(const request_rec *r)
{
    const up_location *location = r->per_dir_config ? up_location_of(r) : NULL;

    return location && location->path;
}
