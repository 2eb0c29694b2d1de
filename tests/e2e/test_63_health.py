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
    back = origin(named("back"), port=ports[1])
    assert [p.get().text for _ in range(5)] == ["back"] * 5
    assert len(back.requests) == 5
