/* A question and its answer over a compiled configuration, without a process around them. */
#include "app/explain_query.h"

#include "app/explain_origins.h"

#include "app/explain_text.h"
#include "base/arena.h"
#include "config/compile.h"
#include "config/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ARENA_BYTES ((size_t)16 << 20)

static const char conf[] = "listen http://127.0.0.1:8080\n"
                           "header request set X-One $client\n"
                           "header response set X-Two $path\n"
                           "site a.example {\n"
                           "    allow from 10.0.0.0/8\n"
                           "    /deep/* -> localhost:1 localhost:2 { strip; when method GET }\n"
                           "    /moved/* -> redirect /new/*\n"
                           "    /text -> respond 200 'hello $host'\n"
                           "    /f/* -> files . { strip; compress on }\n"
                           "}\n";

struct world {
    struct arena *arena;
    struct source_set *sources;
    struct diag diag;
    struct snapshot *snapshot;
};

static void begin(struct world *w)
{
    assert_int_equal(chdir(PC_SOURCE_DIR "/tests/unit/config_right"), 0);
    *w = (struct world){.arena = arena_new(ARENA_BYTES, 65536), .sources = source_set_disk()};
    assert_non_null(w->arena);
    assert_non_null(w->sources);
    diag_init(&w->diag, w->arena);
    assert_true(source_put(w->sources, SOURCE_CONF, STR("x.conf"), str_from_z(conf)));
    w->snapshot = compile_snapshot(w->sources, STR("x.conf"), NULL, NULL, &w->diag);
    assert_non_null(w->snapshot);
}

static void end(struct world *w)
{
    snapshot_end(w->snapshot);
    source_set_end(w->sources);
    arena_end(w->arena);
}

static bool answer(struct world *w, struct arena *arena, const char *const *words, struct text *out)
{
    struct str list[16];
    unsigned count = 0;
    const struct explain_live nobody = {.origins = explain_origins_fresh};
    for (; words[count] != NULL; count++)
        list[count] = str_from_z(words[count]);
    const struct explain_words question = {list, count};
    return explain_query(arena, &question, w->snapshot, &nobody, out);
}

static const char *const questions[][10] = {
    {"method", "GET", "url", "http://a.example:8080/deep/x", "from", "10.1.1.1", "header", "A: b"},
    {"method", "POST", "url", "http://a.example:8080/deep/x", "from", "10.1.1.1", "body", "7"},
    {"method", "GET", "url", "http://a.example:8080/deep/x"},
    {"method", "GET", "url", "http://a.example:8080/moved/x", "from", "10.1.1.1"},
    {"method", "GET", "url", "http://a.example:8080/text", "from", "10.1.1.1"},
    {"method", "GET", "url", "http://a.example:8080/f/down.html", "from", "10.1.1.1", "header",
     "Accept-Encoding: gzip"},
    {"method", "GET", "url", "http://b.example:8080/", "ours", "127.0.0.1", "elsewhere",
     "192.0.2.1"},
    {"method", "GET", "url", "http://b.example:8080/../x", "unresolved", "no such name"},
    {"method", "GET", "url", "https://a.example:8080/"},
};

enum { QUESTIONS = sizeof questions / sizeof questions[0] };

static void assert_nothing_pinned(const struct world *w)
{
    for (unsigned i = 0; i < SNAPSHOT_THREADS_MAX; i++) {
        assert_int_equal(atomic_load(&w->snapshot->pins[i]), 0);
        assert_int_equal(atomic_load(&w->snapshot->sites[0]->part.pins[i]), 0);
    }
}

static void an_answer_is_json_and_lets_go_of_the_snapshot(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    for (size_t i = 0; i < QUESTIONS; i++) {
        const char *why;
        size_t at;
        struct arena *arena = arena_new(ARENA_BYTES, 65536);
        struct text out = text_in(arena, 1 << 20), text = text_in(arena, 1 << 20);
        assert_true(answer(&w, arena, questions[i], &out));
        assert_non_null(json_read(arena, text_str(&out), &why, &at));
        assert_true(explain_text_add(arena, text_str(&out), &text));
        assert_nothing_pinned(&w);
        arena_end(arena);
    }
    end(&w);
}

static void without_memory_there_is_no_answer_and_nothing_is_held(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char memory[65536];
    for (size_t i = 0; i < QUESTIONS; i++)
        for (uint64_t n = 1;; n++) {
            struct arena *arena = arena_new(ARENA_BYTES, 65536);
            struct text out = text_over(memory, sizeof memory);
            assert_non_null(arena);
            arena_fail_at(n);
            (void)!answer(&w, arena, questions[i], &out);
            /* Is the failure still to come? Then the whole answer needed fewer than n. */
            bool failed = arena_alloc(arena, 1) != NULL;
            arena_fail_at(0);
            assert_nothing_pinned(&w);
            arena_end(arena);
            if (!failed)
                break;
            assert_in_range(n, 1, 10000);
        }
    end(&w);
}

static void wrong_words_are_told(void **state)
{
    (void)state;
    static const char *const wrong[][8] = {
        {"method", "GET"},
        {"url", "http://a.example/"},
        {"method", "", "url", "http://a.example/"},
        {"method", "G\r\nX", "url", "http://a.example/"},
        {"method", "GET", "url", "http://a.example/", "header", "A: b\r\nC: d"},
        {"method", "GET", "url", "http://a.example/", "header", ": b"},
        {"method", "GET", "url", "http://a.example/", "body", "-1"},
        {"method", "GET", "url", "http://a.example/", "ours", "a.example"},
        {"method", "GET", "url", "http://a.example/", "what", "x"},
    };
    struct world w;
    begin(&w);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct text out = text_in(w.arena, 1 << 16);
        assert_false(answer(&w, w.arena, wrong[i], &out));
        assert_true(out.len > 1);
    }
    end(&w);
}

static void what_is_no_explanation_is_not_laid_out(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES, 4096);
    static const char *const texts[] = {"", "{}", "[]", "{\"stages\":[]}", "{\"outcome\":{}}", "x"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct text out = text_in(arena, 4096);
        assert_false(explain_text_add(arena, str_from_z(texts[i]), &out));
    }
    arena_end(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_json_and_lets_go_of_the_snapshot),
        cmocka_unit_test(without_memory_there_is_no_answer_and_nothing_is_held),
        cmocka_unit_test(wrong_words_are_told),
        cmocka_unit_test(what_is_no_explanation_is_not_laid_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
