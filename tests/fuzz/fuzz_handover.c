/* What an heir takes from whoever calls himself its elder; the first byte is the number of
 * descriptors. */
#include "app/handover.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct handover h;
    if (size == 0 || !handover_parse(data + 1, size - 1, data[0] % 3, &h))
        return 0;
    if (h.kind == HANDOVER_NONE || h.kind >= HANDOVER_KINDS)
        abort();
    if (h.kind == HANDOVER_CONTROL && strlen(h.path) >= sizeof h.path)
        abort();
    if (h.kind == HANDOVER_DRAINED && strlen(h.origin) >= sizeof h.origin)
        abort();
    if (h.kind == HANDOVER_SOCKET && !letter_addr_fits(&h.addr))
        abort();
    return 0;
}
