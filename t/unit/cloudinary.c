/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/cloudinary.h"
#include "adapters/storage_url.h"

#include "standin.h"
#include "tap.h"

#include <apr_general.h>
#include <apr_lib.h>
#include <curl/curl.h>
#include <openssl/evp.h>

#define ID "0123456789abcdef0123456789abcdef"

static apr_pool_t *pool;

/* --- the URL --- */

static const char *const good_urls[] = {
    "cloudinary://123:abc-DEF_1@demo",
    "cloudinary://123:abc@demo/",
    "CLOUDINARY://123:abc@demo",
    "cloudinary://123:abc@demo?upload_prefix=https://api-eu.cloudinary.com",
    "cloudinary://123:abc@demo?upload_prefix=https://api.example/",
    "cloudinary://123:abc@demo?upload_prefix=https%3A%2F%2Fapi.example%2Fproxy",
    "cloudinary://123:abc@demo?upload_prefix=http://127.0.0.1:8080",
    "cloudinary://123:abc@demo?upload_prefix=http://127.8.9.10:1",
    "cloudinary://123:abc@demo?upload_prefix=http://localhost:65535",
    "cloudinary://123:abc@demo?upload_prefix=http://[::1]:80",
    "cloudinary://123:abc@demo?signature_algorithm=sha1",
    "cloudinary://123:abc@demo?signature_algorithm=sha256&folder=a/b",
    "cloudinary://123:abc@demo?folder=A-z_0.9",
    "cloudinary://123:abc@demo?folder=a..b",
    "cloudinary://123:abc@demo?secure=true&private_cdn=true&analytics=false",
    "cloudinary://123:abc@demo?secure_distribution=pictures.example",
    "cloudinary://123:abc@demo/pictures.example",
    "cloudinary://123:%40%2F%3F%23%25@demo",
    "cloudinary://123:a:b@demo",
};

static const char *const bad_urls[] = {
    "",
    "demo",
    "http://123:abc@demo",
    "cloudinary:123:abc@demo",
    "cloudinary://demo",
    "cloudinary://123@demo",
    "cloudinary://:s3cr@demo",
    "cloudinary://123:@demo",
    "cloudinary://123:s3cr@",
    "cloudinary://123:s3cr@demo:80",
    "cloudinary://123:s3cr@demo#x",
    "cloudinary://123:s3cr/et@demo",
    "cloudinary://123:s3cr?et@demo",
    "cloudinary://123:s3cr#et@demo",
    "cloudinary://123:s3cr%@demo",
    "cloudinary://123:s3cr%zz@demo",
    "cloudinary://123:s3cr%00@demo",
    "cloudinary://123:s3cr%0a@demo",
    "cloudinary://123:s3cr et@demo",
    "cloudinary://123:s3cr\n@demo",
    "cloudinary://1%2623:s3cr@demo",
    "cloudinary://123:s3cr@de%2Fmo",
    "cloudinary://123:s3cr@de.mo",
    "cloudinary://123:s3cr@demo/a/b",
    "cloudinary://123:s3cr@demo?upload_prefix",
    "cloudinary://123:s3cr@demo?=x",
    "cloudinary://123:s3cr@demo?upload_prefix=",
    "cloudinary://123:s3cr@demo?upload_prefix=api.example",
    "cloudinary://123:s3cr@demo?upload_prefix=ftp://api.example",
    "cloudinary://123:s3cr@demo?upload_prefix=file:///etc/passwd",
    "cloudinary://123:s3cr@demo?upload_prefix=http://api.example",
    "cloudinary://123:s3cr@demo?upload_prefix=http://127.0.0.1.api.example",
    "cloudinary://123:s3cr@demo?upload_prefix=http://localhost.api.example",
    "cloudinary://123:s3cr@demo?upload_prefix=http://128.0.0.1",
    "cloudinary://123:s3cr@demo?upload_prefix=http://2130706433",
    "cloudinary://123:s3cr@demo?upload_prefix=http://[::2]",
    "cloudinary://123:s3cr@demo?upload_prefix=https://u:p@api.example",
    "cloudinary://123:s3cr@demo?upload_prefix=http://127.0.0.1@api.example",
    "cloudinary://123:s3cr@demo?upload_prefix=https://",
    "cloudinary://123:s3cr@demo?upload_prefix=https://a%20b",
    "cloudinary://123:s3cr@demo?upload_prefix=https://a%0d%0ab",
    "cloudinary://123:s3cr@demo?upload_prefix=https://a%3Fx",
    "cloudinary://123:s3cr@demo?upload_prefix=https://a%23x",
    "cloudinary://123:s3cr@demo?upload_prefix=https://a/../b",
    "cloudinary://123:s3cr@demo?upload_prefix=https://a:0",
    "cloudinary://123:s3cr@demo?upload_prefix=https://a:65536",
    "cloudinary://123:s3cr@demo?upload_prefix=https://a:x",
    "cloudinary://123:s3cr@demo?upload_prefix=https://a:",
    "cloudinary://123:s3cr@demo?signature_algorithm=md5",
    "cloudinary://123:s3cr@demo?signature_algorithm=SHA256",
    "cloudinary://123:s3cr@demo?signature_algoritm=sha256",
    "cloudinary://123:s3cr@demo?api_proxy=http://proxy.example",
    "cloudinary://123:s3cr@demo?secure_distribution=https://a",
    "cloudinary://123:s3cr@demo?secure_distribution=a/b",
    "cloudinary://123:s3cr@demo?folder=",
    "cloudinary://123:s3cr@demo?folder=/a",
    "cloudinary://123:s3cr@demo?folder=a/",
    "cloudinary://123:s3cr@demo?folder=a//b",
    "cloudinary://123:s3cr@demo?folder=..",
    "cloudinary://123:s3cr@demo?folder=a/../b",
    "cloudinary://123:s3cr@demo?folder=a/.",
    "cloudinary://123:s3cr@demo?folder=a%26b",
    "cloudinary://123:s3cr@demo?folder=a%3Db",
    "cloudinary://123:s3cr@demo?folder=a+b",
    "cloudinary://123:s3cr@demo?folder=a%20b",
    "cloudinary://123:s3cr@demo?folder=a%2e%2e/%2e%2e",
    "cloudinary://123:s3cr@demo?folder=a&folder=b",
};

