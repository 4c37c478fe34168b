/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The configuration of a server (main or virtual host), as the directives left
 * it and as the rest of the module uses it.
 *
 * Merging: a virtual host has what it says itself, and for all else what the
 * main server says; each kind of list (fields, keys, …) counts as one thing. A
 * virtual host that says nothing shares the main server's contract, and with
 * it its connections. One that names a table begins a contract of its own: it
 * has nothing of the main server's but the limits (timeouts, connections,
 * sweep), so that neither its columns nor its keys are another table's.
 * Lifetime: the configuration pool.
 */
#ifndef UP_CONFIG_H
#define UP_CONFIG_H

#include "adapters/cloudinary.h"
#include "adapters/folder.h"
#include "adapters/redis_url.h"
#include "adapters/sql_tokens.h"
#include "core/model.h"
#include "core/token.h"
#include "ports/journal.h"
#include "service/service.h"

#include <httpd.h>

/** What a contract can enable. GET brings HEAD; OPTIONS is always there. */
typedef enum up_methods {
    UP_ALLOW_GET = 1,
    UP_ALLOW_PATCH = 2,
    UP_ALLOW_PUT = 4,
    UP_ALLOW_DELETE = 8,
    UP_ALLOW_AVATAR = 16 /* the resource …/avatar below */
} up_methods;

/** Format of errors; 0 is unset and means json. */
typedef enum up_errors { UP_ERRORS_JSON = 1, UP_ERRORS_PROBLEM } up_errors;

/** What problem types begin with where nothing is said. */
#define UP_PROBLEM_BASE "/docs/problems#"

/** What becomes of members that can't be written; 0 is unset and means ignored. */
typedef enum up_unknown_fields { UP_UNKNOWN_IGNORED = 1, UP_UNKNOWN_REFUSED } up_unknown_fields;

/** What is put around a profile. */
typedef struct up_envelope {
    const char *head, *tail; /* the JSON before and after it */
} up_envelope;

/** A role that counts as another. */
typedef struct up_role_alias {
    const char *name, *role;
} up_role_alias;

/** How long each wait may last; 0 is unset. */
typedef struct up_timeouts {
    apr_interval_time_t pool;      /* for a database connection */
    apr_interval_time_t statement; /* for the database to do what it is asked */
    apr_interval_time_t tokens;    /* for the token store, connecting included */
    apr_interval_time_t connect;   /* to the avatar storage */
    apr_interval_time_t storage;   /* for the avatar storage, in all */
} up_timeouts;

/** The most that a picture's width or height can be limited to, in pixels: a JPEG has no more. */
#define UP_DIMENSION_MAX 65535

/** The largest picture, in pixels, 1 to UP_DIMENSION_MAX; 0 is unset. */
typedef struct up_dimensions {
    int width, height;
} up_dimensions;

typedef struct up_config {
    int said;                    /* has a directive set anything here? */
    int used;                    /* is a <Location> of this server the resource? */
    apr_array_header_t *exposed; /* of const char *: warnings of files that others can read */

    /* The table: NULL or 0 is unset. */
    const char *table, *journal, *key, *subject;
    up_type subject_type;
    apr_array_header_t *fields;  /* of up_field */
    apr_array_header_t *related; /* of up_related */
    up_state_columns state;
    int state_set;
    apr_array_header_t *conditions; /* of up_constant */
    int grace, grace_set;           /* seconds until a soft-deleted account is erased; 0: never */

    /* The tokens. */
    apr_array_header_t *keys;   /* of up_key */
    apr_array_header_t *claims; /* of up_claim_rule */
    int leeway, leeway_set;
    const char *roles_claim;
    apr_array_header_t *role_aliases; /* of up_role_alias */
    /* Where tokens are: one of them, or nowhere. */
    up_redis_settings *redis;
    up_sql_tokens_settings *token_tables;
    int fail_open; /* where Redis can't be asked, a token is let through */
    int tokens_set;
    const char *cookie; /* the Set-Cookie that clears the refresh token, or NULL */
    int cookie_set;

    /* The avatars: one of them, or none. */
    up_cloudinary_settings *cloudinary;
    up_folder_settings *folder;
    int avatars_set;
    up_dimensions avatar_most;

    up_methods methods;
    int unknown_user; /* 401 or 404; 0 is unset */
    up_unknown_fields unknown_fields;
    up_errors errors;
    const char *problem_base;
    up_envelope *envelope; /* NULL: none */
    int envelope_set;
    up_timeouts timeouts;
    int connections;      /* to the database in a child; 0 is unset */
    int sweep, sweep_set; /* seconds between two sweeps of the journal; 0 is none */

    int sqlite;           /* up_dbd_is_sqlite() of the server */
    const char *database; /* up_dbd_database() of the server */

    /* Made of the above by up_config_finish(). */
    up_model *model; /* NULL where this server has no contract */
    up_token_rules rules;

    /* Made by the door: in the parent, for all children, where there is Cloudinary, and where
     * the token store may fail open; */
    const up_breaker *breaker, *check_breaker;
    /* and in each child. */
    up_service *service;
    up_journal *journal_store;          /* NULL where the contract promises nothing */
    up_service *background;             /* as service, for the sweeper, which has more time */
    struct up_redis_tracking *tracking; /* of the Redis; others may share it */
} up_config;

/** The configuration of a <Location>. */
typedef struct up_location {
    const char *path; /* of the <Location> that is the resource; NULL where none is */
    int path_set;
} up_location;

/** For the module record. */
void *up_config_create(apr_pool_t *p, server_rec *s);
void *up_config_merge(apr_pool_t *p, void *base, void *add);
void *up_location_create(apr_pool_t *p, char *path);
void *up_location_merge(apr_pool_t *p, void *base, void *add);

/** The contract of a virtual host that shares all but its database with the main
 *  server: a copy, for a service of its own. */
up_config *up_config_copy(apr_pool_t *p, const up_config *config);

/**
 * Fills in defaults and checks what no single directive can: that all that is
 * needed is there and fits together.
 * @return NULL, or a sentence that names the directive and what is right.
 */
const char *up_config_finish(apr_pool_t *p, up_config *config);

/**
 * Would the sweepers of these contracts, both finished, do one another's entries in the
 * journal, with another storage or token store?
 * @return NULL, or a sentence that names the directive and what is right.
 */
const char *up_config_clash(apr_pool_t *p, const up_config *a, const up_config *b);

/** The configuration of a server, of a request's server, of a request's location. */
up_config *up_config_of(server_rec *s);
const up_location *up_location_of(const request_rec *r);

#endif
