"""Origins that fail: checks, rests, retries and their budget, names that change, ports that run out.
No request is lost that could be saved, and what cannot be saved is answered soon."""
import socket
import threading
import time

from conftest import RawClient, free_port, wait_for

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


def named(name):
    """An origin that answers with its name."""
    def script(conn):
        while conn.read_request() is not None:
            conn.answer(body=name)
    return script


def routes(*origins, block=""):
    return "site * {\n /* -> " + " ".join(
        o if isinstance(o, str) else f"127.0.0.1:{o if isinstance(o, int) else o.port}"
        for o in origins) + f" {{\n{block}\n}}\n}}\n"


class Load:
    """Kept-alive clients that ask one request after the other until stop(); .statuses, .slowest."""

    def __init__(self, p, clients=8, request=GET % b"/", pace=0.0):
        self.p, self.request, self.pace = p, request, pace
        self.statuses, self.broken, self.times = [], [], []
        self.going = True
        self.threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _client(self):
        client = None
        while self.going:
            began = time.monotonic()
            try:
                client = client or self.p.connect()
                answer = client.send(self.request).response()
                self.statuses.append(answer.status)
                if answer.header("connection") == "close":
                    client = None
            except (OSError, AssertionError) as error:
                self.broken.append(repr(error))
                client = None
            self.times.append(time.monotonic() - began)
            time.sleep(self.pace)

    def wait(self, count):
        goal = len(self.statuses) + count
        wait_for(lambda: len(self.statuses) >= goal, f"{count} answers")
        return self

    def stop(self):
        self.going = False
        for thread in self.threads:
            thread.join(30)
        self.slowest = max(self.times, default=0)
        return self

    @property
    def failed(self):
        return [s for s in self.statuses if s != 200] + self.broken


def frozen(conn):
    """Takes requests and never answers."""
    conn.read_request()
    while conn.fill():
        pass


def hangs_up(conn):
    """Takes a request and closes."""
    conn.read_request()


# --- retry and its budget -------------------------------------------------------------------


def test_retries_never_amplify_an_outage(portcullis, origin):
    """Three origins that fail everything, `retry 2`: without a budget they would get three times
    the requests that clients make."""
    origins = [origin(hangs_up) for _ in range(3)]
    p = portcullis("workers 1\nrest 0s\nretry 2\n" + routes(*origins))
    load = Load(p, clients=8).wait(2000).stop()
    attempts = sum(o.connections for o in origins)
    assert set(load.statuses) == {502} and not load.broken
    assert len(load.statuses) <= attempts <= 1.25 * len(load.statuses), (
        attempts, len(load.statuses))
    decided = p.wait_log(lambda r: "budget" in str(r))
    assert decided["status"] == 502


def test_refusing_origins_are_within_the_budget_too(portcullis):
    """Connects that are refused are attempts as well, as the records count them."""
    ports = [free_port() for _ in range(3)]
    p = portcullis("workers 1\nrest 0s\n" + routes(*ports))
    load = Load(p, clients=8).wait(2000).stop()
    assert set(load.statuses) == {502} and not load.broken
    wait_for(lambda: len(p.log_lines()) >= len(load.statuses), "the records")
    attempts = sum(r["tries"] for r in p.log_records())
    assert attempts <= 1.25 * len(load.statuses), (attempts, len(load.statuses))


def test_a_quiet_site_retries_at_once(portcullis, origin):
    good = origin(named("good"))
    p = portcullis("workers 1\nrest 0s\n" + routes(origin(hangs_up), good))
    assert [p.get().text for _ in range(16)] == ["good"] * 16


def test_an_origin_that_dies_under_load_costs_no_get(portcullis, origin):
    a, b = origin(named("a")), origin(named("b"))
    p = portcullis(routes(a, b))
    load = Load(p).wait(300)
    a.stop()
    load.wait(600)
    origin(named("a"), port=a.port)
    load.wait(600).stop()
    assert not load.failed, load.failed[:5]
    assert load.slowest < 2


