#include "app/status.h"

#include "app/locks.h"
#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

void status_init(struct status *status, uint64_t now_ms)
{
    memset(status, 0, sizeof *status);
    status->started_ms = now_ms;
}

void status_set_served(struct status *status, uint64_t generation, unsigned warnings)
{
    status->generation = generation;
    status->warnings = warnings;
    status->served_wall_us = clock_wall_us();
    status->refused_wall_us = 0;
    status->history.reloads_served += status->history.served_wall_us != 0;
    status->history.served_wall_us = status->served_wall_us;
    status->history.refused_last = 0;
}

void status_set_refused(struct status *status)
{
    status->refused_wall_us = clock_wall_us();
    status->history.reloads_refused++;
    status->history.refused_last = 1;
}

void status_begin(struct status *status, uint64_t now_ms)
{
    status->late_ms = now_ms + STATUS_MS;
    status->answered = false;
    status->cert_count = 0;
}

void status_take(struct status *status, const struct letter *letter)
{
    if (letter->kind == LETTER_COUNTERS) {
        status->counters = letter->u.counters;
        status->answered = true;
        return;
    }
    if (status->cert_count < STATUS_CERTS_MAX)
        status->certs[status->cert_count] = letter->u.cert;
    status->cert_count++;
}

bool status_late(struct status *status, uint64_t now_ms)
{
    return status->late_ms != 0 && now_ms >= status->late_ms;
}

static void add_key(struct text *out, const char *key)
{
    text_printf(out, ",\"%s\":", key);
}

static void add_u64(struct text *out, const char *key, uint64_t value)
{
    text_printf(out, ",\"%s\":%" PRIu64, key, value);
}

static void add_time(struct text *out, const char *key, uint64_t wall_us)
{
    add_key(out, key);
    text_add_byte(out, '"');
    clock_add_rfc3339(out, wall_us);
    text_add_byte(out, '"');
}

static void add_address(struct text *out, const struct letter_addr *a)
{
    char memory[96];
    struct text text = text_over(memory, sizeof memory);
    text_add_z(&text, a->tls ? "https://" : "http://");
    listeners_add_text(&text, a);
    text_add_json(out, text_str(&text));
}

static void add_listeners(struct text *out, const struct load_form *form)
{
    const char *between = "";
    add_key(out, "listeners");
    text_add_byte(out, '[');
    for (unsigned i = 0; i < form->addr_count; i++) {
        if (form->addrs[i].metrics)
            continue;
        text_add_z(out, between);
        add_address(out, &form->addrs[i]);
        between = ",";
    }
    text_add_byte(out, ']');
    for (unsigned i = 0; i < form->addr_count; i++)
        if (form->addrs[i].metrics) {
            add_key(out, "metrics");
            add_address(out, &form->addrs[i]);
        }
}

static void add_counters(struct text *out, const struct letter_counters *c)
{
    text_printf(out, ",\"connections\":{\"now\":%" PRIu64 ",\"accepted\":%" PRIu64, c->sessions,
                c->accepted);
    add_u64(out, "handshakes", c->handshakes);
    add_u64(out, "handshakes_failed", c->handshakes_failed);
    text_printf(out, "},\"requests\":{\"now\":%" PRIu64 ",\"answered\":%" PRIu64, c->exchanges,
                c->requests);
    add_u64(out, "refused", c->refused);
    text_printf(out, "},\"bytes\":{\"in\":%" PRIu64 ",\"out\":%" PRIu64 "}", c->bytes_in,
                c->bytes_out);
    add_u64(out, "log_records_dropped", c->log_dropped);
}

static void add_locks(struct text *out, const struct hand *serving)
{
    struct locks_seen seen = locks_look(serving->pid);
    add_key(out, "locks");
    locks_add_json(out, &seen, serving->conduct.locked ? &serving->locks : NULL);
}

static void add_certs(struct text *out, const struct status *status)
{
    unsigned shown = status->cert_count < STATUS_CERTS_MAX ? status->cert_count : STATUS_CERTS_MAX;
    add_key(out, "certificates");
    text_add_byte(out, '[');
    for (unsigned i = 0; i < shown; i++) {
        const struct letter_cert *cert = &status->certs[i];
        text_add_z(out, i == 0 ? "{\"names\":" : ",{\"names\":");
        text_add_json(out, str_from_z(cert->names));
        add_time(out, "not_after", cert->not_after > 0 ? (uint64_t)cert->not_after * 1000000 : 0);
        text_add_byte(out, '}');
    }
    text_add_byte(out, ']');
    add_u64(out, "certificates_not_shown", status->cert_count - shown);
}

void status_add_json(struct status *status, struct text *out, const struct load_form *form,
                     const struct hand *serving, uint64_t now_ms)
{
    status->late_ms = 0;
    text_printf(out, "{\"version\":\"" PC_VERSION "\",\"pid\":%d", (int)getpid());
    add_u64(out, "uptime_s", (now_ms - status->started_ms) / 1000);
    add_u64(out, "generation", status->generation);
    add_time(out, "loaded", status->served_wall_us);
    add_u64(out, "warnings", status->warnings);
    if (status->refused_wall_us != 0)
        add_time(out, "refused", status->refused_wall_us);
    if (serving != NULL) {
        add_u64(out, "worker_pid", (uint64_t)serving->pid);
        add_u64(out, "worker_threads", serving->threads);
    }
    add_key(out, "worker_user");
    text_add_json(out, str_from_z(form->settings.user));
    if (serving != NULL)
        add_locks(out, serving);
    add_listeners(out, form);
    if (status->answered) {
        add_counters(out, &status->counters);
        add_certs(out, status);
    }
    text_add_z(out, "}\n");
}
