"""The record of every exchange, and the pages that name it."""
import json
import re
import time

import pytest

from conftest import connect, free_port, wait_for

REF = re.compile(r"^[0-9a-hjkmnp-tv-z]{16}$")  # 80 bits, 5 a character


def one(p, **more):
    return p.wait_log(**more)


def test_the_fields_of_a_proxied_request(portcullis, origin):
    o = origin()
    p = portcullis("tls @CERTS@/localhost.pem @CERTS@/localhost.key\nsite localhost {\n"
                   f" /a/* -> 127.0.0.1:{o.port}\n}}\n")
    with p.connect_tls() as client:
        client.send(b"POST /a//%62?user=joe&x HTTP/1.1\r\nHost: localhost\r\nUser-Agent: t/1\r\n"
                    b"Referer: https://u:p@r.test/p?key=1#f\r\nCookie: session=abc123\r\n"
                    b"Authorization: Basic c2VjcmV0\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbody")
        answer = client.response()
    r = one(p)
    assert REF.match(r["ref"]) and r["ref"] == answer.header("x-request-id")
    line = p.conf.read_text().splitlines().index(f" /a/* -> 127.0.0.1:{o.port}") + 1
    for name, value in {
            "kind": "request", "req": 1, "client": "127.0.0.1", "local": f"127.0.0.1:{p.tls_port}",
            "sni": "localhost", "tls": "1.3", "protocol": "HTTP/1.1", "method": "POST", "scheme": "https",
            "host": "localhost", "path": "/a//%62", "query": "user=***&***", "canonical": "/a/b",
            "site": "localhost", "route": "/a/*", "route_at": f"{p.conf}:{line}", "status": 200,
            "origin": f"127.0.0.1:{o.port}", "origin_peer": f"127.0.0.1:{o.port}", "origin_status": 200,
            "tries": 1, "request_type": "text/plain", "response_type": "application/json", "body_in": 4,
            "body_out": len(answer.body), "end": "complete", "user_agent": "t/1"}.items():
        assert r.get(name) == value, name
    assert re.match(r"^127\.0\.0\.1:\d+$", r["peer"]) and re.match(r"^127\.0\.0\.1:\d+$", r["origin_local"])
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$", r["time"])
    assert 0 <= r["head_us"] <= r["connected_us"] <= r["sent_us"] <= r["answer_us"] <= r["total_us"] < 30e6
    assert r["bytes_in"] > 200 and r["bytes_out"] > len(answer.body)
    text = json.dumps(r)
    for secret in ("abc123", "c2VjcmV0", "joe", "u:p", "=1"):
        assert secret not in text, secret
    assert {s["stage"] for s in r["stages"]} >= {"route"}
    assert all(s["at"].startswith(str(p.conf)) for s in r["stages"] if "at" in s)


def test_log_show(portcullis):
    p = portcullis("log_show query cookies authorization\nsite * -> respond 200 x\n")
    p.get("/?user=joe", headers=[("Cookie", "session=abc"), ("Authorization", "Basic x"),
                                 ("Referer", "http://r.test/?a=b")])
    r = one(p)
    assert (r["query"], r["cookies"], r["authorization"]) == ("user=joe", "session=abc", "Basic x")
    assert r["referer"] == "http://r.test/?a=b"


def test_what_came_from_the_network_is_escaped(portcullis):
    p = portcullis("site * -> respond 200 x\n")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\"\\\xff\xfe\xc2\x9b31m\xe2\x80\xaeb\tc\r\n\r\n")
        assert client.response().status == 200
    p.wait_log()
    raw = p.log.read_bytes()
    assert b"\xff" not in raw and b"\xc2\x9b" not in raw and b"\xe2\x80\xae" not in raw and b"\t" not in raw
    assert raw.count(b"\n") == 1 and json.loads(raw)["user_agent"].startswith('a"\\')


def test_combined(portcullis):
    p = portcullis("log @DIR@/access.log combined\nsite * -> respond 200 hello\n")
    p.get("/a?b=c", headers=[("User-Agent", 'x" y'), ("Referer", "http://r.test/")])
    line = wait_for(p.log_lines, "the line")[0]
    assert re.match(r'^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /a\?b=\*\*\* HTTP/1\.1" '
                    r'200 5 "http://r\.test/" "x\\x22 y"$', line), line


def test_logs_of_sites_and_routes_and_off(portcullis):
    p = portcullis("""
log @DIR@/access.log
site a.test {
    log @DIR@/a.log
    /quiet -> respond 200 x { log off }
    /own   -> respond 200 x { log @DIR@/own.log combined }
    /*     -> respond 200 x
}
site * -> respond 200 x
""")
    for host, path in (("a.test", "/quiet"), ("a.test", "/own"), ("a.test", "/x"), ("b.test", "/y")):
        assert p.get(path, host=host).status == 200
    wait_for(lambda: (p.dir / "a.log").exists() and (p.dir / "a.log").read_text(), "a's record")
    wait_for(lambda: (p.dir / "own.log").exists() and (p.dir / "own.log").read_text(), "the route's record")
    p.wait_log(lambda r: r["path"] == "/y")
    assert [json.loads(line)["path"] for line in (p.dir / "a.log").read_text().splitlines()] == ["/x"]
    assert '"GET /own HTTP/1.1"' in (p.dir / "own.log").read_text()
    assert [r["path"] for r in p.log_records()] == ["/y"]


def test_stderr_is_the_default(portcullis):
    p = portcullis("log stderr\nsite * -> respond 200 x\n")
    p.get("/here")
    p.wait_stderr('"path":"/here"')


# --- connections that never became a request ------------------------------------------------


