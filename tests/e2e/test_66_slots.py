"""No connection to an origin is ever counted for good: clients, origins and reloads end everything at
any moment, and afterwards nothing is in use, nothing waits, and the origin is asked again."""
import contextlib
import os
import random
import threading
import time

import pytest

from conftest import wait_for

SECONDS = 4
HEAD = b"HTTP/1.1 200 OK\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


# --- what an origin may do to a request -------------------------------------------------------


def answers(conn, _):
    conn.answer(body="x" * random.choice((0, 5, 70_000)))
    return True


def is_slow(conn, _):
    time.sleep(random.random() / 20)
    conn.answer(body="slow")
    return True


def is_silent(conn, _):
    conn.fill(2)  # until the proxy has had enough of it


def resets(conn, _):
    conn.reset()


def breaks_off(conn, _):
    conn.send(HEAD + b"Content-Length: 100000\r\n\r\n" + b"y" * random.choice((0, 10, 50_000)))
    if random.random() < 0.5:
        conn.reset()


def lies(conn, _):
    conn.send(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")


def says_more(conn, _):
    conn.send(HEAD + b"Content-Length: 2\r\n\r\nok" + HEAD + b"Content-Length: 2\r\n\r\nno")
    return True


def informs(conn, _):
    conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * random.randrange(1, 20))
    conn.answer(body="informed")
    return True


def switches(conn, request):
    if not request.header("upgrade"):
        return answers(conn, request)
    conn.send(SWITCH + b"\r\n")
    while conn.fill(2) and random.random() < 0.8:
        conn.send(b"echo")


def binds(conn, _):
    conn.answer(401, headers=[("WWW-Authenticate", "NTLM")], body="who are you?")
    return True


def closes(conn, _):
    conn.answer(headers=[("Connection", "close")], body="bye")


DEEDS = [answers, answers, is_slow, is_slow, is_silent, resets, breaks_off, lies, says_more, informs,
         switches, binds, closes]


class Bad:
    def __init__(self):
        self.good = False

    def script(self, conn):
        with contextlib.suppress(ValueError):  # a body that was not read is no request
            while (request := conn.read_request(self.good or random.random() < 0.7)) is not None:
                if self.good:
                    conn.answer(body="well")
                elif not random.choice(DEEDS)(conn, request):
                    return


# --- what a client may do ---------------------------------------------------------------------


def request_bytes():
    more = random.choice((b"", b"", b"Connection: close\r\n", b"Expect: 100-continue\r\n",
                          b"Authorization: NTLM abc\r\n"))
    path = random.choice((b"/one", b"/two"))
    kind = random.randrange(6)
    if kind == 0:
        return (b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                % path) + b"frames"
    if kind == 1:
        body = b"b" * random.choice((1, 1000, 100_000))
        return b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s" % (
            path, more, len(body), body)
    if kind == 2:
        return (b"PUT %s HTTP/1.1\r\nHost: x\r\n%sTransfer-Encoding: chunked\r\n\r\n"
                b"5\r\nhello\r\n0\r\n\r\n" % (path, more))
    return b"%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (
        random.choice((b"GET", b"GET", b"HEAD")), path, more.replace(b"Expect: 100-continue\r\n", b""))


def visit(open_client):
    """One connection: some requests, often cut, then an end of any kind."""
    with open_client() as client:
        for _ in range(random.randrange(1, 4)):
            data = request_bytes()
            cut = random.random() < 0.2
            client.send(data[:random.randrange(1, len(data))] if cut else data)
            if random.random() < 0.3:
                break
            client.fill(random.choice((0.001, 0.02, 0.5)))
        if random.random() < 0.6:
            client.reset()


def crowd(open_client, until):
    while not until.is_set():
        with contextlib.suppress(OSError):
            visit(open_client)


# --- the test ---------------------------------------------------------------------------------


