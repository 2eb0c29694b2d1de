#include "app/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct command command = {
    .name = "do",
    .operands = "WHAT",
    .operands_min = 1,
    .operands_max = 2,
    .options = {{"--config", "-c", "FILE", ""}, {"--json", NULL, NULL, ""}},
};

static const struct {
    const char *words[6];
    bool taken;
    const char *config;
    bool json;
    unsigned operands;
} rows[] = {
    {{"a"}, true, NULL, false, 1},
    {{"a", "b"}, true, NULL, false, 2},
    {{NULL}, false, NULL, false, 0},
    {{"a", "b", "c"}, false, NULL, false, 0},
    {{"-c", "f", "a"}, true, "f", false, 1},
    {{"a", "--config", "f", "--json"}, true, "f", true, 1},
    {{"--config=f", "a"}, true, "f", false, 1},
    {{"--config=", "a"}, true, "", false, 1},
    {{"a", "-c"}, false, NULL, false, 0},
    {{"a", "--json=1"}, false, NULL, false, 0},
    {{"a", "--fly"}, false, NULL, false, 0},
    {{"a", "--conf", "f"}, false, NULL, false, 0},
    {{"--", "-c", "--json"}, true, NULL, false, 2},
    {{"-"}, true, NULL, false, 1},
};

static void options_may_stand_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *words[6];
        unsigned count = 0;
        struct cli cli;
        char why[128];
        for (; count < 6 && rows[i].words[count] != NULL; count++)
            words[count] = rows[i].words[count];
        assert_int_equal(cli_parse(&cli, &command, words, count, why, sizeof why), rows[i].taken);
        if (!rows[i].taken)
            continue;
        assert_int_equal(cli_has(&cli, "--json"), rows[i].json);
        assert_int_equal(cli.operand_count, rows[i].operands);
        if (rows[i].config == NULL)
            assert_null(cli_value(&cli, "--config"));
        else
            assert_string_equal(cli_value(&cli, "--config"), rows[i].config);
    }
}

static void help_needs_no_operands(void **state)
{
    (void)state;
    const char *words[] = {"--help"};
    struct cli cli;
    char why[128];
    assert_true(cli_parse(&cli, &command, words, 1, why, sizeof why));
    assert_true(cli.help);
}

static void an_option_may_stand_several_times(void **state)
{
    (void)state;
    const char *words[] = {"-c", "one", "--json", "what", "--config=two", "-c", "three"};
    struct cli cli;
    char why[128];
    unsigned at = 0;
    assert_true(cli_parse(&cli, &command, words, 7, why, sizeof why));
    assert_string_equal(cli_value(&cli, "--config"), "three");
    assert_string_equal(cli_next(&cli, "--config", &at), "one");
    assert_string_equal(cli_next(&cli, "--config", &at), "two");
    assert_string_equal(cli_next(&cli, "--config", &at), "three");
    assert_null(cli_next(&cli, "--config", &at));
}

static void there_is_an_end_to_options(void **state)
{
    (void)state;
    static const char *words[CLI_SAID_MAX + 2];
    char why[128];
    struct cli cli;
    words[0] = "what";
    for (unsigned i = 1; i < CLI_SAID_MAX + 2; i++)
        words[i] = "--json";
    assert_true(cli_parse(&cli, &command, words, CLI_SAID_MAX + 1, why, sizeof why));
    words[0] = "what";
    for (unsigned i = 1; i < CLI_SAID_MAX + 2; i++)
        words[i] = "--json";
    assert_false(cli_parse(&cli, &command, words, CLI_SAID_MAX + 2, why, sizeof why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(an_option_may_stand_several_times),
        cmocka_unit_test(there_is_an_end_to_options),
        cmocka_unit_test(help_needs_no_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