@pytest.mark.slow
def test_failed_handshakes_are_recorded_and_limited(portcullis):
    p = portcullis("workers 1\ntls @CERTS@/localhost.pem @CERTS@/localhost.key\n"
                   "site localhost -> respond 200 x\n")
    for _ in range(60):
        with connect(p.tls_port) as client:
            client.send(b"\x16\x03\x01\x00\x05nonsense\r\n\r\n")
            client.read_all()
    r = p.wait_log(lambda r: r["kind"] == "connection")
    assert r["refused_layer"] == "tls" and r["why"] and "status" not in r and "method" not in r
    summary = p.wait_log(lambda r: r["kind"] == "summary")
    assert summary["client"] == "127.0.0.1"
    single = sum(r["kind"] == "connection" for r in p.log_records())
    assert 10 <= single <= 30  # ten a second
    wait_for(lambda: single + sum(r["count"] for r in p.log_records() if r["kind"] == "summary") == 60,
             "all to be counted")


def test_other_connections_without_a_request(portcullis):
    p = portcullis("timeout head 300ms idle 300ms\nsite * -> respond 200 x\n")
    with p.connect() as client:
        client.read_all()  # says nothing until it is closed
    with p.connect() as client:
        client.send(b"GET / HT")
        client.read_all()
    time.sleep(0.2)
    assert not [r for r in p.log_records() if r["kind"] == "request" and r.get("status") == 200]
    assert p.get().status == 200


def test_the_number_of_a_request_on_its_connection(portcullis):
    p = portcullis("site * -> respond 200 x\n")
    with p.connect() as client:
        for _ in range(3):
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
    wait_for(lambda: len(p.log_records()) == 3, "the records")
    assert [r["req"] for r in p.log_records()] == [1, 2, 3]
    assert len({r["conn"] for r in p.log_records()}) == 1
    assert len({r["ref"] for r in p.log_records()}) == 3


# --- error pages ----------------------------------------------------------------------------


@pytest.mark.parametrize("accept,kind", [
    (None, "text/html"), ("text/html,*/*;q=0.8", "text/html"), ("application/json", "application/json"),
    ("application/json, text/html;q=0.5", "application/json"), ("*/*", "text/html")])
def test_error_pages_as_the_client_likes(portcullis, origin, accept, kind):
    port = free_port()
    p = portcullis(f"site * -> 127.0.0.1:{port}\n")
    answer = p.get("/x", headers=[("Accept", accept)] if accept else [])
    assert answer.status == 502 and answer.header("content-type").startswith(kind)
    ref = answer.header("x-request-id")
    assert REF.match(ref) and ref in answer.text
    assert p.wait_log()["ref"] == ref
    assert str(port) not in answer.text and "portcullis" not in answer.text.lower()
    assert answer.header("cache-control") == "no-store" and answer.header("server") is None
    if kind == "application/json":
        assert answer.json["status"] == 502 and answer.json["reference"] == ref


def test_statuses_are_told_apart(portcullis, origin):
    silent = origin(lambda conn: (conn.read_request(), conn.fill()))
    p = portcullis(f"""
timeout answer 300ms body 300ms head 300ms
site a.test {{
    /denied/* -> respond 200 x {{ deny from any }}
    /dead/*   -> 127.0.0.1:{free_port()}
    /silent/* -> 127.0.0.1:{silent.port} {{ retry off }}
    /small/*  -> 127.0.0.1:{silent.port} {{ body 1k }}
}}
""")
    for path, status, layer in (("/a/../b", 400, "parser"), ("/denied/", 403, "route"), ("/none", 404, "route"),
                                ("/dead/", 502, "origin"), ("/silent/", 504, "origin")):
        assert p.get(path, host="a.test").status == status, path
        assert p.wait_log(lambda r: r["path"] == path)["refused_layer"] == layer
    assert p.get("/", host="b.test").status == 404
    assert p.request("POST", "/small/", host="a.test", body="x" * 5000).status == 413
    assert p.get("/" + "x" * 9000, host="a.test").status == 414
    assert p.get("/", host="a.test", headers=[("X", "y" * 9000)]).status == 431


def test_pages_of_your_own(portcullis, origin):
    o = origin(lambda conn: [conn.answer(502, b"the origin's own") for _ in iter(conn.read_request, None)])
    p = portcullis(f"""
error 404 @DIR@/gone.html
error 502 504 down.html
site * {{
    /dead/*   -> 127.0.0.1:{free_port()}
    /origin/* -> 127.0.0.1:{o.port}
    /inner/*  -> 127.0.0.1:{free_port()} {{ error 502 @DIR@/inner.json }}
}}
""", start=False)
    p.file("gone.html", "<p>gone</p>")
    p.file("down.html", "<p>down</p>")
    p.file("inner.json", '{"inner": true}')
    p.start()
    assert p.returncode is None, p.stderr()
    answer = p.get("/none")
    assert (answer.status, answer.text) == (404, "<p>gone</p>")
    assert answer.header("content-type").startswith("text/html")
    assert p.get("/dead/").text == "<p>down</p>"
    answer = p.get("/inner/")
    assert answer.json == {"inner": True} and answer.header("content-type").startswith("application/json")
    assert p.get("/origin/").text == "the origin's own"


def test_nothing_tells_of_us_or_the_origin(portcullis, origin):
    def script(conn):
        while conn.read_request() is not None:
            conn.answer(body="x", headers=[("Server", "Apache/2.4 (internal)"), ("X-Powered-By", "PHP/5"),
                                           ("X-AspNet-Version", "4")])

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}\n")
    answer = p.get()
    for name in ("server", "x-powered-by", "x-aspnet-version", "via"):
        assert answer.header(name) is None, name
    assert answer.header("date")
