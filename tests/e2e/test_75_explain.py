"""`expect` and `explain`: what would happen to a request, told by the code that serves."""
import json
import subprocess
import sys
import threading

import pytest

from conftest import BINARY, PATIENCE, ROOT, cli, free_port, wait_for

# ---- expect ----

GUARDED = """
site localhost {
    /admin/* -> respond 200 admin { %s }
    /* -> respond 200 open
    expect GET /admin/x from 8.8.8.8 -> 403
    expect GET / -> 200
}
"""


def test_a_reload_that_breaks_an_expectation_is_refused_with_both_decisions(portcullis):
    p = portcullis(GUARDED % "allow from 127.0.0.0/8")
    assert p.get("/admin/x").text == "admin"
    done = p.reload(GUARDED % "body 1k")
    assert done.returncode == 1
    line = next(i for i, text in enumerate(p.conf.read_text().split("\n"), 1) if "8.8.8.8" in text)
    route = next(i for i, text in enumerate(p.conf.read_text().split("\n"), 1) if "admin { " in text)
    assert f"{p.conf}:{line}:" in done.stderr
    assert "GET /admin/x from 8.8.8.8 is expected to come to '403', but the answer is 200" in done.stderr
    assert f"by the route '/admin/*' ({p.conf}:{route})" in done.stderr
    assert "generation 1 serves on" in done.stderr
    assert "GET /admin/x" in p.stderr()
    assert p.status()["generation"] == 1
    assert p.reload(GUARDED % "allow from 10.0.0.0/8").returncode == 0
    assert p.get("/admin/x").status == 403


def test_a_start_that_breaks_an_expectation_is_refused(portcullis):
    p = portcullis("site localhost { /* -> respond 200; expect GET /x -> 404 }\n")
    assert p.process.wait(10) != 0
    assert "is expected to come to '404', but the answer is 200" in p.stderr()


def test_check_tries_what_is_expected(folder):
    conf = folder / "x.conf"
    conf.write_text("listen http://127.0.0.1:8080\nstate state\n"
                    "site a.example { /* -> localhost:1; expect GET /x -> 200 }\n")
    done = cli("check", "-c", conf, cwd=folder)
    assert done.returncode == 2
    assert "x.conf:3:54: GET /x is expected to come to '200', but it is forwarded" in done.stderr
    assert "-> forward, or -> /*" in done.stderr
    twin = folder / "x.json"
    twin.write_text(cli("config", "--json", "-c", conf, cwd=folder).stdout)
    done = cli("check", "-c", twin, cwd=folder)
    assert done.returncode == 2
    assert "GET /x is expected to come to '200', but it is forwarded" in done.stderr
    conf.write_text(conf.read_text().replace("-> 200", "-> forward"))
    done = cli("check", "-c", conf, cwd=folder)
    assert done.returncode == 0, done.stderr


# ---- explain: what it says is what a real request then gets ----

SITE = """
trusted_proxies 127.0.0.9
head_limit line 2k fields 20 size 4k
deny from 127.0.0.66
header request set X-Everywhere "for $host by $client"
site localhost 127.0.0.1 {
    tls @CERTS@/localhost.pem @CERTS@/localhost.key
    http serve
    hsts on
    /admin/* -> 127.0.0.1:@ORIGIN@ { allow from 127.0.0.5 }
    /dicom/* -> 127.0.0.1:@ORIGIN@ {
        strip
        header request set X-Kind "image $path"
        header request add X-Kind second
        header request remove User-Agent
    }
    /dicom/studies/* -> 127.0.0.1:@ORIGIN@ { when method GET; when not header X-Old; body 3b }
    /new/* -> 127.0.0.1:@ORIGIN@ { rewrite /very/*; host app.internal; forwarded off }
    ~ '^/re/([0-9]+)$' -> 127.0.0.1:@ORIGIN@ { rewrite /item/$1; host origin; forwarded unquoted }
    /old/* -> redirect /new/*
    /far -> redirect 302 https://example.com/$host?x=1
    /moved/* -> redirects moved.txt
    /hello -> respond 201 "hello $client $path"
    /teapot -> respond 418
    /files/* -> files public { strip; cache 1h }
    /app/* -> files public else 127.0.0.1:@ORIGIN@ { strip; compress off }
    /upload -> 127.0.0.1:@ORIGIN@ { body 10b }
    /quiet -> 127.0.0.1:@ORIGIN@ { header response set X-Frame-Options DENY; header response remove Server
        header response keep Server }
    /only/exact -> 127.0.0.1:@ORIGIN@
}
site refusing.test {
    tls @CERTS@/localhost.pem @CERTS@/localhost.key
    http refuse
    /* -> respond 200 secret
}
site moving.test {
    tls @CERTS@/localhost.pem @CERTS@/localhost.key
    /* -> respond 200 secret
}
site *.wild.test {
    tls off
    /* -> 127.0.0.1:@ORIGIN@
}
"""

