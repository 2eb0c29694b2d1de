"""Floods: with each running, honest clients are served in time, and memory and descriptors come back.

FLOOD_SECONDS is how long each lasts; FAULT_REPORT (load.py) collects the figures of docs/floods.md.
"""
import os
import subprocess
import sys
import threading
import time

import pytest

from conftest import SANITIZED, sees_inside, wait_for
from load import HERE, Load, tell
from test_89_limits import at, conf, fds, rss_kb

SECONDS = float(os.environ.get("FLOOD_SECONDS", "3"))
# A flood that is none would prove nothing: so many strokes a second are made on a busy machine too.
FLOODS = {
    "slow_heads": 50, "slow_bodies": 50, "slow_reads": 20, "half_handshakes": 50, "silent": 100, "idle": 100,
    "connects": 50, "aborts": 30, "bad_requests": 30, "many_headers": 5, "one_byte_chunks": 2000,
    "pipelined": 200, "handshakes": 5, "tiny_records": 200, "renegotiations": 2, "key_updates": 5,
}
GROWTH_KB = 64 * 1024


def p99(times):
    return sorted(times)[int(len(times) * 0.99)]


class Watch(threading.Thread):
    """The most memory and descriptors that a process has had."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.kb, self.descriptors, self.over = pid, 0, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            self.kb = max(self.kb, rss_kb(self.pid))
            self.descriptors = max(self.descriptors, fds(self.pid))


@sees_inside
@pytest.mark.slow
@pytest.mark.parametrize("kind", FLOODS)
def test_honest_clients_are_served_in_a_flood(portcullis, certs, processes, kind):
    # The flood has an origin of its own: what is looked at is the proxy.
    (a,), (b,) = processes(), processes(mode="leave")
    text = conf(certs, at(a)).replace("site localhost {", "site localhost {\n /text -> respond 200 text\n"
                                      f" /flood/* -> {at(b)} {{\n strip\n }}\n")
    p = portcullis(text)
    worker = p.worker_pid()
    # Four that keep their connections and two that do not, half of each over TLS; what they need is there.
    with Load(p, certs.ca, kept=4, fresh=2, pause=0.01) as load:
        time.sleep(0.5)
        before, descriptors = rss_kb(worker), fds(worker)
        calm = len(load.answered_at)
        watch = Watch(worker)
        watch.start()
        attacker = subprocess.run(
            [sys.executable, str(HERE / "flood.py"), kind, str(p.port), str(p.tls_port), str(SECONDS)],
            capture_output=True, text=True, check=False, timeout=SECONDS * 10 + 60)
        watch.over.set()
        watch.join()
        times = [done - sent for sent, done in load.answered_at[calm:]]
        bad = len(load.lost) + sum(load.statuses.values())
    assert attacker.returncode == 0, attacker.stderr
    strokes = int(attacker.stdout)
    wait_for(lambda: p.status()["connections"]["now"] == 0, "all connections to be gone", timeout=90)
    wait_for(lambda: fds(worker) <= descriptors + 16, "descriptors to be closed", timeout=90)
    # What a crowd had is given back within some seconds of its leaving.
    if not SANITIZED:
        wait_for(lambda: rss_kb(worker) <= before + GROWTH_KB / 8, "memory to be given back", timeout=20)
    after = rss_kb(worker)
    tell(f"flood {kind}", strokes=strokes, seconds=SECONDS, honest=len(times), failed=bad,
         p50_ms=round(sorted(times)[len(times) // 2] * 1000, 1), p99_ms=round(p99(times) * 1000, 1),
         most_descriptors=watch.descriptors, kb_before=before, kb_most=watch.kb, kb_after=after)
    assert p.worker_pid() == worker
    assert strokes >= FLOODS[kind] * SECONDS, f"{strokes} strokes are no flood"
    assert bad <= len(times) / 100, (load.lost_text(), load.statuses)
    if not SANITIZED:
        assert p99(times) < 1
        assert watch.kb <= before + GROWTH_KB, f"{before} kB became {watch.kb} kB"
