"""What a table of bytes cannot say: what goes out on the other side, and what the next one gets."""
import json
import time

import pytest

import strict_http
from conftest import SANITIZER, Origin, Portcullis, open_folder, wait_for
from recorder import Recorder

GET = b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


# --- towards the origin ---------------------------------------------------------------------


CONF = """trusted_proxies 127.0.0.2
header request set X-Path $path
header request set X-Query $query
header request add X-Method "[$method] $client $host"
header response set X-Echo "$path $query"
site a.test * {
    /strip/* -> ORIGIN { strip }
    ~ '^/group/([^/]*)/(.*)$' -> ORIGIN { rewrite '/$2/$1' }
    /moved/* -> redirect 'https://$host/new/*?of=$query'
    /say -> respond 200 "you asked $path?$query"
    /* -> ORIGIN
}
"""


@pytest.fixture(scope="module")
def front():
    with open_folder() as folder:
        recorder = Recorder()
        p = Portcullis(CONF.replace("ORIGIN", f"127.0.0.1:{recorder.port}"), folder)
        p.recorder = recorder
        yield p
        p.stop()
        recorder.origin.stop()
        assert not SANITIZER.search(p.stderr()), p.stderr()


BYTES = [b"%%%02x" % c for c in range(256)]
PIECES = [b"%c3%a9", b"%22%27", b"%3cscript%3e", b"%20", b"%09", b"%25%30%64", b";a=b", b"%3f%23", b"%e2%80%a8",
          b"%c4%8d%c4%8a", b"a|{}^`", b"%7c", b"+", b"%2b", b"%2f%2f", b"%00", b"%0d%0aX:%20y", b"%ff%fe", b"%c0%8a"]


@pytest.mark.parametrize("where", ["/%s", "/strip/%s", "/group/%s/x", "/group/x/%s", "/?%s", "/strip/?a=%s"])
def test_whatever_is_encoded_in_a_target_one_request_goes_out(front, where):
    before, behind = where.encode().split(b"%s")
    for piece in BYTES + PIECES:
        front.recorder.messages.clear()
        with front.connect() as client:
            client.send(GET % (before + piece + behind))
            answer = client.response()
            if answer.status != 200:
                assert answer.status == 400, (piece, answer.raw)
                continue
            client.send(GET % b"/next")
            assert client.response().status == 200
        got = front.recorder.messages
        assert not front.recorder.broken, front.recorder.broken
        assert [m.target for m in got][1:] == [b"/next"], (piece, [m.target for m in got])
        assert len(got[0].values(b"x-path")) == len(got[0].values(b"x-query")) == 1
        assert len(got[0].values(b"host")) == 1


def test_whatever_is_encoded_in_a_target_one_answer_comes_back(front):
    for target in [b"/moved/%s?%s", b"/say?%s%s", b"/moved/x?%s&%s", b"/%s/%s"]:
        for piece in BYTES + PIECES:
            with front.connect() as client:
                client.send(GET.replace(b"Host", b"Connection: close\r\nHost") % (target % (piece, piece)))
                raw = client.read_all()
            answers = strict_http.read_answers(raw)
            assert len(answers) == 1 and answers[0].status in (200, 308, 400), (target, piece, raw)
            assert not answers[0].values(b"x"), raw
            for location in answers[0].values(b"location"):
                assert location.startswith((b"https://a.test/new/", b"https://a.test:")), raw
                assert all(0x20 < c < 0x7f for c in location), raw


FORGED = [b"6.6.6.6", b'"6.6.6.6', b"for=6.6.6.6;by=\"", b"6.6.6.6\\", b"6.6.6.6, , ,", b"\xe9\xff", b"a\tb", b"[::1",
          b"for=\"_x\\\"", b";;;", b"=", b"," * 50, b"unknown", b"6.6.6.6" * 100]


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"], ids=["a client", "a trusted proxy"])
@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"Forwarded", b"X-Forwarded-Proto", b"X-Forwarded-Host"])
def test_whatever_a_forwarded_field_holds_one_request_goes_out(front, name, source):
    for value in FORGED:
        front.recorder.messages.clear()
        with front.connect(source=source) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n" + name + b": " + value + b"\r\n\r\n" +
                        GET % b"/next")
            assert [client.response().status for _ in range(2)] == [200, 200]
        got = front.recorder.messages
        assert not front.recorder.broken and [m.target for m in got] == [b"/", b"/next"]
        assert len(got[0].values(b"x-forwarded-for")) == len(got[0].values(b"forwarded")) == 1
        if source == "127.0.0.1":
            assert value not in b"\n".join(got[0].values(name.lower())) or value == b"=" or value == b";;;"
        assert got[0].values(b"x-forwarded-for")[0].endswith(source.encode())


