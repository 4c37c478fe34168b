/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/http_client.h"

#include "adapters/clock.h"
#include "adapters/picture_reader.h"

#include <apr_escape.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <curl/curl.h>
#include <string.h>

/* libcurl's own buffers: a request costs this much memory, whatever its size. */
#define UPLOAD_BUFFER 65536L
#define RECEIVE_BUFFER 16384L

/* What an answer's buffer starts with; it doubles up to answer_max. */
#define ANSWER_FIRST 4096

struct up_http_client {
    up_http_limits limits;
    const char *agent;
    apr_thread_mutex_t *mutex; /* guards what follows */
    CURL **idle;               /* a stack: the warmest connection is taken first */
    int idle_count;
};

/* One request on its way. */
typedef struct transfer {
    up_http_client *client;
    apr_pool_t *pool;
    const up_http_form *form;
    up_http_answer *answer;
    apr_size_t room;            /* bytes allocated for answer->body, its NUL included */
    apr_off_t sent;             /* bytes of the file that libcurl has read */
    apr_time_t mark;            /* when the transfer was last seen to be fast enough */
    curl_off_t mark_bytes;      /* what had been moved by then, both ways */
    const char *reason;         /* why a callback stopped the transfer */
    char text[CURL_ERROR_SIZE]; /* libcurl's own words */
} transfer;

static apr_status_t close_idle(void *data)
{
    up_http_client *client = data;

    while (client->idle_count > 0)
        curl_easy_cleanup(client->idle[--client->idle_count]);
    return APR_SUCCESS;
}

