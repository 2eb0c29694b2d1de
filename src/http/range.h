/*
 * Range requests for bytes (RFC 9110 14): the Range field is read into at most RANGE_MAX ranges
 * that lie inside the representation and do not touch each other, in the order asked for; several
 * of them go out as multipart/byteranges (14.6), whose framing is written here.
 */
#ifndef PC_HTTP_RANGE_H
#define PC_HTTP_RANGE_H

#include "base/text.h"

/* What PDF viewers and download tools ask for in one request is below ten; more would only multiply
 * part heads (RFC 9110 14.2 lets a server ignore such a field). */
#define RANGE_MAX 16
/* 20 hexadecimal digits: 80 random bits, so that nobody can place a boundary in a file beforehand.
 */
#define RANGE_BOUNDARY_LEN 20
/* Room for a part's head with a media type of 256 bytes. */
#define RANGE_HEAD_MAX 512

struct range {
    uint64_t first, last; /* both included */
};

struct range_set {
    unsigned count;
    struct range ranges[RANGE_MAX];
};

enum range_result {
    RANGE_IGNORED,       /* answer with the whole (200): no bytes unit, bad syntax, too many */
    RANGE_OK,            /* 206 */
    RANGE_UNSATISFIABLE, /* 416 */
};

/* `size` is that of the whole representation. Ranges that lie outside are left out; overlapping and
 * adjacent ones are joined, in the place of the earliest. */
enum range_result range_parse(struct str value, uint64_t size, struct range_set *set);

/* Content-Range (RFC 9110 14.4): "bytes 0-9/100", and for 416 the same with a star as range. */
void range_add_content_range(struct text *text, struct range range, uint64_t size);
void range_add_unsatisfied(struct text *text, uint64_t size);

/* The framing of multipart/byteranges: a head before each range, the end after the last. */
void range_boundary(char boundary[RANGE_BOUNDARY_LEN]);
void range_add_content_type(struct text *text, const char boundary[RANGE_BOUNDARY_LEN]);
void range_add_head(struct text *text, const char boundary[RANGE_BOUNDARY_LEN], struct str type,
                    struct range range, uint64_t size);
void range_add_end(struct text *text, const char boundary[RANGE_BOUNDARY_LEN]);

static inline uint64_t range_bytes(struct range range)
{
    return range.last - range.first + 1;
}

#endif