BIG = "x" * 3000
# (method, path, and what differs: scheme, host, source, headers, body)
TABLE = [
    ("GET", "/admin/x", {}),
    ("GET", "/admin/x", {"source": "127.0.0.5"}),
    ("GET", "/admin/x", {"source": "127.0.0.9", "headers": ["X-Forwarded-For: 127.0.0.5"]}),
    ("GET", "/admin/x", {"source": "127.0.0.5", "headers": ["X-Forwarded-For: 8.8.8.8"]}),
    ("GET", "/admin/x", {"source": "127.0.0.9", "headers": ["X-Forwarded-For: 8.8.8.8, 127.0.0.5"]}),
    ("GET", "/admin", {}),
    ("GET", "/admin", {"source": "127.0.0.5"}),
    ("GET", "/admin?a=b", {"source": "127.0.0.5"}),
    ("GET", "/hello", {"source": "127.0.0.66"}),
    ("GET", "/dicom/x", {}),
    ("GET", "/dicom//x%2fy?q=1&r", {}),
    ("GET", "/dicom", {}),
    ("GET", "/DICOM/x", {}),
    ("POST", "/dicom/x", {"body": "four"}),
    ("DELETE", "/dicom/x", {"headers": ["User-Agent: me", "X-Kind: mine", "X_Kind: mine"]}),
    ("GET", "/dicom/studies/1", {}),
    ("POST", "/dicom/studies/1", {"body": "1234"}),
    ("GET", "/dicom/studies/1", {"headers": ["X-Old: yes"]}),
    ("GET", "/dicom/studies/1", {"body": "123"}),
    ("GET", "/dicom/studies/1", {"body": "1234"}),
    ("GET", "/new/a/b?c=d", {}),
    ("GET", "/new/", {}),
    ("GET", "/new", {}),
    ("GET", "/re/42", {}),
    ("GET", "/re/x", {}),
    ("GET", "/old/x?y=z", {}),
    ("HEAD", "/old/x", {}),
    ("GET", "/far?y=z", {}),
    ("GET", "/moved/one", {}),
    ("GET", "/moved/two?q", {}),
    ("GET", "/moved/three", {}),
    ("GET", "/hello", {}),
    ("HEAD", "/hello", {}),
    ("GET", "/hello/", {}),
    ("GET", "/teapot", {"headers": ["Accept: application/json"]}),
    ("GET", "/nothing", {"headers": ["Accept: application/json"]}),
    ("GET", "/nothing", {}),
    ("GET", "/files/a.txt", {}),
    ("GET", "/files/a.txt", {"headers": ["Accept-Encoding: gzip"]}),
    ("GET", "/files/b.html", {"headers": ["Accept-Encoding: gzip"]}),
    ("HEAD", "/files/a.txt", {}),
    ("GET", "/files/a.txt", {"headers": ["Range: bytes=1-2"]}),
    ("GET", "/files/a.txt", {"headers": ["Range: bytes=99-"]}),
    ("GET", "/files/a.txt", {"headers": ["If-None-Match: *"]}),
    ("GET", "/files/a.txt", {"headers": ["If-Match: \"x\""]}),
    ("GET", "/files/sub", {}),
    ("GET", "/files/sub/", {}),
    ("GET", "/files/none", {}),
    ("GET", "/files/.hidden", {}),
    ("PUT", "/files/a.txt", {"body": "x"}),
    ("GET", "/app/a.txt", {}),
    ("GET", "/app/none", {}),
    ("POST", "/app/a.txt", {"body": "x"}),
    ("POST", "/upload", {"body": "0123456789"}),
    ("POST", "/upload", {"body": "0123456789a"}),
    ("GET", "/quiet", {}),
    ("GET", "/only/exact", {"headers": ["Connection: keep-alive, X-Hop", "X-Hop: 1", "X-Stay: 2"]}),
    ("GET", "/only/exact", {"headers": ["Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "Proxy: x",
                                        "X-Everywhere: me", "TE: trailers", "X-Request-Id: mine"]}),
    ("GET", "/only/exact", {"source": "127.0.0.9",
                            "headers": ["Forwarded: for=1.2.3.4", "X-Forwarded-Proto: https"]}),
    ("GET", "/only/exact", {"headers": ["Upgrade: websocket", "Connection: upgrade"]}),
    ("GET", "/only/exact/", {}),
    ("GET", "/only/../exact", {}),
    ("GET", "/only/%2e%2e/exact", {}),
    ("GET", "/only/exact%00", {}),
    ("GET", "/only\\exact", {}),
    ("GET", "/%zz", {}),
    ("GET", "/admin;a/x", {}),
    ("GET", "/admin%2fx", {"source": "127.0.0.5"}),
    ("GET", "/%2561dmin/x", {}),
    ("GET", "/ADMIN/x", {"source": "127.0.0.5"}),
    ("TRACE", "/only/exact", {}),
    ("BREW", "/only/exact", {}),
    ("GET", "/only/exact?" + BIG, {}),
    ("GET", "/only/exact", {"headers": ["X-Big: " + BIG]}),
    ("GET", "/only/exact", {"headers": [f"X-{i}: {i}" for i in range(30)]}),
    ("GET", "/only/exact", {"headers": ["Transfer-Encoding: gzip"]}),
    ("GET", "/only/exact", {"headers": ["Content-Length: 1", "Content-Length: 1"]}),
    ("GET", "/only/exact", {"headers": ["Content-Length: 99999999999"]}),
    ("GET", "/only/exact", {"headers": ["Expect: the worst"]}),
    ("GET", "/only/exact", {"headers": ["Bad Name: x"]}),
    ("GET", "/only/exact", {"scheme": "https"}),
    ("GET", "/admin/x", {"scheme": "https"}),
    ("GET", "/nothing", {"scheme": "https"}),
    ("GET", "/hello", {"scheme": "https", "headers": ["Host: refusing.test"]}),
    ("GET", "/hello", {"scheme": "https", "headers": ["Host: unknown.test"]}),
    ("GET", "/x", {"host": "refusing.test"}),
    ("GET", "/x?y", {"host": "moving.test"}),
    ("GET", "/x", {"host": "a.b.wild.test"}),
    ("GET", "/x", {"host": "wild.test"}),
    ("GET", "/x", {"host": "unknown.test"}),
    ("GET", "/x", {"headers": ["Host: a b"]}),
    ("GET", "/x", {"headers": ["Host: localhost", "Host: localhost"]}),
    ("GET", "/hello", {"host": "LOCALHOST"}),
    ("GET", "/hello", {"host": "127.0.0.1"}),
]
VOLATILE = {"date", "x-request-id", "content-length", "connection", "transfer-encoding", "keep-alive"}