static void test_parse(void)
{
    up_cloudinary_settings s;
    const char *wrong;
    size_t i;

    for (i = 0; i < sizeof(good_urls) / sizeof(good_urls[0]); i++)
        is(up_cloudinary_parse(pool, good_urls[i], &s), NULL, good_urls[i]);
    for (i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++) {
        wrong = up_cloudinary_parse(pool, bad_urls[i], &s);
        ok(wrong && !strstr(wrong, "s3cr") && wrong[strlen(wrong) - 1] == '.',
           "refused without the secret: bad URL %d", (int)i);
    }
    wrong = up_cloudinary_parse(
        pool,
        apr_pstrcat(pool, "cloudinary://1:2@demo?folder=", apr_psprintf(pool, "%0201d", 0), NULL),
        &s);
    ok(wrong != NULL, "a folder of 201 bytes is refused");
    wrong = up_cloudinary_parse(pool, apr_psprintf(pool, "cloudinary://1:%04096d@demo", 0), &s);
    ok(wrong != NULL, "a URL of more than 4096 bytes is refused");
}

static void test_settings(void)
{
    up_cloudinary_settings s;
    const char *shown;

    up_cloudinary_parse(pool, "cloudinary://123:a%40b%25c@demo", &s);
    is(s.key, "123", "key");
    is(s.secret, "a@b%c", "the secret is percent-decoded");
    is(s.cloud, "demo", "cloud");
    is(s.folder, "avatars", "the default folder");
    is(s.upload_prefix, "https://api.cloudinary.com", "the default prefix");
    is(s.distribution, NULL, "no distribution by default");
    is_int(s.digest, UP_CLOUDINARY_SHA1, "SHA-1 by default");
    is_int(s.limits.connect, 3000000, "3 s to connect");
    is_int(s.limits.total, 10000000, "10 s in all");
    up_cloudinary_parse(pool,
                        "cloudinary://k:s3cr@c?upload_prefix=http://[::1]:81/x/"
                        "&signature_algorithm=sha256&secure_distribution=p.example&folder=a/b",
                        &s);
    is(s.upload_prefix, "http://[::1]:81/x", "a slash at the prefix's end is taken away");
    is(s.upload_host, "::1", "its host");
    is(s.upload_port, "81", "its port");
    is(s.distribution, "p.example", "distribution");
    is(s.folder, "a/b", "folder");
    is_int(s.digest, UP_CLOUDINARY_SHA256, "SHA-256");
    shown = up_cloudinary_display(pool, &s);
    is(shown,
       "cloudinary://***:***@c/p.example?folder=a/b&upload_prefix=http://[::1]:81/x"
       "&signature_algorithm=sha256",
       "what is shown has neither key nor secret");
}

