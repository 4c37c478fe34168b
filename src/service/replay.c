/* SPDX-License-Identifier: Apache-2.0 */
#include "service/replay.h"

#include <apr_strings.h>

#define LONGEST_BACK_OFF 3600

/* The storage may still be at what a process that is gone has sent it: the asset
 * is destroyed now, and once more when that must be over. */
static up_problem *undo_upload(const up_replay *replay, apr_pool_t *p, const up_entry *entry)
{
    int doomed = 0;
    apr_int64_t left = replay->settled - entry->age;
    up_problem *problem = up_avatar_discard(replay->service, p, entry->asset, &doomed);

    if (problem || !doomed)
        return problem;
    if (left > 0)
        return replay->journal->postpone(replay->journal, p, entry, (int)left);
    return replay->service->users->withdraw(replay->service->users, p, entry->asset);
}

/* No row: the user is gone, or the entry is no longer this asset's. */
static up_problem *publish(const up_replay *replay, apr_pool_t *p, const up_entry *entry)
{
    const up_service *service = replay->service;
    const up_swap swap = {.asset = entry->asset, .key = entry->user_key};
    const up_row *row;
    int doomed = 0;
    up_problem *problem = service->users->publish(service->users, p, &swap, 0, &row);

    if (problem || row)
        return problem;
    problem = replay->journal->strike(replay->journal, p, entry);
    if (!problem && entry->asset)
        problem = up_avatar_discard(replay->service, p, entry->asset, &doomed);
    if (!problem && doomed)
        problem = service->users->withdraw(service->users, p, entry->asset);
    return problem;
}

static up_problem *destroy(const up_replay *replay, apr_pool_t *p, const up_entry *entry)
{
    up_avatar_storage *avatars = replay->service->avatars;
    const char *asset = avatars->asset_of(avatars, p, entry->url);
    up_problem *problem = asset ? avatars->destroy(avatars, p, asset) : NULL;

    return problem ? problem : replay->journal->strike(replay->journal, p, entry);
}

static up_problem *revoke_token(const up_replay *replay, apr_pool_t *p, const up_entry *entry)
{
    up_token_store *tokens = replay->service->tokens;
    apr_int64_t ttl = entry->expires - replay->now;
    up_problem *problem = ttl > 0 ? tokens->revoke(tokens, p, entry->jti, ttl) : NULL;

    return problem ? problem : replay->journal->strike(replay->journal, p, entry);
}

/* Whoever has opened a new account with the subject since is left alone. */
static up_problem *revoke_sessions(const up_replay *replay, apr_pool_t *p, const up_entry *entry)
{
    up_token_store *tokens = replay->service->tokens;
    up_problem *problem =
        entry->superseded ? NULL : tokens->revoke_sessions(tokens, p, entry->subject);

    return problem ? problem : replay->journal->strike(replay->journal, p, entry);
}

/* A contract that has lost its storage or token store can't do what it promised. */
static up_problem *unable(apr_pool_t *p)
{
    return up_problem_logged(p, UP_INTERNAL_ERROR,
                             "the configuration no longer names the storage or token store that "
                             "this entry needs");
}

static up_problem *replay_entry(const up_replay *replay, apr_pool_t *p, const up_entry *entry)
{
    const int needs_tokens =
        entry->effect == UP_EFFECT_REVOKE_TOKEN || entry->effect == UP_EFFECT_REVOKE_SESSIONS;

    if (needs_tokens ? !replay->service->tokens : !replay->service->avatars)
        return unable(p);
    switch (entry->effect) {
    case UP_EFFECT_UPLOAD:
        return undo_upload(replay, p, entry);
    case UP_EFFECT_PUBLISH:
        return publish(replay, p, entry);
    case UP_EFFECT_DESTROY:
        return destroy(replay, p, entry);
    case UP_EFFECT_REVOKE_TOKEN:
        return revoke_token(replay, p, entry);
    default:
        return revoke_sessions(replay, p, entry);
    }
}

static int back_off(const up_replay *replay, const up_entry *entry)
{
    int seconds = replay->interval, i;

    for (i = 1; i < entry->attempts && seconds < LONGEST_BACK_OFF; i++)
        seconds *= 2;
    return seconds < LONGEST_BACK_OFF ? seconds : LONGEST_BACK_OFF;
}

static void put_off(const up_replay *replay, apr_pool_t *p, const up_entry *entry,
                    const up_problem *why)
{
    int seconds = back_off(replay, entry);
    up_problem *problem = replay->journal->postpone(replay->journal, p, entry, seconds);

    replay->tell(replay->baton, entry->age > UP_REPLAY_OLD,
                 apr_psprintf(p,
                              "journal entry %" APR_INT64_T_FMT ", %" APR_INT64_T_FMT
                              " s old, attempt %d: %s; next in %d s",
                              entry->id, entry->age, entry->attempts,
                              why->log ? why->log : why->message, seconds));
    if (problem && problem->log)
        replay->tell(replay->baton, 0, problem->log);
}

up_problem *up_replay_sweep(const up_replay *replay, int *done)
{
    up_problem *problem = NULL;
    const up_entry *entry = NULL;
    apr_pool_t *p;
    int i;

    *done = 0;
    apr_pool_create(&p, replay->pool);
    for (i = 0; i < replay->most && !replay->is_stopping(replay->baton); i++) {
        up_problem *failure;

        apr_pool_clear(p);
        problem = replay->journal->claim(replay->journal, p, &entry);
        if (problem || !entry)
            break;
        failure = replay_entry(replay, p, entry);
        if (failure)
            put_off(replay, p, entry, failure);
        else
            ++*done;
    }
    /* The problem lives in p, which goes with the sweep's pool. */
    return problem;
}
