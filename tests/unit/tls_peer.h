/* The other library at the far end of a pair of streams: OpenSSL as client or server. */
#ifndef PC_TESTS_TLS_PEER_H
#define PC_TESTS_TLS_PEER_H

#include "stream_pair.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

struct peer {
    struct pair_end *end;
    SSL *ssl;
    BIO *in, *out;
    bool open, failed, closed, lower_closed;
    int alert;            /* the fatal alert received, or -1 */
    char got[512 * 1024]; /* plain bytes received */
    size_t got_len;
    SSL_SESSION *session; /* the last ticket */
    unsigned tickets;
    bool hold; /* bytes wait here instead of being read */
};

static inline void peer_flush(struct peer *peer)
{
    char *at;
    long len = BIO_get_mem_data(peer->out, &at);
    if (len > 0)
        stream_send_str(&peer->end->stream, str_from(at, (size_t)len));
    (void)BIO_reset(peer->out);
}

static inline void peer_go(struct peer *peer)
{
    ERR_clear_error();
    if (!peer->open && !peer->failed) {
        int code = SSL_do_handshake(peer->ssl);
        if (code == 1)
            peer->open = true;
        else if (SSL_get_error(peer->ssl, code) != SSL_ERROR_WANT_READ)
            peer->failed = true;
    }
    while (peer->open && !peer->failed && !peer->closed) {
        int len = SSL_read(peer->ssl, peer->got + peer->got_len,
                           (int)(sizeof(peer->got) - peer->got_len));
        if (len > 0) {
            peer->got_len += (size_t)len;
            continue;
        }
        int why = SSL_get_error(peer->ssl, len);
        if (why == SSL_ERROR_ZERO_RETURN)
            peer->closed = true;
        else if (why != SSL_ERROR_WANT_READ)
            peer->failed = true;
        break;
    }
    peer_flush(peer);
}

static inline void peer_on_bytes(void *user, struct str bytes)
{
    struct peer *peer = user;
    BIO_write(peer->in, bytes.at, (int)bytes.len);
    peer_go(peer);
}
static inline void peer_on_end(void *user, enum stream_end end)
{
    struct peer *peer = user;
    (void)end;
    peer->lower_closed = true;
}

static const struct stream_user peer_user = {.on_bytes = peer_on_bytes, .on_end = peer_on_end};

static inline void peer_info(const SSL *ssl, int where, int value)
{
    struct peer *peer = SSL_get_app_data(ssl);
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value >> 8) == SSL3_AL_FATAL)
        peer->alert = value & 0xff;
}

static inline int peer_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct peer *peer = SSL_get_app_data(ssl);
    SSL_SESSION_free(peer->session);
    peer->session = session;
    peer->tickets++;
    return 1;
}

/* The peer at `end`; the caller may set it up further before peer_go(). */
static inline void peer_init(struct peer *peer, struct pair_end *end, SSL_CTX *ctx, bool client)
{
    memset(peer, 0, sizeof(*peer));
    peer->end = end;
    peer->alert = -1;
    peer->ssl = SSL_new(ctx);
    peer->in = BIO_new(BIO_s_mem());
    peer->out = BIO_new(BIO_s_mem());
    SSL_set_bio(peer->ssl, peer->in, peer->out);
    SSL_set_app_data(peer->ssl, peer);
    SSL_set_info_callback(peer->ssl, peer_info);
    if (client)
        SSL_set_connect_state(peer->ssl);
    else
        SSL_set_accept_state(peer->ssl);
    stream_set_user(&end->stream, &peer_user, peer);
}

static inline void peer_write(struct peer *peer, const void *bytes, size_t len)
{
    SSL_write(peer->ssl, bytes, (int)len);
    peer_flush(peer);
}

static inline void peer_fini(struct peer *peer)
{
    SSL_SESSION_free(peer->session);
    /* else OpenSSL takes the session for broken and never resumes it */
    SSL_set_shutdown(peer->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(peer->ssl);
}

#endif
