/* SPDX-License-Identifier: Apache-2.0 */

/* The service over ports that do as they are told: which calls it makes, in which
 * order, and what it makes of each one's failure. */
#include "model_maker.h"
#include "tap.h"

#include "service/service.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <stdlib.h>

#define NOW 1000

static apr_pool_t *pool;

/* --- The ports: what they answer, and what they were asked --- */

typedef struct script {
    unsigned int fails; /* bit n: call number n (from 0) fails */
    int calls;
    char log[512]; /* the calls, in order */
    int warnings;
    int told, loud; /* lines on the storage, and how many of them were loud */
    int no_randomness;
    int announced, swapped, published, doomed, removed, updated; /* do they succeed? */
    up_upload_end end;                                           /* of an upload that fails */
    up_account account;
    const char *avatar;  /* of the row that is read: an asset, or NULL */
    const char *old_url; /* of the avatar before, or of the erased account */
    up_entries entries;
    apr_int64_t ttl; /* what a token was revoked for */
} script;

static script said;

static const char *columns[] = {"Ada", NULL};
static up_row row = {columns, NULL};

__attribute__((format(printf, 2, 3))) static up_problem *call(up_code code, const char *fmt, ...)
{
    size_t len = strlen(said.log);
    va_list args;

    if (len)
        said.log[len++] = ' ';
    va_start(args, fmt);
    vsnprintf(said.log + len, sizeof(said.log) - len, fmt, args);
    va_end(args);
    return said.fails >> said.calls++ & 1 ? up_problem_logged(pool, code, "call %d", said.calls)
                                          : NULL;
}

static const up_row *row_with(const char *asset)
{
    columns[1] = asset ? apr_pstrcat(pool, "ours/", asset, NULL) : NULL;
    return &row;
}

static up_problem *fake_read(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                             up_account *account, const up_row **out)
{
    up_problem *problem = call(UP_SERVICE_UNAVAILABLE, "read");

    (void)self, (void)p, (void)caller;
    *account = said.account;
    *out = !problem && said.account == UP_ACCOUNT_ACTIVE ? row_with(said.avatar) : NULL;
    return problem;
}

static up_problem *fake_update(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                               const up_patch *patch, const up_tags *match, const up_row **out)
{
    up_problem *problem =
        call(UP_SERVICE_UNAVAILABLE, "update(%d%s)", patch->count, match ? ", match" : "");

    (void)self, (void)p, (void)caller;
    *out = !problem && said.updated ? &row : NULL;
    return problem;
}

static up_problem *fake_announce(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                                 const up_tags *match, const char *asset, int *announced)
{
    (void)self, (void)p, (void)caller;
    *announced = said.announced;
    return call(UP_SERVICE_UNAVAILABLE, "announce(%s%s)", asset, match ? ", match" : "");
}

static up_problem *fake_swap(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                             const up_patch *patch, const up_tags *match, const char *asset,
                             const char *url, up_swap **swap)
{
    up_problem *problem = call(UP_SERVICE_UNAVAILABLE, "swap(%d, %s at %s%s)", patch->count,
                               asset ? asset : "-", url ? url : "-", match ? ", match" : "");

    (void)self, (void)caller;
    *swap = NULL;
    if (problem || !said.swapped)
        return problem;
    *swap = apr_pcalloc(p, sizeof(**swap));
    **swap = (up_swap){asset, "7", said.old_url, said.entries};
    return NULL;
}

static up_problem *fake_publish(up_user_store *self, apr_pool_t *p, const up_swap *swap,
                                int old_destroyed, const up_row **out)
{
    up_problem *problem =
        call(UP_SERVICE_UNAVAILABLE, "publish(%s of %s%s)", swap->asset ? swap->asset : "-",
             swap->key, old_destroyed ? ", old destroyed" : "");

    (void)self, (void)p;
    *out = !problem && said.published ? row_with(swap->asset) : NULL;
    return problem;
}

static up_problem *fake_doom(up_user_store *self, apr_pool_t *p, const char *asset, int *doomed)
{
    (void)self, (void)p;
    *doomed = said.doomed;
    return call(UP_SERVICE_UNAVAILABLE, "doom(%s)", asset);
}

