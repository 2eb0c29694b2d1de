"""Load whose every request is accounted for, and origins that can be killed under it.

Eight clients keep their connections, half of them over TLS; two more take a fresh connection for each
request. Every fifth request is a POST with an id of its own, every ninth a GET of 200 kB. An outcome is

    ok        200, and the body is the one for this very request
    stale     an idempotent request whose reused connection ended before any byte of the answer came: the
              client repeats it once on a fresh connection, as clients do (RFC 9112 9.3.1), and the
              outcome of that counts as well
    status    another status than 200, counted as "GET 502"
    lost      everything else: refused, reset, cut, too late, or a POST whose reused connection ended
"""
import collections
import itertools
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

from conftest import free_port, wait_for

# How long the load of a test runs at least; for long runs on a machine of their own.
SECONDS = float(os.environ.get("FAULT_SECONDS", "1.5"))
# No answer for so long is a lost request.
ANSWER_SECONDS = 20.0
HERE = pathlib.Path(__file__).resolve().parent


class Ended(Exception):
    """The connection ended; `early`: before any byte of the answer."""

    def __init__(self, why, early):
        super().__init__(why)
        self.early = early


class Client:
    """One connection at a time; .ask() answers (status, body)."""

    def __init__(self, port, context=None, host="localhost"):
        self.port, self.context, self.host, self.sock, self.buffer = port, context, host, None, b""

    def open(self):
        sock = socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        if self.context:
            self.sock = self.context.wrap_socket(sock, server_hostname=self.host)
        self.buffer = b""

    def close(self):
        if self.sock is not None:
            self.sock.close()
        self.sock = None

    def more(self):
        got = self.sock.recv(262144)
        if not got:
            raise EOFError("closed")
        self.buffer += got

    def ask(self, method, target):
        body = b"posted" if method == "POST" else b""
        request = f"{method} {target} HTTP/1.1\r\nHost: {self.host}\r\n"
        if body:
            request += f"Content-Length: {len(body)}\r\n"
        status = None
        try:
            self.sock.sendall(request.encode() + b"\r\n" + body)
            while b"\r\n\r\n" not in self.buffer:
                self.more()
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
            length = int(fields["content-length"])
            while len(self.buffer) < length:
                self.more()
        except (OSError, EOFError) as error:
            early = status is None and not self.buffer and not isinstance(error, TimeoutError)
            self.close()
            raise Ended(f"{type(error).__name__}: {error}", early) from None
        answer, self.buffer = self.buffer[:length], self.buffer[length:]
        if fields.get("connection", "").lower() == "close":
            self.close()
        return status, answer