def url_of(p, path, what):
    tls = what.get("scheme") == "https"
    return f"{'https' if tls else 'http'}://{what.get('host', 'localhost')}:{p.tls_port if tls else p.port}{path}"


def explain(p, method, path, what, *more):
    words = ["explain", *more, "--json", "--from", what.get("source", "127.0.0.1")]
    for header in what.get("headers", []):
        words += ["-H", header]
    if "body" in what:
        words += ["-d", what["body"]]
    done = cli(*words, method, url_of(p, path, what), cwd=p.dir)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def lines(told, stage, what):
    return [line for s in told["stages"] if s["stage"] == stage
            for line in s["lines"] if line["what"] == what]


def send(p, method, path, what):
    """The same request, really sent."""
    host = what.get("host", "localhost")
    tls = what.get("scheme") == "https"
    headers = what.get("headers", [])
    head = [f"{method} {path} HTTP/1.1"]
    if not any(h.lower().startswith("host:") for h in headers):
        head.append(f"Host: {host}:{p.tls_port if tls else p.port}")
    head += headers
    if "body" in what:
        head.append(f"Content-Length: {len(what['body'])}")
    client = p.connect_tls() if tls else p.connect(source=what.get("source"))
    with client:
        client.send(("\r\n".join(head) + "\r\n\r\n" + what.get("body", "")).encode("latin-1"))
        return client.response(head_only=method == "HEAD")


