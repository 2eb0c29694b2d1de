#include "observe/log_thread.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    NAP_MS = 10,                /* lines gather this long before they are written together */
    RETRY_MS = 20,              /* a reader that took nothing is tried again */
    REPORT_WAIT_MS = 1000,      /* while there is something left to say on stderr */
    RING_REPORT_MS = 10 * 1000, /* about full rings: at most this often */
    LINES_AT_ONCE = 1024,       /* of one ring, before the others have their turn */
    TURNS_MAX = 64,             /* that many lines of 8 bytes are more than a ring holds */
    JOIN_LOOK_NS = 1000 * 1000,
    JOIN_EXTRA_MS = 500, /* behind the deadline of a stop, for the last write to return */
};

/* What another thread wants changed in one slot. In this order: clear, open, descriptor. */
struct change {
    bool clear, open, has_fd;
    struct log_sink_conf conf; /* its name lies in `name` */
    char name[LOG_SINK_NAME_MAX];
    int fd;
};

struct log_thread {
    struct log_waker waker;
    struct log_ring **rings;
    unsigned ring_count;
    void (*on_want)(void *user, unsigned target, enum log_want want);
    void *user;
    pthread_t id;

    pthread_mutex_t lock; /* of changes */
    struct change changes[LOG_TARGETS_MAX];
    atomic_bool changed;
    atomic_uint_fast64_t stop_at_ms; /* monotonic; 0: run on */

    /* The log thread's own, but for the counters in the sinks. */
    struct log_sink sinks[LOG_TARGETS_MAX];
    uint64_t ring_reported, ring_report_at_ms;
};

/* --- the thread ------------------------------------------------------------------------------ */

static void apply_change(struct log_sink *sink, struct change *change)
{
    if (change->clear)
        log_sink_close(sink);
    if (change->open) {
        change->conf.name = str_from_z(change->name);
        if (!log_sink_open(sink, &change->conf))
            log_error("log %s: no memory", log_escape(change->conf.name));
    }
    if (change->has_fd && sink->used)
        log_sink_set_fd(sink, change->fd);
    else if (change->has_fd && change->fd >= 0)
        close(change->fd);
    *change = (struct change){.fd = -1};
}

/* A slot may be opened after the round began: lines for it must not be lost for that. */
static void open_late(struct log_thread *thread, unsigned target)
{
    pthread_mutex_lock(&thread->lock);
    if (thread->changes[target].open)
        apply_change(&thread->sinks[target], &thread->changes[target]);
    pthread_mutex_unlock(&thread->lock);
}

static void take_line(struct log_thread *thread, unsigned target, const struct str parts[2])
{
    target %= LOG_TARGETS_MAX;
    if (!thread->sinks[target].used)
        open_late(thread, target);
    log_sink_add(&thread->sinks[target], parts[0], parts[1]);
}

/* Up to LINES_AT_ONCE lines of each ring; answers how many. */
static size_t take_lines(struct log_thread *thread)
{
    size_t taken = 0;
    for (unsigned i = 0; i < thread->ring_count; i++) {
        struct str parts[2];
        unsigned target;
        for (int n = 0; n < LINES_AT_ONCE && log_ring_peek(thread->rings[i], &target, parts); n++) {
            take_line(thread, target, parts);
            log_ring_next(thread->rings[i]);
            taken++;
        }
    }
    return taken;
}

/* True when a reader left something. */
static bool flush_sinks(struct log_thread *thread)
{
    bool waiting = false;
    for (unsigned i = 0; i < LOG_TARGETS_MAX; i++) {
        if (log_sink_waiting(&thread->sinks[i]))
            log_sink_flush(&thread->sinks[i]);
        waiting |= log_sink_waiting(&thread->sinks[i]);
    }
    return waiting;
}

static void apply_changes(struct log_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    for (unsigned i = 0; i < LOG_TARGETS_MAX; i++)
        apply_change(&thread->sinks[i], &thread->changes[i]);
    pthread_mutex_unlock(&thread->lock);
}

/* Says what is wanted and what was lost. True while there is something left to say. */
static bool speak(struct log_thread *thread, uint64_t now_ms)
{
    bool more = false;
    for (unsigned i = 0; i < LOG_TARGETS_MAX; i++) {
        enum log_want want = log_sink_wants(&thread->sinks[i], now_ms);
        if (want != LOG_WANT_NOTHING && thread->on_want != NULL)
            thread->on_want(thread->user, i, want);
        more |= log_sink_report(&thread->sinks[i], now_ms);
    }
    uint64_t dropped = log_thread_dropped(thread);
    if (dropped == thread->ring_reported)
        return more;
    if (now_ms < thread->ring_report_at_ms)
        return true;
    log_warning("access log: %llu lines lost: they came faster than they could be written",
                (unsigned long long)(dropped - thread->ring_reported));
    thread->ring_reported = dropped;
    thread->ring_report_at_ms = now_ms + RING_REPORT_MS;
    return more;
}