up_http_client *up_http_client_create(apr_pool_t *p, const up_http_limits *limits,
                                      const char *agent)
{
    up_http_client *client = apr_pcalloc(p, sizeof(*client));

    client->limits = *limits;
    client->agent = apr_pstrdup(p, agent);
    client->idle = apr_pcalloc(p, sizeof(CURL *) * (apr_size_t)(limits->idle_max + 1));
    if (apr_thread_mutex_create(&client->mutex, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS)
        return NULL;
    apr_pool_cleanup_register(p, client, close_idle, apr_pool_cleanup_null);
    return client;
}

/* A handle of one's own: a kept one, or a new one, or NULL where memory is out. */
static CURL *borrow(up_http_client *client)
{
    CURL *curl = NULL;

    apr_thread_mutex_lock(client->mutex);
    if (client->idle_count > 0)
        curl = client->idle[--client->idle_count];
    apr_thread_mutex_unlock(client->mutex);
    return curl ? curl : curl_easy_init();
}

static void give_back(up_http_client *client, CURL *curl)
{
    /* Options go, the connection stays. */
    curl_easy_reset(curl);
    apr_thread_mutex_lock(client->mutex);
    if (client->idle_count < client->limits.idle_max) {
        client->idle[client->idle_count++] = curl;
        curl = NULL;
    }
    apr_thread_mutex_unlock(client->mutex);
    if (curl)
        curl_easy_cleanup(curl);
}

static size_t read_file(char *buffer, size_t size, size_t count, void *data)
{
    transfer *t = data;
    const up_picture *picture = t->form->file->picture;
    apr_size_t len = size * count;
    apr_status_t status = up_picture_read(picture, t->sent, buffer, &len);

    if (status != APR_SUCCESS) {
        t->reason = apr_psprintf(t->pool,
                                 "the file could not be read at byte %" APR_OFF_T_FMT
                                 " of %" APR_OFF_T_FMT ": %pm",
                                 t->sent, picture->size, &status);
        return CURL_READFUNC_ABORT;
    }
    t->sent += (apr_off_t)len;
    return len;
}

static int seek_file(void *data, curl_off_t offset, int origin)
{
    transfer *t = data;

    if (origin != SEEK_SET || offset < 0 || offset > t->form->file->picture->size)
        return CURL_SEEKFUNC_FAIL;
    t->sent = (apr_off_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t take_answer(char *data, size_t size, size_t count, void *baton)
{
    transfer *t = baton;
    up_http_answer *answer = t->answer;
    apr_size_t len = size * count;

    if (len > t->client->limits.answer_max - answer->len) {
        t->reason = apr_psprintf(t->pool, "the answer is longer than %" APR_SIZE_T_FMT " bytes",
                                 t->client->limits.answer_max);
        return 0;
    }
    if (answer->len + len >= t->room) {
        char *larger;

        t->room = t->room ? 2 * t->room : ANSWER_FIRST;
        if (t->room <= answer->len + len)
            t->room = answer->len + len + 1;
        larger = apr_palloc(t->pool, t->room);
        memcpy(larger, answer->body, answer->len);
        answer->body = larger;
    }
    memcpy((char *)answer->body + answer->len, data, len);
    answer->len += len;
    ((char *)answer->body)[answer->len] = '\0';
    return len;
}

/* libcurl's own low-speed limit would count the time that the server thinks. */
static int watch(void *data, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                 curl_off_t up)
{
    transfer *t = data;
    const up_http_limits *limits = &t->client->limits;
    apr_time_t now = up_clock();
    int thinking = up >= up_total && down == 0;

    (void)down_total;
    if (thinking ||
        down + up - t->mark_bytes >= (curl_off_t)limits->stall_rate * apr_time_sec(limits->stall)) {
        t->mark = now;
        t->mark_bytes = down + up;
    }
    if (now - t->mark <= limits->stall)
        return 0;
    t->reason = apr_psprintf(t->pool,
                             "the transfer was slower than %" APR_SIZE_T_FMT
                             " bytes a second for %" APR_TIME_T_FMT " ms",
                             limits->stall_rate, apr_time_as_msec(limits->stall));
    return 1;
}

static curl_mime *make_form(CURL *curl, transfer *t)
{
    const apr_array_header_t *fields = t->form->fields;
    const up_http_file *file = t->form->file;
    curl_mime *mime = curl_mime_init(curl);
    curl_mimepart *part;
    CURLcode rc = mime ? CURLE_OK : CURLE_OUT_OF_MEMORY;
    int i;

    for (i = 0; rc == CURLE_OK && i < fields->nelts; i++) {
        const up_http_field *field = &APR_ARRAY_IDX(fields, i, up_http_field);

        part = curl_mime_addpart(mime);
        if (!part || curl_mime_name(part, field->name) != CURLE_OK)
            rc = CURLE_OUT_OF_MEMORY;
        else
            rc = curl_mime_data(part, field->value, CURL_ZERO_TERMINATED);
    }
    if (rc == CURLE_OK && file) {
        part = curl_mime_addpart(mime);
        if (!part || curl_mime_name(part, file->name) != CURLE_OK ||
            curl_mime_filename(part, file->filename) != CURLE_OK ||
            curl_mime_type(part, file->media_type) != CURLE_OK)
            rc = CURLE_OUT_OF_MEMORY;
        else
            rc = curl_mime_data_cb(part, file->picture->size, read_file, seek_file, NULL, t);
    }
    if (rc == CURLE_OK)
        return mime;
    curl_mime_free(mime);
    return NULL;
}

/* One option after the other; the first failure stays in rc. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (rc == CURLE_OK)                                                                        \
            rc = curl_easy_setopt(curl, (option), (value));                                        \
    } while (0)

static CURLcode set_manners(CURL *curl, const up_http_client *client)
{
    CURLcode rc = CURLE_OK;

    SET(CURLOPT_NOSIGNAL, 1L);
    /* Without it, a name server that hangs would hold the thread past the time limit. */
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, ""); /* not even the environment's */
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* A handle makes one request at a time: HTTP/2 would gain nothing. */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_MAXCONNECTS, 1L);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
    SET(CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
    SET(CURLOPT_USERAGENT, client->agent);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)apr_time_as_msec(client->limits.connect));
    return rc;
}