def fields(told, stage):
    return [tuple(line["text"].split(": ", 1)) if ": " in line["text"]
            else (line["text"].rstrip(":"), "") for line in lines(told, stage, "field")]


def masked(name, value):
    """A URL's query as the log shows it: explain does the same."""
    if name.lower() not in ("location", "content-location", "referer") or "?" not in value:
        return value
    url, query = value.split("?", 1)
    return url + "?" + "&".join(p.split("=")[0] + "=***" if "=" in p else "***" for p in query.split("&"))


def compare(told, answer, record, request):
    """Nothing that explain said may differ from what then happened."""
    outcome = told["outcome"]
    assert outcome.get("route") == record.get("route")
    assert outcome.get("site") == record.get("site")
    if outcome["action"] == "forward":
        assert request is not None and answer.status == 200
        target = lines(told, "prepare", "line")[0]["text"].split(" ")[1]
        assert target.split("?")[0] == request.target.decode().split("?")[0]
        sent = [(n, v) for n, v in request.headers if n.lower() != "x-request-id"]
        assert [(n, v) for n, v in fields(told, "prepare") if n.lower() != "x-request-id"] == sent
        return
    assert request is None
    assert outcome["status"] == answer.status == record["status"]
    for name in ("refused_layer", "refused_by", "why", "at"):
        assert outcome.get(name) == record.get(name), name
    said = [(n, v) for n, v in fields(told, "answer") if n.lower() not in VOLATILE]
    assert said == [(n, masked(n, v)) for n, v in answer.headers if n.lower() not in VOLATILE]
    assert outcome.get("location") == (masked("location", answer.header("location"))
                                       if answer.header("location") else None)


@pytest.fixture
def world(portcullis, origin):
    o = origin()
    p = portcullis(SITE.replace("@ORIGIN@", str(o.port)), start=False)
    p.file("moved.txt", "/moved/one /else 301\n/moved/two https://example.com/?a\n")
    p.file("public/a.txt", "a text")
    p.file("public/b.html", "<p>" + "words " * 500)
    p.file("public/sub/index.html", "<p>index")
    p.file("public/.hidden", "x")
    p.start()
    return p, o


def test_what_explain_says_of_a_request_is_what_it_gets(world):
    p, o = world
    wrong, forwarded = [], 0
    for method, path, what in TABLE:
        told = explain(p, method, path, what, "-c", p.conf)
        forwarded += told["outcome"]["action"] == "forward"
        o.requests.clear()
        answer = send(p, method, path, what)
        reference = answer.header("X-Request-Id")
        record = p.wait_log(lambda r: r.get("ref") == reference)
        try:
            compare(told, answer, record, o.requests[0] if o.requests else None)
        except AssertionError as error:
            wrong.append(f"{method} {path[:60]} {str(what)[:200]}: {str(error)[:600]}")
    assert not wrong, "\n".join(wrong)
    assert forwarded >= 25 and len(TABLE) - forwarded >= 50


def test_a_running_instance_explains_by_what_it_serves(world):
    p, o = world
    wrong = []
    control = ("--control", p.dir / "state" / "control.sock")
    p.conf.write_text("nonsense\n")  # what is served counts
    for method, path, what in TABLE[::4]:
        told = explain(p, method, path, what, *control)
        o.requests.clear()
        answer = send(p, method, path, what)
        reference = answer.header("X-Request-Id")
        record = p.wait_log(lambda r: r.get("ref") == reference)
        try:
            compare(told, answer, record, o.requests[0] if o.requests else None)
        except AssertionError as error:
            wrong.append(f"{method} {path[:60]} {str(what)[:200]}: {str(error)[:600]}")
    assert not wrong, "\n".join(wrong)


