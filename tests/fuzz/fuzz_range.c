#include "http/range.h"

#include <stdlib.h>
#include <string.h>

/* Eight bytes of size, then the field. Ranges lie inside and do not touch each other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t bytes;
    struct range_set set;
    if (size < sizeof bytes)
        return 0;
    memcpy(&bytes, data, sizeof bytes);
    enum range_result result =
        range_parse(str_from(data + sizeof bytes, size - sizeof bytes), bytes, &set);
    if ((result == RANGE_OK) != (set.count > 0) || set.count > RANGE_MAX)
        abort();
    for (unsigned i = 0; i < set.count; i++) {
        struct range a = set.ranges[i];
        if (a.first > a.last || a.last >= bytes)
            abort();
        for (unsigned j = 0; j < i; j++)
            if (a.first <= set.ranges[j].last + 1 && set.ranges[j].first <= a.last + 1)
                abort();
    }
    return 0;
}
