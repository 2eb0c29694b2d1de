#include "http/etag.h"

/* etagc = %x21 / %x23-7E / obs-text (RFC 9110 8.8.3) */
static bool is_etagc(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte == 0x21 || (byte >= 0x23 && byte != 0x7f);
}

/* entity-tag = [ %s"W/" ] DQUOTE *etagc DQUOTE, from the front of `*rest`. */
static bool take_etag(struct str *rest, struct etag *etag)
{
    struct str s = *rest;
    etag->weak = str_starts(s, STR("W/"));
    if (etag->weak)
        s = str_skip(s, 2);
    if (s.len < 2 || s.at[0] != '"')
        return false;
    size_t end = 1;
    while (end < s.len && is_etagc(s.at[end]))
        end++;
    if (end == s.len || s.at[end] != '"')
        return false;
    etag->opaque = str_sub(s, 1, end - 1);
    *rest = str_skip(s, end + 1);
    return true;
}

bool etag_parse(struct str s, struct etag *etag)
{
    return take_etag(&s, etag) && s.len == 0;
}

bool etag_next(struct str *rest, struct etag *etag, bool *bad)
{
    *bad = false;
    while (rest->len > 0 && (rest->at[0] == ',' || rest->at[0] == ' ' || rest->at[0] == '\t'))
        *rest = str_skip(*rest, 1);
    if (rest->len == 0)
        return false;
    if (take_etag(rest, etag)) {
        struct str behind = str_trim(*rest);
        if (behind.len == 0 || behind.at[0] == ',')
            return true;
    }
    *bad = true;
    return false;
}

bool etag_same_strong(struct etag a, struct etag b)
{
    return !a.weak && !b.weak && str_eq(a.opaque, b.opaque);
}

bool etag_same_weak(struct etag a, struct etag b)
{
    return str_eq(a.opaque, b.opaque);
}