static up_problem *fake_withdraw(up_user_store *self, apr_pool_t *p, const char *asset)
{
    (void)self, (void)p;
    return call(UP_SERVICE_UNAVAILABLE, "withdraw(%s)", asset);
}

static up_problem *fake_remove(up_user_store *self, apr_pool_t *p, const up_caller *caller,
                               const up_tags *match, int hard, up_farewell **farewell)
{
    up_problem *problem = call(UP_SERVICE_UNAVAILABLE, "remove(%s%s)", hard ? "hard" : "soft",
                               match ? ", match" : "");

    (void)self, (void)caller;
    *farewell = NULL;
    if (problem || !said.removed)
        return problem;
    *farewell = apr_pcalloc(p, sizeof(**farewell));
    **farewell = (up_farewell){said.old_url, said.entries};
    return NULL;
}

static up_problem *fake_settle(up_user_store *self, apr_pool_t *p, const up_entries *done)
{
    (void)self, (void)p;
    return call(UP_SERVICE_UNAVAILABLE, "settle(%d %d %d %d)", (int)done->publish,
                (int)done->destroy, (int)done->revoke_token, (int)done->revoke_sessions);
}

static const char *fake_new_asset(up_avatar_storage *self, apr_pool_t *p, up_image type)
{
    (void)self;
    return said.no_randomness ? NULL : apr_psprintf(p, "new%d", (int)type);
}

static up_problem *fake_upload(up_avatar_storage *self, apr_pool_t *p, const char *asset,
                               const up_picture *picture, const char **url, up_upload_end *end)
{
    up_problem *problem = call(UP_STORAGE_UPLOAD_ERROR, "upload(%s)", asset);

    (void)self, (void)picture;
    *end = said.end;
    if (!problem)
        *url = apr_pstrcat(p, "ours/", asset, NULL);
    return problem;
}

static up_problem *fake_destroy(up_avatar_storage *self, apr_pool_t *p, const char *asset)
{
    (void)self, (void)p;
    return call(UP_STORAGE_UPLOAD_ERROR, "destroy(%s)", asset);
}

static const char *fake_asset_of(up_avatar_storage *self, apr_pool_t *p, const char *url)
{
    (void)self;
    return url && strncmp(url, "ours/", 5) == 0 ? apr_pstrdup(p, url + 5) : NULL;
}

static up_problem *fake_revoke(up_token_store *self, apr_pool_t *p, const char *jti,
                               apr_int64_t ttl)
{
    (void)self, (void)p;
    said.ttl = ttl;
    return call(UP_SERVICE_UNAVAILABLE, "revoke(%s)", jti);
}

static up_problem *fake_revoke_sessions(up_token_store *self, apr_pool_t *p, const char *subject)
{
    (void)self, (void)p;
    return call(UP_SERVICE_UNAVAILABLE, "revoke_sessions(%s)", subject);
}

/* --- What is asked of the service --- */

static up_user_store users = {.read = fake_read,
                              .update = fake_update,
                              .announce = fake_announce,
                              .swap = fake_swap,
                              .publish = fake_publish,
                              .doom = fake_doom,
                              .withdraw = fake_withdraw,
                              .remove = fake_remove,
                              .settle = fake_settle};
static up_avatar_storage avatars = {.new_asset = fake_new_asset,
                                    .upload = fake_upload,
                                    .destroy = fake_destroy,
                                    .asset_of = fake_asset_of};
static up_token_store tokens = {.revoke = fake_revoke, .revoke_sessions = fake_revoke_sessions};
static up_model *model;
static up_service service = {.users = &users,
                             .tokens = &tokens,
                             .avatars = &avatars,
                             .unknown_user = UP_INVALID_CREDENTIALS};
static up_caller caller = {"ada@x", "jti1", NOW + 60, -1};
static const up_tags *match;

static void take_warning(void *baton, const char *line)
{
    (void)baton, (void)line;
    said.warnings++;
}

static void take_line(void *baton, int loud, const char *line)
{
    (void)baton, (void)line;
    said.told++;
    said.loud += loud;
}

