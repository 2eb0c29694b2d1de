"""Towards the origins: which one, over which connection, and what it is told."""
import threading
import time

import pytest

from conftest import wait_for


def test_host_origin_is_that_of_the_chosen_origin(portcullis, origin):
    one, two = origin(), origin()
    p = portcullis(f"""workers 1
        site * -> 127.0.0.1:{one.port} localhost:{two.port}
        host origin""")
    for _ in range(4):
        assert p.get("/").status == 200
    assert {r.header("host") for r in one.requests} == {f"127.0.0.1:{one.port}"}
    assert {r.header("host") for r in two.requests} == {f"localhost:{two.port}"}


@pytest.mark.parametrize("field, forwarded, xff", [
    (("X-Forwarded-For", "203.0.113.9"), "for=203.0.113.9, for=127.0.0.1;host=localhost;proto=http",
     "203.0.113.9, 127.0.0.1"),
    (("Forwarded", 'for="[2001:db8::5]"'), 'for="[2001:db8::5]", for=127.0.0.1;host=localhost;proto=http',
     "2001:db8::5, 127.0.0.1"),
    (("X-Forwarded-For", "garbage"), "for=127.0.0.1;host=localhost;proto=http", "garbage, 127.0.0.1"),
])
def test_the_client_stands_in_both_fields(portcullis, origin, field, forwarded, xff):
    o = origin()
    p = portcullis(f"trusted_proxies 127.0.0.1\nsite * -> 127.0.0.1:{o.port}")
    p.get("/", headers=[field])
    assert o.requests[0].header("forwarded") == forwarded
    assert o.requests[0].header("x-forwarded-for") == xff


def exchange(p, count, seen):
    """count requests on one connection, GET and POST in turn; the statuses that were not 200."""
    bad = {b"GET": 0, b"POST": 0}
    with p.connect() as client:
        for i in range(count):
            method = b"POST" if i % 2 else b"GET"
            body = b"Content-Length: 3\r\n\r\nabc" if i % 2 else b"\r\n"
            client.send(b"%s /%d-%d HTTP/1.1\r\nHost: x\r\n%s" % (method, threading.get_ident(), i, body))
            bad[method] += client.response().status != 200
            time.sleep((i % 5) * 0.003)
    seen.append(bad)


@pytest.mark.parametrize("idle_ms", [10, 0])
def test_origins_that_drop_idle_connections(portcullis, origin, idle_ms):
    """No GET fails, no POST is sent twice, and hardly a POST meets a connection that just closes."""
    def script(conn):
        while True:
            try:
                if not conn.buffer and not conn.fill(idle_ms / 1000 if served(conn) else 5):
                    return
            except TimeoutError:
                return
            if conn.read_request() is None:
                return
            conn.answer(body="ok")
            conn.served = True
            if idle_ms == 0:
                return

    def served(conn):
        return getattr(conn, "served", False)

    o = origin(script)
    p = portcullis(f"workers 1\nlog off\nsite * -> 127.0.0.1:{o.port}")
    results = []
    threads = [threading.Thread(target=exchange, args=(p, 125, results)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert sum(bad[b"GET"] for bad in results) == 0
    assert sum(bad[b"POST"] for bad in results) <= 5
    posts = [r.target for r in o.requests if r.method == b"POST"]
    assert len(posts) == len(set(posts))


def test_a_refused_connect_goes_to_the_next_and_rests(portcullis, origin):
    o, gone = origin(), origin()
    gone.stop()
    p = portcullis(f"workers 1\nsite * -> 127.0.0.1:{gone.port} 127.0.0.1:{o.port}")
    assert [p.request("POST", f"/{i}", body=b"x").status for i in range(6)] == [200] * 6
    assert len(o.requests) == 6
    wait_for(lambda: len(p.log_records()) == 6, "the records")
    assert [r["tries"] for r in p.log_records()].count(1) >= 5


def test_a_silent_origin_rests(portcullis, origin):
    def frozen(conn):
        conn.read_all()

    slow, o = origin(frozen), origin()
    p = portcullis(f"""workers 1
        site * {{
            /* -> 127.0.0.1:{slow.port} 127.0.0.1:{o.port} {{ timeout answer 300ms; rest 20s }}
        }}""")
    statuses = [p.request("POST", "/", body="x").status for _ in range(6)]
    assert sorted(statuses) == [200] * 5 + [504]


@pytest.mark.parametrize("path", ["/sets", "/other"])
def test_no_trailer_poses_as_a_field_of_ours(portcullis, origin, path):
    trailers = []

    def script(conn):
        conn.read_until(b"\r\n\r\n")
        trailers.append(conn.read_until(b"\r\n\r\n"))
        conn.answer()

    o = origin(script)
    p = portcullis(f"""site * {{
        /sets  -> 127.0.0.1:{o.port} {{ header request set X-User somebody }}
        /other -> 127.0.0.1:{o.port}
    }}""")
    with p.connect() as client:
        client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
                    "x-user: root\r\nX-Forwarded-For: 1.1.1.1\r\nX-Sum: 1\r\n\r\n".encode())
        assert client.response().status == 200
    assert trailers == [b"1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"]
