/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/config.h"

#include "httpd/module.h"

#include <apr_strings.h>
#include <http_config.h>
#include <string.h>

#define DEFAULT_JOURNAL "userprofile_journal"
#define DEFAULT_CONNECTIONS 8
#define DEFAULT_SWEEP 10
#define DEFAULT_METHODS (UP_ALLOW_GET | UP_ALLOW_PATCH | UP_ALLOW_DELETE | UP_ALLOW_AVATAR)

void *up_config_create(apr_pool_t *p, server_rec *s)
{
    (void)s;
    return apr_pcalloc(p, sizeof(up_config));
}

/* What is set in add, else what is set in base. */
#define MERGE(member) merged->member = add->member ? add->member : base->member

static void merge_timeouts(up_timeouts *merged, const up_timeouts *base, const up_timeouts *add)
{
    MERGE(pool);
    MERGE(statement);
    MERGE(tokens);
    MERGE(connect);
    MERGE(storage);
}

static void merge_table(up_config *merged, const up_config *base, const up_config *add)
{
    MERGE(table);
    MERGE(journal);
    MERGE(key);
    MERGE(subject);
    merged->subject_type = add->subject ? add->subject_type : base->subject_type;
    MERGE(fields);
    MERGE(related);
    merged->state = add->state_set ? add->state : base->state;
    MERGE(state_set);
    MERGE(conditions);
}

void *up_config_merge(apr_pool_t *p, void *basev, void *addv)
{
    const up_config *base = basev, *add = addv;
    up_config *merged;

    if (!add->said) {
        /* The same contract, and so the same connections. */
        ((up_config *)basev)->used |= add->used;
        return basev;
    }
    merged = apr_pcalloc(p, sizeof(*merged));
    merged->said = 1;
    merged->used = add->used || base->used;
    merge_table(merged, base, add);
    MERGE(keys);
    MERGE(claims);
    merged->leeway = add->leeway_set ? add->leeway : base->leeway;
    MERGE(leeway_set);
    MERGE(roles_claim);
    MERGE(role_aliases);
    MERGE(redis);
    MERGE(cookie);
    /* A virtual host with a folder has no Cloudinary from the main server. */
    merged->cloudinary = add->cloudinary || add->folder ? add->cloudinary : base->cloudinary;
    merged->folder = add->cloudinary || add->folder ? add->folder : base->folder;
    MERGE(methods);
    MERGE(unknown_user);
    MERGE(unknown_fields);
    MERGE(errors);
    MERGE(problem_base);
    MERGE(envelope);
    MERGE(connections);
    merged->sweep = add->sweep_set ? add->sweep : base->sweep;
    MERGE(sweep_set);
    merge_timeouts(&merged->timeouts, &base->timeouts, &add->timeouts);
    return merged;
}

void *up_location_create(apr_pool_t *p, char *path)
{
    (void)path;
    return apr_pcalloc(p, sizeof(up_location));
}

void *up_location_merge(apr_pool_t *p, void *basev, void *addv)
{
    const up_location *base = basev, *add = addv;
    up_location *merged = apr_pcalloc(p, sizeof(*merged));

    MERGE(path);
    return merged;
}

static void default_time(apr_interval_time_t *value, int milliseconds)
{
    if (!*value)
        *value = apr_time_from_msec(milliseconds);
}

/* Contract, section 5. */
static void default_timeouts(up_timeouts *timeouts)
{
    default_time(&timeouts->pool, 2000);
    default_time(&timeouts->statement, 3000);
    default_time(&timeouts->tokens, 500);
    default_time(&timeouts->connect, 3000);
    default_time(&timeouts->storage, 10000);
}

static apr_array_header_t *or_empty(apr_pool_t *p, apr_array_header_t *array, int size)
{
    return array ? array : apr_array_make(p, 1, size);
}

