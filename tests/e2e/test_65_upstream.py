"""Upstreams: who is chosen, weights, backups, the cap on connections with its queue, drain."""
import collections
import contextlib
import os
import signal
import threading
import time

import pytest

from conftest import connect, free_port, wait_for


def named(name, hold=0.0):
    """An origin that answers with its name, after a while."""
    def script(conn):
        while conn.read_request() is not None:
            if hold:
                time.sleep(hold)
            conn.answer(body=name)
    return script


class Gate:
    """An origin whose requests wait until they are let go, and which counts them."""

    def __init__(self):
        self.lock, self.now, self.most, self.seen = threading.Lock(), 0, 0, []
        self.open = threading.Semaphore(0)

    def script(self, conn):
        while (request := conn.read_request()) is not None:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
                self.seen.append(request.target.decode())
            self.open.acquire()
            with self.lock:
                self.now -= 1
            conn.answer(body="let go")

    def let_go(self, count=1):
        self.open.release(count)


def upstream(*servers, words="", name="app"):
    lines = [f"server 127.0.0.1:{s}" if isinstance(s, int) else "server " + s for s in servers]
    return f"upstream {name} {{\n" + "\n".join(lines) + f"\n{words}\n}}\n"


SITE = "site * -> app\n"


def counts(p, requests, **more):
    return collections.Counter(p.get(**more).text for _ in range(requests))


def at_once(p, requests, clients):
    """So many requests by so many clients at a time: what they were answered with."""
    got, lock, left = [], threading.Lock(), iter(range(requests))

    def client():
        while True:
            with lock:
                if next(left, None) is None:
                    return
            answer = p.get()
            with lock:
                got.append(answer)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return got


# --- names ----------------------------------------------------------------------------------


def test_routes_of_several_sites_share_an_upstream(portcullis, origin):
    a, b = origin(named("a")), origin(named("b"))
    p = portcullis("workers 1\n" + upstream(a.port, b.port) +
                   "site one.example -> app\nsite two.example {\n/x -> app\n/y/* -> app\n}\n")
    got = [p.get("/", host="one.example").text, p.get("/x", host="two.example").text,
           p.get("/y/", host="two.example").text, p.get("/", host="one.example").text]
    assert got == ["a", "b", "a", "b"]
    origins = {o["origin"]: o for o in p.status()["origins"]}
    assert [origins[f"127.0.0.1:{o.port}"]["requests"] for o in (a, b)] == [2, 2]


def test_a_route_has_the_timeout_of_its_upstream_and_may_say_its_own(portcullis, origin):
    def silent(conn):
        while conn.read_request() is not None:
            pass
    o = origin(silent)
    p = portcullis(upstream(o.port, words="timeout answer 300ms") +
                   "site * {\n/short/* -> app\n/long/* -> app { timeout answer 1500ms }\n}\n")
    began = time.monotonic()
    assert p.get("/short/").status == 504
    assert 0.3 <= time.monotonic() - began < 1.4
    began = time.monotonic()
    assert p.get("/long/").status == 504
    assert time.monotonic() - began >= 1.5


def test_what_an_upstream_says_can_be_reloaded(portcullis, origin):
    a, b = origin(named("a")), origin(named("b"))
    p = portcullis("workers 1\n" + upstream(a.port) + SITE)
    assert counts(p, 4) == {"a": 4}
    assert p.reload("workers 1\n" + upstream(a.port, b.port, words="balance random") +
                    SITE).returncode == 0
    wait_for(lambda: p.get().text == "b", "the second origin")
    done = p.reload("workers 1\n" + upstream(a.port, b.port) + "site * -> apps\n")
    assert done.returncode != 0 and "did you mean 'app'?" in done.stderr + done.stdout


