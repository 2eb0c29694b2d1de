/* A question to `explain`, through the phases of the pipeline up to an origin: whatever is asked,
 * the answer is JSON, its text form is safe for a terminal, and nothing of the configuration stays
 * in use. Words are separated by NUL bytes, as a worker gets them. */
#include "app/explain_origins.h"
#include "app/explain_query.h"
#include "app/explain_text.h"
#include "base/arena.h"
#include "config/compile.h"
#include "config/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDS_MAX = 64 };

static const char conf[] =
    "listen http://:80\ntrusted_proxies 10.0.0.0/8\nhead_limit line 512b fields 20 size 2k\n"
    "header request set X-Client $client; header response add X-Path $path\n"
    "site a.test *.b.test {\n"
    "  deny from 10.6.0.0/16\n"
    "  /x/* -> localhost:1 localhost:2 { strip; allow from 192.0.2.0/24 }\n"
    "  /x/y/* -> localhost:1 { when method GET; when not header X-No; when query q }\n"
    "  ~ '^/r/([a-z]+)/(.*)$' -> localhost:1 { rewrite /$2/$1; host origin }\n"
    "  /w/* -> localhost:1 { rewrite /v/*; forwarded unquoted; body 1k; paths loose }\n"
    "  /old/* -> redirect https://$host/$query/*\n"
    "  /f/* -> files / { strip }\n"
    "  /t -> respond 200 '<p>$path $client $method'\n"
    "}\n";

static struct snapshot *snapshot_of_all(void)
{
    static struct snapshot *snapshot;
    if (snapshot != NULL)
        return snapshot;
    struct diag diag;
    struct source_set *sources = source_set_disk();
    diag_init(&diag, arena_new(1 << 20, 4096));
    if (!source_put(sources, SOURCE_CONF, STR("x.conf"), str_from_z(conf)))
        abort();
    snapshot = compile_snapshot(sources, STR("x.conf"), NULL, NULL, &diag);
    source_set_end(sources);
    arena_end(diag.arena);
    if (snapshot == NULL)
        abort();
    return snapshot;
}

static void check_text(struct arena *arena, struct str json)
{
    struct text text = text_in(arena, 8 << 20);
    const char *why;
    size_t at;
    if (json_read(arena, json, &why, &at) == NULL || !explain_text_add(arena, json, &text))
        abort();
    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.at[i] < ' ' && text.at[i] != '\n') || text.at[i] == 0x7f)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_from(data, size), words[WORDS_MAX];
    struct snapshot *snapshot = snapshot_of_all();
    const struct explain_live nobody = {.origins = explain_origins_fresh};
    unsigned count = 0;
    if (size > 8192)
        return 0;
    while (count < WORDS_MAX && str_split(&rest, '\0', &words[count]))
        count++;
    const struct explain_words question = {words, count};
    struct arena *arena = arena_new(64 << 20, 65536);
    struct text out = text_in(arena, 8 << 20);
    if (explain_query(arena, &question, snapshot, &nobody, &out))
        check_text(arena, text_str(&out));
    arena_end(arena);
    for (unsigned i = 0; i < SNAPSHOT_THREADS_MAX; i++)
        if (snapshot->pins[i] != 0 || snapshot->sites[0]->part.pins[i] != 0)
            abort();
    return 0;
}
