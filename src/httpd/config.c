/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/config.h"

#include "httpd/module.h"

#include <apr_strings.h>
#include <http_config.h>
#include <string.h>

#define DEFAULT_JOURNAL "userprofile_journal"
#define DEFAULT_CONNECTIONS 8
#define DEFAULT_SWEEP 10
#define DEFAULT_DIMENSION 8192
#define DEFAULT_METHODS (UP_ALLOW_GET | UP_ALLOW_PATCH | UP_ALLOW_DELETE | UP_ALLOW_AVATAR)

void *up_config_create(apr_pool_t *p, server_rec *s)
{
    (void)s;
    return apr_pcalloc(p, sizeof(up_config));
}

/* What is set in add, else what is set in base. */
#define MERGE(member) merged->member = add->member ? add->member : base->member

/* For what can also be set to nothing. */
#define MERGE_SET(set, member) merged->member = add->set ? add->member : base->member

static void merge_timeouts(up_timeouts *merged, const up_timeouts *base, const up_timeouts *add)
{
    MERGE(pool);
    MERGE(statement);
    MERGE(tokens);
    MERGE(connect);
    MERGE(storage);
}

/* How much and how long: what is the machine's rather than the contract's. */
static void merge_limits(up_config *merged, const up_config *base, const up_config *add)
{
    MERGE(connections);
    MERGE_SET(sweep_set, sweep);
    MERGE(sweep_set);
    merge_timeouts(&merged->timeouts, &base->timeouts, &add->timeouts);
}

static void merge_table(up_config *merged, const up_config *base, const up_config *add)
{
    MERGE(table);
    MERGE(journal);
    MERGE(key);
    MERGE_SET(subject, subject_type);
    MERGE(subject);
    MERGE(fields);
    MERGE(related);
    MERGE_SET(state_set, state);
    MERGE(state_set);
    MERGE(conditions);
    MERGE_SET(grace_set, grace);
    MERGE(grace_set);
}

static void merge_tokens(up_config *merged, const up_config *base, const up_config *add)
{
    MERGE(keys);
    MERGE(claims);
    MERGE_SET(leeway_set, leeway);
    MERGE(leeway_set);
    MERGE(roles_claim);
    MERGE(role_aliases);
    /* A virtual host with tables has no Redis from the main server. */
    MERGE_SET(tokens_set, redis);
    MERGE_SET(tokens_set, token_tables);
    MERGE_SET(tokens_set, fail_open);
    MERGE(tokens_set);
    MERGE_SET(cookie_set, cookie);
    MERGE(cookie_set);
}

static void merge_answers(up_config *merged, const up_config *base, const up_config *add)
{
    /* A virtual host with a folder has no Cloudinary from the main server. */
    MERGE_SET(avatars_set, cloudinary);
    MERGE_SET(avatars_set, folder);
    MERGE(avatars_set);
    MERGE(avatar_most.width);
    MERGE(avatar_most.height);
    MERGE(methods);
    MERGE(unknown_user);
    MERGE(unknown_fields);
    MERGE(errors);
    MERGE(problem_base);
    MERGE_SET(envelope_set, envelope);
    MERGE(envelope_set);
}

static apr_array_header_t *merge_lists(apr_pool_t *p, apr_array_header_t *base,
                                       apr_array_header_t *add)
{
    return base && add ? apr_array_append(p, base, add) : base ? base : add;
}

void *up_config_merge(apr_pool_t *p, void *basev, void *addv)
{
    static const up_config nothing;
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
    merge_limits(merged, base, add);
    if (add->table)
        base = &nothing;
    merged->exposed = merge_lists(p, base->exposed, add->exposed);
    merge_table(merged, base, add);
    merge_tokens(merged, base, add);
    merge_answers(merged, base, add);
    return merged;
}

