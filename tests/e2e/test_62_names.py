"""Origins that are names: looked up again by TTL without a reload, against a DNS server that fails,
lies and changes its mind. The program is given a resolv.conf of its own by a mount namespace."""
import os
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import BINARY, free_port, wait_for

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
NAME = "app.test"


def may_mount():
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="no mount namespace for a resolv.conf")


class Dns:
    """Answers every A question by .addresses with .ttl, or misbehaves as .manner says."""

    def __init__(self):
        self.addresses, self.ttl, self.manner, self.asked = [], 1, "good", 0
        self.port = free_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve_udp, daemon=True).start()
        threading.Thread(target=self._serve_tcp, daemon=True).start()

    def _message(self, query, manner):
        ident, = struct.unpack("!H", query[:2])
        end = query.index(b"\0", 12) + 5
        question = query[12:end]
        kind, = struct.unpack("!H", query[end - 4:end - 2])
        name = b"\xc0\x0c"
        if manner == "other id":
            ident ^= 0x5555
        if manner == "other question":
            question = b"\x05other\x04test\0" + question[-4:]
        if manner == "other owner":
            name = b"\x05other\x04test\0"
        records = b""
        count = 0
        if kind == 1 and manner not in ("gone", "failed", "empty"):
            for address in self.addresses:
                data = socket.inet_aton(address)
                records += name + struct.pack("!HHIH", 1, 1, self.ttl, len(data)) + data
                count += 1
        if manner == "cut short":
            records = records[:-3]
        code = {"gone": 3, "failed": 2}.get(manner, 0)
        flags = 0x8180 | code
        if manner == "truncated":
            flags, records, count = flags | 0x0200, b"", 0
        return struct.pack("!HHHHHH", ident, flags, 1, count, 0, 0) + question + records

    def _serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(2048)
            except OSError:
                return
            self.asked += 1
            if self.manner == "silent":
                continue
            if self.manner == "nonsense":
                self.udp.sendto(query[:2] + os.urandom(60), peer)
            elif self.manner == "lies first":
                for lie in ("other id", "other question"):
                    self.udp.sendto(self._message(query, lie), peer)
                self.udp.sendto(self._message(query, "good"), peer)
            else:
                self.udp.sendto(self._message(query, self.manner), peer)

    def _serve_tcp(self):
        while True:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_tcp_queries, args=(sock,), daemon=True).start()

    def _serve_tcp_queries(self, sock):
        with sock, sock.makefile("rb") as stream:
            while size := stream.read(2):
                self.asked += 1
                answer = self._message(stream.read(struct.unpack("!H", size)[0]), "good")
                sock.sendall(struct.pack("!H", len(answer)) + answer)

    def stop(self):
        self.udp.close()
        self.tcp.close()


@pytest.fixture
def dns():
    server = Dns()
    yield server
    server.stop()


def start(portcullis, dns, text, **more):
    """An instance whose /etc/resolv.conf names the server above and nobody else."""
    p = portcullis(text, start=False, **more)
    resolv = p.file("resolv.conf", f"nameserver 127.0.0.1:{dns.port}\noptions timeout:1 attempts:1\n")
    p.stderr_file = open(p.dir / "stderr", "ab")
    p.process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"',
         "sh", str(resolv), BINARY, "run", "-c", str(p.conf)],
        stdin=subprocess.DEVNULL, stdout=p.stderr_file, stderr=p.stderr_file, cwd=p.dir,
        env={**os.environ, **p.env})
    p.wait_stderr("serving ")
    return p


def two_origins(origin, keep=True):
    """Two servers on one port of 127.0.0.1 and 127.0.0.2 that answer with their number."""
    def named(name):
        def script(conn):
            while conn.read_request() is not None:
                conn.answer(body=name, headers=[] if keep else [("Connection", "close")])
        return script
    one = origin(named("one"))
    return one, origin(named("two"), host="127.0.0.2", port=one.port)


def site(port, settings=""):
    return f"workers 1\n{settings}\nsite * -> {NAME}:{port}\n"


def names_in_log(p, words):
    return p.stderr().count(words)


def test_an_address_that_changes_is_followed_without_a_reload(portcullis, origin, dns):
    """Also by connections that are kept: those to the address that has vanished go by themselves."""
    one, _ = two_origins(origin)
    dns.addresses = ["127.0.0.1"]
    p = start(portcullis, dns, site(one.port, "keepalive 4 idle 60s"))
    assert p.get().text == "one"
    dns.addresses = ["127.0.0.2"]
    # Without a request: the idle connection is closed when the TTL is over.
    wait_for(lambda: not [s for s in one.open if s.fileno() >= 0], "the idle connection to go", 5)
    assert p.get().text == "two"


