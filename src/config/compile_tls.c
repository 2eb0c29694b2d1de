#include "config/compile_tls.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "config/compile_tls_dir.h"
#include "tls/tls_cert.h"
#include "tls/tls_trust.h"

#include <openssl/sha.h>
#include <string.h>

#define DAY_S 86400
#define WHY_BYTES_MAX 1024

/* ---- loaded once ---- */

static void unref_cert(void *cert)
{
    tls_cert_unref(cert);
}
static void unref_trust(void *trust)
{
    tls_trust_unref(trust);
}

static struct str stored_key(struct arena *arena, uint64_t hash)
{
    return str_dup(arena, str_from(&hash, sizeof hash));
}

/* The arena's owner holds a reference of its own from now on. */
static bool hold_cert(struct arena *arena, struct tls_cert *cert)
{
    struct tls_cert *held = tls_cert_ref(cert);
    if (arena_defer(arena, unref_cert, held))
        return true;
    tls_cert_unref(held);
    return false;
}

static bool hold_trust(struct arena *arena, struct tls_trust *trust)
{
    struct tls_trust *held = tls_trust_ref(trust);
    if (arena_defer(arena, unref_trust, held))
        return true;
    tls_trust_unref(held);
    return false;
}

static struct tls_cert *known_cert(struct compile *c, uint64_t hash)
{
    struct str key = str_from(&hash, sizeof hash);
    struct tls_cert *cert = map_get(&c->snapshot->certs, key);
    if (cert != NULL || c->old == NULL)
        return cert;
    cert = map_get(&c->old->certs, key);
    struct str kept = stored_key(c->snapshot->arena, hash);
    if (cert != NULL && kept.at != NULL && hold_cert(c->snapshot->arena, cert))
        (void)!map_set(&c->snapshot->certs, kept, cert);
    return cert;
}

/* Takes over the caller's reference. */
static bool keep_cert(struct compile *c, uint64_t hash, struct tls_cert *cert)
{
    struct str key = stored_key(c->snapshot->arena, hash);
    bool fine = key.at != NULL && hold_cert(c->snapshot->arena, cert) &&
                map_set(&c->snapshot->certs, key, cert);
    tls_cert_unref(cert);
    return fine || compile_no_memory(c);
}

/* ---- what is worth a word ---- */

static void tell_expiry(struct compile *c, const struct diag_pos *pos, struct str name,
                        const struct tls_facts *facts)
{
    int64_t now = (int64_t)(clock_wall_us() / 1000000);
    int64_t left = facts->chain_not_after - now;
    if (facts->not_before > now) {
        diag_warning(c->diag, pos, "certificate '%.*s' is not valid yet", STR_ARG(name));
    } else if (left < 0) {
        diag_warning(c->diag, pos, "certificate '%.*s' expired %lld day%s ago", STR_ARG(name),
                     (long long)(-left / DAY_S), -left / DAY_S == 1 ? "" : "s");
        diag_hint(c->diag, "clients will refuse it");
    } else if (left < 30 * DAY_S) {
        diag_notice(c->diag, pos, "certificate '%.*s' expires in %lld day%s", STR_ARG(name),
                    (long long)(left / DAY_S), left / DAY_S == 1 ? "" : "s");
    }
}

static void tell_facts(struct compile *c, const struct diag_pos *pos, struct str name,
                       const struct tls_cert *cert)
{
    const struct tls_facts *facts = tls_cert_facts(cert);
    tell_expiry(c, pos, name, facts);
    if (facts->intermediate_missing) {
        diag_warning(c->diag, pos,
                     "'%.*s' holds no certificate of its issuer: many clients refuse it",
                     STR_ARG(name));
        diag_hint(c->diag, "append the issuer's: cat cert.pem intermediate.pem > chain.pem");
    }
    if (facts->unused != 0)
        diag_notice(c->diag, pos, "'%.*s': %zu certificates do not belong to the chain",
                    STR_ARG(name), facts->unused);
}

static void tell_key_mode(struct compile *c, const struct diag_pos *pos, struct str name,
                          const struct source *key)
{
    if ((key->mode & 07) == 0)
        return;
    diag_warning(c->diag, pos, "key '%.*s' can be read by everybody (mode %04o)", STR_ARG(name),
                 key->mode & 07777);
    diag_hint(c->diag, "chmod 600 %.*s", STR_ARG(name));
}

/* ---- one pair ---- */