# --- shares ---------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_round_robin_follows_the_weights(portcullis, origin, workers):
    a, b, c = origin(named("a")), origin(named("b")), origin(named("c"))
    p = portcullis(f"workers {workers}\n" + upstream(
        f"127.0.0.1:{a.port} weight 5", f"127.0.0.1:{b.port} weight 3",
        f"127.0.0.1:{c.port}", words="balance round-robin") + SITE)
    got = counts(p, 180)
    # Each thread has a round of its own, which may end anywhere in it.
    assert abs(got["a"] - 100) <= workers and abs(got["b"] - 60) <= workers
    assert abs(got["c"] - 20) <= workers


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind, most", [("least-requests", 0.15), ("random", 0.30)])
def test_a_slow_origin_gets_less(portcullis, origin, kind, most, workers):
    slow, fast, other = (origin(named("slow", 0.25)), origin(named("fast", 0.01)),
                         origin(named("other", 0.01)))
    p = portcullis(f"workers {workers}\n" +
                   upstream(slow.port, fast.port, other.port, words=f"balance {kind}") + SITE)
    got = collections.Counter(r.text for r in at_once(p, 240, 8))
    assert sum(got.values()) == 240
    assert 1 <= got["slow"] <= most * 240  # round robin: 80
    assert min(got["fast"], got["other"]) > 70


def test_hash_client_keeps_each_client_at_its_origin(portcullis, origin):
    origins = [origin(named(str(n))) for n in range(3)]
    p = portcullis("workers 2\n" + upstream(*(o.port for o in origins),
                                            words="balance hash client") + SITE)
    homes = collections.Counter()
    for last in range(2, 42):
        got = set()
        for _ in range(3):
            with connect(p.port, source=f"127.0.0.{last}") as client:
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                got.add(client.response().text)
        assert len(got) == 1
        homes[got.pop()] += 1
    assert len(homes) == 3 and max(homes.values()) < 30


@pytest.mark.parametrize("kind, header", [
    ("header X-User", lambda key: {"X-User": key}),
    ("cookie sid", lambda key: {"Cookie": f"theme=dark; sid={key}"})])
def test_losing_an_origin_moves_only_its_keys(portcullis, origin, kind, header):
    origins = [origin(named(str(n))) for n in range(3)]
    ports = [o.port for o in origins]
    p = portcullis("workers 2\nrest 60s\nkeepalive off\n" +
                   upstream(*ports, words=f"balance hash {kind}") + SITE)
    keys = [f"user-{n}" for n in range(60)]

    def homes():
        return {key: p.get(headers=header(key)).text for key in keys}

    before = homes()
    assert homes() == before and set(before.values()) == {"0", "1", "2"}
    origins[1].stop()
    after = homes()
    moved = {key for key in keys if before[key] != after[key]}
    assert moved == {key for key in keys if before[key] == "1"}
    assert set(after.values()) == {"0", "2"}
    # Those who lack the key are told apart by their address: all of this one go to one origin.
    assert len({p.get().text for _ in range(6)}) == 1


def test_a_backup_is_asked_only_while_no_other_is_fit(portcullis, origin):
    port = free_port()
    backup = origin(named("backup"))
    p = portcullis("workers 1\nrest 300ms\nkeepalive off\n" +
                   upstream(port, f"127.0.0.1:{backup.port} backup") + SITE)
    assert counts(p, 5) == {"backup": 5}
    primary = origin(named("primary"), port=port)
    wait_for(lambda: p.get().text == "primary", "the primary")
    assert counts(p, 20) == {"primary": 20}
    primary.stop()
    assert counts(p, 5) == {"backup": 5}


def test_what_comes_back_begins_slowly(portcullis, origin):
    """10 s until both have grown; then one that has rested gets a tenth, and later its half."""
    port, other = free_port(), origin(named("other"))
    first = origin(named("first"), port=port)
    p = portcullis("workers 1\nrest 100ms\nkeepalive off\n" + upstream(port, other.port) + SITE)
    assert counts(p, 20)["first"] == 10
    time.sleep(10.2)
    assert counts(p, 20)["first"] == 10
    first.stop()
    assert counts(p, 4)["other"] == 4
    origin(named("first"), port=port)
    time.sleep(0.2)
    share = counts(p, 100)["first"]
    assert 3 <= share <= 25, share
    wait_for(lambda: counts(p, 20)["first"] >= 9, "the whole share", every=0.5)