static up_request make_request(void)
{
    return (up_request){.pool = pool,
                        .caller = &caller,
                        .match = match,
                        .now = NOW,
                        .warn = take_warning,
                        .tell = take_line};
}

static up_patch *make_patch(int count)
{
    up_patch *patch = up_patch_create(pool, model);

    if (count)
        up_patch_text(patch, "full_name", "Grace", 5);
    return patch;
}

static up_problem *do_read(const up_row **out)
{
    up_request request = make_request();

    return up_profile_read(&service, &request, out);
}

static up_problem *do_update(const up_row **out)
{
    up_request request = make_request();

    return up_profile_update(&service, &request, make_patch(1), out);
}

static up_problem *do_update_nothing(const up_row **out)
{
    up_request request = make_request();

    return up_profile_update(&service, &request, make_patch(0), out);
}

static up_problem *do_set(const up_row **out)
{
    static const up_picture picture = {.size = 1, .type = UP_IMAGE_PNG};
    up_request request = make_request();

    return up_avatar_set(&service, &request, make_patch(1), &picture, out);
}

static up_problem *do_remove(const up_row **out)
{
    up_request request = make_request();

    return up_avatar_remove(&service, &request, out);
}

static up_problem *do_delete_soft(const up_row **out)
{
    up_request request = make_request();

    *out = &row;
    return up_account_delete(&service, &request, 0);
}

static up_problem *do_delete_hard(const up_row **out)
{
    up_request request = make_request();

    *out = &row;
    return up_account_delete(&service, &request, 1);
}

/* All goes well. */
static script well(void)
{
    return (script){.end = UP_UPLOAD_FAILED,
                    .announced = 1,
                    .swapped = 1,
                    .published = 1,
                    .doomed = 1,
                    .removed = 1,
                    .updated = 1,
                    .entries = {1, 2, 3, 4}};
}

/* One request: "" or the code's name, the warnings' number, and the calls. */
static void check(const script *how, up_problem *(*request)(const up_row **), const char *code,
                  int warnings, const char *calls, const char *name)
{
    const up_row *out = NULL;
    up_problem *problem;

    said = *how;
    problem = request(&out);
    is(problem ? up_code_name(problem->code) : "", code, apr_psprintf(pool, "%s: answer", name));
    is(said.log, calls, apr_psprintf(pool, "%s: calls", name));
    is_int(said.warnings, warnings, apr_psprintf(pool, "%s: warnings", name));
    ok(problem || out, "%s: what succeeds has a row", name);
}

#define FAILS(n) (1u << ((n)-1))

static void test_read_and_update(void)
{
    static const struct {
        up_account account;
        const char *code;
    } states[] = {{UP_ACCOUNT_MISSING, "INVALID_CREDENTIALS"},
                  {UP_ACCOUNT_GONE, "ACCOUNT_DELETED"},
                  {UP_ACCOUNT_INACTIVE, "ACCOUNT_DEACTIVATED"},
                  {UP_ACCOUNT_NEWER_THAN_TOKEN, "INVALID_CREDENTIALS"}};
    script how = well();
    size_t i;

    check(&how, do_read, "", 0, "read", "read");
    check(&how, do_update, "", 0, "update(1)", "update");
    check(&how, do_update_nothing, "", 0, "read", "an update of nothing");
    how.fails = FAILS(1);
    check(&how, do_read, "SERVICE_UNAVAILABLE", 0, "read", "read fails");
    check(&how, do_update, "SERVICE_UNAVAILABLE", 0, "update(1)", "update fails");
    check(&how, do_update_nothing, "SERVICE_UNAVAILABLE", 0, "read", "update of nothing fails");
    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        how = well();
        how.account = states[i].account;
        how.updated = how.announced = how.swapped = how.removed = 0;
        check(&how, do_read, states[i].code, 0, "read", "read, no active account");
        check(&how, do_update, states[i].code, 0, "update(1) read", "update, no active account");
        check(&how, do_update_nothing, states[i].code, 0, "read", "nothing, no active account");
        check(&how, do_set, states[i].code, 0, "announce(new2) read", "set, no active account");
        check(&how, do_remove, states[i].code, 0, "swap(0, - at -) read", "remove, no account");
        check(&how, do_delete_soft, states[i].code, 0, "remove(soft) read", "delete, no account");
        check(&how, do_delete_hard, states[i].code, 0, "remove(hard) read", "erase, no account");
    }
    service.unknown_user = UP_NOT_FOUND;
    how.account = UP_ACCOUNT_MISSING;
    check(&how, do_read, "NOT_FOUND", 0, "read", "read, no account, as the second seed has it");
    service.unknown_user = UP_INVALID_CREDENTIALS;
}

