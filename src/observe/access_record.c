#include "observe/access_record.h"

#include "base/clock.h"
#include "base/hash.h"

#include <string.h>

enum { REFERENCE_BYTES = 10, REFERENCES_AT_ONCE = 64 };

/* Ten random bytes; the kernel is asked once for many, since this runs once per request. */
static void reference_bytes(uint8_t out[REFERENCE_BYTES])
{
    static _Thread_local uint8_t pool[REFERENCES_AT_ONCE][REFERENCE_BYTES];
    static _Thread_local unsigned left;
    if (left == 0) {
        random_bytes(pool, sizeof pool);
        left = REFERENCES_AT_ONCE;
    }
    memcpy(out, pool[--left], REFERENCE_BYTES);
}

/* Sixteen groups of five bits, the first from the top. */
static void reference_draw(char out[ACCESS_REFERENCE_LEN])
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t bytes[REFERENCE_BYTES];
    reference_bytes(bytes);
    unsigned held = 0, bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < REFERENCE_BYTES; i++) {
        held = (held << 8 | bytes[i]) & 0xfffU;
        for (bits += 8; bits >= 5; bits -= 5)
            out[at++] = digits[held >> (bits - 5) & 31U];
    }
}

void access_record_init(struct access_record *record, enum access_kind kind)
{
    memset(record, 0, sizeof *record);
    record->kind = (uint8_t)kind;
    record->start_wall_us = clock_wall_us();
    reference_draw(record->reference);
}

void access_record_set_target(struct access_record *record, struct str target)
{
    size_t mark = str_find_byte(target, '?');
    record->has_query = mark != SIZE_MAX;
    record->path = str_sub(target, 0, mark);
    record->query = record->has_query ? str_skip(target, mark + 1) : (struct str){0};
}

void access_record_decide(struct access_record *record, enum access_stage stage, struct str verdict,
                          struct str why, const struct where *where)
{
    if (record->decision_count >= ACCESS_DECISIONS_MAX) {
        record->decisions_cut = true;
        return;
    }
    struct access_decision *decision = &record->decisions[record->decision_count++];
    *decision = (struct access_decision){.stage = (uint8_t)stage, .verdict = verdict, .why = why};
    if (where != NULL)
        decision->where = *where;
}

void access_record_refuse(struct access_record *record, enum access_layer layer, struct str by,
                          struct str why, const struct where *where)
{
    if (record->refused_layer != ACCESS_NOT_REFUSED)
        return;
    record->refused_layer = (uint8_t)layer;
    record->refused_by = by;
    record->refused_why = why;
    if (where != NULL)
        record->refused_at = *where;
}

/* A value outside its enum is a fault of ours; the log says so instead of reading past a table. */
static struct str name_at(const struct str *names, size_t count, unsigned at)
{
    return at < count ? names[at] : STR("?");
}

#define NAME_AT(names, at) name_at(names, sizeof(names) / sizeof(names)[0], (unsigned)(at))

struct str access_kind_name(enum access_kind kind)
{
    static const struct str names[] = {STR_INIT("request"), STR_INIT("connection"),
                                       STR_INIT("summary")};
    return NAME_AT(names, kind);
}

struct str access_stage_name(enum access_stage stage)
{
    static const struct str names[] = {
        STR_INIT("listener"), STR_INIT("tls"),     STR_INIT("parse"),   STR_INIT("route"),
        STR_INIT("admit"),    STR_INIT("prepare"), STR_INIT("forward"), STR_INIT("respond"),
    };
    return NAME_AT(names, stage);
}

struct str access_layer_name(enum access_layer layer)
{
    static const struct str names[] = {
        STR_INIT(""),       STR_INIT("listener"), STR_INIT("tls"),
        STR_INIT("parser"), STR_INIT("limit"),    STR_INIT("route"),
        STR_INIT("files"),  STR_INIT("origin"),   STR_INIT("proxy"),
    };
    return NAME_AT(names, layer);
}

struct str access_end_name(enum access_end end)
{
    static const struct str names[] = {
        STR_INIT(""),
        STR_INIT("complete"),
        STR_INIT("client-aborted"),
        STR_INIT("client-timed-out"),
        STR_INIT("origin-aborted"),
        STR_INIT("origin-timed-out"),
        STR_INIT("shut-down"),
        STR_INIT("failed"),
    };
    return NAME_AT(names, end);
}
