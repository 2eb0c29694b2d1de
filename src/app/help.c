#include "app/help.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static void add_usage(struct text *out, const struct command *command)
{
    text_printf(out, "portcullis %s", command->name);
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name != NULL; i++) {
        const struct cli_option *o = &command->options[i];
        text_printf(out, " [%s%s%s]", o->short_name != NULL ? o->short_name : o->name,
                    o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
    }
    if (command->operands[0] != '\0')
        text_printf(out, " %s", command->operands);
}

void help_add_overview(struct text *out, const struct command *table, size_t count)
{
    text_add_z(out, "Portcullis, an HTTPS reverse proxy.\n\nusage: portcullis COMMAND ...\n\n");
    for (size_t i = 0; i < count; i++)
        if (!table[i].hidden)
            text_printf(out, "  %-8s %s\n", table[i].name, table[i].help);
    text_add_z(out, "\n'portcullis COMMAND --help' tells more.\n");
}

void help_add_command(struct text *out, const struct command *command)
{
    text_printf(out, "%s\n\nusage: ", command->help);
    add_usage(out, command);
    text_add_z(out, "\n");
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name != NULL; i++) {
        const struct cli_option *o = &command->options[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s%s", o->short_name != NULL ? o->short_name : "",
                 o->short_name != NULL ? ", " : "", o->name, o->value != NULL ? " " : "",
                 o->value != NULL ? o->value : "");
        text_printf(out, "%s  %-20s %s\n", i == 0 ? "\n" : "", left, o->help);
    }
    if (command->more != NULL)
        text_printf(out, "\n%s\n", command->more);
}

/* ---- man(7) ---- */

/* A line of text: a leading dot or quote would be a request, hyphens would become other signs. */
static void add_roff(struct text *out, const char *z)
{
    bool line_start = true;
    for (; *z != '\0'; z++) {
        if (line_start && (*z == '.' || *z == '\''))
            text_add_z(out, "\\&");
        line_start = *z == '\n';
        if (*z == '-')
            text_add_z(out, "\\-");
        else if (*z == '\\')
            text_add_z(out, "\\e");
        else
            text_add_byte(out, *z);
    }
}

static void add_roff_text(struct text *out, struct text *plain)
{
    text_add_byte(plain, '\0');
    if (text_ok(plain))
        add_roff(out, plain->at);
}

static void add_roff_usage(struct text *out, const struct command *command)
{
    char memory[512];
    struct text usage = text_over(memory, sizeof memory);
    add_usage(&usage, command);
    add_roff_text(out, &usage);
    text_add_z(out, "\n");
}

static void add_roff_options(struct text *out, const struct command *command)
{
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name != NULL; i++) {
        const struct cli_option *o = &command->options[i];
        text_add_z(out, i == 0 ? ".SH OPTIONS\n.TP\n.B " : ".TP\n.B ");
        if (o->short_name != NULL) {
            add_roff(out, o->short_name);
            text_add_z(out, ", ");
        }
        add_roff(out, o->name);
        if (o->value != NULL)
            text_printf(out, " %s", o->value);
        text_add_z(out, "\n");
        add_roff(out, o->help);
        text_add_z(out, "\n");
    }
}

static void add_roff_paragraphs(struct text *out, const char *z)
{
    for (const char *end; z != NULL && *z != '\0'; z = end) {
        char paragraph[1024];
        const char *gap = strstr(z, "\n\n");
        size_t len = gap == NULL ? strlen(z) : (size_t)(gap - z);
        end = gap == NULL ? z + len : gap + 2;
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)len, z);
        text_add_z(out, ".PP\n");
        add_roff(out, paragraph);
        text_add_z(out, "\n");
    }
}

static void add_command_page(struct text *out, const struct command *command)
{
    text_printf(out, ".TH PORTCULLIS-%s 1 \"\" \"portcullis " PC_VERSION "\"\n.SH NAME\n",
                command->name);
    text_printf(out, "portcullis\\-%s \\- ", command->name);
    add_roff(out, command->help);
    text_add_z(out, "\n.SH SYNOPSIS\n.B ");
    add_roff_usage(out, command);
    if (command->more != NULL) {
        text_add_z(out, ".SH DESCRIPTION\n");
        add_roff_paragraphs(out, command->more);
    }
    add_roff_options(out, command);
    text_add_z(out, ".SH EXIT STATUS\n0 fine, 1 the operation failed, 2 wrong usage or "
                    "configuration.\n.SH SEE ALSO\n.BR portcullis (1)\n");
}

static void add_main_page(struct text *out, const struct command *table, size_t count)
{
    text_add_z(out, ".TH PORTCULLIS 1 \"\" \"portcullis " PC_VERSION "\"\n.SH NAME\n"
                    "portcullis \\- an HTTPS reverse proxy\n.SH SYNOPSIS\n.B portcullis\n"
                    ".I COMMAND\n...\n.SH COMMANDS\n");
    for (size_t i = 0; i < count; i++) {
        if (table[i].hidden)
            continue;
        text_add_z(out, ".TP\n.B ");
        add_roff_usage(out, &table[i]);
        add_roff(out, table[i].help);
        text_add_z(out, "\n");
    }
    text_add_z(out,
               ".SH SIGNALS\nSIGHUP reloads, SIGTERM and SIGINT stop gracefully (a second one at "
               "once), SIGUSR1 opens the logs again.\n.SH FILES\n.TP\n"
               ".I /etc/portcullis/portcullis.conf\nthe configuration; before it, unless root "
               "starts us, ./portcullis.conf\n.TP\n.I /var/lib/portcullis\nthe state of an "
               "instance that root starts; else $XDG_STATE_HOME/portcullis or "
               "~/.local/state/portcullis\n.SH EXIT STATUS\n0 fine, 1 the operation failed, 2 "
               "wrong usage or configuration.\n");
}

void help_add_man(struct text *out, const struct command *table, size_t count,
                  const struct command *command)
{
    if (command == NULL)
        add_main_page(out, table, count);
    else
        add_command_page(out, command);
}