static void test_precondition(void)
{
    script how = well();

    match = up_tags_parse(pool, "\"00000000000000000000000000000000\"");
    check(&how, do_update, "", 0, "update(1, match)", "update with If-Match");
    check(&how, do_update_nothing, "PRECONDITION_FAILED", 0, "read", "nothing, another tag");
    how.updated = how.announced = how.swapped = how.removed = 0;
    check(&how, do_update, "PRECONDITION_FAILED", 0, "update(1, match) read", "update, stale");
    check(&how, do_set, "PRECONDITION_FAILED", 0, "announce(new2, match) read", "set, stale");
    check(&how, do_remove, "PRECONDITION_FAILED", 0, "swap(0, - at -, match) read",
          "remove, stale");
    check(&how, do_delete_hard, "PRECONDITION_FAILED", 0, "remove(hard, match) read",
          "erase, stale");
    how.fails = FAILS(2);
    check(&how, do_update, "SERVICE_UNAVAILABLE", 0, "update(1, match) read", "nobody knows why");
    match = up_tags_parse(pool, "*");
    check(&how, do_update_nothing, "", 0, "read", "nothing, any tag");
    match = up_tags_parse(
        pool, apr_psprintf(pool, "\"%s\"", up_profile_etag(pool, model, row_with(NULL))));
    check(&how, do_update_nothing, "", 0, "read", "nothing, the tag");
    match = NULL;

    /* Refused, and then there is no reason any more. */
    how.fails = 0;
    check(&how, do_update, "SERVICE_UNAVAILABLE", 0, "update(1) read", "refused for no reason");
    check(&how, do_delete_soft, "SERVICE_UNAVAILABLE", 0, "remove(soft) read", "likewise deleted");
}

#define BEGIN "announce(new2) upload(new2)"
#define SWAP BEGIN " swap(1, new2 at ours/new2)"

static void test_set(void)
{
    static const char end[] = SWAP " destroy(old) publish(new2 of 7, old destroyed)";
    script how = well();

    how.old_url = "ours/old";
    check(&how, do_set, "", 0, end, "set");
    how.old_url = "https://example.com/me.png";
    check(&how, do_set, "", 0, SWAP " publish(new2 of 7, old destroyed)",
          "set, the old one elsewhere");
    how.old_url = NULL;
    check(&how, do_set, "", 0, SWAP " publish(new2 of 7, old destroyed)", "set, no old one");
    how.old_url = "ours/old";

    how.fails = FAILS(1);
    check(&how, do_set, "SERVICE_UNAVAILABLE", 0, "announce(new2)", "set: announce fails");
    how.fails = FAILS(2);
    check(&how, do_set, "STORAGE_UPLOAD_ERROR", 0, BEGIN " withdraw(new2)", "set: upload fails");
    how.fails = FAILS(2) | FAILS(3);
    check(&how, do_set, "STORAGE_UPLOAD_ERROR", 1, BEGIN " withdraw(new2)",
          "set: upload and withdraw fail");
    how.end = UP_UPLOAD_REFUSED;
    how.fails = FAILS(2);
    check(&how, do_set, "STORAGE_UPLOAD_ERROR", 0, BEGIN " withdraw(new2)", "set: refused");
    how.end = UP_UPLOAD_UNKNOWN;
    check(&how, do_set, "STORAGE_UPLOAD_ERROR", 0, BEGIN, "set: upload fails, may be there");
    how.fails = FAILS(3);
    check(&how, do_set, "SERVICE_UNAVAILABLE", 0, SWAP, "set: swap fails, nothing is destroyed");
    how.fails = FAILS(4);
    check(&how, do_set, "", 1, SWAP " destroy(old) publish(new2 of 7)", "set: destroy fails");
    how.fails = FAILS(5);
    check(&how, do_set, "SERVICE_UNAVAILABLE", 0, end, "set: publish fails");
    how.fails = FAILS(4) | FAILS(5);
    check(&how, do_set, "SERVICE_UNAVAILABLE", 1, SWAP " destroy(old) publish(new2 of 7)",
          "set: destroy and publish fail");
    how = well();
    how.no_randomness = 1;
    check(&how, do_set, "INTERNAL_ERROR", 0, "", "set: no public ID");
}