def test_an_answer_cut_in_its_head_is_asked_for_again(portcullis, origin):
    def half_a_head(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Le")

    bad = origin(half_a_head)
    p = portcullis("workers 1\nrest 0s\n" + routes(bad, origin(named("good"))))
    assert [p.get().text for _ in range(6)] == ["good"] * 6
    assert p.request("POST", "/", body="x").status + p.request("POST", "/", body="x").status == 702
    assert sum(r.method == b"POST" for r in bad.requests) == 1


def test_a_get_that_is_not_answered_in_time_goes_to_the_next(portcullis, origin):
    slow, good = origin(frozen), origin(named("good"))
    p = portcullis("workers 1\ntimeout answer 300ms\nrest 60s\n" + routes(slow, good))
    began = time.monotonic()
    assert [p.get().text for _ in range(4)] == ["good"] * 4
    assert time.monotonic() - began < 2
    assert len(slow.requests) == 1
    assert "did not answer in time" in str(p.wait_log(lambda r: r["tries"] > 1))


def test_a_post_that_is_not_answered_in_time_is_a_504(portcullis, origin):
    slow, good = origin(frozen), origin(frozen)
    p = portcullis("workers 1\ntimeout answer 300ms\n" + routes(slow, good))
    assert p.request("POST", "/", body="x").status == 504
    assert len(slow.requests) + len(good.requests) == 1


def test_a_get_waits_for_two_silent_origins_at_the_most(portcullis, origin):
    origins = [origin(frozen) for _ in range(4)]
    p = portcullis("workers 1\ntimeout answer 300ms\nretry 9\n" + routes(*origins))
    began = time.monotonic()
    assert p.get().status == 504
    assert 0.6 <= time.monotonic() - began < 1.5
    assert sum(len(o.requests) for o in origins) == 2


def test_one_silent_origin_is_asked_once(portcullis, origin):
    slow = origin(frozen)
    p = portcullis("timeout answer 300ms\n" + routes(slow))
    assert p.get().status == 504
    assert len(slow.requests) == 1


# --- all resting ----------------------------------------------------------------------------


def test_when_all_rest_all_are_tried_and_none_answers_says_when_to_come_again(portcullis, origin):
    ports = [free_port() for _ in range(3)]
    p = portcullis("workers 1\nrest 60s\n" + routes(*ports))
    for _ in range(3):
        answer = p.get()
        assert answer.status == 502 and int(answer.header("retry-after")) > 0
    # Each was tried once by the first; the others went on with the one that failed longest ago.
    assert [r["tries"] for r in wait_for(lambda: p.log_records()[2:] and p.log_records(),
                                         "the records")] == [3, 3, 3]
    for known in p.status()["origins"]:
        assert known["state"] == "resting" and "refused" in known["why"] and known["rests_ms"] > 0
    back = origin(named("back"), port=ports[1])
    assert [p.get().text for _ in range(5)] == ["back"] * 5
    assert len(back.requests) == 5


# --- checks ---------------------------------------------------------------------------------


class Patient:
    """An origin whose /healthz and whose other answers can be told to fail; each counts."""

    def __init__(self, name):
        self.name, self.well, self.serves, self.checks, self.served = name, True, True, 0, 0

    def __call__(self, conn):
        while (request := conn.read_request()) is not None:
            if request.target == b"/healthz":
                self.checks += 1
                conn.answer(200 if self.well else 503, self.name)
            else:
                self.served += 1
                conn.answer(200 if self.serves else 500, self.name)


CHECK = "check /healthz every 100ms timeout 500ms fall 2 rise 2"


def test_an_origin_that_fails_its_check_gets_no_requests_until_it_is_well(portcullis, origin):
    a, b = Patient("a"), Patient("b")
    one, two = origin(a), origin(b)
    p = portcullis("workers 2\n" + routes(one, two, block=CHECK))
    wait_for(lambda: a.checks > 2 and b.checks > 2, "checks")
    assert {p.get().text for _ in range(16)} == {"a", "b"}
    a.well = False
    p.wait_stderr(f"origin 127.0.0.1:{one.port} is down: 2 checks (/healthz) in a row failed: "
                  "it answered 503")
    a.served = 0
    assert {p.get().text for _ in range(20)} == {"b"} and a.served == 0
    known = p.status()["origins"]
    assert known[0]["origin"] == f"127.0.0.1:{one.port}"  # what is not up comes first
    assert known[0]["state"] == "down" and known[0]["why"] == "it answered 503"
    assert known[1]["state"] == "up" and "why" not in known[1]
    assert "state: down" in p.cli("status", "-c", p.conf).stdout
    # It goes on being looked at; what a reload leaves as it was is not forgotten.
    assert p.reload().returncode == 0
    assert {p.get().text for _ in range(20)} == {"b"} and a.served == 0
    a.well = True
    p.wait_stderr(f"origin 127.0.0.1:{one.port} is up again: 2 checks (/healthz) in a row were well")
    wait_for(lambda: p.get().text == "a", "the origin to be used again")
    assert p.stderr().count("is down") == p.stderr().count("is up again") == 1


def test_an_origin_is_checked_once_however_many_use_it(portcullis, origin):
    """Three threads, two sites, four routes: one check per interval."""
    a = Patient("a")
    o = origin(a)
    site = "".join(f"/{n}/* -> 127.0.0.1:{o.port}\n" for n in range(4))
    p = portcullis(f"workers 3\ncheck /healthz every 200ms\n"
                   f"site a.test {{\n{site}}}\nsite b.test {{\n{site}}}\n")
    for n in range(4):
        p.get(f"/{n}/", host="a.test"), p.get(f"/{n}/", host="b.test")
    a.checks, began = 0, time.monotonic()
    time.sleep(2)
    assert a.checks <= (time.monotonic() - began) / 0.2 + 1
    assert a.checks >= 5
    # A check that leaves the file stops.
    assert p.reload(f"workers 3\nsite a.test {{\n{site}}}\n").returncode == 0
    time.sleep(0.3)
    a.checks = 0
    time.sleep(0.6)
    assert a.checks == 0


def test_a_named_upstream_is_checked_once_for_all_sites(portcullis, origin):
    a = Patient("a")
    o = origin(a)
    p = portcullis(f"""workers 3
        upstream app {{ server 127.0.0.1:{o.port}; check /healthz every 200ms fall 1 }}
        site a.test -> app
        site b.test {{ host other.test; /* -> app }}
        """)
    began = time.monotonic()
    time.sleep(2)
    assert 5 <= a.checks <= (time.monotonic() - began) / 0.2 + 2
    a.well = False
    p.wait_stderr("is down")
    assert p.stderr().count("is down") == 1
    assert p.get(host="a.test").status == p.get(host="b.test").status == 200


def test_checks_over_tls_and_of_tcp(portcullis, origin, certs):
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs.cert("localhost"), certs.key("localhost"))
    secure = Patient("secure")
    o = origin(secure, context=context)
    other = certs.make("elsewhere.test")
    wrong_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wrong_context.load_cert_chain(*other)
    wrong = origin(Patient("wrong"), context=wrong_context)
    gone = free_port()
    p = portcullis(f"""
        verify @CERTS@/ca.pem
        site a.test {{ /* -> https://localhost:{o.port} {{ {CHECK} }} }}
        site b.test {{ /* -> https://localhost:{wrong.port} {{ check tcp every 100ms fall 1 }} }}
        site c.test {{ /* -> 127.0.0.1:{gone} {{ check tcp every 100ms fall 1 }} }}
        """)
    wait_for(lambda: secure.checks > 2, "checks over TLS")
    p.wait_stderr(f"origin https://localhost:{wrong.port} is down: its check (a connect) failed")
    p.wait_stderr(f"origin 127.0.0.1:{gone} is down")
    assert f"localhost:{o.port} is down" not in p.stderr()
    assert p.get(host="a.test").text == "secure"


