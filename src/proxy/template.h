/*
 * Text with values of the request in it: `$client $host $scheme $method $path $query $request_id
 * $1`…`$9`, `$$` for a dollar, and for redirects and rewrites a final `*` that stands for what the
 * pattern's `*` matched. Split when the configuration is loaded; nothing is expanded twice, and
 * each value is encoded for the place it goes to.
 */
#ifndef PC_PROXY_TEMPLATE_H
#define PC_PROXY_TEMPLATE_H

#include "base/text.h"

enum template_value {
    TEMPLATE_TEXT, /* literal */
    TEMPLATE_CLIENT,
    TEMPLATE_HOST,
    TEMPLATE_SCHEME,
    TEMPLATE_METHOD,
    TEMPLATE_PATH,
    TEMPLATE_QUERY,
    TEMPLATE_REQUEST_ID,
    TEMPLATE_GROUP, /* $1 to $9 */
    TEMPLATE_REST,  /* the final * */
};

struct template_piece {
    enum template_value value;
    unsigned group;
    struct str text;
};

struct template
{
    struct template_piece *pieces;
    size_t count;
};

/* `path` and `rest` are of the one (decoded) path, `query` is raw. */
struct template_values {
    struct str client, host, scheme, method, path, query, request_id, rest;
    const struct str *groups; /* 10 members, or NULL */
};

/* How what is expanded is made safe; literal text is taken as written. */
enum template_place {
    TEMPLATE_IN_HEADER, /* bytes that may not stand in a field value are dropped */
    TEMPLATE_IN_URL,    /* percent-encoded but for pchar and '/': never a new host, line or query;
                           what begins with `//` only by its values gets one slash */
    TEMPLATE_IN_PATH,   /* a decoded path: as it is */
    TEMPLATE_IN_TEXT,   /* plain text: control bytes are escaped */
    TEMPLATE_IN_HTML,   /* text of a page: markup is escaped */
};

/*
 * False when the text names an unknown value or ends in a lone `$`: `*at` is its offset, `*len` its
 * length. `with_rest`: a final `*` is TEMPLATE_REST.
 */
bool template_compile(struct arena *arena, struct str text, bool with_rest, struct template *out,
                      size_t *at, size_t *len) __attribute__((warn_unused_result));
/* Does any piece use this kind of value? */
bool template_uses(const struct template *t, enum template_value value);
void template_expand(const struct template *t, const struct template_values *values,
                     enum template_place place, struct text *out);

#endif
