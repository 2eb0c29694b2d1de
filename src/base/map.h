/*
 * A hash table from strings to pointers, in an arena, that only grows. The keys' bytes are not
 * copied and must live as long as the map. Look-ups do not write: many threads may read a map that
 * nobody changes any more.
 */
#ifndef PC_BASE_MAP_H
#define PC_BASE_MAP_H

#include "base/str.h"

struct map_slot {
    uint64_t hash; /* 0: free */
    struct str key;
    void *value;
};

struct map {
    struct arena *arena;
    struct map_slot *slots;
    size_t count, capacity; /* capacity is 0 or a power of two */
};

void map_init(struct map *map, struct arena *arena);
/* Adds or replaces. False at the arena's cap; the map is then as it was. */
bool map_set(struct map *map, struct str key, void *value) __attribute__((warn_unused_result));
/* The value, or NULL. */
void *map_get(const struct map *map, struct str key);
/* Slots in no particular order: start with `*at` 0; NULL at the end. */
const struct map_slot *map_next(const struct map *map, size_t *at);

#endif
