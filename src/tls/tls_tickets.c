#include "tls/tls_tickets.h"

#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 16,
    /* GnuTLS changes its derived key every three lifetimes and accepts the period before. */
    PERIOD_SECONDS = 3 * TLS_TICKET_SECONDS,
};

struct secrets {
    uint8_t current[TLS_SECRET_BYTES], previous[TLS_SECRET_BYTES];
    bool has_previous;
};

struct tls_tickets {
    pthread_mutex_t lock; /* held for a copy of 65 bytes, once per handshake */
    struct secrets secrets;
};

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *tickets = calloc(1, sizeof(*tickets));
    if (tickets == NULL)
        return NULL;
    pthread_mutex_init(&tickets->lock, NULL);
    random_bytes(tickets->secrets.current, TLS_SECRET_BYTES);
    return tickets;
}

void tls_tickets_end(struct tls_tickets *tickets)
{
    if (tickets == NULL)
        return;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(&tickets->secrets, sizeof(tickets->secrets));
    free(tickets);
}

void tls_tickets_set(struct tls_tickets *tickets, const uint8_t current[TLS_SECRET_BYTES],
                     const uint8_t *previous)
{
    pthread_mutex_lock(&tickets->lock);
    memcpy(tickets->secrets.current, current, TLS_SECRET_BYTES);
    tickets->secrets.has_previous = previous != NULL;
    if (previous != NULL)
        memcpy(tickets->secrets.previous, previous, TLS_SECRET_BYTES);
    pthread_mutex_unlock(&tickets->lock);
}

static bool derive(const uint8_t secret[TLS_SECRET_BYTES], const uint8_t id[TLS_TICKET_ID_BYTES],
                   uint8_t key[TLS_TICKET_KEY_BYTES])
{
    unsigned len = TLS_TICKET_KEY_BYTES;
    return HMAC(EVP_sha512(), secret, TLS_SECRET_BYTES, id, TLS_TICKET_ID_BYTES, key, &len) != NULL;
}

/* The first bytes of SHA3-512(be64(period) | key): what GnuTLS writes in front of its tickets. */
static bool name_of(const uint8_t key[TLS_TICKET_KEY_BYTES], int64_t period,
                    uint8_t name[NAME_BYTES])
{
    uint8_t input[8 + TLS_TICKET_KEY_BYTES], digest[64];
    unsigned len = sizeof(digest);
    for (unsigned i = 0; i < 8; i++)
        input[i] = (uint8_t)((uint64_t)period >> (56 - 8 * i));
    memcpy(input + 8, key, TLS_TICKET_KEY_BYTES);
    bool ok = EVP_Digest(input, sizeof(input), digest, &len, EVP_sha3_512(), NULL) == 1;
    memcpy(name, digest, NAME_BYTES);
    OPENSSL_cleanse(input, sizeof(input));
    OPENSSL_cleanse(digest, sizeof(digest));
    return ok;
}

static bool made_with(struct str ticket, const uint8_t key[TLS_TICKET_KEY_BYTES], int64_t now)
{
    uint8_t name[NAME_BYTES];
    if (ticket.len < NAME_BYTES)
        return false;
    for (int64_t back = 0; back < 2; back++)
        if (name_of(key, now / PERIOD_SECONDS - back, name) &&
            memcmp(ticket.at, name, NAME_BYTES) == 0)
            return true;
    return false;
}

bool tls_tickets_key(struct tls_tickets *tickets, const uint8_t id[TLS_TICKET_ID_BYTES],
                     struct str ticket, int64_t now, uint8_t key[TLS_TICKET_KEY_BYTES], bool *old)
{
    pthread_mutex_lock(&tickets->lock);
    struct secrets secrets = tickets->secrets;
    pthread_mutex_unlock(&tickets->lock);
    *old = !str_empty(ticket) && secrets.has_previous && derive(secrets.previous, id, key) &&
           made_with(ticket, key, now);
    bool ok = *old || derive(secrets.current, id, key);
    OPENSSL_cleanse(&secrets, sizeof(secrets));
    return ok;
}