def test_without_an_instance_it_says_how_to_go_on(folder):
    done = cli("explain", "--control", folder / "none.sock", "GET", "http://localhost/")
    assert done.returncode == 1
    assert "no instance answers" in done.stderr and "portcullis explain -c FILE" in done.stderr


def test_the_state_of_origins_is_told(portcullis, origin):
    o = origin()
    dead = free_port()
    p = portcullis(f"rest 60s\nretry 1\nsite localhost {{ /one/* -> 127.0.0.1:{dead}\n"
                   f"/* -> 127.0.0.1:{dead} 127.0.0.1:{o.port} }}\n")
    control = ("--control", p.dir / "state" / "control.sock")
    told = explain(p, "GET", "/", {}, *control)
    assert {line["text"].split(";")[0] for line in lines(told, "origin", "ready")} == \
        {f"127.0.0.1:{dead}", f"127.0.0.1:{o.port}"}
    assert p.get("/one/x").status == 502
    told = explain(p, "GET", "/", {}, *control)
    assert told["outcome"]["origin"] == f"127.0.0.1:{o.port}"
    resting = lines(told, "origin", "resting")[0]
    assert resting["text"].startswith(f"127.0.0.1:{dead}, for ")
    assert "after 1 failure in a row" in resting["text"] and "refused" in resting["text"]
    line = next(i for i, text in enumerate(p.conf.read_text().split("\n"), 1) if text.startswith("/* ->"))
    assert resting["at"] == f"{p.conf}:{line}"
    told = explain(p, "GET", "/one/x", {}, *control)
    assert told["outcome"]["origin"] == f"127.0.0.1:{dead}"


def test_drained_and_down_origins_are_told(portcullis, origin):
    o, dead = origin(), free_port()
    p = portcullis(f"upstream pool {{ server 127.0.0.1:{o.port}\nserver 127.0.0.1:{dead}\n"
                   "check tcp every 100ms fall 1 }\n"
                   "site localhost { /* -> pool }\n")
    control = ("--control", p.dir / "state" / "control.sock")
    down = wait_for(lambda: lines(explain(p, "GET", "/", {}, *control), "origin", "down"), "the check")
    assert down[0]["text"].startswith(f"127.0.0.1:{dead}, by its check")
    assert explain(p, "GET", "/", {}, *control)["outcome"]["origin"] == f"127.0.0.1:{o.port}"
    done = p.cli("drain", f"127.0.0.1:{o.port}", *control)
    assert done.returncode == 0, done.stderr
    told = explain(p, "GET", "/", {}, *control)
    assert said(told, "origin", "drained")[0][0].startswith(f"127.0.0.1:{o.port}, by the operator")
    done = p.cli("drain", f"127.0.0.1:{dead}", *control)
    assert done.returncode == 0, done.stderr
    told = explain(p, "GET", "/", {}, *control)
    assert said(told, "origin", "choice") == \
        [("all are drained: the answer would be a 503", None)]
    assert p.get().status == 503


def test_a_full_queue_is_told(portcullis, origin):
    def slow(conn):
        conn.read_request()
        over.wait(PATIENCE)
        conn.answer()

    over = threading.Event()
    o = origin(slow)
    p = portcullis(f"upstream pool {{ server 127.0.0.1:{o.port}\nconnections 1 queue 5 }}\n"
                   "site localhost { /* -> pool }\n")
    control = ("--control", p.dir / "state" / "control.sock")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: o.requests, "the request at the origin")
        told = explain(p, "GET", "/", {}, *control)
        assert said(told, "origin", "choice") == \
            [(f"all have as many connections as they may: it would wait for 127.0.0.1:{o.port}", None)]
        assert said(told, "origin", "ready")[0][0].startswith(f"127.0.0.1:{o.port}; 1 in use")
        over.set()
        assert client.response().status == 200


