#include "files/files.h"

#include "base/text.h"
#include "files/open_files.h"
#include "http/date.h"
#include "net/loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a tree to serve, beside things that must not be served ---------------------------------- */

static char top[64];  /* holds the root and what lies outside it */
static char root[96]; /* top/root */
static struct arena *arena;
static struct loop *loop;
static struct open_files *kept; /* NULL unless the test is about them */
static const struct str index_names[] = {STR_INIT("index.html"), STR_INIT("index.htm")};
static struct files_conf conf;

static const char *in_root(const char *name)
{
    static char paths[4][8192];
    static unsigned at;
    char *path = paths[at++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void touch(const char *path, int64_t s, long ns)
{
    struct timespec times[2] = {{.tv_sec = s, .tv_nsec = ns}, {.tv_sec = s, .tv_nsec = ns}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

#define CHANGED_S 1700000000

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_root(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    touch(in_root(name), CHANGED_S, 5);
}

static void link_to(const char *name, const char *target)
{
    assert_int_equal(symlink(target, in_root(name)), 0);
}

#define LONG_TEXT "0123456789abcdefghijklmnopqrstuvwxyz"

static int make_tree(void **state)
{
    (void)state;
    strcpy(top, "/tmp/test_files.XXXXXX");
    assert_non_null(mkdtemp(top));
    snprintf(root, sizeof root, "%s/root", top);
    const char *folders[] = {"",      "sub",  "sub/deep",
                             "empty", ".git", ".well-known",
                             "a:b",   "cfg",  ".well-known/.hidden",
                             "locked"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(mkdir(in_root(folders[i]), 0755), 0);
    write_file("index.html", "<p>top</p>");
    write_file("sub/index.htm", "<p>sub</p>");
    write_file("sub/deep/x.txt", "deep");
    write_file("a.txt", LONG_TEXT);
    write_file("empty.txt", "");
    write_file("b.bin", LONG_TEXT);
    write_file(".secret", "no");
    write_file(".git/config", "no");
    write_file(".well-known/security.txt", "yes");
    write_file(".well-known/.hidden/x", "no");
    write_file("app.js", "var a = 1;");
    write_file("app.js.br", "BR");
    write_file("app.js.gz", "GZIP");
    write_file("old.css", "p {}");
    write_file("old.css.gz", "OLD");
    touch(in_root("old.css.gz"), CHANGED_S, 4);
    write_file("100%.txt", "percent");
    write_file("a%2fb", "literal");
    write_file("../outside", "no");
    assert_int_equal(mkfifo(in_root("fifo"), 0644), 0);
    link_to("in", "sub/deep/x.txt");
    link_to("out", "../outside");
    link_to("out_abs", "/etc/passwd");
    link_to("out_dir", "..");
    link_to("sub/up", "../a.txt");
    link_to("loop", "loop");
    link_to("magic", "/proc/self/root");
    link_to("dangling", "nowhere");
    arena = arena_new(4 << 20, 4096);
    conf = (struct files_conf){
        .root = str_from_z(root), .index = index_names, .index_count = 2, .cache_max_age_s = -1};
    return 0;
}

/* The same tree, old enough to be kept open. */
static int make_settled_tree(void **state)
{
    if (make_tree(state) != 0)
        return -1;
    loop = loop_new(0);
    kept = open_files_new(loop);
    time_t made = time(NULL);
    while (time(NULL) <= made + OPEN_FILES_SETTLED_S)
        usleep(10000);
    return kept == NULL;
}

static int remove_tree(void **state)
{
    open_files_end(kept);
    kept = NULL;
    if (loop != NULL)
        loop_end(loop);
    loop = NULL;
    (void)state;
    char command[128];
    arena_end(arena);
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}

/* --- asking ----------------------------------------------------------------------------------- */

struct asked {
    enum files_result result;
    struct message request, response;
    struct files_body *body;
    struct str text; /* all of the body */
};

/* The whole body, read in pieces of `piece` bytes; at == NULL when it broke off. */
static struct str read_all(struct files_body *body, size_t piece)
{
    struct text text = text_in(arena, 1 << 20);
    char buffer[4096];
    ssize_t got;
    while ((got = files_body_read(body, buffer, piece)) > 0)
        text_add(&text, str_from(buffer, (size_t)got));
    return got < 0 ? (struct str){NULL, 0} : text.len > 0 ? text_str(&text) : STR("");
}

/* `fields` are "Name: value" lines with a "|" between them. */
static struct asked ask_once(const char *method, const char *path, const char *fields)
{
    struct asked a;
    message_init(&a.request, arena);
    message_init(&a.response, arena);
    a.request.method = (uint8_t)method_lookup(str_from_z(method));
    a.request.target = str_from_z(path);
    struct str rest = str_from_z(fields), line;
    while (str_split(&rest, '|', &line)) {
        size_t colon = str_find_byte(line, ':');
        assert_true(message_add(&a.request, str_sub(line, 0, colon), str_skip(line, colon + 2)));
    }
    a.result = files_open(&conf, kept, str_from_z(path), &a.request, &a.response, &a.body, NULL);
    a.text = a.body != NULL ? read_all(a.body, 7) : STR("");
    assert_true(a.body == NULL || a.text.at != NULL);
    if (a.body != NULL)
        assert_int_equal(a.text.len, a.response.content_length);
    assert_int_equal(a.body != NULL, a.response.framing == BODY_LENGTH);
    files_body_close(a.body);
    return a;
}

/* Files are looked at once in a turn of the loop: here is the next one. */
static void stop_loop(struct loop_task *task)
{
    (void)task;
    loop_stop(loop);
}

static void next_turn(void)
{
    struct loop_task task = {.run = stop_loop};
    loop_post(loop, &task);
    loop_run(loop);
}

/* What is kept open is asked for twice, so that the second answer comes from it. */
static struct asked ask(const char *method, const char *path, const char *fields)
{
    if (loop != NULL)
        next_turn();
    if (kept != NULL)
        (void)ask_once(method, path, fields);
    return ask_once(method, path, fields);
}

static void assert_field(const struct asked *a, enum header_id id, const char *value)
{
    struct str is = message_value(&a->response, id);
    if (!str_eq(is, str_from_z(value)))
        fail_msg("%.*s of %.*s is \"%.*s\", not \"%s\"", STR_ARG(header_name(id)),
                 STR_ARG(a->request.target), STR_ARG(is), value);
}

static void assert_no_field(const struct asked *a, enum header_id id)
{
    assert_null(message_get(&a->response, id));
}

/* --- claims ----------------------------------------------------------------------------------- */

static void a_path_leads_to_its_file_or_nowhere(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        unsigned status;
        const char *body; /* NULL: none of ours */
    } cases[] = {
        {"/a.txt", 200, LONG_TEXT},
        {"//a.txt", 200, LONG_TEXT},
        {"/sub//deep/x.txt", 200, "deep"},
        {"/", 200, "<p>top</p>"},
        {"/sub/", 200, "<p>sub</p>"},
        {"/index.html", 200, "<p>top</p>"},
        {"/empty.txt", 200, ""},
        {"/100%.txt", 200, "percent"},
        {"/app.js.gz", 200, "GZIP"},
        {"/a%2fb", 200, "literal"}, /* a name, never a separator */
        {"/sub%2fdeep", 404, NULL},
        {"/sub", 308, NULL},
        {"/nothing", 404, NULL},
        {"/sub/nothing", 404, NULL},
        {"/empty/", 404, NULL},
        {"/a.txt/", 404, NULL},
        {"/a.txt/x", 404, NULL},
        {"/in/", 404, NULL},
        /* hidden */
        {"/.secret", 404, NULL},
        {"/.git", 404, NULL},
        {"/.git/", 404, NULL},
        {"/.git/config", 404, NULL},
        {"/.well-known/security.txt", 200, "yes"},
        {"/.well-known/.hidden/x", 404, NULL},
        {"/sub/.well-known/x", 404, NULL},
        {"/.well-knownx", 404, NULL},
        /* these cannot come, and would lead nowhere */
        {"/..", 404, NULL},
        {"/../outside", 404, NULL},
        {"/sub/../../outside", 404, NULL},
        {"/sub/../a.txt", 404, NULL},
        {"/./a.txt", 404, NULL},
        {"", 200, "<p>top</p>"},
        /* links */
        {"/in", 200, "deep"},
        {"/sub/up", 200, LONG_TEXT},
        {"/out", 404, NULL},
        {"/out_abs", 404, NULL},
        {"/out_dir/", 404, NULL},
        {"/out_dir/outside", 404, NULL},
        {"/loop", 404, NULL},
        {"/magic/etc/passwd", 404, NULL},
        {"/dangling", 404, NULL},
        /* no regular files */
        {"/fifo", 403, NULL},
        {"/socket", 403, NULL},
    };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/socket", root);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked a = ask("GET", cases[i].path, "");
        if (a.response.status != cases[i].status)
            fail_msg("%s: %u", cases[i].path, a.response.status);
        assert_int_equal(a.result == FILES_ABSENT, cases[i].status == 404);
        if (cases[i].body != NULL)
            assert_true(str_eq(a.text, str_from_z(cases[i].body)));
        else
            assert_null(a.body);
    }
    close(fd);
}

static void a_device_is_refused(void **state)
{
    (void)state;
    if (mknod(in_root("null"), S_IFCHR | 0666, (dev_t)0x103) != 0)
        skip();
    assert_int_equal(ask("GET", "/null", "").response.status, 403);
}

static void names_beyond_the_limits_are_not_found(void **state)
{
    (void)state;
    static const size_t lengths[] = {255, 256, 4094, 4095, 4096, 4097, 8000};
    static char path[9000];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memset(path, 'a', sizeof path);
        path[0] = '/';
        path[lengths[i]] = '\0';
        assert_int_equal(ask("GET", path, "").response.status, 404);
        for (size_t j = 0; j < lengths[i]; j += 2)
            path[j] = '/';
        assert_int_equal(ask("GET", path, "").response.status, 404);
    }
}

static void only_get_and_head_look_for_files(void **state)
{
    (void)state;
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "X"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct asked a = ask(methods[i], "/a.txt", "");
        assert_int_equal(a.result, FILES_ABSENT);
        assert_int_equal(a.response.status, 405);
        assert_field(&a, HEADER_ALLOW, "GET, HEAD");
    }
    struct asked a = ask("HEAD", "/a.txt", "Range: bytes=0-1");
    assert_int_equal(a.response.status, 200);
    assert_null(a.body);
    assert_int_equal(a.response.content_length, 36);
    assert_true(a.response.has_content_length);
    assert_field(&a, HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
}

static void the_head_describes_the_file(void **state)
{
    (void)state;
    struct asked a = ask("GET", "/a.txt", "");
    assert_field(&a, HEADER_ETAG, "\"24-17979cfe362a0005\"");
    assert_field(&a, HEADER_LAST_MODIFIED, "Tue, 14 Nov 2023 22:13:20 GMT");
    assert_field(&a, HEADER_ACCEPT_RANGES, "bytes");
    assert_field(&a, HEADER_VARY, "Accept-Encoding");
    assert_no_field(&a, HEADER_CACHE_CONTROL);
    a = ask("GET", "/b.bin", "");
    assert_no_field(&a, HEADER_VARY);
    assert_field(&a, HEADER_CONTENT_TYPE, "application/octet-stream");
    conf.cache_max_age_s = 3600;
    a = ask("GET", "/b.bin", "");
    assert_field(&a, HEADER_CACHE_CONTROL, "max-age=3600");
    conf.cache_max_age_s = 0;
    a = ask("GET", "/b.bin", "");
    assert_field(&a, HEADER_CACHE_CONTROL, "max-age=0");
    conf.cache_max_age_s = -1;
}

static void a_change_changes_the_tag(void **state)
{
    (void)state;
    write_file("changing.txt", "one");
    struct asked before = ask("GET", "/changing.txt", "");
    touch(in_root("changing.txt"), CHANGED_S, 6);
    struct asked after = ask("GET", "/changing.txt", "");
    assert_false(str_eq(message_value(&before.response, HEADER_ETAG),
                        message_value(&after.response, HEADER_ETAG)));
    /* a file from the future was not changed later than now (RFC 9110 8.8.2.1) */
    touch(in_root("changing.txt"), 4000000000, 0);
    struct asked a = ask("GET", "/changing.txt", "");
    int64_t s;
    assert_true(date_parse(message_value(&a.response, HEADER_LAST_MODIFIED), 0, &s));
    assert_true(s <= time(NULL));
}

static void a_folder_without_slash_is_redirected_as_the_client_named_it(void **state)
{
    (void)state;
    static const struct {
        const char *path, *target, *location;
    } cases[] = {
        {"/sub", "/sub", "/sub/"},
        {"/sub", "/sub?a=b&c=%20", "/sub/?a=b&c=%20"},
        {"/sub", "/public/s%75b", "/public/s%75b/"},
        {"/sub", "//evil.example/sub", "/evil.example/sub/"},
        {"/sub", "http://host/sub?x", "/sub/?x"},
        {"/a:b", "/a:b", "/a:b/"},
        {"/sub", "/s\"ub\\", "/s%22ub%5C/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked a = {.result = FILES_ABSENT};
        message_init(&a.request, arena);
        message_init(&a.response, arena);
        a.request.method = METHOD_GET;
        a.request.target = str_from_z(cases[i].target);
        a.result = files_open(&conf, kept, str_from_z(cases[i].path), &a.request, &a.response,
                              &a.body, NULL);
        assert_int_equal(a.result, FILES_ANSWERED);
        assert_int_equal(a.response.status, 308);
        assert_field(&a, HEADER_LOCATION, cases[i].location);
    }
}

static void a_rewritten_folder_is_not_redirected_in_a_ring(void **state)
{
    (void)state;
    struct message request, response;
    struct files_body *body;
    message_init(&request, arena);
    message_init(&response, arena);
    request.method = METHOD_GET;
    request.target = STR("/public/");
    assert_int_equal(files_open(&conf, kept, STR("/sub"), &request, &response, &body, NULL),
                     FILES_ANSWERED);
    assert_int_equal(response.status, 200);
    assert_true(str_eq(read_all(body, 100), STR("<p>sub</p>")));
    for (uint64_t n = 1; n < 8; n++) { /* at the arena's cap it is no other folder's page */
        message_init(&response, arena);
        arena_fail_at(n);
        (void)files_open(&conf, kept, STR("/sub"), &request, &response, &body, NULL);
        arena_fail_at(0);
        assert_true(response.status == 503 || str_eq(read_all(body, 100), STR("<p>sub</p>")));
    }
}

static void conditions_decide_before_ranges(void **state)
{
    (void)state;
#define TAG "\"24-17979cfe362a0005\""
    static const struct {
        const char *fields;
        unsigned status;
    } cases[] = {
        {"If-None-Match: " TAG, 304},
        {"If-None-Match: W/" TAG, 304},
        {"If-None-Match: \"x\", " TAG, 304},
        {"If-None-Match: *", 304},
        {"If-None-Match: \"x\"", 200},
        {"If-None-Match: \"x\"|If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", 200},
        {"If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", 304},
        {"If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT", 200},
        {"If-Modified-Since: yesterday", 200},
        {"If-Match: " TAG, 200},
        {"If-Match: \"x\"", 412},
        {"If-Match: W/" TAG, 412},
        {"If-Unmodified-Since: Tue, 14 Nov 2023 22:13:19 GMT", 412},
        {"If-Unmodified-Since: Tue, 14 Nov 2023 22:13:20 GMT", 200},
        {"If-None-Match: " TAG "|Range: bytes=0-1", 304},
        {"If-Match: \"x\"|Range: bytes=99-", 412},
        {"If-Range: " TAG "|Range: bytes=0-1", 206},
        {"If-Range: W/" TAG "|Range: bytes=0-1", 200},
        {"If-Range: \"x\"|Range: bytes=0-1", 200},
        {"If-Range: \"x\"|Range: bytes=99-", 200},
        {"If-Range: Tue, 14 Nov 2023 22:13:20 GMT|Range: bytes=0-1", 206},
        {"If-Range: Tue, 14 Nov 2023 22:13:21 GMT|Range: bytes=0-1", 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked a = ask("GET", "/a.txt", cases[i].fields);
        if (a.response.status != cases[i].status)
            fail_msg("%s: %u", cases[i].fields, a.response.status);
        if (cases[i].status == 304) {
            assert_field(&a, HEADER_ETAG, TAG);
            assert_field(&a, HEADER_VARY, "Accept-Encoding");
            assert_no_field(&a, HEADER_CONTENT_TYPE);
        }
        if (cases[i].status == 412)
            assert_int_equal(a.response.count, 0);
    }
}

static void ranges_are_cut_out_of_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        unsigned status;
        const char *body, *content_range;
    } cases[] = {
        {"bytes=0-0", 206, "0", "bytes 0-0/36"},
        {"bytes=10-12", 206, "abc", "bytes 10-12/36"},
        {"bytes=-3", 206, "xyz", "bytes 33-35/36"},
        {"bytes=33-", 206, "xyz", "bytes 33-35/36"},
        {"bytes=33-99", 206, "xyz", "bytes 33-35/36"},
        {"bytes=0-1,2-3", 206, "0123", "bytes 0-3/36"},
        {"bytes=36-", 416, "", "bytes */36"},
        {"bytes=-0", 416, "", "bytes */36"},
        {"lines=0-1", 200, LONG_TEXT, ""},
        {"bytes=2-1", 200, LONG_TEXT, ""},
        {"bytes=0-1|Range: bytes=2-3", 200, LONG_TEXT, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char field[64];
        snprintf(field, sizeof field, "Range: %s", cases[i].range);
        struct asked a = ask("GET", "/a.txt", field);
        assert_int_equal(a.response.status, cases[i].status);
        assert_true(str_eq(a.text, str_from_z(cases[i].body)));
        assert_field(&a, HEADER_CONTENT_RANGE, cases[i].content_range);
    }
    assert_int_equal(ask("GET", "/empty.txt", "Range: bytes=0-").response.status, 416);
    assert_int_equal(ask("GET", "/empty.txt", "").response.content_length, 0);
}

static void several_ranges_become_parts(void **state)
{
    (void)state;
    struct asked a = ask("GET", "/a.txt", "Range: bytes=10-12,0-1,-1");
    assert_int_equal(a.response.status, 206);
    struct str type = message_value(&a.response, HEADER_CONTENT_TYPE);
    assert_true(str_starts(type, STR("multipart/byteranges; boundary=")));
    assert_no_field(&a, HEADER_CONTENT_RANGE);
    struct str b = str_skip(type, 31);
    struct str want = str_printf(
        arena,
        "\r\n--%.*s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 10-12/36"
        "\r\n\r\nabc"
        "\r\n--%.*s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/36"
        "\r\n\r\n01"
        "\r\n--%.*s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 35-35/36"
        "\r\n\r\nz\r\n--%.*s--\r\n",
        STR_ARG(b), STR_ARG(b), STR_ARG(b), STR_ARG(b));
    assert_true(str_eq(a.text, want));
    a = ask("GET", "/a.txt",
            "Range: bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,"
            "26-26,28-28,30-30");
    assert_int_equal(a.response.status, 206);
    assert_true(str_ends(a.text, STR("--\r\n")));
}

static void a_sibling_goes_out_to_those_who_take_it(void **state)
{
    (void)state;
    static const struct {
        const char *path, *accept, *coding, *body;
    } cases[] = {
        {"/app.js", "gzip, br", "br", "BR"},   {"/app.js", "gzip, br, zstd", "br", "BR"},
        {"/app.js", "gzip", "gzip", "GZIP"},   {"/app.js", "gzip, br;q=0.1", "gzip", "GZIP"},
        {"/app.js", "zstd", "", "var a = 1;"}, {"/app.js", "identity", "", "var a = 1;"},
        {"/old.css", "gzip", "", "p {}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char field[64];
        snprintf(field, sizeof field, "Accept-Encoding: %s", cases[i].accept);
        struct asked a = ask("GET", cases[i].path, field);
        assert_field(&a, HEADER_CONTENT_ENCODING, cases[i].coding);
        assert_true(str_eq(a.text, str_from_z(cases[i].body)));
        assert_field(&a, HEADER_VARY, "Accept-Encoding");
    }
    struct asked br = ask("GET", "/app.js", "Accept-Encoding: br");
    struct asked plain = ask("GET", "/app.js", "");
    struct str tag = message_value(&br.response, HEADER_ETAG);
    assert_false(str_eq(tag, message_value(&plain.response, HEADER_ETAG)));
    assert_field(&br, HEADER_CONTENT_TYPE, "text/javascript; charset=utf-8");
    struct str fields = str_printf(arena, "Accept-Encoding: br|If-None-Match: %.*s", STR_ARG(tag));
    assert_int_equal(ask("GET", "/app.js", fields.at).response.status, 304);
    assert_true(
        str_eq(ask("GET", "/app.js", "Accept-Encoding: br|Range: bytes=1-1").text, STR("R")));
}

static void the_fallback_answers_for_what_is_not_there(void **state)
{
    (void)state;
    conf.fallback = STR("index.html");
    struct asked a = ask("GET", "/study/12345", "");
    assert_int_equal(a.response.status, 200);
    assert_int_equal(a.result, FILES_ANSWERED);
    assert_true(str_eq(a.text, STR("<p>top</p>")));
    assert_field(&a, HEADER_CACHE_CONTROL, "no-cache");
    assert_field(&a, HEADER_CONTENT_TYPE, "text/html; charset=utf-8");
    assert_true(str_eq(ask("GET", "/a.txt", "").text, STR(LONG_TEXT)));
    assert_int_equal(ask("GET", "/empty/", "").response.status, 200);
    assert_int_equal(ask("GET", "/.git/config", "").response.status, 404);
    assert_int_equal(ask("GET", "/fifo", "").response.status, 403);
    conf.fallback = STR("gone.html");
    assert_int_equal(ask("GET", "/x", "").response.status, 404);
    conf.fallback = STR("");
}

static void a_listing_shows_what_would_be_handed_out(void **state)
{
    (void)state;
    conf.listing = true;
    write_file("empty/<b>&\"x y\".txt", "1234");
    write_file("empty/zz:a.txt", "1");
    write_file("empty/.hidden", "1");
    assert_int_equal(mkdir(in_root("empty/folder"), 0755), 0);
    assert_int_equal(mkfifo(in_root("empty/pipe"), 0644), 0);
    link_to("empty/outlink", "../../outside");
    link_to("empty/inlink", "../a.txt");
    struct asked a = ask("GET", "/empty/", "Accept: text/html, */*");
    assert_int_equal(a.response.status, 200);
    assert_field(&a, HEADER_CONTENT_TYPE, "text/html; charset=utf-8");
    assert_true(str_find(a.text, STR("<a href=\"./%3Cb%3E%26%22x%20y%22.txt\">&lt;b&gt;&amp;")) !=
                SIZE_MAX);
    assert_true(str_find(a.text, STR("<a href=\"./folder/\">folder/</a>")) <
                str_find(a.text, STR("%3Cb")));
    assert_true(str_find(a.text, STR("./zz%3Aa.txt")) != SIZE_MAX);
    assert_true(str_find(a.text, STR("inlink")) != SIZE_MAX);
    assert_true(str_find(a.text, STR("2023-11-14T22:13:20")) != SIZE_MAX);
    assert_true(str_find(a.text, STR("hidden")) == SIZE_MAX);
    assert_true(str_find(a.text, STR("pipe")) == SIZE_MAX);
    assert_true(str_find(a.text, STR("outlink")) == SIZE_MAX);
    a = ask("GET", "/empty/", "Accept: application/json");
    assert_field(&a, HEADER_CONTENT_TYPE, "application/json");
    assert_true(str_starts(a.text, STR("{\"path\":\"/empty/\",\"entries\":[\n{\"name\":\"folder\","
                                       "\"type\":\"folder\",\"modified\":")));
    assert_true(str_find(a.text, STR("{\"name\":\"inlink\",\"type\":\"file\",\"bytes\":36,")) !=
                SIZE_MAX);
    assert_true(str_ends(a.text, STR("],\"more\":false}\n")));
    a = ask("HEAD", "/empty/", "Accept: application/json");
    assert_true(a.response.content_length > 100);
    a = ask("GET", "/", "");
    assert_true(str_eq(a.text, STR("<p>top</p>")));
    conf.listing = false;
}

static struct files_body *open_big(struct message *response)
{
    struct message request;
    struct files_body *body;
    message_init(&request, arena);
    message_init(response, arena);
    request.method = METHOD_GET;
    request.target = STR("/big.bin");
    FILE *file = fopen(in_root("big.bin"), "w");
    for (unsigned i = 0; i < 10000; i++)
        fputs("0123456789", file);
    fclose(file);
    assert_int_equal(files_open(&conf, kept, STR("/big.bin"), &request, response, &body, NULL),
                     FILES_ANSWERED);
    return body;
}

static void a_file_that_shrinks_breaks_the_answer_off(void **state)
{
    (void)state;
    struct message response;
    char buffer[1000];
    struct files_body *body = open_big(&response);
    assert_int_equal(files_body_read(body, buffer, sizeof buffer), 1000);
    assert_int_equal(truncate(in_root("big.bin"), 50000), 0);
    ssize_t got, sum = 1000;
    while ((got = files_body_read(body, buffer, sizeof buffer)) > 0)
        sum += got;
    assert_int_equal(got, -1);
    assert_int_equal(sum, 50000);
    files_body_close(body);
    files_body_close(body);
}

static void a_file_that_grows_is_sent_as_long_as_it_was(void **state)
{
    (void)state;
    struct message response;
    struct files_body *body = open_big(&response);
    FILE *file = fopen(in_root("big.bin"), "a");
    fputs("more", file);
    fclose(file);
    assert_int_equal(read_all(body, 4096).len, 100000);
    assert_int_equal(response.content_length, 100000);
    assert_int_equal(files_body_read(body, (char[1]){0}, 1), 0);
}

static void a_swapped_root_is_seen_at_once(void **state)
{
    (void)state;
    char link[128], target[128];
    snprintf(link, sizeof link, "%s/current", top);
    snprintf(target, sizeof target, "%s/root/sub", top);
    assert_int_equal(symlink(root, link), 0);
    conf.root = str_from_z(link);
    assert_true(str_eq(ask("GET", "/", "").text, STR("<p>top</p>")));
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink(target, link), 0);
    assert_true(str_eq(ask("GET", "/", "").text, STR("<p>sub</p>")));
    assert_int_equal(unlink(link), 0);
    assert_int_equal(ask("GET", "/", "").response.status, 404);
    conf.root = str_from_z(root);
}

static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return fd;
}

static void without_descriptors_the_answer_is_503(void **state)
{
    (void)state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)lowest_free(), .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    unsigned status = ask("GET", "/a.txt", "").response.status;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, 503);
}

