#include "observe/recall.h"

#include "base/pages.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct recall_entry) == RECALL_ENTRY_BYTES,
               "the entry's size is its promise");

/* Files of the configuration that the lines of one record may lie in: more are not named. */
enum {
    FILES_MAX = 4,
    FILE_BYTES_MAX = 96,
    VERDICT_BYTES_MAX = 64,
    WHY_BYTES_MAX = 96,
    PATH_BYTES_MAX = 128
};

/* In place of a length: no string is kept that long. */
enum { SAME_AS_SITE = 254, SAME_AS_ROUTE = 255 };
/* In place of a family. */
enum { SAME_AS_PEER = 255 };

struct recall {
    struct recall_entry *entries;
    unsigned size, next;
    uint64_t put;
};

/* What is kept of the record's strings and how much of each; the last are the first to be cut. */
static const struct kept {
    size_t at;
    uint8_t max;
} kept_first[] =
    {
        {offsetof(struct access_record, method), 24},
        {offsetof(struct access_record, host), 64},
        {offsetof(struct access_record, path), PATH_BYTES_MAX},
        {offsetof(struct access_record, query), 96},
        {offsetof(struct access_record, site), 64},
        {offsetof(struct access_record, route), 64},
        {offsetof(struct access_record, refused_by), 48},
        {offsetof(struct access_record, refused_why), 120},
        {offsetof(struct access_record, origin), 64},
},
  kept_last[] = {
      {offsetof(struct access_record, encoding), 8},
      {offsetof(struct access_record, tls_version), 8},
      {offsetof(struct access_record, sni), 64},
      {offsetof(struct access_record, response_type), 48},
      {offsetof(struct access_record, request_type), 48},
      {offsetof(struct access_record, cipher), 40},
      {offsetof(struct access_record, alpn), 16},
      {offsetof(struct access_record, user_agent), 128},
      {offsetof(struct access_record, referer), 96},
};

enum {
    FIRST_COUNT = sizeof kept_first / sizeof kept_first[0],
    LAST_COUNT = sizeof kept_last / sizeof kept_last[0],
};

enum { SCHEME_NONE, SCHEME_HTTP, SCHEME_HTTPS };
static const struct str schemes[] = {STR_INIT(""), STR_INIT("http"), STR_INIT("https")};

/* ---- the ring ---- */

struct recall *recall_new(unsigned threads)
{
    struct recall *recall = calloc(1, sizeof *recall);
    if (recall == NULL)
        return NULL;
    recall->size = (RECALL_RECORDS + threads - 1) / threads;
    recall->entries = pages_take_now(recall->size * sizeof *recall->entries);
    if (recall->entries != NULL)
        return recall;
    free(recall);
    return NULL;
}

void recall_end(struct recall *recall)
{
    if (recall == NULL)
        return;
    pages_give(recall->entries, recall->size * sizeof *recall->entries);
    free(recall);
}

const struct recall_entry *recall_at(const struct recall *recall, unsigned back)
{
    if (back >= recall->size || back >= recall->put)
        return NULL;
    return &recall->entries[(recall->next + recall->size - 1 - back) % recall->size];
}

/* ---- writing ---- */

/* Where the next byte of an entry goes: this runs for every request, so it stays in registers. */
struct pen {
    unsigned char *at, *end;
    bool cut;
};

static inline void put_byte(struct pen *pen, uint8_t byte)
{
    if (pen->at < pen->end)
        *pen->at++ = byte;
    else
        pen->cut = true;
}

static inline void put_str(struct pen *pen, struct str s, size_t max)
{
    if (pen->at == pen->end) {
        pen->cut |= s.len != 0;
        return;
    }
    size_t room = (size_t)(pen->end - pen->at) - 1, len = s.len < max ? s.len : max;
    len = len < room ? len : room;
    pen->cut |= len < s.len;
    *pen->at++ = (uint8_t)len;
    if (len == 0)
        return;
    memcpy(pen->at, s.at, len);
    pen->at += len;
}

