/* SPDX-License-Identifier: Apache-2.0 */
#include "service/token_cache.h"

#include "core/sha256.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 4
#define SETS (UP_TOKEN_CACHE_ENTRIES / WAYS)
/* Locks, each for every so many-th set. */
#define LOCKS 16

typedef struct entry {
    unsigned char digest[UP_SHA256_SIZE];
    const up_token_rules *rules; /* NULL: free */
    apr_int64_t exp, nbf, iat;
    apr_uint64_t asked; /* when, by the lock's count */
    int has_jti;
    char text[UP_TOKEN_CACHE_TEXT]; /* the subject, a NUL, the jti, a NUL */
} entry;

typedef struct lock {
    apr_thread_mutex_t *mutex;
    apr_uint64_t count;
} lock;

struct up_token_cache {
    lock locks[LOCKS];
    entry (*sets)[WAYS];
};

static apr_status_t release(void *sets)
{
    free(sets);
    return APR_SUCCESS;
}

up_token_cache *up_token_cache_create(apr_pool_t *p)
{
    up_token_cache *cache = apr_pcalloc(p, sizeof(*cache));
    int i;

    /* Not from the pool, which would write zeros all over it. */
    cache->sets = calloc(SETS, sizeof(*cache->sets));
    apr_pool_cleanup_register(p, cache->sets, release, apr_pool_cleanup_null);
    if (!cache->sets)
        return NULL;
    for (i = 0; i < LOCKS; i++) {
        if (apr_thread_mutex_create(&cache->locks[i].mutex, APR_THREAD_MUTEX_DEFAULT, p))
            return NULL;
    }
    return cache;
}

static unsigned int number_of(const unsigned char *digest)
{
    return ((unsigned int)digest[0] | (unsigned int)digest[1] << 8) % SETS;
}

static entry *find(entry *set, const unsigned char *digest, const up_token_rules *rules)
{
    int i;

    for (i = 0; i < WAYS; i++) {
        if (set[i].rules == rules && memcmp(set[i].digest, digest, UP_SHA256_SIZE) == 0)
            return &set[i];
    }
    return NULL;
}

/* Free ones were asked for at 0. */
static entry *oldest(entry *set)
{
    entry *found = set;
    int i;

    for (i = 1; i < WAYS; i++) {
        if (set[i].asked < found->asked)
            found = &set[i];
    }
    return found;
}

static up_claims *copy(const entry *found, const char *token, apr_pool_t *p)
{
    up_claims *claims = apr_pcalloc(p, sizeof(*claims));

    claims->pool = p;
    claims->token = token;
    claims->subject = apr_pstrdup(p, found->text);
    if (found->has_jti)
        claims->jti = apr_pstrdup(p, found->text + strlen(found->text) + 1);
    claims->exp = found->exp;
    claims->nbf = found->nbf;
    claims->iat = found->iat;
    return claims;
}

static void fill(entry *place, const unsigned char *digest, const up_token_rules *rules,
                 const up_claims *claims)
{
    apr_size_t len = strlen(claims->subject) + 1;

    memcpy(place->digest, digest, UP_SHA256_SIZE);
    place->rules = rules;
    place->exp = claims->exp;
    place->nbf = claims->nbf;
    place->iat = claims->iat;
    memcpy(place->text, claims->subject, len);
    place->has_jti = claims->jti != NULL;
    if (claims->jti)
        memcpy(place->text + len, claims->jti, strlen(claims->jti) + 1);
}

static up_claims *look_up(up_token_cache *cache, const unsigned char *digest,
                          const up_token_rules *rules, const char *token, apr_pool_t *p)
{
    unsigned int number = number_of(digest);
    lock *lock = &cache->locks[number % LOCKS];
    up_claims *claims = NULL;
    entry *found;

    apr_thread_mutex_lock(lock->mutex);
    found = find(cache->sets[number], digest, rules);
    if (found) {
        found->asked = ++lock->count;
        claims = copy(found, token, p);
    }
    apr_thread_mutex_unlock(lock->mutex);
    return claims;
}

static void remember(up_token_cache *cache, const unsigned char *digest,
                     const up_token_rules *rules, const up_claims *claims)
{
    unsigned int number = number_of(digest);
    lock *lock = &cache->locks[number % LOCKS];
    entry *place;

    if (strlen(claims->subject) + (claims->jti ? strlen(claims->jti) : 0) + 2 > UP_TOKEN_CACHE_TEXT)
        return;
    apr_thread_mutex_lock(lock->mutex);
    place = find(cache->sets[number], digest, rules);
    if (!place)
        place = oldest(cache->sets[number]);
    fill(place, digest, rules, claims);
    place->asked = ++lock->count;
    apr_thread_mutex_unlock(lock->mutex);
}

up_problem *up_token_cache_verify(up_token_cache *cache, up_claims **claims,
                                  const up_token_rules *rules, const char *token, apr_int64_t now,
                                  apr_pool_t *p)
{
    unsigned char digest[UP_SHA256_SIZE];
    apr_size_t len = strnlen(token, UP_TOKEN_MAX + 1);
    up_claims *known = NULL;
    up_problem *problem;
    int digested = len <= UP_TOKEN_MAX && up_sha256(digest, token, len);

    if (digested)
        known = look_up(cache, digest, rules, token, p);
    if (known) {
        problem = up_claims_check_times(known, rules->leeway, now, p);
        *claims = problem ? *claims : known;
        return problem;
    }
    problem = up_token_verify(claims, rules, token, now, p);
    if (!problem && digested)
        remember(cache, digest, rules, *claims);
    return problem;
}
