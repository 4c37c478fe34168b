/* SPDX-License-Identifier: Apache-2.0 */

/**
 * The contract of one virtual host as the configuration describes it: which
 * table, which columns, which rules. Pure data: made by the directives, read
 * by everybody, changed by nobody after the configuration phase.
 *
 * Lifetime: the configuration pool.
 */
#ifndef UP_MODEL_H
#define UP_MODEL_H

#include <apr_pools.h>
#include <apr_tables.h>

/** How many fields a profile can have. */
#define UP_MAX_FIELDS 64

/** What a column holds, and so how it is checked and written as JSON. */
typedef enum up_type {
    UP_STRING,    /* text; trimmed, NFC, measured in code points */
    UP_INTEGER,   /* a whole number of 64 bits */
    UP_BOOLEAN,   /* true or false */
    UP_TIMESTAMP, /* RFC 3339 in UTC; read only */
    UP_EPOCH_MS,  /* a number of milliseconds since 1970, shown as a timestamp; read only */
    UP_UUID,      /* RFC 4122 text form */
    UP_URL,       /* an absolute http or https URL */
    UP_EMAIL,     /* an addr-spec without quotes and comments */
    UP_JSON,      /* a JSON object, in a column of type json or jsonb */
    UP_LANGUAGE,  /* BCP 47 tag, valid per RFC 5646 section 2.2.9 */
    UP_AVATAR,    /* URL of the avatar; set by uploads only */
    UP_TYPES      /* how many there are */
} up_type;

typedef struct up_field {
    const char *name;   /* the member's name in JSON */
    const char *column; /* the column's name in the table, unquoted */
    const char *value;  /* a constant in the place of a column, or NULL */
    up_type type;
    int writable; /* may a client change it? */
    int nullable; /* may a client set it to null? */
    int min;      /* of text: least code points after trimming */
    int max;      /* of text: most code points, of JSON: most bytes; 1 to 65536 */
} up_field;

/** What becomes of the rows of a related table when a user is erased. */
typedef struct up_related {
    const char *table;             /* "schema.name" or "name", unquoted */
    const char *column;            /* the column that refers to the users' key */
    apr_array_header_t *anonymise; /* of up_constant; NULL: the rows are deleted */
} up_related;

/** A column and what it is set to. */
typedef struct up_constant {
    const char *column;
    const char *value; /* NULL is SQL NULL */
} up_constant;

/** The columns that say what state an account is in; each may be NULL: not there. */
typedef struct up_state_columns {
    const char *deleted; /* timestamp; NOT NULL in a row means soft-deleted */
    const char *active;  /* boolean; false means deactivated */
    const char *updated; /* timestamp; set by each update and soft deletion */
    const char *since;   /* timestamp; a token issued before it is refused */
    const char *version; /* whole number; counted up by each write, and makes the entity tag */
} up_state_columns;

typedef struct up_model {
    const char *table;   /* "schema.name" or "name", unquoted */
    const char *journal; /* likewise: the journal's table */
    const char *key;     /* the primary key's column */
    const char *subject; /* the column that a token's sub is looked up in */
    up_type subject_type;
    apr_array_header_t *fields; /* of up_field, in the order of the answer */
    const up_field *avatar;     /* the one of type UP_AVATAR, or NULL */
    up_state_columns state;
    apr_array_header_t *conditions; /* of up_constant: a row is a user only where these hold */
    apr_array_header_t *related;    /* of up_related */
    int deletable;                  /* can an account be deleted? */
    int grace;          /* seconds after which a soft-deleted account is erased; 0: never */
    int refuse_unknown; /* is a member that can't be written an error? else it is ignored */
} up_model;

/** The field number i (0 ≤ i < fields->nelts). */
#define up_model_field(model, i) (&APR_ARRAY_IDX((model)->fields, (i), up_field))

/**
 * The index of the field with this public name, or -1.
 * @param len bytes of name; it need not be terminated.
 */
int up_model_find(const up_model *model, const char *name, apr_size_t len);

/** A type's name in the configuration, e.g. "string". Static. */
const char *up_type_name(up_type type);

/** The type with this name. @return 0, or -1 where there is none. */
int up_type_find(const char *name, up_type *type);

/** Can a client write fields of this type (given the field is writable)? */
int up_type_is_writable(up_type type);

/**
 * Is this text a value of this type? (A uuid in RFC 4122's form, a whole number
 * of 64 bits, true or false, an absolute http or https URL, an email's
 * addr-spec; any text for the other types.)
 */
int up_type_holds(up_type type, const char *text);

#endif