/* @UNSAFE: the tables above name members of the record that are strings */
static inline const struct str *member(const struct access_record *record, const struct kept *kept)
{
    return (const struct str *)(const void *)((const char *)record + kept->at);
}

/* Unrolled, the numbers of the table are constants, which saves every request 160 instructions. */
static inline void put_members(struct pen *pen, const struct access_record *record,
                               const struct kept *kept, size_t count)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < count; i++)
        put_str(pen, *member(record, &kept[i]), kept[i].max);
}

/* What a decision says is mostly a name that the record holds already: then only which. */
static inline void put_reason(struct pen *pen, const struct access_record *record, struct str why)
{
    if (why.len != 0 && why.at == record->site.at)
        put_byte(pen, SAME_AS_SITE);
    else if (why.len != 0 && why.at == record->route.at)
        put_byte(pen, SAME_AS_ROUTE);
    else
        put_str(pen, why, WHY_BYTES_MAX);
}

static size_t ip_bytes(uint8_t family)
{
    return family == ADDR_IP4 ? 4 : family == ADDR_IP6 ? 16 : 0;
}

/* Family, port, address; of UNIX sockets the family alone. */
static void put_addr(struct pen *pen, const struct addr *addr)
{
    size_t len = ip_bytes(addr->family);
    put_byte(pen, addr->family);
    if (len == 0)
        return;
    put_byte(pen, (uint8_t)(addr->port >> 8));
    put_byte(pen, (uint8_t)addr->port);
    for (size_t i = 0; i < len; i++)
        put_byte(pen, addr->ip[i]);
}

static void put_addrs(struct pen *pen, const struct access_record *r)
{
    bool same = addr_eq(&r->client, &r->peer);
    put_addr(pen, &r->peer);
    if (same)
        put_byte(pen, SAME_AS_PEER);
    else
        put_addr(pen, &r->client);
    put_addr(pen, &r->local);
    put_addr(pen, &r->origin_local);
    put_addr(pen, &r->origin_peer);
}

