/* SPDX-License-Identifier: Apache-2.0 */

/** Ports that keep a small world: one user, a storage, a journal, sessions. Each call of a request
 *  meets the fate that it is given, and another request may come between. */
#ifndef UP_SERVICE_WORLD_H
#define UP_SERVICE_WORLD_H

#include "model_maker.h"

#include "service/replay.h"

#include <apr_strings.h>
#include <setjmp.h>
#include <stdlib.h>

#define NOW 1000
#define ASSETS_MAX 16
#define ENTRIES_MAX 32
#define CALLS_MAX 13
#define SETTLED 60 /* seconds after which the storage has done what it was sent, or never will */

/* What becomes of a call. */
typedef enum fate { WELL, BEFORE, AFTER, LATE, DIES, DIES_AFTER, DIES_LATE, FATES } fate;

typedef enum request_kind { SET, REMOVE, DELETE, ERASE, KINDS, SWEEP = KINDS } request_kind;

typedef struct entry {
    apr_int64_t id;
    up_effect effect;
    const char *asset, *url;
    int attempts;  /* 0: its writer alone is at it */
    int postponed; /* until the next sweep */
} entry;

typedef struct world {
    int exists, deleted;
    const char *avatar; /* the asset that the row points at */
    int avatar_is_foreign;
    const char *assets[ASSETS_MAX];
    int asset_count;
    entry journal[ENTRIES_MAX];
    int entry_count;
    apr_int64_t next_id;
    int revoked, sessions_ended;
    const char *late; /* an asset that the storage has yet to store */
    apr_int64_t age;  /* of all entries, in seconds */

    /* The request under way. */
    int call; /* its number, from 0 */
    fate fates[CALLS_MAX];
    int between_at; /* before this call another request comes; -1: none */
    request_kind between;
    int is_between; /* that one: nothing befalls it */
    jmp_buf death;
    int published_wrongly; /* the row was made to point at what is not there */
} world;

static apr_pool_t *pool;
static world w;

static up_problem *run_request(request_kind kind);
static void sweep(void);

/* --- The world --- */

static int find_asset(const char *asset)
{
    int i;

    for (i = 0; i < w.asset_count; i++) {
        if (strcmp(w.assets[i], asset) == 0)
            return i;
    }
    return -1;
}

static void store_asset(const char *asset)
{
    if (find_asset(asset) < 0)
        w.assets[w.asset_count++] = asset;
}

static void destroy_asset(const char *asset)
{
    int i = find_asset(asset);

    if (i >= 0)
        w.assets[i] = w.assets[--w.asset_count];
}

static apr_int64_t write_entry(up_effect effect, const char *asset, const char *url)
{
    entry *entry = &w.journal[w.entry_count++];

    *entry = (struct entry){.id = ++w.next_id, .effect = effect, .asset = asset, .url = url};
    return entry->id;
}

static void strike(int i)
{
    w.entry_count--;
    memmove(&w.journal[i], &w.journal[i + 1], (w.entry_count - i) * sizeof(entry));
}

static void strike_id(apr_int64_t id)
{
    int i;

    for (i = w.entry_count - 1; i >= 0; i--) {
        if (w.journal[i].id == id)
            strike(i);
    }
}

static int same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Strikes the entries of this effect and, where any is 0, this asset. @return how many. */
static int strike_effect(up_effect effect, const char *asset, int any)
{
    int i, count = 0;

    for (i = w.entry_count - 1; i >= 0; i--) {
        if (w.journal[i].effect == effect && (any || same(w.journal[i].asset, asset))) {
            strike(i);
            count++;
        }
    }
    return count;
}

/* --- What befalls a call --- */

static void come_between(void)
{
    int call = w.call;

    w.is_between = 1;
    if (w.between == SWEEP)
        sweep();
    else
        run_request(w.between);
    w.is_between = 0;
    w.call = call;
}