up_config *up_config_copy(apr_pool_t *p, const up_config *config)
{
    return apr_pmemdup(p, config, sizeof(*config));
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

    MERGE_SET(path_set, path);
    MERGE(path_set);
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
    model->grace = config->grace;
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

static int has_token_store(const up_config *config)
{
    return config->redis || config->token_tables;
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
    if (uses_jti(config) && !has_token_store(config))
        return "UserProfileTokenStore is missing: a token's jti is required, so name where "
               "revoked ones are found, e.g. UserProfileTokenStore redis://127.0.0.1/0";
    return NULL;
}

/* What an account is found by and its state is read from: which directive named
 * the column, or NULL. */
static const char *user_of_column(const up_model *model, const char *column)
{
    const struct {
        const char *column, *directive;
    } users[] = {{model->key, "UserProfileKeyColumn"},
                 {model->subject, "UserProfileSubjectColumn"},
                 {model->state.deleted, "UserProfileStateColumns"},
                 {model->state.active, "UserProfileStateColumns"},
                 {model->state.updated, "UserProfileStateColumns"},
                 {model->state.since, "UserProfileStateColumns"},
                 {model->state.version, "UserProfileStateColumns"}};
    size_t j;
    int i;

    for (j = 0; j < sizeof(users) / sizeof(users[0]); j++) {
        if (users[j].column && strcmp(users[j].column, column) == 0)
            return users[j].directive;
    }
    for (i = 0; i < model->conditions->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(model->conditions, i, up_constant).column, column) == 0)
            return "UserProfileCondition";
    }
    return NULL;
}

/* With these in a client's hands an account could become another one. */
static const char *misfit_field(apr_pool_t *p, const up_model *model)
{
    int i;

    for (i = 0; i < model->fields->nelts; i++) {
        const up_field *field = up_model_field(model, i);
        const char *user =
            field->writable || field == model->avatar ? user_of_column(model, field->column) : NULL;

        if (user)
            return apr_psprintf(p,
                                "UserProfileField %s: %s uses the column %s, so a client can't "
                                "write it; take writable away",
                                field->name, user, field->column);
    }
    return NULL;
}

/* methods is what was said of them, 0 for nothing. */
static const char *misfit_avatar(const up_config *config, unsigned int methods)
{
    const up_model *model = config->model;
    int storage = config->cloudinary || config->folder;

    if (model->avatar && !storage)
        return "UserProfileAvatarStorage is missing: a UserProfileField is of type avatar, so "
               "name where pictures go, e.g. UserProfileAvatarStorage file:///var/lib/avatars?url="
               "/avatars";
    if (storage && !model->avatar)
        return "UserProfileAvatarStorage: no UserProfileField is of type avatar; add one for the "
               "column that holds the picture's URL, or say UserProfileAvatarStorage none";
    if (methods & UP_ALLOW_AVATAR && !model->avatar)
        return "UserProfileMethods avatar: no UserProfileField is of type avatar; add one for the "
               "column that holds the picture's URL, or leave avatar out";
    return NULL;
}

static const char *misfit_grace(const up_config *config)
{
    const char *error = NULL;

    if (!config->grace)
        return NULL;
    if (!config->state.deleted)
        error = "UserProfileGracePeriod: UserProfileStateColumns names no column deleted=, so that "
                "nothing says when an account was deleted; name it, or say UserProfileGracePeriod "
                "none";
    else if (!config->model->deletable)
        error = "UserProfileGracePeriod: UserProfileMethods does not enable DELETE; enable it, or "
                "say UserProfileGracePeriod none";
    else if (!config->sweep)
        error =
            "UserProfileGracePeriod: accounts are erased by the sweeper, which UserProfileSweep "
            "0 switches off; give it seconds, or say UserProfileGracePeriod none here";
    return error;
}

static const char *misfit(apr_pool_t *p, const up_config *config, unsigned int methods)
{
    const char *error = misfit_field(p, config->model);

    if (!error)
        error = misfit_avatar(config, methods);
    if (!error && config->methods & UP_ALLOW_DELETE && !has_token_store(config))
        error = "UserProfileTokenStore is missing: DELETE ends all sessions, so name where refresh "
                "tokens are, e.g. UserProfileTokenStore redis://127.0.0.1/0, or leave DELETE out "
                "of UserProfileMethods";
    return error ? error : misfit_grace(config);
}

