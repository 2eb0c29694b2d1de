/* From the text of a configuration to the snapshot that serves. */
#include "config/compile.h"

#include "base/arena.h"
#include "base/clock.h"
#include "config/directive.h"
#include "files/compress.h"
#include "files/files.h"
#include "proxy/route.h"
#include "tls/tls_cert.h"
#include "tls/tls_connect.h"
#include "upstream/check_conf.h"
#include "upstream/upstream_conf.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* After cmocka.h, whose names it needs. */
#include "tls_make.h"

#include "alloc_fail.h"

struct load {
    struct arena *arena;
    struct source_set *sources;
    struct diag diag;
    struct snapshot *snapshot;
    struct str told;
};

static bool issue(void *user, struct str names, struct text *chain, struct text *key,
                  struct text *why)
{
    (void)user;
    (void)names;
    (void)why;
    static struct made made;
    if (made.cert == NULL)
        made = make_cert("P-256", "localhost", "DNS:localhost", NULL, -1, 90);
    text_add_z(chain, made.cert_pem);
    text_add_z(key, made.key_pem);
    return true;
}

static struct compile_hooks hooks = {.issue = issue, .try_expects = true};

static void begin(struct load *l)
{
    *l = (struct load){.arena = arena_new((size_t)256 << 20, 65536)};
    assert_non_null(l->arena);
    diag_init(&l->diag, l->arena);
}

static void finish(struct load *l, struct str path, const struct snapshot *old)
{
    l->snapshot = compile_snapshot(l->sources, path, old, &hooks, &l->diag);
    struct text out = text_in(l->arena, 1 << 20);
    diag_render(&l->diag, &out, false);
    l->told = text_str(&out);
}

static struct load load_text(const char *conf, const struct snapshot *old)
{
    struct load l;
    begin(&l);
    l.sources = source_set_disk();
    assert_non_null(l.sources);
    assert_true(source_put(l.sources, SOURCE_CONF, STR("x.conf"), str_from_z(conf)));
    finish(&l, STR("x.conf"), old);
    return l;
}

static struct load load_file(const char *path)
{
    struct load l;
    begin(&l);
    l.sources = source_set_disk();
    assert_non_null(l.sources);
    finish(&l, str_from_z(path), NULL);
    return l;
}

static struct load right(const char *conf)
{
    struct load l = load_text(conf, NULL);
    if (l.snapshot == NULL)
        print_error("%.*s", STR_ARG(l.told));
    assert_non_null(l.snapshot);
    return l;
}

static void end(struct load *l)
{
    snapshot_end(l->snapshot);
    source_set_end(l->sources);
    arena_end(l->arena);
}

/* ---- wrong files ---- */

static bool as_expected(const char *file, const struct load *l)
{
    char path[512];
    snprintf(path, sizeof path, "%.*sexpected", (int)strlen(file) - 4, file);
    if (getenv("PC_UPDATE_EXPECTED") != NULL) { /* after looking at the difference */
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fwrite(l->told.at, 1, l->told.len, out);
        fclose(out);
    }
    char bytes[65536];
    FILE *in = fopen(path, "r");
    size_t len = in ? fread(bytes, 1, sizeof bytes, in) : 0;
    if (in)
        fclose(in);
    if (l->snapshot == NULL && str_eq(l->told, str_from(bytes, len)))
        return true;
    print_error("%s:\n%.*s--- instead of\n%.*s", path, STR_ARG(l->told), (int)len, bytes);
    return false;
}

static void every_wrong_file_is_told_as_expected(void **state)
{
    (void)state;
    assert_int_equal(chdir(PC_SOURCE_DIR "/tests/unit/config_wrong"), 0);
    glob_t files;
    assert_int_equal(glob("s_*.conf", 0, NULL, &files), 0);
    assert_true(files.gl_pathc >= 25);
    unsigned wrong = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct load l = load_file(files.gl_pathv[i]);
        wrong += !as_expected(files.gl_pathv[i], &l);
        end(&l);
    }
    globfree(&files);
    assert_int_equal(wrong, 0);
}

/* ---- right files ---- */

static const struct route *only_route(const struct load *l)
{
    assert_int_equal(l->snapshot->site_count, 1);
    assert_int_equal(l->snapshot->sites[0]->route_count, 1);
    return &l->snapshot->sites[0]->routes[0];
}

static void five_lines_are_a_whole_configuration(void **state)
{
    (void)state;
    struct load l = right("listen http://127.0.0.1:8080\nsite www.example.com -> localhost:3000\n");
    const struct route *route = only_route(&l);
    assert_int_equal(l.snapshot->listener_count, 1);
    assert_int_equal(l.snapshot->listeners[0].addr.port, 8080);
    assert_false(l.snapshot->listeners[0].tls);
    assert_int_equal(route->kind, PATTERN_PREFIX);
    assert_true(str_eq(route->path, STR("/")));
    assert_int_equal(route->target.action, ACTION_FORWARD);
    assert_true(str_eq(route->target.upstream->origins[0].host, STR("localhost")));
    assert_int_equal(route->target.upstream->origins[0].port, 3000);
    assert_ptr_equal(route->conf, route->site->conf);
    assert_int_equal(route->conf->answer_ms, 60000);
    assert_int_equal(route->conf->body_bytes_max, 100 << 20);
    assert_non_null(route->conf->compress);
    assert_int_equal(l.snapshot->log_count, 1);
    assert_true(str_eq(l.snapshot->logs[0].path, STR("stderr")));
    assert_true(route->conf->log.target == l.snapshot->logs[0].id);
    assert_int_equal(route->where.line, 2);
    end(&l);
}

