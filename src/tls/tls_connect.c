#include "tls/tls_connect.h"

#include "base/clock.h"
#include "base/text.h"
#include "tls/tls_credential.h"
#include "tls/tls_engine.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:"
    "+GROUP-SECP384R1:+GROUP-SECP521R1:+GROUP-FFDHE2048:+GROUP-FFDHE3072:+GROUP-FFDHE4096";

enum {
    SESSIONS_MAX = 64,            /* one or two an origin; 1 to 2 KB each */
    SESSION_MS_MAX = 3600 * 1000, /* then a full handshake looks at the certificate again */
    KEY_BYTES = 32,
    NAME_MAX_BYTES = 256,
    SENTENCE_MAX = 512,
};

struct remembered {
    uint8_t key[KEY_BYTES];
    gnutls_datum_t session; /* empty: free */
    uint64_t at_ms;
};

struct tls_client {
    gnutls_priority_t priority;
    gnutls_certificate_credentials_t nobody; /* no certificate of ours */
    struct remembered sessions[SESSIONS_MAX];
};

/* Until the handshake is done, or the first data was read where a session is to be remembered. */
struct setup {
    struct tls_client *client;
    struct tls_trust *trust;
    struct tls_cert *cert;
    bool remember;
    uint8_t key[KEY_BYTES];
    char verify_name[NAME_MAX_BYTES];
    char *refusal; /* why the certificate was refused */
};

struct tls_client *tls_client_new(const char **error)
{
    struct tls_client *client = calloc(1, sizeof(*client));
    int code = client == NULL ? GNUTLS_E_MEMORY_ERROR : 0;
    if (code == 0)
        code = gnutls_priority_init(&client->priority, priorities, NULL);
    if (code == 0)
        code = gnutls_certificate_allocate_credentials(&client->nobody);
    if (code == 0)
        return client;
    *error = gnutls_strerror(code);
    tls_client_end(client);
    return NULL;
}

void tls_client_end(struct tls_client *client)
{
    if (client == NULL)
        return;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        gnutls_free(client->sessions[i].session.data);
    if (client->nobody != NULL)
        gnutls_certificate_free_credentials(client->nobody);
    if (client->priority != NULL)
        gnutls_priority_deinit(client->priority);
    free(client);
}

/* ---- sessions ---- */

static bool digest_str(EVP_MD_CTX *ctx, struct str s)
{
    uint64_t len = s.len; /* in front, so that no two lists of strings read alike */
    return EVP_DigestUpdate(ctx, &len, sizeof(len)) == 1 &&
           (s.len == 0 || EVP_DigestUpdate(ctx, s.at, s.len) == 1);
}