static struct tls_cert *load(struct compile *c, const struct source *chain, struct str chain_name,
                             const struct source *key, struct str key_name,
                             const struct diag_pos *pos, const struct diag_pos *key_pos)
{
    uint64_t hash = compile_source_hash(c, chain) * 31 + compile_source_hash(c, key);
    struct tls_cert *cert = known_cert(c, hash);
    if (cert == NULL) {
        char memory[WHY_BYTES_MAX];
        struct text why = text_over(memory, sizeof memory);
        cert = tls_cert_load(chain->bytes, chain_name, key->bytes, key_name, &why);
        if (cert == NULL) {
            diag_error(c->diag, pos, "%.*s", STR_ARG(text_str(&why)));
            return NULL;
        }
        if (!keep_cert(c, hash, cert))
            return NULL;
    }
    /* What we issue is renewed by us: nothing about it is news. */
    if (!str_starts(chain_name, STR("internal:")) &&
        !compile_told(c, str_from(&cert, sizeof(struct tls_cert *)))) {
        tell_facts(c, pos, chain_name, cert);
        tell_key_mode(c, key_pos, key_name, key);
    }
    if (!hold_cert(compile_arena(c), cert)) {
        compile_no_memory(c);
        return NULL;
    }
    return cert;
}

struct tls_cert *compile_tls_pair(struct compile *c, const struct word *chain,
                                  const struct word *key)
{
    const struct source *chain_source = compile_source(c, SOURCE_CERT, chain);
    const struct source *key_source = compile_source(c, SOURCE_KEY, key);
    if (chain_source == NULL || key_source == NULL)
        return NULL;
    return load(c, chain_source, chain->text, key_source, key->text, &chain->pos, &key->pos);
}

struct tls_trust *compile_tls_trust(struct compile *c, const struct source *source,
                                    const struct word *word, struct str name)
{
    if (source == NULL)
        return NULL;
    uint64_t hash = compile_source_hash(c, source);
    struct str key = str_from(&hash, sizeof hash);
    struct tls_trust *trust = map_get(&c->snapshot->trusts, key);
    if (trust == NULL) {
        struct tls_trust *old = c->old ? map_get(&c->old->trusts, key) : NULL;
        char memory[WHY_BYTES_MAX];
        struct text why = text_over(memory, sizeof memory);
        trust = old ? tls_trust_ref(old) : tls_trust_new(source->bytes, name, &why);
        if (trust == NULL) {
            if (!compile_told(c, str_from(&word, sizeof(const struct word *))))
                diag_error(c->diag, &word->pos, "%.*s", STR_ARG(text_str(&why)));
            return NULL;
        }
        struct str kept = stored_key(c->snapshot->arena, hash);
        bool fine = kept.at != NULL && hold_trust(c->snapshot->arena, trust) &&
                    map_set(&c->snapshot->trusts, kept, trust);
        tls_trust_unref(trust);
        if (!fine) {
            compile_no_memory(c);
            return NULL;
        }
    }
    if (!hold_trust(compile_arena(c), trust)) {
        compile_no_memory(c);
        return NULL;
    }
    return trust;
}

/* ---- sites ---- */

static void add_cert(struct site *site, struct tls_cert *cert)
{
    if (cert != NULL)
        site->certs[site->cert_count++] = cert;
}

/* A name the certificate should have: of a wildcard host any name below it. */
static bool covers(const struct tls_cert *cert, struct str host)
{
    char memory[300];
    if (!str_starts(host, STR("*.")))
        return tls_cert_covers(cert, host);
    struct text name = text_over(memory, sizeof memory);
    text_add_z(&name, "any");
    text_add(&name, str_skip(host, 1));
    return tls_cert_covers(cert, text_str(&name));
}

static void tell_uncovered(struct compile *c, const struct statement *tls)
{
    const struct site *site = c->build->site;
    for (size_t h = 0; h < site->host_count && site->cert_count != 0; h++) {
        if (str_eq(site->hosts[h], STR("*")))
            continue;
        size_t i = 0;
        while (i < site->cert_count && !covers(site->certs[i], site->hosts[h]))
            i++;
        if (i < site->cert_count)
            continue;
        diag_warning(c->diag, &c->build->statement->words[h + 1].pos,
                     "no certificate of this site is for '%.*s'", STR_ARG(site->hosts[h]));
        diag_hint(c->diag, "browsers will warn; they are named in line %u",
                  (unsigned)tls->words[0].pos.line);
    }
}

static void from_words(struct compile *c, const struct statement *tls)
{
    for (size_t i = 1; i + 1 < tls->count; i += 2)
        add_cert(c->build->site, compile_tls_pair(c, &tls->words[i], &tls->words[i + 1]));
}