/* --- signatures --- */

static apr_array_header_t *params_of(char *pairs)
{
    apr_array_header_t *params = apr_array_make(pool, 4, sizeof(up_http_field));
    char *pair, *last;

    for (pair = apr_strtok(pairs, "\t", &last); pair; pair = apr_strtok(NULL, "\t", &last)) {
        up_http_field *field = apr_array_push(params);
        char *equals = strchr(pair, '=');

        *equals = '\0';
        field->name = pair;
        field->value = equals + 1;
    }
    return params;
}

static void test_vectors(void)
{
    FILE *file = fopen("t/unit/data/cloudinary_signatures.txt", "r");
    char line[8192];
    int count = 0;

    ok(file != NULL, "the vectors of the SDK are there");
    while (file && fgets(line, sizeof(line), file)) {
        char *last, *sha1, *sha256, *secret;
        apr_array_header_t *params;

        if (line[0] == '#')
            continue;
        line[strcspn(line, "\n")] = '\0';
        sha1 = apr_strtok(line, "\t", &last);
        sha256 = apr_strtok(NULL, "\t", &last);
        secret = apr_strtok(NULL, "\t", &last);
        params = params_of(last);
        is(up_cloudinary_sign(pool, UP_CLOUDINARY_SHA1, params, secret), sha1, "SHA-1 as the SDK");
        is(up_cloudinary_sign(pool, UP_CLOUDINARY_SHA256, params, secret), sha256,
           "SHA-256 as the SDK");
        count++;
    }
    if (file)
        fclose(file);
    is_int(count, 15, "all vectors were read");
    is_int(system("perl t/cloudinary.pl --check t/unit/data/cloudinary_signatures.txt >/dev/null"),
           0, "the stand-in signs as the SDK too");
}

static const char *sign(const char *pairs)
{
    return up_cloudinary_sign(pool, UP_CLOUDINARY_SHA1, params_of(apr_pstrdup(pool, pairs)), "s");
}

static void test_forgery(void)
{
    is(sign("b=2\ta=1"), sign("a=1\tb=2"), "the order of parameters means nothing");
    ok(strcmp(sign("a=1&b=2"), sign("a=1\tb=2")) != 0, "& in a value is no second parameter");
    ok(strcmp(sign("a=1&b=2\tc=3"), sign("a=1\tb=2&c=3")) != 0, "nor moves the border of two");
    ok(strcmp(sign("a&b=1"), sign("a=\tb=1")) != 0, "nor in a name");
    is(sign("a=1\tb="), sign("a=1"), "a parameter without a value is left out");
}

/* --- which URLs are ours --- */

typedef struct url_case {
    const char *url, *asset;
} url_case;

