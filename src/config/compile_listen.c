#include "config/compile_listen.h"

#include "base/arena.h"
#include "config/value.h"

/* A site's listeners are bits of a word. */
#define LISTENERS_MAX 64

/* What an address word means; false after telling why it means nothing. */
bool compile_listen_address(struct compile *c, const struct word *word, struct listener *listener)
{
    struct value_address address = {0};
    if (!value_address(word->text, &address))
        return false; /* the table has told */
    listener->tls =
        str_eq(address.scheme, STR("https")) || (address.scheme.len == 0 && address.port == 443);
    if (address.host.len == 0) {
        listener->addr.family = ADDR_IP6;
        listener->any_family = true;
    } else if (!addr_parse_ip(address.host, &listener->addr)) {
        diag_error(c->diag, &word->pos, "we listen on addresses, and '%.*s' is a name",
                   STR_ARG(address.host));
        if (str_eq_nocase(address.host, STR("localhost")))
            diag_hint(c->diag, "%s://127.0.0.1:%u %s://[::1]:%u", listener->tls ? "https" : "http",
                      address.port, listener->tls ? "https" : "http", address.port);
        return false;
    }
    listener->addr.port = address.port;
    return true;
}

struct listener *compile_listen_same(const struct snapshot *snapshot, const struct listener *l)
{
    for (size_t i = 0; i < snapshot->listener_count; i++) {
        struct listener *other = &snapshot->listeners[i];
        if (addr_eq(&other->addr, &l->addr) && other->any_family == l->any_family)
            return other;
    }
    return NULL;
}

static void add_listener(struct compile *c, const struct word *word, struct listener listener)
{
    struct snapshot *snapshot = c->snapshot;
    const struct listener *same = compile_listen_same(snapshot, &listener);
    if (same != NULL) {
        diag_error(c->diag, &word->pos, "'%.*s' is listened on already", STR_ARG(word->text));
        diag_hint(c->diag, "as '%.*s' in line %u", STR_ARG(same->text), (unsigned)same->where.line);
        return;
    }
    if (snapshot->metrics.addr.family != ADDR_NONE &&
        addr_eq(&snapshot->metrics.addr, &listener.addr) &&
        snapshot->metrics.any_family == listener.any_family) {
        diag_error(c->diag, &word->pos, "'%.*s' is that of the metrics already",
                   STR_ARG(word->text));
        diag_hint(c->diag, "see line %u", (unsigned)snapshot->metrics.where.line);
        return;
    }
    if (snapshot->listener_count == LISTENERS_MAX) {
        diag_error(c->diag, &word->pos, "more than %d addresses", LISTENERS_MAX);
        return;
    }
    if (snapshot->listeners == NULL)
        snapshot->listeners = arena_array(snapshot->arena, LISTENERS_MAX, sizeof listener);
    if (snapshot->listeners == NULL) {
        compile_no_memory(c);
        return;
    }
    listener.text = compile_dup(c, word->text);
    listener.where = (struct where){compile_dup(c, word->pos.file), word->pos.line};
    snapshot->listeners[snapshot->listener_count++] = listener;
}

void compile_listen(struct compile *c, const struct statement *s)
{
    for (size_t i = 1; i < s->count; i++) {
        struct listener listener = {0};
        if (compile_listen_address(c, &s->words[i], &listener))
            add_listener(c, &s->words[i], listener);
        else
            c->listen_broken = true;
    }
}

void compile_listen_default(struct compile *c)
{
    static const struct word ports[] = {{.text = STR_INIT("80")}, {.text = STR_INIT("443")}};
    for (size_t i = 0; i < 2; i++) {
        struct listener listener = {0};
        if (compile_listen_address(c, &ports[i], &listener))
            add_listener(c, &ports[i], listener);
    }
}

void compile_listen_on(struct compile *c, const struct statement *s)
{
    struct site_build *b = c->build;
    for (size_t i = 1; i < s->count; i++) {
        struct listener listener = {0};
        if (!compile_listen_address(c, &s->words[i], &listener))
            continue;
        const struct listener *same = compile_listen_same(c->snapshot, &listener);
        if (same != NULL && same->tls == listener.tls) {
            b->on |= (uint64_t)1 << (same - c->snapshot->listeners);
            continue;
        }
        diag_error(c->diag, &s->words[i].pos, "nobody listens on '%.*s'",
                   STR_ARG(s->words[i].text));
        diag_hint(c->diag, "'on' names addresses as 'listen' has them");
    }
    b->on_said = true;
}

bool compile_listen_any(const struct snapshot *snapshot, bool tls)
{
    for (size_t i = 0; i < snapshot->listener_count; i++)
        if (snapshot->listeners[i].tls == tls)
            return true;
    return false;
}