static void from_folder(struct compile *c, const struct statement *tls)
{
    struct site *site = c->build->site;
    size_t count;
    const struct tls_pair *pairs = compile_tls_dir(c, &tls->words[1], &count);
    if (pairs == NULL)
        return;
    site->certs = arena_array(compile_arena(c), count, sizeof(struct tls_cert *));
    if (site->certs == NULL) {
        compile_no_memory(c);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        bool wanted = false;
        for (size_t h = 0; h < site->host_count; h++)
            wanted =
                wanted || str_eq(site->hosts[h], STR("*")) ||
                tls_facts_cover(&pairs[i].facts, site->hosts[h]) ||
                (str_starts(site->hosts[h], STR("*.")) && covers(pairs[i].cert, site->hosts[h]));
        if (wanted)
            add_cert(site, load(c, pairs[i].chain, pairs[i].chain_name, pairs[i].key,
                                pairs[i].key_name, &tls->words[1].pos, &tls->words[1].pos));
    }
    if (site->cert_count == 0) {
        diag_error(c->diag, &c->build->statement->words[1].pos,
                   "no certificate in '%.*s' is for this site", STR_ARG(tls->words[1].text));
        diag_hint(c->diag, "the folder is named in line %u", (unsigned)tls->words[0].pos.line);
    }
}

/* ---- internal ---- */

static struct str names_of(struct compile *c)
{
    const struct site *site = c->build->site;
    struct text names = text_in(c->scratch, 64 * 1024);
    for (size_t i = 0; i < site->host_count; i++) {
        if (i != 0)
            text_add_byte(&names, ' ');
        text_add(&names, site->hosts[i]);
    }
    return text_str(&names);
}

static bool issue(struct compile *c, const struct statement *tls, struct str names, struct str cert,
                  struct str key)
{
    char memory[WHY_BYTES_MAX];
    struct text why = text_over(memory, sizeof memory);
    struct text chain_pem = text_in(c->scratch, 256 * 1024);
    struct text key_pem = text_in(c->scratch, 64 * 1024);
    if (c->hooks == NULL || c->hooks->issue == NULL) {
        diag_error(c->diag, &tls->words[1].pos, "there is no authority here that could issue");
        return false;
    }
    if (!c->hooks->issue(c->hooks->user, names, &chain_pem, &key_pem, &why)) {
        diag_error(c->diag, &tls->words[1].pos, "%.*s", STR_ARG(text_str(&why)));
        return false;
    }
    if (!source_put(c->sources, SOURCE_CERT, cert, text_str(&chain_pem)) ||
        !source_put(c->sources, SOURCE_KEY, key, text_str(&key_pem)))
        return compile_no_memory(c);
    /* The copy in the set of sources is wiped with it; this one now. */
    if (key_pem.len != 0)
        explicit_bzero(key_pem.at, key_pem.cap);
    return true;
}

static void internal(struct compile *c, const struct statement *tls)
{
    struct str names = names_of(c);
    struct str name = str_printf(c->scratch, "internal:%.*s", STR_ARG(names));
    if (source_is_disk(c->sources) && !issue(c, tls, names, name, name))
        return;
    const struct source *chain = compile_input(c, SOURCE_CERT, name);
    const struct source *key = compile_input(c, SOURCE_KEY, name);
    if (chain == NULL || key == NULL || chain->why.len != 0 || key->why.len != 0) {
        diag_error(c->diag, &tls->words[1].pos, "the internal certificate is missing");
        return;
    }
    add_cert(c->build->site,
             load(c, chain, name, key, name, &tls->words[1].pos, &tls->words[1].pos));
}

/* Tickets and shared connections are for sites with the same certificates only. */
static void set_id(struct compile *c, struct site *site)
{
    struct text all = text_in(c->scratch, 1 << 20);
    text_add(&all, STR("portcullis tls 1"));
    for (size_t i = 0; i < site->cert_count; i++)
        text_add(&all, str_from(tls_cert_facts(site->certs[i])->fingerprint, 32));
    if (!text_ok(&all))
        compile_no_memory(c);
    SHA256((const unsigned char *)all.at, all.len, site->tls_id);
}

void compile_tls_site(struct compile *c, const struct statement *tls)
{
    struct site *site = c->build->site;
    site->tls = true;
    site->certs = arena_array(compile_arena(c), 2, sizeof(struct tls_cert *));
    if (site->certs == NULL) {
        compile_no_memory(c);
        return;
    }
    if (tls->count > 2) {
        from_words(c, tls);
        tell_uncovered(c, tls);
    } else if (compile_is(&tls->words[1], "internal")) {
        internal(c, tls);
    } else {
        from_folder(c, tls);
    }
    set_id(c, site);
}