static void test_set_refused(void)
{
    static const char all[] = SWAP " doom(new2) destroy(new2) withdraw(new2) read";
    script how = well();

    how.swapped = 0;
    how.account = UP_ACCOUNT_GONE;
    check(&how, do_set, "ACCOUNT_DELETED", 0, all, "deleted while it is uploaded");
    how.fails = FAILS(4);
    check(&how, do_set, "ACCOUNT_DELETED", 1, SWAP " doom(new2) read",
          "doom fails: nothing is destroyed");
    how.fails = FAILS(5);
    check(&how, do_set, "ACCOUNT_DELETED", 1, SWAP " doom(new2) destroy(new2) read",
          "destroy fails: it stays announced");
    how.fails = FAILS(6);
    check(&how, do_set, "ACCOUNT_DELETED", 1, all, "withdraw fails");
    how.fails = FAILS(7);
    check(&how, do_set, "SERVICE_UNAVAILABLE", 0, all, "read fails");
    how.fails = FAILS(5) | FAILS(6);
    check(&how, do_set, "SERVICE_UNAVAILABLE", 1, SWAP " doom(new2) destroy(new2) read",
          "destroy and read fail");
    how.fails = 0;
    how.doomed = 0;
    check(&how, do_set, "ACCOUNT_DELETED", 0, SWAP " doom(new2) read",
          "a sweep has destroyed it already");
}

static void test_set_overtaken(void)
{
    static const char end[] = SWAP " publish(new2 of 7, old destroyed)";
    const char *all = apr_pstrcat(pool, end, " doom(new2) destroy(new2) withdraw(new2) read", NULL);
    script how = well();

    how.published = 0;
    check(&how, do_set, "", 0, all, "cancelled, none since");
    how.avatar = "later";
    check(&how, do_set, "", 0, all, "cancelled by a later one");
    is(columns[1], "ours/later", "the answer is the profile as it is");
    how.fails = FAILS(5);
    check(&how, do_set, "", 1, apr_pstrcat(pool, end, " doom(new2) read", NULL),
          "cancelled, doom fails: nothing is destroyed");
    how.fails = FAILS(6);
    check(&how, do_set, "", 1, apr_pstrcat(pool, end, " doom(new2) destroy(new2) read", NULL),
          "cancelled, destroy fails: it stays announced");
    how.fails = FAILS(7);
    check(&how, do_set, "", 1, all, "cancelled, withdraw fails");
    how.fails = FAILS(8);
    check(&how, do_set, "SERVICE_UNAVAILABLE", 0, all, "cancelled, read fails");
    how.fails = 0;
    how.account = UP_ACCOUNT_MISSING;
    check(&how, do_set, "INVALID_CREDENTIALS", 0, all, "the account is gone");
    how.account = UP_ACCOUNT_ACTIVE;
    how.avatar = "new2";
    how.doomed = 0;
    check(&how, do_set, "", 0, apr_pstrcat(pool, end, " doom(new2) read", NULL),
          "ended by a sweep: the asset is the row's, and stays");
}

static void test_remove(void)
{
    static const char end[] = "swap(0, - at -) destroy(old) publish(- of 7, old destroyed)";
    script how = well();

    how.old_url = "ours/old";
    check(&how, do_remove, "", 0, end, "remove");
    how.fails = FAILS(1);
    check(&how, do_remove, "SERVICE_UNAVAILABLE", 0, "swap(0, - at -)", "remove: swap fails");
    how.fails = FAILS(2);
    check(&how, do_remove, "", 1, "swap(0, - at -) destroy(old) publish(- of 7)",
          "remove: destroy fails");
    how.fails = FAILS(3);
    check(&how, do_remove, "SERVICE_UNAVAILABLE", 0, end, "remove: publish fails");
    how.fails = 0;
    how.published = 0;
    how.avatar = "later";
    check(&how, do_remove, "", 0, apr_pstrcat(pool, end, " read", NULL),
          "remove: cancelled by a later one, which stays");
    how.old_url = NULL;
    how.published = 1;
    check(&how, do_remove, "", 0, "swap(0, - at -) publish(- of 7, old destroyed)",
          "remove: there is none");
}

