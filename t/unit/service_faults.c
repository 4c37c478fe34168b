/* SPDX-License-Identifier: Apache-2.0 */

/* The service in a small world: each call of a request fails in turn, before or after it has done
 * its work, alone and two at a time; the process dies at each call; and at each call another
 * request or a sweep comes between. Whatever happened, once the journal is replayed there is
 * exactly one asset or none, the row says so, and what was promised is done. */
#include "tap.h"

#include "service_world.h"

static const char *const fates[] = {"well",
                                    "fails",
                                    "is done and fails",
                                    "fails and is done later",
                                    "dies",
                                    "is done and dies",
                                    "dies and is done later"};
static const char *const kinds[] = {"set", "remove", "delete", "erase", "a sweep"};

/* --- Checks --- */

/* @return NULL, or what is wrong in the world after the journal was replayed. */
static const char *wrong_world(void)
{
    const char *avatar = w.avatar_is_foreign ? NULL : w.avatar;

    if (w.entry_count)
        return "the journal is not empty";
    if (w.published_wrongly)
        return "the row was made to point at an asset that is not there";
    if (avatar && find_asset(avatar) < 0)
        return "the row points at an asset that is not there";
    if (w.asset_count != (avatar ? 1 : 0))
        return "an asset belongs to nobody";
    if (w.deleted != w.revoked || w.deleted != w.sessions_ended)
        return w.deleted ? "the account is deleted, but not its sessions"
                         : "the account is there, but not its sessions";
    return NULL;
}

/* @return NULL, or a promise of an answer that was not kept; only where nobody came between. */
static const char *broken_promise(request_kind kind, const up_problem *problem, const char *before)
{
    if (problem && problem->code == UP_STORAGE_UPLOAD_ERROR && !same(w.avatar, before))
        return "the storage failed, and the avatar has changed";
    if (problem)
        return NULL;
    if (kind == SET && same(w.avatar, before))
        return "200, and the avatar is the one before";
    if (kind == REMOVE && w.avatar)
        return "200, and there is an avatar";
    if (kind == DELETE && (!w.exists || !w.deleted || !same(w.avatar, before)))
        return "200, and the account is not as after a soft deletion";
    return kind == ERASE && w.exists ? "200, and the row is there" : NULL;
}

/* A user with one avatar of ours, one of others', or none. */
static void begin_world(int avatar)
{
    memset(&w, 0, sizeof(w));
    w.exists = 1;
    w.between_at = -1;
    if (avatar)
        w.avatar = "old";
    w.avatar_is_foreign = avatar == 2;
    if (avatar == 1)
        store_asset("old");
}

/* Runs one request in the world as it is set up. @return what is wrong, or NULL. */
static const char *live(request_kind kind)
{
    const char *before = w.avatar, *wrong;
    up_problem *volatile problem = NULL;
    volatile int died = setjmp(w.death);
    int others = w.between_at >= 0 && w.between != SWEEP;

    if (!died)
        problem = run_request(kind);
    w.is_between = 1;
    sweep();
    if (w.late)
        store_asset(w.late);
    w.age = SETTLED;
    sweep();
    wrong = wrong_world();
    return wrong || died || others ? wrong : broken_promise(kind, problem, before);
}

static int runs;
static const char *failure;

static void judge(const char *wrong, const char *what)
{
    runs++;
    if (wrong && !failure)
        failure = apr_psprintf(pool, "%s: %s", what, wrong);
}

/* Two calls, of which the second may be the first, meet these fates. */
static void test_faults(request_kind kind)
{
    int avatar, i, j, a, b;

    runs = 0;
    failure = NULL;
    for (avatar = 0; avatar < 3; avatar++) {
        for (i = 0; i < CALLS_MAX; i++) {
            for (j = i; j < CALLS_MAX; j++) {
                for (a = WELL; a < FATES; a++) {
                    for (b = WELL; b < FATES; b++) {
                        begin_world(avatar);
                        w.fates[i] = (fate)a;
                        w.fates[j] = (fate)b;
                        judge(live(kind), apr_psprintf(pool, "avatar %d, call %d %s, call %d %s",
                                                       avatar, i, fates[a], j, fates[b]));
                    }
                }
            }
        }
    }
    is(failure, NULL, apr_psprintf(pool, "%s: %d runs with faults", kinds[kind], runs));
}

/* Another request comes before a call, and a call fails. */
static void test_between(request_kind kind, request_kind other)
{
    int avatar, at, i, a;

    runs = 0;
    failure = NULL;
    for (avatar = 0; avatar < 3; avatar++) {
        for (at = 0; at < CALLS_MAX; at++) {
            for (i = 0; i < CALLS_MAX; i++) {
                for (a = WELL; a < FATES; a++) {
                    begin_world(avatar);
                    w.between_at = at;
                    w.between = other;
                    w.fates[i] = (fate)a;
                    judge(live(kind), apr_psprintf(pool, "avatar %d, before call %d, call %d %s",
                                                   avatar, at, i, fates[a]));
                }
            }
        }
    }
    is(failure, NULL,
       apr_psprintf(pool, "%s, and %s comes between: %d runs", kinds[kind], kinds[other], runs));
}

int main(void)
{
    static const up_field fields[] = {{.name = "full_name", .type = UP_STRING, .max = 255},
                                      {.name = "avatar_url", .type = UP_AVATAR, .nullable = 1}};
    apr_pool_t *root;
    up_model *model;
    int kind, other;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&root, NULL);
    model = model_of(root, fields, 2);
    model->avatar = up_model_field(model, 1);
    service.model = model;
    for (kind = SET; kind < KINDS; kind++) {
        apr_pool_create(&pool, root);
        test_faults((request_kind)kind);
        apr_pool_destroy(pool);
        for (other = SET; other <= SWEEP; other++) {
            apr_pool_create(&pool, root);
            test_between((request_kind)kind, (request_kind)other);
            apr_pool_destroy(pool);
        }
    }
    return done_testing();
}
