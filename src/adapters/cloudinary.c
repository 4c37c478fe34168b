/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/cloudinary.h"

#include "adapters/storage_url.h"
#include "core/wipe.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* How much of the service's own words goes to the log, in bytes. */
#define MESSAGE_MAX 200

typedef struct cloudinary {
    up_avatar_storage port; /* first: the port's functions get a pointer to it */
    const up_cloudinary_settings *settings;
    up_http_client *http;
} cloudinary;

/* One call of the API. */
typedef struct call {
    const up_cloudinary_settings *settings;
    apr_pool_t *pool;
    const char *action; /* "upload", "destroy" */
    const char *asset;
    const char *signature; /* NULL before it is made */
    up_http_answer answer;
    json_t *json; /* the answer, freed with the pool */
} call;

/* What follows prefix in text, or NULL where it does not begin with it. */
static const char *after(const char *text, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    return text && strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const up_http_field *)a)->name, ((const up_http_field *)b)->name);
}

static const char *escape_ampersands(apr_pool_t *p, const char *text)
{
    char *out, *to;

    if (!strchr(text, '&'))
        return text;
    to = out = apr_palloc(p, 3 * strlen(text) + 1);
    for (; *text; text++)
        if (*text == '&')
            to = apr_cpystrn(to, "%26", 4);
        else
            *to++ = *text;
    *to = '\0';
    return out;
}

const char *up_cloudinary_sign(apr_pool_t *p, up_cloudinary_digest digest,
                               apr_array_header_t *params, const char *secret)
{
    const EVP_MD *md = digest == UP_CLOUDINARY_SHA256 ? EVP_sha256() : EVP_sha1();
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    const char *text = "";
    char *signed_text;
    int i, done;

    qsort(params->elts, (size_t)params->nelts, sizeof(up_http_field), by_name);
    for (i = 0; i < params->nelts; i++) {
        const up_http_field *param = &APR_ARRAY_IDX(params, i, up_http_field);

        if (*param->value)
            text = apr_pstrcat(p, text, *text ? "&" : "", escape_ampersands(p, param->name), "=",
                               escape_ampersands(p, param->value), NULL);
    }
    signed_text = apr_pstrcat(p, text, secret, NULL);
    done = EVP_Digest(signed_text, strlen(signed_text), hash, &len, md, NULL) == 1;
    up_wipe(signed_text);
    return done ? apr_pescape_hex(p, hash, len, 0) : NULL;
}

/* Ours: in our folder, and of characters that mean nothing in a signature, a path or a URL. */
static int is_ours(const up_cloudinary_settings *s, const char *asset)
{
    apr_size_t folder = strlen(s->folder), len = strlen(asset);
    const char *id = asset + folder + 1;

    return len < UP_ASSET_ID_MAX && len > folder + 1 && strncmp(asset, s->folder, folder) == 0 &&
           asset[folder] == '/' && id[0] != '.' && id[len - folder - 2] != '.' &&
           up_storage_url_has_only(id, len - folder - 1, "_-.") && !strstr(id, "..");
}

/* The service's words as they may stand in a log: no secret, no signature, no control characters,
 * not long. */
static const char *quote(const call *c, const char *text)
{
    char *out = apr_palloc(c->pool, MESSAGE_MAX + 4), *to = out;

    while (*text && to - out < MESSAGE_MAX) {
        const char *rest = after(text, c->settings->secret);

        if (!rest && c->signature)
            rest = after(text, c->signature);
        if (rest)
            to = apr_cpystrn(to, "***", 4);
        else
            *to++ = *text++;
        text = rest ? rest : text;
    }
    *to = '\0';
    return apr_pescape_echo(c->pool, out, 0);
}

static up_problem *failed(const call *c, const char *why)
{
    return up_problem_logged(c->pool, UP_STORAGE_UPLOAD_ERROR,
                             "Cloudinary: the %s of %s failed at %s (cloud %s): %s", c->action,
                             apr_pescape_echo(c->pool, c->asset, 0), c->settings->upload_prefix,
                             c->settings->cloud, why);
}

