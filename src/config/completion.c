#include "config/completion.h"

#include "config/signature.h"

#include <string.h>

/* --- bash ---------------------------------------------------------------------------------------
 */

static void print_case(const struct completion_command *command, struct text *out)
{
    if (command->words != NULL && command->words[0] != '\0')
        text_printf(out, "    %s) words='%s' ;;\n", command->name, command->words);
}

void completion_print_bash(const struct completion_command *commands, struct text *out)
{
    text_add_z(out,
               "# bash completion for portcullis\n"
               "_portcullis() {\n"
               "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
               "    local words=\n"
               "    if [[ $previous == -c ]]; then\n"
               "        compopt -o filenames\n"
               "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
               "        return\n"
               "    fi\n"
               "    if ((COMP_CWORD == 1)); then\n"
               "        words='");
    for (const struct completion_command *c = commands; c->name != NULL; c++)
        text_printf(out, "%s%s", c == commands ? "" : " ", c->name);
    text_add_z(out, " --help --version'\n"
                    "    else\n"
                    "    case ${COMP_WORDS[1]} in\n");
    for (const struct completion_command *c = commands; c->name != NULL; c++)
        print_case(c, out);
    text_add_z(out, "    esac\n"
                    "    fi\n"
                    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                    "}\n"
                    "complete -F _portcullis portcullis\n");
}

/* --- vim ----------------------------------------------------------------------------------------
 */

/* Each keyword of the arguments once; words vim can take as keywords only. */
static void print_keywords(const struct directive *table, size_t count, struct text *out)
{
    char memory[8192];
    struct text seen = text_over(memory, sizeof memory);
    text_add_byte(&seen, ' ');
    for (size_t row = 0; row < count; row++) {
        struct signature signature;
        if (!signature_parse(str_from_z(table[row].args), &signature))
            continue;
        for (size_t i = 0; i < signature.count; i++) {
            char spaced_memory[80];
            struct text spaced = text_over(spaced_memory, sizeof spaced_memory);
            struct str keyword = signature.atoms[i].keyword;
            text_printf(&spaced, " %.*s ", STR_ARG(keyword));
            if (keyword.len == 0 || !char_is_alpha(keyword.at[0]) ||
                str_find(text_str(&seen), text_str(&spaced)) != SIZE_MAX)
                continue;
            text_printf(&seen, "%.*s ", STR_ARG(keyword));
            text_printf(out, "syn keyword portcullisKeyword %.*s\n", STR_ARG(keyword));
        }
    }
}

void completion_print_vim(const struct directive *table, size_t count, struct text *out)
{
    text_add_z(out, "\" Vim syntax of portcullis.conf\n"
                    "if exists('b:current_syntax')\n"
                    "  finish\n"
                    "endif\n"
                    "setlocal iskeyword+=- commentstring=#\\ %s\n");
    print_keywords(table, count, out);
    for (size_t row = 0; row < count; row++)
        if (char_is_alpha(table[row].name[0]))
            text_printf(out,
                        "syn match portcullisDirective "
                        "/\\(^\\|[{};]\\)\\s*\\zs%s\\ze\\(\\s\\|[{};]\\|$\\)/\n",
                        table[row].name);
    text_add_z(out, "syn match portcullisValue /\\<\\d\\+\\(ms\\|[smhdbkgt]\\)\\?\\>/\n"
                    "syn match portcullisArrow /\\(^\\|\\s\\)\\zs->\\ze\\(\\s\\|$\\)/\n"
                    "syn match portcullisEnv /\\${[^}]*}/\n"
                    "syn match portcullisRequest /\\$\\(\\w\\+\\|\\$\\)/\n"
                    "syn region portcullisString start=/\"/ skip=/\\\\./ end=/\"/ oneline "
                    "contains=portcullisEnv,portcullisRequest\n"
                    "syn region portcullisRaw start=/'/ end=/'/ oneline\n"
                    "syn match portcullisComment /\\(^\\|[ \\t{};]\\)\\zs#.*$/\n"
                    "hi def link portcullisKeyword Type\n"
                    "hi def link portcullisDirective Statement\n"
                    "hi def link portcullisValue Number\n"
                    "hi def link portcullisArrow Operator\n"
                    "hi def link portcullisEnv PreProc\n"
                    "hi def link portcullisRequest Identifier\n"
                    "hi def link portcullisString String\n"
                    "hi def link portcullisRaw String\n"
                    "hi def link portcullisComment Comment\n"
                    "let b:current_syntax = 'portcullis'\n");
}