# --- origins that fail ----------------------------------------------------------------------


def test_a_flapping_origin_costs_no_request(portcullis, processes):
    flapping, steady = processes(2)
    p = portcullis("workers 2\nrest 100ms\n" + upstream(
        flapping.port, steady.port, words="balance least-requests") + SITE)
    stop, failed, done = threading.Event(), [], [0]

    def client():
        while not stop.is_set():
            answer = p.get("/x")
            done[0] += 1
            if answer.status != 200:
                failed.append(answer.status)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(4):
        flapping.kill()
        time.sleep(0.15)
        flapping.start()
        time.sleep(0.25)
    stop.set()
    for t in threads:
        t.join()
    assert failed == [] and done[0] > 50


def test_a_lying_origin_rests_and_its_requests_are_told(portcullis, origin):
    def lie(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")
    liar, honest = origin(lie), origin(named("honest"))
    p = portcullis("workers 1\nrest 60s\n" + upstream(liar.port, honest.port) + SITE)
    got = [p.get().status for _ in range(10)]
    assert got.count(502) == 1 and got.count(200) == 9
    told = p.control("status").stdout
    record = p.wait_log(lambda r: r["status"] == 502)
    assert "state: resting" in told and f"why: {record['why']}" in told


def test_a_frozen_origin_holds_no_more_than_its_connections(portcullis, origin):
    """What it freezes is bounded: everybody else is served by the other at once."""
    def frozen(conn):
        conn.read_request()
        time.sleep(30)
    ice, good = origin(frozen), origin(named("good"))
    p = portcullis("workers 2\ntimeout answer 20s\n" +
                   upstream(ice.port, good.port, words="connections 3") + SITE)
    stuck = []
    with contextlib.ExitStack() as stack:
        wait_for(lambda: fill(p, stack, stuck, ice), "three requests that hang")
        began = time.monotonic()
        assert counts(p, 30) == {"good": 30}
        assert time.monotonic() - began < 5


def fill(p, stack, stuck, ice):
    client = stack.enter_context(p.connect())
    client.send(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
    stuck.append(client)
    with contextlib.suppress(TimeoutError):
        client.fill(0.3)
    return len(ice.requests) == 3


# --- connections ----------------------------------------------------------------------------


def send(p, stack, path):
    client = stack.enter_context(p.connect())
    client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def origin_of(p):
    return (p.status()["origins"] or [{}])[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_above_the_connections_requests_wait_and_above_the_queue_they_are_refused(
        portcullis, origin, workers):
    gate = Gate()
    o = origin(gate.script)
    p = portcullis(f"workers {workers}\n" + upstream(o.port, words="connections 2 queue 3") + SITE)
    with contextlib.ExitStack() as stack:
        clients = [send(p, stack, f"/{n}") for n in range(2)]
        wait_for(lambda: gate.now == 2, "two requests")
        clients += [send(p, stack, f"/{n}") for n in range(2, 5)]
        wait_for(lambda: origin_of(p).get("queued") == 3, "three in the queue")
        refused = p.get("/refused")
        assert refused.status == 503 and refused.header("retry-after")
        record = p.wait_log(lambda r: r["path"] == "/refused")
        assert record["refused_by"] == "connections" and "queue is full" in record["why"]
        gate.let_go(5)
        assert [c.response().status for c in clients] == [200] * 5
    assert gate.most == 2
    waited = p.wait_log(lambda r: r["path"] == "/4")
    assert any("queued" in str(d) for d in waited["stages"])
    assert origin_of(p)["in_use"] == 0 and "queued" not in origin_of(p)
    assert origin_of(p)["requests"] == 5  # also those that had waited


def test_the_queue_is_served_in_the_order_of_coming(portcullis, origin):
    gate = Gate()
    o = origin(gate.script)
    p = portcullis("workers 2\n" + upstream(o.port, words="connections 1 queue 20") + SITE)
    with contextlib.ExitStack() as stack:
        clients = []
        for n in range(10):
            clients.append(send(p, stack, f"/{n}"))
            wait_for(lambda n=n: gate.now == 1 and origin_of(p).get("queued", 0) == n, "its place")
        for client in clients:
            gate.let_go()
            assert client.response().status == 200
    assert gate.seen == [f"/{n}" for n in range(10)] and gate.most == 1


def test_who_waits_too_long_is_told_so(portcullis, origin):
    gate = Gate()
    o = origin(gate.script)
    p = portcullis(upstream(o.port, words="connections 1 queue 5 timeout 300ms") + SITE)
    with contextlib.ExitStack() as stack:
        first = send(p, stack, "/first")
        wait_for(lambda: gate.now == 1, "the first")
        began = time.monotonic()
        late = p.get("/late")
        assert late.status == 503 and late.header("retry-after")
        assert 0.3 <= time.monotonic() - began < 5
        gate.let_go()
        assert first.response().status == 200
    assert p.wait_log(lambda r: r["path"] == "/late")["refused_by"] == "connections"
    gate.let_go()
    assert p.get("/again").status == 200


def test_who_leaves_the_queue_gives_up_his_place(portcullis, origin):
    gate = Gate()
    o = origin(gate.script)
    p = portcullis("workers 2\n" + upstream(o.port, words="connections 1 queue 2") + SITE)
    with contextlib.ExitStack() as stack:
        first = send(p, stack, "/first")
        wait_for(lambda: gate.now == 1, "the first")
        leaver = send(p, stack, "/leaver")
        wait_for(lambda: origin_of(p).get("queued") == 1, "the second")
        last = send(p, stack, "/last")
        wait_for(lambda: origin_of(p).get("queued") == 2, "the third")
        leaver.reset()
        wait_for(lambda: origin_of(p).get("queued") == 1, "the leaver to be gone")
        gate.let_go(2)
        assert [first.response().status, last.response().status] == [200, 200]
    assert gate.seen == ["/first", "/last"]


def test_a_crowd_never_exceeds_the_cap_and_nobody_is_forgotten(portcullis, origin):
    lock, now, most = threading.Lock(), [0], [0]

    def script(conn):
        while conn.read_request() is not None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.01)
            with lock:
                now[0] -= 1
            conn.answer(body="ok")

    o = origin(script)
    p = portcullis("workers 2\n" + upstream(o.port, words="connections 3 queue 64") + SITE)
    got = at_once(p, 200, 16)
    assert [r.status for r in got] == [200] * 200
    assert 2 <= most[0] <= 3
    wait_for(lambda: origin_of(p)["in_use"] == 0, "all to be given back")


def test_a_waiting_request_goes_elsewhere_when_its_origin_is_drained(portcullis, origin):
    gate = Gate()
    a, b = origin(gate.script), origin(named("b", 1.0))
    p = portcullis("workers 1\n" + upstream(a.port, b.port, words="connections 1 queue 9") + SITE)
    with contextlib.ExitStack() as stack:
        first, second = send(p, stack, "/1"), send(p, stack, "/2")
        wait_for(lambda: gate.now == 1 and len(b.requests) == 1, "both to be busy")
        assert p.cli("drain", f"127.0.0.1:{a.port}", "-c", str(p.conf)).returncode == 0
        third = send(p, stack, "/3")
        gate.let_go()
        assert first.response().text == "let go"
        assert second.response().text == "b" and third.response().text == "b"
    assert gate.seen == ["/1"] or gate.seen == ["/2"]


# --- drain ----------------------------------------------------------------------------------


def drain(p, port, word="drain"):
    return p.cli(word, f"127.0.0.1:{port}", "-c", str(p.conf))


def state_of(p, port):
    return next((o["state"] for o in p.status()["origins"] if o["origin"].endswith(f":{port}")), None)


def test_a_drained_origin_finishes_and_gets_nothing_new(portcullis, origin):
    gate = Gate()
    a, b = origin(gate.script), origin(named("b"))
    p = portcullis("workers 2\n" + upstream(a.port, b.port) + SITE)
    with contextlib.ExitStack() as stack:
        under_way = send(p, stack, "/1")
        wait_for(lambda: gate.seen or b.requests, "either origin")
        if not gate.seen:
            assert under_way.response().text == "b"
            under_way = send(p, stack, "/2")  # on a connection of its own: perhaps the other thread
            wait_for(lambda: gate.seen or len(b.requests) == 2, "either origin")
        if not gate.seen:
            assert under_way.response().text == "b"
            under_way = send(p, stack, "/3")
            wait_for(lambda: gate.seen, "the gate")
        done = drain(p, a.port)
        assert done.returncode == 0 and "no new requests" in done.stdout
        assert counts(p, 20) == {"b": 20}
        assert state_of(p, a.port) == "drained" and state_of(p, b.port) == "up"
        assert "why: drained by the operator" in p.control("status").stdout
        gate.let_go()
        assert under_way.response().text == "let go"
    assert len(gate.seen) == 1
    assert "drained" in drain(p, a.port).stdout
    done = drain(p, a.port, "undrain")
    assert done.returncode == 0
    gate.let_go(1000)
    wait_for(lambda: p.get().text == "let go", "the origin to be back")
    assert drain(p, a.port, "undrain").returncode == 1


def test_a_drain_outlives_reloads_and_workers(portcullis, origin):
    a, b = origin(named("a")), origin(named("b"))
    text = "workers 2\n" + upstream(a.port, b.port) + SITE
    p = portcullis(text)
    assert drain(p, a.port).returncode == 0  # before any request has met it
    assert state_of(p, a.port) == "drained"
    assert counts(p, 10) == {"b": 10}
    assert p.reload(text + "timeout idle 50s\n").returncode == 0
    assert counts(p, 10) == {"b": 10}
    worker = p.worker_pid()
    os.kill(worker, signal.SIGKILL)
    assert counts(p, 10) == {"b": 10}
    assert p.worker_pid() != worker
    assert p.reload(text.replace("workers 2", "workers 1")).returncode == 0  # a fresh worker
    assert counts(p, 10) == {"b": 10}
    assert state_of(p, a.port) == "drained"
    assert drain(p, a.port, "undrain").returncode == 0
    wait_for(lambda: p.get().text == "a", "the origin to be back")


def test_when_all_origins_are_drained_the_answer_says_so(portcullis, origin):
    a = origin(named("a"))
    p = portcullis("workers 1\n" + upstream(a.port) + SITE)
    assert p.get().text == "a"
    assert drain(p, a.port).returncode == 0
    got = p.get("/none")
    assert got.status == 503 and got.header("retry-after")
    record = p.wait_log(lambda r: r["path"] == "/none")
    assert record["refused_by"] == "drain" and "drained" in record["why"]


def test_draining_what_is_no_origin_is_an_error(portcullis, origin):
    a = origin(named("a"))
    p = portcullis("workers 1\n" + upstream(f"http://127.0.0.1:{a.port}") + SITE)
    for wrong in ("127.0.0.1:1", "nonsense", "x\x1by", "a b"):
        done = p.cli("drain", wrong, "-c", str(p.conf))
        assert done.returncode == 1 and "no route has the origin" in done.stderr, wrong
        assert "\x1b" not in done.stderr
    typo = p.cli("drain", f"127.0.0.1:{a.port}0"[:-2] + "x", "-c", str(p.conf))
    assert "did you mean" in typo.stderr
    done = p.cli("drain", f"127.0.0.1:{a.port}", "-c", str(p.conf))  # http:// may be left out
    assert done.returncode == 0 and f"http://127.0.0.1:{a.port}: drained" in done.stdout
    assert p.get().status == 503