def test_the_origin_that_would_be_asked_is_the_one_that_is(portcullis, origin):
    a, b, c = origin(), origin(), origin()
    names = {f"127.0.0.1:{o.port}": o for o in (a, b, c)}
    servers = (f"server 127.0.0.1:{a.port} weight 3\nserver 127.0.0.1:{b.port}\n"
               f"server 127.0.0.1:{c.port} backup\n")
    p = portcullis("workers 1\n"
                   f"upstream hashed {{ {servers}balance hash header X-Key }}\n"
                   f"upstream turns {{ {servers} }}\n"
                   f"upstream least {{ {servers}balance least-requests }}\n"
                   "site localhost { /hash/* -> hashed\n/turn/* -> turns\n/least/* -> least }\n")
    control = ("--control", p.dir / "state" / "control.sock")
    chosen = set()
    for path, more in (("/hash/x", (control, ("-c", p.conf))), ("/turn/x", (control,)),
                       ("/least/x", (control,))):
        for key in range(12):
            what = {"headers": [f"X-Key: {key}"]}
            said = {explain(p, "GET", path, what, *m)["outcome"]["origin"] for m in more}
            assert len(said) == 1
            for o in names.values():
                o.requests.clear()
            assert send(p, "GET", path, what).status == 200
            asked = next(name for name, o in names.items() if o.requests)
            assert {asked} == said, path
            chosen.add(asked)
    assert len(chosen) == 2  # the backup is not asked
    told = explain(p, "GET", "/turn/x", {}, "-c", p.conf)
    assert "origin" not in told["outcome"]
    texts = [line["text"] for line in lines(told, "origin", "origin")]
    assert texts == [f"127.0.0.1:{a.port} weight 3", f"127.0.0.1:{b.port}",
                     f"127.0.0.1:{c.port} backup"]


# ---- explain: its words ----

WORDS = """listen http://127.0.0.1:8080 https://127.0.0.1:8443 http://127.0.0.3:8081
state state
tls localhost.pem localhost.key
site www.example.com localhost {
    http serve
    /api/* -> localhost:1 {
        when method GET
        when not query debug
    }
    /Reports -> localhost:1
    /data/ -> localhost:1
    /deep/* -> localhost:1 { strip; header request set Api-Key abc; header request remove Accept }
    /* -> files public {
        deny from 10.6.0.0/16
    }
}
site other.example.com { tls off; /* -> respond 200 }
"""