static const url_case urls[] = {
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/" ID ".png", "avatars/" ID},
    {"https://res.cloudinary.com/demo/image/upload/avatars/" ID ".png", "avatars/" ID},
    {"https://res.cloudinary.com/demo/image/upload/avatars/" ID, "avatars/" ID},
    {"https://res.cloudinary.com/demo/image/upload/v1773489600/avatars/x_1-y.jpg", "avatars/x_1-y"},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x.jpeg", "avatars/x"},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x.webp", "avatars/x"},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x.png.png", "avatars/x.png"},
    {"http://res.cloudinary.com/demo/image/upload/v1/avatars/x.png", "avatars/x"},
    {"HTTPS://RES.Cloudinary.com/demo/image/upload/v1/avatars/x.png", "avatars/x"},
    {"https://res.cloudinary.com:443/demo/image/upload/v1/avatars/x.png", "avatars/x"},
    {"https://demo-res.cloudinary.com/image/upload/v1/avatars/x.png", "avatars/x"},
    {"https://p.example/image/upload/v1/avatars/x.png", "avatars/x"},
    {"https://p.example/demo/image/upload/v1/avatars/x.png", "avatars/x"},
    {"http://127.0.0.1:81/demo/image/upload/v1/avatars/x.png", "avatars/x"},
    {"https://127.0.0.1/demo/image/upload/v1/avatars/x.png", "avatars/x"},
    /* others' */
    {NULL, NULL},
    {"", NULL},
    {"/avatars/x.png", NULL},
    {"avatars/x", NULL},
    {"https://lh3.googleusercontent.com/a/x=s96-c", NULL},
    {"https://res.cloudinary.com/other/image/upload/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com/demo2/image/upload/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com/DEMO/image/upload/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com/image/upload/v1/avatars/x.png", NULL},
    {"https://demo-res.cloudinary.com/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://other-res.cloudinary.com/image/upload/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com.evil.example/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://evil.example/res.cloudinary.com/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://evil.example/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://xres.cloudinary.com/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com:8443/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com:80/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://u@res.cloudinary.com/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com@evil.example/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://127.0.0.1:82/demo/image/upload/v1/avatars/x.png", NULL},
    {"ftp://res.cloudinary.com/demo/image/upload/v1/avatars/x.png", NULL},
    {"//res.cloudinary.com/demo/image/upload/v1/avatars/x.png", NULL},
    {"https:res.cloudinary.com/demo/image/upload/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com", NULL},
    {"https://res.cloudinary.com/", NULL},
    /* other folders and other kinds */
    {"https://res.cloudinary.com/demo/image/upload/v1/x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/a/x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars2/x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/other/avatars/x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1//avatars/x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v/avatars/x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1x/avatars/x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/w_100,c_fill/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com/demo/image/private/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com/demo/raw/upload/v1/avatars/x.png", NULL},
    {"https://res.cloudinary.com/demo/video/upload/v1/avatars/x.png", NULL},
    /* tricks */
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/../x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/..", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/...png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x..png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/%2e%2e/x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x%2Fy.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x.png?y", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x.png#y", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x&timestamp=1.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x=1.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars\\x.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x\n.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/x y.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/\xc3\xa9.png", NULL},
    {"https://res.cloudinary.com/demo/image/upload/v1/avatars/john.smith", NULL},
    {" https://res.cloudinary.com/demo/image/upload/v1/avatars/x.png", NULL},
};

static up_avatar_storage *storage_of(const char *url)
{
    up_cloudinary_settings *s = apr_palloc(pool, sizeof(*s));

    is(up_cloudinary_parse(pool, url, s), NULL, url);
    return up_cloudinary_create(pool, s);
}

static void test_asset_of(void)
{
    up_avatar_storage *st =
        storage_of("cloudinary://1:2@demo/p.example?upload_prefix=http://127.0.0.1:81");
    up_avatar_storage *version = storage_of("cloudinary://1:2@demo?folder=v12/a.b");
    up_avatar_storage *six = storage_of("cloudinary://1:2@demo?upload_prefix=http://[::1]:81");
    const char *base = "https://res.cloudinary.com/demo/image/upload/";
    size_t i;

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        is(st->asset_of(st, pool, urls[i].url), urls[i].asset, urls[i].asset ? "ours" : "not ours");
    is(version->asset_of(version, pool, apr_pstrcat(pool, base, "v12/a.b/x.png", NULL)),
       "v12/a.b/x", "a folder may look like a version");
    is(version->asset_of(version, pool, apr_pstrcat(pool, base, "v1/v12/a.b/x.png", NULL)),
       "v12/a.b/x", "with a version before it too");
    is(version->asset_of(version, pool, apr_pstrcat(pool, base, "v12/a.b", NULL)), NULL,
       "the folder itself is no asset");
    is(six->asset_of(six, pool, "http://[::1]:81/demo/image/upload/v1/avatars/x.png"), "avatars/x",
       "the API's host may be an IPv6 address");
    is(six->asset_of(six, pool, "http://[::1]/demo/image/upload/v1/avatars/x.png"), "avatars/x",
       "without its port");
    is(six->asset_of(six, pool, "http://[::2]:81/demo/image/upload/v1/avatars/x.png"), NULL,
       "another address is not");
    is(st->asset_of(st, pool, apr_psprintf(pool, "%savatars/%0250d.png", base, 0)), NULL,
       "a public ID that is too long is refused");
    is(st->asset_of(st, pool, apr_psprintf(pool, "%savatars/%01000d.png", base, 0)), NULL,
       "a URL that is too long is refused");
}

