/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/cloudinary.h"

#include "adapters/storage_url.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_uri.h>
#include <string.h>
#include <strings.h>

#define FOLDER_MAX 200
#define CLOUD_MAX 64
#define HOST_MAX 253
#define PREFIX_MAX 512

/* What the SDKs know and uploads do not depend on. */
static const char *const ignored[] = {
    "analytics",
    "cdn_subdomain",
    "cname",
    "force_version",
    "long_url_signature",
    "private_cdn",
    "secure",
    "secure_cdn_subdomain",
    "shorten",
    "sign_url",
    "signature_version",
    "use_root_path",
    NULL,
};

static const char *set_folder(apr_pool_t *p, const char *value, up_cloudinary_settings *s)
{
    apr_size_t len = strlen(value);

    (void)p;
    if (len > FOLDER_MAX || !up_storage_url_has_only(value, len, "_-./") || value[0] == '/' ||
        value[len - 1] == '/' || up_storage_url_has_dots(value))
        return "folder must be 1 to 200 of the characters A-Z a-z 0-9 _ - . /, without a slash at "
               "its start or end and without the segments . and .. .";
    s->folder = value;
    return NULL;
}

static const char *set_algorithm(apr_pool_t *p, const char *value, up_cloudinary_settings *s)
{
    (void)p;
    if (strcmp(value, "sha1") == 0)
        s->digest = UP_CLOUDINARY_SHA1;
    else if (strcmp(value, "sha256") == 0)
        s->digest = UP_CLOUDINARY_SHA256;
    else
        return "signature_algorithm must be sha1 or sha256.";
    return NULL;
}

static const char *set_distribution(apr_pool_t *p, const char *value, up_cloudinary_settings *s)
{
    apr_size_t len = strlen(value);

    (void)p;
    if (len > HOST_MAX || !up_storage_url_has_only(value, len, "-."))
        return "secure_distribution must be a host name, without a scheme, a port or a path.";
    s->distribution = value;
    return NULL;
}

static int is_port(const char *port)
{
    apr_size_t len = strlen(port);
    apr_int64_t number = len <= 5 ? apr_atoi64(port) : 0;

    return strspn(port, "0123456789") == len && number >= 1 && number <= 65535;
}

static const char *set_prefix(apr_pool_t *p, const char *value, up_cloudinary_settings *s)
{
    static const char wrong[] = "upload_prefix must be https://host[:port][/path], without user, "
                                "query or fragment.";
    apr_size_t len = strlen(value);
    apr_uri_t uri;

    if (!up_storage_url_is_plain(value, PREFIX_MAX) || strchr(value, '\\') ||
        apr_uri_parse(p, value, &uri) != APR_SUCCESS || !uri.scheme)
        return wrong;
    if (strcasecmp(uri.scheme, "https") != 0 && strcasecmp(uri.scheme, "http") != 0)
        return wrong;
    if (!uri.hostname || !up_storage_url_has_only(uri.hostname, strlen(uri.hostname), "-.:") ||
        uri.user || uri.password || uri.query || uri.fragment ||
        (uri.port_str && !is_port(uri.port_str)) || (uri.path && up_storage_url_has_dots(uri.path)))
        return wrong;
    if (strcasecmp(uri.scheme, "http") == 0 && !up_storage_url_is_loopback(uri.hostname))
        return "upload_prefix must be https://; http:// is only for this machine (localhost, "
               "127.0.0.0/8, [::1]), as the pictures would travel unencrypted.";
    s->upload_prefix = apr_pstrndup(p, value, value[len - 1] == '/' ? len - 1 : len);
    s->upload_host = uri.hostname;
    s->upload_port = uri.port_str;
    return NULL;
}

typedef struct parameter {
    const char *name;
    const char *(*set)(apr_pool_t *p, const char *value, up_cloudinary_settings *s);
} parameter;

static const parameter parameters[] = {
    {"folder", set_folder},
    {"signature_algorithm", set_algorithm},
    {"secure_distribution", set_distribution},
    {"upload_prefix", set_prefix},
    {NULL, NULL},
};

static const char *set_parameter(apr_pool_t *p, const apr_table_entry_t *entry,
                                 up_cloudinary_settings *s)
{
    int i;

    for (i = 0; parameters[i].name; i++) {
        if (strcmp(entry->key, parameters[i].name) == 0)
            return parameters[i].set(p, entry->val, s);
    }
    for (i = 0; ignored[i]; i++) {
        if (strcmp(entry->key, ignored[i]) == 0)
            return NULL;
    }
    return "A parameter is unknown: there are folder, secure_distribution, signature_algorithm and "
           "upload_prefix (a ? within a secret is %3F).";
}

static const char *set_account(const up_storage_url *url, up_cloudinary_settings *s)
{
    apr_size_t len = strlen(url->host);

    if (!*url->user || !*url->password || !*url->host)
        return "The URL must be cloudinary://KEY:SECRET@CLOUD: copy it from the console's API "
               "keys.";
    if (!up_storage_url_has_only(url->user, strlen(url->user), "_-"))
        return "KEY must consist of letters, digits, - and _ .";
    if (len > CLOUD_MAX || !up_storage_url_has_only(url->host, len, "_-"))
        return "CLOUD must be 1 to 64 letters, digits, - and _ .";
    s->key = url->user;
    s->secret = url->password;
    s->cloud = url->host;
    return NULL;
}

static void set_defaults(up_cloudinary_settings *s)
{
    memset(s, 0, sizeof(*s));
    s->folder = "avatars";
    s->upload_prefix = "https://api.cloudinary.com";
    s->upload_host = "api.cloudinary.com";
    s->digest = UP_CLOUDINARY_SHA1;
    s->agent = "mod_userprofile";
    s->limits.connect = apr_time_from_sec(3);
    s->limits.total = apr_time_from_sec(10);
    s->limits.stall = apr_time_from_sec(5);
    s->limits.stall_rate = 1024;
    s->limits.answer_max = 65536;
    s->limits.idle_max = 8;
}

const char *up_cloudinary_parse(apr_pool_t *p, const char *text, up_cloudinary_settings *settings)
{
    up_storage_url url;
    const char *wrong = up_storage_url_parse(p, text, "cloudinary", &url);
    const apr_array_header_t *query;
    int i;

    set_defaults(settings);
    if (!wrong)
        wrong = set_account(&url, settings);
    if (!wrong && *url.path && strcmp(url.path, "/") != 0)
        wrong = set_distribution(p, url.path + 1, settings);
    if (wrong)
        return wrong;
    query = apr_table_elts(url.query);
    for (i = 0; !wrong && i < query->nelts; i++)
        wrong = set_parameter(p, &APR_ARRAY_IDX(query, i, apr_table_entry_t), settings);
    return wrong;
}

const char *up_cloudinary_display(apr_pool_t *p, const up_cloudinary_settings *s)
{
    return apr_psprintf(p,
                        "cloudinary://***:***@%s%s%s?folder=%s&upload_prefix=%s"
                        "&signature_algorithm=%s",
                        s->cloud, s->distribution ? "/" : "",
                        s->distribution ? s->distribution : "", s->folder, s->upload_prefix,
                        s->digest == UP_CLOUDINARY_SHA256 ? "sha256" : "sha1");
}
