#include "http/header.h"

#include "http/grammar.h"

#include <string.h>

#define HEADER_NAME_ROW(id, name) STR_INIT(name),
static const struct str names[HEADER_COUNT] = {{.at = "", .len = 0}, HEADER_LIST(HEADER_NAME_ROW)};
#undef HEADER_NAME_ROW

/* Four times the names and a power of two: nearly every look-up ends at its first slot. */
enum { SLOTS = 512, SHORTEST = 2, LONGEST = 25 };
_Static_assert(HEADER_COUNT < 256, "an id fits a slot");
_Static_assert(HEADER_COUNT * 4 <= SLOTS, "the table stays thin");

/* id by hash of length and three letters, and the names in lower case: filled once before main(),
 * only read from then on. */
static uint8_t slots[SLOTS];
static char lower[HEADER_COUNT][LONGEST];

/* Folding by 0x20 merges a few other bytes too; the comparison afterwards tells them apart. */
static unsigned slot_of(struct str name)
{
    unsigned first = (unsigned char)name.at[0] | 0x20U;
    unsigned middle = (unsigned char)name.at[name.len / 2] | 0x20U;
    unsigned near_end = (unsigned char)name.at[name.len - 2] | 0x20U;
    unsigned hash = first * 31 + middle * 7 + near_end * 131 + (unsigned)name.len * 61;
    return (hash ^ hash >> 7) % SLOTS;
}

__attribute__((constructor)) static void fill_slots(void)
{
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        for (size_t i = 0; i < names[id].len && i < LONGEST; i++)
            lower[id][i] = char_lower(names[id].at[i]);
        unsigned slot = slot_of(names[id]);
        while (slots[slot] != 0)
            slot = (slot + 1) % SLOTS;
        slots[slot] = (uint8_t)id;
    }
}

/*
 * Eight bytes at once. Known names are letters, digits and '-', which keep their value under | 0x20
 * but for the case of letters; the only other bytes that fold to one of them are below 0x20, and
 * those have neither bit 0x20 nor 0x40.
 */
static bool same_word(const char *name, const char *known)
{
    uint64_t a, b, bit = 0x2020202020202020U;
    memcpy(&a, name, sizeof a);
    memcpy(&b, known, sizeof b);
    return ((a | bit) == b) & (((a | a >> 1) & bit) == bit);
}

bool header_is(struct str name, enum header_id id)
{
    if ((unsigned)id >= HEADER_COUNT || name.len != names[id].len || name.len == 0)
        return false;
    const char *known = lower[id];
    if (name.len < 8) {
        for (size_t i = 0; i < name.len; i++)
            if (char_lower(name.at[i]) != known[i])
                return false;
        return true;
    }
    /* @UNSAFE: both have `name.len` bytes; the last word ends with them and may overlap. */
    for (size_t i = 0; i + 8 < name.len; i += 8)
        if (!same_word(name.at + i, known + i))
            return false;
    return same_word(name.at + name.len - 8, known + name.len - 8);
}

enum header_id header_lookup(struct str name)
{
    if (name.len < SHORTEST || name.len > LONGEST)
        return HEADER_OTHER;
    for (unsigned slot = slot_of(name); slots[slot] != 0; slot = (slot + 1) % SLOTS)
        if (header_is(name, (enum header_id)slots[slot]))
            return (enum header_id)slots[slot];
    return HEADER_OTHER;
}

struct str header_name(enum header_id id)
{
    return (unsigned)id < HEADER_COUNT ? names[id] : (struct str){.at = "", .len = 0};
}

bool header_name_ok(struct str name)
{
    return grammar_token(name);
}

bool header_value_ok(struct str value)
{
    if (value.len == 0)
        return true;
    if (char_is_ows(value.at[0]) || char_is_ows(value.at[value.len - 1]))
        return false;
    return grammar_text_len(value) == value.len;
}

/*
 * The end of the list member that begins at 0: a comma inside a quoted string separates nothing
 * (RFC 9110 5.6.1, 5.6.4). An unfinished quoted string ends with the value.
 */
static size_t member_end(struct str rest)
{
    bool quoted = false;
    for (size_t i = 0; i < rest.len; i++) {
        char c = rest.at[i];
        if (c == '"')
            quoted = !quoted;
        else if (c == '\\' && quoted)
            i++;
        else if (c == ',' && !quoted)
            return i;
    }
    return rest.len;
}

bool header_list_next(struct str *rest, struct str *member)
{
    while (rest->len != 0) {
        size_t end = member_end(*rest);
        *member = str_trim(str_sub(*rest, 0, end));
        *rest = str_skip(*rest, end + 1);
        if (member->len != 0)
            return true;
    }
    return false;
}

bool header_list_has(struct str value, struct str token)
{
    struct str member;
    while (header_list_next(&value, &member))
        if (str_eq_nocase(member, token))
            return true;
    return false;
}