static uint32_t us32(uint64_t us)
{
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* 1 + the place of a line's file among those of the entry; 0: none, or one too many. */
struct files {
    struct str names[FILES_MAX];
    uint8_t count;
};

static uint8_t file_of(struct files *files, const struct where *where)
{
    if (str_empty(where->file))
        return 0;
    for (uint8_t i = 0; i < files->count; i++) {
        struct str name = files->names[i];
        if (name.at == where->file.at || str_eq(name, where->file))
            return (uint8_t)(i + 1);
    }
    if (files->count == FILES_MAX)
        return 0;
    files->names[files->count++] = where->file;
    return files->count;
}

static void put_decisions(struct pen *pen, const struct access_record *record, struct files *files)
{
    for (unsigned i = 0; i < record->decision_count && i < ACCESS_DECISIONS_MAX; i++) {
        const struct access_decision *d = &record->decisions[i];
        put_byte(pen, d->stage);
        put_byte(pen, file_of(files, &d->where));
        for (unsigned shift = 0; shift < 24; shift += 8) /* no file has more lines */
            put_byte(pen, (uint8_t)(d->where.line >> shift));
        put_str(pen, d->verdict, VERDICT_BYTES_MAX);
        put_reason(pen, record, d->why);
    }
}

static void put_numbers(struct recall_entry *e, const struct access_record *r)
{
    e->kind = r->kind;
    e->start_wall_us = r->start_wall_us;
    memcpy(e->reference, r->reference, sizeof e->reference);
    e->connection_id = r->connection_id;
    e->request_number = r->request_number;
    e->bytes_in = r->bytes_in;
    e->body_in = r->body_in;
    e->bytes_out = r->bytes_out;
    e->body_out = r->body_out;
    e->total_us = r->total_us;
    e->head_us = us32(r->head_us);
    e->connected_us = us32(r->connected_us);
    e->sent_us = us32(r->sent_us);
    e->answer_us = us32(r->answer_us);
    e->connect_us = us32(r->connect_us);
    e->status = r->status;
    e->origin_status = r->origin_status;
    e->tries = r->tries;
    e->version = r->version;
    e->scheme = r->scheme.len == 5 ? SCHEME_HTTPS : r->scheme.len == 4 ? SCHEME_HTTP : SCHEME_NONE;
    e->end = r->end;
    e->refused_layer = r->refused_layer;
    e->tls_resumed = r->tls_resumed;
    e->origin_pooled = r->origin_pooled;
    e->websocket = r->websocket;
    e->has_query = r->has_query;
    e->decisions_cut = r->decisions_cut;
    e->decision_count =
        r->decision_count < ACCESS_DECISIONS_MAX ? r->decision_count : ACCESS_DECISIONS_MAX;
}

void recall_put(struct recall *recall, const struct access_record *record)
{
    struct recall_entry *e = &recall->entries[recall->next];
    struct files files;
    struct pen pen = {.at = e->bytes, .end = e->bytes + sizeof e->bytes};
    files.count = 0;
    recall->next = recall->next + 1 == recall->size ? 0 : recall->next + 1;
    recall->put++;
    put_numbers(e, record);
    put_addrs(&pen, record);
    e->route_file = file_of(&files, &record->route_where);
    e->route_line = record->route_where.line;
    e->refused_file = file_of(&files, &record->refused_at);
    e->refused_line = record->refused_at.line;
    put_members(&pen, record, kept_first, FIRST_COUNT);
    /* Mostly it is the path, and the log tells it only where it is not. */
    put_str(&pen, str_eq(record->canonical_path, record->path) ? STR("") : record->canonical_path,
            PATH_BYTES_MAX);
    put_decisions(&pen, record, &files);
    e->file_count = files.count;
    for (unsigned i = 0; i < files.count; i++)
        put_str(&pen, files.names[i], FILE_BYTES_MAX);
    put_members(&pen, record, kept_last, LAST_COUNT);
    e->used = (uint16_t)(pen.at - e->bytes);
    e->cut = pen.cut;
}

/* ---- reading ---- */

struct reader {
    const struct recall_entry *entry;
    size_t at;
};

static uint8_t get_byte(struct reader *r)
{
    return r->at < r->entry->used ? r->entry->bytes[r->at++] : 0;
}

static struct str get_str(struct reader *r)
{
    size_t len = get_byte(r), left = r->entry->used - r->at;
    struct str s = str_from(r->entry->bytes + r->at, len < left ? len : left);
    r->at += s.len;
    return s;
}

static uint32_t get_line(struct reader *r)
{
    uint32_t line = 0;
    for (unsigned shift = 0; shift < 24; shift += 8)
        line |= (uint32_t)get_byte(r) << shift;
    return line;
}

static struct str get_reason(struct reader *r, const struct access_record *record)
{
    uint8_t what = r->at < r->entry->used ? r->entry->bytes[r->at] : 0;
    if (what != SAME_AS_SITE && what != SAME_AS_ROUTE)
        return get_str(r);
    r->at++;
    return what == SAME_AS_SITE ? record->site : record->route;
}

static void get_members(struct reader *r, struct access_record *record, const struct kept *kept,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct str s = get_str(r);
        /* @UNSAFE: as in member() */
        memcpy((char *)record + kept[i].at, &s, sizeof s);
    }
}

static struct addr get_addr(struct reader *r)
{
    struct addr addr = {.family = get_byte(r), .path = ""};
    size_t len = ip_bytes(addr.family);
    if (len == 0)
        return addr;
    addr.port = (uint16_t)(get_byte(r) << 8);
    addr.port = (uint16_t)(addr.port | get_byte(r));
    for (size_t i = 0; i < len; i++)
        addr.ip[i] = get_byte(r);
    return addr;
}

