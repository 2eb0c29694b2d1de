#include "app/drains.h"

#include <string.h>

static bool is_text(struct str text)
{
    if (text.len == 0 || text.len >= LETTER_NAME_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] <= 0x20 || (unsigned char)text.at[i] >= 0x7f)
            return false;
    return true;
}

enum drains_result drains_set(struct drains *drains, struct str text, bool on)
{
    unsigned at = 0;
    if (!is_text(text))
        return DRAINS_BAD;
    while (at < drains->count && !str_eq(str_from_z(drains->texts[at]), text))
        at++;
    if ((at < drains->count) == on)
        return DRAINS_ALREADY;
    if (!on) {
        memcpy(drains->texts[at], drains->texts[--drains->count], LETTER_NAME_MAX);
        return DRAINS_DONE;
    }
    if (drains->count == DRAINS_MAX)
        return DRAINS_FULL;
    memset(drains->texts[at], 0, LETTER_NAME_MAX);
    memcpy(drains->texts[at], text.at, text.len);
    drains->count++;
    return DRAINS_DONE;
}

struct letter drains_letter_of(struct str text, bool on)
{
    struct letter m;
    letter_init(&m, LETTER_ORIGIN);
    m.u.origin.drained = on;
    if (!letter_set_text(m.u.origin.text, sizeof m.u.origin.text, text))
        m.u.origin.text[0] = '\0';
    return m;
}

struct letter drains_letter(const struct drains *drains, unsigned i)
{
    return drains_letter_of(str_from_z(drains->texts[i]), true);
}
