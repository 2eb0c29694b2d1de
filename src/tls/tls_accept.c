#include "tls/tls_accept.h"

#include "base/clock.h"
#include "base/text.h"
#include "tls/tls_credential.h"
#include "tls/tls_engine.h"
#include "tls/tls_gate.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Order is preference. What is left out on purpose: RSA key exchange, DHE, CBC, SHA-1, CCM. */
static const char priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:"
    "+AES-256-GCM:-MAC-ALL:+AEAD:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-GROUP-ALL:+GROUP-X25519:"
    "+GROUP-SECP256R1:+GROUP-SECP384R1:-SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256:"
    "+SIGN-EDDSA-ED25519:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-ECDSA-SECP384R1-SHA384:"
    "+SIGN-ECDSA-SHA384:+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-RSAE-SHA512:+SIGN-RSA-PSS-SHA256:"
    "+SIGN-RSA-PSS-SHA384:+SIGN-RSA-PSS-SHA512:+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512:"
    "%SERVER_PRECEDENCE";

struct tls_server {
    gnutls_priority_t priority;
    struct tls_tickets *tickets;
    struct tls_gate *gate;
};

/* What only the handshake needs. */
struct setup {
    const struct tls_server *server;
    tls_choose_fn choose;
    void *choose_user;
    struct tls_stream *tls;
    struct tls_gate_place place;
    struct tls_cert *cert; /* referenced: the session keeps a bare pointer to its credential */
    bool second;           /* the hook has run */
    bool no_ticket;
    bool not_available;
};

struct tls_server *tls_server_new(struct tls_tickets *tickets, const char **error)
{
    struct tls_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        *error = "out of memory";
        return NULL;
    }
    int code = gnutls_priority_init(&server->priority, priorities, NULL);
    server->gate = code < 0 ? NULL : tls_gate_new();
    if (server->gate == NULL) {
        *error = gnutls_strerror(code < 0 ? code : GNUTLS_E_MEMORY_ERROR);
        if (code >= 0)
            gnutls_priority_deinit(server->priority);
        free(server);
        return NULL;
    }
    server->tickets = tickets;
    return server;
}

unsigned tls_server_suites(const struct tls_server *server)
{
    unsigned count = 0, suite;
    for (unsigned i = 0;; i++) {
        int code = gnutls_priority_get_cipher_suite_index(server->priority, i, &suite);
        if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return count;
        count += code == 0;
    }
}

void tls_server_end(struct tls_server *server)
{
    if (server == NULL)
        return;
    tls_gate_end(server->gate);
    gnutls_priority_deinit(server->priority);
    free(server);
}

/* ---- which certificate ---- */

enum { /* IANA "TLS SignatureScheme" and "TLS Supported Groups" */
       SIGN_ECDSA_P256 = 0x0403,
       SIGN_ECDSA_P384 = 0x0503,
       SIGN_ED25519 = 0x0807,
       SIGN_PSS_RSAE_FIRST = 0x0804,
       SIGN_PSS_PSS_FIRST = 0x0809,
       GROUP_P256 = 23,
       GROUP_P384 = 24,
};

static bool lists_any(struct str list, uint16_t first, unsigned count, unsigned step)
{
    for (unsigned i = 0; i < count; i++)
        if (tls_hello_lists(list, (uint16_t)(first + i * step)))
            return true;
    return false;
}

/* The suites of TLS 1.2 that we have, by the kind of certificate (RFC 5289, RFC 7905). */
static bool suite_for(const struct tls_hello *hello, bool ecdsa)
{
    static const uint16_t suites[2][3] = {{0xc02f, 0xc030, 0xcca8}, {0xc02b, 0xc02c, 0xcca9}};
    for (size_t i = 0; i < 3; i++)
        if (tls_hello_lists(hello->ciphers, suites[ecdsa][i]))
            return true;
    return false;
}

static bool ecdsa_fits(const struct tls_hello *hello, const struct tls_facts *facts)
{
    bool p256 = facts->bits == 256;
    if (tls_hello_is_13(hello))
        return tls_hello_lists(hello->signatures, p256 ? SIGN_ECDSA_P256 : SIGN_ECDSA_P384);
    /* Before 1.3 the groups say which curves a certificate may have (RFC 8422 5.1.1); GnuTLS sends
     * any. The hash is free: any ECDSA with SHA-256 or SHA-384 will do. */
    return suite_for(hello, true) && lists_any(hello->signatures, SIGN_ECDSA_P256, 2, 0x100) &&
           (str_empty(hello->groups) ||
            tls_hello_lists(hello->groups, p256 ? GROUP_P256 : GROUP_P384));
}

