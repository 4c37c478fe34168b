/* SPDX-License-Identifier: Apache-2.0 */

/* What the module is measured against, in an httpd that has this module instead:
 *
 *     <Location "/constant">
 *         BenchConstant 320
 *     </Location>
 *
 * answers 320 bytes of JSON and does nothing else; the location is claimed before httpd
 * looks for files, so that no handler can be faster.
 *
 *     <Location "/spool">
 *         BenchSpool "http://127.0.0.1:8081/put"
 *     </Location>
 *
 * writes a body to a temporary file, PUTs that by libcurl, and answers 200 where the
 * other side did. */
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

#include <apr_strings.h>
#include <curl/curl.h>
#include <string.h>

APLOG_USE_MODULE(bench);
module AP_MODULE_DECLARE_DATA bench_module;

/* A piece of a body, as it is read and written. */
#define PIECE 65536

typedef struct place {
    char *body; /* or NULL */
    apr_size_t len;
    const char *sink; /* a URL, or NULL */
} place;

static void *make_place(apr_pool_t *p, char *path)
{
    (void)path;
    return apr_pcalloc(p, sizeof(place));
}

static const char *set_constant(cmd_parms *cmd, void *conf, const char *bytes)
{
    place *here = conf;

    here->len = (apr_size_t)apr_atoi64(bytes);
    if (here->len < 2 || here->len > PIECE)
        return "BenchConstant: 2 to 65536 bytes";
    here->body = apr_palloc(cmd->pool, here->len);
    memset(here->body, ' ', here->len);
    here->body[0] = '{';
    here->body[here->len - 1] = '}';
    return NULL;
}

static const command_rec directives[] = {
    AP_INIT_TAKE1("BenchConstant", set_constant, NULL, ACCESS_CONF, "bytes of the answer"),
    AP_INIT_TAKE1("BenchSpool", ap_set_string_slot, (void *)APR_OFFSETOF(place, sink), ACCESS_CONF,
                  "URL that bodies are PUT to"),
    {NULL, {NULL}, NULL, 0, 0, NULL}};

static const place *place_of(const request_rec *r)
{
    const place *here = ap_get_module_config(r->per_dir_config, &bench_module);

    return here->body || here->sink ? here : NULL;
}

static int claim(request_rec *r)
{
    return place_of(r) ? OK : DECLINED;
}

/* --- The constant answer --- */

static int answer(request_rec *r, const char *body, apr_size_t len)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);

    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)len);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_immortal_create(body, len, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    return ap_pass_brigade(r->output_filters, bb) == APR_SUCCESS ? OK : AP_FILTER_ERROR;
}

/* --- A body to a file and on --- */

static apr_status_t spool(request_rec *r, apr_file_t *file, apr_off_t *size)
{
    char *piece = apr_palloc(r->pool, PIECE);
    apr_status_t status = APR_SUCCESS;
    long got;

    while (status == APR_SUCCESS && (got = ap_get_client_block(r, piece, PIECE)) > 0) {
        status = apr_file_write_full(file, piece, (apr_size_t)got, NULL);
        *size += got;
    }
    return status ? status : got < 0 ? APR_EGENERAL : APR_SUCCESS;
}

static size_t read_file(char *to, size_t size, size_t count, void *file)
{
    apr_size_t len = size * count;

    return apr_file_read(file, to, &len) == APR_SUCCESS ? len : 0;
}

static size_t ignore(char *data, size_t size, size_t count, void *baton)
{
    (void)data;
    (void)baton;
    return size * count;
}

/* A handle for each thread, whose connection stays open. */
static CURL *handle(void)
{
    static __thread CURL *kept;

    if (kept)
        curl_easy_reset(kept);
    else
        kept = curl_easy_init();
    return kept;
}

static long put(const char *url, apr_file_t *file, apr_off_t size)
{
    CURL *curl = handle();
    long status = 0;

    if (!curl)
        return 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)PIECE);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_file);
    curl_easy_setopt(curl, CURLOPT_READDATA, file);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static int pass_on(request_rec *r, const char *url)
{
    char *name = apr_pstrdup(r->pool, "/tmp/bench-XXXXXX");
    const char *folder = NULL;
    apr_file_t *file = NULL;
    apr_off_t size = 0, start = 0;
    int refused = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);

    if (refused)
        return refused;
    if (apr_temp_dir_get(&folder, r->pool) == APR_SUCCESS)
        name = apr_pstrcat(r->pool, folder, "/bench-XXXXXX", NULL);
    if (apr_file_mktemp(&file, name, 0, r->pool) || spool(r, file, &size) ||
        apr_file_seek(file, APR_SET, &start) || put(url, file, size) != 200)
        return HTTP_BAD_GATEWAY;
    return answer(r, "{}", 2);
}

static int handle_request(request_rec *r)
{
    const place *here = place_of(r);

    if (!here)
        return DECLINED;
    return here->body ? answer(r, here->body, here->len) : pass_on(r, here->sink);
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_map_to_storage(claim, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(handle_request, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

module AP_MODULE_DECLARE_DATA bench_module = {
    STANDARD20_MODULE_STUFF, make_place, NULL, NULL, NULL, directives, register_hooks, 0};
