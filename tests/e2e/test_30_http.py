"""HTTP/1.1 on both sides, from raw bytes to raw bytes (RFC 9110, 9112)."""
import contextlib
import json
import os
import pathlib
import threading
import time

import pytest

from conftest import SANITIZER, sees_inside, wait_for

CASES = pathlib.Path(__file__).parent / "cases"
REQUESTS = json.loads((CASES / "requests.json").read_text())
RESPONSES = json.loads((CASES / "responses.json").read_text())
SECRET = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"


def statuses(case):
    return case["expect"] if isinstance(case["expect"], list) else [case["expect"]]


def chosen(status, wanted):
    return 200 <= status < 300 if 200 in wanted and status not in wanted else status in wanted


# --- the table of requests ------------------------------------------------------------------


@pytest.fixture(scope="module")
def front(certs):
    """One instance with a plain and a TLS listener before one origin that counts."""
    from conftest import Origin, Portcullis, echo, open_folder
    with open_folder() as folder:
        certs.make("tables", ["a.test"])
        o = Origin(echo)
        p = Portcullis("tls @CERTS@/tables.pem @CERTS@/tables.key\nhttp serve\n"
                       "listen http://127.0.0.1:@HTTP@ https://127.0.0.1:@HTTPS@\n"
                       f"site a.test -> 127.0.0.1:{o.port}\n", folder, certs)
        p.origin = o
        yield p
        p.stop()
        o.stop()
        assert not SANITIZER.search(p.stderr()), p.stderr()


def client_of(front, kind):
    return front.connect() if kind == "plain" else front.connect_tls("a.test")


def play(client, data):
    """The proxy may close in the middle."""
    try:
        client.send(data)
    except OSError:
        pass


def check_request(front, case, kind):
    data = case["bytes"].encode("latin-1")
    wanted = statuses(case)
    before = len(front.origin.requests)
    head_only = data.startswith(b"HEAD ")
    with client_of(front, kind) as client:
        play(client, data)
        answer = client.response(head_only)
        while answer.status in (100, 103) and len(wanted) > 1:
            answer = client.response(head_only)
        assert answer.status in wanted or (answer.status == 200 and 100 in wanted), answer.raw
        if answer.status in (400, 413, 414, 417, 431, 501, 505):
            # Refused: what follows on the connection is never read as a request.
            play(client, SECRET)
            assert client.closed(), f"bytes behind the refusal: {client.buffer[:200]!r}"
    new = front.origin.requests[before:]
    assert len(new) <= 1, [r.head for r in new]
    assert not any(b"smuggled" in r.head for r in new)


@pytest.mark.parametrize("kind", ["plain", "tls"])
@pytest.mark.parametrize("case", REQUESTS, ids=lambda c: c["name"])
def test_table_of_requests(front, case, kind):
    check_request(front, case, kind)


def test_every_refused_head_is_recorded(front):
    front.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nX : y\r\nX-Mark: 1\r\n\r\n")
    record = front.wait_log(lambda r: r.get("status") == 400)
    assert record["refused_layer"] in ("parser", "limit") and record["why"]


# --- the table of answers -------------------------------------------------------------------


def hostile(data, pieces):
    def script(conn):
        if conn.read_request() is None:
            return
        for piece in ([data] if not pieces else [data[i:i + 1] for i in range(len(data))]):
            conn.send(piece)
    return script


@pytest.fixture(scope="module")
def responses():
    """One instance with one route to one origin, whose script each test sets."""
    from conftest import Origin, Portcullis, open_folder
    with open_folder() as folder:
        o = Origin(lambda conn: o.next(conn))
        p = Portcullis(f"rest 0s\nretry off\nsite * -> 127.0.0.1:{o.port}\n", folder)
        p.origin = o
        yield p
        p.stop()
        o.stop()
        assert not SANITIZER.search(p.stderr()), p.stderr()


# An origin's head may be larger than a client's: the rows about limits have cases of their own.
WITHIN = ("too many fields", "a line that is too long", "a status line that is too long")


