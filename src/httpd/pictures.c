/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/pictures.h"

#include "httpd/config.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <string.h>
#include <util_filter.h>

/* Is name, the last segment of path, directly below this folder? */
static int is_below(const char *path, const char *name, const char *folder)
{
    apr_size_t len = strlen(folder);

    return len + 1 == (apr_size_t)(name - path) && strncmp(path, folder, len) == 0;
}

/* The path that the pictures' URLs begin with. */
static const char *path_of(const char *url)
{
    const char *host = *url == '/' ? NULL : strstr(url, "//");

    if (!host)
        return url;
    url = strchr(host + 2, '/');
    return url ? url : "";
}

/* By its file or by its URL, as an Alias may lead to the folder by another of its names.
 * UP_IMAGE_NONE for all else. */
static up_image picture_of(const request_rec *r)
{
    const up_folder_settings *folder = up_config_of(r->server)->folder;
    const char *name = folder && r->filename ? strrchr(r->filename, '/') : NULL;
    const char *last = strrchr(r->uri, '/');
    up_image type = name ? up_folder_type_of(++name) : UP_IMAGE_NONE;

    if (type == UP_IMAGE_NONE || r->proxyreq)
        return UP_IMAGE_NONE;
    if (is_below(r->filename, name, folder->path) ||
        (last && is_below(r->uri, last + 1, path_of(folder->url))))
        return type;
    return UP_IMAGE_NONE;
}

int up_pictures_fixups(request_rec *r)
{
    const up_image type = picture_of(r);
    /* "Header always set" replaces what is there, and does not add to it. */
    apr_table_t *headers = r->err_headers_out;

    if (type == UP_IMAGE_NONE)
        return DECLINED;
    r->handler = "default-handler";
    ap_set_content_type(r, up_image_media_type(type));
    r->content_encoding = NULL;
    r->content_languages = NULL;
    apr_table_setn(headers, "X-Content-Type-Options", "nosniff");
    apr_table_setn(headers, "Content-Security-Policy", "default-src 'none'; sandbox");
    apr_table_setn(
        headers, "Content-Disposition",
        apr_pstrcat(r->pool, "inline; filename=\"avatar.", up_image_extension(type), "\"", NULL));
    return OK;
}

/* Filters of content are removed; what encodes, caches or sends it comes after them. */
void up_pictures_insert_filter(request_rec *r)
{
    ap_filter_t *filter, *next;

    if (picture_of(r) == UP_IMAGE_NONE)
        return;
    for (filter = r->output_filters; filter; filter = next) {
        next = filter->next;
        if (filter->r == r && filter->frec->ftype <= AP_FTYPE_RESOURCE)
            ap_remove_output_filter(filter);
    }
}