static void inner_words_replace_outer_ones_wherever_they_stand(void **state)
{
    (void)state;
    struct load l = right(
        "listen http://:8080\n"
        "site a.example {\n"
        "    timeout answer 7s\n"
        "    /x/* -> localhost:1 { timeout stream 9s; body off; websocket off; paths loose }\n"
        "    /* -> localhost:2\n"
        "}\n"
        "site b.example -> localhost:3\n"
        "timeout answer 5s send 4s\n"
        "header response set X-A 1\n");
    const struct site *a = l.snapshot->sites[0], *b = l.snapshot->sites[1];
    assert_int_equal(b->conf->answer_ms, 5000);
    assert_int_equal(a->conf->answer_ms, 7000);
    assert_int_equal(a->conf->send_ms, 4000);
    assert_int_equal(a->routes[0].conf->answer_ms, 7000);
    assert_int_equal(a->routes[0].conf->stream_ms, 9000);
    assert_true(a->routes[0].conf->body_bytes_max == UINT64_MAX);
    assert_false(a->routes[0].conf->websocket);
    assert_true(a->routes[0].conf->paths_loose && !a->conf->paths_loose);
    assert_ptr_equal(a->routes[1].conf, a->conf);
    assert_int_equal(a->routes[0].conf->header_count, 1);
    end(&l);
}

static void header_lines_run_outer_first_and_reset_forgets(void **state)
{
    (void)state;
    struct load l =
        right("listen http://:8080\n"
              "header response set X-A file\n"
              "allow from 10.0.0.0/8\n"
              "site a.example {\n"
              "    header response set X-A site\n"
              "    /1 -> localhost:1 { header response set X-A route }\n"
              "    /2 -> localhost:1 { reset header; reset allow; header request remove X-B }\n"
              "    /3 -> localhost:1\n"
              "}\n");
    const struct route *routes = l.snapshot->sites[0]->routes;
    assert_int_equal(routes[0].conf->header_count, 3);
    assert_true(str_eq(routes[0].conf->headers[0].value.pieces[0].text, STR("file")));
    assert_true(str_eq(routes[0].conf->headers[2].value.pieces[0].text, STR("route")));
    assert_non_null(routes[0].conf->access[0]);
    assert_null(routes[0].conf->access[1]);
    assert_int_equal(routes[1].conf->header_count, 1);
    assert_int_equal(routes[1].conf->headers[0].op, HEADER_REMOVE);
    assert_null(routes[1].conf->access[0]);
    assert_true(routes[2].conf->access[0]->has_allow);
    assert_int_equal(routes[2].conf->access[0]->rules[0].nets[0].bits, 8);
    end(&l);
}

static void targets_are_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(chdir(PC_SOURCE_DIR "/tests/unit/config_right"), 0);
    struct load l =
        right("listen http://:8080\n"
              "site a.example {\n"
              "    /f/* -> files . else localhost:1 { strip; index a.html b.html; cache 1h }\n"
              "    /r/* -> redirect 302 https://$host/new/*\n"
              "    /m/* -> redirects moved.txt else respond 410 gone\n"
              "    /t -> respond 200 '<p>$path'\n"
              "    ~ ^/u/(.*) -> http://[::1]:81 unix:/run/x.sock { rewrite /v/$1 }\n"
              "    /o/* -> 10.0.0.1:80 { host origin; source 10.0.0.7; keepalive off }\n"
              "}\n");
    const struct route *r = l.snapshot->sites[0]->routes;
    assert_int_equal(r[0].target.action, ACTION_FILES);
    assert_true(r[0].strip);
    assert_true(str_ends(r[0].target.files->root, STR("/tests/unit/config_right")));
    assert_int_equal(r[0].target.files->index_count, 2);
    assert_int_equal(r[0].target.files->cache_max_age_s, 3600);
    assert_int_equal(r[0].target.otherwise->action, ACTION_FORWARD);
    assert_int_equal(r[1].target.status, 302);
    assert_false(r[1].target.text_has_query);
    const struct redirect_line *line = map_get(&r[2].target.redirects, STR("/m/old"));
    assert_non_null(line);
    assert_int_equal(line->status, 301);
    assert_true(str_eq(line->to, STR("/new?x=1")));
    assert_int_equal(line->where.line, 2);
    assert_int_equal(r[2].target.otherwise->status, 410);
    assert_int_equal(r[3].target.text_place, TEMPLATE_IN_HTML);
    assert_int_equal(r[4].kind, PATTERN_REGEX);
    assert_int_equal(r[4].target.upstream->origin_count, 2);
    assert_int_equal(r[4].target.upstream->origins[0].addr.family, ADDR_IP6);
    assert_int_equal(r[4].target.upstream->origins[1].addr.family, ADDR_UNIX);
    assert_int_equal(r[4].rewrite.count, 2);
    assert_int_equal(r[5].conf->host_mode, HOST_ORIGIN);
    assert_int_equal(r[5].target.upstream->keepalive_max, 0);
    assert_int_equal(r[5].target.upstream->source_count, 1);
    assert_int_equal(l.snapshot->file_root_count, 1);
    end(&l);
}