/* In copies: virtual hosts that inherit an adapter may have limits of their own. */
static void finish_adapters(apr_pool_t *p, up_config *config)
{
    if (config->redis) {
        config->redis = apr_pmemdup(p, config->redis, sizeof(*config->redis));
        config->redis->timeout = config->timeouts.tokens;
    }
    if (config->cloudinary) {
        config->cloudinary = apr_pmemdup(p, config->cloudinary, sizeof(*config->cloudinary));
        config->cloudinary->agent = "mod_userprofile/" UP_VERSION;
        config->cloudinary->limits.connect = config->timeouts.connect;
        config->cloudinary->limits.total = config->timeouts.storage;
    }
}

static void finish_rules(apr_pool_t *p, up_config *config)
{
    config->rules.keys = config->keys;
    config->rules.claims = or_empty(p, config->claims, sizeof(up_claim_rule));
    config->rules.leeway = config->leeway;
    config->role_aliases = or_empty(p, config->role_aliases, sizeof(up_role_alias));
    if (!config->roles_claim)
        config->roles_claim = "roles";
}

const char *up_config_finish(apr_pool_t *p, up_config *config)
{
    const unsigned int methods = config->methods;
    const char *error;

    /* What the main server says may be for its virtual hosts only. */
    if (!config->table && !config->used)
        return NULL;
    error = missing(config);
    if (error)
        return error;
    default_timeouts(&config->timeouts);
    if (!methods)
        config->methods = (up_methods)DEFAULT_METHODS;
    if (!config->connections)
        config->connections = DEFAULT_CONNECTIONS;
    if (!config->sweep_set)
        config->sweep = DEFAULT_SWEEP;
    if (!config->avatar_most.width)
        config->avatar_most = (up_dimensions){DEFAULT_DIMENSION, DEFAULT_DIMENSION};
    config->model = make_model(p, config);
    if (!config->model->avatar)
        config->methods = (up_methods)(config->methods & ~UP_ALLOW_AVATAR);
    finish_rules(p, config);
    finish_adapters(p, config);
    return misfit(p, config, methods);
}

/* Where effects go: what two contracts must have in common to do each other's. */
static const char *effects_of(apr_pool_t *p, const up_config *config)
{
    const up_redis_settings *redis = config->redis;
    const char *tokens =
        redis ? apr_pstrcat(p, up_redis_display(p, redis), " ", redis->blacklist_prefix, " ",
                            redis->refresh_prefix, " ",
                            redis->index_prefix ? redis->index_prefix : "", NULL)
        : config->token_tables ? up_sql_tokens_display(p, config->token_tables)
                               : "none";
    const char *avatars = config->cloudinary ? up_cloudinary_display(p, config->cloudinary)
                          : config->folder   ? up_folder_display(p, config->folder)
                                             : "none";

    return apr_pstrcat(p, tokens, " ", avatars, NULL);
}

static int has_journal(const up_config *config)
{
    return config->model && (config->model->avatar || config->model->deletable);
}

const char *up_config_clash(apr_pool_t *p, const up_config *a, const up_config *b)
{
    if (a == b || !has_journal(a) || !has_journal(b) || strcmp(a->database, b->database) != 0 ||
        strcmp(a->model->journal, b->model->journal) != 0 ||
        strcmp(a->model->table, b->model->table) != 0 ||
        strcmp(effects_of(p, a), effects_of(p, b)) == 0)
        return NULL;
    return apr_psprintf(p,
                        "UserProfileJournal %s is that of another server with the same "
                        "UserProfileTable %s, but another UserProfileTokenStore or "
                        "UserProfileAvatarStorage; name another journal",
                        b->model->journal, b->model->table);
}

up_config *up_config_of(server_rec *s)
{
    return ap_get_module_config(s->module_config, &userprofile_module);
}

const up_location *up_location_of(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &userprofile_module);
}
