/* SPDX-License-Identifier: Apache-2.0 */

/** Makes a contract for the tests out of a list of fields. */
#ifndef UP_MODEL_MAKER_H
#define UP_MODEL_MAKER_H

#include "core/model.h"

#include <string.h>

/** A model in p of these fields, which are copied; a column is called as its field. */
__attribute__((unused)) static up_model *model_of(apr_pool_t *p, const up_field *fields, int count)
{
    up_model *model = apr_pcalloc(p, sizeof(*model));
    int i;

    model->table = "users";
    model->journal = "userprofile_journal";
    model->key = "id";
    model->subject = "email";
    model->subject_type = UP_EMAIL;
    model->fields = apr_array_make(p, count, sizeof(up_field));
    model->conditions = apr_array_make(p, 1, sizeof(up_constant));
    model->related = apr_array_make(p, 1, sizeof(up_related));
    for (i = 0; i < count; i++) {
        APR_ARRAY_PUSH(model->fields, up_field) = fields[i];
        if (!fields[i].column)
            up_model_field(model, i)->column = fields[i].name;
    }
    return model;
}

#endif