static void checks_are_what_they_say_and_known_by_it(void **state)
{
    (void)state;
    struct load l =
        right("listen http://:8080\n"
              "check /healthz every 5s\n"
              "site a.example {\n"
              "    /a/* -> localhost:1\n"
              "    /b/* -> localhost:2\n"
              "    /c/* -> localhost:1 { check tcp every 50ms rise 1 fall 9 timeout 1s }\n"
              "    /d/* -> localhost:1 { reset check }\n"
              "    /e/* -> localhost:1 { host app.example; check /?a=%20 every 1m expect 204 }\n"
              "    /f/* -> localhost:1 { check /healthz every 5s expect 200-399 }\n"
              "}\n");
    const struct route *r = l.snapshot->sites[0]->routes;
    const struct check_conf *check = r[0].target.upstream->check;
    assert_false(check->tcp);
    assert_true(str_eq(check->target, STR("/healthz")));
    assert_int_equal(check->every_ms, 5000);
    assert_int_equal(check->timeout_ms, 2000);
    assert_int_equal(check->status_min, 200);
    assert_int_equal(check->status_max, 399);
    assert_int_equal(check->fall, 3);
    assert_int_equal(check->rise, 2);
    /* The same words are the same check, whoever says them. */
    assert_int_equal(check->identity, r[1].target.upstream->check->identity);
    assert_int_equal(check->identity, r[5].target.upstream->check->identity);
    check = r[2].target.upstream->check;
    assert_true(check->tcp);
    assert_int_equal(check->every_ms, CHECK_EVERY_MIN_MS);
    assert_int_equal(check->timeout_ms, 1000);
    assert_int_equal(check->fall, 9);
    assert_int_equal(check->rise, 1);
    assert_null(r[3].target.upstream->check);
    check = r[4].target.upstream->check;
    assert_true(str_eq(check->target, STR("/?a=%20")));
    assert_true(str_eq(check->host, STR("app.example")));
    assert_int_equal(check->status_min, 204);
    assert_int_equal(check->status_max, 204);
    end(&l);
}

static void a_site_with_tls_is_on_all_listeners_and_knows_its_port(void **state)
{
    (void)state;
    struct load l = right("listen http://127.0.0.1:8080 https://127.0.0.1:8443\n"
                          "tls internal\nhsts on\n"
                          "site localhost -> localhost:1\n"
                          "site plain.example { tls off; /* -> localhost:2 }\n"
                          "site * { on https://127.0.0.1:8443; http refuse; /* -> localhost:3 }\n");
    const struct site *const *s = (const struct site *const *)l.snapshot->sites;
    assert_true(s[0]->tls);
    assert_int_equal(s[0]->listeners, 3);
    assert_int_equal(s[0]->cert_count, 1);
    assert_int_equal(s[0]->redirect_port, 8443);
    assert_int_equal(s[0]->hsts_s, 365 * 86400);
    assert_int_equal(s[1]->listeners, 1);
    assert_false(s[1]->tls);
    assert_int_equal(s[2]->listeners, 2);
    assert_int_equal(s[2]->plain_http, PLAIN_REFUSE);
    assert_memory_equal(s[0]->tls_id, s[2]->tls_id, 32);
    assert_ptr_equal(listener_site(&l.snapshot->listeners[0], STR("plain.example")), s[1]);
    assert_ptr_equal(listener_site(&l.snapshot->listeners[1], STR("plain.example")), s[2]);
    assert_null(listener_site(&l.snapshot->listeners[0], STR("other")));
    end(&l);
}

static void the_examples_compile(void **state)
{
    (void)state;
    static const char *const files[] = {"quickstart.conf", "hospital.conf"};
    assert_int_equal(chdir(PC_SOURCE_DIR "/examples"), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct load l = load_file(files[i]);
        if (l.snapshot == NULL)
            print_error("%.*s", STR_ARG(l.told));
        assert_non_null(l.snapshot);
        end(&l);
    }
}

/* The template of the portal, with its marks filled in and a certificate that exists here only. */
static void the_portal_compiles(void **state)
{
    (void)state;
    struct load l;
    begin(&l);
    l.sources = source_set_disk();
    const struct source *in =
        source_get(l.sources, SOURCE_DATA, STR(PC_SOURCE_DIR "/examples/portal.conf.in"));
    struct text conf = text_in(l.arena, 65536);
    struct str rest = in->bytes, part;
    for (bool mark = false; str_split(&rest, '@', &part); mark = !mark)
        text_add(&conf, !mark                                 ? part
                        : str_eq(part, STR("SCN_STATE"))      ? STR("/nowhere")
                        : str_eq(part, STR("SCN_HOST"))       ? STR("radiology.hospital.test")
                        : str_eq(part, STR("NAMES"))          ? STR("names")
                        : str_eq(part, STR("PORT_OURS_TLS"))  ? STR("24743")
                        : str_eq(part, STR("PORT_OURS_HTTP")) ? STR("24780")
                                                              : STR("24000"));
    /* Two origins of one route must differ. */
    size_t second = str_find(text_str(&conf), STR("24000 127.0.0.1:24000"));
    assert_true(second != SIZE_MAX);
    conf.at[second + 4] = '1';
    struct made made =
        make_cert("P-256", "x", "DNS:radiology.hospital.test,DNS:localhost", NULL, -1, 90);
    assert_true(source_put(l.sources, SOURCE_CONF, STR("portal.conf"), text_str(&conf)));
    assert_true(source_put(l.sources, SOURCE_CERT, STR("/nowhere/tls/chain.pem"),
                           str_from_z(made.cert_pem)));
    assert_true(source_put(l.sources, SOURCE_KEY, STR("/nowhere/tls/server.key"),
                           str_from_z(made.key_pem)));
    finish(&l, STR("portal.conf"), NULL);
    made_end(&made);
    if (l.snapshot == NULL || l.told.len != 0)
        print_error("%.*s", STR_ARG(l.told));
    assert_non_null(l.snapshot);
    assert_int_equal(l.told.len, 0);
    const struct site *site = l.snapshot->sites[0];
    assert_int_equal(site->route_count, 8);
    assert_int_equal(site->redirect_port, 24743);
    assert_int_equal(site->routes[5].conf->answer_ms, 7000);
    assert_int_equal(site->routes[5].conf->forwarded, FORWARDED_MODE_UNQUOTED);
    assert_true(site->routes[3].strip);
    end(&l);
}

