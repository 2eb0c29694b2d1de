/* The text of resolv.conf(5): whatever it is, the result keeps its bounds. */
#include "net/resolv_conf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resolv_conf conf;
    char name[RESOLV_NAME_MAX + 1];
    resolv_conf_parse(str_from(data, size), &conf);
    if (conf.server_count == 0 || conf.server_count > RESOLV_SERVERS_MAX || conf.ndots > 15 ||
        conf.timeout_ms == 0 || conf.attempts == 0 || conf.search_count > RESOLV_SEARCH_MAX)
        __builtin_trap();
    for (unsigned k = 0; resolv_conf_candidate(&conf, str_from(data, size % 260), k, name); k++)
        if (strlen(name) > RESOLV_NAME_MAX)
            __builtin_trap();
    return 0;
}
