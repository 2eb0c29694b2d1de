#include "observe/log_ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Head and tail are written by different threads: apart, so that they do not share a cache line. */
enum { CACHE_LINE = 64 };

struct log_ring {
    _Alignas(CACHE_LINE) atomic_size_t head; /* bytes ever put */
    size_t tail_seen;                        /* the producer's last look at `tail` */
    atomic_uint_fast64_t dropped;
    _Alignas(CACHE_LINE) atomic_size_t tail; /* bytes ever taken */
    _Alignas(CACHE_LINE) struct log_waker *waker;
    char *bytes;
    size_t size; /* a power of two */
};

/* Before each line. Lines are padded to its size, so that it never wraps. */
struct entry {
    uint32_t len;
    uint32_t target;
};

static size_t entry_size(size_t len)
{
    return sizeof(struct entry) + ((len + sizeof(struct entry) - 1) & ~(sizeof(struct entry) - 1));
}

void log_waker_wake(struct log_waker *waker)
{
    if (atomic_exchange(&waker->state, LOG_AWAKE) == LOG_AWAKE)
        return;
    uint64_t one = 1;
    /* The counter of an eventfd can only be full when the consumer has not been to it for ages. */
    if (write(waker->event_fd, &one, sizeof one) < 0)
        return;
}

struct log_ring *log_ring_new(struct log_waker *waker, size_t bytes)
{
    assert(bytes >= 2 * (size_t)LOG_LINE_MAX && (bytes & (bytes - 1)) == 0);
    struct log_ring *ring = aligned_alloc(CACHE_LINE, sizeof *ring);
    char *memory = malloc(bytes);
    if (ring == NULL || memory == NULL) {
        free(ring);
        free(memory);
        return NULL;
    }
    memset(ring, 0, sizeof *ring);
    ring->waker = waker;
    ring->bytes = memory;
    ring->size = bytes;
    return ring;
}

void log_ring_end(struct log_ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->bytes);
    free(ring);
}

/* @UNSAFE: `at` is taken modulo the size and len is at most the size (checked by the callers). */
static void ring_write(struct log_ring *ring, size_t at, struct str s)
{
    size_t from = at & (ring->size - 1);
    size_t first = s.len < ring->size - from ? s.len : ring->size - from;
    if (first != 0)
        memcpy(ring->bytes + from, s.at, first);
    if (first < s.len)
        memcpy(ring->bytes, s.at + first, s.len - first);
}

bool log_ring_put(struct log_ring *ring, unsigned target, struct str line)
{
    size_t need = entry_size(line.len);
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (line.len <= LOG_LINE_MAX && head + need - ring->tail_seen > ring->size)
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (line.len > LOG_LINE_MAX || head + need - ring->tail_seen > ring->size) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return false;
    }
    struct entry entry = {.len = (uint32_t)line.len, .target = target};
    ring_write(ring, head, str_from(&entry, sizeof entry));
    ring_write(ring, head + sizeof entry, line);
    /*
     * In one total order with the consumer, who first says that it sleeps and then looks at `head`:
     * either it sees this line, or we see that it sleeps.
     */
    atomic_store(&ring->head, head + need);
    int state = atomic_load(&ring->waker->state);
    if (state == LOG_ASLEEP || (state == LOG_NAPPING && log_ring_half_full(ring)))
        log_waker_wake(ring->waker);
    return true;
}

static struct entry entry_at(const struct log_ring *ring, size_t at)
{
    struct entry entry;
    memcpy(&entry, ring->bytes + (at & (ring->size - 1)), sizeof entry);
    return entry;
}

bool log_ring_peek(const struct log_ring *ring, unsigned *target, struct str parts[2])
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (atomic_load_explicit(&ring->head, memory_order_acquire) == tail)
        return false;
    struct entry entry = entry_at(ring, tail);
    size_t from = (tail + sizeof entry) & (ring->size - 1);
    size_t first = entry.len < ring->size - from ? entry.len : ring->size - from;
    *target = entry.target;
    parts[0] = str_from(ring->bytes + from, first);
    parts[1] = str_from(ring->bytes, entry.len - first);
    return true;
}

void log_ring_next(struct log_ring *ring)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t len = entry_at(ring, tail).len;
    atomic_store_explicit(&ring->tail, tail + entry_size(len), memory_order_release);
}

bool log_ring_empty(const struct log_ring *ring)
{
    return atomic_load(&ring->head) == atomic_load(&ring->tail);
}

bool log_ring_half_full(const struct log_ring *ring)
{
    return atomic_load(&ring->head) - atomic_load(&ring->tail) > ring->size / 2;
}

uint64_t log_ring_dropped(const struct log_ring *ring)
{
    return atomic_load_explicit(&ring->dropped, memory_order_relaxed);
}