static bool cert_fits(const struct tls_hello *hello, const struct tls_facts *facts)
{
    bool is_13 = tls_hello_is_13(hello);
    switch (facts->kind) {
    case TLS_KEY_ECDSA:
        return ecdsa_fits(hello, facts);
    case TLS_KEY_ED25519:
        return tls_hello_lists(hello->signatures, SIGN_ED25519) &&
               (is_13 || suite_for(hello, true));
    case TLS_KEY_RSA: /* PSS with SHA-256 to SHA-512; before 1.3 PKCS#1 with the same, too */
        return lists_any(hello->signatures, SIGN_PSS_RSAE_FIRST, 3, 1) ||
               (!is_13 && suite_for(hello, false) &&
                lists_any(hello->signatures, 0x0401, 3, 0x100));
    case TLS_KEY_RSA_PSS:
        return lists_any(hello->signatures, SIGN_PSS_PSS_FIRST, 3, 1) &&
               (is_13 || suite_for(hello, false));
    default:
        return false;
    }
}

static unsigned rank(const struct tls_facts *facts)
{
    static const unsigned ranks[] = {
        [TLS_KEY_ECDSA] = 0,   [TLS_KEY_ED25519] = 1, [TLS_KEY_RSA] = 3,
        [TLS_KEY_RSA_PSS] = 4, [TLS_KEY_OTHER] = 5,
    };
    return facts->kind == TLS_KEY_ECDSA && facts->bits != 256 ? 2 : ranks[facts->kind];
}

/* The best that fits; when none does the first: the handshake then fails with the right alert. */
static struct tls_cert *pick(const struct tls_hello *hello, const struct tls_choice *choice)
{
    struct tls_cert *best = NULL;
    for (size_t i = 0; i < choice->cert_count; i++) {
        const struct tls_facts *facts = tls_cert_facts(choice->certs[i]);
        if (cert_fits(hello, facts) && (best == NULL || rank(facts) < rank(tls_cert_facts(best))))
            best = choice->certs[i];
    }
    return best != NULL ? best : choice->certs[0];
}

/* ---- the hook ---- */

static int set_tickets(struct tls_stream *tls, struct setup *setup, const struct tls_hello *hello,
                       const uint8_t *id)
{
    uint8_t key[TLS_TICKET_KEY_BYTES];
    gnutls_datum_t datum = {.data = key, .size = sizeof(key)};
    int64_t now = (int64_t)(clock_wall_us() / 1000000);
    if (!tls_tickets_key(setup->server->tickets, id, hello->ticket, now, key, &setup->no_ticket))
        return GNUTLS_E_INTERNAL_ERROR;
    gnutls_db_set_cache_expiration(tls->session, TLS_TICKET_SECONDS);
    int code = gnutls_session_ticket_enable_server(tls->session, &datum);
    OPENSSL_cleanse(key, sizeof(key));
    return code;
}

static int set_protocols(struct tls_stream *tls, const struct tls_choice *choice)
{
    gnutls_datum_t protocols[TLS_PROTOCOLS_MAX];
    if (choice->protocol_count == 0)
        return 0;
    for (size_t i = 0; i < choice->protocol_count; i++)
        /* @UNSAFE: a datum has no const; the protocols are copied */
        protocols[i] = (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)choice->protocols[i].at,
                                        .size = (unsigned)choice->protocols[i].len};
    return gnutls_alpn_set_protocols(tls->session, protocols, (unsigned)choice->protocol_count,
                                     GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
}

static int apply(struct tls_stream *tls, struct setup *setup, const struct tls_hello *hello,
                 const struct tls_choice *choice)
{
    if (choice->cert_count == 0)
        return GNUTLS_E_INTERNAL_ERROR;
    setup->cert = tls_cert_ref(pick(hello, choice));
    int code = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE,
                                      tls_credential_of(setup->cert));
    if (code == 0 && choice->ticket_id != NULL)
        code = set_tickets(tls, setup, hello, choice->ticket_id);
    return code == 0 ? set_protocols(tls, choice) : code;
}

static bool keep_name(struct tls_stream *tls, struct str name)
{
    if (str_empty(name))
        return true;
    tls->name = strndup(name.at, name.len);
    return tls->name != NULL;
}

/*
 * Runs before GnuTLS reads a ClientHello: once, or twice when a HelloRetryRequest lay between.
 * GnuTLS would follow a second hello to another name (RFC 8446 4.1.2 forbids the change).
 */
