"""What runs out or jumps: descriptors, memory, disk, the clock; clients that leave; many reloads with much open."""
import asyncio
import contextlib
import os
import pathlib
import resource
import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from conftest import SANITIZED, ROOT, sees_inside, wait_for
from load import SECONDS, Client, Load, nothing_lost, nothing_twice, settle, tell

DAY = 24 * 3600


def conf(certs, target, front="", route="", more=""):
    return (f"workers 2\ntls {certs.cert('localhost')} {certs.key('localhost')}\nhttp serve\n{front}\n"
            f"site localhost {{\n /* -> {target} {{\n{route}\n }}\n}}\n{more}")


def at(o):
    return f"127.0.0.1:{o.port}"


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss_kb(pid):
    """What is resident of its own; pages shared with the supervisor by fork() are nobody's growth."""
    for line in open(f"/proc/{pid}/status", encoding="utf-8"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise AssertionError("no RssAnon")


def limit(pid, kind, soft):
    """A soft limit of a running process, set by its own user; answers the one before."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    uid = int(status.split("\nUid:")[1].split()[0])
    code = ("import resource, sys; pid, kind, soft = map(int, sys.argv[1:]); "
            "was, hard = resource.prlimit(pid, kind); "
            "resource.prlimit(pid, kind, (soft, hard)); print(was)")
    who = {"user": uid, "group": uid, "extra_groups": []} if uid != os.geteuid() else {}
    done = subprocess.run(["/usr/bin/python3", "-c", code, str(pid), str(kind), str(soft)], text=True,
                          capture_output=True, check=False, cwd="/", **who)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


# --- the log ----------------------------------------------------------------------------------


def log_goes_on(p, load, mend):
    """Drops are counted while it is full; afterwards records come again without help."""
    wait_for(lambda: p.status()["log_records_dropped"] > 0, "dropped records to be counted")
    before = p.status()["log_records_dropped"]
    settle(load)
    mend()
    mended = time.monotonic()

    def written():
        target = f"/after/{time.monotonic_ns()}"
        p.get(target)
        try:
            wait_for(lambda: target in p.log.read_text("utf-8"), timeout=1)
        except AssertionError:
            return False
        return True

    wait_for(written, "records to be written again")
    return before, time.monotonic() - mended


def test_a_log_that_may_not_grow(portcullis, certs, processes):
    (a,) = processes()
    p = portcullis(conf(certs, at(a)))
    worker = p.worker_pid()
    with Load(p, certs.ca) as load:
        before = limit(worker, resource.RLIMIT_FSIZE, p.log.stat().st_size)
        dropped, back = log_goes_on(p, load, lambda: limit(worker, resource.RLIMIT_FSIZE, before))
        settle(load)
    nothing_lost(load, processes.record)
    assert p.worker_pid() == worker
    tell("log at a limit of file sizes", dropped=dropped, back_s=round(back, 2), **load.figure())


def test_a_full_disk(portcullis, certs, processes, folder):
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k,mode=755", "tmpfs", disk],
                      capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        (a,) = processes()
        p = portcullis(conf(certs, at(a), front=f"log {disk}/access.log"), start=False)
        p.log = disk / "access.log"
        p.start()
        ballast = disk / "ballast"
        fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(4096))
        os.close(fd)
        with Load(p, certs.ca) as load:
            dropped, back = log_goes_on(p, load, ballast.unlink)
            settle(load, 0.5)
        nothing_lost(load, processes.record)
        tell("log disk full", dropped=dropped, back_s=round(back, 2), **load.figure())
        p.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


# --- descriptors, address space ------------------------------------------------------------------


@sees_inside
def test_descriptors_run_out_and_come_back(portcullis, certs, processes):
    (a,) = processes(mode="leave")
    p = portcullis(conf(certs, at(a)))
    worker = p.worker_pid()
    with Load(p, certs.ca, fresh=0) as load:
        settle(load, 0.5)
        limit(worker, resource.RLIMIT_NOFILE, fds(worker) + 20)
        # All at an origin that does not answer: none may be closed to make room for others.
        held = b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n"
        crowd = [socket.create_connection(("127.0.0.1", p.port), 30) for _ in range(100)]
        for s in crowd:
            s.sendall(held)
        p.wait_stderr("accepting pauses")
        settle(load)
        for s in crowd:
            leave(s)  # a FIN alone would mean that it still wants its answer
            s.close()
        freed = time.monotonic()
        wait_for(lambda: get_or_none(p) == 200, "to be served again")
        back = time.monotonic() - freed
        settle(load, 0.5)
    nothing_lost(load, processes.record, ("GET 503", "POST 503"))
    assert back < (5 if SANITIZED else 1), f"back after {back:.2f} s"
    assert p.worker_pid() == worker
    tell("descriptors run out", back_ms=round(back * 1000), **load.figure())


def stays_open(s):
    """A client's view: nothing has come, and no end."""
    s.setblocking(False)
    try:
        return s.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@sees_inside
def test_the_oldest_idle_connections_make_room_for_new_ones(portcullis, certs, processes):
    (a,) = processes(mode="leave")
    p = portcullis(conf(certs, at(a), front="timeout idle 60s\ntimeout head 60s"))
    worker = p.worker_pid()
    with Load(p, certs.ca) as load:
        settle(load, 0.5)
        held = [socket.create_connection(("127.0.0.1", p.port), 30) for _ in range(5)]
        for s in held:
            s.sendall(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: p.status()["requests"]["now"] >= 5, "requests to be held")
        before = limit(worker, resource.RLIMIT_NOFILE, fds(worker) + 60)
        crowd = []
        for _ in range(400):  # they say nothing
            crowd.append(socket.create_connection(("127.0.0.1", p.port), 30))
            time.sleep(0.002)
        p.wait_stderr("the connections idle for longest are closed")
        # The worker can still be told and asked: descriptors come with a new configuration.
        assert p.reload(conf(certs, at(a), front="timeout idle 61s\ntimeout head 60s")).returncode == 0
        asked = p.cli("explain", "GET", f"http://localhost:{p.port}/", "-c", str(p.conf))
        assert asked.returncode == 0, asked.stderr
        # Each of them holds its place for a second, so that all 400 take some time.
        wait_for(lambda: [stays_open(s) for s in crowd].count(False) > 300, "places to be given up")
        settle(load)
        alive = [stays_open(s) for s in crowd]
        half = len(alive) // 2
        assert alive[half:].count(True) > alive[:half].count(True), "the oldest go first"
        assert all(stays_open(s) for s in held), "a request was cut"
        limit(worker, resource.RLIMIT_NOFILE, before)
        for s in crowd + held:
            s.close()
    # Nobody who sends is quiet for long: of the load no connection was closed but by chance.
    nothing_lost(load, processes.record)
    assert p.worker_pid() == worker
    assert p.stderr().count("the connections idle for longest are closed") < 20
    tell("idle connections make room", kept=alive.count(True), closed=alive.count(False), **load.figure())


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's shadow memory is larger than any such limit")
def test_address_space_runs_out_and_comes_back(portcullis, certs, processes):
    (a,) = processes()
    p = portcullis(conf(certs, at(a), front="timeout head 60s\nlog off"))
    worker = p.worker_pid()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = []
    with Load(p, certs.ca, fresh=0) as load:
        settle(load, 0.5)
        size = int(pathlib.Path(f"/proc/{worker}/statm").read_text().split()[0]) * 4096
        before = limit(worker, resource.RLIMIT_AS, size)
        ended = select.poll()  # until many are turned away; each leaves a part of a head to be kept
        while len(ended.poll(0)) < 50:
            s = socket.create_connection(("127.0.0.1", p.port), 30)
            crowd.append(s)
            ended.register(s, select.POLLIN)
            with contextlib.suppress(OSError):
                s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: %s\r\n" % (b"x" * 7900) * 3)
        settle(load)
        for s in crowd:
            s.close()
        limit(worker, resource.RLIMIT_AS, before)
        freed = time.monotonic()
        wait_for(lambda: get_or_none(p) == 200, "to be served again")
        back = time.monotonic() - freed
        settle(load, 0.5)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # Who was on a connection for which there was no memory may have lost it.
    figure = load.figure()
    assert back < 1 and p.worker_pid() == worker
    nothing_twice(processes.record)
    assert len(load.lost) + sum(load.statuses.values()) < load.ok / 10, (load.lost_text(), load.statuses)
    tell("address space runs out", crowd=len(crowd), back_ms=round(back * 1000), **figure)


def get_or_none(p):
    try:
        return p.get("/again").status
    except (OSError, AssertionError):
        return None


# --- the clock ---------------------------------------------------------------------------------


@pytest.fixture
def clock(folder):
    """Moves the wall clock of what was started with .env."""
    if SANITIZED:
        pytest.skip("a sanitizer's library wants to be the first that is loaded")
    compiler = shutil.which("cc") or pytest.skip("no C compiler for the moved clock")
    library, offset = folder / "clock_shim.so", folder / "offset"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library,
                    ROOT / "tests" / "e2e" / "clock_shim.c", "-ldl"], check=True)
    offset.write_bytes(bytes(8))

    class Clock:
        env = {"LD_PRELOAD": str(library), "CLOCK_SHIM": str(offset)}

        def move(self, seconds):
            with open(offset, "r+b") as file:
                file.write(struct.pack("q", seconds))

    return Clock()


