"""Origins that fail in every way: a GET is answered as long as one of them can, a POST never comes twice."""
import os
import random
import shutil
import subprocess
import time

import pytest

from conftest import SANITIZED, free_port, wait_for
from load import SECONDS, Load, Process, answered, nothing_lost, nothing_twice, posted, settle, tell

# What a POST may get that was on its way to the one that failed.
POST_FAILED = ("POST 502", "POST 504")


def conf(certs, *origins, front="", route=""):
    targets = " ".join(o if isinstance(o, str) else f"127.0.0.1:{o.port}" for o in origins)
    return (f"workers 2\ntls {certs.cert('localhost')} {certs.key('localhost')}\nhttp serve\n{front}\n"
            f"site localhost {{\n /* -> {targets} {{\n{route}\n }}\n}}\n")


def posts_arrived(load, record):
    """Every POST that was answered with 200 was recorded once."""
    assert sum(posted(record).values()) >= load.posts_ok
    nothing_twice(record)


# --- one of two ----------------------------------------------------------------------------------


def test_one_of_two_killed(portcullis, certs, processes):
    good, bad = processes(2)
    p = portcullis(conf(certs, good, bad))
    with Load(p, certs.ca) as load:
        settle(load, SECONDS / 2)
        bad.kill()
        settle(load)
    nothing_lost(load, processes.record, POST_FAILED)
    assert sum(load.statuses.values()) <= 10
    tell("one of two killed", **load.figure())


def test_one_of_two_refuses(portcullis, certs, processes):
    (good,) = processes()
    p = portcullis(conf(certs, good, f"127.0.0.1:{free_port()}", front="rest 100ms"))
    with Load(p, certs.ca) as load:
        settle(load)
    nothing_lost(load, processes.record)
    tell("one of two refuses", **load.figure())


@pytest.mark.parametrize("how", ["frozen", "hang"])
def test_one_of_two_is_silent(portcullis, certs, processes, how):
    good, bad = processes(2)
    p = portcullis(conf(certs, good, bad, front="timeout answer 500ms\nrest 60s"))
    with Load(p, certs.ca) as load:
        settle(load, SECONDS / 2)
        bad.freeze() if how == "frozen" else bad.be("hang")
        settle(load)
        if how == "frozen":
            bad.thaw()
    nothing_lost(load, processes.record, POST_FAILED)
    assert sum(load.statuses.values()) <= 20
    tell(f"one of two: {how}", **load.figure())


@pytest.mark.parametrize("mode", ["drop", "headless"])
def test_one_of_two_fails_before_its_answer(portcullis, certs, processes, mode):
    good, bad = processes(2)
    p = portcullis(conf(certs, good, bad, front="rest 300ms"))
    with Load(p, certs.ca) as load:
        settle(load, SECONDS / 2)
        bad.be(mode)
        settle(load)
    nothing_lost(load, processes.record, POST_FAILED)
    tell(f"one of two: {mode}", **load.figure())


@pytest.mark.parametrize("mode", ["midway", "short"])
def test_one_of_two_fails_within_its_answer(portcullis, certs, processes, mode):
    """The client has the head already: it must see that the rest is missing, and others must not suffer."""
    good, bad = processes(2)
    p = portcullis(conf(certs, good, bad, front="rest 60s"))
    with Load(p, certs.ca) as load:
        settle(load, SECONDS / 2)
        bad.be(mode)
        settle(load)
    # Those that were on it when it failed first, in each of two threads; then it rests.
    assert len(load.lost) <= 20 and not load.statuses, (load.lost_text(), load.statuses)
    assert not [why for _, why in load.lost if "wrong body" in why]
    nothing_twice(processes.record)
    tell(f"one of two: {mode}", **load.figure())


def test_one_of_two_restarts_in_a_loop(portcullis, certs, processes):
    good, bad = processes(2)
    p = portcullis(conf(certs, good, bad, front="rest 50ms"))
    rounds = 0
    with Load(p, certs.ca) as load:
        end = time.monotonic() + 2 * SECONDS
        while time.monotonic() < end:
            bad.kill()
            bad.start()
            settle(load, 0.1)
            rounds += 1
    nothing_lost(load, processes.record, POST_FAILED)
    tell("one of two restarts in a loop", rounds=rounds, **load.figure())