/* ---- certificates ---- */

static struct load load_with(const char *conf, const struct made *made)
{
    struct load l;
    begin(&l);
    l.sources = source_set_disk();
    assert_true(source_put(l.sources, SOURCE_CONF, STR("x.conf"), str_from_z(conf)));
    assert_true(source_put(l.sources, SOURCE_CERT, STR("/c.pem"), str_from_z(made->cert_pem)));
    assert_true(source_put(l.sources, SOURCE_KEY, STR("/c.key"), str_from_z(made->key_pem)));
    finish(&l, STR("x.conf"), NULL);
    assert_non_null(l.snapshot);
    return l;
}

static const char one_site[] = "listen https://:8443\n"
                               "tls /c.pem /c.key\n"
                               "site a.example *.a.example -> localhost:1\n"
                               "site b.example -> localhost:1\n";

static void certificates_that_want_a_word_get_one(void **state)
{
    (void)state;
    static const struct {
        const char *names;
        long from, to;
        const char *says;
    } cases[] = {
        {"DNS:a.example,DNS:*.a.example,DNS:b.example", -1, 90, ""},
        {"DNS:a.example,DNS:*.a.example,DNS:b.example", -1, 20, "expires in"},
        {"DNS:a.example,DNS:*.a.example,DNS:b.example", -9, -2, "expired"},
        {"DNS:a.example,DNS:*.a.example,DNS:b.example", 2, 90, "is not valid yet"},
        {"DNS:a.example,DNS:b.example", -1, 90, "is for '*.a.example'"},
        {"DNS:a.example,DNS:*.a.example", -1, 90, "is for 'b.example'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct made made =
            make_cert("P-256", "x", cases[i].names, NULL, cases[i].from, cases[i].to);
        struct load l = load_with(one_site, &made);
        struct str says = str_from_z(cases[i].says);
        if (says.len ? str_find(l.told, says) == SIZE_MAX : l.told.len != 0)
            fail_msg("%s: %.*s", cases[i].says, STR_ARG(l.told));
        assert_int_equal(l.diag.warnings + l.diag.notices, says.len != 0);
        assert_ptr_equal(l.snapshot->sites[0]->certs[0], l.snapshot->sites[1]->certs[0]);
        end(&l);
        made_end(&made);
    }
}

static void write_file(const char *folder, const char *name, const char *text, unsigned mode)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    assert_int_equal(chmod(path, mode), 0);
}

static void a_folder_gives_each_site_the_pairs_of_its_names(void **state)
{
    (void)state;
    char folder[] = "/tmp/portcullis-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct made a = make_cert("P-256", "a", "DNS:a.example", NULL, -1, 90);
    struct made a2 = make_cert("RSA", "a", "DNS:a.example", NULL, -1, 90);
    struct made b = make_cert("P-256", "b", "DNS:b.example", NULL, -1, 90);
    write_file(folder, "one.pem", a.cert_pem, 0644);
    write_file(folder, "privkey.pem", a.key_pem, 0600);
    write_file(folder, "two.crt", a2.cert_pem, 0644);
    write_file(folder, "two.key", a2.key_pem, 0644);
    write_file(folder, "b.pem", b.cert_pem, 0644);
    write_file(folder, "b.key", b.key_pem, 0600);
    write_file(folder, "README", "none of these", 0644);
    char conf[512];
    snprintf(conf, sizeof conf,
             "listen https://:8443\ntls %s\nsite a.example -> localhost:1\n"
             "site b.example -> localhost:1\n",
             folder);
    struct load l = right(conf);
    assert_int_equal(l.snapshot->sites[0]->cert_count, 2);
    assert_int_equal(l.snapshot->sites[1]->cert_count, 1);
    assert_int_equal(l.diag.warnings, 1);
    assert_true(str_find(l.told, STR("two.key' can be read by everybody")) != SIZE_MAX);
    assert_int_equal(l.diag.errors, 0);
    end(&l);
    snprintf(conf, sizeof conf, "rm -r %s", folder);
    assert_int_equal(system(conf), 0);
    made_end(&a);
    made_end(&a2);
    made_end(&b);
}

