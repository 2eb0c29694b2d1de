"""`why` and `tail`: what became of a request, told from memory, from the log, or as it happens."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import BINARY, cli, free_port, wait_for

REFERENCE = re.compile(rb"<code>([0-9a-z]{16})</code>")


def reference(answer):
    """The reference on a page of ours."""
    return REFERENCE.search(answer.body).group(1).decode()


def why(p, *words):
    return p.cli("why", *words, "-c", str(p.conf))


@pytest.fixture
def served(portcullis, origin):
    p = portcullis(f"""
log_show query cookies authorization
site localhost {{
  /app/* -> 127.0.0.1:{origin().port}
  /dead -> 127.0.0.1:{free_port()}
  /shut/* -> respond 200 "never" {{ deny from 127.0.0.0/8 }}
  /text -> respond 200 "x"
}}
""")
    return p


def line_of(p, words):
    """The line number of the configuration that begins with these words."""
    return next(i for i, line in enumerate(p.conf.read_text().splitlines(), 1)
                if line.strip().startswith(words))


# --- pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("request_line, status", [
    ("GET /shut/a?patient=12 HTTP/1.1", 403), ("GET /none HTTP/1.1", 404),
    ("GET /dead HTTP/1.1", 502), ("GET /a b HTTP/1.1", 400),
    ("GET /text/%zz HTTP/1.1", 400), ("GET /app/x HTTP/3.0", 505),
])
def test_a_page_of_ours_carries_only_the_reference(served, request_line, status):
    """Who refused, why and by which line are the operator's to know."""
    answer = served.raw(f"{request_line}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    ref = REFERENCE.search(answer).group(1).decode()
    record = served.wait_log(lambda r: r["ref"] == ref)
    body = answer.partition(b"\r\n\r\n")[2]
    for leak in (record["refused_by"], record["why"], "portcullis", str(served.dir), "127.0.0.1",
                 "patient", "refused"):
        assert leak.lower() not in body.decode().lower(), leak


# --- why ------------------------------------------------------------------------------------


def test_a_reference_leads_to_the_decisions_and_their_lines(served):
    ref = reference(served.get("/shut/a?patient=secret&x"))
    done = why(served, ref)
    assert (done.returncode, done.stderr) == (0, "")
    conf = str(served.conf)
    lines = done.stdout.splitlines()
    assert lines[0].endswith(f"  {ref}")
    assert lines[1] == "GET http://localhost/shut/a?patient=***&*** HTTP/1.1"
    assert lines[2].startswith("from 127.0.0.1 (127.0.0.1:")
    assert re.fullmatch(rf" 1\. route +site: localhost +{conf}:{line_of(served, 'site')}", lines[3])
    assert re.fullmatch(rf" 2\. route +route: /shut/\* +{conf}:{line_of(served, '/shut')}", lines[4])
    assert re.fullmatch(r"refused by route access \(route\): a deny line names this address +"
                        rf"{conf}:{line_of(served, '/shut')}", lines[5])
    assert re.fullmatch(r"answered 403, ended complete after \d+\.\d{3} ms", lines[6])


def test_what_is_remembered_is_masked_though_the_log_is_not(served):
    served.get("/text?patient=secret", headers={"Cookie": "s=secret", "Referer": "http://h/?a=secret",
                                                "Authorization": "Bearer secret"})
    record = served.wait_log()
    assert record["query"] == "patient=secret" and record["cookies"] == "s=secret"
    told = json.loads(why(served, record["ref"], "--json").stdout)
    assert told["query"] == "patient=***" and told["referer"] == "http://h/?a=***"
    assert "cookies" not in told and "authorization" not in told
    assert {k: v for k, v in told.items() if k not in ("query", "referer")} == {
        k: v for k, v in record.items()
        if k not in ("query", "referer", "cookies", "authorization")}
    text = why(served, record["ref"]).stdout
    assert "secret" not in text and "patient=***" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="wants root")
def test_root_may_see_what_is_masked_and_nobody_else(served):
    ref = reference(served.get("/shut/a?patient=secret"))
    assert "?patient=secret " in why(served, ref, "--unmask").stdout
    done = cli("why", ref, "--unmask", "-c", served.conf, user="nobody")
    assert done.returncode == 2 and "only root" in done.stderr
    # Nor by speaking to the socket, for whoever its group lets in.
    path = f"{served.dir}/c.sock"
    served.conf.write_text(f"control {path} group games\n" + served.conf.read_text())
    assert served.cli("reload", "--control", f"{served.dir}/state/control.sock").returncode == 0
    ask = ("import socket, sys\n"
           "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'ask\\n')\n"
           "s.sendall(b''.join(w.encode() + b'\\0' for w in sys.argv[2:])); s.shutdown(1)\n"
           "print(s.makefile().read())")

    def as_member(*words):
        return subprocess.run(["/usr/bin/python3", "-c", ask, path, "why", "ref", ref, *words],
                              capture_output=True, text=True, user="games", group="games",
                              extra_groups=[], timeout=30).stdout

    assert as_member().startswith("ok\n") and "patient=***" in as_member()
    assert as_member("unmask", "1").startswith("failed\nonly root")


def test_the_log_is_looked_through_when_the_memory_is_gone(served):
    ref = reference(served.get("/shut/a?patient=secret"))
    served.wait_log(lambda r: r["ref"] == ref)
    os.kill(served.worker_pid(), signal.SIGKILL)
    wait_for(lambda: served.get("/text").status == 200, "the next worker")
    done = why(served, ref)
    assert done.returncode == 0 and "?patient=*** " in done.stdout, done
    # Also in what was rotated, and without an instance.
    served.stop()
    os.rename(served.log, f"{served.log}.1")
    served.log.write_text("")
    done = why(served, ref)
    assert done.returncode == 0 and "refused by route access" in done.stdout
    assert "no instance answers" in done.stderr
    if os.geteuid() == 0:
        assert "?patient=secret " in why(served, ref, "--unmask").stdout


def test_an_unknown_reference_says_where_was_looked(served):
    served.get("/text")
    served.wait_log()
    done = why(served, "0123456789abcdef")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip().endswith(
        "nothing is known of this reference: neither remembered nor in 1 log file")


@pytest.mark.parametrize("words, status, said", [
    ((), 2, "say a reference"), (("x", "--from", "10.0.0.1"), 2, "say a reference"),
    (("--from", "nowhere"), 2, "is no address"), (("a", "b"), 2, ""),
])
def test_questions_that_make_no_sense_are_refused(served, words, status, said):
    done = why(served, *words)
    assert done.returncode == status and said in done.stderr and done.stdout == ""


def test_the_latest_refusals_of_an_address(served):
    for i in range(30):
        served.get(f"/shut/{i}")
        served.get("/text")
    with socket.create_connection(("127.0.0.1", served.port), 10, ("127.0.0.2", 0)) as other:
        other.sendall(b"GET /shut/other HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while other.recv(4096):
            pass
    records = [json.loads(line) for line in why(served, "--from", "127.0.0.1",
                                                "--json").stdout.splitlines()]
    assert [r["path"] for r in records] == [f"/shut/{i}" for i in range(29, 9, -1)]
    assert {r["status"] for r in records} == {403}
    records = [json.loads(line) for line in why(served, "--from", "127.0.0.2",
                                                "--json").stdout.splitlines()]
    assert [r["path"] for r in records] == ["/shut/other"]
    # Without the memory: from the log, whose lines of two threads may change places.
    served.wait_log(lambda r: r.get("path") == "/shut/other")
    served.stop()
    records = [json.loads(line) for line in why(served, "--from", "127.0.0.1",
                                                "--json").stdout.splitlines()]
    times = [r["time"] for r in records]
    assert len(records) == 20 and times == sorted(times, reverse=True)
    # Within a millisecond they may have changed places.
    assert len({f"/shut/{i}" for i in range(10, 30)} - {r["path"] for r in records}) <= 3


def test_ten_thousand_are_remembered_also_with_the_log_off(portcullis):
    p = portcullis("workers 1\nlog off\nsite localhost { /x -> respond 200 }\n")
    references = []
    with p.connect() as client:
        for base in range(0, 10050, 50):
            client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i
                                 for i in range(base, base + 50)))
            references += [reference(client.response()) for _ in range(50)]
    for i in (50, 5000, 10049):
        assert json.loads(why(p, references[i], "--json").stdout)["path"] == f"/{i}"
    done = why(p, references[49])
    assert done.returncode == 1 and "neither remembered nor in 0 log files" in done.stderr


def test_connections_that_were_no_requests_are_remembered(portcullis, certs):
    p = portcullis("tls @CERTS@/localhost.pem @CERTS@/localhost.key\n"
                   "site localhost { /x -> respond 200 }\n")
    with socket.create_connection(("127.0.0.1", p.tls_port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while raw.recv(4096):
            pass
    p.wait_log(lambda r: r["kind"] == "connection")
    told = why(p, "--from", "127.0.0.1").stdout
    assert "\nno request https\n" in told and "refused by handshake (tls)" in told


# --- tail -----------------------------------------------------------------------------------


class Tail:
    """A running `portcullis tail`."""

    def __init__(self, p, *words):
        self.out, self.err = p.dir / f"tail.out{time.monotonic_ns()}", p.dir / "tail.err"
        self.process = subprocess.Popen([BINARY, "tail", *words, "-c", str(p.conf)],
                                        stdout=open(self.out, "wb"), stderr=open(self.err, "wb"),
                                        stdin=subprocess.DEVNULL)

    def lines(self):
        return self.out.read_text().splitlines()

    def wait(self, predicate):
        return wait_for(lambda: next((ln for ln in self.lines() if predicate(ln)), None), "a line")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


@pytest.fixture
def tail(served):
    started = []

    def make(*words):
        t = Tail(served, *words)
        started.append(t)
        return t

    yield make
    for t in started:
        t.process.kill()
        t.process.wait()


def reads_along(p, t, path="/text"):
    """Asks until the reader shows it; what is asked for must pass its filter."""
    def once():
        p.get(path)
        return path in t.out.read_text()
    wait_for(once, "the reader", every=0.1)


def test_tail_prints_requests_as_they_end(served, tail):
    t = tail()
    reads_along(served, t, "/app/probe")
    served.get("/shut/a?patient=secret")
    line = t.wait(lambda ln: "/shut/a" in ln)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} 403 \d+\.\d{3} ms  127\.0\.0\.1  GET "
                        r"localhost/shut/a\?patient=\*\*\*  refused by route access: a deny line "
                        r"names this address  [0-9a-z]{16}", line), line
    assert "secret" not in t.out.read_text()
    assert t.stop() == -signal.SIGINT


def test_tail_in_json_is_the_record_masked(served, tail):
    t = tail("--json")
    reads_along(served, t, "/app/probe")
    served.get("/text?patient=secret")
    record = json.loads(t.wait(lambda ln: "patient" in ln))
    logged = served.wait_log(lambda r: r["ref"] == record["ref"])
    assert record["query"] == "patient=***" and logged["query"] == "patient=secret"
    assert record["total_us"] == logged["total_us"] and record["stages"] == logged["stages"]


@pytest.mark.parametrize("words, passes, others", [
    (("--status", "4xx"), "/none", ("/text", "/dead")),
    (("--status", "502"), "/dead", ("/none", "/text")),
    (("--route", "/app/*"), "/app/x", ("/text", "/dead")),
    (("--host", "localhost"), "/text", ()),
    (("--from", "127.0.0.0/8"), "/text", ()),
])
def test_tail_shows_what_it_was_asked_for(served, tail, words, passes, others):
    t = tail(*words)
    reads_along(served, t, passes)
    for path in others:
        served.get(path)
    served.get(passes + "?last")
    t.wait(lambda ln: passes + "?" in ln)
    assert all(f" localhost{passes}" in line for line in t.lines())


def test_tail_leaves_out_what_was_fast_or_is_of_others(served, tail):
    slow, elsewhere = tail("--slow", "1h"), tail("--from", "10.0.0.0/8")
    fine = tail()
    reads_along(served, fine)
    wait_for(lambda: served.get("/text") and len(fine.lines()) > 20, "twenty lines")
    assert slow.lines() == elsewhere.lines() == []
    assert slow.process.poll() is None and elsewhere.process.poll() is None


@pytest.mark.parametrize("words, said", [
    (("--status", "6xx"), "a status such as 404, or a class such as 5xx"),
    (("--from", "x"), "addresses such as 10.0.0.0/8"),
    (("--slow", "1"), "--slow wants a duration"),
])
def test_tail_refuses_filters_that_mean_nothing(served, words, said):
    done = served.cli("tail", *words, "-c", str(served.conf))
    assert done.returncode == 2 and said in done.stderr


def test_four_may_read_along(served, tail):
    readers = [tail() for _ in range(4)]
    for t in readers:
        reads_along(served, t)
    done = served.cli("tail", "-c", str(served.conf))
    assert done.returncode == 1 and "there are 4 readers already" in done.stderr
    readers[0].stop()
    fifth = wait_for(lambda: (lambda t: t if not time.sleep(0.2) and t.process.poll() is None
                              else None)(tail()), "a free place")
    reads_along(served, fifth)


def test_tail_goes_on_through_reloads_and_new_workers(served, tail):
    t = tail()
    reads_along(served, t)
    conf = served.conf.read_text()
    assert served.reload(conf.replace('"x"', '"y"')).returncode == 0
    served.get("/text?reloaded=1")
    t.wait(lambda ln: "reloaded=" in ln)
    assert t.err.read_text() == ""
    # Another number of threads takes another worker.
    assert served.reload(conf.replace("workers 2", "workers 1")).returncode == 0
    wait_for(lambda: "the worker is being replaced: its successor is followed" in t.err.read_text(),
             "the word about it")
    wait_for(lambda: served.get("/text?second=1") and "second=" in t.out.read_text(), "its records")
    os.kill(served.worker_pid(), signal.SIGKILL)
    wait_for(lambda: "the worker has ended: its successor is followed" in t.err.read_text(),
             "the word about it")

    def third():
        try:
            served.get("/text?third=1")
        except OSError:
            return False
        return "third=" in t.out.read_text()

    wait_for(third, "the records of the third")


def test_a_reader_that_sleeps_loses_records_and_delays_nobody(served):
    with socket.socket(socket.AF_UNIX) as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.connect(str(served.dir / "state" / "control.sock"))
        sleeper.sendall(b"ask\ntail\0")
        sleeper.shutdown(socket.SHUT_WR)
        assert sleeper.recv(3) == b"ok\n"
        began = time.monotonic()
        with served.connect() as client:
            for _ in range(100):
                client.send(b"GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
                for _ in range(50):
                    assert client.response().status == 200
        assert time.monotonic() - began < 10
        got = lost = 0
        sleeper.settimeout(10)
        for line in sleeper.makefile():
            record = json.loads(line)
            got += record["kind"] == "request"
            lost += record.get("count", 0)
            if got + lost == 5000:
                break
        assert lost > 0 and got > 20
