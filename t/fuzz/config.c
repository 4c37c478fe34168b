/* SPDX-License-Identifier: Apache-2.0 */

/* Lines of configuration, to what the directives make of them, the SQL that is made of that, and
 * what is checked at the end.
 *
 * The input: lines as they are in httpd.conf. "<Location PATH>" says where the next lines stand,
 * and
 * "<VirtualHost>" begins a server of its own. As with httpd, the first error is the last line. */
#include "fuzz.h"

#include "adapters/pg_sql.h"
#include "adapters/sqlite_sql.h"
#include "core/text.h"
#include "httpd/config.h"
#include "httpd/directives.h"

#include <apr_strings.h>
#include <ctype.h>
#include <http_config.h>
#include <http_core.h>
#include <jansson.h>
#include <strings.h>
#include <unistd.h>

#define WORDS_MAX 70
#define PASSWORD "hunter2"

/* --- httpd's functions that the directives call, and how it takes a line apart --- */

module AP_MODULE_DECLARE_DATA userprofile_module;

/* Of files there are four, all of them this process' own. */
char *ap_server_root_relative(apr_pool_t *p, const char *name)
{
    static const char *const contents[] = {"a secret of this test, long enough\n",
                                           "redis://me:" PASSWORD "@127.0.0.1/1\r\n",
                                           "cloudinary://key:" PASSWORD "@demo\n", ""};
    static char paths[4][64];
    int i;

    for (i = 0; i < 4 && !paths[i][0]; i++) {
        FILE *file = tmpfile();

        must(file && fputs(contents[i], file) >= 0 && fflush(file) == 0);
        snprintf(paths[i], sizeof(paths[i]), "/proc/self/fd/%d", fileno(file));
    }
    return name[0] >= '0' && name[0] <= '3' && !name[1] ? apr_pstrdup(p, paths[name[0] - '0'])
           : name[0] == '/'                             ? NULL
                                                        : apr_pstrdup(p, "/nowhere");
}

apr_status_t ap_timeout_parameter_parse(const char *text, apr_interval_time_t *timeout,
                                        const char *unit)
{
    char *end;
    apr_int64_t number = apr_strtoi64(text, &end, 10);
    apr_int64_t by = 0;

    end = *end ? end : (char *)unit;
    if (strcasecmp(end, "s") == 0)
        by = APR_USEC_PER_SEC;
    else if (strcasecmp(end, "ms") == 0)
        by = 1000;
    else if (strcasecmp(end, "mi") == 0 || strcasecmp(end, "min") == 0)
        by = 60 * APR_USEC_PER_SEC;
    else if (strcasecmp(end, "h") == 0)
        by = 3600 * APR_USEC_PER_SEC;
    if (!by || number < 0 || number > APR_INT64_MAX / by)
        return APR_EGENERAL;
    *timeout = number * by;
    return APR_SUCCESS;
}

/* Words are divided by blanks, or stand in quotes, in which a backslash hides one. */
static int split(apr_pool_t *p, const char *line, char **words)
{
    int count = 0;

    while (count < WORDS_MAX) {
        char quote = 0, *out;

        line += strspn(line, " \t\r");
        if (!*line)
            break;
        if (*line == '"' || *line == '\'')
            quote = *line++;
        words[count++] = out = apr_palloc(p, strlen(line) + 1);
        for (; *line && (quote ? *line != quote : !strchr(" \t\r", *line)); line++) {
            if (*line == '\\' && (line[1] == '\\' || (quote && line[1] == quote)))
                line++;
            *out++ = *line;
        }
        *out = '\0';
        line += quote && *line;
    }
    words[count] = NULL;
    return count;
}