class Load:
    """with Load(p) as load: … ; afterwards load.ok, .stale, .statuses, .lost (with why, when)."""

    def __init__(self, p, ca=None, kept=8, fresh=2, pause=0.002, posts=5, big=9):
        self.p, self.pause, self.posts, self.big = p, pause, posts, big
        self.context = None
        if ca is not None:
            self.context = ssl.create_default_context(cafile=str(ca))
        self.lock, self.over = threading.Lock(), threading.Event()
        self.ok = self.stale = self.posts_ok = 0
        self.statuses, self.lost = collections.Counter(), []
        self.slowest = 0.0
        self.answered_at = []  # of each ok: (sent, answered), monotonic
        self.ids, self.began = itertools.count(), time.monotonic()
        kinds = [(True, n % 2 == 1) for n in range(kept)] + [(False, n % 2 == 1) for n in range(fresh)]
        self.threads = [threading.Thread(target=self.run, args=kind, daemon=True) for kind in kinds]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for(lambda: answered(self) > 50, "the load's begin")
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads), "a client never ended"

    def client(self, tls):
        tls = tls and self.context is not None
        return Client(self.p.tls_port if tls else self.p.port, self.context if tls else None)

    def run(self, kept, tls):
        client = self.client(tls)
        while not self.over.is_set():
            n = next(self.ids)
            method = "POST" if self.posts and n % self.posts == 0 else "GET"
            target = f"/{'big' if self.big and n % self.big == 0 else 'small'}/{n}"
            began = time.monotonic()
            self.one(client, method, target, began)
            if not kept:
                client.close()
            time.sleep(self.pause)
        client.close()

    def one(self, client, method, target, began, repeated=False):
        """A request and, where its kept connection proved stale, its repetition."""
        reused = client.sock is not None
        try:
            if not reused:
                client.open()
            status, body = client.ask(method, target)
        except Ended as error:
            if error.early and reused and method == "GET" and not repeated:
                with self.lock:
                    self.stale += 1
                self.one(client, method, target, began, True)
                return
            self.lose(method, target, began, str(error) + (" (reused)" if reused else " (fresh)"))
            return
        except (OSError, EOFError) as error:
            client.close()
            self.lose(method, target, began, f"connect: {type(error).__name__}: {error}")
            return
        now = time.monotonic()
        right = body.startswith(target.encode()) and len(body) == len(target) + 200_000 * ("big" in target)
        with self.lock:
            self.slowest = max(self.slowest, now - began)
            if status != 200:
                self.statuses[f"{method} {status}"] += 1
            elif not right:
                self.lost.append((began, f"{method} {target}: the wrong body"))
            else:
                self.ok += 1
                self.posts_ok += method == "POST"
                self.answered_at.append((began, now))

    def lose(self, method, target, began, why):
        with self.lock:
            self.lost.append((began, f"{method} {target} sent at {began - self.began:.3f}: {why}"))
        time.sleep(0.005)  # a port that refuses is not asked thousands of times

    def lost_text(self):
        return [why for _, why in self.lost][:20]

    def figure(self):
        return {"ok": self.ok, "stale": self.stale, "lost": len(self.lost),
                "statuses": dict(self.statuses), "slowest_ms": round(self.slowest * 1000)}


class Process:
    """One origin of fault_origin.py; `run` are words in front of its command, `tls` its
    certificate and key."""

    def __init__(self, record, port=None, mode="good", host="127.0.0.1", run=(),
                 tls=None):
        self.record, self.port, self.mode, self.child = record, port or free_port(), mode, None
        self.host, self.words = host, [*run, sys.executable, str(HERE / "fault_origin.py")]
        self.env = {**os.environ, **({"FAULT_CERT": str(tls[0]), "FAULT_KEY": str(tls[1])} if tls else {})}
        self.start()

    def start(self, wait=True):
        self.child = subprocess.Popen(
            [*self.words, self.host, str(self.port), str(self.record), *self.mode.split()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.env)
        if wait:
            assert self.child.stdout.readline() == "ready\n"
        return self

    def be(self, mode):
        """Another mode, of a running origin."""
        self.mode = mode
        self.child.stdin.write(mode + "\n")
        self.child.stdin.flush()
        assert self.child.stdout.readline() == "ready\n"

    def kill(self):
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child.stdin.close()
            self.child.stdout.close()
        self.child = None

    def freeze(self):
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.child.send_signal(signal.SIGCONT)


def answered(load):
    """Requests that have come to an end, however."""
    return load.ok + len(load.lost) + sum(load.statuses.values())


def settle(load, seconds=SECONDS):
    """The load goes on for a while, and some of it is answered."""
    count, end = load.ok, time.monotonic() + seconds
    wait_for(lambda: load.ok > count + 20 and time.monotonic() > end, "more answers")


def nothing_twice(record):
    twice = [target for target, n in posted(record).items() if n > 1]
    assert not twice, f"POSTs that reached an origin twice: {twice}"


def nothing_lost(load, record, statuses=()):
    """All answered, by 200 or one of `statuses`; no POST came to the origins twice."""
    assert not load.lost, load.lost_text()
    assert set(load.statuses) <= set(statuses), load.statuses
    nothing_twice(record)


def posted(record):
    """How often each POST reached an origin."""
    return collections.Counter(record.read_text().split()) if record.exists() else collections.Counter()


def tell(name, **figures):
    """A test's figures: on its output, and as a line of the file that FAULT_REPORT names."""
    print(f"\n{name}: {figures}")
    path = os.environ.get("FAULT_REPORT")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"test": name, **figures}) + "\n")
