/*
 * From a request target to the one path that router, access rules, WAF and log look at, while the
 * raw target goes on to the origin byte for byte.
 *
 * The canonical path: `%XX` decoded once, but `%2F` stays and is spelt `%2f`; runs of `/` are one.
 * It is compared by bytes. Refused with 400: space, control bytes, raw non-ASCII and '#' anywhere;
 * in the path an encoded control byte (no honest name holds one, and origins have split requests at
 * `%0d%0a`), `\`, `%5c`, a `%` without two digits, and a dot segment ("." or "..", plain or
 * encoded, also before a ';', and also between `%2f`, since an origin may decode that).
 *
 * So the raw target cannot mean another route to the origin than it meant to us: whichever of the
 * usual readings an origin has (decoding or not, `%2f` as '/' or as text, path parameters cut or
 * not, empty segments merged or not), no segment ever climbs, nothing ends early at a NUL or '#',
 * and a backslash is no second separator. `%252f` has the canonical path of `%2f`: both are held to
 * whatever rule is written for it.
 *
 * All strings live as long as the target and the arena.
 */
#ifndef PC_HTTP_URI_H
#define PC_HTTP_URI_H

#include "base/arena.h"
#include "base/text.h"
#include "http/parse.h"

struct uri {
    struct str raw_path;  /* as received; empty in `http://host` and `http://host?query` */
    struct str query;     /* raw, behind the '?' */
    struct str authority; /* of absolute-form, else empty */
    struct str path;      /* canonical; "*" of asterisk-form, else it begins with '/' */
    bool has_query;       /* there was a '?' */
    unsigned readings;    /* URI_READ_ bits: why origins may read another path */
};

enum {
    URI_READ_BYTES = 1, /* a byte stands in `path` that origins read in different ways */
    URI_READ_HOST = 2,  /* the raw path begins with two slashes: some read a host there */
};

/* origin-form, absolute-form or "*"; PARSE_DONE or PARSE_BAD. */
enum parse uri_parse(struct arena *arena, struct str target, struct uri *uri,
                     struct parse_error *error) __attribute__((warn_unused_result));

/*
 * The rules of a canonical path, for one that was made by a rewrite: NULL, or what is wrong with
 * it. Any byte but NUL and '\' may stand in it.
 */
const char *uri_path_fault(struct str path);

/*
 * Where in the raw path the first `canonical_bytes` of the canonical path end. A run of slashes is
 * one canonical byte and is stepped over whole: in "//dicom///x" the prefix "/dicom/" ends before
 * 'x', and "/dicom" before the run.
 */
size_t uri_raw_offset(struct str raw_path, size_t canonical_bytes);

/* The target for the origin: the raw path ('/' for an empty one) and the query. */
void uri_add_target(struct text *out, const struct uri *uri);
/*
 * The same without the prefix of a route: '/' and what is left of the raw path behind the first
 * `canonical_bytes` and slashes ("/dicom" and "/dicom/" strip alike; what is kept never begins with
 * two slashes, which some origins would read as a host).
 */
void uri_add_stripped(struct text *out, const struct uri *uri, size_t canonical_bytes);

/* Where a value of the request is put into a redirect or a rewritten target. */
enum uri_place {
    URI_PATH,        /* a canonical path or a part of it; `%2f` stays, another '%' becomes `%25` */
    URI_QUERY_VALUE, /* a name or value between '&' and '=': only unreserved bytes stay */
    URI_RAW_QUERY,   /* a received query as a whole: what may stand in one stays, with its '%' */
    URI_HOST,        /* letters, digits, '-', '.', '_' stay; an IPv6 address gets its brackets */
};

/* Percent-encodes so that the value stays in its place: no line, no '?', '#', '@' or port is added.
 */
void uri_add_encoded(struct text *out, enum uri_place place, struct str value);

#endif
