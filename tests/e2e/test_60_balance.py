"""Towards the origin: several of them, stale connections, rests, TLS, sockets in the file system."""
import socket
import ssl
import threading
import time

import pytest

from conftest import connect, free_port, wait_for

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


def named(name):
    """An origin that answers with its name."""
    def script(conn):
        while conn.read_request() is not None:
            conn.answer(body=name)
    return script


def routes(*origins, block=""):
    return "site * {\n /* -> " + " ".join(f"127.0.0.1:{o if isinstance(o, int) else o.port}"
                                          for o in origins) + f" {{\n{block}\n}}\n}}\n"


# --- several origins ------------------------------------------------------------------------


def test_round_robin(portcullis, origin):
    origins = [origin(named(str(n))) for n in range(3)]
    p = portcullis("workers 1\n" + routes(*origins))
    got = [p.get().text for _ in range(9)]
    assert sorted(got) == sorted("012" * 3)
    assert got[:3] == got[3:6] == got[6:]


def test_a_dead_origin_is_skipped_and_nothing_fails(portcullis, origin):
    dead = free_port()
    live = origin(named("live"))
    p = portcullis("workers 1\nrest 60s\n" + routes(dead, live))
    assert [p.get().text for _ in range(10)] == ["live"] * 10
    wait_for(lambda: len(p.log_records()) == 10, "the records")
    # It was tried once, then it rested.
    assert sum(r["tries"] > 1 for r in p.log_records()) == 1


def test_a_post_goes_to_the_next_origin_where_nothing_was_sent(portcullis, origin):
    live = origin()
    p = portcullis(routes(free_port(), live))
    for _ in range(4):
        assert p.request("POST", "/", body="once").json["body"] == "once"
    assert len(live.requests) == 4


def test_a_rested_origin_is_tried_again(portcullis, origin):
    port = free_port()
    other = origin(named("other"))
    p = portcullis("workers 1\nrest 300ms\n" + routes(port, other))
    assert p.get().text == "other" and p.get().text == "other"
    origin(named("back"), port=port)
    wait_for(lambda: p.get().text == "back", "the origin to be used again")


def test_all_dead_is_a_502_and_all_are_tried(portcullis, origin):
    a, b = free_port(), free_port()
    p = portcullis("rest 60s\n" + routes(a, b))
    for _ in range(3):
        answer = p.get()
        assert answer.status == 502
        assert str(a) not in answer.text and "127.0.0.1" not in answer.text
    record = p.wait_log()
    assert record["refused_layer"] == "origin" and record["why"]
    origin(named("back"), port=a)
    wait_for(lambda: p.get().status == 200, "resting origins to be tried all the same")


def test_an_origin_that_breaks_off_costs_a_get_nothing(portcullis, origin):
    bad = origin(lambda conn: conn.read_request())
    good = origin(named("good"))
    p = portcullis("rest 0s\n" + routes(bad, good))
    assert [p.get().text for _ in range(6)] == ["good"] * 6


def test_an_origin_that_breaks_off_gets_a_post_once(portcullis, origin):
    a = origin(lambda conn: conn.read_request())
    b = origin(lambda conn: conn.read_request())
    p = portcullis(routes(a, b))
    assert p.request("POST", "/", body="x").status == 502
    assert len(a.requests) + len(b.requests) == 1


def test_retry_off(portcullis, origin):
    bad = origin(lambda conn: conn.read_request())
    good = origin(named("good"))
    p = portcullis("workers 1\nrest 0s\nretry off\n" + routes(bad, good))
    assert sorted(p.get().status for _ in range(4)) == [200, 200, 502, 502]


def test_a_connect_that_hangs_goes_to_the_next(portcullis, origin):
    # A queue of one that nobody takes from: further connects hang.
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fill = [socket.socket() for _ in range(3)]
    for s in fill:
        s.setblocking(False)
        s.connect_ex(full.getsockname())
    good = origin(named("good"))
    p = portcullis("timeout connect 300ms\nrest 60s\n" + routes(full.getsockname()[1], good))
    began = time.monotonic()
    assert [p.get().text for _ in range(4)] == ["good"] * 4
    assert time.monotonic() - began < 10
    for s in [*fill, full]:
        s.close()


# --- the pool -------------------------------------------------------------------------------


