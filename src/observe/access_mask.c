#include "observe/access_mask.h"

void access_mask_query(struct text *text, struct str query)
{
    for (bool more = !str_empty(query); more;) {
        size_t end = str_find_byte(query, '&');
        struct str part = str_sub(query, 0, end);
        more = end != SIZE_MAX;
        query = more ? str_skip(query, end + 1) : STR("");
        size_t equals = str_find_byte(part, '=');
        size_t value_at = equals == SIZE_MAX ? 0 : equals + 1;
        text_add(text, str_sub(part, 0, value_at));
        if (value_at < part.len)
            text_add(text, STR("***"));
        if (more)
            text_add_byte(text, '&');
    }
}

/* What stands before the query; the user part ends at the last "@" of the authority. */
static void mask_user(struct text *text, struct str url)
{
    size_t slashes = str_find(url, STR("//"));
    size_t authority_at = slashes == SIZE_MAX ? url.len : slashes + 2;
    struct str authority = str_skip(url, authority_at);
    authority = str_sub(authority, 0, str_find_byte(authority, '/'));
    size_t host_at = 0;
    for (size_t i = 0; i < authority.len; i++)
        if (authority.at[i] == '@')
            host_at = i;
    text_add(text, str_sub(url, 0, authority_at));
    if (host_at != 0)
        text_add(text, STR("***"));
    text_add(text, str_skip(url, authority_at + host_at));
}

void access_mask_url(struct text *text, struct str url)
{
    size_t hash = str_find_byte(url, '#');
    struct str head = str_sub(url, 0, hash);
    size_t mark = str_find_byte(head, '?');
    mask_user(text, str_sub(head, 0, mark));
    if (mark != SIZE_MAX) {
        text_add_byte(text, '?');
        access_mask_query(text, str_skip(head, mark + 1));
    }
    if (hash != SIZE_MAX)
        text_add(text, STR("#***"));
}

struct str access_mask_shorten(struct str s, bool *cut)
{
    if (s.len > ACCESS_VALUE_MAX)
        *cut = true;
    return str_sub(s, 0, ACCESS_VALUE_MAX);
}

typedef void mask_fn(struct text *text, struct str s);

static struct str masked(struct str s, mask_fn *mask, struct access_mask_scratch *scratch,
                         bool *cut)
{
    struct text text = text_over(scratch->bytes, sizeof scratch->bytes);
    mask(&text, access_mask_shorten(s, cut));
    if (!text_ok(&text))
        *cut = true;
    return text_str(&text);
}

struct str access_mask_query_of(const struct access_record *record,
                                struct access_mask_scratch *scratch, bool *cut)
{
    if (record->show & ACCESS_SHOW_QUERY)
        return access_mask_shorten(record->query, cut);
    return masked(record->query, access_mask_query, scratch, cut);
}

struct str access_mask_referer_of(const struct access_record *record,
                                  struct access_mask_scratch *scratch, bool *cut)
{
    if (record->show & ACCESS_SHOW_QUERY)
        return access_mask_shorten(record->referer, cut);
    return masked(record->referer, access_mask_url, scratch, cut);
}
