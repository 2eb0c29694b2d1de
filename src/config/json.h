/*
 * JSON (RFC 8259) read strictly into a tree of values: UTF-8 only, no key twice in an object, no
 * comments, nothing behind the value. Depth is bounded; everything else by the size of the text.
 */
#ifndef PC_CONFIG_JSON_H
#define PC_CONFIG_JSON_H

#include "base/str.h"

#define JSON_DEPTH_MAX 64

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json {
    enum json_kind kind;
    struct json *next;         /* in its array or object */
    struct json *first, *last; /* members */
    struct str key;            /* in an object */
    struct str text;           /* of a string: decoded; of a number: as written */
    size_t at, len;            /* where it stands in the text; of arrays and objects their brace */
};

/* NULL on the first error: what is wrong in `*why`, and where. All is in `arena`. */
const struct json *json_read(struct arena *arena, struct str text, const char **why, size_t *at)
    __attribute__((warn_unused_result));
/* The member of that name, or NULL. */
const struct json *json_get(const struct json *object, struct str key);

#endif
