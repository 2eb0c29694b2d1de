#include "app/live_commands.h"

#include "app/cli.h"
#include "app/instance.h"
#include "app/state_dir.h"
#include "app/status_text.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>

#define ARENA_BYTES ((size_t)32 * 1024 * 1024)
#define OUT_BYTES ((size_t)1024 * 1024)

static struct str control_path(const struct cli *cli, struct arena *arena)
{
    struct state_facts facts = state_facts_now();
    const char *control = cli_value(cli, "--control");
    const char *config = cli_value(cli, "--config");
    return control != NULL
               ? str_from_z(control)
               : instance_control_path(arena, config != NULL ? config : state_config_path(&facts));
}

static int ask(const struct cli *cli, struct arena *arena, const char *command, struct str *answer)
{
    int got = instance_command(arena, control_path(cli, arena), command, answer);
    if (got < 0)
        log_error("%s", log_escape(*answer));
    return got;
}

static void put(FILE *out, struct str s)
{
    if (s.len != 0)
        fwrite(s.at, 1, s.len, out);
}

/* A command whose answer is text for people. */
static int tell(const struct cli *cli, const char *command)
{
    struct arena *arena = arena_new(ARENA_BYTES, 4096);
    struct str answer = STR("");
    int got = arena == NULL ? -1 : ask(cli, arena, command, &answer);
    if (got >= 0)
        put(got == 0 ? stdout : stderr, answer);
    arena_end(arena);
    return got == 0 ? EXIT_FINE : EXIT_FAILED;
}

int live_reload(const struct cli *cli)
{
    return tell(cli, "reload");
}
int live_upgrade(const struct cli *cli)
{
    return tell(cli, "upgrade");
}
int live_stop(const struct cli *cli)
{
    return tell(cli, "stop");
}

/* ---- drain ---- */

/* The origins that are meant, as the configuration writes them, a line each. */
static int origins_meant(const struct cli *cli, struct arena *arena, struct str typed,
                         struct str *lines)
{
    const struct str question[] = {STR("origin"), typed};
    return instance_ask(arena, control_path(cli, arena), question, 2, lines);
}

static int drain_each(const struct cli *cli, struct arena *arena, const char *command,
                      struct str lines)
{
    struct str origin;
    int worst = 0;
    while (worst == 0 && str_split(&lines, '\n', &origin)) {
        struct str said = str_printf(arena, "%s %.*s", command, STR_ARG(origin)), answer = STR("");
        worst = said.at == NULL ? -1 : ask(cli, arena, said.at, &answer);
        FILE *out = worst == 0 ? stdout : stderr;
        if (worst >= 0) {
            fprintf(out, "%s: ", log_escape(origin));
            put(out, answer);
        }
    }
    return worst;
}

static int drain(const struct cli *cli, const char *command, bool known_only)
{
    struct arena *arena = arena_new(ARENA_BYTES, 4096);
    struct str typed = str_from_z(cli->operands[0]), lines = STR("");
    int got = arena == NULL ? -1 : origins_meant(cli, arena, typed, &lines);
    if (got > 0 && !known_only) {
        lines = typed; /* it may have left the file since it was drained */
        got = 0;
    }
    if (got == 0) {
        got = drain_each(cli, arena, command, lines);
        /* The worker hears of it before this question: once it answers, it holds. */
        if (origins_meant(cli, arena, typed, &lines) < 0)
            log_warning("no worker has confirmed it yet");
    } else if (got > 0)
        put(stderr, lines);
    else
        log_error("%s", log_escape(lines));
    arena_end(arena);
    return got == 0 ? EXIT_FINE : EXIT_FAILED;
}

int live_drain(const struct cli *cli)
{
    return drain(cli, "drain", true);
}
int live_undrain(const struct cli *cli)
{
    return drain(cli, "undrain", false);
}

/* ---- status ---- */

/* What the worker knows of the origins becomes a part of what the supervisor has said; without an
 * answer, or before anything is served, it is missing. */
static struct str with_origins(const struct cli *cli, struct arena *arena, struct str status)
{
    const struct str question = STR_INIT("origins");
    struct str origins = STR("");
    if (instance_ask(arena, control_path(cli, arena), &question, 1, &origins) != 0)
        return status;
    if (!str_ends(status, STR("}\n")) || !str_starts(origins, STR("{")))
        return status;
    struct text out = text_in(arena, OUT_BYTES);
    text_add(&out, str_sub(status, 0, status.len - 2));
    text_add_byte(&out, ',');
    text_add(&out, str_skip(origins, 1));
    return text_str(&out);
}

int live_status(const struct cli *cli)
{
    struct arena *arena = arena_new(ARENA_BYTES, 4096);
    struct str answer = STR("");
    int got = arena == NULL ? -1 : ask(cli, arena, "status", &answer);
    if (got == 0)
        answer = with_origins(cli, arena, answer);
    if (got == 0 && !cli_has(cli, "--json")) {
        struct text out = text_in(arena, OUT_BYTES);
        status_text_add(&out, answer);
        answer = text_str(&out);
    }
    if (got >= 0)
        put(got == 0 ? stdout : stderr, answer);
    arena_end(arena);
    return got == 0 ? EXIT_FINE : EXIT_FAILED;
}