static const char *advice(int status)
{
    switch (status) {
    case 401:
    case 403:
        return "check KEY, SECRET and CLOUD in the storage's URL, and this machine's clock";
    case 404:
        return "check CLOUD and upload_prefix in the storage's URL";
    case 420:
    case 429:
        return "the account's rate limit is used up; see its plan";
    default:
        if (status >= 500)
            return "the service has a problem of its own; see status.cloudinary.com";
        if (status >= 300 && status < 400)
            return "redirects are not followed; check upload_prefix in the storage's URL";
        return "see the Cloudinary console";
    }
}

static up_problem *refused(const call *c)
{
    json_t *error = json_object_get(c->json, "error");
    const char *message = json_string_value(json_object_get(error, "message"));

    return failed(c, apr_psprintf(c->pool, "HTTP %d: %s; %s", c->answer.status,
                                  message ? quote(c, message) : "(no message)",
                                  advice(c->answer.status)));
}

static apr_status_t free_json(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

static void read_json(call *c)
{
    c->json = json_loadb(c->answer.body, c->answer.len, JSON_REJECT_DUPLICATES, NULL);
    if (c->json)
        apr_pool_cleanup_register(c->pool, c->json, free_json, apr_pool_cleanup_null);
}

static void add(apr_array_header_t *fields, const char *name, const char *value)
{
    up_http_field *field = apr_array_push(fields);

    field->name = name;
    field->value = value;
}

/* Sends a signed call: of constant parameters and our own public ID, nothing of a client's. */
static up_problem *send_call(cloudinary *self, call *c, apr_array_header_t *fields,
                             const up_http_file *file)
{
    const up_cloudinary_settings *s = c->settings;
    up_http_form form = {.fields = fields, .file = file};
    const char *why;

    if (!is_ours(s, c->asset))
        return failed(c, "this is no public ID in the storage's folder; nothing was sent");
    form.url =
        apr_pstrcat(c->pool, s->upload_prefix, "/v1_1/", s->cloud, "/image/", c->action, NULL);
    add(fields, "public_id", c->asset);
    add(fields, "timestamp", apr_ltoa(c->pool, (long)apr_time_sec(apr_time_now())));
    c->signature = up_cloudinary_sign(c->pool, s->digest, fields, s->secret);
    if (!c->signature)
        return failed(c, "libcrypto does not provide the digest of signature_algorithm");
    add(fields, "signature", c->signature);
    add(fields, "api_key", s->key);
    why = up_http_post(self->http, c->pool, &form, &c->answer);
    if (why)
        return failed(c, why);
    read_json(c);
    return NULL;
}

static call make_call(const cloudinary *self, apr_pool_t *p, const char *action, const char *asset)
{
    return (call){.settings = self->settings, .pool = p, .action = action, .asset = asset};
}

static const char *new_asset(up_avatar_storage *storage, apr_pool_t *p, up_image type)
{
    const cloudinary *self = (const cloudinary *)storage;
    const char *id = up_storage_random_id(p);

    (void)type;
    return id ? apr_pstrcat(p, self->settings->folder, "/", id, NULL) : NULL;
}

static const char *after_scheme(const char *url, const char **port)
{
    if (strncasecmp(url, "https://", 8) == 0) {
        *port = "443";
        return url + 8;
    }
    *port = "80";
    return strncasecmp(url, "http://", 7) == 0 ? url + 7 : NULL;
}

/* Whose host is this authority? Bits: the path begins with the cloud's name, or does not. */
enum { WITH_CLOUD = 1, WITHOUT_CLOUD = 2 };

static int known_host(apr_pool_t *p, const up_cloudinary_settings *s, const char *authority,
                      const char *default_port)
{
    const char *colon = strrchr(authority, ':');
    const char *host = authority, *port = NULL;
    apr_size_t len;

    if (colon && !strchr(colon, ']')) {
        host = apr_pstrmemdup(p, authority, (apr_size_t)(colon - authority));
        port = colon + 1;
    }
    len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']')
        host = apr_pstrmemdup(p, host + 1, len - 2);
    if (strcasecmp(host, s->upload_host) == 0 &&
        (!port || strcmp(port, default_port) == 0 ||
         (s->upload_port && strcmp(port, s->upload_port) == 0)))
        return WITH_CLOUD;
    if (port && strcmp(port, default_port) != 0)
        return 0;
    if (strcasecmp(host, "res.cloudinary.com") == 0)
        return WITH_CLOUD;
    if (strcasecmp(host, apr_pstrcat(p, s->cloud, "-res.cloudinary.com", NULL)) == 0)
        return WITHOUT_CLOUD;
    if (s->distribution && strcasecmp(host, s->distribution) == 0)
        return WITH_CLOUD | WITHOUT_CLOUD;
    return 0;
}