def test_connections_are_kept(portcullis, origin):
    o = origin(named("x"))
    p = portcullis("workers 1\n" + routes(o))
    for _ in range(20):
        p.get()
    assert o.connections == 1
    assert p.wait_log(lambda r: r.get("pooled"))


def test_keepalive_off_and_idle(portcullis, origin):
    o = origin(named("x"))
    p = portcullis("workers 1\nkeepalive off\n" + routes(o))
    for _ in range(3):
        p.get()
    assert o.connections == 3
    o = origin(named("x"))
    p = portcullis("workers 1\nkeepalive 4 idle 200ms\n" + routes(o))
    p.get()
    time.sleep(0.6)
    p.get()
    assert o.connections == 2


def test_an_origin_that_says_close_is_believed(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.answer(body="x", headers=[("Connection", "close")])

    o = origin(script)
    p = portcullis("workers 1\n" + routes(o))
    assert [p.get().status for _ in range(10)] == [200] * 10
    assert o.connections == 10


def closing_after(seconds):
    """An origin that drops idle connections without a word, as many do."""
    def script(conn):
        conn.sock.settimeout(seconds)
        while True:
            conn.sock.settimeout(seconds)
            try:
                if b"\r\n\r\n" not in conn.buffer and not conn.fill(seconds):
                    return
            except (TimeoutError, OSError):
                return
            if (request := conn.read_request()) is None:
                return
            conn.answer(body=request.target)
    return script


def test_an_origin_that_drops_idle_connections(portcullis, origin):
    o = origin(closing_after(0.25))
    p = portcullis("workers 1\nretry off\n" + routes(o))
    sent = 0
    with p.connect() as client:
        for pause in (0, 0.1, 0.2, 0.24, 0.245, 0.25, 0.255, 0.26, 0.3):
            time.sleep(pause)
            assert client.send(GET % b"/get").response().status == 200
            time.sleep(pause)
            client.send(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
            assert client.response().status in (200, 502)
            sent += 1
    assert sum(r.method == b"POST" for r in o.requests) <= sent
    assert not [r for r in p.log_records() if r["method"] == "GET" and r["status"] != 200]


@pytest.mark.parametrize("rude", [False, True], ids=["fin", "rst"])
def test_an_origin_that_closes_right_after_each_answer(portcullis, origin, rude):
    def script(conn):
        request = conn.read_request()
        if request is not None:
            conn.answer(body=request.target)
            if rude:
                time.sleep(0.002)
                conn.reset()

    o = origin(script)
    p = portcullis("workers 1\n" + routes(o))
    with p.connect() as client:
        for n in range(100):
            assert client.send(GET % b"/%d" % n).response().text == f"/{n}"
    seen = []
    for n in range(50):
        time.sleep(0.02)  # the end has come: the pool knows
        seen.append(p.request("POST", f"/post{n}", body="x").status)
    posts = [r.target for r in o.requests if r.method == b"POST"]
    assert len(posts) == len(set(posts)), "a POST was sent twice"
    assert seen == [200] * 50


def test_a_get_on_a_stale_connection_is_repeated(portcullis, origin):
    """The connection dies exactly when the second request is on it."""
    def script(conn):
        conn.read_request()
        conn.answer(body="first")
        if o.connections == 1:
            conn.read_request()  # taken, then dropped without an answer
        else:
            while conn.read_request() is not None:
                conn.answer(body="again")

    o = origin(script)
    p = portcullis("workers 1\n" + routes(o))
    assert p.get("/1").text == "first"
    assert p.get("/2").text == "first"  # on the second connection
    assert [r.target for r in o.requests] == [b"/1", b"/2", b"/2"]


def test_a_post_on_a_stale_connection_is_not_sent_twice(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.answer(body="first")
        conn.read_request()

    o = origin(script)
    p = portcullis("workers 1\n" + routes(o))
    assert p.get("/1").text == "first"
    answer = p.request("POST", "/2", body="x")
    posts = [r for r in o.requests if r.method == b"POST"]
    assert len(posts) == 1 and answer.status in (200, 502)


def test_authentication_of_a_connection_is_never_shared(portcullis, origin):
    """NTLM: who authenticated owns the origin's connection; a pool would give it to the next."""
    def script(conn):
        user = None
        while (request := conn.read_request()) is not None:
            user = user or request.header("authorization")
            if user is None:
                conn.answer(401, b"who?", [("WWW-Authenticate", "NTLM")], "Unauthorized")
            else:
                conn.answer(body=user)

    o = origin(script)
    p = portcullis("workers 1\n" + routes(o))
    clients = [p.connect() for _ in range(4)]
    for n, client in enumerate(clients):
        assert client.send(GET % b"/").response().status == 401
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: NTLM user%d\r\n\r\n" % n)
        assert client.response().text == f"NTLM user{n}"
    for n, client in enumerate(clients):
        assert client.send(GET % b"/").response().text == f"NTLM user{n}"
    for client in clients:
        client.close()
    for _ in range(5):
        assert p.get().status == 401


# --- where origins are ----------------------------------------------------------------------


def test_unix_sockets(portcullis, origin, folder):
    o = origin(path=folder / "app.sock")
    p = portcullis(f"site * -> unix:{folder}/app.sock\n")
    answer = p.get("/x", host="pub.test")
    assert answer.json["target"] == "/x" and o.requests[0].header("host") == "pub.test"
    assert p.wait_log()["origin"] == f"unix:{folder}/app.sock"


def test_localhost_is_both_families(portcullis, origin):
    o = origin(named("four"))
    p = portcullis(f"site * -> localhost:{o.port}\n")
    assert p.get().text == "four"


def test_a_name_that_does_not_resolve_is_a_warning_and_a_502(portcullis):
    p = portcullis("timeout connect 2s\nsite * {\n /up -> respond 200 up\n /* -> no-such-host.invalid:80\n}\n")
    assert p.returncode is None, p.stderr()
    assert p.get("/up").text == "up"
    answer = p.get("/x")
    assert answer.status == 502 and "no-such-host" not in answer.text
    assert "no-such-host.invalid" in p.wait_log(lambda r: r["status"] == 502)["origin"]
    wait_for(lambda: "no-such-host.invalid" in p.stderr(), "the warning")


def test_source_addresses(portcullis, origin):
    peers = []

    def script(conn):
        peers.append(conn.sock.getpeername()[0])
        while conn.read_request() is not None:
            conn.answer(body="x")

    o = origin(script)
    p = portcullis("source 127.0.0.9\nkeepalive off\n" + routes(o))
    p.get()
    assert peers == ["127.0.0.9"]


# --- TLS towards origins --------------------------------------------------------------------


def server_context(certs, name, client_ca=False):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(certs.cert(name), certs.key(name))
    if client_ca:
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(certs.ca)
    return c


@pytest.fixture
def tls_origin(origin, certs):
    if not certs.cert("app.test").exists():
        certs.make("app.test")
        certs.make("client")

    def make(name="localhost", **more):
        names = []
        context = server_context(certs, name, **more)
        context.sni_callback = lambda sock, sni, ctx: names.append(sni)
        o = origin(context=context)
        o.names = names
        return o
    return make


@pytest.mark.parametrize("name,words,status,sni", [
    ("localhost", "verify @CERTS@/ca.pem", 200, "localhost"),
    ("localhost", "", 502, "localhost"),  # the system knows nothing of our CA
    ("app.test", "verify @CERTS@/ca.pem", 502, "localhost"),  # another name
    ("app.test", "verify @CERTS@/ca.pem name app.test", 200, None),
    ("app.test", "insecure", 200, "localhost"),
    ("app.test", "insecure; sni app.test", 200, "app.test"),
    ("app.test", "verify @CERTS@/ca.pem name app.test; sni app.test", 200, "app.test"),
])
def test_an_origin_is_verified(portcullis, tls_origin, name, words, status, sni):
    o = tls_origin(name)
    p = portcullis(f"site * {{\n /* -> https://localhost:{o.port} {{ {words} }}\n}}\n")
    assert p.returncode is None, p.stderr()
    assert p.get().status == status
    if sni is not None:
        assert sni in o.names
    if status == 502:
        assert not o.requests
        assert "certificate" in str(p.wait_log()).lower()
    if "insecure" in words:
        assert "insecure" in p.stderr() or "not verified" in p.stderr()


def test_our_certificate_towards_the_origin(portcullis, tls_origin):
    o = tls_origin("localhost", client_ca=True)
    words = "verify @CERTS@/ca.pem\n"
    p = portcullis(words + f"site * -> https://localhost:{o.port}\n")
    assert p.get().status == 502
    p = portcullis(words + "cert @CERTS@/client.pem @CERTS@/client.key\n"
                   f"site * -> https://localhost:{o.port}\n")
    assert p.returncode is None, p.stderr()
    assert p.get().status == 200


def test_tls_connections_are_kept_and_told_apart(portcullis, tls_origin):
    o = tls_origin("localhost")
    p = portcullis("workers 1\nsite * {\n"
                   f" /a/* -> https://localhost:{o.port} {{ verify @CERTS@/ca.pem }}\n"
                   f" /b/* -> https://localhost:{o.port} {{ insecure; sni other.test }}\n}}\n")
    assert p.returncode is None, p.stderr()
    for _ in range(5):
        assert p.get("/a/").status == 200
        assert p.get("/b/").status == 200
    assert o.connections == 2
    assert set(o.names) == {"localhost", "other.test"}


# --- under load -----------------------------------------------------------------------------


def test_no_request_fails_while_an_origin_comes_and_goes(portcullis, origin):
    steady = origin(named("steady"))
    port = free_port()
    p = portcullis("rest 50ms\n" + routes(steady, port))
    over, failed, ended, count = threading.Event(), [], [], [0]

    def load():
        with p.connect() as client:
            while not over.is_set():
                status = client.send(GET % b"/").response().status
                count[0] += 1
                if status != 200:
                    failed.append(status)
        ended.append(True)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(4):
        comes = origin(named("comes"), port=port)
        time.sleep(0.2)
        comes.stop()
        time.sleep(0.1)
    over.set()
    for t in threads:
        t.join()
    assert not failed and len(ended) == 4 and count[0] > 100


def test_a_body_that_was_begun_is_not_sent_twice(portcullis, origin):
    """PUT may be repeated, but a body that has gone by is gone."""
    def script(conn):
        conn.read_request()
        conn.answer(body="first")
        conn.read_request(body=False)
        conn.read_exactly(100000)

    o = origin(script)
    good = origin(named("good"))
    p = portcullis("workers 1\n" + routes(o))
    assert p.get("/1").text == "first"
    answer = p.request("PUT", "/2", body=b"x" * 3_000_000)
    assert answer.status in (200, 502)
    assert all(len(r.body) in (0, 3_000_000) for r in o.requests + good.requests)


def test_the_forwarded_list_grows_behind_a_trusted_proxy(portcullis, origin):
    o = origin()
    p = portcullis(f"trusted_proxies 127.0.0.1\nsite * -> 127.0.0.1:{o.port}\n")
    p.get("/", headers=[("X-Forwarded-For", "1.1.1.1, 9.9.9.9"), ("X-Forwarded-Proto", "https"),
                        ("X-Forwarded-Host", "pub.test")])
    seen = o.requests[0]
    assert seen.header("x-forwarded-for") == "1.1.1.1, 9.9.9.9, 127.0.0.1"
    assert seen.header("x-forwarded-proto") == "https" and seen.header("x-forwarded-host") == "pub.test"


def test_an_ipv6_client_in_the_fields(portcullis, origin):
    o = origin()
    port = free_port("::1")
    p = portcullis(f"listen http://[::1]:{port}\nsite * -> 127.0.0.1:{o.port}\n")
    with connect(port, host="::1") as client:
        client.send(GET % b"/").response()
    seen = o.requests[0]
    assert seen.header("x-forwarded-for") == "::1" and 'for="[::1]"' in seen.header("forwarded")


def test_cookies_and_locations_of_a_stripped_route_with_the_origins_own_name(portcullis, origin):
    def script(conn):
        while conn.read_request() is not None:
            own = f"127.0.0.1:{o.port}"
            conn.answer(302, b"", [("Location", f"http://{own}/x"), ("Set-Cookie", "a=1; Domain=127.0.0.1; Path=/")],
                        "Found")

    o = origin(script)
    p = portcullis(f"site pub.test {{\n /app/* -> 127.0.0.1:{o.port} {{ strip; host origin }}\n}}\n")
    answer = p.get("/app/", host="pub.test")
    location = answer.header("location")
    assert location in ("/app/x", "http://pub.test/app/x", f"http://pub.test:{p.port}/app/x"), location
    assert "127.0.0.1" not in answer.header("set-cookie"), answer.header("set-cookie")
