#include "proxy/explain_state.h"

#include "observe/access_mask.h"

/* Of a target; heads are shorter. */
#define URL_BYTES_MAX ((size_t)256 * 1024)

struct str explain_addr(const struct explain *e, const struct addr *addr)
{
    struct text text = text_in(e->arena, 128);
    addr_add_text(&text, addr);
    return text_str(&text);
}

struct str explain_masked(const struct explain *e, struct str url)
{
    struct text text = text_in(e->arena, URL_BYTES_MAX);
    access_mask_url(&text, url);
    return text_str(&text);
}