@pytest.mark.parametrize("head,status", [
    (b"A: 1\r\n" * 199, 200), (b"A: 1\r\n" * 200, 502),
    (b"A: " + b"x" * (32 * 1024 - 3) + b"\r\n", 200), (b"A: " + b"x" * (32 * 1024 - 2) + b"\r\n", 502),
    ((b"A: " + b"x" * 30000 + b"\r\n") * 2, 200), ((b"A: " + b"x" * 30000 + b"\r\n") * 3, 502),
], ids=["fields", "fields+", "line", "line+", "size", "size+"])
def test_limits_of_an_answers_head(responses, head, status):
    responses.origin.next = hostile(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + head + b"\r\nhello", False)
    assert responses.get().status == status


def check_response(p, case, pieces):
    p.origin.next = hostile(case["bytes"].encode("latin-1"), pieces)
    wanted = statuses(case)
    got = []
    with p.connect() as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n")
        while not got or got[-1] < 200:
            answer = client.response()
            got.append(answer.status)
    assert got == wanted, answer.raw + answer.body
    if wanted == [502]:
        assert set(answer.json) == {"status", "error", "message", "reference"}
    elif wanted[-1] == 200:
        assert answer.body == b"hello"


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("case", [c for c in RESPONSES if c["name"] not in WITHIN],
                         ids=lambda c: c["name"])
def test_table_of_answers(responses, case, pieces):
    check_response(responses, case, pieces)


# --- connections ----------------------------------------------------------------------------

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


def test_pipelined_requests_are_answered_in_order(portcullis, origin):
    def script(conn):
        while (request := conn.read_request()) is not None:
            if request.target == b"/0":
                time.sleep(0.2)
            conn.answer(body=request.target)

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"".join(GET % b"/%d" % i for i in range(20)))
        assert [client.response().text for _ in range(20)] == [f"/{i}" for i in range(20)]


def test_pipelined_requests_with_bodies_are_told_apart(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                    b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"2\r\nde\r\n1\r\nf\r\n0\r\n\r\n" + GET % b"/c")
        got = [client.response().json for _ in range(3)]
    assert [(g["target"], g["body"]) for g in got] == [("/a", "abc"), ("/b", "def"), ("/c", "")]


def test_keep_alive_and_close(portcullis):
    p = portcullis('site * -> respond 200 "hello"')
    with p.connect() as client:
        for _ in range(5):
            assert client.send(GET % b"/").response().text == "hello"
        answer = client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").response()
        assert answer.header("connection") == "close"
        assert client.closed()


