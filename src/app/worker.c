#include "app/worker.h"

#include "app/channel.h"
#include "app/child.h"
#include "app/heap_trim.h"
#include "app/metrics_desk.h"
#include "app/privilege.h"
#include "app/process_facts.h"
#include "app/watchdog.h"
#include "app/worker_metrics.h"
#include "app/worker_query.h"
#include "app/worker_status.h"
#include "app/worker_thread.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "config/compile.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "observe/log_thread.h"
#include "observe/metrics.h"
#include "proxy/snapshot.h"
#include "tls/tls_library.h"
#include "tls/tls_tickets.h"
#include "upstream/origin_shared.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define REPORT_ARENA_BYTES ((size_t)1024 * 1024)
/* While a configuration waits to be freed, or while draining, the main thread looks this often. */
#define SWEEP_MS 1000
#define DRAIN_LOOK_MS 20
/* For the last lines of the logs; a pipe whose reader sleeps shall not hold us. */
#define LOG_STOP_MS 1000
/* Given up while a letter is received, whose descriptors would be lost where there is no room, and
 * a letter without what belongs to it is a broken conversation. */
enum { RESERVE = 8 };

struct worker {
    int channel, wake;
    int reserve[RESERVE]; /* descriptors that are good for nothing else, or -1 */
    unsigned thread_count;
    struct worker_thread threads[THREADS_MAX];
    struct resolver_hub *hub;
    struct log_thread *log;
    struct tls_tickets *tickets;
    struct origin_registry *origins;
    struct front_log logs[LOG_FILES_MAX];
    unsigned log_count;
    struct snapshot *snapshot; /* the latest; perhaps not yet used by every thread */
    struct snapshot *before;   /* the one it replaced, until then */
    struct retired retired;
    bool announced; /* READY was sent for `snapshot` */
    bool draining;
    uint64_t drain_until_ms;
    struct watchdog watchdog;
    struct heap_trim heap_trim;
    struct query_desk desk;
    struct metrics_desk metrics_desk;
    struct metrics *metrics;
    struct process_facts *process;
    struct letter_history history;
    struct worker_view view; /* what those who ask may see */
};

/* ---- beginning ---- */

static void end_because(const char *what)
{
    log_error("the worker cannot go on: %s", what);
    _exit(1);
}

static void say(struct worker *w, const struct letter *m)
{
    if (!channel_send(w->channel, m, NULL, 0))
        _exit(1); /* nobody is left to work for */
}

/* On the log thread. The supervisor finds out by itself what is the matter with the slot. */
static void log_wants(void *user, unsigned slot, enum log_want want)
{
    struct worker *w = user;
    struct letter m;
    if (want == LOG_WANT_NOTHING)
        return;
    letter_init(&m, LETTER_LOG_WANTED);
    m.u.wanted_slot = slot;
    say(w, &m);
}

/* The threads' parts; they stand still until there is something to serve. */
static void begin(struct worker *w, unsigned threads)
{
    w->thread_count = threads;
    w->tickets = tls_tickets_new();
    w->origins = origin_registry_new();
    const struct log_thread_conf log_conf = {.rings = threads, .on_want = log_wants, .user = w};
    w->log = log_thread_new(&log_conf);
    w->metrics = metrics_new(threads);
    if (w->tickets == NULL || w->origins == NULL || w->log == NULL || w->metrics == NULL)
        end_because("out of memory");
    for (unsigned i = 0; i < threads; i++)
        if (!worker_thread_init(&w->threads[i], i, w->wake))
            end_because("no event loop can be had");
}

static void start_threads(struct worker *w, const struct snapshot *s)
{
    w->hub = resolver_hub_new(w->threads[0].loop, s->resolv_conf, s->hosts_file);
    if (w->hub == NULL)
        end_because("the resolver cannot be started");
    for (unsigned i = 0; i < w->thread_count; i++) {
        struct worker_thread *t = &w->threads[i];
        t->resolver = resolver_new(w->hub, t->loop);
        t->conf = (struct front_conf){.thread = i,
                                      .threads = w->thread_count,
                                      .log = log_thread_ring(w->log, i),
                                      .metrics = metrics_of_thread(w->metrics, i),
                                      .tickets = w->tickets,
                                      .origins = w->origins};
        if (t->resolver == NULL || !worker_thread_start(t))
            end_because("a thread cannot be started");
        watchdog_watch(&w->watchdog, t->loop, t->thread);
    }
}