static up_model *make_model(apr_pool_t *p, const up_config *config)
{
    up_model *model = apr_pcalloc(p, sizeof(*model));
    int i;

    model->table = config->table;
    model->journal = config->journal ? config->journal : DEFAULT_JOURNAL;
    model->key = config->key;
    model->subject = config->subject;
    model->subject_type = config->subject_type;
    model->fields = config->fields;
    model->state = config->state;
    model->conditions = or_empty(p, config->conditions, sizeof(up_constant));
    model->related = or_empty(p, config->related, sizeof(up_related));
    model->deletable = (config->methods & UP_ALLOW_DELETE) != 0;
    model->refuse_unknown = config->unknown_fields == UP_UNKNOWN_REFUSED;
    for (i = 0; i < model->fields->nelts; i++) {
        if (up_model_field(model, i)->type == UP_AVATAR)
            model->avatar = up_model_field(model, i);
    }
    return model;
}

static int uses_jti(const up_config *config)
{
    int i;

    for (i = 0; config->claims && i < config->claims->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(config->claims, i, up_claim_rule).name, "jti") == 0)
            return 1;
    }
    return 0;
}

static const char *missing(const up_config *config)
{
    if (!config->table)
        return "UserProfileTable is missing: name the users' table, e.g. UserProfileTable users";
    if (!config->key)
        return "UserProfileKeyColumn is missing: name the primary key of the users' table, e.g. "
               "UserProfileKeyColumn id";
    if (!config->subject)
        return "UserProfileSubjectColumn is missing: name the column that a token's sub is looked "
               "up in, e.g. UserProfileSubjectColumn email";
    if (!config->fields)
        return "UserProfileField is missing: name at least one field, e.g. UserProfileField id "
               "integer";
    if (!config->keys)
        return "UserProfileTokenKey is missing: name a key that tokens are verified with, e.g. "
               "UserProfileTokenKey HS256 /etc/apache2/userprofile.key";
    if (uses_jti(config) && !config->redis)
        return "UserProfileTokenStore is missing: a token's jti is required, so name where "
               "revoked ones are found, e.g. UserProfileTokenStore redis://127.0.0.1/0";
    return NULL;
}

static const char *misfit(const up_config *config)
{
    const up_model *model = config->model;
    int storage = config->cloudinary || config->folder;

    if (model->avatar && !storage)
        return "UserProfileAvatarStorage is missing: a UserProfileField is of type avatar, so "
               "name where pictures go, e.g. UserProfileAvatarStorage file:///var/lib/avatars?url="
               "/avatars";
    if (storage && !model->avatar)
        return "UserProfileAvatarStorage: no UserProfileField is of type avatar; add one for the "
               "column that holds the picture's URL";
    if (config->methods & UP_ALLOW_DELETE && !config->redis)
        return "UserProfileTokenStore is missing: DELETE ends all sessions, so name where refresh "
               "tokens are, e.g. UserProfileTokenStore redis://127.0.0.1/0, or leave DELETE out "
               "of UserProfileMethods";
    return NULL;
}

static void finish_adapters(up_config *config)
{
    if (config->redis)
        config->redis->timeout = config->timeouts.tokens;
    if (config->cloudinary) {
        config->cloudinary->agent = "mod_userprofile/" UP_VERSION;
        config->cloudinary->limits.connect = config->timeouts.connect;
        config->cloudinary->limits.total = config->timeouts.storage;
    }
}

const char *up_config_finish(apr_pool_t *p, up_config *config)
{
    const char *error;

    if (!config->said && !config->used)
        return NULL;
    error = missing(config);
    if (error)
        return error;
    default_timeouts(&config->timeouts);
    if (!config->methods)
        config->methods = (up_methods)DEFAULT_METHODS;
    if (!config->connections)
        config->connections = DEFAULT_CONNECTIONS;
    if (!config->sweep_set)
        config->sweep = DEFAULT_SWEEP;
    config->model = make_model(p, config);
    if (!config->model->avatar)
        config->methods = (up_methods)(config->methods & ~UP_ALLOW_AVATAR);
    config->rules.keys = config->keys;
    config->rules.claims = or_empty(p, config->claims, sizeof(up_claim_rule));
    config->role_aliases = or_empty(p, config->role_aliases, sizeof(up_role_alias));
    if (!config->roles_claim)
        config->roles_claim = "roles";
    config->rules.leeway = config->leeway;
    finish_adapters(config);
    return misfit(config);
}

up_config *up_config_of(server_rec *s)
{
    return ap_get_module_config(s->module_config, &userprofile_module);
}

const up_location *up_location_of(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &userprofile_module);
}