def text(workers, bad, round_of):
    """Two upstreams with caps of their own meet the same origins."""
    caps = ("connections 3 queue 4 timeout 100ms", "connections 2 queue 20 timeout 300ms", "",
            "connections 1 queue 2")[round_of % 4]
    idle = ("", "keepalive off\n")[round_of // 4 % 2]
    ports = [o.port for o in bad]
    return f"""workers {workers}
{idle}rest 50ms
timeout answer 150ms
upstream one {{
server 127.0.0.1:{ports[0]}
server 127.0.0.1:{ports[1]}
balance least-requests
{caps}
}}
upstream two {{
server 127.0.0.1:{ports[0]}
connections 2 queue 8 timeout 200ms
}}
site * {{
    http serve
    tls @CERTS@/localhost.pem @CERTS@/localhost.key
    /one -> one
    /two -> two
}}
"""


def reloads(p, conf_of, until):
    """Changes of the caps and of what is drained, one after the other."""
    round_of = 0
    while not until.wait(0.3):
        round_of += 1
        p.reload(conf_of(round_of))
        origin = f"127.0.0.1:{conf_of.port}"
        p.cli(("drain", "undrain")[round_of % 2], origin, "-c", str(p.conf))
    p.cli("undrain", f"127.0.0.1:{conf_of.port}", "-c", str(p.conf))


def nothing_held(p):
    origins = p.status()["origins"]
    return all(o["in_use"] == 0 and "queued" not in o for o in origins) and origins


@pytest.mark.parametrize("workers", [1, 2])
def test_no_slot_is_lost_whatever_ends_when(portcullis, origin, workers):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print("SEED", seed)
    random.seed(seed)
    scripts = [Bad(), Bad()]
    bad = [origin(s.script) for s in scripts]

    def conf_of(round_of):
        return text(workers, bad, round_of)
    conf_of.port = bad[0].port
    p = portcullis(conf_of(0))
    until = threading.Event()
    threads = [threading.Thread(target=crowd, args=(p.connect, until)) for _ in range(10)]
    threads += [threading.Thread(target=crowd, args=(p.connect_tls, until)) for _ in range(2)]
    threads += [threading.Thread(target=reloads, args=(p, conf_of, until))]
    worker = p.worker_pid()
    for t in threads:
        t.start()
    time.sleep(SECONDS)
    until.set()
    for t in threads:
        t.join()
    for s in scripts:
        s.good = True
    assert p.reload(conf_of(3)).returncode == 0
    assert len(p.log_lines()) > 200
    wait_for(lambda: nothing_held(p), "all slots to be given back")
    # Kept connections may still be in the hands of a deed: what is asked again is told by its body.
    for path in ("/one", "/two"):
        wait_for(lambda path=path: all(p.get(path).text == "well" for _ in range(5)),
                 "origins that are well")
    wait_for(lambda: nothing_held(p), "the last slots to be given back")
    assert p.worker_pid() == worker, p.stderr()


# --- connections that are bound to a client ---------------------------------------------------


WHO = [("WWW-Authenticate", "NTLM")]


def test_a_bound_connection_that_fails_may_be_followed_by_another_origin(portcullis, origin):
    """The first request of a connection is answered, within the second answer it breaks off."""
    def script(conn):
        conn.read_request()
        conn.answer(401, headers=WHO)
        conn.read_request()
        conn.send(HEAD + b"Content-Le")
    a, b = origin(script), origin(script)
    p = portcullis(f"workers 1\nsite * {{\n/* -> 127.0.0.1:{a.port} 127.0.0.1:{b.port}\n}}\n")
    worker = p.worker_pid()
    with p.connect() as client:
        for _ in range(2):
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response().status == 401
    assert [len(o.requests) for o in (a, b)] == [2, 1]
    assert p.worker_pid() == worker


def test_a_bound_connection_that_its_origin_closes_holds_no_slot(portcullis, origin):
    def script(conn):
        request = conn.read_request()
        conn.answer(401 if request.target == b"/bind" else 200,
                    headers=WHO if request.target == b"/bind" else ())
    o = origin(script)
    p = portcullis(f"workers 1\nupstream app {{\nserver 127.0.0.1:{o.port}\nconnections 1 queue 9\n}}\n"
                   "site * -> app\n")
    with p.connect() as client:
        client.send(b"GET /bind HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().status == 401
        wait_for(lambda: nothing_held(p), "its slot")
        assert p.get("/other").status == 200
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200