@pytest.mark.parametrize("connection", [
    b"close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, X-Request-Id, Host",
    b"X-Forwarded-For", b"x-forwarded-for,host,content-length,transfer-encoding", b"Host", b",,,Forwarded,,"])
def test_connection_cannot_name_our_own_fields_away(front, connection):
    front.recorder.messages.clear()
    with front.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nConnection: " + connection +
                    b"\r\nContent-Length: 5\r\n\r\nhello")
        assert client.response().status == 200
    sent = front.recorder.messages[0]
    assert sent.body == b"hello"
    for name in (b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded",
                 b"x-request-id", b"content-length"):
        assert len(sent.values(name)) == 1, name


def test_names_with_underscores_and_hop_by_hop_fields_stay_here(front):
    front.recorder.messages.clear()
    fields = (b"X_Forwarded_For: 6.6.6.6", b"X-Real_IP: 6.6.6.6", b"Content_Length: 0", b"Transfer_Encoding: chunked",
              b"_: x", b"Proxy: http://evil.test", b"Proxy-Connection: close", b"Keep-Alive: timeout=9",
              b"TE: trailers, chunked", b"Trailer: X", b"Upgrade: h2c", b"HTTP2-Settings: AAMA",
              b"Proxy-Authorization: Basic eDp5", b"X-Request-Id: forged", b"X-Path: forged", b"X-Gone: x",
              b"Connection: X-Gone, Upgrade, HTTP2-Settings")
    with front.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Stays: 1\r\n" + b"\r\n".join(fields) + b"\r\n\r\n")
        assert client.response().status == 200
    names = {n.lower() for n, _ in front.recorder.messages[0].fields}
    assert names == {b"host", b"x-stays", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
                     b"forwarded", b"x-request-id", b"x-path", b"x-query", b"x-method"}
    assert front.recorder.messages[0].values(b"x-path") == [b"/"]


def test_trailers_never_become_what_a_head_may_not_hold(front):
    front.recorder.messages.clear()
    trailers = b"Authorization: x\r\nCookie: a\r\nX-Forwarded-For: 6\r\nX_Y: z\r\nX-Path: 6\r\nX-Request-Id: 6\r\nX-Sum: 1\r\n"
    with front.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" +
                    trailers + b"\r\n")
        assert client.response().status == 200
    assert front.recorder.messages[0].trailers == [(b"X-Sum", b"1")]


# --- towards the client ---------------------------------------------------------------------


@pytest.fixture
def behind(portcullis, origin):
    """behind(script): an instance before an origin that runs it; one client connection."""
    def make(script, more=""):
        o = origin(script)
        p = portcullis(f"workers 1\nretry off\nrest 0s\n{more}site * -> 127.0.0.1:{o.port}")
        p.origin = o
        return p
    return make


