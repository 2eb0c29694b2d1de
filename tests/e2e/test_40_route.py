"""Routing: hosts, paths, conditions, access, and what reaches the origin."""
import json
import threading

import pytest

from conftest import wait_for


# --- hosts ----------------------------------------------------------------------------------


def test_hosts(portcullis):
    p = portcullis("""
site a.test -> respond 200 a
site b.test c.test. -> respond 200 bc
site *.a.test -> respond 200 *.a
site *.deep.a.test -> respond 200 *.deep.a
site x.a.test -> respond 200 x.a
site 127.0.0.1 -> respond 200 address
site [::1] -> respond 200 six
site xn--bcher-kva.test -> respond 200 idn
""")
    for host, text in {
            "a.test": "a", "A.Test": "a", "a.test.": "a", "a.test:1234": "a", "b.test": "bc",
            "c.test": "bc", "y.a.test": "*.a", "y.z.a.test": "*.a", "x.a.test": "x.a",
            "deep.a.test": "*.a", "q.deep.a.test": "*.deep.a", "127.0.0.1": "address",
            "127.0.0.1:99": "address", "[::1]": "six", "[::1]:99": "six",
            "[0:0:0:0:0:0:0:1]": "six", "xn--bcher-kva.test": "idn"}.items():
        assert p.get(host=host).text == text, host
    for host in ("test", "xa.test", "aa.test", "unknown", "127.0.0.2", "[::2]", "a.test.evil"):
        answer = p.get(host=host)
        assert answer.status == 404, host


def test_the_catch_all_and_no_host(portcullis):
    p = portcullis("site a.test -> respond 200 a\nsite * -> respond 200 all\n")
    assert p.get(host="unknown").text == "all"
    assert p.get(host="a.test").text == "a"
    assert p.raw(b"GET / HTTP/1.0\r\n\r\n").endswith(b"all")


def test_without_a_catch_all_no_host_is_the_first_site(portcullis):
    p = portcullis("site a.test -> respond 200 a\nsite b.test -> respond 200 b\n")
    assert p.raw(b"GET / HTTP/1.0\r\n\r\n").endswith(b"a")


# --- paths ----------------------------------------------------------------------------------


def test_exact_regex_and_longest_prefix(portcullis):
    p = portcullis(r"""
site * {
    /*            -> respond 200 root
    /a/*          -> respond 200 a
    /a/b/*        -> respond 200 ab
    /a/b/c        -> respond 200 abc
    ~ '^/a/.*\.php$' -> respond 200 php
    ~ '\.php$'    -> respond 200 "php, second"
    "/with space/*" -> respond 200 space
    /ümlaut/*     -> respond 200 umlaut
    /one /two/*   -> respond 200 several
}
""")
    assert p.returncode is None, p.stderr()
    wanted = {
        "/": "root", "/x": "root", "/a/": "a", "/a/x": "a", "/ab": "root", "/a/b/": "ab",
        "/a/b/cc": "ab", "/a/b/c": "abc", "/a/b/c/": "ab", "/a/b/x.php": "php", "/x.php": "php, second",
        "/with%20space/x": "space", "/%c3%bcmlaut/x": "umlaut", "/one": "several", "/two/x": "several",
        "/one/": "root", "//a//b//x": "ab", "/%61/%62/x": "ab", "/A/": "root",
        # An encoded slash is no border between segments.
        "/a%2fb/x": "root", "/a/%2f": "a", "/a?/a/b/": "308",
    }
    got = {path: p.get(path) for path in wanted}
    assert {k: v.text if v.status == 200 else str(v.status) for k, v in got.items()} == wanted


def test_the_bare_prefix_goes_to_the_slash(portcullis):
    p = portcullis("""
site * {
    /x/* -> respond 200 x
    /y   -> respond 200 exact
    /y/* -> respond 200 y
    /z/* -> respond 200 z { deny from any }
    /w/* -> respond 200 w { when method POST }
}
""")
    answer = p.get("/x?a=1&b=%2F")
    assert (answer.status, answer.header("location")) == (308, "/x/?a=1&b=%2F")
    assert p.get("//x").header("location") == "/x/"
    assert p.get("/y").text == "exact"
    assert p.get("/z").status == 403
    assert p.get("/w").status == 404
    assert p.request("POST", "/w", body="x").status == 308