/* ---- loads ---- */

static void refuse(struct worker *w, uint64_t generation, const struct diag *diag,
                   struct arena *arena)
{
    struct letter m;
    struct text report = text_in(arena, REPORT_ARENA_BYTES / 2);
    diag_render(diag, &report, false);
    if (!channel_send_text(w->channel, DIAG_ERROR, text_str(&report)))
        _exit(1);
    letter_init(&m, LETTER_REFUSED);
    m.u.generation = generation;
    say(w, &m);
}

static struct snapshot *compile(struct worker *w, const struct letter_load *load, const int fds[2])
{
    struct arena *arena = arena_new(4 * REPORT_ARENA_BYTES, 4096);
    struct source_set *sources = source_set_unpack(fds[0], fds[1]);
    struct snapshot *s = NULL;
    struct diag diag;
    if (arena == NULL)
        end_because("out of memory");
    diag_init(&diag, arena);
    if (sources == NULL)
        diag_error(&diag, NULL, "the texts of the configuration are damaged");
    else
        s = compile_snapshot(sources, str_from_z(load->path), w->snapshot, NULL, &diag);
    if (s == NULL)
        refuse(w, load->generation, &diag, arena);
    source_set_end(sources);
    arena_end(arena);
    malloc_trim(0); /* what compiling needed lies in holes between what stays */
    return s;
}

static void on_load(struct worker *w, const struct letter_load *load, const int fds[2])
{
    struct snapshot *s = compile(w, load, fds);
    if (s == NULL)
        return;
    s->generation = load->generation;
    bool first = w->snapshot == NULL;
    worker_metrics_name(w->metrics, s);
    w->before = w->snapshot;
    w->snapshot = s;
    w->announced = false;
    if (first)
        start_threads(w, s);
    else
        resolver_hub_configure(w->hub, s->resolv_conf, s->hosts_file);
    for (unsigned i = 0; i < w->thread_count; i++)
        worker_thread_use(&w->threads[i], s, w->logs, w->log_count);
}

static uint64_t oldest_in_use(const struct worker *w)
{
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < w->thread_count; i++) {
        uint64_t g = atomic_load(&w->threads[i].in_use);
        if (g < oldest)
            oldest = g;
    }
    return oldest;
}

/* Once every thread serves by the latest: say so, and give the one before up. */
static void announce(struct worker *w)
{
    if (w->snapshot == NULL || w->announced || oldest_in_use(w) < w->snapshot->generation)
        return;
    w->announced = true;
    struct letter m;
    letter_init(&m, LETTER_READY);
    m.u.generation = w->snapshot->generation;
    say(w, &m);
    if (w->before != NULL)
        snapshot_retire(&w->retired, w->before);
    w->before = NULL;
}

static bool has_retired(const struct worker *w)
{
    return w->retired.snapshots != NULL || w->retired.parts != NULL;
}

static void sweep(struct worker *w)
{
    if (!has_retired(w))
        return;
    bool waited = w->retired.snapshots != NULL;
    snapshot_sweep(&w->retired, oldest_in_use(w), w->thread_count);
    /* A load takes room for two configurations; what the old one had is of no use afterwards. The
     * trim holds up the loops' allocations for a millisecond or three (5,000 connections). */
    if (waited && w->retired.snapshots == NULL)
        malloc_trim(0);
}

/* ---- letters ---- */