def test_checks_of_sockets_in_the_file_system_and_of_ipv6(portcullis, origin, folder):
    here, there = Patient("unix"), Patient("six")
    origin(here, path=folder / "sock")
    six = origin(there, host="::1")
    p = portcullis(f"site * {{ {CHECK}\n/* -> unix:{folder}/sock http://[::1]:{six.port} }}\n")
    wait_for(lambda: here.checks > 2 and there.checks > 2, "checks")
    assert {p.get().text for _ in range(8)} == {"unix", "six"}
    hosts = {r.header("host") for r in six.requests if r.target == b"/healthz"}
    assert hosts == {f"[::1]:{six.port}"}
    here.well = False
    p.wait_stderr(f"origin unix:{folder}/sock is down")
    # A check that leaves the file takes its verdict with it.
    assert p.reload(f"site * {{ /* -> unix:{folder}/sock http://[::1]:{six.port} }}\n"
                    ).returncode == 0
    p.wait_stderr("is not checked any more")
    assert {p.get().text for _ in range(16)} == {"unix", "six"}


def test_when_all_are_down_they_are_tried_all_the_same(portcullis, origin):
    """A check may be wrong; a request that is answered is better than one that is not sent."""
    a, b = Patient("a"), Patient("b")
    a.well = b.well = False
    p = portcullis("workers 1\n" + routes(origin(a), origin(b), block=CHECK))
    wait_for(lambda: p.stderr().count("is down") == 2, "both to be down")
    assert {p.get().text for _ in range(20)} <= {"a", "b"}
    assert {r["status"] for r in p.log_records()} == {200}


# --- origins that are frozen, slow, lying, or come and go -----------------------------------


