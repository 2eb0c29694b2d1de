#include "app/conduct.h"

#include <string.h>

void conduct_init(struct conduct *conduct, uint64_t now_ms)
{
    memset(conduct, 0, sizeof *conduct);
    conduct->wants_left = CONDUCT_WANTS_MAX;
    conduct->wants_ms = now_ms;
}

void conduct_ordered(struct conduct *conduct, uint64_t generation)
{
    conduct->ordered = generation;
    conduct->texts_left = CONDUCT_TEXTS_MAX;
}

void conduct_asked(struct conduct *conduct)
{
    conduct->questions++;
    if (conduct->answers_left <= UINT32_MAX - CONDUCT_ANSWERS_MAX)
        conduct->answers_left += CONDUCT_ANSWERS_MAX;
}

static bool take_one(uint32_t *left)
{
    if (*left == 0)
        return false;
    (*left)--;
    return true;
}

/* A load that came while an earlier one was still taken is answered alone. */
static bool acknowledges(struct conduct *conduct, uint64_t generation)
{
    if (generation <= conduct->acknowledged || generation > conduct->ordered)
        return false;
    conduct->acknowledged = generation;
    return true;
}

static bool wants(struct conduct *conduct, uint64_t now_ms)
{
    uint64_t more = (now_ms - conduct->wants_ms) * CONDUCT_WANTS_PER_S / 1000;
    if (more > 0) {
        uint64_t sum = conduct->wants_left + more;
        conduct->wants_left = sum > CONDUCT_WANTS_MAX ? CONDUCT_WANTS_MAX : (uint32_t)sum;
        conduct->wants_ms = now_ms;
    }
    return take_one(&conduct->wants_left);
}

static bool answers(struct conduct *conduct, const struct letter *letter)
{
    if (conduct->questions == 0 || !take_one(&conduct->answers_left))
        return false;
    if (letter->kind == LETTER_ANSWERED && --conduct->questions == 0)
        conduct->answers_left = 0;
    return true;
}

bool conduct_allows(struct conduct *conduct, const struct letter *letter, uint64_t now_ms)
{
    if (letter->kind == LETTER_LOCKED) {
        bool first = !conduct->locked;
        conduct->locked = true;
        return first;
    }
    if (!conduct->locked)
        return false;
    switch (letter->kind) {
    case LETTER_READY:
    case LETTER_REFUSED:
        return acknowledges(conduct, letter->u.generation);
    case LETTER_TEXT:
        return conduct->acknowledged < conduct->ordered && take_one(&conduct->texts_left);
    case LETTER_LOG_WANTED:
        return wants(conduct, now_ms);
    case LETTER_COUNTERS:
    case LETTER_CERT:
    case LETTER_ANSWERED:
        return answers(conduct, letter);
    default:
        return false;
    }
}
