#include "config/nearest.h"

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* One row of the matrix from the two before it; answers the smallest member. */
static unsigned next_row(struct str a, struct str b, size_t i,
                         unsigned rows[3][NEAREST_BYTES_MAX + 1])
{
    unsigned *now = rows[i % 3];
    const unsigned *above = rows[(i + 2) % 3];
    const unsigned *before = rows[(i + 1) % 3];
    now[0] = (unsigned)i;
    unsigned smallest = now[0];
    for (size_t j = 1; j <= b.len; j++) {
        unsigned change = a.at[i - 1] == b.at[j - 1] ? 0 : 1;
        now[j] = least(least(above[j] + 1, now[j - 1] + 1), above[j - 1] + change);
        if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1])
            now[j] = least(now[j], before[j - 2] + 1);
        smallest = least(smallest, now[j]);
    }
    return smallest;
}

unsigned nearest_distance(struct str a, struct str b, unsigned most)
{
    size_t gap = a.len > b.len ? a.len - b.len : b.len - a.len;
    if (a.len > NEAREST_BYTES_MAX || b.len > NEAREST_BYTES_MAX || gap > most)
        return most + 1;
    unsigned rows[3][NEAREST_BYTES_MAX + 1] = {0};
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = (unsigned)j;
    unsigned previous = 0;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned smallest = next_row(a, b, i, rows);
        if (smallest > most && previous > most) /* a swap looks two rows back */
            return most + 1;
        previous = smallest;
    }
    return least(rows[a.len % 3][b.len], most + 1);
}

void nearest_init(struct nearest *nearest, struct str wanted)
{
    unsigned most = (unsigned)(wanted.len / 3);
    *nearest = (struct nearest){.wanted = wanted, .distance = (most ? most : 1) + 1};
}

void nearest_try(struct nearest *nearest, struct str candidate)
{
    /* "on" is not "off", nor "ms" a "s": short words are near to anything */
    if (nearest->wanted.len < 3 || candidate.len < 3 || nearest->distance == 0)
        return;
    unsigned distance = nearest_distance(nearest->wanted, candidate, nearest->distance - 1);
    if (distance >= nearest->distance)
        return;
    nearest->distance = distance;
    nearest->best = candidate;
}