static void on_listen(struct worker *w, const struct letter *m, int fd)
{
    struct addr addr = letter_addr_to(&m->u.listen.addr);
    unsigned thread = m->u.listen.thread;
    if (m->u.listen.addr.metrics) {
        metrics_desk_listen(&w->metrics_desk, &addr, fd);
        return;
    }
    if (thread >= w->thread_count || w->snapshot == NULL) {
        close(fd);
        return;
    }
    worker_thread_listen(&w->threads[thread], &addr, m->u.listen.addr.tls, fd);
}

static void on_unlisten(struct worker *w, const struct letter_addr *gone)
{
    struct addr addr = letter_addr_to(gone);
    if (gone->metrics)
        metrics_desk_unlisten(&w->metrics_desk, &addr);
    for (unsigned i = 0; !gone->metrics && w->snapshot != NULL && i < w->thread_count; i++)
        worker_thread_unlisten(&w->threads[i], &addr);
}

static void on_log(struct worker *w, const struct letter *m, int fd)
{
    unsigned at = 0;
    while (at < w->log_count && w->logs[at].slot != m->u.log.slot)
        at++;
    if (at == w->log_count)
        w->log_count++; /* slots are below LOG_FILES_MAX and differ */
    w->logs[at] = (struct front_log){.id = m->u.log.id, .slot = m->u.log.slot};
    const struct log_sink_conf conf = {.name = str_from_z(m->u.log.path),
                                       .syslog = m->u.log.syslog,
                                       .rotate_bytes = m->u.log.rotate_bytes};
    log_thread_set_target(w->log, m->u.log.slot, &conf, fd);
}

static void on_drain(struct worker *w, uint32_t deadline_ms)
{
    if (w->snapshot == NULL)
        _exit(0);
    for (unsigned i = 0; i < w->thread_count; i++)
        worker_thread_drain(&w->threads[i], deadline_ms == 0);
    w->draining = true;
    w->drain_until_ms = clock_mono_ms() + deadline_ms;
}

static void on_message(struct worker *w, struct letter *m, int fds[2])
{
    if (w->thread_count == 0 && m->kind != LETTER_START)
        end_because("the supervisor began with the wrong letter");
    switch (m->kind) {
    case LETTER_START:
        if (w->thread_count == 0)
            begin(w, m->u.threads);
        break;
    case LETTER_SECRETS:
        tls_tickets_set(w->tickets, m->u.secrets.current, m->u.secrets.previous);
        explicit_bzero(m, sizeof *m);
        break;
    case LETTER_LOG:
        on_log(w, m, fds[0]);
        fds[0] = -1;
        break;
    case LETTER_LOAD:
        on_load(w, &m->u.load, fds);
        break;
    case LETTER_LISTEN:
        on_listen(w, m, fds[0]);
        fds[0] = -1;
        break;
    case LETTER_UNLISTEN:
        on_unlisten(w, &m->u.unlisten);
        break;
    case LETTER_DRAIN:
        on_drain(w, m->u.drain.deadline_ms);
        break;
    case LETTER_ASK:
        if (!worker_status_send(w->channel, w->threads, w->thread_count, w->snapshot, w->log))
            _exit(1);
        break;
    case LETTER_HISTORY:
        w->history = m->u.history;
        break;
    case LETTER_ORIGIN:
        if (!origin_registry_drain(w->origins, str_from_z(m->u.origin.text),
                                   m->u.origin.drained == 1))
            log_error("too many origins are drained");
        break;
    case LETTER_QUERY:
        query_desk_take(&w->desk, fds[0], clock_mono_ms());
        fds[0] = -1;
        break;
    default:
        break;
    }
}

/* As many as there can be: where clients have used up all, room comes as they leave. */
static void reserve_fill(struct worker *w)
{
    for (int i = 0; i < RESERVE; i++)
        if (w->reserve[i] < 0)
            w->reserve[i] = fcntl(w->wake, F_DUPFD_CLOEXEC, 0);
}

static void reserve_give_up(struct worker *w)
{
    for (int i = 0; i < RESERVE; i++) {
        if (w->reserve[i] >= 0)
            close(w->reserve[i]);
        w->reserve[i] = -1;
    }
}