def test_the_clock_jumps_by_a_day_and_back(portcullis, certs, processes, clock):
    (a,) = processes()
    text = conf(certs, f"localhost:{a.port}", front="log @DIR@/access.log rotate 64k keep 3")
    p = portcullis(text, env=clock.env)
    context = ssl.create_default_context(cafile=str(certs.ca))

    def visit(session=None):
        with socket.create_connection(("127.0.0.1", p.tls_port), 30) as tcp:
            with context.wrap_socket(tcp, server_hostname="localhost", session=session) as tls:
                tls.sendall(b"GET /v HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert tls.recv(4096).startswith(b"HTTP/1.1 200")
                return tls.session, tls.session_reused

    session, _ = visit()
    reused, loads = [], []
    with Load(p, certs.ca) as load:
        for moved in (DAY, 0, -DAY, 0):
            clock.move(moved)
            settle(load)
            session_after, again = visit(session)  # a full handshake is fine, none is not
            reused.append(again)
            session, resumed = visit(session_after)
            assert resumed, "tickets of the clock as it is now are taken"
            p.get(f"/moved/{moved}")
            record = p.wait_log(lambda r: r["path"] == f"/moved/{moved}")
            seen = time.mktime(time.strptime(record["time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
            assert abs(seen - time.time() - moved) < 100
            rotated = (p.dir / "access.log.1").stat().st_mtime if (p.dir / "access.log.1").exists() else 0
            wait_for(lambda: (p.dir / "access.log.1").exists()
                     and (p.dir / "access.log.1").stat().st_mtime > rotated, "a rotation")
            assert p.reload(text + f"# {moved}\n").returncode == 0
            # Files from the future are no change that is read again and again.
            generation, end = p.status()["generation"], time.monotonic() + 3.5
            while time.monotonic() < end:
                loads.extend(children(p)[1:])
                time.sleep(0.002)
            assert p.status()["generation"] == generation
    nothing_lost(load, processes.record)
    assert len(set(loads)) <= 1, "the configuration is read over and over"
    began = time.monotonic()
    clock.move(-DAY)
    assert p.stop() == 0
    assert time.monotonic() - began < 5
    tell("clock jumps by a day and back", resumed=reused, **load.figure())


def test_names_are_looked_up_while_the_clock_jumps(portcullis, origin, clock):
    from test_62_names import Dns, may_mount, site, start, two_origins
    if not may_mount():
        pytest.skip("no mount namespace for a resolv.conf")
    dns = Dns()
    try:
        one, _ = two_origins(origin)
        dns.addresses = ["127.0.0.1"]
        p = start(portcullis, dns, site(one.port), env=clock.env)
        assert p.get().text == "one"
        took = []
        for n, moved in enumerate((DAY, 0, -DAY, 0)):
            clock.move(moved)
            dns.addresses = [f"127.0.0.{2 - n % 2}"]
            began = time.monotonic()
            wait_for(lambda n=n: p.get().text == ("two", "one")[n % 2], "the other address", 10)
            took.append(round(time.monotonic() - began, 2))
    finally:
        dns.stop()
    tell("names looked up while the clock jumps", seconds=took)


def children(p):
    with open(f"/proc/{p.pid}/task/{p.pid}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


# --- WebSockets --------------------------------------------------------------------------------


def test_fifty_websockets_across_twenty_reloads(portcullis, certs):
    websockets = pytest.importorskip("websockets")

    async def echo(ws, path=None):
        async for message in ws:
            await ws.send(message)

    async def run():
        server = await websockets.serve(echo, "127.0.0.1", 0, ping_interval=None)
        port = server.sockets[0].getsockname()[1]
        text = conf(certs, f"127.0.0.1:{port}")
        p = await asyncio.to_thread(portcullis, text)
        context = ssl.create_default_context(cafile=str(certs.ca))
        clients = []
        for n in range(50):
            tls = n % 2 == 1
            clients.append(await websockets.connect(
                f"wss://localhost:{p.tls_port}/" if tls else f"ws://localhost:{p.port}/",
                host="127.0.0.1", ping_interval=None, **({"ssl": context} if tls else {})))
        sent = 0
        for n in range(20):
            done = await asyncio.to_thread(p.reload, conf(certs, f"127.0.0.1:{port}",
                                                          front=f"header response set X-N {n}"))
            assert done.returncode == 0, done.stderr
            for client in clients:
                await client.send(f"{n}")
            for client in clients:
                assert await asyncio.wait_for(client.recv(), 30) == f"{n}"
                sent += 1
        for client in clients:
            await client.close()
        server.close()
        return sent

    sent = asyncio.run(run())
    tell("50 WebSockets across 20 reloads", messages=sent, lost=0)


# --- clients that leave --------------------------------------------------------------------------


def leave(sock):
    """Closing it will be a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def abort(p, certs, n):
    """A client that leaves in phase n % 10, with a FIN or a RST."""
    tls = n % 3 == 0
    phase = n % 10
    sock = socket.create_connection(("127.0.0.1", p.tls_port if tls else p.port), 30)
    try:
        if phase == 0:  # before a byte
            return
        if tls and phase == 1:  # in the handshake
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            return
        if tls:
            context = ssl.create_default_context(cafile=str(certs.ca))
            sock = context.wrap_socket(sock, server_hostname="localhost")
        body = b"b" * 100000
        head = b"POST /hang HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        if phase <= 2:  # in the head
            sock.sendall(head[:30])
        elif phase == 3:  # behind the head
            sock.sendall(head)
        elif phase == 4:  # in the body
            sock.sendall(head + body[:5000])
        elif phase == 5:  # while the origin works
            sock.sendall(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.002)
        elif phase == 6:  # in the answer
            sock.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.recv(1000)
        elif phase == 7:  # in the answer, half closed
            sock.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if not tls:
                sock.shutdown(socket.SHUT_WR)
            sock.recv(1000)
        elif phase == 8:  # between two requests
            sock.sendall(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.recv(1000)
        elif phase == 9:  # with more requests behind
            sock.sendall(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
    finally:
        if n // 10 % 2:
            leave(sock)
        sock.close()


@sees_inside
def test_three_thousand_aborts_leak_nothing(portcullis, certs, processes):
    (a,) = processes(mode="leave")
    p = portcullis(conf(certs, at(a), front="log off\ntimeout answer 1s").replace(
        "site localhost {", "site localhost {\n /warm -> respond 200 warm\n"))
    worker = p.worker_pid()
    for _ in range(16):  # the records that are kept in memory, which are 10,000, have taken their room
        with p.connect() as client:
            client.send(b"GET /warm HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
            for _ in range(2000):
                client.response()

    def rounds(first, last):
        failed = []

        def some(start):
            for n in range(first + start, last, 4):
                try:
                    abort(p, certs, n)
                except OSError as error:
                    failed.append((n, error))
        threads = [threading.Thread(target=some, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed, failed[:5]
        wait_for(lambda: p.status()["connections"]["now"] == 0, "all connections to be gone")

    rounds(0, 1500)
    memory, descriptors = rss_kb(worker), fds(worker)
    rounds(1500, 3000)
    rounds(3000, 4500)
    after = rss_kb(worker)
    assert p.worker_pid() == worker
    # Idle connections to the origin stay; the pool holds 64 for each thread.
    wait_for(lambda: fds(worker) <= descriptors + 8, "descriptors to be closed")
    if not SANITIZED:
        assert after <= memory * 1.05 + 512, f"{memory} kB became {after} kB"
    assert p.get("/small").status == 200
    tell("3000 aborts behind 1500 others", kb_before=memory, kb_after=after, fds_before=descriptors,
         fds_after=fds(worker))


def test_memory_after_twenty_reloads_with_a_hundred_requests_held(portcullis, certs, processes):
    (a,) = processes(mode="leave")
    sites = "".join(f"site s{n}.test -> 127.0.0.1:{a.port}\n" for n in range(500))
    p = portcullis(conf(certs, at(a), more=sites))
    worker = p.worker_pid()
    context = ssl.create_default_context(cafile=str(certs.ca))
    held = []
    for n in range(100):
        client = Client(p.tls_port if n % 2 else p.port, context if n % 2 else None)
        client.open()
        client.sock.sendall(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
        held.append(client)
    wait_for(lambda: p.status()["requests"]["now"] == 100, "all at the origin")
    before = rss_kb(worker)
    for n in range(20):
        done = p.reload(conf(certs, at(a), more=sites, front=f"header response set X-N {n}"))
        assert done.returncode == 0, done.stderr
    if not SANITIZED:  # configurations are swept once a second
        wait_for(lambda: rss_kb(worker) <= 1.2 * before, "memory to be given back", timeout=5)
    after = rss_kb(worker)
    assert p.worker_pid() == worker
    for client in held:
        leave(client.sock)
        client.close()
    wait_for(lambda: p.status()["connections"]["now"] == 0, "the end of those held")
    tell("20 reloads with 100 requests held", kb_before=before, kb_after=after,
         ratio=round(after / before, 3))