@pytest.mark.parametrize("target", [
    "/%00", "/a%00b", "/a\\b", "/a%5cb", "/a%5Cb", "/%", "/%2", "/%zz", "/a/../b", "/a/./b", "/..", "/.",
    "/%2e%2e/", "/.%2e/", "/a/%2E/", "/..;/", "/..;x=1/y", "/%2e%2e%3b/", "/..%2f", "/a%2f..%2fb",
    "/%0d%0a", "/a%09", "/%7F",
    "/#", "/a#b", "/?a#b", "/\x01", "/\x7f", "/\xe4"])
def test_paths_that_could_be_read_in_two_ways_are_400(portcullis, origin, target):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}\n")
    answer = p.get(target)
    assert answer.status == 400 and answer.header("connection") == "close"
    assert not o.requests
    assert p.wait_log()["refused_layer"] == "parser"


@pytest.mark.parametrize("target", [
    "/a%2Fb%2f", "//x///y/", "/a%20b/%c3%a4", "/%41%7e~", "/a|b{}^`\"<>", "/a;b=1", "/...", "/..a", "/.a",
    "/?", "/??", "/?%00%zz/../|", "/x?q=a b".replace(" ", "+"), "/%25", "/%252e%252e/"])
def test_the_raw_target_is_forwarded_byte_for_byte(portcullis, origin, target):
    o = origin()
    p = portcullis(f"site * {{\n /* -> 127.0.0.1:{o.port}\n}}\n")
    assert p.get(target).status == 200
    assert o.requests[0].target.decode() == target


def test_when(portcullis):
    p = portcullis(r"""
site * {
    /* -> respond 200 post     { when method POST PUT }
    /* -> respond 200 debug    { when header X-Debug 1 true }
    /* -> respond 200 any      { when header X-Any }
    /* -> respond 200 query    { when query v 2 }
    /* -> respond 200 cookie   { when cookie beta yes }
    /* -> respond 200 from     { when from 127.0.0.2 127.0.0.3 }
    /* -> respond 200 path     { when path ~ '^/p\d+$' }
    /* -> respond 200 both     { when header X-A; when header X-B }
    /* -> respond 200 not      { when not header User-Agent }
    /* -> respond 200 else
}
""")
    assert p.returncode is None, p.stderr()
    ua = [("User-Agent", "t")]

    def get(path="/", *headers, method="GET"):
        return p.request(method, path, headers=ua + list(headers)).text

    assert get(method="POST") == "post"
    assert get("/", ("X-Debug", "1")) == "debug"
    assert get("/", ("X-Debug", "2")) == "else"
    assert get("/", ("X-Any", "")) == "any"
    assert get("/?v=2") == "query"
    assert get("/?a=1&v=2&c") == "query"
    assert get("/?v=3") == "else"
    assert get("/", ("Cookie", "a=b; beta=yes")) == "cookie"
    assert get("/", ("Cookie", "xbeta=yes")) == "else"
    assert get("/p12") == "path"
    assert get("/p1x") == "else"
    assert get("/", ("X-A", "1")) == "else"
    assert get("/", ("X-A", "1"), ("X-B", "1")) == "both"
    assert p.get("/").text == "not"
    with p.connect(source="127.0.0.3") as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\n\r\n")
        assert client.response().text == "from"


# --- what is done with the path -------------------------------------------------------------


def test_strip_and_what_comes_back(portcullis, origin):
    def script(conn):
        while (request := conn.read_request()) is not None:
            conn.answer(302 if b"go" in request.target else 200, request.target, headers=[
                ("Location", {"/go": "/login?x", "/go2": f"http://127.0.0.1:{o.port}/abs",
                              "/go3": "https://elsewhere.test/x"}.get(request.target.decode(), "/")),
                ("Content-Location", "/c"), ("Refresh", "5; url=/r"),
                ("Set-Cookie", "a=1; Path=/; HttpOnly"), ("Set-Cookie", "b=2; Path=/sub")])

    o = origin(script)
    p = portcullis(f"site * {{\n /api/v1/* -> 127.0.0.1:{o.port} {{ strip }}\n}}\n")
    for path, seen in {"/api/v1/": "/", "/api/v1/x?q=1": "/x?q=1", "/api//v1//x//y": "/x//y",
                       "/%61pi/v1/a%2Fb": "/a%2Fb", "/api/v1/api/v1/x": "/api/v1/x"}.items():
        assert p.get(path).text == seen, path
    answer = p.get("/api/v1/go")
    assert answer.header("location") == "/api/v1/login?x"
    assert answer.header("content-location") == "/api/v1/c"
    assert "/api/v1/r" in answer.header("refresh")
    cookies = [v for n, v in answer.headers if n.lower() == "set-cookie"]
    assert cookies == ["a=1; Path=/api/v1/; HttpOnly", "b=2; Path=/api/v1/sub"] or \
        cookies == ["a=1; Path=/api/v1; HttpOnly", "b=2; Path=/api/v1/sub"]
    location = p.get("/api/v1/go2").header("location")
    assert location.endswith("/api/v1/abs") and str(o.port) not in location
    assert p.get("/api/v1/go3").header("location") == "https://elsewhere.test/x"
    assert {r.header("x-forwarded-prefix") for r in o.requests} == {"/api/v1"}
    assert p.get("/api/v1").header("location") == "/api/v1/"