/* Peer and client stand first. */
static struct addr get_client(struct reader *r, struct addr *peer)
{
    *peer = get_addr(r);
    if (r->at >= r->entry->used || r->entry->bytes[r->at] != SAME_AS_PEER)
        return get_addr(r);
    r->at++;
    return *peer;
}

static void get_addrs(struct reader *r, struct access_record *record)
{
    record->client = get_client(r, &record->peer);
    record->local = get_addr(r);
    record->origin_local = get_addr(r);
    record->origin_peer = get_addr(r);
}

static void get_numbers(const struct recall_entry *e, struct access_record *r)
{
    r->kind = e->kind;
    r->start_wall_us = e->start_wall_us;
    memcpy(r->reference, e->reference, sizeof r->reference);
    r->connection_id = e->connection_id;
    r->request_number = e->request_number;
    r->bytes_in = e->bytes_in;
    r->body_in = e->body_in;
    r->bytes_out = e->bytes_out;
    r->body_out = e->body_out;
    r->total_us = e->total_us;
    r->head_us = e->head_us;
    r->connected_us = e->connected_us;
    r->sent_us = e->sent_us;
    r->answer_us = e->answer_us;
    r->connect_us = e->connect_us;
    r->status = e->status;
    r->origin_status = e->origin_status;
    r->tries = e->tries;
    r->version = e->version;
    r->scheme = schemes[e->scheme];
    r->end = e->end;
    r->refused_layer = e->refused_layer;
    r->tls_resumed = e->tls_resumed;
    r->origin_pooled = e->origin_pooled;
    r->websocket = e->websocket;
    r->has_query = e->has_query;
    r->decisions_cut = e->decisions_cut || e->cut;
}

static struct where where_of(const struct files *files, uint8_t file, uint32_t line)
{
    if (file == 0 || file > files->count)
        return (struct where){.line = 0};
    return (struct where){.file = files->names[file - 1], .line = line};
}

void recall_read(const struct recall_entry *e, struct access_record *record)
{
    struct reader reader = {.entry = e};
    struct files files = {.count = e->file_count};
    uint8_t of_decision[ACCESS_DECISIONS_MAX] = {0};
    memset(record, 0, sizeof *record);
    get_numbers(e, record);
    get_addrs(&reader, record);
    get_members(&reader, record, kept_first, FIRST_COUNT);
    record->canonical_path = get_str(&reader);
    record->decision_count = 0;
    while (record->decision_count < e->decision_count && reader.at < e->used) {
        unsigned i = record->decision_count++;
        struct access_decision *d = &record->decisions[i];
        d->stage = get_byte(&reader);
        of_decision[i] = get_byte(&reader);
        d->where.line = get_line(&reader);
        d->verdict = get_str(&reader);
        d->why = get_reason(&reader, record);
    }
    for (unsigned i = 0; i < files.count && i < FILES_MAX; i++)
        files.names[i] = get_str(&reader);
    get_members(&reader, record, kept_last, LAST_COUNT);
    for (unsigned i = 0; i < record->decision_count; i++)
        record->decisions[i].where =
            where_of(&files, of_decision[i], record->decisions[i].where.line);
    record->route_where = where_of(&files, e->route_file, e->route_line);
    record->refused_at = where_of(&files, e->refused_file, e->refused_line);
}

bool recall_is(const struct recall_entry *entry, struct str reference)
{
    return str_eq(str_from(entry->reference, sizeof entry->reference), reference);
}

bool recall_is_refusal_of(const struct recall_entry *entry, const struct addr *client)
{
    struct reader reader = {.entry = entry};
    struct addr peer, who = get_client(&reader, &peer);
    return entry->refused_layer != ACCESS_NOT_REFUSED && addr_eq_host(&who, client);
}
