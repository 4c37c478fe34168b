/* SPDX-License-Identifier: Apache-2.0 */
#include "service/breaker.h"

/* Else processes would not see one another's locks. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the state of a breaker changes in one step");

typedef enum phase {
    CLOSED,
    OPEN,
    PROBING /* one call is let through, and has not ended yet */
} phase;

struct up_breaker {
    up_breaker_settings settings;
    up_breaker_state *state;
};

/* What is packed into the state's word; times are in milliseconds. */
typedef struct moment {
    phase phase;
    unsigned int count; /* CLOSED: failures in a row; else: how often it was tried in vain */
    up_turn turn;
    apr_uint64_t until; /* OPEN: then it is tried; PROBING: then that call is lost */
} moment;

#define COUNT_MAX 255U
#define TURN_MASK 0x3fffU
#define UNTIL_MASK 0xffffffffffU

static apr_uint64_t pack(const moment *m)
{
    return (apr_uint64_t)m->phase | (apr_uint64_t)m->count << 2 |
           (apr_uint64_t)(m->turn & TURN_MASK) << 10 | (m->until & UNTIL_MASK) << 24;
}

static moment unpack(apr_uint64_t word)
{
    return (moment){.phase = (phase)(word & 3),
                    .count = (unsigned int)(word >> 2) & COUNT_MAX,
                    .turn = (up_turn)(word >> 10) & TURN_MASK,
                    .until = word >> 24};
}

static apr_uint64_t read_word(const up_breaker *breaker)
{
    return atomic_load(&breaker->state->word);
}

/* @return 0 where another has been faster: then all has to be looked at anew. */
static int replace(const up_breaker *breaker, apr_uint64_t old, const moment *m)
{
    return atomic_compare_exchange_strong(&breaker->state->word, &old, pack(m));
}

static apr_uint64_t milliseconds(apr_time_t time)
{
    return (apr_uint64_t)apr_time_as_msec(time);
}

static int seconds_of(apr_uint64_t milliseconds)
{
    return milliseconds <= 1000 ? 1 : (int)((milliseconds + 999) / 1000);
}

up_breaker *up_breaker_create(apr_pool_t *p, const up_breaker_settings *settings,
                              up_breaker_state *state)
{
    up_breaker *breaker = apr_pcalloc(p, sizeof(*breaker));

    breaker->settings = *settings;
    breaker->state = state;
    return breaker;
}

int up_breaker_is_closed(const up_breaker *breaker)
{
    return unpack(read_word(breaker)).phase == CLOSED;
}

int up_breaker_begin(const up_breaker *breaker, up_turn *turn)
{
    const up_breaker_settings *settings = &breaker->settings;
    const apr_uint64_t now = milliseconds(settings->clock());

    for (;;) {
        const apr_uint64_t word = read_word(breaker);
        moment m = unpack(word);

        *turn = m.turn;
        if (m.phase == CLOSED)
            return 0;
        if (now < m.until)
            return seconds_of(m.phase == OPEN ? m.until - now : milliseconds(settings->first));
        m.phase = PROBING;
        m.turn = *turn = (m.turn + 1) & TURN_MASK;
        m.until = now + milliseconds(settings->patience);
        if (replace(breaker, word, &m))
            return 0;
    }
}

/* First, and twice as long for each time that it was tried in vain. */
static apr_uint64_t wait_of(const up_breaker_settings *settings, unsigned int count)
{
    apr_interval_time_t wait = settings->first;

    while (count-- > 0 && wait < settings->longest)
        wait *= 2;
    return milliseconds(wait < settings->longest ? wait : settings->longest);
}

static void open_from(moment *m, apr_uint64_t now, apr_uint64_t wait)
{
    m->phase = OPEN;
    m->turn++;
    m->until = now + wait;
}

static up_breaker_change failed(const up_breaker *breaker, moment *m, apr_uint64_t now,
                                int *seconds)
{
    const up_breaker_settings *settings = &breaker->settings;
    const int was_closed = m->phase == CLOSED;
    apr_uint64_t wait;

    m->count += m->count < COUNT_MAX;
    if (was_closed && m->count < (unsigned int)settings->failures)
        return UP_BREAKER_SAME;
    if (was_closed)
        m->count = 0;
    wait = wait_of(settings, m->count);
    *seconds = seconds_of(wait);
    open_from(m, now, wait);
    return was_closed ? UP_BREAKER_OPENED : UP_BREAKER_SAME;
}

static up_breaker_change worked(const up_breaker *breaker, moment *m, apr_uint64_t now,
                                int *seconds)
{
    m->count = 0;
    if (m->phase == CLOSED)
        return UP_BREAKER_SAME;
    m->phase = CLOSED;
    m->turn++;
    *seconds = seconds_of(now - atomic_load(&breaker->state->since));
    return UP_BREAKER_CLOSED;
}

up_breaker_change up_breaker_end(const up_breaker *breaker, up_turn turn, up_outcome outcome,
                                 int *seconds)
{
    const apr_uint64_t now = milliseconds(breaker->settings.clock());

    for (;;) {
        const apr_uint64_t word = read_word(breaker);
        moment m = unpack(word);
        up_breaker_change change = UP_BREAKER_SAME;

        *seconds = 0;
        if (m.turn != turn)
            return UP_BREAKER_SAME;
        if (outcome == UP_OUTCOME_FAILED)
            change = failed(breaker, &m, now, seconds);
        else if (outcome == UP_OUTCOME_WORKED)
            change = worked(breaker, &m, now, seconds);
        else if (m.phase == PROBING)
            open_from(&m, now, 0); /* the next call tries it, and at once */
        if (pack(&m) != word && !replace(breaker, word, &m))
            continue;
        if (change == UP_BREAKER_OPENED)
            atomic_store(&breaker->state->since, now);
        return change;
    }
}