static void test_new_asset(void)
{
    up_avatar_storage *st = storage_of("cloudinary://1:2@demo?folder=a/b");
    const char *one = st->new_asset(st, pool, UP_IMAGE_PNG);
    const char *two = st->new_asset(st, pool, UP_IMAGE_PNG);

    ok(strncmp(one, "a/b/", 4) == 0 && up_storage_is_random_id(one + 4, strlen(one + 4)),
       "a new asset is the folder and 128 bits in hexadecimal");
    ok(strcmp(one, two) != 0, "two differ");
}

/* --- the stand-in --- */

static const char *md5_of(up_picture *picture)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int len;
    apr_size_t i;
    apr_off_t start = 0;
    apr_size_t size = (apr_size_t)picture->size;
    char *data = apr_palloc(pool, size), *text;

    apr_file_seek(picture->file, APR_SET, &start);
    apr_file_read_full(picture->file, data, size, NULL);
    EVP_Digest(data, size, hash, &len, EVP_md5(), NULL);
    text = apr_pcalloc(pool, sizeof(hash) * 2 + 1);
    for (i = 0; i < len; i++) {
        text[2 * i] = hex[hash[i] >> 4];
        text[2 * i + 1] = hex[hash[i] & 15];
    }
    return text;
}

static void check_stored(const standin *service, const char *asset, up_picture *picture)
{
    json_t *json = standin_ask(service, "GET", "assets");
    json_t *stored = json_array_get(json_object_get(json, "assets"), 0);

    is(json_string_value(json_object_get(stored, "public_id")), asset, "it is there by its ID");
    is(json_string_value(json_object_get(stored, "md5")), md5_of(picture), "with all its bytes");
    json_decref(json);
}

static void round_trip(const standin *service, up_avatar_storage *st, up_image type)
{
    const char *extension = type == UP_IMAGE_JPEG ? "jpg" : type == UP_IMAGE_PNG ? "png" : "webp";
    const char *asset = st->new_asset(st, pool, type), *url = NULL;
    up_picture picture = make_picture(pool, type, 70001);
    up_upload_end end = UP_UPLOAD_UNKNOWN;

    ok(st->upload(st, pool, asset, &picture, &url, &end) == NULL, "a %s is uploaded", extension);
    ok(url && apr_strnatcmp(url + strlen(url) - strlen(extension), extension) == 0,
       "its URL ends in %s", extension);
    is(st->asset_of(st, pool, url), asset, "the URL leads back to the ID");
    check_stored(service, asset, &picture);
    is(standin_last(service, pool, "params"), "api_key,file,public_id,signature,timestamp",
       "nothing else is sent");
    is(standin_last(service, pool, "file_type"), up_image_media_type(type), "the type is");
    ok(st->destroy(st, pool, asset) == NULL, "it is destroyed");
    is(standin_last(service, pool, "invalidate"), "true", "copies in the network too");
    is(standin_last(service, pool, "params"), "api_key,invalidate,public_id,signature,timestamp",
       "nothing else is sent for that");
    is_int(standin_count(service, "assets"), 0, "it is gone");
    ok(st->destroy(st, pool, asset) == NULL, "destroying it again is a success");
}

static void test_service(const char *algorithm)
{
    standin service;
    up_cloudinary_settings *s;
    up_avatar_storage *st;

    if (!ok(standin_start(&service, algorithm) == 0, "the stand-in starts (%s)", algorithm))
        exit(1);
    s = standin_settings(&service, pool,
                         apr_pstrcat(pool, "&signature_algorithm=", algorithm, NULL));
    st = up_cloudinary_create(pool, s);
    round_trip(&service, st, UP_IMAGE_PNG);
    round_trip(&service, st, UP_IMAGE_JPEG);
    round_trip(&service, st, UP_IMAGE_WEBP);
    is(standin_last(&service, pool, "connection"), "1", "all over one connection");
    ok(strncmp(standin_last(&service, pool, "agent"), "mod_userprofile", 15) == 0,
       "the user agent is ours");
    standin_stop(&service);
}