static bool all_empty(const struct log_thread *thread)
{
    for (unsigned i = 0; i < thread->ring_count; i++)
        if (!log_ring_empty(thread->rings[i]))
            return false;
    return true;
}

static bool any_half_full(const struct log_thread *thread)
{
    for (unsigned i = 0; i < thread->ring_count; i++)
        if (log_ring_half_full(thread->rings[i]))
            return true;
    return false;
}

/*
 * Naps or sleeps until there is something to do. First the state is told, then everything is looked
 * at once more: who put a line in between sees the state, or we see the line (log_ring_put).
 */
static void wait_for_work(struct log_thread *thread, bool nap, int timeout_ms)
{
    atomic_store(&thread->waker.state, nap ? LOG_NAPPING : LOG_ASLEEP);
    bool work = atomic_load(&thread->changed) || (!nap && atomic_load(&thread->stop_at_ms) != 0) ||
                (nap ? any_half_full(thread) : !all_empty(thread));
    struct pollfd woken = {.fd = thread->waker.event_fd, .events = POLLIN};
    if (!work && poll(&woken, 1, timeout_ms) < 0 && errno != EINTR)
        log_error("log thread: poll: %s", strerror(errno));
    atomic_store(&thread->waker.state, LOG_AWAKE);
    uint64_t count;
    if ((woken.revents & POLLIN) && read(woken.fd, &count, sizeof count) < 0)
        return;
}

/* Until the rings were empty once, so that a change comes behind every line put before it. */
static size_t take_all(struct log_thread *thread)
{
    size_t all = 0, taken = 1;
    for (int n = 0; n < TURNS_MAX && taken != 0; n++) {
        taken = take_lines(thread);
        all += taken;
    }
    return all;
}

/* Takes, writes, changes, speaks, waits. */
static void run_round(struct log_thread *thread)
{
    bool changed = atomic_exchange(&thread->changed, false);
    size_t taken = changed ? take_all(thread) : take_lines(thread);
    bool waiting = flush_sinks(thread);
    if (changed) {
        apply_changes(thread);
        waiting = flush_sinks(thread);
    }
    bool more = speak(thread, clock_mono_ms());
    if (atomic_load(&thread->stop_at_ms) != 0)
        wait_for_work(thread, true, taken != 0 ? 0 : 1);
    else if (taken != 0)
        wait_for_work(thread, true, NAP_MS);
    else
        wait_for_work(thread, false, waiting ? RETRY_MS : more ? REPORT_WAIT_MS : -1);
}

static bool is_done(struct log_thread *thread)
{
    uint64_t stop_at_ms = atomic_load(&thread->stop_at_ms);
    if (stop_at_ms == 0)
        return false;
    if (clock_mono_ms() >= stop_at_ms)
        return true;
    return !atomic_load(&thread->changed) && all_empty(thread) && !flush_sinks(thread);
}

static void *thread_main(void *argument)
{
    struct log_thread *thread = argument;
    pthread_setname_np(pthread_self(), "log"); /* another's name would be a file to write */
    while (!is_done(thread))
        run_round(thread);
    for (unsigned i = 0; i < LOG_TARGETS_MAX; i++) {
        log_sink_close(&thread->sinks[i]);
        (void)log_sink_report(&thread->sinks[i], UINT64_MAX);
    }
    return NULL;
}

/* --- from outside ---------------------------------------------------------------------------- */

static void free_all(struct log_thread *thread)
{
    for (unsigned i = 0; i < LOG_TARGETS_MAX; i++) {
        log_sink_close(&thread->sinks[i]);
        if (thread->changes[i].fd >= 0)
            close(thread->changes[i].fd);
    }
    for (unsigned i = 0; thread->rings != NULL && i < thread->ring_count; i++)
        log_ring_end(thread->rings[i]);
    if (thread->waker.event_fd >= 0)
        close(thread->waker.event_fd);
    pthread_mutex_destroy(&thread->lock);
    free(thread->rings);
    free(thread);
}