static const char *invoke(cmd_parms *cmd, void *location, int argc, char **argv)
{
    const command_rec *c = cmd->cmd;

    switch (c->args_how) {
    case FLAG:
        if (argc != 1 || (strcasecmp(argv[0], "on") != 0 && strcasecmp(argv[0], "off") != 0))
            return "must be On or Off";
        return c->AP_FLAG(cmd, location, strcasecmp(argv[0], "on") == 0);
    case TAKE1:
        return argc == 1 ? c->AP_TAKE1(cmd, location, argv[0]) : "takes one argument";
    case TAKE12:
        return argc == 1 || argc == 2 ? c->AP_TAKE2(cmd, location, argv[0], argv[1])
                                      : "takes 1-2 arguments";
    case TAKE23:
        return argc == 2 || argc == 3 ? c->AP_TAKE3(cmd, location, argv[0], argv[1], argv[2])
                                      : "takes two or three arguments";
    default:
        must(c->args_how == TAKE_ARGV);
        return argc < 64 ? c->AP_TAKE_ARGV(cmd, location, argc, argv) : "too many arguments";
    }
}

/* --- One line --- */

typedef struct reading {
    apr_pool_t *pool;
    up_config *main, *config; /* of the main server, and of the one at hand */
    server_rec server;
    up_location *location;
    const char *path;
    ap_directive_t section;
} reading;

