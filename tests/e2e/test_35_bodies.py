"""Bodies of any length in bounded memory, streams as they are sent."""
import hashlib
import random
import threading
import socket
import time

import pytest

from conftest import SANITIZED, wait_for

MIB = 1024 * 1024
# What the worker may grow by while a long body passes: buffers of the kernel are not in here.
# AddressSanitizer keeps 256 MiB of what was freed, and pages around it.
GROWTH_MAX = 24 * MIB if not SANITIZED else 600 * MIB


def rss(pid):
    for line in open(f"/proc/{pid}/status", encoding="utf-8"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Watch:
    """The most memory the worker had while the block ran."""

    def __init__(self, p):
        self.pid, self.most, self.over = p.worker_pid(), 0, threading.Event()

    def __enter__(self):
        self.before = rss(self.pid)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, rss(self.pid))

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.grown = self.most - self.before


BLOCK = random.Random(1).randbytes(MIB)


def digest(blocks):
    h = hashlib.sha256()
    for _ in range(blocks):
        h.update(BLOCK)
    return h.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "tls"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_200_mib_down_through_a_slow_client(portcullis, origin, kind, framing):
    blocks = 200

    def script(conn):
        conn.read_request()
        if framing == "length":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (blocks * MIB))
        else:
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(blocks):
            sent[0] = n
            conn.send(BLOCK if framing == "length" else b"%x\r\n%s\r\n" % (MIB, BLOCK))
        if framing == "chunked":
            conn.send(b"0\r\n\r\n")

    sent = [0]
    o = origin(script)
    p = portcullis(f"tls @CERTS@/localhost.pem @CERTS@/localhost.key\nhttp serve\n"
                   f"site localhost -> 127.0.0.1:{o.port}\n")
    with Watch(p) as watch, (p.connect_tls() if kind == "tls" else p.connect()) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = client.read_until(b"\r\n\r\n")
        time.sleep(0.5)
        assert sent[0] < 60  # the origin is held back while the client does not read
        h, left = hashlib.sha256(), blocks * MIB
        while left:
            if b"chunked" in head.lower():
                size = int(client.read_until(b"\r\n"), 16)
                h.update(client.read_exactly(size))
                left -= size
                client.read_exactly(2)
            else:
                size = min(left, MIB)
                h.update(client.read_exactly(size))
                left -= size
    assert h.hexdigest() == digest(blocks)
    assert watch.grown < GROWTH_MAX, f"{watch.grown >> 20} MiB"


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_200_mib_up_through_a_slow_origin(portcullis, origin, framing):
    blocks = 200

    def script(conn):
        conn.read_request(body=False)
        wait_for(lambda: slow, "the look at the client")
        h, left = hashlib.sha256(), blocks * MIB
        while left:
            if framing == "chunked":
                size = int(conn.read_until(b"\r\n"), 16)
                h.update(conn.read_exactly(size))
                left -= size
                conn.read_exactly(2)
            else:
                size = min(left, MIB)
                h.update(conn.read_exactly(size))
                left -= size
        conn.answer(body=h.hexdigest())

    slow, sent = [], [0]
    o = origin(script)
    p = portcullis(f"body off\nsite * -> 127.0.0.1:{o.port}\n")

    def upload(client):
        for n in range(blocks):
            sent[0] = n
            client.send(BLOCK if framing == "length" else b"%x\r\n%s\r\n" % (MIB, BLOCK))
        if framing == "chunked":
            client.send(b"0\r\n\r\n")

    with Watch(p) as watch, p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" +
                    (b"Content-Length: %d\r\n\r\n" % (blocks * MIB) if framing == "length"
                     else b"Transfer-Encoding: chunked\r\n\r\n"))
        thread = threading.Thread(target=upload, args=(client,))
        thread.start()
        time.sleep(0.5)
        assert sent[0] < 60  # the client is held back while the origin does not read
        slow.append(True)
        thread.join()
        assert client.response().text == digest(blocks)
    assert watch.grown < GROWTH_MAX, f"{watch.grown >> 20} MiB"


