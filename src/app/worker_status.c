#include "app/worker_status.h"

#include "app/channel.h"
#include "app/worker_thread.h"
#include "base/text.h"
#include "observe/log_thread.h"
#include "proxy/snapshot.h"
#include "tls/tls_cert.h"

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_thread(struct letter_counters *sum, const struct front_counters *c)
{
    sum->accepted += read_counter(&c->accepted);
    sum->handshakes += read_counter(&c->handshakes);
    sum->handshakes_failed += read_counter(&c->handshakes_failed);
    sum->requests += read_counter(&c->requests);
    sum->refused += read_counter(&c->refused);
    sum->bytes_in += read_counter(&c->bytes_in);
    sum->bytes_out += read_counter(&c->bytes_out);
    sum->sessions += read_counter(&c->sessions);
    sum->exchanges += read_counter(&c->exchanges);
}

static bool send_cert(int channel, const struct tls_cert *cert)
{
    const struct tls_facts *facts = tls_cert_facts(cert);
    struct letter m;
    letter_init(&m, LETTER_CERT);
    m.u.cert.not_after = facts->chain_not_after;
    struct text names = text_over(m.u.cert.names, sizeof m.u.cert.names - 1);
    for (size_t i = 0; i < facts->name_count; i++) {
        if (i > 0)
            text_add_byte(&names, ' ');
        text_add_escaped(&names, facts->names[i]);
    }
    return channel_send(channel, &m, NULL, 0);
}

/* A certificate that several sites name is loaded once; sites follow each other in file order. */
static bool is_known(const struct snapshot *s, size_t site, const struct tls_cert *cert)
{
    size_t from = site < 16 ? 0 : site - 16;
    for (size_t i = from; i < site; i++)
        for (size_t k = 0; k < s->sites[i]->cert_count; k++)
            if (s->sites[i]->certs[k] == cert)
                return true;
    return false;
}

/* More than the supervisor shows are not worth a letter each. */
#define CERTS_SENT_MAX 1000

static bool send_certs(int channel, const struct snapshot *s)
{
    size_t sent = 0;
    for (size_t i = 0; i < s->site_count; i++)
        for (size_t k = 0; k < s->sites[i]->cert_count && sent < CERTS_SENT_MAX; k++) {
            const struct tls_cert *cert = s->sites[i]->certs[k];
            if (is_known(s, i, cert))
                continue;
            if (!send_cert(channel, cert))
                return false;
            sent++;
        }
    return true;
}

bool worker_status_send(int channel, const struct worker_thread *threads, unsigned thread_count,
                        const struct snapshot *snapshot, const struct log_thread *log)
{
    struct letter m;
    letter_init(&m, LETTER_COUNTERS);
    for (unsigned i = 0; i < thread_count && snapshot != NULL; i++)
        add_thread(&m.u.counters, front_counters(threads[i].front));
    m.u.counters.generation = snapshot == NULL ? 0 : snapshot->generation;
    m.u.counters.log_dropped = log_thread_lost(log);
    if (!channel_send(channel, &m, NULL, 0) || (snapshot != NULL && !send_certs(channel, snapshot)))
        return false;
    letter_init(&m, LETTER_ANSWERED);
    return channel_send(channel, &m, NULL, 0);
}