static void receive_all(struct worker *w)
{
    for (;;) {
        struct letter m;
        int fds[LETTER_FDS_MAX];
        switch (channel_receive(w->channel, SIDE_SUPERVISOR, &m, fds)) {
        case CHANNEL_EMPTY:
            return;
        case CHANNEL_GONE:
            _exit(1); /* the supervisor died; nobody else would restart or stop us */
        case CHANNEL_BAD:
            end_because("the supervisor sent what it may not send");
            return;
        case CHANNEL_LETTER:
            on_message(w, &m, fds);
            for (int i = 0; i < LETTER_FDS_MAX; i++)
                if (fds[i] >= 0)
                    close(fds[i]);
        }
    }
}

static void receive(struct worker *w, bool letters)
{
    if (letters) {
        reserve_give_up(w);
        receive_all(w);
    }
    reserve_fill(w);
}

/* ---- the end ---- */

static void finish(struct worker *w)
{
    query_desk_fini(&w->desk);
    metrics_desk_fini(&w->metrics_desk);
    for (unsigned i = 0; i < w->thread_count; i++)
        worker_thread_end(&w->threads[i]);
    for (unsigned i = 0; i < w->thread_count; i++)
        resolver_end(w->threads[i].resolver);
    resolver_hub_end(w->hub);
    for (unsigned i = 0; i < w->thread_count; i++)
        loop_end(w->threads[i].loop);
    if (!log_thread_stop(w->log, LOG_STOP_MS))
        log_warning("the last lines of a log could not be written");
    snapshot_sweep(&w->retired, UINT64_MAX, w->thread_count);
    snapshot_end(w->before);
    snapshot_end(w->snapshot);
    origin_registry_end(w->origins);
    metrics_end(w->metrics);
    process_facts_end(w->process);
    tls_tickets_end(w->tickets);
    exit(0);
}

static void drain_turn(struct worker *w)
{
    bool idle = true;
    for (unsigned i = 0; i < w->thread_count; i++)
        idle = idle && atomic_load(&w->threads[i].idle);
    if (idle || clock_mono_ms() >= w->drain_until_ms)
        finish(w);
    for (unsigned i = 0; i < w->thread_count; i++)
        worker_thread_look(&w->threads[i]);
}