#define ENDED "revoke(jti1) revoke_sessions(ada@x)"

static void test_delete(void)
{
    script how = well();

    how.entries.destroy = 0;
    check(&how, do_delete_soft, "", 0, "remove(soft) " ENDED " settle(0 0 3 4)", "delete");
    is_int(said.ttl, 60, "the token is blacklisted for what is left of it");
    how.fails = FAILS(1);
    check(&how, do_delete_soft, "SERVICE_UNAVAILABLE", 0, "remove(soft)",
          "delete: the database fails, no session ends");
    how.fails = FAILS(2);
    check(&how, do_delete_soft, "", 1, "remove(soft) " ENDED " settle(0 0 0 4)",
          "delete: revoke fails");
    how.fails = FAILS(3);
    check(&how, do_delete_soft, "", 1, "remove(soft) " ENDED " settle(0 0 3 0)",
          "delete: revoke_sessions fails");
    how.fails = FAILS(4);
    check(&how, do_delete_soft, "", 1, "remove(soft) " ENDED " settle(0 0 3 4)",
          "delete: settle fails");
    how.fails = FAILS(2) | FAILS(3) | FAILS(4);
    check(&how, do_delete_soft, "", 3, "remove(soft) " ENDED " settle(0 0 0 0)",
          "delete: all but the database fail");

    how.fails = 0;
    caller.exp = NOW;
    check(&how, do_delete_soft, "", 0, "remove(soft) revoke_sessions(ada@x) settle(0 0 3 4)",
          "delete: a token that has ended meanwhile");
    caller.exp = NOW + 60;
    how.entries.revoke_token = 0;
    check(&how, do_delete_soft, "", 0, "remove(soft) revoke_sessions(ada@x) settle(0 0 0 4)",
          "delete: a token without jti");
}

static void test_erase(void)
{
    static const char all[] = "remove(hard) " ENDED " destroy(old) settle(0 2 3 4)";
    script how = well();

    how.old_url = "ours/old";
    check(&how, do_delete_hard, "", 0, all, "erase");
    how.fails = FAILS(4);
    check(&how, do_delete_hard, "", 1, "remove(hard) " ENDED " destroy(old) settle(0 0 3 4)",
          "erase: destroy fails");
    how.fails = FAILS(5);
    check(&how, do_delete_hard, "", 1, all, "erase: settle fails");
    how.fails = 0x1e;
    check(&how, do_delete_hard, "", 4, "remove(hard) " ENDED " destroy(old) settle(0 0 0 0)",
          "erase: all but the database fail");
    how.fails = 0;
    how.old_url = "https://example.com/me.png";
    check(&how, do_delete_hard, "", 0, "remove(hard) " ENDED " settle(0 2 3 4)",
          "erase: an avatar elsewhere is left alone, and done with");
    service.avatars = NULL;
    how.entries.destroy = 0;
    how.old_url = NULL;
    check(&how, do_delete_hard, "", 0, "remove(hard) " ENDED " settle(0 0 3 4)",
          "erase: a contract without avatars");
    service.avatars = &avatars;
}

/* --- A storage that fails often --- */

static apr_time_t now;

static apr_time_t clock_now(void)
{
    return now;
}

/* One upload: its answer, the calls, and Retry-After (0: none). */
static void check_set(const script *how, const char *code, int retry_after, const char *calls,
                      const char *name)
{
    const up_row *out = NULL;
    up_problem *problem;

    said = *how;
    problem = do_set(&out);
    is(problem ? up_code_name(problem->code) : "", code, apr_psprintf(pool, "%s: answer", name));
    is(said.log, calls, apr_psprintf(pool, "%s: calls", name));
    is_int(problem ? problem->retry_after : 0, retry_after,
           apr_psprintf(pool, "%s: Retry-After", name));
}