static int on_hello(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                    const gnutls_datum_t *message)
{
    (void)type;
    (void)when;
    struct tls_stream *tls = gnutls_session_get_ptr(session);
    struct setup *setup = tls->setup;
    struct tls_hello hello;
    if (incoming == 0 || setup == NULL)
        return 0;
    if (!tls_hello_parse(str_from(message->data, message->size), &hello))
        return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
    if (setup->second)
        return str_eq(hello.name, str_from_z(tls->name)) ? 0 : GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
    setup->second = true;
    if (!keep_name(tls, hello.name))
        return GNUTLS_E_MEMORY_ERROR;
    struct tls_choice choice = {0};
    switch (setup->choose(setup->choose_user, &hello, &choice)) {
    case TLS_CHOSEN:
        return apply(tls, setup, &hello, &choice);
    case TLS_UNKNOWN_NAME:
        return GNUTLS_E_UNRECOGNIZED_NAME;
    default:
        setup->not_available = true;
        return GNUTLS_E_INTERNAL_ERROR;
    }
}

/* ---- the role ---- */

enum { RECORD_HANDSHAKE = 22 };

/* A client begins with a handshake record (not so SSLv2), a method of HTTP with a letter. */
static bool on_first(struct tls_stream *tls, struct str bytes)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Length: 56\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "This port speaks HTTPS; use a URL that begins https://.\n";
    if (bytes.at[0] == RECORD_HANDSHAKE)
        return true;
    if (!char_is_alpha(bytes.at[0])) {
        tls_engine_fail(tls, GNUTLS_E_UNEXPECTED_PACKET, NULL);
        return false;
    }
    stream_send_str(tls->lower, str_from(answer, sizeof(answer) - 1));
    tls_engine_fail(tls, 0, "plain HTTP was spoken to a TLS port");
    return false;
}

static bool may_go_on(struct tls_stream *tls)
{
    struct setup *setup = tls->setup;
    return setup == NULL ||
           tls_gate_pass(setup->server->gate, stream_loop(tls->lower), &setup->place);
}

static void go_on(struct tls_gate_place *place)
{
    tls_engine_go_on(LIST_OF(place, struct setup, place)->tls);
}

static void on_done(struct tls_stream *tls)
{
    const struct setup *setup = tls->setup;
    tls->ticket_due =
        !setup->no_ticket && gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3;
    tls_engine_end_setup(tls);
}

static char *explain(struct tls_stream *tls, int code)
{
    const struct setup *setup = tls->setup;
    char *text = NULL;
    int len = -1;
    if (setup != NULL && setup->not_available)
        return strdup("no certificate is available");
    switch (code) {
    case GNUTLS_E_UNRECOGNIZED_NAME:
        len = tls->name == NULL ? asprintf(&text, "no site for a client without server name")
                                : asprintf(&text, "unknown name %s", tls->name);
        break;
    case GNUTLS_E_NO_CIPHER_SUITES:
    case GNUTLS_E_UNKNOWN_CIPHER_SUITE:
    case GNUTLS_E_NO_COMMON_KEY_SHARE:
    case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
        len = asprintf(&text, "no shared cipher, group or signature algorithm");
        break;
    case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
        len = asprintf(&text, "the client offers no version from TLS 1.2 on");
        break;
    case GNUTLS_E_NO_APPLICATION_PROTOCOL:
        len = asprintf(&text, "no shared application protocol (ALPN)");
        break;
    case GNUTLS_E_UNEXPECTED_PACKET:
        if (!tls->open)
            len = asprintf(&text, "the client does not speak TLS");
        break;
    default:
        break;
    }
    return len < 0 ? NULL : text;
}

static void end_setup(struct tls_stream *tls)
{
    struct setup *setup = tls->setup;
    tls_gate_leave(&setup->place);
    tls_cert_unref(setup->cert);
    free(setup);
}

static const struct tls_role role = {
    .on_first = on_first,
    .may_go_on = may_go_on,
    .on_done = on_done,
    .explain = explain,
    .end_setup = end_setup,
    .peer = "client",
};

struct stream *tls_accept(struct stream *lower, const struct tls_server *server,
                          tls_choose_fn choose, void *choose_user, const struct stream_user *user,
                          void *user_data)
{
    struct tls_stream *tls =
        tls_engine_new(&role, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET, server->priority);
    if (tls == NULL)
        return NULL;
    struct setup *setup = tls->setup = calloc(1, sizeof(*setup));
    if (setup == NULL) {
        tls_engine_drop(tls);
        return NULL;
    }
    *setup = (struct setup){.server = server,
                            .choose = choose,
                            .choose_user = choose_user,
                            .tls = tls,
                            .place.go_on = go_on};
    gnutls_handshake_set_hook_function(tls->session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE,
                                       on_hello);
    return tls_engine_wrap(tls, lower, user, user_data);
}