/* Pieces of a larger file, whose position is anywhere, and new bytes. */
static void test_pieces(const standin *service, up_avatar_storage *st)
{
    up_picture file = make_picture(pool, UP_IMAGE_PNG, 90000), want;
    up_picture picture = in_pieces(pool, &file, &want);
    const char *asset = st->new_asset(st, pool, UP_IMAGE_PNG), *url;
    apr_off_t end = 0;
    up_upload_end how;

    apr_file_seek(picture.file, APR_END, &end);
    apr_file_puts("not of the picture", picture.file);
    ok(st->upload(st, pool, asset, &picture, &url, &how) == NULL, "a picture in pieces is stored");
    check_stored(service, asset, &want);
    picture = whole_file(pool, picture.file, 100000, UP_IMAGE_PNG);
    ok(st->upload(st, pool, asset, &picture, &url, &how) != NULL,
       "a file that is too short is a failure");
    standin_do(service, "reset");
}

static const char *const foreign_assets[] = {
    "",
    "avatars",
    "avatars/",
    "other/x",
    "avatarsx/x",
    "avatars/../x",
    "avatars/x&invalidate=false",
    "avatars/x=1",
    "avatars/x/y",
    "avatars/.x",
    "avatars/x.",
    "avatars/x\n",
    "avatars/a..b",
};

static void test_foreign(const standin *service, up_avatar_storage *st)
{
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 100);
    const char *url;
    up_upload_end end = UP_UPLOAD_UNKNOWN;
    size_t i;

    for (i = 0; i < sizeof(foreign_assets) / sizeof(foreign_assets[0]); i++)
        ok(st->destroy(st, pool, foreign_assets[i]) != NULL, "ID %d is not destroyed", (int)i);
    ok(st->upload(st, pool, "other/x", &picture, &url, &end) != NULL && end == UP_UPLOAD_FAILED,
       "a foreign ID is not uploaded");
    is_int(standin_count(service, "requests"), 0, "nothing was sent");
}

static void test_wrong_account(const standin *service)
{
    up_cloudinary_settings *s = standin_settings(service, pool, "");
    up_picture picture = make_picture(pool, UP_IMAGE_PNG, 100);
    up_problem *problem;
    up_avatar_storage *st;
    const char *url;
    up_upload_end end = UP_UPLOAD_UNKNOWN;

    s->secret = "wr0ng";
    st = up_cloudinary_create(pool, s);
    problem = st->upload(st, pool, "avatars/x", &picture, &url, &end);
    is_int(problem->code, UP_STORAGE_UPLOAD_ERROR, "a wrong secret is STORAGE_UPLOAD_ERROR");
    is_int(end, UP_UPLOAD_FAILED, "nothing is stored");
    ok(strstr(problem->log, "HTTP 401: Invalid Signature ***. String to sign") != NULL,
       "the log has the service's words without the signature");
    ok(strstr(problem->log, "check KEY, SECRET and CLOUD") != NULL, "and what to do");
    ok(!strstr(problem->log, "wr0ng"), "but not the secret");
    ok(!strstr(problem->message, "Cloudinary") && !strstr(problem->message, "127.0.0.1"),
       "the client learns nothing of it");
    ok(st->destroy(st, pool, "avatars/x") != NULL, "nor is anything destroyed");
    s->secret = STANDIN_SECRET;
    s->key = "key2";
    problem = st->upload(st, pool, "avatars/x", &picture, &url, &end);
    ok(strstr(problem->log, "Unknown API key key2") != NULL, "a wrong key is told");
    s->key = "key1";
    s->cloud = "nowhere";
    problem = st->upload(st, pool, "avatars/x", &picture, &url, &end);
    ok(strstr(problem->log, "Invalid cloud_name") != NULL, "a wrong cloud is told");
}

int main(void)
{
    standin service;
    up_avatar_storage *st;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    test_parse();
    test_settings();
    test_vectors();
    test_forgery();
    test_asset_of();
    test_new_asset();
    test_service("sha1");
    test_service("sha256");
    if (!ok(standin_start(&service, "sha1") == 0, "the stand-in starts"))
        return 1;
    st = up_cloudinary_create(pool, standin_settings(&service, pool, ""));
    test_foreign(&service, st);
    test_pieces(&service, st);
    test_wrong_account(&service);
    standin_stop(&service);
    apr_pool_destroy(pool);
    curl_global_cleanup();
    apr_terminate();
    return done_testing();
}