static bool make_rings(struct log_thread *thread, size_t ring_bytes)
{
    thread->rings = calloc(thread->ring_count != 0 ? thread->ring_count : 1, sizeof(void *));
    for (unsigned i = 0; thread->rings != NULL && i < thread->ring_count; i++) {
        thread->rings[i] =
            log_ring_new(&thread->waker, ring_bytes != 0 ? ring_bytes : LOG_RING_BYTES);
        if (thread->rings[i] == NULL)
            return false;
    }
    return thread->rings != NULL;
}

/* Signals are for the main thread, and writing to a closed pipe must be an error, not an end. */
static bool start(struct log_thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return false;
    int error = pthread_create(&thread->id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return false;
    return true;
}

struct log_thread *log_thread_new(const struct log_thread_conf *conf)
{
    struct log_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        return NULL;
    tzset(); /* reads a file, which the thread may not be able to later */
    thread->ring_count = conf->rings;
    thread->on_want = conf->on_want;
    thread->user = conf->user;
    pthread_mutex_init(&thread->lock, NULL);
    for (unsigned i = 0; i < LOG_TARGETS_MAX; i++) {
        log_sink_init(&thread->sinks[i]);
        thread->changes[i].fd = -1;
    }
    thread->waker.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (thread->waker.event_fd < 0 || !make_rings(thread, conf->ring_bytes) || !start(thread)) {
        free_all(thread);
        return NULL;
    }
    return thread;
}

struct log_ring *log_thread_ring(struct log_thread *thread, unsigned index)
{
    assert(index < thread->ring_count);
    return thread->rings[index];
}

static struct change *change_begin(struct log_thread *thread, unsigned target)
{
    assert(target < LOG_TARGETS_MAX);
    pthread_mutex_lock(&thread->lock);
    return &thread->changes[target];
}

static void change_end(struct log_thread *thread)
{
    pthread_mutex_unlock(&thread->lock);
    atomic_store(&thread->changed, true);
    log_waker_wake(&thread->waker);
}

static void change_fd(struct change *change, bool has_fd, int fd)
{
    if (change->fd >= 0)
        close(change->fd);
    change->has_fd = has_fd;
    change->fd = fd;
}

void log_thread_set_target(struct log_thread *thread, unsigned target,
                           const struct log_sink_conf *conf, int fd)
{
    struct change *change = change_begin(thread, target);
    change->open = true;
    change->conf = *conf;
    size_t len = conf->name.len < sizeof change->name ? conf->name.len : sizeof change->name - 1;
    if (len != 0)
        memcpy(change->name, conf->name.at, len);
    change->name[len] = '\0';
    change_fd(change, true, fd);
    change_end(thread);
}

void log_thread_set_fd(struct log_thread *thread, unsigned target, int fd)
{
    change_fd(change_begin(thread, target), true, fd);
    change_end(thread);
}

void log_thread_clear_target(struct log_thread *thread, unsigned target)
{
    struct change *change = change_begin(thread, target);
    change->clear = true;
    change->open = false;
    change_fd(change, false, -1);
    change_end(thread);
}

struct log_counts log_thread_counts(const struct log_thread *thread, unsigned target)
{
    assert(target < LOG_TARGETS_MAX);
    const struct log_sink_counters *counters = &thread->sinks[target].counters;
    return (struct log_counts){
        .lines = atomic_load_explicit(&counters->lines, memory_order_relaxed),
        .bytes = atomic_load_explicit(&counters->bytes, memory_order_relaxed),
        .dropped = atomic_load_explicit(&counters->dropped, memory_order_relaxed),
    };
}

uint64_t log_thread_dropped(const struct log_thread *thread)
{
    uint64_t dropped = 0;
    for (unsigned i = 0; i < thread->ring_count; i++)
        dropped += log_ring_dropped(thread->rings[i]);
    return dropped;
}

uint64_t log_thread_lost(const struct log_thread *thread)
{
    uint64_t lost = log_thread_dropped(thread);
    for (unsigned i = 0; i < LOG_TARGETS_MAX; i++)
        lost += log_thread_counts(thread, i).dropped;
    return lost;
}

bool log_thread_stop(struct log_thread *thread, unsigned wait_ms)
{
    atomic_store(&thread->stop_at_ms, clock_mono_ms() + wait_ms + 1);
    log_waker_wake(&thread->waker);
    /* pthread_timedjoin_np() goes by the wall clock, which may be set back meanwhile. */
    const struct timespec look = {.tv_nsec = JOIN_LOOK_NS};
    uint64_t until_ms = clock_mono_ms() + wait_ms + JOIN_EXTRA_MS;
    while (pthread_tryjoin_np(thread->id, NULL) != 0) {
        if (clock_mono_ms() >= until_ms)
            return false;
        nanosleep(&look, NULL);
    }
    free_all(thread);
    return true;
}
