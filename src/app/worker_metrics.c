#include "app/worker_metrics.h"

#include "app/origin_metrics.h"
#include "app/process_facts.h"
#include "app/worker_thread.h"
#include "base/clock.h"
#include "base/pages.h"
#include "observe/log_thread.h"
#include "observe/metrics_text.h"
#include "proxy/snapshot.h"
#include "tls/tls_cert.h"

#include <string.h>

void worker_metrics_name(struct metrics *counts, struct snapshot *snapshot)
{
    /* Nobody reads them; and where `metrics` comes into a file, every site is built anew. */
    if (snapshot->metrics.addr.family == ADDR_NONE)
        return;
    for (size_t i = 0; i < snapshot->site_count; i++) {
        struct site *site = snapshot->sites[i];
        /* A site that is shared with the snapshot before has its numbers, and is being read. */
        if (site->series != 0)
            continue;
        for (size_t r = 0; r < site->route_count; r++)
            site->routes[r].series = metrics_series(counts, site->name, site->routes[r].pattern);
        site->series = metrics_series(counts, site->name, STR(""));
    }
}

/* ---- series: the sums of what was used, in the order of the file ---- */

struct series {
    bool detailed; /* with histograms */
    struct metrics_label labels[2];
    struct metrics_sum sum;
};

struct series_list {
    struct series *all;
    size_t count, room;
    uint32_t *places; /* by number: 1 + its place in `all`; 0: it has none yet */
};

/* The series of a number, added up when it is first met: names may stand in a file twice. */
static struct series *series_of(struct series_list *list, const struct metrics *counts,
                                uint32_t number, struct str site, struct str route)
{
    if (list->places[number] == 0) {
        struct series *series = &list->all[list->count++];
        *series = (struct series){.labels = {{"site", site}, {"route", route}}};
        (void)metrics_add_to(counts, number, &series->sum);
        list->places[number] = (uint32_t)list->count;
    }
    return &list->all[list->places[number] - 1];
}

static bool is_used(const struct metrics *counts, uint32_t number)
{
    struct metrics_sum sum = {0};
    return metrics_add_to(counts, number, &sum);
}