static int shorter(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* True when letters have come. */
static bool wait_for_news(struct worker *w)
{
    struct pollfd fds[QUERY_CLIENTS_MAX + METRICS_FDS_MAX + 2] = {
        {.fd = w->channel, .events = POLLIN}};
    uint64_t now_ms = clock_mono_ms();
    unsigned count = 1 + query_desk_poll(&w->desk, fds + 1);
    count += metrics_desk_poll(&w->metrics_desk, fds + count, now_ms);
    int timeout = w->draining ? DRAIN_LOOK_MS : has_retired(w) ? SWEEP_MS : -1;
    timeout = shorter(timeout, metrics_desk_timeout(&w->metrics_desk, now_ms));
    timeout = shorter(timeout, watchdog_timeout(&w->watchdog, now_ms));
    /* While draining every look wakes us: then only the time counts. */
    const unsigned wake_at = count;
    if (!w->draining)
        fds[count++] = (struct pollfd){.fd = w->wake, .events = POLLIN};
    if (poll(fds, count, shorter(timeout, query_desk_timeout(&w->desk))) < 0)
        return false;
    bool letters = fds[0].revents != 0;
    uint64_t times;
    if ((fds[wake_at].revents & POLLIN) != 0 && read(w->wake, &times, sizeof times) < 0)
        return letters; /* it is not full, nor was it rung in between: nothing depends on it */
    return letters;
}

static uint64_t open_connections(const struct worker *w)
{
    uint64_t open = 0;
    for (unsigned i = 0; i < w->thread_count; i++)
        if (w->threads[i].conf.loop != NULL) /* it has begun */
            open += atomic_load_explicit(&front_counters(w->threads[i].front)->sessions,
                                         memory_order_relaxed);
    return open;
}

static void look_at_loops(struct worker *w)
{
    int still = watchdog_look(&w->watchdog, clock_mono_ms());
    if (still < 0)
        return;
    watchdog_tell(&w->watchdog, (unsigned)still);
    end_because("an event loop stands still");
}

static void answer_questions(struct worker *w)
{
    w->view = (struct worker_view){.threads = w->threads,
                                   .thread_count = w->thread_count,
                                   .snapshot = w->snapshot,
                                   .log = w->log,
                                   .draining = w->draining};
    query_desk_turn(&w->desk, clock_mono_ms());
    metrics_desk_turn(&w->metrics_desk, clock_mono_ms());
}

static bool may_read_metrics(void *user, const struct addr *peer)
{
    const struct worker *w = user;
    const struct access_list *access = w->snapshot ? w->snapshot->metrics.access : NULL;
    const struct access_rule *rule;
    return access == NULL || access_list_admits(access, peer, &rule);
}

static void write_metrics(void *user, struct text *out)
{
    const struct worker *w = user;
    const struct worker_metrics metrics = {.counts = w->metrics,
                                           .process = w->process,
                                           .threads = w->threads,
                                           .thread_count = w->thread_count,
                                           .snapshot = w->snapshot,
                                           .origins = w->origins,
                                           .log = w->log,
                                           .logs = w->logs,
                                           .log_count = w->log_count,
                                           .history = w->history};
    worker_metrics_write(&metrics, out);
}

/* Everything that may be opened is open, and from here on there is no way back. */
static void lock_up(struct worker *w, const struct worker_conf *conf)
{
    char why[256];
    const char *error;
    struct sandbox sandbox;
    struct letter m;
    if (!tls_library_init(&error))
        end_because(error);
    tzset(); /* syslog's lines bear local time */
    watchdog_init(&w->watchdog);
    w->process = process_facts_new();
    sandbox_prepare(&sandbox, &conf->sandbox);
    if (!privilege_drop(conf->user, conf->uid, conf->gid, why, sizeof why))
        end_because(why);
    privilege_hide_memory(); /* changing the user has made memory and death signal as they were */
    child_die_with_parent();
    sandbox_lock(&sandbox);
    letter_init(&m, LETTER_LOCKED);
    m.u.locks = sandbox.report;
    say(w, &m);
}

/*
 * Exchanges come and go by the dozen in every turn. With the defaults glibc gives the top of a
 * thread's heap back each time and faults it in again: up to a quarter of the CPU of a small file
 * over TLS. And what is as large as a compressor's state would be mapped and unmapped for each
 * answer. It costs at most TOP_KEPT_BYTES at rest per thread.
 */
#define TOP_KEPT_BYTES (2 * 1024 * 1024)
#define MAPPED_FROM_BYTES (2 * 1024 * 1024)

static void tune_memory(void)
{
    (void)mallopt(M_TRIM_THRESHOLD, TOP_KEPT_BYTES);
    (void)mallopt(M_TOP_PAD, 128 * 1024);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
}

void worker_main(int channel, void *argument)
{
    static struct worker worker; /* too big for a stack; this is the process's one */
    struct worker *w = &worker;
    tune_memory();
    privilege_hide_memory();
    w->channel = channel;
    lock_up(w, argument);
    query_desk_init(&w->desk, worker_query_answer, &w->view);
    const struct metrics_desk_conf metrics_conf = {
        .admits = may_read_metrics, .write = write_metrics, .user = w};
    metrics_desk_init(&w->metrics_desk, &metrics_conf);
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake < 0)
        end_because("no descriptor");
    memset(w->reserve, 0xff, sizeof w->reserve);
    reserve_fill(w);
    for (;;) {
        receive(w, wait_for_news(w));
        announce(w);
        answer_questions(w);
        look_at_loops(w);
        if (heap_trim_due(&w->heap_trim, open_connections(w), clock_mono_ms()))
            malloc_trim(0);
        sweep(w);
        if (w->draining)
            drain_turn(w);
    }
}
