#include "http/range.h"

#include "base/hash.h"

/* Above this many members of the list, empty ones included, the field is not worth reading. */
#define MEMBERS_MAX 64

/* Decimal digits, at least one; a number above 2^64-1 is as good as 2^64-1: no file is longer. */
static bool number(struct str digits, uint64_t *n)
{
    if (digits.len == 0)
        return false;
    for (size_t i = 0; i < digits.len; i++)
        if (!char_is_digit(digits.at[i]))
            return false;
    if (!str_to_u64(digits, UINT64_MAX, n))
        *n = UINT64_MAX;
    return true;
}

/*
 * int-range / suffix-range (RFC 9110 14.1.1). False for bad syntax; `*inside` tells whether the
 * range has a byte of the representation.
 */
static bool read_spec(struct str spec, uint64_t size, struct range *range, bool *inside)
{
    size_t dash = str_find_byte(spec, '-');
    if (dash == SIZE_MAX)
        return false;
    struct str first = str_sub(spec, 0, dash), last = str_skip(spec, dash + 1);
    if (first.len == 0) { /* suffix-range: the last n bytes */
        uint64_t n;
        if (!number(last, &n))
            return false;
        range->first = n < size ? size - n : 0;
        range->last = size - 1;
        *inside = n > 0 && size > 0;
        return true;
    }
    range->last = UINT64_MAX;
    if (!number(first, &range->first) || (last.len > 0 && !number(last, &range->last)) ||
        range->last < range->first)
        return false;
    *inside = range->first < size;
    if (range->last >= size)
        range->last = size - 1;
    return true;
}

/* Both are inside, so last + 1 does not overflow. */
static bool touch(struct range a, struct range b)
{
    return a.first <= b.last + 1 && b.first <= a.last + 1;
}

static void remove_at(struct range_set *set, unsigned at)
{
    set->count--;
    for (unsigned i = at; i < set->count; i++)
        set->ranges[i] = set->ranges[i + 1];
}

/* Joins the range at `at` with every later one it touches, until there is none. */
static void join_later(struct range_set *set, unsigned at)
{
    struct range *range = &set->ranges[at];
    for (unsigned i = at + 1; i < set->count;) {
        struct range other = set->ranges[i];
        if (!touch(*range, other)) {
            i++;
            continue;
        }
        range->first = other.first < range->first ? other.first : range->first;
        range->last = other.last > range->last ? other.last : range->last;
        remove_at(set, i);
        i = at + 1; /* it has grown: those passed over may touch it now */
    }
}

/* The list behind "bytes="; false when the whole field is to be ignored. */
static bool read_list(struct str rest, uint64_t size, struct range_set *set)
{
    unsigned members = 0, specs = 0;
    struct str member;
    while (str_split(&rest, ',', &member)) {
        member = str_trim(member);
        if (++members > MEMBERS_MAX)
            return false;
        if (member.len == 0) /* a list may have empty members (RFC 9110 5.6.1) */
            continue;
        struct range range;
        bool inside;
        if (++specs > RANGE_MAX || !read_spec(member, size, &range, &inside))
            return false;
        if (inside)
            set->ranges[set->count++] = range;
    }
    return specs > 0;
}

enum range_result range_parse(struct str value, uint64_t size, struct range_set *set)
{
    set->count = 0;
    size_t equals = str_find_byte(value, '=');
    if (equals == SIZE_MAX || !str_eq_nocase(str_sub(value, 0, equals), STR("bytes")))
        return RANGE_IGNORED;
    if (!read_list(str_skip(value, equals + 1), size, set)) {
        set->count = 0;
        return RANGE_IGNORED;
    }
    for (unsigned i = 0; i < set->count; i++)
        join_later(set, i);
    return set->count > 0 ? RANGE_OK : RANGE_UNSATISFIABLE;
}

void range_add_content_range(struct text *text, struct range range, uint64_t size)
{
    text_add_z(text, "bytes ");
    text_add_u64(text, range.first);
    text_add_byte(text, '-');
    text_add_u64(text, range.last);
    text_add_byte(text, '/');
    text_add_u64(text, size);
}

void range_add_unsatisfied(struct text *text, uint64_t size)
{
    text_add_z(text, "bytes */");
    text_add_u64(text, size);
}

void range_boundary(char boundary[RANGE_BOUNDARY_LEN])
{
    unsigned char bits[RANGE_BOUNDARY_LEN / 2];
    random_bytes(bits, sizeof bits);
    for (unsigned i = 0; i < RANGE_BOUNDARY_LEN; i++)
        boundary[i] = "0123456789abcdef"[bits[i / 2] >> (i % 2 ? 4 : 0) & 15];
}

void range_add_content_type(struct text *text, const char boundary[RANGE_BOUNDARY_LEN])
{
    text_add_z(text, "multipart/byteranges; boundary=");
    text_add(text, str_from(boundary, RANGE_BOUNDARY_LEN));
}

void range_add_head(struct text *text, const char boundary[RANGE_BOUNDARY_LEN], struct str type,
                    struct range range, uint64_t size)
{
    text_add_z(text, "\r\n--");
    text_add(text, str_from(boundary, RANGE_BOUNDARY_LEN));
    if (type.len > 0) {
        text_add_z(text, "\r\nContent-Type: ");
        text_add(text, type);
    }
    text_add_z(text, "\r\nContent-Range: ");
    range_add_content_range(text, range, size);
    text_add_z(text, "\r\n\r\n");
}

void range_add_end(struct text *text, const char boundary[RANGE_BOUNDARY_LEN])
{
    text_add_z(text, "\r\n--");
    text_add(text, str_from(boundary, RANGE_BOUNDARY_LEN));
    text_add_z(text, "--\r\n");
}