static void add_histogram(struct metrics_histogram *to, const struct metrics_histogram *from)
{
    to->sum_us += from->sum_us;
    for (unsigned i = 0; i < METRICS_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
}

/* The site's own series is of requests without a route, and shows the times of routes that have no
 * histograms of their own. */
static void take_site(struct series_list *list, const struct metrics *counts,
                      const struct site *site, bool detailed)
{
    for (size_t r = 0; r < site->route_count; r++) {
        const struct route *route = &site->routes[r];
        if (route->series == 0 || list->places[route->series] != 0 ||
            !is_used(counts, route->series))
            continue;
        struct series *series = series_of(list, counts, route->series, site->name, route->pattern);
        series->detailed = detailed;
        if (detailed)
            continue;
        struct series *own = series_of(list, counts, site->series, site->name, STR(""));
        add_histogram(&own->sum.total, &series->sum.total);
        add_histogram(&own->sum.upstream, &series->sum.upstream);
    }
    if (is_used(counts, site->series))
        (void)series_of(list, counts, site->series, site->name, STR(""));
    if (list->places[site->series] != 0)
        list->all[list->places[site->series] - 1].detailed = true;
}

static size_t routes_of(const struct snapshot *s)
{
    size_t routes = 0;
    for (size_t i = 0; i < s->site_count; i++)
        routes += s->sites[i]->route_count;
    return routes;
}

static void free_series(struct series_list *list)
{
    pages_give(list->all, list->room * sizeof *list->all);
    pages_give(list->places, METRICS_SERIES_MAX * sizeof *list->places);
}

static bool take_all(struct series_list *list, const struct worker_metrics *m)
{
    const struct snapshot *s = m->snapshot;
    size_t routes = routes_of(s);
    list->room = routes + s->site_count + 1;
    list->places = pages_take(METRICS_SERIES_MAX * sizeof *list->places);
    list->all = pages_take(list->room * sizeof *list->all);
    if (list->places == NULL || list->all == NULL)
        return false;
    if (is_used(m->counts, 0))
        series_of(list, m->counts, 0, STR(""), STR(""))->detailed = true;
    for (size_t i = 0; i < s->site_count; i++)
        take_site(list, m->counts, s->sites[i], routes <= WORKER_METRICS_DETAILED_MAX);
    return true;
}

/* ---- requests ---- */

static struct metrics_label label(const char *name, struct str value)
{
    return (struct metrics_label){name, value};
}

static void write_requests(struct text *out, const struct series_list *list)
{
    static const struct str classes[METRICS_CLASSES] = {
        STR_INIT("none"), STR_INIT("1xx"), STR_INIT("2xx"),
        STR_INIT("3xx"),  STR_INIT("4xx"), STR_INIT("5xx"),
    };
    metrics_text_head(out, "portcullis_requests_total", METRICS_COUNTER,
                      "Requests that have ended, by class of the status sent (none: no answer).");
    for (size_t i = 0; i < list->count; i++)
        for (unsigned c = 0; c < METRICS_CLASSES; c++) {
            const struct series *s = &list->all[i];
            const struct metrics_label labels[] = {s->labels[0], s->labels[1],
                                                   label("status", classes[c])};
            if (s->sum.classes[c] != 0)
                metrics_text_sample(out, "portcullis_requests_total", labels, 3, s->sum.classes[c]);
        }
    metrics_text_head(out, "portcullis_refused_total", METRICS_COUNTER,
                      "Requests and connections that were refused, by the layer that refused.");
    for (size_t i = 0; i < list->count; i++)
        for (unsigned layer = 1; layer < METRICS_LAYERS; layer++) {
            const struct series *s = &list->all[i];
            const struct metrics_label labels[] = {
                s->labels[0], s->labels[1],
                label("layer", access_layer_name((enum access_layer)layer))};
            if (s->sum.refused[layer] != 0)
                metrics_text_sample(out, "portcullis_refused_total", labels, 3,
                                    s->sum.refused[layer]);
        }
}

static void write_bytes(struct text *out, const struct series_list *list)
{
    metrics_text_head(out, "portcullis_received_bytes_total", METRICS_COUNTER,
                      "Bytes of requests, heads and bodies, above TLS.");
    for (size_t i = 0; i < list->count; i++)
        metrics_text_sample(out, "portcullis_received_bytes_total", list->all[i].labels, 2,
                            list->all[i].sum.bytes_in);
    metrics_text_head(out, "portcullis_sent_bytes_total", METRICS_COUNTER,
                      "Bytes of answers, heads and bodies, above TLS.");
    for (size_t i = 0; i < list->count; i++)
        metrics_text_sample(out, "portcullis_sent_bytes_total", list->all[i].labels, 2,
                            list->all[i].sum.bytes_out);
}

static void write_histogram(struct text *out, const char *name, const struct series *series,
                            const struct metrics_histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < METRICS_BUCKETS; i++)
        count += histogram->buckets[i];
    if (series->detailed && count != 0)
        metrics_text_histogram(out, name, series->labels, 2, histogram);
}

static void write_histograms(struct text *out, const struct series_list *list)
{
    metrics_text_head(out, "portcullis_request_duration_seconds", METRICS_HISTOGRAM,
                      "First byte of a request to the end of its answer, WebSockets left out.");
    for (size_t i = 0; i < list->count; i++)
        write_histogram(out, "portcullis_request_duration_seconds", &list->all[i],
                        &list->all[i].sum.total);
    metrics_text_head(out, "portcullis_origin_answer_seconds", METRICS_HISTOGRAM,
                      "Connection to the origin at hand to the first byte of its answer.");
    for (size_t i = 0; i < list->count; i++)
        write_histogram(out, "portcullis_origin_answer_seconds", &list->all[i],
                        &list->all[i].sum.upstream);
}

/* ---- connections ---- */

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void write_one(struct text *out, const char *name, enum metrics_type type, const char *help,
                      uint64_t value)
{
    metrics_text_head(out, name, type, help);
    metrics_text_sample(out, name, NULL, 0, value);
}

