/* What loader and worker may send: the first byte chooses the side and the number of descriptors.
 */
#include "app/channel.h"
#include "app/load_form.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static struct load_form form; /* letters of many inputs meet here, as they might */
    struct letter letter;
    enum channel_side from = data[0] % 3;
    if (!letter_parse(data + 1, size - 1, data[0] / 3 % 4, from, &letter))
        return 0;
    if (letter_size(letter.kind) != size - 1)
        abort();
    if (letter.kind == LETTER_SETTINGS)
        memset(&form, 0, sizeof form);
    if (load_form_take(&form, &letter) && load_form_complete(&form) &&
        load_form_threads(&form) > THREADS_MAX)
        abort();
    return 0;
}
