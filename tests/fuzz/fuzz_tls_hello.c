/* Any bytes as ClientHello: what is accepted keeps what the header promises. */
#include "tls/tls_hello.h"

#include <stdlib.h>
#include <string.h>

static void require(bool claim)
{
    if (!claim)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_hello hello;
    struct str protocol;
    if (!tls_hello_parse(str_from(data, size), &hello))
        return 0;
    require(hello.name.len <= TLS_NAME_MAX && hello.ciphers.len >= 2);
    require(hello.groups.len % 2 == 0 && hello.signatures.len % 2 == 0);
    for (size_t i = 0; i < hello.name.len; i++)
        require(hello.name.at[i] > ' ' && char_lower(hello.name.at[i]) == hello.name.at[i]);
    size_t left = hello.alpn.len;
    while (tls_hello_next_protocol(&hello.alpn, &protocol)) {
        require(protocol.len > 0 && hello.alpn.len + protocol.len + 1 == left);
        left = hello.alpn.len;
    }
    require(left == 0);
    (void)tls_hello_is_13(&hello);
    return 0;
}