static const command_rec *find(const char *name)
{
    const command_rec *c;

    for (c = up_directives; c->name; c++)
        if (strcasecmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* What is said of an error is UTF-8 where the line is, names its directive, and has no secret in
 * it; nor has what mod_info shows of a line that was taken. */
static void check_line(const command_rec *c, const ap_directive_t *directive, char *const *argv,
                       const char *line, const char *error)
{
    /* A URL alone: not a file's name, and no options, which are no secret. */
    int has_secret = argv[0] && argv[0][0] != '@' && !argv[1] &&
                     (strcmp(c->name, "UserProfileTokenStore") == 0 ||
                      strcmp(c->name, "UserProfileAvatarStorage") == 0);

    if (error) {
        must(*error);
        if (up_text_is_utf8(line, strlen(line)))
            must(up_text_is_utf8(error, strlen(error)));
        if (has_secret)
            must(!strstr(error, PASSWORD "@"));
    } else if (has_secret) {
        const char *authority = strstr(directive->args, "://");

        authority = authority ? authority + 3 : "";
        authority += strncmp(authority, "***:***@", 8) == 0 ? 8 : 0;
        must(!memchr(authority, '@', strcspn(authority, "/?")));
        must(!strstr(directive->args, "sentinel_password"));
    }
}

/* The module's is the only configuration, and so the first. */
static void begin_server(reading *r)
{
    r->config = up_config_create(r->pool, &r->server);
    r->server.module_config = apr_pmemdup(r->pool, &r->config, sizeof(r->config));
}

/* @return NULL, or the error. */
static const char *read_line(reading *r, char *line)
{
    char *words[WORDS_MAX + 1];
    int argc = split(r->pool, line, words);
    const command_rec *c = argc ? find(words[0]) : NULL;
    ap_directive_t directive = {0};
    cmd_parms cmd = {0};
    const char *error;

    if (argc && strcasecmp(words[0], "<Location") == 0) {
        r->section.args = argc > 1 ? words[1] : "";
        r->path = r->section.args;
        r->path = apr_pstrmemdup(r->pool, r->path, strcspn(r->path, ">"));
        return NULL;
    }
    if (argc && strcasecmp(words[0], "<VirtualHost>") == 0) {
        begin_server(r);
        return NULL;
    }
    if (!c)
        return NULL;
    r->section.directive = "<Location";
    line += strspn(line, " \t\r") + strlen(c->name);
    directive.directive = c->name;
    directive.args = apr_pstrdup(r->pool, line + strspn(line, " \t\r"));
    directive.parent = r->path ? &r->section : NULL;
    cmd.pool = cmd.temp_pool = r->pool;
    cmd.server = &r->server;
    cmd.cmd = c;
    cmd.directive = &directive;
    cmd.path = (char *)r->path;
    error = invoke(&cmd, r->location, argc - 1, words + 1);
    check_line(c, &directive, words + 1, line, error);
    return error;
}

/* --- What they made --- */

/* Outside of quotes, which are closed, there is nothing but SQL's own characters: what comes from
 * the configuration stands in quotes. */
static void check_sql(const char *sql)
{
    const char *at;

    must(sql && *sql);
    for (at = sql; *at; at++) {
        if (*at == '"' || *at == '\'') {
            const char quote = *at;

            do
                must(*++at);
            while (*at != quote);
            continue;
        }
        must(isalnum((unsigned char)*at) || strchr(" \n_,.()=<>!|+-*/$:%[]?", *at));
        must(strncmp(at, "--", 2) != 0 && strncmp(at, "/*", 2) != 0);
    }
}

static void check_postgres(apr_pool_t *p, const up_model *model)
{
    check_sql(up_pg_sql_read(p, model));
    check_sql(up_pg_sql_update(p, model));
    check_sql(up_pg_sql_lock(p, model));
    if (model->avatar) {
        check_sql(up_pg_sql_announce(p, model));
        check_sql(up_pg_sql_swap(p, model));
        check_sql(up_pg_sql_publish(p, model));
    }
    if (model->deletable)
        check_sql(up_pg_sql_erase(p, model));
    if (model->deletable && model->state.deleted)
        check_sql(up_pg_sql_soft_delete(p, model));
}

static void check_sqlite(apr_pool_t *p, const up_model *model)
{
    int i;

    check_sql(up_sqlite_read(p, model)->sql);
    check_sql(up_sqlite_update(p, model)->sql);
    check_sql(up_sqlite_enter(p, model)->sql);
    for (i = 0; i < model->related->nelts; i++)
        check_sql(up_sqlite_related(p, &APR_ARRAY_IDX(model->related, i, up_related))->sql);
}

static void check_name(const char *name)
{
    must(name && *name && strlen(name) <= 127 && fuzz_is_printable(name));
    must(up_text_is_utf8(name, strlen(name)));
}

static void check_model(const up_model *model)
{
    int i, j;

    check_name(model->table);
    check_name(model->journal);
    check_name(model->key);
    check_name(model->subject);
    must(model->fields->nelts >= 1 && model->fields->nelts <= UP_MAX_FIELDS);
    for (i = 0; i < model->fields->nelts; i++) {
        const up_field *field = up_model_field(model, i);

        check_name(field->name);
        must(field->value || field->column);
        must(!field->writable || (!field->value && up_type_is_writable(field->type)));
        must(field->min >= 0 && field->min <= field->max && field->max <= 65536);
        for (j = 0; j < i; j++)
            must(strcmp(field->name, up_model_field(model, j)->name) != 0);
    }
}

static void check_envelope(apr_pool_t *p, const up_envelope *envelope)
{
    json_t *json = json_loads(apr_pstrcat(p, envelope->head, "{}", envelope->tail, NULL),
                              JSON_REJECT_DUPLICATES, NULL);

    must(json_is_object(json));
    json_decref(json);
}

static void check_config(apr_pool_t *p, const up_config *config)
{
    int i;

    if (!config->model)
        return;
    check_model(config->model);
    check_postgres(p, config->model);
    check_sqlite(p, config->model);
    must(!config->cookie || fuzz_is_printable(config->cookie));
    must(!config->problem_base || fuzz_is_printable(config->problem_base));
    must(config->methods && config->connections >= 1 && config->sweep >= 0);
    must(config->timeouts.pool > 0 && config->timeouts.storage <= apr_time_from_sec(300));
    must(config->rules.keys->nelts > 0);
    for (i = 0; i < config->rules.keys->nelts; i++) {
        const up_key *key = &APR_ARRAY_IDX(config->rules.keys, i, up_key);

        must(key->data && key->len > 0 && !up_key_check(key));
    }
    if (config->envelope)
        check_envelope(p, config->envelope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    reading r = {.pool = p};
    const char *error = NULL;
    up_config *config;

    begin_server(&r);
    r.main = r.config;
    r.location = up_location_create(p, NULL);
    while (size > 0 && !error)
        error = read_line(&r, fuzz_text(p, &data, &size, '\n'));
    config = r.config == r.main ? r.main : up_config_merge(p, r.main, r.config);
    r.main->database = config->database = "d";
    if (!error)
        error = up_config_finish(p, r.main);
    if (!error && config != r.main)
        error = up_config_finish(p, config);
    if (!error) {
        check_config(p, r.main);
        check_config(p, config);
        up_config_clash(p, r.main, config);
    }
    return fuzz_done();
}