static fate begin(void)
{
    fate fate;

    if (w.is_between)
        return WELL;
    if (w.call == w.between_at)
        come_between();
    fate = w.call < CALLS_MAX ? w.fates[w.call] : WELL;
    w.call++;
    if (fate == DIES)
        longjmp(w.death, 1);
    return fate;
}

static up_problem *end(fate fate, up_code code)
{
    if (fate == DIES_AFTER || fate == DIES_LATE)
        longjmp(w.death, 1);
    return fate == WELL ? NULL : up_problem_logged(pool, code, "fault");
}

static int is_active(void)
{
    return w.exists && !w.deleted;
}

/* --- The ports --- */

static const up_row *row_now(void)
{
    const char **values = apr_pcalloc(pool, 2 * sizeof(*values));
    up_row *row = apr_pcalloc(pool, sizeof(*row));

    if (w.avatar)
        values[1] = apr_pstrcat(pool, w.avatar_is_foreign ? "https://" : "ours/", w.avatar, NULL);
    row->values = values;
    return row;
}

static up_problem *world_read(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                              up_account *account, const up_row **row)
{
    fate fate = begin();

    (void)self, (void)p, (void)caller;
    *account = !w.exists ? UP_ACCOUNT_MISSING : w.deleted ? UP_ACCOUNT_GONE : UP_ACCOUNT_ACTIVE;
    *row = is_active() ? row_now() : NULL;
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static up_problem *world_announce(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                                  const up_tags *match, const char *asset, int *announced)
{
    fate fate = begin();

    (void)self, (void)p, (void)caller, (void)match;
    *announced = fate != BEFORE && is_active();
    if (*announced)
        write_entry(UP_EFFECT_UPLOAD, asset, NULL);
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static entry *find_entry(up_effect effect, const char *asset)
{
    int i;

    for (i = 0; i < w.entry_count; i++) {
        if (w.journal[i].effect == effect && same(w.journal[i].asset, asset))
            return &w.journal[i];
    }
    return NULL;
}

/* Is it announced, and has nobody begun to undo that? */
static int is_announced(const char *asset)
{
    const entry *upload = find_entry(UP_EFFECT_UPLOAD, asset);

    return upload && upload->attempts == 0;
}

static const char *url_now(void)
{
    return w.avatar ? row_now()->values[1] : NULL;
}

static up_problem *world_swap(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                              const up_patch *patch, const up_tags *match, const char *asset,
                              const char *url, up_swap **swap)
{
    fate fate = begin();

    (void)self, (void)caller, (void)patch, (void)match;
    *swap = NULL;
    if (fate != BEFORE && is_active() && (!asset || is_announced(asset))) {
        *swap = apr_pcalloc(p, sizeof(**swap));
        (*swap)->asset = asset;
        (*swap)->key = "7";
        (*swap)->old_url = url_now();
        strike_effect(UP_EFFECT_PUBLISH, NULL, 1);
        (*swap)->entries.publish = write_entry(UP_EFFECT_PUBLISH, asset, url);
        if (w.avatar)
            (*swap)->entries.destroy = write_entry(UP_EFFECT_DESTROY, NULL, url_now());
        w.avatar = NULL;
    }
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static up_problem *world_publish(up_user_store *self, apr_pool_t *p, const up_swap *swap,
                                 int old_destroyed, const up_row **row)
{
    fate fate = begin();

    (void)self, (void)p;
    *row = NULL;
    if (fate != BEFORE) {
        if (w.exists && strike_effect(UP_EFFECT_PUBLISH, swap->asset, 0)) {
            if (swap->asset) {
                strike_effect(UP_EFFECT_UPLOAD, swap->asset, 0);
                w.published_wrongly |= find_asset(swap->asset) < 0;
            }
            w.avatar = swap->asset;
            w.avatar_is_foreign = 0;
            *row = row_now();
        }
        if (old_destroyed)
            strike_id(swap->entries.destroy);
    }
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static up_problem *world_withdraw(up_user_store *self, apr_pool_t *p, const char *asset)
{
    fate fate = begin();

    (void)self, (void)p;
    if (fate != BEFORE)
        strike_effect(UP_EFFECT_UPLOAD, asset, 0);
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static up_problem *world_doom(up_user_store *self, apr_pool_t *p, const char *asset, int *doomed)
{
    fate fate = begin();
    entry *upload = find_entry(UP_EFFECT_UPLOAD, asset);

    (void)self, (void)p;
    *doomed = fate != BEFORE && upload && !find_entry(UP_EFFECT_PUBLISH, asset);
    if (*doomed && upload->attempts == 0)
        upload->attempts = 1;
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static up_problem *world_remove(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                                const up_tags *match, int hard, up_farewell **farewell)
{
    fate fate = begin();

    (void)self, (void)caller, (void)match;
    *farewell = NULL;
    if (fate != BEFORE && is_active()) {
        *farewell = apr_pcalloc(p, sizeof(**farewell));
        (*farewell)->entries.revoke_token = write_entry(UP_EFFECT_REVOKE_TOKEN, NULL, NULL);
        (*farewell)->entries.revoke_sessions = write_entry(UP_EFFECT_REVOKE_SESSIONS, NULL, NULL);
        if (hard) {
            (*farewell)->old_url = url_now();
            if (w.avatar)
                (*farewell)->entries.destroy = write_entry(UP_EFFECT_DESTROY, NULL, url_now());
            strike_effect(UP_EFFECT_PUBLISH, NULL, 1);
            w.avatar = NULL;
            w.exists = 0;
        }
        w.deleted = 1;
    }
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static up_problem *world_settle(up_user_store *self, apr_pool_t *p, const up_entries *done)
{
    fate fate = begin();

    (void)self, (void)p;
    if (fate != BEFORE) {
        strike_id(done->destroy);
        strike_id(done->revoke_token);
        strike_id(done->revoke_sessions);
    }
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static const char *world_new_asset(up_avatar_storage *self, apr_pool_t *p, up_image type)
{
    (void)self, (void)type;
    return apr_psprintf(p, "asset%d", (int)++w.next_id);
}

/* One that fails may be there or not: what it says is true, or careful. */
static up_problem *world_upload(up_avatar_storage *self, apr_pool_t *p, const char *asset,
                                const up_picture *picture, const char **url, up_upload_end *end_of)
{
    fate fate = begin();

    (void)self, (void)picture;
    *url = apr_pstrcat(p, "ours/", asset, NULL);
    *end_of = fate == AFTER || fate == LATE ? UP_UPLOAD_UNKNOWN : UP_UPLOAD_FAILED;
    if (fate == LATE || fate == DIES_LATE)
        w.late = asset;
    else if (fate != BEFORE)
        store_asset(asset);
    return end(fate, UP_STORAGE_UPLOAD_ERROR);
}

static up_problem *world_destroy(up_avatar_storage *self, apr_pool_t *p, const char *asset)
{
    fate fate = begin();

    (void)self, (void)p;
    if (fate != BEFORE)
        destroy_asset(asset);
    return end(fate, UP_STORAGE_UPLOAD_ERROR);
}

static const char *world_asset_of(up_avatar_storage *self, apr_pool_t *p, const char *url)
{
    (void)self;
    return url && strncmp(url, "ours/", 5) == 0 ? apr_pstrdup(p, url + 5) : NULL;
}

static up_problem *world_revoke(up_token_store *self, apr_pool_t *p, const char *jti,
                                apr_int64_t ttl)
{
    fate fate = begin();

    (void)self, (void)p, (void)jti, (void)ttl;
    w.revoked |= fate != BEFORE;
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static up_problem *world_revoke_sessions(up_token_store *self, apr_pool_t *p, const char *subject)
{
    fate fate = begin();

    (void)self, (void)p, (void)subject;
    w.sessions_ended |= fate != BEFORE;
    return end(fate, UP_SERVICE_UNAVAILABLE);
}

static int is_free(const entry *entry)
{
    return !entry->postponed &&
           !(entry->effect == UP_EFFECT_UPLOAD && find_entry(UP_EFFECT_PUBLISH, entry->asset));
}

/* As the adapters do it: an upload that is to be published is the publish entry's matter, and old
 * assets go first. Every lease is over. */
static up_problem *world_claim(up_journal *self, apr_pool_t *p, const up_entry **out)
{
    up_entry *claimed;
    entry *next = NULL;
    int i;

    (void)self;
    *out = NULL;
    for (i = 0; i < w.entry_count; i++) {
        entry *entry = &w.journal[i];

        if (is_free(entry) &&
            (!next || (next->effect == UP_EFFECT_PUBLISH && entry->effect != UP_EFFECT_PUBLISH)))
            next = entry;
    }
    if (!next)
        return NULL;
    claimed = apr_pcalloc(p, sizeof(*claimed));
    *claimed = (up_entry){.id = next->id,
                          .effect = next->effect,
                          .asset = next->asset,
                          .url = next->url,
                          .user_key = "7",
                          .subject = "ada@x",
                          .jti = "jti1",
                          .expires = NOW + 60,
                          .attempts = ++next->attempts,
                          .age = w.age};
    *out = claimed;
    return NULL;
}

static up_problem *world_postpone(up_journal *self, apr_pool_t *p, const up_entry *entry,
                                  int seconds)
{
    int i;

    (void)self, (void)p, (void)seconds;
    for (i = 0; i < w.entry_count; i++)
        w.journal[i].postponed |= w.journal[i].id == entry->id;
    return NULL;
}

static up_problem *world_strike(up_journal *self, apr_pool_t *p, const up_entry *entry)
{
    (void)self, (void)p;
    strike_id(entry->id);
    return NULL;
}

/* --- Requests --- */

static up_user_store users = {.read = world_read,
                              .announce = world_announce,
                              .swap = world_swap,
                              .publish = world_publish,
                              .doom = world_doom,
                              .withdraw = world_withdraw,
                              .remove = world_remove,
                              .settle = world_settle};
static up_avatar_storage avatars = {.new_asset = world_new_asset,
                                    .upload = world_upload,
                                    .destroy = world_destroy,
                                    .asset_of = world_asset_of};
static up_token_store tokens = {.revoke = world_revoke, .revoke_sessions = world_revoke_sessions};
static up_journal journal = {
    .claim = world_claim, .postpone = world_postpone, .strike = world_strike};
static up_service service = {.users = &users,
                             .tokens = &tokens,
                             .avatars = &avatars,
                             .unknown_user = UP_INVALID_CREDENTIALS};

static void ignore(void *baton, const char *line)
{
    (void)baton, (void)line;
}

static void tell(void *baton, int loud, const char *line)
{
    (void)baton, (void)loud, (void)line;
}

static up_problem *run_request(request_kind kind)
{
    static const up_caller caller = {"ada@x", "jti1", NOW + 60, -1};
    static const up_picture picture = {.size = 1, .type = UP_IMAGE_PNG};
    up_request request = {
        .pool = pool, .caller = &caller, .now = NOW, .warn = ignore, .tell = tell};
    const up_row *row;

    switch (kind) {
    case SET:
        return up_avatar_set(&service, &request, up_patch_create(pool, service.model), &picture,
                             &row);
    case REMOVE:
        return up_avatar_remove(&service, &request, &row);
    default:
        return up_account_delete(&service, &request, kind == ERASE);
    }
}

static int never(void *baton)
{
    (void)baton;
    return 0;
}

static void sweep(void)
{
    up_replay replay = {.service = &service,
                        .journal = &journal,
                        .interval = 1,
                        .most = 100,
                        .settled = SETTLED,
                        .pool = pool,
                        .now = NOW,
                        .is_stopping = never,
                        .tell = tell};
    int i, done;

    for (i = 0; i < w.entry_count; i++)
        w.journal[i].postponed = 0;
    up_replay_sweep(&replay, &done);
}

#endif