def test_a_body_behind_the_answer_to_head_reaches_nobody(behind):
    def script(conn):
        while (request := conn.read_request()) is not None:
            conn.send(HELLO if request.method == b"HEAD" else
                      b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.target) + request.target)

    p = behind(script)
    with p.connect() as client:
        for i in range(3):
            client.send(b"HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response(head_only=True).header("content-length") == "5"
            client.send(GET % b"/%d" % i)
            assert client.response().text == f"/{i}"


@pytest.mark.parametrize("first", [
    HELLO, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"],
    ids=["length", "chunked", "204", "304"])
@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
def test_an_answer_nobody_asked_for_is_nobodys(behind, first, late):
    """Two answers to one request: the second would be the next client's."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def script(conn):
        while (request := conn.read_request()) is not None:
            if request.target != b"/first":
                conn.answer(body=request.target)
            elif late:
                conn.send(first)
                time.sleep(0.02)
                conn.send(evil)
            else:
                conn.send(first + evil)
            if request.target == b"/first":
                sent.append(conn.fill())  # it is closed

    sent = []
    p = behind(script)
    for i in range(3):
        with p.connect() as client:
            client.send(GET % b"/first").response()
            wait_for(lambda: len(sent) > i, "the end of the connection")
            assert not sent[i]
            client.send(GET % b"/second")
            assert client.response().text == "/second"
        assert p.get("/third").text == "/third"


@pytest.mark.parametrize("answer,body", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"hello"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", b"hello"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", b"hello"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", b"hello"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello", b""),
], ids=["length", "no last chunk", "no end of trailers", "forbidden trailer", "bad size", "bare LF", "negative", "too large"])
def test_an_answer_that_breaks_off_is_seen_to_be_cut(behind, answer, body):
    def script(conn):
        if conn.read_request() is not None:
            conn.send(answer)

    p = behind(script, "compress off\n")
    with p.connect() as client:
        client.send(GET % b"/")
        raw = client.read_all()
    with pytest.raises(strict_http.Incomplete):
        answers = strict_http.read_answers(raw)
        if [a.status for a in answers] == [502]:
            raise strict_http.Incomplete
    assert body in raw or not raw.partition(b"\r\n\r\n")[2] or b" 502 " in raw
    record = p.wait_log()
    assert record["end"] in ("origin-aborted", "complete") and (record["end"] == "origin-aborted" or record["status"] == 502)


def test_interim_answers_have_a_limit_and_tell_nothing(behind):
    def script(conn):
        while (request := conn.read_request()) is not None:
            count = int(request.target[1:])
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nServer: secret\r\nX-Powered-By: secret\r\n"
                      b"Connection: X-Gone\r\nX-Gone: 1\r\nAlt-Svc: h3\r\n\r\n" * count + HELLO)

    p = behind(script)
    for count in (0, 1, 5, 1000):
        with p.connect() as client:
            client.send(GET % b"/%d" % count)
            seen = [client.response()]
            while seen[-1].status < 200:
                seen.append(client.response())
            for interim in seen[:-1]:
                assert {n.lower() for n, _ in interim.headers} == {"link"}
            assert len(seen) <= 20
            assert seen[-1].status == (200 if count < 1000 else 502)
            if count < 10:
                assert len(seen) == count + 1


@pytest.mark.parametrize("head,status", [
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 101),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n\r\n", 101),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 502),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n", 502),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 502),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n", 502),
    (b"HTTP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n", 502),
    (b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", 200),
    (b"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", 426),
])
def test_only_a_101_to_websocket_opens_a_tunnel(behind, head, status):
    def script(conn):
        while conn.read_request() is not None:
            conn.send(head)
            if b" 101 " in head:
                return conn.read_all()

    p = behind(script)
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        assert client.response().status == status
        if status != 101:  # and what follows is a request, to be judged like any
            client.send(b"GET /secret HTTP/1.1\r\n\r\n")
            assert client.response().status == 400
    assert not any(b"/secret" in r.head for r in p.origin.requests)


@pytest.mark.parametrize("ask", [b"", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n",
                                 b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n"])
def test_a_101_that_was_not_asked_for_is_a_502(behind, ask):
    def script(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

    p = behind(script)
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + ask + b"\r\n")
        assert client.response().status == 502
    assert b"upgrade" not in p.origin.requests[0].head.lower()


# What an origin may put into fields that are rewritten under `strip`.
LINKS = [b"/x", b"//evil.test/x", b"/\\evil.test", b"http://a.test/x", b"https://a.test:443//evil.test", b"/x\xe9",
         b"http://127.0.0.1/", b"", b"?q", b"x", b"/" * 500, b"http://" + b"a" * 300, b"/%0d%0aX: y", b"\tx", b"http://a.test"]


@pytest.mark.parametrize("name", [b"Location", b"Content-Location", b"Refresh", b"Set-Cookie"])
def test_rewritten_links_and_cookies_are_one_answer(behind, name, origin, portcullis):
    def script(conn):
        while (request := conn.read_request()) is not None:
            value = LINKS[int(request.header("x-case"))]
            value = {b"Refresh": b"5; url=" + value, b"Set-Cookie": b"a=b; Path=" + value + b"; Domain=127.0.0.1;;"}.get(name, value)
            conn.send(b"HTTP/1.1 302 Found\r\n" + name + b": " + value + b"\r\nContent-Length: 0\r\n\r\n")

    o = origin(script)
    p = portcullis(f"site * {{\n '/my app/*' -> 127.0.0.1:{o.port} {{ strip }}\n}}")
    with p.connect() as client:
        for i in range(len(LINKS)):
            client.send(b"GET /my%%20app/ HTTP/1.1\r\nHost: a.test\r\nX-Case: %d\r\n\r\n" % i)
            answer = client.response()
            again = strict_http.read_answers(answer.raw)
            assert len(again) == 1 and again[0].status == 302 and not again[0].values(b"x"), answer.raw
            if LINKS[i] == b"/x":  # a prefix is written decoded, and a link encoded
                assert b"/my%20app/x" in again[0].values(name.lower())[0]
    assert o.requests[0].header("x-forwarded-prefix") == "/my%20app"


# --- bodies that do not end as announced ----------------------------------------------------


@pytest.mark.parametrize("head,part", [
    (b"Content-Length: 10\r\n\r\n", b"hello"),
    (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"),
    (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\n"),
    (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\nnonsense\r\n"),
], ids=["length", "chunked", "trailers", "broken"])
@pytest.mark.parametrize("end", ["fin", "reset"])
def test_a_body_that_breaks_off_never_becomes_a_whole_one(behind, head, part, end):
    """The origin's connection is ended with it: the next request must not complete that body."""
    def script(conn):
        conn.server.raw.append(b"")
        mine = len(conn.server.raw) - 1
        while conn.fill():
            conn.server.raw[mine] += conn.buffer
            if conn.buffer.startswith(b"GET"):
                conn.send(HELLO)
            conn.buffer = b""

    p = behind(script)
    p.origin.raw = []
    for i in range(3):
        with p.connect() as client:
            client.send(b"POST /cut HTTP/1.1\r\nHost: x\r\n" + head + part)
            wait_for(lambda: any(b"hello" in raw for raw in p.origin.raw[-1:]) or b"nonsense" in part, "the part")
            if end == "reset":
                client.reset()
            else:
                client.sock.shutdown(1)
                client.read_all()
        assert p.get("/next").status == 200
    for raw in p.origin.raw:
        whole, ending = strict_http.read_requests(raw)
        assert {m.target for m in whole} <= {b"/next"}, raw
        assert ending == ("incomplete" if b"/cut" in raw else "end"), raw


@pytest.mark.parametrize("expect", [b"Expect: 100-continue\r\n", b""], ids=["expecting", "not"])
@pytest.mark.parametrize("status", [b"200 OK", b"401 Unauthorized", b"417 Expectation Failed"])
def test_a_body_behind_an_early_answer_is_no_request(behind, expect, status):
    """The origin answers before it has seen the body; what the client sends then is still that body,
    and the origin's connection, in the middle of it, is nobody else's."""
    def script(conn):
        first = conn.read_request(body=False)
        while first is not None:
            conn.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nhello")
            first = conn.read_request(body=False)

    p = behind(script)
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with p.connect() as client:
        client.send(b"POST /first HTTP/1.1\r\nHost: x\r\n" + expect + b"Content-Length: %d\r\n\r\n" % (len(smuggled) + 5))
        answer = client.response()
        while answer.status == 100:
            answer = client.response()
        assert answer.status == int(status[:3])
        try:
            client.send(smuggled + b"xxxxx" + GET % b"/second")
            rest = client.read_until(b"hello")
        except (OSError, AssertionError):
            rest = b""  # the connection ended with the early answer: as good
    assert p.get("/third").status == int(status[:3])
    assert rest.count(b"HTTP/1.1 ") <= 1
    targets = [r.target for r in p.origin.requests]
    assert b"/smuggled" not in targets and targets[-1] == b"/third", targets
