/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Which keys were not there when Redis was last asked: a bounded cache of a child
 * process's, for all its threads at once, without a lock.
 *
 * What is kept is no key but a fingerprint of a question: of the key, of how often it
 * has changed as far as this httpd knows, of the era in which it was asked, and of the
 * time of day in steps of UP_REDIS_ANSWER_LIFE. The fingerprint is taken before the
 * question is sent, and kept when the answer is there. Whatever came between the two,
 * or comes later, makes the next fingerprint another one, so that nothing has to be
 * removed, and no order of events can leave an answer behind that is out of date:
 *
 *   - a change that Redis has told of, or that this httpd has made, is counted by
 *     up_redis_changes_note() in memory that all children share. Whoever counts before
 *     a client is answered is heard in each child before that client can ask again;
 *   - what concerns all keys (they were flushed, or the server may be another one) is
 *     a new era, which the caller counts;
 *   - what nobody tells of (Redis says nothing at SWAPDB) ends with the answer's life.
 *
 * A fingerprint is 128 bits of SHA-256 over all that, after a secret of 256 bits of this
 * child's: whoever may choose keys finds no two with the same one but by chance, of
 * which there is 2^-128 a pair, and learns nothing from trying. Half of one and half of
 * another, as threads can meet, is no better a guess. The counters' numbers are no
 * secret: keys that are made to share one only cause questions.
 */
#ifndef UP_REDIS_ANSWERS_H
#define UP_REDIS_ANSWERS_H

#include <apr_pools.h>
#include <apr_time.h>

/** The longest key whose answers are kept, in bytes; others are asked for each time. */
#define UP_REDIS_ANSWER_KEY_MAX 600

/** How many answers are kept; a further one takes the place of another. They are 16 bytes each:
 *  1 MiB in all, of which the system gives only the pages that have been written to. */
#define UP_REDIS_ANSWERS_MAX 65536

/** How long an answer is kept at most. */
#define UP_REDIS_ANSWER_LIFE apr_time_from_sec(60)

/** Changes counted, by a hash of their keys: 32 KiB, zeroed at first. */
typedef struct up_redis_changes {
    _Atomic apr_uint64_t counts[4096];
} up_redis_changes;

/** A key has changed, or may have. Every question about it that is under way, in each process
 *  that shares the memory, is void. */
void up_redis_changes_note(up_redis_changes *changes, const char *key, apr_size_t len);

typedef struct up_redis_answers up_redis_answers;

/** A question's fingerprint. */
typedef struct up_redis_question {
    apr_uint64_t words[2];
    apr_uint32_t place;
} up_redis_question;

/**
 * @param p owns it, and its memory: call it after fork.
 * @param changes must live as long as p.
 * @return NULL where the system has no memory or no random bytes left.
 */
up_redis_answers *up_redis_answers_create(apr_pool_t *p, up_redis_changes *changes);

/**
 * Takes a question's fingerprint: before it is asked.
 * @param len at most UP_REDIS_ANSWER_KEY_MAX.
 * @param now of a clock that never goes back, in microseconds.
 * @return 1; 0 without memory: it has no fingerprint, is not known and not kept.
 */
int up_redis_question_take(const up_redis_answers *answers, const char *key, apr_size_t len,
                           apr_uint64_t era, apr_time_t now, up_redis_question *question);

/** Was this question, with the same fingerprint, answered? */
int up_redis_answers_have(const up_redis_answers *answers, const up_redis_question *question);

/** The question was answered: the key is not there. */
void up_redis_answers_keep(up_redis_answers *answers, const up_redis_question *question);

#endif