def test_rewrite(portcullis, origin):
    o = origin()
    p = portcullis(rf"""
site * {{
    /old/*  -> 127.0.0.1:{o.port} {{ rewrite /new/* }}
    /fix    -> 127.0.0.1:{o.port} {{ rewrite /fixed }}
    /re/*   -> 127.0.0.1:{o.port} {{ rewrite ~ '^/re/(\d+)/(.*)$' /$2/$1 }}
}}
""")
    assert p.returncode is None, p.stderr()
    for path, seen in {"/old/x?q=1": "/new/x?q=1", "/old/": "/new/", "/fix?q": "/fixed?q",
                       "/re/12/a": "/a/12", "/old/a%20b": "/new/a%20b", "/old/%3f%23": "/new/%3F%23"}.items():
        answer = p.get(path)
        assert answer.status == 200, (path, answer.text)
        assert answer.json["target"].replace("%3f", "%3F") == seen


def test_redirect(portcullis):
    p = portcullis(r"""
site * {
    /a/*   -> redirect /b/*
    /c     -> redirect 302 https://other.test/c?fixed=1
    /d/*   -> redirect 301 https://other.test/*
    ~ '^/user/(\w+)/(\d+)$' -> redirect 307 /u/$1?id=$2
    /h/*   -> redirect https://$host/*
}
""")
    assert p.returncode is None, p.stderr()

    def to(path):
        answer = p.get(path)
        return answer.status, answer.header("location")

    assert to("/a/x/y?q=1") == (308, "/b/x/y?q=1")
    assert to("/a/a%20b%22c") == (308, "/b/a%20b%22c")
    assert to("/a/a%0d%0aSet-Cookie:x") == (400, None)
    assert to("/c?mine=2") == (302, "https://other.test/c?fixed=1")
    assert to("/d/e?x") == (301, "https://other.test/e?x")
    assert to("/user/joe/42?more") == (307, "/u/joe?id=42")
    assert to("/h/x") == (308, "https://localhost/x")


def test_a_redirect_never_leads_to_another_host(portcullis):
    p = portcullis("site * {\n /* -> redirect /*\n}\n")
    for path in ("//evil.test/", "/%2fevil.test", "///evil.test", "/%09/evil.test"):
        location = p.get(path).header("location")
        assert location is None or not location.startswith(("//", "/\\")), (path, location)


def test_redirects_file(portcullis, origin):
    o = origin()
    p = portcullis(f"site * {{\n /* -> redirects moved.txt else 127.0.0.1:{o.port}\n"
                   " /alone/* -> redirects moved.txt\n}\n", start=False)
    p.file("moved.txt", "# comment\n/old /new\n/gone https://other.test/x 301\n\n")
    p.start()
    assert p.returncode is None, p.stderr()
    answer = p.get("/old?q=1")
    assert (answer.status, answer.header("location")) == (308, "/new?q=1")
    assert p.get("/gone").status == 301
    assert p.get("/other").json["target"] == "/other"
    assert p.get("/alone/x").status == 404
    p.file("moved.txt", "/other /changed\n")
    wait_for(lambda: p.get("/other").status == 308, "the changed file")


def test_respond(portcullis):
    p = portcullis("""
site * {
    /a/* -> respond 200 "you: $client $host $method $path $query $scheme $$"
    /b   -> respond 204
    /c   -> respond 503 "closed"
}
""")
    assert p.returncode is None, p.stderr()
    assert p.get("/a/x%20y?q=1").text == "you: 127.0.0.1 localhost GET /a/x y q=1 http $"
    assert p.get("/b").status == 204
    answer = p.get("/c")
    assert (answer.status, answer.text) == (503, "closed")


# --- header fields --------------------------------------------------------------------------