/* "folder/id.ext" without its ".ext", which must be a picture's, or "folder/id". */
static const char *without_extension(apr_pool_t *p, const char *asset)
{
    static const char *const extensions[] = {"jpg",  "jpeg", "png",  "webp", "gif", "avif",
                                             "heic", "bmp",  "tiff", "svg",  NULL};
    const char *dot = strrchr(asset, '.');
    int i;

    if (!dot || strchr(dot, '/'))
        return asset;
    for (i = 0; extensions[i]; i++) {
        if (strcasecmp(dot + 1, extensions[i]) == 0)
            return apr_pstrmemdup(p, asset, (apr_size_t)(dot - asset));
    }
    /* Without knowing what the dot divides, another's picture could be meant. */
    return NULL;
}

/* After ".../image/upload/": [v<digits>/]folder/id[.ext]. */
static const char *asset_of_path(apr_pool_t *p, const up_cloudinary_settings *s, const char *path)
{
    const char *asset = after(after(path, s->folder), "/") ? path : NULL;

    if (!asset && path[0] == 'v' && apr_isdigit(path[1])) {
        path += 1 + strspn(path + 1, "0123456789");
        asset = after(path, "/");
    }
    asset = asset ? without_extension(p, asset) : NULL;
    return asset && is_ours(s, asset) ? apr_pstrdup(p, asset) : NULL;
}

static const char *asset_of(up_avatar_storage *storage, apr_pool_t *p, const char *url)
{
    const up_cloudinary_settings *s = ((const cloudinary *)storage)->settings;
    const char *default_port, *authority, *path, *rest = NULL;
    int host;

    if (!url || !up_storage_url_is_plain(url, UP_PICTURE_URL_MAX) || strpbrk(url, "%?#\\@"))
        return NULL;
    authority = after_scheme(url, &default_port);
    path = authority ? strchr(authority, '/') : NULL;
    if (!path)
        return NULL;
    authority = apr_pstrmemdup(p, authority, (apr_size_t)(path - authority));
    host = known_host(p, s, authority, default_port);
    path++;
    if (host & WITH_CLOUD)
        rest = after(path, apr_pstrcat(p, s->cloud, "/image/upload/", NULL));
    if (!rest && (host & WITHOUT_CLOUD))
        rest = after(path, "image/upload/");
    return rest ? asset_of_path(p, s, rest) : NULL;
}

static int is_loopback_url(apr_pool_t *p, const char *url)
{
    const char *authority = after(url, "http://");
    const char *end = authority ? strchr(authority, '/') : NULL;
    const char *host = end ? apr_pstrmemdup(p, authority, (apr_size_t)(end - authority)) : "";
    char *colon = strrchr(host, ':');

    if (colon && !strchr(colon, ']'))
        *colon = '\0';
    return up_storage_url_is_loopback(host);
}