static void write_connections(struct text *out, const struct worker_metrics *m)
{
    uint64_t sessions = 0, idle = 0, exchanges = 0, accepted = 0, full = 0, resumed = 0, failed = 0;
    for (unsigned i = 0; i < m->thread_count; i++) {
        const struct front_counters *c = front_counters(m->threads[i].front);
        sessions += read_counter(&c->sessions);
        idle += read_counter(&c->idle);
        exchanges += read_counter(&c->exchanges);
        accepted += read_counter(&c->accepted);
        full += read_counter(&c->handshakes);
        resumed += read_counter(&c->handshakes_resumed);
        failed += read_counter(&c->handshakes_failed);
    }
    const struct metrics_label is_idle = label("state", STR("idle")),
                               is_active = label("state", STR("active"));
    metrics_text_head(out, "portcullis_connections", METRICS_GAUGE,
                      "Open connections of clients; idle: kept without a request.");
    metrics_text_sample(out, "portcullis_connections", &is_active, 1,
                        sessions > idle ? sessions - idle : 0);
    metrics_text_sample(out, "portcullis_connections", &is_idle, 1, idle);
    write_one(out, "portcullis_connections_accepted_total", METRICS_COUNTER,
              "Connections of clients that were accepted.", accepted);
    write_one(out, "portcullis_requests_in_progress", METRICS_GAUGE,
              "Requests whose answer is not complete.", exchanges);
    const struct metrics_label results[] = {label("result", STR("full")),
                                            label("result", STR("resumed")),
                                            label("result", STR("failed"))};
    metrics_text_head(out, "portcullis_tls_handshakes_total", METRICS_COUNTER,
                      "TLS handshakes with clients that have ended.");
    metrics_text_sample(out, "portcullis_tls_handshakes_total", &results[0], 1,
                        full > resumed ? full - resumed : 0);
    metrics_text_sample(out, "portcullis_tls_handshakes_total", &results[1], 1, resumed);
    metrics_text_sample(out, "portcullis_tls_handshakes_total", &results[2], 1, failed);
}

/* ---- certificates ---- */

static void write_certificate(struct text *out, const struct site *site, size_t k)
{
    const struct tls_facts *facts = tls_cert_facts(site->certs[k]);
    const struct metrics_label labels[] = {
        label("site", site->name), label("key", str_from_z(tls_key_kind_name(facts->kind)))};
    for (size_t j = 0; j < k; j++) /* one of each kind of key is what clients get */
        if (tls_cert_facts(site->certs[j])->kind == facts->kind)
            return;
    if (facts->chain_not_after > 0)
        metrics_text_sample(out, "portcullis_certificate_expiry_timestamp_seconds", labels, 2,
                            (uint64_t)facts->chain_not_after);
}

/* `seen` is scratch, by number: sites on two listeners may have one name. */
static void write_certificates(struct text *out, const struct snapshot *s, uint32_t *seen)
{
    metrics_text_head(out, "portcullis_certificate_expiry_timestamp_seconds", METRICS_GAUGE,
                      "When a site's certificate, or one above it in its chain, expires.");
    memset(seen, 0, METRICS_SERIES_MAX * sizeof *seen);
    for (size_t i = 0; i < s->site_count; i++) {
        const struct site *site = s->sites[i];
        if (seen[site->series]++ == 0)
            for (size_t k = 0; k < site->cert_count; k++)
                write_certificate(out, site, k);
    }
}

/* ---- logs ---- */