def test_many_clients_that_do_not_read_cost_little(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            conn.send(BLOCK)

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}\n")
    with Watch(p) as watch:
        clients = [p.connect() for _ in range(20)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for client in clients:
            client.read_until(b"\r\n\r\n")
        time.sleep(0.5)
    for client in clients:
        client.reset()
    assert watch.grown < GROWTH_MAX + 16 * MIB, f"{watch.grown >> 20} MiB"
    wait_for(lambda: len(p.log_records()) == 20, "the records")
    assert {r["end"] for r in p.log_records()} == {"client-aborted"}


def test_a_client_that_takes_nothing_is_ended(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            conn.send(BLOCK)

    o = origin(script)
    p = portcullis(f"timeout send 500ms\nsite * -> 127.0.0.1:{o.port}\n")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert p.wait_log()["end"] == "client-timed-out"
        assert len(client.read_all()) < 64 * MIB


def test_a_slow_reader_is_not_cut_as_long_as_it_takes_something(portcullis, origin):
    size = 24 * MIB

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        conn.send(BLOCK * 24)

    o = origin(script)
    p = portcullis(f"timeout send 700ms stream 700ms\nsite * -> 127.0.0.1:{o.port}\n")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_until(b"\r\n\r\n")
        for _ in range(8):
            client.read_exactly(2 * MIB)
            time.sleep(0.25)
        client.read_exactly(size - 16 * MIB)
    assert p.wait_log()["end"] == "complete"


@pytest.mark.parametrize("tls", [False, True])
def test_a_very_slow_reader_is_not_cut_though_its_socket_never_becomes_writable(portcullis, origin, tls):
    """A socket is writable once a third of its buffer is free: of megabytes, for such a reader, never."""
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            conn.send(BLOCK)

    o = origin(script)
    p = portcullis("tls @CERTS@/localhost.pem @CERTS@/localhost.key\nhttp serve\ntimeout send 3s\n"
                   f"site * -> 127.0.0.1:{o.port}\n")
    with (p.connect_tls() if tls else p.connect()) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(60):
            client.read_exactly(16384)
            time.sleep(0.1)
        assert p.log_records() == []
        assert p.wait_log()["end"] == "client-timed-out"  # once it takes nothing


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_server_sent_events_come_as_they_are_sent(portcullis, origin, kind):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(5):
            wait_for(lambda: len(seen) == n, "the event before")
            event = b"data: %d\n\n" % n
            conn.send(b"%x\r\n%s\r\n" % (len(event), event))
            if n == 2:
                time.sleep(1)  # longer than the timeouts of a body
        conn.send(b"0\r\n\r\n")

    seen = []
    o = origin(script)
    p = portcullis("tls @CERTS@/localhost.pem @CERTS@/localhost.key\nhttp serve\n"
                   f"timeout stream 400ms answer 400ms\nsite localhost -> 127.0.0.1:{o.port}\n")
    with (p.connect_tls() if kind == "tls" else p.connect()) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")
        assert b"content-encoding" not in client.read_until(b"\r\n\r\n").lower()
        for n in range(5):
            assert client.read_until(b"\n\n").endswith(b"data: %d\n\n" % n)
            seen.append(n)


def test_events_end_when_quiet_too_long(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        conn.fill()

    o = origin(script)
    p = portcullis(f"timeout quiet 600ms\nsite * -> 127.0.0.1:{o.port}\n")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_until(b"\n\n")
        began = time.monotonic()
        client.read_all()
        assert 0.4 < time.monotonic() - began < 10


def test_a_body_of_pieces_is_streamed_not_gathered(portcullis, origin):
    def script(conn):
        conn.read_request(body=False)
        for n in range(3):
            got.append(conn.read_until(b"piece%d" % n)[-6:])
        conn.read_until(b"0\r\n\r\n")
        conn.answer(body="done")

    got = []
    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}\n")
    with p.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(3):
            client.send(b"6\r\npiece%d\r\n" % n)
            wait_for(lambda: len(got) == n + 1, "the piece at the origin")
        client.send(b"0\r\n\r\n")
        assert client.response().text == "done"
    assert p.wait_log()["body_in"] == 18


def test_a_file_of_100_mib_costs_no_memory(portcullis):
    p = portcullis("site * -> files @DIR@/www\n", start=False)
    p.file("www/big.bin", BLOCK * 100)
    p.start()
    with Watch(p) as watch, p.connect() as client:
        client.send(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_until(b"\r\n\r\n")
        time.sleep(0.3)
        h = hashlib.sha256()
        for _ in range(100):
            h.update(client.read_exactly(MIB))
    assert h.hexdigest() == digest(100)
    assert watch.grown < GROWTH_MAX