static bool session_key(const struct tls_client_conf *conf, uint8_t key[KEY_BYTES])
{
    struct str trust = conf->trust == NULL ? STR("") : str_from(tls_trust_id(conf->trust), 32);
    struct str cert =
        conf->cert == NULL ? STR("") : str_from(tls_cert_facts(conf->cert)->fingerprint, KEY_BYTES);
    unsigned len = KEY_BYTES;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
              digest_str(ctx, conf->origin) && digest_str(ctx, conf->verify_name) &&
              digest_str(ctx, conf->server_name) && digest_str(ctx, trust) && digest_str(ctx, cert);
    for (size_t i = 0; ok && i < conf->protocol_count; i++)
        ok = digest_str(ctx, conf->protocols[i]);
    ok = ok && EVP_DigestFinal_ex(ctx, key, &len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* The place of a key: its own, else a free one, else the oldest. */
static struct remembered *place(struct tls_client *client, const uint8_t key[KEY_BYTES])
{
    struct remembered *best = &client->sessions[0];
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct remembered *at = &client->sessions[i];
        if (at->session.data != NULL && memcmp(at->key, key, KEY_BYTES) == 0)
            return at;
        if (best->session.data != NULL && (at->session.data == NULL || at->at_ms < best->at_ms))
            best = at;
    }
    return best;
}

static void recall(struct tls_stream *tls, const struct setup *setup)
{
    const struct remembered *at = place(setup->client, setup->key);
    if (at->session.data == NULL || memcmp(at->key, setup->key, KEY_BYTES) != 0 ||
        clock_mono_ms() - at->at_ms > SESSION_MS_MAX)
        return;
    (void)gnutls_session_set_data(tls->session, at->session.data, at->session.size);
}

/*
 * A ticket of TLS 1.3 comes after the handshake, in front of the first data as a rule. What was
 * resumed keeps the time of its full handshake, so that a chain of resumptions ends.
 */
static void remember(struct tls_stream *tls, const struct setup *setup)
{
    gnutls_datum_t session;
    if ((gnutls_session_get_flags(tls->session) & GNUTLS_SFLAGS_SESSION_TICKET) == 0 ||
        gnutls_session_get_data2(tls->session, &session) < 0)
        return;
    struct remembered *at = place(setup->client, setup->key);
    bool same = at->session.data != NULL && memcmp(at->key, setup->key, KEY_BYTES) == 0;
    if (!same || !gnutls_session_is_resumed(tls->session))
        at->at_ms = clock_mono_ms();
    gnutls_free(at->session.data);
    at->session = session;
    memcpy(at->key, setup->key, KEY_BYTES);
}

/* ---- the role ---- */

static void on_read(struct tls_stream *tls)
{
    struct setup *setup = tls->setup;
    if (setup == NULL)
        return;
    remember(tls, setup);
    tls_engine_end_setup(tls);
}

static void on_done(struct tls_stream *tls)
{
    struct setup *setup = tls->setup;
    if (!setup->remember)
        tls_engine_end_setup(tls);
}

static int on_verify(gnutls_session_t session)
{
    struct tls_stream *tls = gnutls_session_get_ptr(session);
    struct setup *setup = tls->setup;
    char sentence[SENTENCE_MAX];
    struct text why = text_over(sentence, sizeof(sentence));
    if (tls_trust_verify(setup->trust, session, setup->verify_name, &why))
        return 0;
    setup->refusal = strndup(sentence, why.len);
    return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

static char *explain(struct tls_stream *tls, int code)
{
    struct setup *setup = tls->setup;
    char *text = NULL;
    if (setup != NULL && setup->refusal != NULL) {
        text = setup->refusal;
        setup->refusal = NULL;
        return text;
    }
    if (code == GNUTLS_E_UNEXPECTED_PACKET || code == GNUTLS_E_UNSUPPORTED_VERSION_PACKET)
        if (asprintf(&text, "the origin does not speak TLS on this port, or none from 1.2 on") < 0)
            text = NULL;
    return text;
}

static void end_setup(struct tls_stream *tls)
{
    struct setup *setup = tls->setup;
    tls_trust_unref(setup->trust);
    tls_cert_unref(setup->cert);
    free(setup->refusal);
    free(setup);
}

static const struct tls_role role = {
    .on_done = on_done,
    .on_read = on_read,
    .explain = explain,
    .end_setup = end_setup,
    .peer = "origin",
};

/* ---- the beginning ---- */

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static bool copy_name(struct str name, char z[NAME_MAX_BYTES])
{
    struct text text = text_over(z, NAME_MAX_BYTES - 1);
    text_add(&text, name);
    z[text.len] = '\0';
    return text_ok(&text);
}

static bool configure(struct tls_stream *tls, const struct tls_client_conf *conf)
{
    const struct setup *setup = tls->setup;
    gnutls_datum_t protocols[TLS_CONNECT_PROTOCOLS_MAX];
    char name[NAME_MAX_BYTES];
    if (!copy_name(conf->server_name, name))
        return false;
    if (name[0] != '\0' && !is_address(name)) {
        tls->name = strdup(name);
        if (tls->name == NULL ||
            gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, name, strlen(name)) < 0)
            return false;
    }
    if (gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE,
                               setup->cert == NULL ? setup->client->nobody
                                                   : tls_credential_of(setup->cert)) < 0)
        return false;
    if (setup->trust != NULL)
        gnutls_session_set_verify_function(tls->session, on_verify);
    if (setup->remember)
        recall(tls, setup);
    for (size_t i = 0; i < conf->protocol_count; i++)
        /* @UNSAFE: a datum has no const; the protocols are copied */
        protocols[i] = (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)conf->protocols[i].at,
                                        .size = (unsigned)conf->protocols[i].len};
    return conf->protocol_count == 0 ||
           gnutls_alpn_set_protocols(tls->session, protocols, (unsigned)conf->protocol_count, 0) ==
               0;
}

static struct setup *setup_new(struct tls_client *client, const struct tls_client_conf *conf)
{
    struct setup *setup = calloc(1, sizeof(*setup));
    if (setup == NULL || !copy_name(conf->verify_name, setup->verify_name)) {
        free(setup);
        return NULL;
    }
    setup->client = client;
    setup->trust = conf->trust == NULL ? NULL : tls_trust_ref(conf->trust);
    setup->cert = conf->cert == NULL ? NULL : tls_cert_ref(conf->cert);
    setup->remember = !str_empty(conf->origin) && session_key(conf, setup->key);
    return setup;
}

struct stream *tls_connect(struct stream *lower, struct tls_client *client,
                           const struct tls_client_conf *conf, const struct stream_user *user,
                           void *user_data)
{
    struct tls_stream *tls =
        tls_engine_new(&role, GNUTLS_CLIENT | GNUTLS_KEY_SHARE_TOP, client->priority);
    if (tls == NULL)
        return NULL;
    tls->setup = setup_new(client, conf);
    if (tls->setup == NULL || !configure(tls, conf)) {
        tls_engine_drop(tls);
        return NULL;
    }
    return tls_engine_wrap(tls, lower, user, user_data);
}