static void check_told(int told, int loud, const char *name)
{
    is_int(said.told, told, apr_psprintf(pool, "%s: lines in the log", name));
    is_int(said.loud, loud, apr_psprintf(pool, "%s: loud ones", name));
}

#define REFUSED BEGIN " withdraw(new2)"
#define SUCCEEDS SWAP " publish(new2 of 7, old destroyed)"

static void test_breaker_opens(const script *fine, const script *failing)
{
    script refused = *failing;

    check_set(failing, "STORAGE_UPLOAD_ERROR", 1, REFUSED, "a first failure");
    check_told(0, 0, "a first failure");
    refused.end = UP_UPLOAD_REFUSED;
    check_set(&refused, "STORAGE_UPLOAD_ERROR", 0, REFUSED, "a picture that is refused");
    check_set(failing, "STORAGE_UPLOAD_ERROR", 1, REFUSED, "a failure after it is a first one");
    check_set(fine, "", 0, SUCCEEDS, "a success");
    check_set(failing, "STORAGE_UPLOAD_ERROR", 1, REFUSED, "a failure");
    check_set(failing, "STORAGE_UPLOAD_ERROR", 4, REFUSED, "and a second");
    check_told(1, 1, "and a second");
    check_set(fine, "STORAGE_UPLOAD_ERROR", 4, "read", "then nothing is announced nor uploaded");
    check_told(0, 0, "then nothing");
}

static void test_breaker_closes(const script *fine, const script *failing)
{
    script how = *fine;

    how.account = UP_ACCOUNT_GONE;
    check_set(&how, "ACCOUNT_DELETED", 0, "read", "a deleted account is told so");
    match = up_tags_parse(pool, "\"00000000000000000000000000000000\"");
    check_set(fine, "PRECONDITION_FAILED", 0, "read", "another tag likewise");
    match = NULL;
    now += apr_time_from_sec(4);
    check_set(&how, "ACCOUNT_DELETED", 0, "read", "nor does a deleted account try the storage");
    how = *fine;
    how.fails = FAILS(2);
    check_set(&how, "SERVICE_UNAVAILABLE", 1, "read announce(new2)", "the database fails");
    how = *failing;
    how.fails = FAILS(3);
    check_set(&how, "STORAGE_UPLOAD_ERROR", 8, "read announce(new2) upload(new2) withdraw(new2)",
              "one tries it, and waits for twice as long");
    check_told(0, 0, "one tries it");
    check_set(fine, "STORAGE_UPLOAD_ERROR", 8, "read", "the others are refused");
    now += apr_time_from_sec(8);
    check_set(fine, "", 0, "read " SUCCEEDS, "the next one succeeds");
    check_told(1, 0, "the next one");
    check_set(fine, "", 0, SUCCEEDS, "and then all do");
    check_told(0, 0, "and then all");
}

static void test_breaker(void)
{
    const up_breaker_settings settings = {.failures = 2,
                                          .first = apr_time_from_sec(4),
                                          .longest = apr_time_from_sec(60),
                                          .patience = apr_time_from_sec(50),
                                          .clock = clock_now};
    up_breaker_state state = {0};
    script fine = well(), failing = well();

    failing.fails = FAILS(2);
    service.breaker = up_breaker_create(pool, &settings, &state);
    test_breaker_opens(&fine, &failing);
    test_breaker_closes(&fine, &failing);
    service.breaker = NULL;
}

int main(void)
{
    static const up_field fields[] = {
        {.name = "full_name", .type = UP_STRING, .writable = 1, .nullable = 1, .max = 255},
        {.name = "avatar_url", .type = UP_AVATAR, .nullable = 1}};

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    model = model_of(pool, fields, 2);
    model->avatar = up_model_field(model, 1);
    service.model = model;

    test_read_and_update();
    test_precondition();
    test_set();
    test_set_refused();
    test_set_overtaken();
    test_remove();
    test_delete();
    test_erase();
    test_breaker();
    return done_testing();
}
