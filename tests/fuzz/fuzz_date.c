#include "http/date.h"

#include <stdlib.h>
#include <string.h>

/* What is read as a date is the same date when it was written and is read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t s, again;
    char out[DATE_LEN];
    if (!date_parse(str_from(data, size), 1795265064, &s))
        return 0;
    date_write(s, out);
    if (!date_parse(str_from(out, DATE_LEN), 1795265064, &again) || again != s)
        abort();
    return 0;
}
