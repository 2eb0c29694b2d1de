/* "did you mean …?": the nearest of several words, if one is near enough. */
#ifndef PC_CONFIG_NEAREST_H
#define PC_CONFIG_NEAREST_H

#include "base/str.h"

/*
 * Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (the optimal
 * string alignment distance); `most` + 1 as soon as it is certain to be more. Words longer than
 * NEAREST_BYTES_MAX are far from everything.
 */
unsigned nearest_distance(struct str a, struct str b, unsigned most);
#define NEAREST_BYTES_MAX 64

/* Feed candidates; `best` is empty while none was near enough: a third of the word, at least one.
 */
struct nearest {
    struct str wanted, best;
    unsigned distance;
};

void nearest_init(struct nearest *nearest, struct str wanted);
void nearest_try(struct nearest *nearest, struct str candidate);

#endif