def test_header_lines_in_both_directions(portcullis, origin):
    def script(conn):
        while (request := conn.read_request()) is not None:
            conn.answer(body=json.dumps(request.headers), headers=[
                ("X-Drop", "1"), ("X-Set", "theirs"), ("Server", "secret/1.0"), ("X-Powered-By", "php")])

    o = origin(script)
    p = portcullis(f"""
header response set X-Level file
header response add X-All file
site * {{
    header response set X-Level site
    header response add X-All site
    /* -> 127.0.0.1:{o.port} {{
        header request set X-Client $client
        header request add X-Many two
        header request remove X-Secret
        header request set X-Path "path is $path"
        header response remove X-Drop
        header response set X-Set ours
        header response set X-Level route
    }}
    /keep/* -> 127.0.0.1:{o.port} {{ header response keep Server }}
}}
""")
    answer = p.get("/a%20b", headers=[("X-Many", "one"), ("X-Secret", "s"), ("X-Client", "forged")])
    seen = o.requests[0]
    assert seen.header("x-client") == "127.0.0.1"
    assert [v for n, v in seen.headers if n.lower() == "x-path"] == ["path is /a b"]
    assert seen.header("x-secret") is None
    assert "two" in seen.header("x-many")
    assert answer.header("x-drop") is None and answer.header("x-set") == "ours"
    assert answer.header("x-level") == "route" and answer.header("x-all") == "file, site"
    assert answer.header("server") is None and answer.header("x-powered-by") is None
    answer = p.get("/keep/")
    assert answer.header("server") == "secret/1.0" and answer.header("x-powered-by") is None
    assert answer.header("x-level") == "site"


SPOOFED = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "spoof"), ("X-Forwarded-Host", "spoof"),
           ("X-Forwarded-Prefix", "/spoof"), ("X-Forwarded-Port", "666"), ("Forwarded", "for=6.6.6.6"),
           ("X-Real-IP", "6.6.6.6"), ("X-Client-IP", "6.6.6.6"), ("True-Client-IP", "6.6.6.6"),
           ("CF-Connecting-IP", "6.6.6.6"), ("X-Original-URL", "/spoof"), ("X-Rewrite-URL", "/spoof"),
           ("X-HTTP-Method-Override", "SPOOF"), ("Proxy", "spoof"), ("X_Forwarded_For", "6.6.6.6"),
           ("x-forwarded-spoof", "spoof"), ("X-Request-Id", "spoof")]


def test_nobody_poses_as_a_proxy(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}\n")
    answer = p.get("/", host="pub.test:8080", headers=SPOOFED)
    head = o.requests[0].head.lower()
    assert b"spoof" not in head and b"6.6.6.6" not in head and b"666" not in head
    seen = o.requests[0]
    assert seen.header("x-forwarded-for") == "127.0.0.1"
    assert seen.header("x-forwarded-proto") == "http"
    assert seen.header("x-forwarded-host") == "pub.test:8080"
    assert 'for=127.0.0.1' in seen.header("forwarded") and "proto=http" in seen.header("forwarded")
    assert seen.header("x-request-id") == answer.header("x-request-id") == p.wait_log()["ref"]
    assert seen.header("host") == "pub.test:8080"


