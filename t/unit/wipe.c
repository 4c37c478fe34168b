/* SPDX-License-Identifier: Apache-2.0 */
#include "core/wipe.h"

#include "adapters/cloudinary.h"
#include "adapters/redis_url.h"
#include "tap.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <string.h>

#define SECRET "sesame-8f3a"

static apr_pool_t *pool;

/* A place in a pool's memory, and what is in it when the cleanups that were registered later are
 * done: the memory is still there then. */
typedef struct place {
    const char *at;
    char seen[sizeof(SECRET)];
} place;

static apr_status_t look(void *data)
{
    place *place = data;

    if (place->at)
        memcpy(place->seen, place->at, sizeof(place->seen));
    return APR_SUCCESS;
}

static int is_wiped(const place *place)
{
    static const char zeros[sizeof(SECRET)];

    return memcmp(place->seen, zeros, strlen(SECRET)) == 0;
}

static apr_pool_t *watched(place *place)
{
    apr_pool_t *p;

    memset(place, 'x', sizeof(*place));
    place->at = NULL;
    apr_pool_create(&p, pool);
    apr_pool_cleanup_register(p, place, look, apr_pool_cleanup_null);
    return p;
}

static void test_bytes(void)
{
    place kept, wiped;
    apr_pool_t *p = watched(&kept);
    char text[] = SECRET;

    kept.at = apr_pstrdup(p, SECRET);
    apr_pool_destroy(p);
    ok(memcmp(kept.seen, SECRET, strlen(SECRET)) == 0, "a pool leaves what was in it");
    p = watched(&wiped);
    wiped.at = apr_pstrdup(p, SECRET);
    up_wipe_at_end(p, (char *)wiped.at, strlen(SECRET));
    apr_pool_destroy(p);
    ok(is_wiped(&wiped), "but what is wiped");
    up_wipe(text);
    ok(memcmp(text, "\0\0\0\0\0\0\0\0\0\0\0", sizeof(text)) == 0, "a string is wiped");
    up_wipe(NULL);
}

static void test_cloudinary(void)
{
    up_cloudinary_settings settings;
    place secret;
    apr_pool_t *p = watched(&secret);

    ok(!up_cloudinary_parse(p, "cloudinary://key:" SECRET "@demo", &settings), "Cloudinary's URL");
    is(settings.secret, SECRET, "has a secret");
    secret.at = settings.secret;
    apr_pool_destroy(p);
    ok(is_wiped(&secret), "that is wiped");
}

static void test_redis(void)
{
    up_redis_settings settings;
    place password, sentinel;
    apr_pool_t *p = watched(&password);

    ok(!up_redis_parse(p, "redis://:" SECRET "@h/0", &settings), "a URL of Redis");
    is(settings.password, SECRET, "has a password");
    password.at = settings.password;
    apr_pool_destroy(p);
    ok(is_wiped(&password), "that is wiped");
    p = watched(&sentinel);
    ok(!up_redis_parse(p, "redis+sentinel://h/m?sentinel_password=" SECRET, &settings),
       "a URL of sentinels");
    sentinel.at = settings.sentinel_password;
    apr_pool_destroy(p);
    ok(is_wiped(&sentinel), "likewise");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_bytes();
    test_cloudinary();
    test_redis();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
