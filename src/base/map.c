#include "base/map.h"

#include "base/arena.h"
#include "base/hash.h"

void map_init(struct map *map, struct arena *arena)
{
    *map = (struct map){.arena = arena};
}

static uint64_t key_hash(struct str key)
{
    uint64_t hash = hash_bytes(key);
    return hash ? hash : 1;
}

static struct map_slot *slot_of(const struct map *map, uint64_t hash, struct str key)
{
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_slot *slot = &map->slots[i];
        if (slot->hash == 0 || (slot->hash == hash && str_eq(slot->key, key)))
            return slot;
    }
}

static bool map_grow(struct map *map)
{
    struct map bigger = *map;
    bigger.capacity = map->capacity ? map->capacity * 2 : 8;
    bigger.slots = arena_array(map->arena, bigger.capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].hash != 0)
            *slot_of(&bigger, map->slots[i].hash, map->slots[i].key) = map->slots[i];
    *map = bigger;
    return true;
}

bool map_set(struct map *map, struct str key, void *value)
{
    if ((map->count + 1) * 4 > map->capacity * 3 && !map_grow(map))
        return false;
    uint64_t hash = key_hash(key);
    struct map_slot *slot = slot_of(map, hash, key);
    if (slot->hash == 0)
        map->count++;
    *slot = (struct map_slot){.hash = hash, .key = key, .value = value};
    return true;
}

void *map_get(const struct map *map, struct str key)
{
    if (map->count == 0)
        return NULL;
    return slot_of(map, key_hash(key), key)->value;
}

const struct map_slot *map_next(const struct map *map, size_t *at)
{
    while (*at < map->capacity) {
        const struct map_slot *slot = &map->slots[(*at)++];
        if (slot->hash != 0)
            return slot;
    }
    return NULL;
}
