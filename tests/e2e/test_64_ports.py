"""Local ports that run out: more connections to one origin than a local address has ports. In a
network namespace of its own, where the range has room for PORTS of them."""
import ctypes
import fcntl
import functools
import os
import socket
import struct
import threading

import pytest

from conftest import RawClient, free_port, wait_for

PORTS = 16
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1


def small_range(test):
    """Runs the test in a thread with a network of its own; what it starts inherits that."""
    @functools.wraps(test)
    def run(*args, **named):
        outcome = []

        def inside():
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                outcome.append(os.strerror(ctypes.get_errno()))
                return
            try:
                with socket.socket() as sock:
                    fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
                with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
                    file.write(f"40000 {40000 + PORTS - 1}")
                test(*args, **named)
                outcome.append(None)
            except BaseException as error:  # pylint: disable=broad-except
                outcome.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if isinstance(outcome[0], str):
            pytest.skip(f"no network namespace: {outcome[0]}")
        if outcome[0] is not None:
            raise outcome[0]
    return run


class Holding:
    """Answers no request before release is set, so that each needs a connection of its own."""

    def __init__(self, name="x"):
        self.release, self.name = threading.Event(), name

    def __call__(self, conn):
        while conn.read_request() is not None:
            self.release.wait(20)
            conn.answer(body=self.name)


IP_BIND_ADDRESS_NO_PORT = 24


def ask_at_once(p, count, request=lambda n: GET, net=1):
    """So many requests at a time, from addresses of their own: the port range is theirs as well,
    and a port that is bound before it is connected would be taken from everybody."""
    clients = []
    for n in range(count):
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.{net}.0.{n + 1}", 0))
        sock.connect(("127.0.0.1", p.port))
        clients.append(RawClient(sock).send(request(n)))
    return clients


def origin_of(p, port):
    return next(o for o in p.status()["origins"] if o["origin"].endswith(f":{port}"))


@small_range
def test_without_a_port_it_is_503_and_not_the_origins_failure(portcullis, origin):
    hold = Holding()
    o = origin(hold, port=free_port())
    p = portcullis(f"workers 1\nkeepalive off\nrest 60s\nsite * -> 127.0.0.1:{o.port}\n")
    clients = ask_at_once(p, PORTS + 10)
    wait_for(lambda: len(p.log_lines()) >= 10, "ten refusals")
    refused = p.log_records()
    assert {(r["status"], r["refused_by"]) for r in refused} == {(503, "no socket")}
    assert "no local port is free" in refused[0]["why"]
    known = origin_of(p, o.port)
    assert known["state"] == "up" and known["failed"] == 0 and known["no_local_port"] >= 10
    hold.release.set()
    assert sorted(c.response().status for c in clients) == [200] * PORTS + [503] * 10


@small_range
def test_further_source_addresses_have_further_ports(portcullis, origin):
    hold = Holding()
    o = origin(hold, port=free_port())
    p = portcullis("workers 1\nkeepalive off\nsource 127.0.0.2 127.0.0.3 127.0.0.4\n"
                   f"site * -> 127.0.0.1:{o.port}\n")
    clients = ask_at_once(p, 3 * PORTS)
    wait_for(lambda: len(o.requests) == 3 * PORTS, "all requests to reach the origin")
    hold.release.set()
    assert [c.response().status for c in clients] == [200] * 3 * PORTS
    wait_for(lambda: len(p.log_lines()) == 3 * PORTS, "the records")
    spread = [s.getpeername()[0] for s in o.open if s.fileno() >= 0]
    assert all(spread.count(ip) <= PORTS for ip in set(spread))


@small_range
def test_source_addresses_take_turns_before_one_is_empty(portcullis, origin):
    hold = Holding()
    o = origin(hold, port=free_port())
    p = portcullis("workers 1\nkeepalive off\nsource 127.0.0.2 127.0.0.3\n"
                   f"site * -> 127.0.0.1:{o.port}\n")
    clients = ask_at_once(p, PORTS)
    wait_for(lambda: len(o.requests) == PORTS, "all requests")
    peers = [s.getpeername()[0] for s in list(o.open)]
    assert sorted(set(peers)) == ["127.0.0.2", "127.0.0.3"]
    assert abs(peers.count("127.0.0.2") - peers.count("127.0.0.3")) <= 2
    hold.release.set()
    assert {c.response().status for c in clients} == {200}


@small_range
def test_where_ports_to_one_origin_have_run_out_the_next_is_asked(portcullis, origin):
    """Each destination has ports of its own; a POST, of which nothing was sent, goes on as well."""
    hold = Holding("a")
    one, two = origin(hold, port=free_port()), origin(Holding("b"), port=free_port())
    two.script = hold
    p = portcullis("workers 1\nkeepalive off\nretry off\nrest 60s\n"
                   f"site * {{ /a/* -> 127.0.0.1:{one.port}\n"
                   f"/* -> 127.0.0.1:{one.port} 127.0.0.1:{two.port} }}\n")
    first = ask_at_once(p, PORTS, lambda n: b"GET /a/ HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: len(one.requests) == PORTS, "all ports to the first to be in use")
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
    second = ask_at_once(p, PORTS, lambda n: GET if n % 2 else post, net=2)
    wait_for(lambda: len(two.requests) == PORTS, "the second to be asked")
    known = origin_of(p, one.port)
    assert known["state"] == "up" and known["failed"] == 0 and known["no_local_port"] > 0
    hold.release.set()
    assert {c.response().status for c in first + second} == {200}


@small_range
def test_a_check_without_a_port_is_no_failed_check(portcullis, origin):
    hold = Holding()
    o = origin(hold, port=free_port())
    p = portcullis("workers 1\nkeepalive off\n"
                   f"site * {{ /* -> 127.0.0.1:{o.port} {{ check tcp every 50ms fall 1 }} }}\n")
    clients = ask_at_once(p, PORTS + 4)
    wait_for(lambda: len(p.log_lines()) >= 4, "refusals")
    wait_for(lambda: origin_of(p, o.port).get("no_local_port", 0) >= 10, "checks without a port")
    assert "is down" not in p.stderr() and origin_of(p, o.port)["state"] == "up"
    hold.release.set()
    assert {c.response().status for c in clients} <= {200, 503}