/* ---- reload ---- */

static void sites_that_did_not_change_are_shared(void **state)
{
    (void)state;
    assert_int_equal(chdir(PC_SOURCE_DIR "/tests/unit/config_right"), 0);
    const char *before = "listen http://:8080\n"
                         "site a.example { error 502 down.html; /* -> localhost:1 }\n"
                         "site b.example -> localhost:2\n";
    const char *after = "listen http://:8080\n"
                        "site a.example { error 502 down.html; /* -> localhost:1 }\n"
                        "site b.example -> localhost:3\n";
    struct load first = right(before);
    struct load second = load_text(after, first.snapshot);
    assert_non_null(second.snapshot);
    assert_int_equal(second.snapshot->generation, 2);
    assert_ptr_equal(first.snapshot->sites[0], second.snapshot->sites[0]);
    assert_ptr_not_equal(first.snapshot->sites[1], second.snapshot->sites[1]);
    struct load third;
    begin(&third);
    third.sources = source_set_disk();
    assert_true(source_put(third.sources, SOURCE_CONF, STR("x.conf"), str_from_z(after)));
    char cwd[4096], path[4200];
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(path, sizeof path, "%s/down.html", cwd);
    assert_true(source_put(third.sources, SOURCE_DATA, str_from_z(path), STR("another page")));
    finish(&third, STR("x.conf"), second.snapshot);
    assert_ptr_not_equal(second.snapshot->sites[0], third.snapshot->sites[0]);
    assert_ptr_equal(second.snapshot->sites[1], third.snapshot->sites[1]);
    end(&first);
    end(&second);
    end(&third);
}

static void the_worker_compiles_the_pack_to_the_same(void **state)
{
    (void)state;
    assert_int_equal(chdir(PC_SOURCE_DIR "/examples"), 0);
    struct load disk = load_file("quickstart.conf");
    assert_non_null(disk.snapshot);
    int fd = -1, keys = -1;
    assert_true(source_set_pack(disk.sources, &fd, &keys));
    assert_int_equal(chdir("/"), 0);
    struct load worker;
    begin(&worker);
    worker.sources = source_set_unpack(fd, keys);
    assert_non_null(worker.sources);
    finish(&worker, STR("quickstart.conf"), NULL);
    if (worker.snapshot == NULL)
        print_error("%.*s", STR_ARG(worker.told));
    assert_non_null(worker.snapshot);
    assert_int_equal(worker.snapshot->sites[0]->part.hash, disk.snapshot->sites[0]->part.hash);
    assert_int_equal(worker.snapshot->sites[0]->route_count, disk.snapshot->sites[0]->route_count);
    assert_memory_equal(worker.snapshot->sites[0]->tls_id, disk.snapshot->sites[0]->tls_id, 32);
    close(fd);
    close(keys);
    end(&worker);
    end(&disk);
}

/* ---- many ---- */

static void measure(const char *what, const char *conf)
{
    struct load first = load_text(conf, NULL);
    assert_non_null(first.snapshot);
    uint64_t start = clock_mono_us();
    struct load again = load_text(conf, NULL);
    uint64_t built = clock_mono_us();
    struct load shared = load_text(conf, first.snapshot);
    uint64_t reloaded = clock_mono_us();
    assert_ptr_equal(shared.snapshot->sites[0], first.snapshot->sites[0]);
    size_t bytes = arena_used(first.snapshot->arena);
    for (size_t i = 0; i < first.snapshot->site_count; i++)
        bytes += arena_used(first.snapshot->sites[i]->part.arena);
    print_message("%s: %u us, a reload without changes %u us, %u KiB\n", what,
                  (unsigned)(built - start), (unsigned)(reloaded - built),
                  (unsigned)(bytes / 1024));
    end(&first);
    end(&again);
    end(&shared);
}

static void ten_thousand_are_compiled_quickly(void **state)
{
    (void)state;
    enum { BYTES = 2 * 1024 * 1024 };
    char *conf = malloc(BYTES);
    assert_non_null(conf);
    struct text text = text_over(conf, BYTES - 1);
    text_add_z(&text, "listen http://:8080\nsite a.example {\n");
    for (unsigned i = 0; i < 10000; i++)
        text_printf(&text, "    /app%u/part%u/* -> 127.0.0.1:%u\n", i % 97, i, 1000 + i % 1000);
    text_add_z(&text, "}\n");
    conf[text.len] = '\0';
    measure("10,000 routes", conf);
    text = text_over(conf, BYTES - 1);
    text_add_z(&text, "listen http://:8080\n");
    for (unsigned i = 0; i < 10000; i++)
        text_printf(&text, "site host%u.example.com -> 127.0.0.1:%u\n", i, 1000 + i % 1000);
    conf[text.len] = '\0';
    measure("10,000 sites", conf);
    free(conf);
}

/* ---- upstreams ---- */