def test_a_frozen_origin_costs_nothing_once_its_check_has_seen_it(portcullis, origin):
    """It takes connections and requests and never answers: tcp would call that well."""
    frozen_now = threading.Event()

    def script(conn):
        while conn.read_request() is not None and not frozen_now.is_set():
            conn.answer(body="a")
        while conn.fill():
            pass

    sick, good = origin(script), origin(named("b"))
    p = portcullis("timeout answer 1s\nrest 10s\n" + routes(
        sick, good, block="check /healthz every 100ms timeout 200ms fall 2"))
    load = Load(p, pace=0.002).wait(300)
    frozen_now.set()
    began = time.monotonic()
    p.wait_stderr("is down: 2 checks (/healthz) in a row failed: it did not answer in time")
    assert time.monotonic() - began < 5
    load.wait(500).stop()
    assert not load.failed, load.failed[:5]  # those under way were asked elsewhere after 1 s
    assert load.slowest < 3


def test_an_origin_that_answers_checks_alone_rests(portcullis, origin):
    """The liar: its check is well, its requests break off. Passive rests keep it out."""
    def liar(conn):
        while (request := conn.read_request()) is not None:
            if request.target != b"/healthz":
                return
            conn.answer(body="well")

    bad, good = origin(liar), origin(named("good"))
    p = portcullis("rest 1s\n" + routes(bad, good, block=CHECK))
    load = Load(p).wait(1000).stop()
    assert not load.failed, load.failed[:5]
    tried = sum(r.target != b"/healthz" for r in bad.requests)
    assert tried <= 40, tried
    assert "is down" not in p.stderr()


def test_an_origin_that_closes_at_once_and_one_that_flaps_lose_no_get(portcullis, origin):
    """The first accepts and closes; the second stops and starts ten times under load."""
    closes, good = origin(lambda conn: None), origin(named("good"))
    port = free_port()
    p = portcullis("rest 200ms\n" + routes(closes, port, good, block=CHECK))
    load = Load(p).wait(200)
    for _ in range(10):
        flapping = origin(named("flaps"), port=port)
        load.wait(60)
        flapping.stop()
        load.wait(60)
    load.stop()
    assert not load.failed, load.failed[:5]
    assert load.slowest < 2


def test_a_slow_origin_is_slow_and_nothing_else(portcullis, origin):
    """Slow is not ill: its answers are waited for, and it does not rest."""
    def slow(conn):
        while conn.read_request() is not None:
            time.sleep(0.3)
            conn.answer(body="slow")

    o = origin(slow)
    p = portcullis("workers 1\n" + routes(o, origin(named("fast")),
                                          block="check /healthz every 100ms timeout 2s"))
    assert {p.get().text for _ in range(8)} == {"slow", "fast"}
    assert "is down" not in p.stderr()


def test_a_frozen_origin_that_nobody_checks_gets_one_request_per_rest(portcullis, origin):
    """Until the first has timed out it has its share; from then on one request at a time finds out
    whether it is back, not the share that grows while that one waits."""
    frozen_now = threading.Event()

    def script(conn):
        while conn.read_request() is not None and not frozen_now.is_set():
            conn.answer(body="a")
        while conn.fill():
            pass

    sick, good = origin(script), origin(named("b"))
    p = portcullis("timeout answer 1s\nrest 500ms\n" + routes(sick, good))
    load = Load(p, pace=0.002).wait(300)
    frozen_now.set()
    wait_for(lambda: any(r["tries"] > 1 for r in p.log_records()), "the first time-out")
    time.sleep(0.2)
    before, began = len(sick.requests), time.monotonic()
    load.wait(1500)
    while time.monotonic() - began < 4:
        time.sleep(0.1)
    tried, took = len(sick.requests) - before, time.monotonic() - began
    load.stop()
    assert not load.failed, load.failed[:5]
    assert tried <= took / 0.5 + 2, (tried, took)
    assert load.slowest < 3


def test_an_origin_that_connects_and_never_answers_is_well_by_tcp_and_rests_by_requests(
        portcullis, origin):
    sick, good = origin(frozen), origin(named("good"))
    p = portcullis("timeout answer 300ms\nrest 1s\n" + routes(
        sick, good, block="check tcp every 100ms"))
    load = Load(p, pace=0.002).wait(800).stop()
    assert not load.failed, load.failed[:5]
    assert "is down" not in p.stderr()
    late = sum(t > 0.25 for t in load.times)
    assert late <= 8 + 2 * sum(load.times) / 8, late
    assert load.slowest < 1.2