static void write_logs(struct text *out, const struct worker_metrics *m)
{
    const struct snapshot *s = m->snapshot;
    for (int family = 0; family < 2; family++) {
        const char *name =
            family == 0 ? "portcullis_log_lines_total" : "portcullis_log_dropped_total";
        metrics_text_head(out, name, METRICS_COUNTER,
                          family == 0
                              ? "Lines written to a log."
                              : "Lines that a log could not take (disk full, reader gone).");
        for (size_t i = 0; i < s->log_count; i++)
            for (unsigned k = 0; k < m->log_count; k++) {
                const struct metrics_label log = label("log", s->logs[i].path);
                if (m->logs[k].id != s->logs[i].id)
                    continue;
                const struct log_counts counts = log_thread_counts(m->log, m->logs[k].slot);
                metrics_text_sample(out, name, &log, 1,
                                    family == 0 ? counts.lines : counts.dropped);
            }
    }
    write_one(out, "portcullis_log_overrun_total", METRICS_COUNTER,
              "Lines dropped because the log thread was behind.", log_thread_dropped(m->log));
}

/* ---- the program ---- */

static void write_history(struct text *out, const struct letter_history *h)
{
    const struct metrics_label served = label("result", STR("served")),
                               refused = label("result", STR("refused"));
    metrics_text_head(out, "portcullis_reloads_total", METRICS_COUNTER,
                      "Configurations that were loaded after the first, and what became of them.");
    metrics_text_sample(out, "portcullis_reloads_total", &served, 1, h->reloads_served);
    metrics_text_sample(out, "portcullis_reloads_total", &refused, 1, h->reloads_refused);
    write_one(out, "portcullis_config_last_reload_successful", METRICS_GAUGE,
              "Whether the last configuration that was loaded is served (1) or was refused (0).",
              h->refused_last == 0);
    metrics_text_head(out, "portcullis_config_last_success_timestamp_seconds", METRICS_GAUGE,
                      "When the configuration that is served was loaded.");
    metrics_text_seconds(out, "portcullis_config_last_success_timestamp_seconds", NULL, 0,
                         h->served_wall_us);
    write_one(out, "portcullis_worker_starts_total", METRICS_COUNTER,
              "Workers that were started; counters of requests begin anew with each.",
              h->worker_starts);
}

static void write_process(struct text *out, const struct process_facts *facts)
{
    struct process_numbers p;
    process_facts_read(facts, &p);
    metrics_text_head(out, "process_cpu_seconds_total", METRICS_COUNTER,
                      "Processor time of the worker, user and system.");
    metrics_text_seconds(out, "process_cpu_seconds_total", NULL, 0, p.cpu_us);
    write_one(out, "process_resident_memory_bytes", METRICS_GAUGE,
              "Memory of the worker that is in RAM.", p.resident_bytes);
    write_one(out, "process_virtual_memory_bytes", METRICS_GAUGE, "Address space of the worker.",
              p.virtual_bytes);
    write_one(out, "process_open_fds", METRICS_GAUGE, "Open descriptors of the worker.",
              p.open_fds);
    write_one(out, "process_max_fds", METRICS_GAUGE, "Most descriptors the worker may open.",
              p.max_fds);
    metrics_text_head(out, "process_start_time_seconds", METRICS_GAUGE, "Start of the worker.");
    metrics_text_seconds(out, "process_start_time_seconds", NULL, 0, p.started_wall_us);
}

void worker_metrics_write(const struct worker_metrics *m, struct text *out)
{
    struct series_list list = {0};
    const struct metrics_label version = label("version", STR(PC_VERSION));
    metrics_text_head(out, "portcullis_build_info", METRICS_GAUGE, "Always 1; see its labels.");
    metrics_text_sample(out, "portcullis_build_info", &version, 1, 1);
    write_history(out, &m->history);
    if (m->process != NULL)
        write_process(out, m->process);
    if (m->snapshot == NULL)
        return;
    if (!take_all(&list, m)) {
        free_series(&list);
        out->cut = true; /* no memory: the answer says so */
        return;
    }
    write_one(out, "portcullis_config_generation", METRICS_GAUGE,
              "Number of the configuration that is served.", m->snapshot->generation);
    write_requests(out, &list);
    write_bytes(out, &list);
    write_histograms(out, &list);
    write_connections(out, m);
    origin_metrics_write(m->origins, clock_mono_ms(), out);
    write_certificates(out, m->snapshot, list.places);
    write_logs(out, m);
    free_series(&list);
}