/* Is the answer to an upload what it must be? @return NULL, or why not. */
static const char *check_upload(cloudinary *self, const call *c, const char **url)
{
    const char *id = json_string_value(json_object_get(c->json, "public_id"));
    const char *secure = json_string_value(json_object_get(c->json, "secure_url"));
    const char *asset;

    if (!json_is_object(c->json))
        return "the answer is no JSON object; check upload_prefix in the storage's URL";
    if (!id || strcmp(id, c->asset) != 0)
        return apr_psprintf(c->pool,
                            "the picture was stored as '%s'; does an upload preset of the "
                            "account change public IDs?",
                            id ? quote(c, id) : "");
    if (!secure)
        return "the answer has no secure_url";
    if (!after(secure, "https://") && !is_loopback_url(c->pool, secure))
        return apr_psprintf(c->pool, "the answer's secure_url '%s' is not https", quote(c, secure));
    asset = asset_of(&self->port, c->pool, secure);
    if (!asset || strcmp(asset, c->asset) != 0)
        return apr_psprintf(c->pool,
                            "the answer's secure_url '%s' does not tell the public ID, so "
                            "the picture could not be deleted later; if the account has a "
                            "host of its own, name it as secure_distribution in the "
                            "storage's URL",
                            quote(c, secure));
    *url = apr_pstrdup(c->pool, secure);
    return NULL;
}

/* Of a failed upload. Other statuses of 4xx are about the account (its key, its plan, its rate),
 * and so about every picture. */
static up_upload_end end_of(const up_http_answer *answer)
{
    if (!answer->sent)
        return UP_UPLOAD_FAILED;
    switch (answer->status) {
    case 400:
    case 413:
    case 415:
    case 422:
        return UP_UPLOAD_REFUSED;
    default:
        return answer->status >= 400 && answer->status < 500 ? UP_UPLOAD_FAILED : UP_UPLOAD_UNKNOWN;
    }
}

static up_problem *upload(up_avatar_storage *storage, apr_pool_t *p, const char *asset,
                          const up_picture *picture, const char **url, up_upload_end *end)
{
    cloudinary *self = (cloudinary *)storage;
    call c = make_call(self, p, "upload", asset);
    up_http_file file = {.name = "file",
                         .filename = "avatar",
                         .media_type = up_image_media_type(picture->type),
                         .picture = picture};
    up_problem *problem = send_call(self, &c, apr_array_make(p, 4, sizeof(up_http_field)), &file);
    const char *why;

    *end = end_of(&c.answer);
    if (problem)
        return problem;
    if (c.answer.status != 200 || json_object_get(c.json, "error"))
        return refused(&c);
    why = check_upload(self, &c, url);
    return why ? failed(&c, why) : NULL;
}

static up_problem *destroy(up_avatar_storage *storage, apr_pool_t *p, const char *asset)
{
    cloudinary *self = (cloudinary *)storage;
    call c = make_call(self, p, "destroy", asset);
    apr_array_header_t *fields = apr_array_make(p, 5, sizeof(up_http_field));
    up_problem *problem;
    const char *result;

    /* The copies in the content delivery network are the same picture. */
    add(fields, "invalidate", "true");
    problem = send_call(self, &c, fields, NULL);
    if (problem)
        return problem;
    result = json_string_value(json_object_get(c.json, "result"));
    if ((c.answer.status == 200 || c.answer.status == 404) && result &&
        (strcmp(result, "ok") == 0 || strcmp(result, "not found") == 0))
        return NULL;
    if (c.answer.status != 200 || json_object_get(c.json, "error"))
        return refused(&c);
    return failed(&c, result ? apr_psprintf(p, "the result is '%s'", quote(&c, result))
                             : "the answer is no JSON object with a result; check upload_prefix in "
                               "the storage's URL");
}

up_avatar_storage *up_cloudinary_create(apr_pool_t *p, const up_cloudinary_settings *settings)
{
    cloudinary *self = apr_pcalloc(p, sizeof(*self));

    self->settings = settings;
    self->http = up_http_client_create(p, &settings->limits, settings->agent);
    self->port.new_asset = new_asset;
    self->port.upload = upload;
    self->port.destroy = destroy;
    self->port.asset_of = asset_of;
    return self->http ? &self->port : NULL;
}