static CURLcode set_request(CURL *curl, transfer *t, curl_mime *mime, struct curl_slist *headers)
{
    CURLcode rc = set_manners(curl, t->client);

    SET(CURLOPT_URL, t->form->url);
    SET(CURLOPT_MIMEPOST, mime);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_WRITEFUNCTION, take_answer);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_ERRORBUFFER, t->text);
    if (t->client->limits.stall > 0) {
        SET(CURLOPT_NOPROGRESS, 0L);
        SET(CURLOPT_XFERINFOFUNCTION, watch);
        SET(CURLOPT_XFERINFODATA, t);
    }
    return rc;
}

static CURLcode perform_once(CURL *curl, transfer *t, apr_interval_time_t left)
{
    long left_ms = left < apr_time_from_msec(1) ? 1L : (long)apr_time_as_msec(left);
    CURLcode rc = curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left_ms);

    t->answer->body = "";
    t->answer->len = t->room = 0;
    t->mark = up_clock();
    t->mark_bytes = 0;
    t->sent = 0;
    t->reason = NULL;
    t->text[0] = '\0';
    if (rc == CURLE_OK) {
        long bytes = 0;

        rc = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &bytes);
        t->answer->sent |= bytes > 0;
    }
    return rc;
}

/* Did the request die because its kept connection had died before it? libcurl repeats what got
 * no byte out or in by itself; this is the rest. */
static int was_stale(CURL *curl, CURLcode rc)
{
    long opened = 1;

    if (rc != CURLE_SEND_ERROR && rc != CURLE_RECV_ERROR && rc != CURLE_GOT_NOTHING)
        return 0;
    curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &opened);
    return opened == 0;
}

static CURLcode perform(CURL *curl, transfer *t)
{
    apr_interval_time_t total = t->client->limits.total;
    apr_time_t start = up_clock();
    CURLcode rc = perform_once(curl, t, total);

    if (was_stale(curl, rc) && up_clock() - start < total) {
        rc = curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
        if (rc == CURLE_OK)
            rc = perform_once(curl, t, total - (up_clock() - start));
    }
    return rc;
}

/* Why there is no connection, in the system's words; libcurl does not tell. */
static const char *system_error(CURL *curl, apr_pool_t *p)
{
    long error = 0;
    apr_status_t status;

    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
    status = (apr_status_t)error;
    return error ? apr_psprintf(p, " (%pm)", &status) : "";
}

static const char *explain(CURL *curl, transfer *t, CURLcode rc)
{
    const char *text = t->reason;

    if (!text) {
        text = apr_pstrdup(t->pool, t->text[0] ? t->text : curl_easy_strerror(rc));
        text = apr_pescape_echo(t->pool, text, 0);
    }
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return apr_psprintf(t->pool, "%s%s; can this machine reach it (DNS, firewall)?", text,
                            rc == CURLE_COULDNT_CONNECT ? system_error(curl, t->pool) : "");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
        return apr_psprintf(t->pool,
                            "%s; are the certificate, the CA certificates of this machine "
                            "and its clock right?",
                            text);
    default:
        return text;
    }
}

const char *up_http_post(up_http_client *client, apr_pool_t *p, const up_http_form *form,
                         up_http_answer *answer)
{
    transfer t = {.client = client, .pool = p, .form = form, .answer = answer};
    CURL *curl = borrow(client);
    curl_mime *mime = curl ? make_form(curl, &t) : NULL;
    /* With Expect: 100-continue a large upload would wait a second for servers that ignore it. */
    struct curl_slist *headers = mime ? curl_slist_append(NULL, "Expect:") : NULL;
    CURLcode rc = CURLE_OUT_OF_MEMORY;
    const char *reason = NULL;
    long status = 0;

    memset(answer, 0, sizeof(*answer));
    if (headers)
        rc = set_request(curl, &t, mime, headers);
    if (rc == CURLE_OK)
        rc = perform(curl, &t);
    if (rc == CURLE_OK)
        rc = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc != CURLE_OK)
        reason = explain(curl, &t, rc);
    answer->status = (int)status;
    curl_mime_free(mime);
    curl_slist_free_all(headers);
    /* One that ran out of memory may fail for ever; what else failed has no connection to keep. */
    if (rc == CURLE_OK)
        give_back(client, curl);
    else
        curl_easy_cleanup(curl);
    return reason;
}
