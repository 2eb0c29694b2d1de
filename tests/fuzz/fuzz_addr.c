#include "base/text.h"
#include "net/addr.h"

#include <stdlib.h>
#include <string.h>

/* What is read as an address or a network is the same when it was written and is read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char room[100];
    struct str in = str_from(data, size);
    struct addr addr, again;
    struct cidr cidr;
    if (addr_parse_ip(in, &addr)) {
        struct text text = text_over(room, sizeof room);
        addr_add_text(&text, &addr);
        if (!addr_parse_ip(text_str(&text), &again) || memcmp(addr.ip, again.ip, 16) != 0)
            abort();
    }
    if (addr_parse_ip_port(in, &addr)) {
        struct text text = text_over(room, sizeof room);
        struct sockaddr_storage sa;
        addr_add_text_port(&text, &addr);
        again = (struct addr){0};
        if (!addr_parse_ip_port(text_str(&text), &again) || again.port != addr.port)
            abort();
        if (!addr_from_sockaddr(&again, (struct sockaddr *)&sa, addr_to_sockaddr(&addr, &sa)) ||
            !addr_eq(&addr, &again))
            abort();
    }
    if (cidr_parse(in, &cidr) != CIDR_BAD && !cidr_has(&cidr, &cidr.net))
        abort();
    return 0;
}