def test_all_down_and_back(portcullis, certs, processes):
    a, b = processes(2)
    p = portcullis(conf(certs, a, b))
    with Load(p, certs.ca) as load:
        settle(load, SECONDS / 2)
        a.kill()
        b.kill()
        before = answered(load)
        wait_for(lambda: answered(load) > before + 50, "refusals")
        b.start()
        back = time.monotonic()
        settle(load)
    nothing_lost(load, processes.record, ("GET 502", "POST 502"))
    first = min(end for sent, end in load.answered_at if sent > back) - back
    assert first < (5 if SANITIZED else 0.5), f"back after {first:.3f} s"
    tell("all down and back", back_ms=round(first * 1000), **load.figure())


class Machine:
    """A network namespace with an address of its own: a machine that can lose its network."""

    def __init__(self):
        self.name = f"pc{os.getpid()}-{random.randrange(10**6)}"
        net = f"10.{random.randrange(200, 250)}.{random.randrange(250)}"
        self.near, self.far, self.link = f"{net}.1/30", f"{net}.2", f"v{random.randrange(10**9)}"
        self.ip("netns", "add", self.name)
        try:
            self.ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            self.ip("addr", "add", self.near, "dev", self.link)
            self.ip("link", "set", self.link, "up")
            self.ip("-n", self.name, "addr", "add", f"{self.far}/30", "dev", "eth0")
            self.ip("-n", self.name, "link", "set", "eth0", "up")
        except AssertionError:
            self.end()
            raise

    @staticmethod
    def ip(*words):
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def vanish(self):
        """No FIN, no RST, no ICMP: nothing comes from there any more."""
        self.ip("-n", self.name, "addr", "del", f"{self.far}/30", "dev", "eth0")

    def end(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False)


@pytest.fixture
def machine():
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root and ip(8)")
    try:
        made = Machine()
    except AssertionError as error:
        pytest.skip(f"no network namespace: {error}")
    yield made
    made.end()


def test_one_of_two_machines_vanishes(portcullis, certs, processes, machine):
    """Kept connections to it stay open here: only missing acknowledgements tell. Not the whole time of
    `timeout answer`, a minute, is waited for one of them."""
    (good,) = processes()
    bad = Process(processes.record, host=machine.far, run=("ip", "netns", "exec", machine.name))
    try:
        p = portcullis(conf(certs, good, f"{machine.far}:{bad.port}", front="timeout connect 500ms"))
        with Load(p, certs.ca) as load:
            settle(load, SECONDS / 2)
            machine.vanish()
            settle(load, 2 * SECONDS)
    finally:
        bad.kill()
    nothing_lost(load, processes.record, POST_FAILED)
    assert sum(load.statuses.values()) <= 20
    assert load.slowest < (15 if SANITIZED else 4), load.slowest
    assert p.wait_log(lambda r: "packets" in str(r))
    tell("one of two machines vanishes", **load.figure())


# --- kept connections that end -------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("mode", ["close", "rst", "idle 1", "idle 5", "idle 20", "bye 1", "bye 3"])
def test_an_origin_that_ends_kept_connections(portcullis, certs, processes, mode, tls):
    pair = (certs.cert("localhost"), certs.key("localhost"))
    (o,) = processes(mode=mode, tls=pair if tls else None)
    if tls:
        p = portcullis(conf(certs, f"https://localhost:{o.port}", route=f"verify {certs.ca}"))
    else:
        p = portcullis(conf(certs, o))
    # A reset discards what is still on its way: of large bodies it would cut some.
    with Load(p, certs.ca, big=0 if mode == "rst" else 9) as load:
        settle(load)
    nothing_lost(load, processes.record, (*POST_FAILED, "POST 408"))
    posts_arrived(load, processes.record)
    tell(f"origin: {mode}{', TLS' if tls else ''}", **load.figure())