static void
a_named_upstream_has_what_its_block_says_and_lends_its_routes_host_and_timeouts(void **state)
{
    (void)state;
    struct load l = right("listen http://:8080\n"
                          "upstream app {\n"
                          "  server localhost:1 weight 5\n"
                          "  server localhost:2 backup\n"
                          "  server localhost:3 weight 1000 backup\n"
                          "  balance hash cookie sid\n"
                          "  connections 7 queue 9 timeout 3s\n"
                          "  timeout connect 1s answer 8s\n"
                          "  rest 9s after 4; host origin\n"
                          "}\n"
                          "retry 5; rest 8s; timeout answer 9s stream 7s\n"
                          "site a.example {\n"
                          "  retry 1\n"
                          "  /a/* -> app\n"
                          "  /b/* -> app { timeout answer 2s; host keep }\n"
                          "  /c/* -> localhost:1 localhost:2 { balance random; connections 4 }\n"
                          "}\n"
                          "site b.example -> app\n");
    const struct route *r = l.snapshot->sites[0]->routes;
    const struct upstream_conf *app = r[0].target.upstream, *c = r[2].target.upstream;
    assert_true(str_eq(app->name, STR("app")));
    assert_int_equal(app->origin_count, 3);
    assert_int_equal(app->origins[0].weight, 5);
    assert_false(app->origins[0].backup);
    assert_int_equal(app->origins[1].weight, 1);
    assert_true(app->origins[1].backup);
    assert_int_equal(app->origins[2].weight, 1000);
    assert_true(app->origins[2].backup);
    assert_int_equal(app->origins[2].where.line, 5);
    assert_int_equal(app->balance, BALANCE_HASH_COOKIE);
    assert_true(str_eq(app->balance_name, STR("sid")));
    assert_int_equal(app->connections_max, 7);
    assert_int_equal(app->queue_max, 9);
    assert_int_equal(app->queue_ms, 3000);
    assert_int_equal(app->connect_ms, 1000);
    assert_int_equal(app->rest_ms, 9000);
    assert_int_equal(app->rest_after, 4);
    assert_int_equal(app->retry_max, 5); /* of the top level, though it stands below; no site's */
    assert_ptr_equal(r[1].target.upstream, app);
    assert_int_equal(r[0].conf->answer_ms, 8000);
    assert_int_equal(r[0].conf->stream_ms, 7000);
    assert_int_equal(r[0].conf->host_mode, HOST_ORIGIN);
    assert_int_equal(r[1].conf->answer_ms, 2000);
    assert_int_equal(r[1].conf->host_mode, HOST_KEEP);
    assert_int_equal(c->balance, BALANCE_RANDOM);
    assert_int_equal(c->connections_max, 4);
    assert_int_equal(c->queue_max, 0);
    assert_int_equal(c->queue_ms, 10000);
    assert_int_equal(c->origins[1].weight, 1);
    /* Of another site another copy; what it remembers of its origins is one. */
    const struct upstream_conf *other = l.snapshot->sites[1]->routes[0].target.upstream;
    assert_ptr_not_equal(other, app);
    assert_int_equal(other->identity, app->identity);
    end(&l);
}

static void each_kind_of_balance_has_its_words(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum balance_kind kind;
    } rows[] = {{"round-robin", BALANCE_ROUND_ROBIN},
                {"least-requests", BALANCE_LEAST_REQUESTS},
                {"random", BALANCE_RANDOM},
                {"hash client", BALANCE_HASH_CLIENT},
                {"hash header X-Client", BALANCE_HASH_HEADER},
                {"hash header random", BALANCE_HASH_HEADER},
                {"hash cookie client", BALANCE_HASH_COOKIE}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char conf[256];
        snprintf(conf, sizeof conf,
                 "listen http://:8080\nsite a.example {\n/* -> a:1 b:1 { balance %s }\n}\n",
                 rows[i].words);
        struct load l = right(conf);
        assert_int_equal(only_route(&l)->target.upstream->balance, rows[i].kind);
        end(&l);
    }
}

/* ---- the table ---- */

static void every_example_of_the_table_is_a_configuration(void **state)
{
    (void)state;
    assert_int_equal(chdir(PC_SOURCE_DIR "/tests/unit/config_right"), 0);
    hooks.try_expects = false; /* of sites that have more than one route */
    for (size_t i = 0; i < directive_count; i++) {
        const struct directive *d = &directives[i];
        char conf[1024];
        bool file = d->places & PLACE_FILE, site = d->places & PLACE_SITE;
        bool listens = strcmp(d->name, "listen") == 0 || strcmp(d->name, "on") == 0 ||
                       strcmp(d->name, "tls") == 0;
        const char *listen = strcmp(d->name, "listen") == 0 ? ""
                             : listens                      ? "listen https://:8443"
                                                            : "listen http://:8080";
        const char *tls = listens && strcmp(d->name, "tls") != 0 ? "tls internal" : "";
        bool server = d->places == PLACE_UPSTREAM;
        snprintf(conf, sizeof conf,
                 "%s\n%s\n%s\nupstream u {\nserver localhost:1\n%s\n}\nsite z.example {\n%s\n/x/* "
                 "-> localhost:1 {\n%s\n}\n}\n",
                 listen, tls, file ? d->example : "", server ? d->example : "",
                 !file && site ? d->example : "", !file && !site && !server ? d->example : "");
        struct load l = load_text(conf, NULL);
        /* Files they name need not exist; nothing else may be wrong. */
        if (l.diag.errors != 0 && str_find(l.told, STR("No such file")) == SIZE_MAX &&
            str_find(l.told, STR("cannot look for")) == SIZE_MAX) {
            print_error("%s\n%.*s", conf, STR_ARG(l.told));
            fail();
        }
        end(&l);
    }
    hooks.try_expects = true;
}

