/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/redis_answers.h"

#include "core/sha256.h"

#include <apr_general.h>
#include <apr_hash.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

/* Else processes would not see one another's locks. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a count changes in one step");

#define COUNTS (sizeof(((up_redis_changes *)NULL)->counts) / sizeof(apr_uint64_t))

/** Where a fingerprint can be: the answers of one line of the processor's cache. */
#define WAYS 4
#define SETS (UP_REDIS_ANSWERS_MAX / WAYS)

typedef struct answer {
    _Atomic apr_uint64_t words[2];
} answer;

/** What a fingerprint is of, before the key. */
typedef struct circumstances {
    unsigned char secret[32];
    apr_uint64_t era, count, age;
} circumstances;

struct up_redis_answers {
    unsigned char secret[32];
    up_redis_changes *changes;
    answer (*sets)[WAYS];
};

static _Atomic apr_uint64_t *count_of(up_redis_changes *changes, const char *key, apr_size_t len)
{
    apr_ssize_t size = (apr_ssize_t)len;

    return &changes->counts[apr_hashfunc_default(key, &size) % COUNTS];
}

void up_redis_changes_note(up_redis_changes *changes, const char *key, apr_size_t len)
{
    (*count_of(changes, key, len))++;
}

static apr_status_t unmap(void *data)
{
    return munmap(data, sizeof(answer[SETS][WAYS])) == 0 ? APR_SUCCESS : APR_EGENERAL;
}

up_redis_answers *up_redis_answers_create(apr_pool_t *p, up_redis_changes *changes)
{
    up_redis_answers *answers = apr_pcalloc(p, sizeof(*answers));
    void *memory = mmap(NULL, sizeof(answer[SETS][WAYS]), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    apr_pool_cleanup_register(p, memory, unmap, apr_pool_cleanup_null);
    answers->sets = memory;
    answers->changes = changes;
    if (apr_generate_random_bytes(answers->secret, sizeof(answers->secret)) != APR_SUCCESS)
        return NULL;
    return answers;
}

/** The ages of answers to one key begin at another moment than those to most others, so that not
 *  all are asked for at once. */
static apr_uint64_t age_of(const char *key, apr_size_t len, apr_time_t now)
{
    apr_ssize_t size = (apr_ssize_t)len;
    apr_time_t offset = (apr_time_t)(apr_hashfunc_default(key, &size) % 1000);

    return (apr_uint64_t)(now / (UP_REDIS_ANSWER_LIFE / 1000) + offset) / 1000;
}

int up_redis_question_take(const up_redis_answers *answers, const char *key, apr_size_t len,
                           apr_uint64_t era, apr_time_t now, up_redis_question *question)
{
    unsigned char text[sizeof(circumstances) + UP_REDIS_ANSWER_KEY_MAX], digest[UP_SHA256_SIZE];
    circumstances c = {.era = era, .age = age_of(key, len, now)};

    c.count = *count_of(answers->changes, key, len);
    memcpy(c.secret, answers->secret, sizeof(c.secret));
    memcpy(text, &c, sizeof(c));
    memcpy(text + sizeof(c), key, len);
    if (!up_sha256(digest, text, sizeof(c) + len))
        return 0;
    memcpy(question->words, digest, sizeof(question->words));
    memcpy(&question->place, digest + sizeof(question->words), sizeof(question->place));
    question->place %= SETS;
    return 1;
}

static int holds(const answer *a, const up_redis_question *question)
{
    return a->words[0] == question->words[0] && a->words[1] == question->words[1];
}

int up_redis_answers_have(const up_redis_answers *answers, const up_redis_question *question)
{
    const answer *set = answers->sets[question->place];

    for (int i = 0; i < WAYS; i++)
        if (holds(&set[i], question))
            return 1;
    return 0;
}

/** The new one comes first, and the oldest goes. */
void up_redis_answers_keep(up_redis_answers *answers, const up_redis_question *question)
{
    answer *set = answers->sets[question->place];

    if (up_redis_answers_have(answers, question))
        return;
    for (int i = WAYS - 1; i > 0; i--) {
        set[i].words[0] = set[i - 1].words[0];
        set[i].words[1] = set[i - 1].words[1];
    }
    set[0].words[0] = question->words[0];
    set[0].words[1] = question->words[1];
}
