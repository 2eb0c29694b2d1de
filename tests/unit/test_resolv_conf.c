#include "net/resolv_conf.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* servers | search | ndots timeout attempts */
static const struct {
    const char *text, *means;
} rows[] = {
    {"", "127.0.0.1||1 1000 3"},
    {"nameserver 10.0.0.53\nnameserver fd00::53\n", "10.0.0.53 fd00::53||1 1000 3"},
    {"nameserver 127.0.0.1:5353\nnameserver [::1]:54\n", "127.0.0.1:5353 [::1]:54||1 1000 3"},
    {"nameserver nonsense\n", "127.0.0.1||1 1000 3"},
    {"# nameserver 10.0.0.1\n;nameserver 10.0.0.2\nnameserver\n", "127.0.0.1||1 1000 3"},
    {"  nameserver\t 10.0.0.53  \r\n", "10.0.0.53||1 1000 3"},
    {"search a.test b.test.\t c.test", "127.0.0.1|a.test b.test c.test|1 1000 3"},
    {"search a.test\ndomain b.test c.test\n", "127.0.0.1|b.test|1 1000 3"},
    {"domain a.test\nsearch b.test c.test\n", "127.0.0.1|b.test c.test|1 1000 3"},
    {"search .\n", "127.0.0.1||1 1000 3"},
    {"options ndots:3 timeout:2 attempts:4 rotate edns0\n", "127.0.0.1||3 2000 4"},
    {"options ndots:16 timeout:31 attempts:6\n", "127.0.0.1||15 30000 5"},
    {"options ndots:15 timeout:30 attempts:5\n", "127.0.0.1||15 30000 5"},
    {"options ndots:0 timeout:0 attempts:0\n", "127.0.0.1||0 1000 1"},
    {"options ndots: timeout:x attempts:-1 ndots:2x\n", "127.0.0.1||1 1000 3"},
    {"options ndots:2\noptions timeout:5\n", "127.0.0.1||2 5000 3"},
    {"search 1.t 2.t 3.t 4.t 5.t 6.t 7.t 8.t 9.t\n",
     "127.0.0.1|1.t 2.t 3.t 4.t 5.t 6.t 7.t 8.t|1 1000 3"},
    {"nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n"
     "nameserver 10.0.0.5\nnameserver 10.0.0.6\nnameserver 10.0.0.7\nnameserver 10.0.0.8\n"
     "nameserver 10.0.0.9\n",
     "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8||1 1000 3"},
};

static void the_text_means_what_the_manual_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct resolv_conf conf;
        char memory[1000];
        struct text text = text_over(memory, sizeof memory);
        resolv_conf_parse(str_from_z(rows[i].text), &conf);
        for (unsigned k = 0; k < conf.server_count; k++) {
            text_add_z(&text, k == 0 ? "" : " ");
            if (conf.servers[k].port != 0)
                addr_add_text_port(&text, &conf.servers[k]);
            else
                addr_add_text(&text, &conf.servers[k]);
        }
        text_add_byte(&text, '|');
        for (unsigned k = 0; k < conf.search_count; k++)
            text_printf(&text, "%s%s", k == 0 ? "" : " ", conf.search[k]);
        text_printf(&text, "|%u %u %u", conf.ndots, conf.timeout_ms, conf.attempts);
        memory[text.len] = '\0';
        assert_string_equal(memory, rows[i].means);
    }
}

static const struct {
    unsigned ndots;
    const char *name, *candidates;
} names[] = {
    {1, "db", "db.a.test db.b.test db"},
    {1, "db.lan", "db.lan db.lan.a.test db.lan.b.test"},
    {2, "db.lan", "db.lan.a.test db.lan.b.test db.lan"},
    {1, "db.", "db"},
    {0, "db", "db db.a.test db.b.test"},
};

static void names_are_completed_in_the_order_of_ndots(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct resolv_conf conf;
        char name[RESOLV_NAME_MAX + 1], memory[200];
        struct text text = text_over(memory, sizeof memory - 1);
        resolv_conf_parse(STR("search a.test b.test\n"), &conf);
        conf.ndots = names[i].ndots;
        for (unsigned k = 0; resolv_conf_candidate(&conf, str_from_z(names[i].name), k, name); k++)
            text_printf(&text, "%s%s", k == 0 ? "" : " ", name);
        memory[text.len] = '\0';
        assert_string_equal(memory, names[i].candidates);
    }
}

static void a_name_that_grows_too_long_is_left_out(void **state)
{
    (void)state;
    struct resolv_conf conf;
    char name[RESOLV_NAME_MAX + 1], longest[RESOLV_NAME_MAX + 1];
    memset(longest, 'a', sizeof longest);
    resolv_conf_parse(STR("search t\n"), &conf);
    assert_true(resolv_conf_candidate(&conf, str_from(longest, RESOLV_NAME_MAX - 2), 0, name));
    assert_int_equal(strlen(name), RESOLV_NAME_MAX);
    assert_true(resolv_conf_candidate(&conf, str_from(longest, RESOLV_NAME_MAX - 1), 0, name));
    assert_int_equal(strlen(name), 0);
    assert_true(resolv_conf_candidate(&conf, str_from(longest, RESOLV_NAME_MAX), 1, name));
    assert_int_equal(strlen(name), RESOLV_NAME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_means_what_the_manual_says),
        cmocka_unit_test(names_are_completed_in_the_order_of_ndots),
        cmocka_unit_test(a_name_that_grows_too_long_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