/* ---- expect ---- */

/* Each line holds; what is told of those that do not stands in config_wrong/s_expect.conf. */
static void what_is_expected_comes_about(void **state)
{
    (void)state;
    assert_int_equal(chdir(PC_SOURCE_DIR "/tests/unit/config_right"), 0);
    static const char *const lines[] = {
        "GET /dicom/x -> 403",
        "GET /dicom/x from 10.1.2.3 -> /dicom/*",
        "GET /dicom/x from 10.1.2.3 -> forward",
        "GET /dicom/x from 2001:db8::1 -> 403",
        "GET /dicom -> 403", /* not told that there is something behind the slash */
        "GET /dicom from 10.0.0.1 -> 308",
        "GET /old/y?a=b -> 308",
        "GET /old/y -> /old/*",
        "GET /x5 -> ~ '^/x[0-9]$'",
        "GET /x5 -> 204",
        "GET /x55 -> /*",
        "GET /m/old -> 301",
        "GET /m/new -> 404",
        "GET /m/new -> /m/*",
        "GET /f/down.html -> 200",
        "GET /f/up.html -> 404",
        "POST /f/down.html -> 405",
        "GET /f/.hidden -> 404",
        "GET /f/down.html header If-None-Match * -> 304",
        "GET /f/down.html header Range bytes=0-0 -> 206",
        "GET /f/down.html header Range bytes=999999-9999999 -> 416",
        "GET /a/../b -> 400",
        "GET '/a\\\\b' -> 400",
        "GET /%00 -> 400",
        "TRACE / -> 405",
        "BREW / -> forward",
        "POST / header Content-Length 1025 -> 413",
        "POST / header Content-Length 1024 -> forward",
        "POST / header Content-Length 1024 -> /*",
        "POST / header Transfer-Encoding chunked -> forward",
        "POST / header Transfer-Encoding gzip -> 400",
        "POST / header Transfer-Encoding chunked header Content-Length 3 -> 400",
        "GET / header Expect meat -> 417",
        "GET / header Host other.example -> 421",
        "GET / header Host 'a b' -> 400",
        "GET / header Host sub.b.example -> 204", /* the same certificate: it may share */
        "GET http://a.example:8080/z -> 308",
        "GET https://a.example:8443/z -> forward",
        "GET https://sub.b.example:8443/z -> 204",
        "GET /search -> /search",
        "POST /search -> /*",
        "GET /search header X-Kind '' -> /search",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char conf[2048];
        snprintf(conf, sizeof conf,
                 "listen http://127.0.0.1:8080 https://127.0.0.1:8443\n"
                 "tls internal\n"
                 "site a.example {\n"
                 "    /dicom/* -> localhost:1 { allow from 10.0.0.0/8 }\n"
                 "    /old/* -> redirect /new/*\n"
                 "    /m/* -> redirects moved.txt\n"
                 "    /f/* -> files . { strip }\n"
                 "    /search -> localhost:1 { when method GET }\n"
                 "    ~ '^/x[0-9]$' -> respond 204\n"
                 "    /* -> localhost:2 { body 1k }\n"
                 "    expect %s\n"
                 "}\n"
                 "site *.b.example { hsts on; /* -> respond 204; expect GET / -> 204 }\n"
                 "site * { tls off; /* -> respond 200; expect GET / -> 200\n"
                 "    expect GET http://a.example:8080/ -> 308 }\n",
                 lines[i]);
        struct load l = right(conf);
        end(&l);
    }
}

/* The worker has the loader's word for it. */
static void expectations_are_tried_only_where_asked(void **state)
{
    (void)state;
    const char *conf = "listen http://127.0.0.1:8080\n"
                       "site a.example { /* -> respond 200; expect GET / -> 404 }\n";
    struct load l = load_text(conf, NULL);
    assert_int_equal(l.diag.errors, 1);
    end(&l);
    hooks.try_expects = false;
    l = right(conf);
    end(&l);
    hooks.try_expects = true;
}