@pytest.mark.parametrize("headers,client", [
    ([], "127.0.0.1"),
    ([("X-Forwarded-For", "1.1.1.1, 9.9.9.9")], "9.9.9.9"),
    ([("X-Forwarded-For", "1.1.1.1, 9.9.9.9, 10.0.0.7")], "9.9.9.9"),
    ([("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "9.9.9.9")], "9.9.9.9"),
    ([("Forwarded", 'for=1.1.1.1, for="[2001:db8::1]:443"')], "2001:db8::1"),
    ([("X-Forwarded-For", "9.9.9.9"), ("Forwarded", "for=8.8.8.8")], "9.9.9.9"),
])
def test_trusted_proxies_say_who_the_client_is(portcullis, origin, headers, client):
    o = origin()
    p = portcullis(f"trusted_proxies 127.0.0.1 10.0.0.0/8\nsite * {{\n /* -> 127.0.0.1:{o.port} "
                   "{ header request set X-Who $client }\n}\n")
    p.get("/", headers=headers)
    seen = o.requests[0]
    assert seen.header("x-who") == client
    assert seen.header("x-forwarded-for").split(", ")[-1] == "127.0.0.1" or client == "127.0.0.1"
    assert p.wait_log()["client"] == client
    # From elsewhere the same fields are worth nothing.
    with p.connect(source="127.0.0.2") as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n").response()
    assert o.requests[1].header("x-who") == "127.0.0.2"


@pytest.mark.parametrize("word,host", [("keep", "pub.test"), ("origin", "127.0.0.1:{port}"),
                                       ("other.test", "other.test")])
def test_host_towards_the_origin(portcullis, origin, word, host):
    o = origin()
    p = portcullis(f"host {word}\nsite * -> 127.0.0.1:{o.port}\n")
    p.get("/", host="pub.test")
    assert o.requests[0].header("host") == host.format(port=o.port)


@pytest.mark.parametrize("word,value", [("unquoted", "for=127.0.0.1;host=pub.test:8080;proto=http"),
                                        ("off", None)])
def test_form_of_forwarded(portcullis, origin, word, value):
    o = origin()
    p = portcullis(f"forwarded {word}\nsite * -> 127.0.0.1:{o.port}\n")
    p.get("/", host="pub.test:8080")
    got = o.requests[0].header("forwarded")
    assert (got is None) if value is None else sorted(got.split(";")) == sorted(value.split(";"))


# --- access ---------------------------------------------------------------------------------


def ask(p, path, source):
    with p.connect(source=source) as client:
        client.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        return client.response().status


def test_access_is_judged_at_every_level(portcullis):
    p = portcullis("""
deny from 127.0.0.66
site * {
    allow from 127.0.0.0/28
    deny from any
    /open/*   -> respond 200 ok { reset allow }
    /narrow/* -> respond 200 ok { allow from 127.0.0.1 }
    /order/*  -> respond 200 ok { deny from 127.0.0.1; allow from any }
    /*        -> respond 200 ok
}
""")
    assert p.returncode is None, p.stderr()
    for path, source, status in [
            ("/", "127.0.0.1", 200), ("/", "127.0.0.15", 200), ("/", "127.0.0.16", 403),
            ("/", "127.0.0.66", 403), ("/open/", "127.0.0.16", 200), ("/open/", "127.0.0.66", 200),
            ("/narrow/", "127.0.0.1", 200), ("/narrow/", "127.0.0.2", 403),
            ("/narrow/", "127.0.0.16", 403), ("/order/", "127.0.0.1", 403), ("/order/", "127.0.0.2", 200),
            ("/order/", "127.0.0.16", 403)]:
        assert ask(p, path, source) == status, (path, source)
    record = p.wait_log(lambda r: r["path"] == "/narrow/" and r["client"] == "127.0.0.2")
    assert record["refused_by"] == "route access" and record["at"].endswith(str(
        1 + p.conf.read_text().splitlines().index(
            "    /narrow/* -> respond 200 ok { allow from 127.0.0.1 }")))


def test_access_decides_before_anything_else_is_told(portcullis, origin):
    o = origin()
    p = portcullis(f"""
site * {{
    deny from any
    /redirect -> redirect /elsewhere
    /big/*    -> 127.0.0.1:{o.port} {{ body 1k }}
}}
""")
    assert p.get("/redirect").status == 403
    assert p.get("/no-such-path").status == 403
    assert p.request("POST", "/big/x", body="x" * 5000).status == 403
    assert not o.requests


def test_concurrent_requests_go_their_own_ways(portcullis, origin):
    origins = [origin(lambda conn, n=n: [conn.answer(body=str(n)) for _ in iter(conn.read_request, None)])
               for n in range(3)]
    p = portcullis("site * {\n" + "".join(
        f" /{n}/* -> 127.0.0.1:{o.port}\n" for n, o in enumerate(origins)) + "}\n")
    wrong = []

    def run(n):
        with p.connect() as client:
            for i in range(50):
                want = (n + i) % 3
                client.send(b"GET /%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % want)
                if client.response().text != str(want):
                    wrong.append((n, i))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_path_that_exhausts_an_expression_slips_past_no_rule(portcullis):
    p = portcullis(r"""site * {
        ~ (a+)+b/admin -> respond 200 admin { deny from any }
        /w/* -> respond 200 guarded { when not path ~ (x+)+y/z; }
        /plain -> respond 200 plain
        /* -> respond 200 other
    }""")
    assert p.get("/aab/admin").status == 403
    assert p.get("/other").text == "other"
    slow = "a" * 40
    assert p.get(f"/{slow}c/aab/admin").status == 503
    assert p.wait_log(lambda r: r["status"] == 503)["refused_by"] == "regex limit"
    assert p.get("/w/1").text == "guarded"
    assert p.get("/w/" + "x" * 40 + "w/xy/z").status == 503
    assert p.get("/plain").text == "plain"
