"""A loop that stands still is told of, with its stack, and its worker replaced; one that was stopped is not."""
import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import ROOT, SANITIZED, wait_for
from load import tell


@pytest.fixture
def stall(folder):
    if SANITIZED:
        pytest.skip("a sanitizer's library wants to be the first that is loaded")
    compiler = shutil.which("cc") or pytest.skip("no C compiler for what stalls")
    library = folder / "stall_shim.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library,
                    ROOT / "tests" / "e2e" / "stall_shim.c"], check=True)
    return {"LD_PRELOAD": str(library)}


def served(p):
    try:
        return p.get("/").status == 200
    except (OSError, AssertionError):
        return False


def test_a_loop_that_stands_still_is_replaced_with_its_worker(portcullis, stall):
    p = portcullis("site localhost -> respond 200 well", env=stall)
    before = p.worker_pid()
    assert p.get("/").status == 200
    with p.connect() as client:
        client.send(b"GET /stall HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stalled = time.monotonic()
        wait_for(lambda: "has made no turn for" in p.stderr(), "the watchdog's word")
        told = time.monotonic() - stalled
        assert client.read_all() == b"", "who was on it"
    wait_for(lambda: served(p), "to be served again")
    back = time.monotonic() - stalled - told
    assert p.worker_pid() != before
    words = p.stderr()
    assert "stall_shim.so" in words and "portcullis(" in words, "its stack"
    assert "the worker cannot go on: an event loop stands still" in words
    tell("a loop that stands still", told_s=round(told, 2), back_ms=round(back * 1000))


@pytest.mark.skipif(os.geteuid() != 0, reason="the worker is another user's")
def test_a_worker_that_was_stopped_for_a_while_goes_on(portcullis):
    p = portcullis("site localhost -> respond 200 well")
    worker = p.worker_pid()
    for _ in range(2):
        os.kill(worker, signal.SIGSTOP)
        time.sleep(4)
        os.kill(worker, signal.SIGCONT)
        wait_for(lambda: served(p), "to be served again")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert served(p)
    assert p.worker_pid() == worker
    assert "no turn" not in p.stderr()
