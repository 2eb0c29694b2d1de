#include "app/serve_commands.h"

#include "app/cli.h"
#include "app/state_dir.h"
#include "app/supervisor.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* The name that errors show for the file that `proxy` writes itself. */
#define PROXY_CONFIG_NAME "portcullis-proxy.conf"

int serve_run(const struct cli *cli)
{
    struct state_facts facts = state_facts_now();
    const char *path = cli_value(cli, "--config");
    const struct supervisor_conf conf = {.path = path != NULL ? path : state_config_path(&facts)};
    return supervisor_run(&conf);
}

/* ":8443", "127.0.0.1:8443" or "8443" into address text and port. */
static bool split_from(struct str from, struct str *host, struct str *port)
{
    size_t colon = SIZE_MAX;
    for (size_t i = 0; i < from.len; i++)
        if (from.at[i] == ':')
            colon = i;
    *host = colon == SIZE_MAX ? STR("") : str_sub(from, 0, colon);
    *port = colon == SIZE_MAX ? from : str_skip(from, colon + 1);
    uint64_t number;
    return str_to_u64(*port, UINT16_MAX, &number) && number > 0;
}

/* As a word in double quotes. */
static void add_quoted(struct text *out, struct str s)
{
    text_add_z(out, " \"");
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '"' || s.at[i] == '\\')
            text_add_byte(out, '\\');
        text_add_byte(out, s.at[i]);
    }
    text_add_byte(out, '"');
}

bool serve_proxy_text(struct text *out, struct text *url, struct str state_dir, const char *from,
                      const char *const *to, unsigned to_count, const char **why)
{
    struct str rest = str_from_z(from), host, port;
    bool https = str_starts(rest, STR("https://")), http = str_starts(rest, STR("http://"));
    if (https || http)
        rest = str_skip(rest, https ? 8 : 7);
    if (!split_from(rest, &host, &port)) {
        *why = "FROM is an address to listen on, such as :8443 or http://127.0.0.1:8080";
        return false;
    }
    /* The two ports that everybody speaks plain HTTP on. */
    bool plain = http || (!https && (str_eq(port, STR("80")) || str_eq(port, STR("8080"))));
    text_printf(out, "listen %s://%.*s:%.*s\ntls %s\nstate", plain ? "http" : "https",
                STR_ARG(host), STR_ARG(port), plain ? "off" : "internal");
    add_quoted(out, state_dir);
    text_printf(out, "\ncontrol \"%.*s/proxy-%.*s.sock\"\nsite * ->", STR_ARG(state_dir),
                STR_ARG(port));
    for (unsigned i = 0; i < to_count; i++)
        add_quoted(out, str_from_z(to[i]));
    text_add_byte(out, '\n');
    bool anywhere = str_empty(host) || str_eq(host, STR("0.0.0.0")) || str_eq(host, STR("[::]"));
    text_printf(url, "%s://%.*s:%.*s/", plain ? "http" : "https",
                STR_ARG(anywhere ? STR("localhost") : host), STR_ARG(port));
    *why = "the command line is too long";
    return text_ok(out) && text_ok(url);
}

int serve_proxy(const struct cli *cli)
{
    static char conf_bytes[16384];
    char url_bytes[300], banner[1024];
    struct text conf_text = text_over(conf_bytes, sizeof conf_bytes);
    struct text url = text_over(url_bytes, sizeof url_bytes);
    struct state_facts facts = state_facts_now();
    struct arena *arena = arena_new(65536, 4096);
    const char *why;
    if (arena == NULL)
        return EXIT_FAILED;
    if (!serve_proxy_text(&conf_text, &url, state_dir_default(arena, &facts), cli->operands[0],
                          cli->operands + 1, cli->operand_count - 1, &why)) {
        log_error("%s", why);
        arena_end(arena);
        return EXIT_USAGE;
    }
    arena_end(arena);
    snprintf(banner, sizeof banner, "%.*s forwards to %s%s\n", STR_ARG(text_str(&url)),
             cli->operands[1], cli->operand_count > 2 ? " and others" : "");
    const struct supervisor_conf conf = {
        .path = PROXY_CONFIG_NAME, .text = text_str(&conf_text), .banner = banner};
    return supervisor_run(&conf);
}