@pytest.fixture
def explained(folder, certs):
    """explained(words): the JSON of an explanation of WORDS."""
    (folder / "x.conf").write_text(WORDS)
    for kind in ("pem", "key"):
        (folder / f"localhost.{kind}").write_bytes((certs.dir / f"localhost.{kind}").read_bytes())
    (folder / "public").mkdir()
    (folder / "public" / "a.txt").write_text("a")

    def run(*words, json_too=True):
        done = cli("explain", "-c", "x.conf", *(["--json"] if json_too else []), *words, cwd=folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if json_too else done.stdout

    return run


def said(told, stage, what):
    return [(line["text"], line.get("at")) for line in lines(told, stage, what)]


def test_a_name_and_its_addresses_are_told(explained):
    told = explained("GET", "http://localhost:8080/")
    assert ("localhost is 127.0.0.1, an address of this machine", None) in said(told, "name", "ours")
    told = explained("GET", "http://192.0.2.7:8080/")
    assert "192.0.2.7, no address of this machine" in said(told, "name", "elsewhere")[0][0]
    assert said(told, "listener", "taken for granted")
    told = explained("GET", "http://nothing.invalid:8080/")
    assert said(told, "name", "unresolved")[0][0].startswith("nothing.invalid: ")


def test_the_listener_is_the_one_that_the_address_reaches(explained):
    assert said(explained("GET", "http://127.0.0.1:8080/"), "listener", "listener") == \
        [("http://127.0.0.1:8080", "x.conf:1")]
    told = explained("GET", "http://127.0.0.1:9/")
    assert told["outcome"] == {"action": "none", "status": 0}
    assert "no listener has port 9" in said(told, "listener", "nobody")[0][0]
    told = explained("GET", "http://127.0.0.1:8443/")
    assert "this port speaks HTTPS" in said(told, "listener", "nobody")[0][0]
    told = explained("GET", "https://127.0.0.1:8080/")
    assert "this port speaks plain HTTP" in said(told, "listener", "nobody")[0][0]


def test_the_certificate_and_its_end_are_told(explained):
    told = explained("GET", "https://localhost:8443/")
    assert said(told, "tls", "name") == [("the client asks for localhost", None)]
    assert said(told, "tls", "site") == [("www.example.com", "x.conf:4")]
    certificate, at = said(told, "tls", "certificate")[0]
    assert at == "x.conf:3"
    assert certificate.startswith("ECDSA P-256, good for ") and " localhost 127.0.0.1" in certificate
    assert said(told, "tls", "warning") == []
    told = explained("GET", "https://www.example.com:8443/")
    assert said(told, "tls", "warning") == \
        [("the certificate is not for www.example.com: clients refuse it", None)]
    told = explained("GET", "https://unknown.example:8443/")
    assert "unrecognized_name" in said(told, "tls", "refused")[0][0]
    assert told["outcome"]["action"] == "none"


def test_what_nearly_matched_is_told_with_the_line_that_failed(explained):
    told = explained("POST", "http://localhost:8080/api/x")
    assert said(told, "route", "passed over") == \
        [("/api/*: 'when method GET' does not hold", "x.conf:7")]
    assert said(told, "route", "matched") == [("/*, the longest prefix that fits", "x.conf:13")]
    told = explained("GET", "http://localhost:8080/api/x?debug")
    assert said(told, "route", "passed over") == \
        [("/api/*: 'when not query debug' does not hold", "x.conf:8")]
    told = explained("GET", "http://localhost:8080/reports")
    assert said(told, "route", "nearly") == \
        [("/Reports differs in capital and small letters, which count", "x.conf:10")]
    told = explained("GET", "http://localhost:8080/data")
    assert said(told, "route", "nearly") == [("/data/ would take /data/, with a last slash", "x.conf:11")]
    told = explained("GET", "http://localhost:8080/Reports/")
    assert said(told, "route", "nearly") == \
        [("/Reports would take /Reports, without a last slash", "x.conf:10")]


def test_a_site_on_another_listener_is_told(explained):
    told = explained("GET", "https://other.example.com:8443/")
    assert said(told, "tls", "nearly") == \
        [("a site has this name, but not on this listener", "x.conf:17")]
    told = explained("GET", "https://localhost:8443/", "-H", "Host: other.example.com")
    assert told["outcome"]["status"] == 421
    assert said(told, "route", "nearly") == \
        [("a site has this name, but not on this listener", "x.conf:17")]


def test_lists_files_and_rewrites_are_told(explained):
    told = explained("GET", "http://localhost:8080/a.txt", "--from", "10.6.1.1")
    assert said(told, "admit", "refused") == \
        [("route access: a deny line names this address", "x.conf:14")]
    told = explained("GET", "http://localhost:8080/a.txt")
    assert said(told, "admit", "allowed") == [("route access", "x.conf:14")]
    assert said(told, "serve", "target") == [("files", "x.conf:13")]
    assert said(told, "serve", "file")[0][0].endswith("/public/a.txt")
    told = explained("GET", "http://localhost:8080/b.txt")
    assert said(told, "serve", "file")[0][0].startswith("none below ")
    assert told["outcome"]["status"] == 404 and told["outcome"]["refused_by"] == "files"
    told = explained("GET", "http://localhost:8080/deep/x?pin=1234", "-H", "Accept: text/html")
    assert said(told, "prepare", "stripped") == [("/deep/x becomes /x", "x.conf:12")]
    assert said(told, "prepare", "line") == [("GET /x?pin=***", None)]
    assert said(told, "prepare", "removed") == [("Accept", "x.conf:12")]
    assert ("Location: /here becomes /deep/here", None) in said(told, "answer", "changed")


def test_secrets_are_masked_and_terminals_are_safe(explained):
    words = ("GET", "http://localhost:8080/deep/x?pin=1234", "-H", "Authorization: Basic c2VjcmV0",
             "-H", "Cookie: id=secret", "-H", "X-Odd: a\u202eb", "-H", "X-Auth-Token: secret")
    for text in (explained(*words, json_too=False), json.dumps(explained(*words))):
        for secret in ("c2VjcmV0", "secret", "1234", "abc"):
            assert secret not in text
    told = explained(*words)
    by = {line["text"]: (line.get("by"), line.get("at")) for line in lines(told, "prepare", "field")}
    assert by["Authorization: ***"] == ("client", None)
    assert by["Api-Key: ***"] == ("header line", "x.conf:12")
    assert by["X-Forwarded-Prefix: /deep"] == ("portcullis", None)
    assert "\\u202e" in explained(*words, json_too=False)
    told = explained("GET", "http://localhost:8080/\x1b[31m")
    assert told["outcome"]["status"] == 400
    assert "\x1b" not in explained("GET", "http://localhost:8080/\x1b[31m", json_too=False)


def test_people_and_programs_are_told_the_same(explained):
    words = ("POST", "http://localhost:8080/deep/x", "-d", "four")
    told, text = explained(*words), explained(*words, json_too=False)
    assert [s["stage"] for s in told["stages"]] == \
        [line.split(". ")[1] for line in text.split("\n") if line[:2].strip().isdigit()]
    for stage in told["stages"]:
        for line in stage["lines"]:
            if not line["text"].startswith(("X-Request-Id", "Date")):
                assert line["text"] in text
    assert text.endswith("It is forwarded by the route /deep/* [x.conf:12] to localhost:1.\n")


def test_it_answers_under_load_and_reloads(world):
    p, _ = world
    control = ("--control", p.dir / "state" / "control.sock")
    over, failed = threading.Event(), []

    def load():
        while not over.is_set():
            if p.get("/hello").status != 201 or p.get("/new/x").status != 200:
                failed.append("a request")

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for i in range(10):
            p.conf.write_text(p.conf.read_text() + f"# {i}\nsite more{i}.test {{ tls off; /* -> respond 200 }}\n")
            assert p.control("reload").returncode == 0
            told = explain(p, "GET", "/hello", {"host": f"more{i}.test"}, *control)
            assert told["outcome"]["site"] == f"more{i}.test"
            told = explain(p, "GET", "/new/x", {}, *control)
            assert told["outcome"]["action"] == "forward"
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failed


def test_wrong_words_are_told(folder):
    (folder / "x.conf").write_text("listen http://127.0.0.1:8080\nstate state\nsite * -> respond 200\n")
    for words, why in ((("GET", "/x"), "a URL begins with http:// or https://"),
                       (("G T", "http://localhost/"), "is no method"),
                       (("GET", "http://localhost/", "--from", "me"), "--from wants an IP address"),
                       (("GET", "http://localhost/", "-H", "x"), "a header is written as"),
                       (("GET", "http://localhost/", "--control", "x"), "one of them"),
                       (("GET",), "wants METHOD URL")):
        done = cli("explain", "-c", "x.conf", *words, cwd=folder)
        assert done.returncode == 2 and why in done.stderr, done.stderr
    (folder / "x.conf").write_text("nonsense\n")
    done = cli("explain", "-c", "x.conf", "GET", "http://localhost/", cwd=folder)
    assert done.returncode == 2 and "portcullis check tells them" in done.stderr
    assert not (folder / "state").exists()


def test_nothing_is_sent_and_nothing_counted(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}\n")
    before = p.status()
    for more in (("-c", p.conf), ("--control", p.dir / "state" / "control.sock")):
        for _ in range(3):
            assert explain(p, "GET", "/", {}, *more)["outcome"]["action"] == "forward"
    assert o.connections == 0
    after = p.status()
    for name in ("requests", "connections", "bytes"):
        assert before[name] == after[name]
    assert p.log_lines() == []
    assert p.get().status == 200 and o.connections == 1


def test_the_page_shows_what_the_program_says():
    done = subprocess.run([sys.executable, ROOT / "tools" / "explain_page.py", BINARY, "--check"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