static void at_every_failed_allocation_nothing_leaks(void **state)
{
    (void)state;
    int before = lowest_free();
    static const struct {
        const char *path, *field, *value;
    } cases[] = {
        {"/a.txt", "Range", "bytes=0-1,5-6"},
        {"/app.js", "Accept-Encoding", "br"},
        {"/sub", "Range", "bytes=0-1"},
        {"/empty/", "Accept", "text/html"},
    };
    conf.listing = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (uint64_t n = 1; n < 60; n++) {
            struct arena *own = arena_new(1 << 20, 4096);
            struct message request, response;
            struct files_body *body;
            message_init(&request, own);
            message_init(&response, own);
            assert_true(
                message_add(&request, str_from_z(cases[i].field), str_from_z(cases[i].value)));
            request.method = METHOD_GET;
            request.target = str_from_z(cases[i].path);
            arena_fail_at(n);
            (void)files_open(&conf, kept, request.target, &request, &response, &body, NULL);
            arena_fail_at(0);
            assert_true(response.status == 503 || response.status == 200 ||
                        response.status == 206 || response.status == 308);
            assert_true(response.status != 503 || body == NULL);
            arena_end(own);
            if (lowest_free() != before)
                fail_msg("%s leaks at allocation %d", cases[i].path, (int)n);
        }
    }
    conf.listing = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_leads_to_its_file_or_nowhere),
        cmocka_unit_test(a_device_is_refused),
        cmocka_unit_test(names_beyond_the_limits_are_not_found),
        cmocka_unit_test(only_get_and_head_look_for_files),
        cmocka_unit_test(the_head_describes_the_file),
        cmocka_unit_test(a_change_changes_the_tag),
        cmocka_unit_test(a_folder_without_slash_is_redirected_as_the_client_named_it),
        cmocka_unit_test(a_rewritten_folder_is_not_redirected_in_a_ring),
        cmocka_unit_test(conditions_decide_before_ranges),
        cmocka_unit_test(ranges_are_cut_out_of_the_file),
        cmocka_unit_test(several_ranges_become_parts),
        cmocka_unit_test(a_sibling_goes_out_to_those_who_take_it),
        cmocka_unit_test(the_fallback_answers_for_what_is_not_there),
        cmocka_unit_test(a_listing_shows_what_would_be_handed_out),
        cmocka_unit_test(a_file_that_shrinks_breaks_the_answer_off),
        cmocka_unit_test(a_file_that_grows_is_sent_as_long_as_it_was),
        cmocka_unit_test(a_swapped_root_is_seen_at_once),
        cmocka_unit_test(without_descriptors_the_answer_is_503),
        cmocka_unit_test(at_every_failed_allocation_nothing_leaks),
    };
    /* And all but those that count descriptors once more, with files kept open. */
    const struct CMUnitTest again[] = {
        cmocka_unit_test(a_path_leads_to_its_file_or_nowhere),
        cmocka_unit_test(a_device_is_refused),
        cmocka_unit_test(names_beyond_the_limits_are_not_found),
        cmocka_unit_test(only_get_and_head_look_for_files),
        cmocka_unit_test(the_head_describes_the_file),
        cmocka_unit_test(a_change_changes_the_tag),
        cmocka_unit_test(a_folder_without_slash_is_redirected_as_the_client_named_it),
        cmocka_unit_test(a_rewritten_folder_is_not_redirected_in_a_ring),
        cmocka_unit_test(conditions_decide_before_ranges),
        cmocka_unit_test(ranges_are_cut_out_of_the_file),
        cmocka_unit_test(several_ranges_become_parts),
        cmocka_unit_test(a_sibling_goes_out_to_those_who_take_it),
        cmocka_unit_test(the_fallback_answers_for_what_is_not_there),
        cmocka_unit_test(a_listing_shows_what_would_be_handed_out),
        cmocka_unit_test(a_file_that_shrinks_breaks_the_answer_off),
        cmocka_unit_test(a_file_that_grows_is_sent_as_long_as_it_was),
        cmocka_unit_test(a_swapped_root_is_seen_at_once),
    };
    int failed = cmocka_run_group_tests(tests, make_tree, remove_tree);
    return failed + cmocka_run_group_tests(again, make_settled_tree, remove_tree);
}