def test_under_load_a_change_of_address_costs_nothing(portcullis, origin, dns):
    one, two = two_origins(origin)
    dns.addresses = ["127.0.0.1"]
    p = start(portcullis, dns, site(one.port))
    answers, errors, going = [], [], True

    def client(kept):
        conn = None
        while going:
            try:
                conn = conn or p.connect()
                answer = conn.send(GET).response()
                answers.append((answer.status, answer.text))
                if not kept:
                    conn = conn.close()
            except (OSError, AssertionError) as error:
                errors.append(error)
                conn = None
            time.sleep(0.002)

    threads = [threading.Thread(target=client, args=(n % 2 == 0,)) for n in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(answers) > 200, "some answers")
    dns.addresses = ["127.0.0.2"]
    wait_for(lambda: set(answers[-50:]) == {(200, "two")}, "the new address alone", 10)
    one.stop()  # nobody needs it any more
    seen = len(answers)
    wait_for(lambda: len(answers) > seen + 200, "more answers")
    going = False
    for thread in threads:
        thread.join()
    assert not errors and {status for status, _ in answers} == {200}


@pytest.mark.parametrize("manner", ["silent", "failed", "nonsense"])
def test_while_the_dns_fails_the_last_good_answer_stands(portcullis, origin, dns, manner):
    one, _ = two_origins(origin, keep=False)
    dns.addresses = ["127.0.0.1"]
    p = start(portcullis, dns, site(one.port))
    assert p.get().text == "one"
    dns.manner = manner
    end, slowest = time.monotonic() + 7, 0
    while time.monotonic() < end:
        began = time.monotonic()
        assert p.get().text == "one"
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.05)
    assert slowest < 0.8  # one look waits for RESOLVER_STALE_MS, then nobody
    dns.manner, dns.addresses = "good", ["127.0.0.2"]
    wait_for(lambda: p.get().text == "two", "the DNS to be believed again", 10)
    assert names_in_log(p, f"{NAME} cannot be looked up") == 1
    assert names_in_log(p, f"{NAME} resolves again") == 1


@pytest.mark.parametrize("manner", ["gone", "empty"])
def test_a_name_that_is_gone_is_gone_until_it_is_back(portcullis, origin, dns, manner):
    one, _ = two_origins(origin)
    dns.addresses = ["127.0.0.1"]
    p = start(portcullis, dns, site(one.port))
    assert p.get().text == "one"
    dns.manner = manner
    wait_for(lambda: p.get().status == 502, "the name to be gone, for kept connections too", 10)
    assert p.wait_log(lambda r: r["status"] == 502)["refused_by"] == "origin name"
    dns.manner = "good"
    wait_for(lambda: p.get().status == 200, "the name to be back", 10)
    assert names_in_log(p, f"{NAME} is gone") == names_in_log(p, f"{NAME} resolves again") == 1


@pytest.mark.parametrize("ttl", [0, 1, 2**31 - 1, 2**32 - 1])
def test_any_ttl_is_served(portcullis, origin, dns, ttl):
    """0 is a second, so that no request pays for a look-up of its own; huge ones are five minutes
    (the unit test of the resolver); none is a flood of questions."""
    one, _ = two_origins(origin, keep=False)
    dns.addresses, dns.ttl = ["127.0.0.1"], ttl
    p = start(portcullis, dns, site(one.port))
    assert p.get().text == "one"
    asked = dns.asked
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert p.get().text == "one"
    assert dns.asked - asked <= (8 if ttl < 2 or ttl >= 2**31 else 0)


@pytest.mark.parametrize("manner", ["lies first", "truncated"])
def test_what_is_true_is_found_behind_lies_and_cuts(portcullis, origin, dns, manner):
    """Answers of another id or to another question are passed over; cut ones are asked over TCP."""
    one, _ = two_origins(origin)
    dns.addresses, dns.manner = ["127.0.0.1"], manner
    p = start(portcullis, dns, site(one.port))
    assert p.get().text == "one"


@pytest.mark.parametrize("manner", ["other id", "other question", "other owner", "cut short",
                                    "nonsense"])
def test_a_lie_alone_is_no_answer(portcullis, origin, dns, manner):
    one, _ = two_origins(origin)
    dns.addresses, dns.manner = ["127.0.0.1"], manner
    p = start(portcullis, dns, site(one.port))
    assert p.get().status == 502
    assert not one.requests
    dns.manner = "good"
    wait_for(lambda: p.get().status == 200, "the truth", 10)