static void an_error_page_has_its_limit(void **state)
{
    (void)state;
    char path[] = "/tmp/portcullis-page-XXXXXX", conf[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(conf, sizeof conf,
             "listen http://127.0.0.1:8080\nsite * {\n error 502 %s\n /* -> respond 200\n}\n",
             path);
    assert_int_equal(ftruncate(fd, 1024 * 1024), 0);
    struct load l = right(conf);
    end(&l);
    assert_int_equal(ftruncate(fd, 1024 * 1024 + 1), 0);
    l = load_text(conf, NULL);
    assert_int_equal(l.diag.errors, 1);
    assert_true(str_find(l.told, STR("an error page has at most 1m")) != SIZE_MAX);
    end(&l);
    close(fd);
    unlink(path);
}

static void a_star_in_the_middle_of_a_redirect_is_warned_of(void **state)
{
    (void)state;
    struct load l = right("listen http://127.0.0.1:8080\nsite * { /b/* -> redirect /c/*?x=1 }\n");
    assert_int_equal(l.diag.warnings, 1);
    assert_true(str_find(l.told, STR("this '*' is sent as it is")) != SIZE_MAX);
    end(&l);
    l = right("listen http://127.0.0.1:8080\nsite * { /b/* -> redirect /c/* }\n");
    assert_int_equal(l.diag.warnings, 0);
    end(&l);
}

static void metrics_are_for_this_host_or_for_those_named(void **state)
{
    (void)state;
    struct load l = right("listen http://:8080\nmetrics http://127.0.0.1:9100\nsite * -> a:1\n");
    assert_int_equal(l.snapshot->metrics.addr.family, ADDR_IP4);
    assert_int_equal(l.snapshot->metrics.addr.port, 9100);
    assert_null(l.snapshot->metrics.access);
    assert_int_equal(l.snapshot->listener_count, 1);
    end(&l);
    l = right("listen http://:8080\nmetrics http://[::1]:9100\nsite * -> a:1\n");
    end(&l);
    l = right("listen http://:8080\nmetrics http://:9100 {\n deny from 10.0.0.1\n"
              " allow from 10.0.0.0/8\n}\nsite * -> a:1\n");
    const struct access_rule *rule;
    struct addr client = {0};
    assert_true(addr_parse_ip(STR("10.0.0.1"), &client));
    assert_false(access_list_admits(l.snapshot->metrics.access, &client, &rule));
    assert_int_equal(rule->where.line, 3);
    assert_true(addr_parse_ip(STR("10.0.0.2"), &client));
    assert_true(access_list_admits(l.snapshot->metrics.access, &client, &rule));
    assert_true(addr_parse_ip(STR("127.0.0.1"), &client));
    assert_false(access_list_admits(l.snapshot->metrics.access, &client, &rule));
    end(&l);
    l = right("listen http://:8080\nsite * -> a:1\n");
    assert_int_equal(l.snapshot->metrics.addr.family, ADDR_NONE);
    end(&l);
}

static void one_load(void *conf)
{
    struct load l = {.arena = arena_new((size_t)256 << 20, 65536)};
    diag_init(&l.diag, l.arena);
    l.sources = source_set_disk();
    bool asked =
        l.sources != NULL && source_put(l.sources, SOURCE_CONF, STR("x.conf"), str_from_z(conf));
    if (asked)
        l.snapshot = compile_snapshot(l.sources, STR("x.conf"), NULL, &hooks, &l.diag);
    assert_true(l.snapshot != NULL || alloc_has_failed());

    assert_true(l.snapshot != NULL || !asked || l.diag.errors > 0);
    snapshot_end(l.snapshot);
    source_set_end(l.sources);
    arena_end(l.arena);
}

static void without_memory_a_load_fails_and_says_so(void **state)
{
    (void)state;
    assert_int_equal(chdir(PC_SOURCE_DIR "/tests/unit/config_right"), 0);
    static char conf[] =
        "listen http://:8080\nlisten https://:8443\nmetrics http://127.0.0.1:9100 { allow from "
        "10.0.0.0/8 }\n"
        "log /tmp/x.log combined\n"
        "upstream app { balance hash client; server a.test:1 weight 2; server b.test:1 backup; "
        "check /up every 5s }\n"
        "site a.example *.b.example {\n"
        "    tls internal\n"
        "    compress on\n"
        "    ~ ^/u/(.*) -> http://[::1]:81 unix:/run/x.sock { rewrite /v/$1 }\n"
        "    /f/* -> files . else localhost:1 { strip; index a.html; allow from 10.0.0.0/8; deny "
        "from any }\n"
        "    /m/* -> redirects moved.txt else respond 410 gone\n"
        "    /r/* -> redirect 302 https://$host/new/*\n"
        "    /o/* -> app { header request set X-A '$host' }\n"
        "    expect GET /r/x -> 302\n"
        "}\n";
    struct load l = right(conf);
    end(&l);
    assert_true(alloc_walk(one_load, conf) > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_for_this_host_or_for_those_named),
        cmocka_unit_test(every_wrong_file_is_told_as_expected),
        cmocka_unit_test(five_lines_are_a_whole_configuration),
        cmocka_unit_test(inner_words_replace_outer_ones_wherever_they_stand),
        cmocka_unit_test(header_lines_run_outer_first_and_reset_forgets),
        cmocka_unit_test(targets_are_what_they_say),
        cmocka_unit_test(checks_are_what_they_say_and_known_by_it),
        cmocka_unit_test(a_site_with_tls_is_on_all_listeners_and_knows_its_port),
        cmocka_unit_test(the_examples_compile),
        cmocka_unit_test(the_portal_compiles),
        cmocka_unit_test(certificates_that_want_a_word_get_one),
        cmocka_unit_test(a_folder_gives_each_site_the_pairs_of_its_names),
        cmocka_unit_test(sites_that_did_not_change_are_shared),
        cmocka_unit_test(the_worker_compiles_the_pack_to_the_same),
        cmocka_unit_test(ten_thousand_are_compiled_quickly),
        cmocka_unit_test(
            a_named_upstream_has_what_its_block_says_and_lends_its_routes_host_and_timeouts),
        cmocka_unit_test(each_kind_of_balance_has_its_words),
        cmocka_unit_test(every_example_of_the_table_is_a_configuration),
        cmocka_unit_test(what_is_expected_comes_about),
        cmocka_unit_test(expectations_are_tried_only_where_asked),
        cmocka_unit_test(an_error_page_has_its_limit),
        cmocka_unit_test(a_star_in_the_middle_of_a_redirect_is_warned_of),
        cmocka_unit_test(without_memory_a_load_fails_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
