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

static int ask(const struct cli *cli, struct arena *arena, const char *command, struct str *answer)
{
    struct state_facts facts = state_facts_now();
    const char *control = cli_value(cli, "--control");
    const char *config = cli_value(cli, "--config");
    struct str path =
        control != NULL
            ? str_from_z(control)
            : instance_control_path(arena, config != NULL ? config : state_config_path(&facts));
    int got = instance_command(arena, path, command, answer);
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
int live_stop(const struct cli *cli)
{
    return tell(cli, "stop");
}

int live_status(const struct cli *cli)
{
    struct arena *arena = arena_new(ARENA_BYTES, 4096);
    struct str answer = STR("");
    int got = arena == NULL ? -1 : ask(cli, arena, "status", &answer);
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
