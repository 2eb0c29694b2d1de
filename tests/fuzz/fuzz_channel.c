/*
 * What loader and worker may send: the first byte chooses the side and the number of descriptors.
 * What parses goes on to the form of a load and to the worker's conduct, which keep their promises
 * whatever came before.
 */
#include "app/conduct.h"
#include "app/load_form.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Letters of many inputs meet here, as they might. */
static struct load_form form, before;
static struct conduct conduct;
static uint64_t now_ms, generation;

static void fill_in(const struct letter *letter)
{
    if (letter->kind == LETTER_SETTINGS) {
        before = form;
        memset(&form, 0, sizeof form);
    }
    bool taken = load_form_take(&form, letter);
    if (form.addr_count > ADDRS_MAX || form.log_count > LOG_FILES_MAX ||
        form.root_count > ROOTS_MAX)
        abort();
    if (!taken || !load_form_complete(&form))
        return;
    if (load_form_threads(&form) > THREADS_MAX)
        abort();
    if (load_form_wants_fresh_worker(&form, &form) != NULL)
        abort();
    const char *because = load_form_wants_fresh_worker(&before, &form);
    if (because != NULL && strlen(because) > 100)
        abort();
}

static void hear(const struct letter *letter, unsigned turn)
{
    if (turn == 0)
        conduct_init(&conduct, now_ms);
    if (turn == 1)
        conduct_ordered(&conduct, ++generation);
    if (turn == 2)
        conduct_asked(&conduct);
    uint64_t acknowledged = conduct.acknowledged;
    bool locked = conduct.locked;
    bool allowed = conduct_allows(&conduct, letter, ++now_ms);
    if (allowed && !locked && letter->kind != LETTER_LOCKED)
        abort();
    if (conduct.acknowledged < acknowledged || conduct.acknowledged > conduct.ordered ||
        conduct.wants_left > CONDUCT_WANTS_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct letter letter;
    enum channel_side from = data[0] % 3;
    if (!letter_parse(data + 1, size - 1, data[0] / 3 % 4, from, &letter))
        return 0;
    if (letter_size(letter.kind) != size - 1)
        abort();
    if (from == SIDE_LOADER)
        fill_in(&letter);
    if (from == SIDE_WORKER)
        hear(&letter, data[0] / 12 % 4);
    return 0;
}