def test_an_idle_connection_is_closed(portcullis):
    p = portcullis('timeout idle 300ms\nsite * -> respond 200 "hello"')
    with p.connect() as client:
        client.send(GET % b"/").response()
        began = time.monotonic()
        assert client.closed()
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("more,keeps", [(b"", False), (b"Connection: keep-alive\r\n", True)])
def test_http_1_0(portcullis, origin, more, keeps):
    def script(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

    o = origin(script)
    p = portcullis(f"site * {{\n /own -> respond 200 own\n /* -> 127.0.0.1:{o.port}\n}}")
    with p.connect() as client:
        answer = client.send(b"GET /own HTTP/1.0\r\n" + more + b"\r\n").response()
        assert answer.text == "own"
        if not keeps:
            assert client.closed()
            return
        assert answer.header("connection") == "keep-alive"
        # A client of 1.0 knows no chunks: the end of the connection is the end of the body.
        answer = client.send(b"GET / HTTP/1.0\r\n" + more + b"\r\n").response()
        assert answer.header("transfer-encoding") is None
        assert answer.text == "hello"
        assert client.closed()


def test_absolute_form_is_forwarded_as_origin_form(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"GET http://x.test/a%2Fb?q HTTP/1.1\r\nHost: x.test\r\n\r\n").response()
    assert o.requests[0].target == b"/a%2Fb?q"
    assert o.requests[0].header("host") == "x.test"


def test_head_has_the_fields_of_get_and_no_body(portcullis, origin):
    def script(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

    o = origin(script)
    p = portcullis(f"site * {{\n /own -> respond 200 hello\n /* -> 127.0.0.1:{o.port}\n}}")
    with p.connect() as client:
        for path, length in ((b"/a", "1000"), (b"/own", "5"), (b"/b", "1000")):
            client.send(b"HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            answer = client.response(head_only=True)
            assert answer.status == 200 and answer.header("content-length") == length
    assert o.connections <= 2  # two threads


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_body(portcullis, origin, status):
    o = origin(lambda conn: [conn.send(b"HTTP/1.1 %d X\r\nETag: \"a\"\r\n\r\n" % status)
                             for _ in iter(conn.read_request, None)])
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        for _ in range(3):
            answer = client.send(GET % b"/").response()
            assert answer.status == status
            assert answer.header("transfer-encoding") is None
    assert o.connections == 1


def test_chunks_and_trailers_pass_in_both_directions(portcullis, origin):
    def script(conn):
        while conn.read_request(body=False) is not None:
            heard.append(conn.read_until(b"0\r\n") + conn.read_until(b"\r\n\r\n"))
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                      b"5\r\nhello\r\n0\r\nX-Sum: 42\r\nServer: secret\r\n\r\n")

    heard = []
    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        for _ in range(2):
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n"
                        b"Transfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n"
                        b"3;ext=1\r\nabc\r\n0\r\nX-Check: 7\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
            head = client.read_until(b"\r\n\r\n")
            assert b"X-Sum: 42" not in head  # never merged into the head
            rest = client.read_until(b"\r\n0\r\n") + client.read_until(b"\r\n\r\n")
            assert b"hello" in rest and b"X-Sum: 42\r\n" in rest and b"secret" not in rest
    for sent in heard:
        assert b"abc" in sent and b"ext=1" not in sent
        assert b"X-Check: 7\r\n" in sent and b"6.6.6.6" not in sent
    assert all(r.header("x-check") is None for r in o.requests)


# --- 100-continue and other interim answers -------------------------------------------------


def test_a_waiting_client_is_told_to_continue(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert client.response().status == 100
        client.send(b"hello")
        answer = client.response()
        assert answer.status == 200 and answer.json["body"] == "hello"
        assert client.send(GET % b"/next").response().json["target"] == "/next"


def test_a_client_that_does_not_wait_is_served(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
                    b"hello" + GET % b"/next")
        answer = client.response()
        while answer.status == 100:
            answer = client.response()
        assert answer.json["body"] == "hello"
        assert client.response().json["target"] == "/next"


def test_a_refusal_comes_instead_of_100(portcullis, origin):
    o = origin()
    p = portcullis(f"site * {{\n /* -> 127.0.0.1:{o.port} {{ body 1k }}\n}}")
    with p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                    b"Content-Length: 5000\r\n\r\n")
        assert client.response().status == 413
        assert client.closed()
    assert not o.requests


def test_an_origin_that_refuses_before_the_body(portcullis, origin):
    def script(conn):
        conn.read_request(body=False)
        conn.answer(403, b"no", reason="Forbidden")

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        answer = client.response()
        if answer.status == 100:  # an intermediary may answer itself (RFC 9110 10.1.1)
            answer = client.send(b"hello").response()
        assert answer.status == 403


def test_early_hints_pass(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        wait_for(lambda: seen, "the hint at the client")
        conn.answer(body="late")

    seen = []
    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        hint = client.send(GET % b"/").response()
        assert hint.status == 103 and hint.header("link") == "</a.css>; rel=preload"
        seen.append(hint)
        assert client.response().text == "late"


def test_interim_answers_are_kept_from_http_1_0(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        conn.answer(body="late")

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        assert client.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n").response().status == 200


def test_endless_interim_answers_end(portcullis, origin):
    def script(conn):
        conn.read_request()
        while True:
            conn.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)

    o = origin(script)
    p = portcullis(f"timeout answer 2s\nretry off\nsite * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(GET % b"/")
        while (answer := client.response()).status == 103:
            pass
        assert answer.status in (502, 504)


# --- limits, on both sides ------------------------------------------------------------------

LIMITS = 'head_limit line 1k fields 10 size 2k\nsite * { /* -> respond 200 "hello" }'


@pytest.mark.parametrize("length,status", [(1024, 200), (1025, 414)])
def test_limit_of_the_request_line(portcullis, length, status):
    p = portcullis(LIMITS)
    line = b"GET /" + b"x" * (length - len("GET / HTTP/1.1")) + b" HTTP/1.1"
    assert len(line) == length
    with p.connect() as client:
        client.send(line + b"\r\nHost: x\r\n\r\n")
        assert client.response().status == status
        assert status == 200 or client.closed()


@pytest.mark.parametrize("fields,status", [(10, 200), (11, 431)])
def test_limit_of_the_number_of_fields(portcullis, fields, status):
    p = portcullis(LIMITS)
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: 1\r\n" * (fields - 1) + b"\r\n")
        assert client.response().status == status
        assert status == 200 or client.closed()


@pytest.mark.parametrize("size,status", [(2048, 200), (2049, 431)])
def test_limit_of_the_size_of_the_head(portcullis, size, status):
    p = portcullis(LIMITS)
    head = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 900 + b"\r\nB: " + b"b" * 900 + b"\r\nC: "
    head += b"b" * (size - len(head) - 4) + b"\r\n\r\n"
    assert len(head) == size
    with p.connect() as client:
        client.send(head)
        assert client.response().status == status
        assert status == 200 or client.closed()


@pytest.mark.parametrize("size,status", [(1024, 200), (1025, 413)])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_limit_of_the_body(portcullis, origin, size, status, chunked):
    o = origin()
    p = portcullis(f"site * {{\n body 1k\n /* -> 127.0.0.1:{o.port}\n}}")
    body = b"x" * size
    with p.connect() as client:
        if chunked:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"%x\r\n%s\r\n0\r\n\r\n" % (size, body))
        else:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + body)
        assert client.response().status == status
        if status == 413 and chunked:
            assert client.closed()
        else:  # what is left of a short body is read and dropped
            assert client.send(GET % b"/next").response().status == 200
    assert [r.target for r in o.requests if r.target == b"/next"] == [b"/next"] * (not chunked or status == 200)


def test_a_slow_head_is_408(portcullis):
    p = portcullis('timeout head 500ms\nsite * -> respond 200 "hello"')
    with p.connect() as client:
        began = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\n")
        stop = threading.Event()

        def drip():
            try:
                while not stop.wait(0.1):
                    client.send(b"X: y\r\n")
            except OSError:
                pass

        thread = threading.Thread(target=drip)
        thread.start()
        assert client.response().status == 408
        stop.set()
        thread.join()
        assert 0.4 < time.monotonic() - began < 10
    assert p.wait_log(lambda r: r.get("status") == 408)


def test_a_slow_body_is_408(portcullis, origin):
    o = origin()
    p = portcullis(f"timeout body 500ms\nsite * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert client.response().status == 408
        assert client.closed()


def test_a_body_that_came_unasked_and_stops_is_408(portcullis, origin):
    """With a connection at hand the head goes out, and what of the body came with it, at once."""
    o = origin()
    p = portcullis(f"workers 1\ntimeout body 500ms answer 20s\nsite * -> 127.0.0.1:{o.port}")
    assert p.get().status == 200
    with p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\nhalf")
        assert client.response(timeout=10).status == 408
        assert client.closed()


def test_an_answer_that_does_not_come_is_504(portcullis, origin):
    o = origin(lambda conn: (conn.read_request(), conn.fill()))
    p = portcullis(f"timeout answer 500ms\nsite * -> 127.0.0.1:{o.port}")
    answer = p.get()
    assert answer.status == 504
    assert p.wait_log()["refused_by"]


def test_a_stream_that_stops_is_cut(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        conn.fill()

    o = origin(script)
    p = portcullis(f"timeout stream 500ms\nsite * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(GET % b"/")
        client.read_until(b"\r\n\r\n")
        assert client.read_all() == b"half"
    assert p.wait_log()["end"] == "origin-timed-out"


# --- an origin out of step ------------------------------------------------------------------


def test_an_early_answer_costs_the_origin_its_connection(portcullis, origin):
    def script(conn):
        while (request := conn.read_request(body=False)) is not None:
            conn.answer(body=request.target)
            if request.method == b"POST":
                time.sleep(0.2)  # bytes of the body may still come

    o = origin(script)
    p = portcullis(f"workers 1\nsite * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
        assert client.response().text == "/early"
    assert p.get("/next").text == "/next"
    assert o.connections == 2


def test_an_early_answer_outlives_the_reset_behind_it(portcullis, origin):
    def script(conn):
        conn.read_request(body=False)
        conn.answer(403, b"no" * 3000)  # and closes with most of the body unread: a reset

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    for _ in range(10):
        with p.connect() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n")
            with contextlib.suppress(OSError):
                for _ in range(200):
                    client.send(b"x" * 100000)
            answer = client.response()
            assert (answer.status, len(answer.body)) == (403, 6000)


@pytest.mark.parametrize("late", [False, True])
def test_bytes_behind_an_answer_cost_the_origin_its_connection(portcullis, origin, late):
    def script(conn):
        while (request := conn.read_request()) is not None:
            more = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison" if request.target == b"/a" else b""
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + request.target
            if late:
                conn.send(answer)
                time.sleep(0.1)
                conn.send(more)
                sent.set()
            else:
                conn.send(answer + more)

    sent = threading.Event()
    o = origin(script)
    p = portcullis(f"workers 1\nsite * -> 127.0.0.1:{o.port}")
    assert p.get("/a").text == "/a"
    if late:
        assert sent.wait(10)
    assert p.get("/b").text == "/b"
    assert o.connections == 2


def test_an_answer_cut_short_is_cut_at_the_client(portcullis, origin):
    def script(conn):
        request = conn.read_request()
        if request.target == b"/length":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        else:
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    for path in (b"/length", b"/chunked"):
        with p.connect() as client:
            client.send(GET % path)
            head = client.read_until(b"\r\n\r\n")
            rest = client.read_all()
            assert b"half" in rest
            # Neither the length is reached nor a last chunk sent: the client knows.
            assert b"0\r\n\r\n" not in rest
            assert b"Content-Length: 4" not in head
    assert p.wait_log(lambda r: r["path"] == "/chunked")["end"] == "origin-aborted"


def test_a_client_that_leaves_ends_the_request_at_the_origin(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.fill()
        gone.set()

    gone = threading.Event()
    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(GET % b"/")
        wait_for(lambda: o.requests, "the request")
        client.reset()
    assert gone.wait(10)
    assert p.wait_log()["end"] == "client-aborted"


def test_hop_by_hop_fields_stop_here(portcullis, origin):
    def script(conn):
        while conn.read_request() is not None:
            conn.answer(body="x", headers=[("Connection", "X-Hop"), ("X-Hop", "1"), ("X-End", "2"),
                                           ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "x")])

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\n"
                    b"Keep-Alive: 5\r\nTE: gzip, trailers\r\nProxy-Connection: y\r\nX-Public: 2\r\n"
                    b"Upgrade: h2c\r\nProxy-Authorization: z\r\n\r\n")
        answer = client.response()
    seen = o.requests[0]
    assert seen.header("x-public") == "2"
    for name in ("x-private", "keep-alive", "proxy-connection", "upgrade"):
        assert seen.header(name) is None, name
    assert answer.header("x-end") == "2"
    for name in ("x-hop", "keep-alive", "proxy-connection"):
        assert answer.header(name) is None, name


def test_fields_named_in_connection_do_not_remove_ours(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    p.get(headers=[("Connection", "X-Forwarded-For, X-Request-Id, Host")])
    seen = o.requests[0]
    assert seen.header("x-forwarded-for") == "127.0.0.1"
    assert seen.header("x-request-id")


# --- ends and hurries -----------------------------------------------------------------------


def test_a_client_that_has_said_all_still_gets_its_answer(portcullis, origin):
    def script(conn):
        conn.read_request()
        time.sleep(0.3)
        conn.answer(body="late")

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(GET % b"/")
        client.sock.shutdown(1)
        assert client.response().text == "late"
        assert client.closed()
    assert p.wait_log()["end"] == "complete"


def test_a_client_that_ends_in_its_body_is_no_request(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        client.sock.shutdown(1)
        client.read_all()
    assert p.wait_log()["end"] == "client-aborted"
    assert not o.requests  # the origin never got a whole one


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_a_refusal_is_read_by_a_client_that_is_still_sending(portcullis, origin, kind):
    """Closing at once would reset the connection and take the answer with it (RFC 9112 9.6)."""
    o = origin()
    p = portcullis("tls @CERTS@/localhost.pem @CERTS@/localhost.key\nhttp serve\nbody 1k\n"
                   f"site localhost -> 127.0.0.1:{o.port}")
    with (p.connect_tls() if kind == "tls" else p.connect()) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n")
        for _ in range(40):
            client.send(b"x" * 50000)
            time.sleep(0.001)
        assert client.response().status == 413
    assert not o.requests


def test_an_answer_before_the_body_reaches_a_client_that_is_still_sending(portcullis, origin):
    def script(conn):
        conn.read_request(body=False)
        conn.answer(422, b"too odd", reason="Odd")
        while conn.fill():
            conn.buffer = b""

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
        for _ in range(20):
            client.send(b"x" * 50000)
            time.sleep(0.002)
        assert client.response().status == 422


def test_a_get_with_a_body_is_forwarded_with_it(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + GET % b"/b")
        assert client.response().json["body"] == "abc"
        assert client.response().json["target"] == "/b"


def test_fields_pass_as_they_are(portcullis, origin):
    def script(conn):
        while conn.read_request() is not None:
            conn.answer(body="x", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT"),
                                           ("X-Latin", "caf\xe9"), ("X-Empty", ""), ("x-CaSe", "y")])

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nCookie: b=2\r\nX-Latin: caf\xe9\r\nX-Empty:\r\n"
                    b"X-Multi: 1\r\nX-Multi: 2\r\nX_Under: 1\r\nX-Last:  spaced \t \r\n\r\n")
        answer = client.response()
    seen = o.requests[0]
    assert [v for n, v in answer.headers if n.lower() == "set-cookie"] == [
        "a=1", "b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT"]
    assert answer.header("x-latin") == "caf\xe9" and answer.header("x-empty") == ""
    assert ("x-CaSe", "y") in answer.headers
    assert seen.header("x-latin") == "caf\xe9" and seen.header("x-multi") == "1, 2"
    assert seen.header("x-empty") == "" and seen.header("x-last") == "spaced"
    assert seen.header("cookie") in ("a=1; b=2", "a=1, b=2")
    assert seen.header("x_under") is None


def test_an_http_1_0_origin(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        for _ in range(3):
            answer = client.send(GET % b"/").response()
            assert answer.text == "until the end" and answer.header("transfer-encoding") == "chunked"
    assert o.connections == 3


def test_an_answer_until_a_reset_is_cut(portcullis, origin):
    """Without a length only a clean end says that the answer is whole."""
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        wait_for(lambda: seen, "the half at the client")
        conn.reset()

    seen = []
    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(GET % b"/")
        client.read_until(b"half")
        seen.append(True)
        assert b"0\r\n\r\n" not in client.read_all()


def test_a_thousand_requests_on_one_connection(portcullis, origin):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        for n in range(1000):
            assert client.send(GET % b"/%d" % n).response().json["target"] == f"/{n}"
    assert o.connections == 1


def test_two_hundred_connections_at_once(portcullis, origin):
    o = origin(lambda conn: [(time.sleep(0.05), conn.answer(body=r.target)) for r in iter(conn.read_request, None)])
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    clients = [p.connect() for _ in range(200)]
    for n, client in enumerate(clients):
        client.send(GET % b"/%d" % n)
    for n, client in enumerate(clients):
        assert client.response().text == f"/{n}"
        client.close()
    wait_for(lambda: p.status()["connections"]["now"] == 0, "all to be closed")
    assert p.status()["requests"]["now"] == 0


@sees_inside
def test_no_descriptor_is_lost(portcullis, origin):
    o = origin()
    p = portcullis(f"keepalive off\ntimeout idle 1s\nsite * -> 127.0.0.1:{o.port}")
    p.get()
    folder = f"/proc/{p.worker_pid()}/fd"

    def count():
        return len(os.listdir(folder))

    before = wait_for(count, "a count")
    for n in range(50):
        p.get(f"/{n}")
        with p.connect() as client:
            client.send(b"GET /x HTTP/1.1\r\nHost: x\r\n")
            client.reset()
        with p.connect() as client:
            client.send(b"nonsense\r\n\r\n")
            client.read_all()
        with p.connect() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab")
            client.reset()
    wait_for(lambda: count() <= before + 1, "the descriptors to be closed")


def test_the_times_of_a_record_begin_with_the_first_byte(portcullis):
    p = portcullis("timeout head 1s\nsite * -> respond 200 x")
    with p.connect() as client:
        client.send(b"GET /slow HT")
        time.sleep(0.3)
        client.send(b"TP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().status == 200
        client.send(b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().status == 200
    assert 250_000 < p.wait_log(lambda r: r.get("path") == "/slow")["head_us"] < 5_000_000
    assert p.wait_log(lambda r: r.get("path") == "/fast")["head_us"] < 250_000
    with p.connect() as client:
        assert client.send(b"GET /never HT").response().status == 408
    assert p.wait_log(lambda r: r["status"] == 408)["total_us"] > 900_000
