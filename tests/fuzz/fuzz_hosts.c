/* The text of hosts(5): whatever it is, names are found or not found. */
#include "net/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_from(data, size), word;
    struct hosts *hosts = hosts_new(text);
    if (hosts == NULL)
        return 0;
    while (str_split(&text, ' ', &word)) {
        struct addr addrs[2];
        if (hosts_find(hosts, word, addrs, 2) > 2)
            __builtin_trap();
    }
    hosts_end(hosts);
    return 0;
}
