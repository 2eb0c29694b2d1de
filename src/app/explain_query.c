#include "app/explain_query.h"

#include "base/arena.h"
#include "http/header.h"

/* From TEST-NET-3 (RFC 5737), as for `expect`: an address of nobody, which no list knows. */
#define STRANGER "203.0.113.1"
/* A name with more addresses than this is explained by the first of them. */
enum { ADDRESSES_MAX = 16 };

struct reading {
    struct ask ask;
    struct ask_field *fields;
    struct explain_address addresses[ADDRESSES_MAX];
    struct explain_conf conf;
    const char *why;
};

static bool read_header(struct reading *r, struct str text)
{
    size_t colon = str_find_byte(text, ':');
    r->why = "a header is written as 'Name: value'";
    if (colon == SIZE_MAX || colon == 0 || str_find_byte(text, '\n') != SIZE_MAX ||
        str_find_byte(text, '\r') != SIZE_MAX)
        return false;
    r->fields[r->ask.field_count++] =
        (struct ask_field){str_sub(text, 0, colon), str_trim(str_skip(text, colon + 1))};
    return true;
}

static bool read_address(struct reading *r, struct str text, bool ours)
{
    struct explain_address *a = &r->addresses[r->conf.address_count];
    r->why = "an address of the host is none";
    if (r->conf.address_count == ADDRESSES_MAX)
        return true;
    a->ours = ours;
    r->conf.address_count++;
    return addr_parse_ip(text, &a->addr);
}

static bool read_pair(struct arena *arena, struct reading *r, struct str name, struct str value)
{
    if (str_eq(name, STR("method"))) {
        r->ask.method = value;
        r->why = "this is no method";
        return value.len != 0 && header_name_ok(value);
    }
    if (str_eq(name, STR("url")))
        return ask_read_url(arena, value, &r->ask, &r->why);
    if (str_eq(name, STR("from"))) {
        r->why = "--from wants an IP address";
        r->conf.from_said = true;
        return addr_parse_ip(value, &r->conf.from);
    }
    if (str_eq(name, STR("body"))) {
        r->why = "the size of the body is no number";
        return str_to_u64(value, UINT64_MAX / 2, &r->ask.body_bytes);
    }
    if (str_eq(name, STR("header")))
        return read_header(r, value);
    if (str_eq(name, STR("unresolved"))) {
        r->conf.unresolved = value;
        return true;
    }
    r->why = "unknown word";
    bool ours = str_eq(name, STR("ours"));
    return (ours || str_eq(name, STR("elsewhere"))) && read_address(r, value, ours);
}

static bool read_words(struct arena *arena, struct reading *r, const struct explain_words *words)
{
    r->fields = arena_array(arena, words->count + 1, sizeof *r->fields);
    r->why = "no memory";
    if (r->fields == NULL)
        return false;
    r->ask.fields = r->fields;
    r->conf.ask = &r->ask;
    r->conf.addresses = r->addresses;
    (void)!addr_parse_ip(STR(STRANGER), &r->conf.from);
    for (unsigned i = 0; i + 1 < words->count; i += 2)
        if (!read_pair(arena, r, words->at[i], words->at[i + 1]))
            return false;
    r->why = "a method and a URL are wanted";
    return r->ask.method.len != 0 && r->ask.host.len != 0;
}

bool explain_query(struct arena *arena, const struct explain_words *words,
                   struct snapshot *snapshot, const struct explain_live *live, struct text *out)
{
    struct reading *r = ARENA_NEW(arena, struct reading);
    struct report report;
    if (r == NULL || !read_words(arena, r, words)) {
        text_printf(out, "%s\n", r ? r->why : "no memory");
        return false;
    }
    r->conf.snapshot = snapshot;
    r->conf.origins = live->origins;
    r->conf.user = live->user;
    if (explain_run(arena, &r->conf, &report) && report_json(&report, out))
        return true;
    text_add_z(out, "the explanation does not fit into memory\n");
    return false;
}
