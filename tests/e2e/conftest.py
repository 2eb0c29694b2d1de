"""The harness of the end-to-end tests: the real binary, real sockets, nothing mocked.

    def test_x(portcullis, origin):
        o = origin()                                   # echoes each request as JSON
        p = portcullis(f"site * -> 127.0.0.1:{o.port}")
        assert p.get("/a").status == 200
        assert o.requests[0].target == b"/a"
        assert p.wait_log(lambda r: r["path"] == "/a")["status"] == 200

What a configuration leaves out is added in front of it: `state`, `log`, `drain 1s`, and `listen` on
two free loopback ports (HTTPS only where the text has a `tls` line). In the text @HTTP@, @HTTPS@,
@DIR@ and @CERTS@ stand for the ports, the instance's folder and the folder of test certificates.
"""
import atexit
import contextlib
import functools
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("PORTCULLIS", str(ROOT / "build" / "portcullis"))
# Sanitizers make everything slower; conditions are waited for, so this is no delay.
PATIENCE = 30.0
SANITIZED = os.path.exists(BINARY) and any(
    mark in pathlib.Path(BINARY).read_bytes() for mark in (b"__asan_init", b"__tsan_init"))
# Our processes hide their memory, and with it /proc/PID/fd and exe, from all but root.
sees_inside = pytest.mark.skipif(os.geteuid() != 0, reason="only root looks into our processes")
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: moves hundreds of megabytes (-m 'not slow' leaves it out)")


def wait_for(condition, what="a condition", timeout=PATIENCE, every=0.02):
    """The first true value of condition(), which is asked again until then."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(every)


_given_ports = set()


def free_port(host="127.0.0.1"):
    """A port that nobody listens on and no other test was given. From below the kernel's range of
    ephemeral ports, where some client's own end could take it before it is listened on."""
    while True:
        port = random.randrange(10000, 30000)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as s:
            try:
                s.bind((host, port))
            except OSError:
                continue
        if port not in _given_ports:
            _given_ports.add(port)
            return port


# --- clients --------------------------------------------------------------------------------


class Response:
    def __init__(self, status, headers, body, raw=b""):
        self.status, self.headers, self.body, self.raw = status, headers, body, raw

    def header(self, name):
        """The values of all fields of that name, joined; None without one."""
        found = [v for n, v in self.headers if n.lower() == name.lower()]
        return ", ".join(found) if found else None

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)


class RawClient:
    """A socket with a buffer: sends exactly what it is given and reads answers one by one."""

    def __init__(self, sock):
        self.sock, self.buffer, self.eof = sock, b"", False

    def send(self, data):
        self.sock.sendall(data)
        return self

    def fill(self, timeout=PATIENCE):
        """Reads once. False at the end of the stream (a reset is an end too)."""
        self.sock.settimeout(timeout)
        try:
            got = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            got = b""
        self.buffer += got
        self.eof = self.eof or not got
        return bool(got)

    def read_until(self, mark, timeout=PATIENCE):
        while mark not in self.buffer:
            if not self.fill(timeout):
                raise AssertionError(f"the stream ended before {mark!r}: {self.buffer[-500:]!r}")
        at = self.buffer.index(mark) + len(mark)
        out, self.buffer = self.buffer[:at], self.buffer[at:]
        return out

    def read_exactly(self, count, timeout=PATIENCE):
        while len(self.buffer) < count:
            if not self.fill(timeout):
                raise AssertionError(f"the stream ended {count - len(self.buffer)} bytes early")
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def read_all(self, timeout=PATIENCE):
        while self.fill(timeout):
            pass
        out, self.buffer = self.buffer, b""
        return out

    def closed(self, timeout=PATIENCE):
        """True when the peer closes without a further byte."""
        return not self.buffer and not self.fill(timeout)

    def _chunks(self, timeout):
        body = b""
        while True:
            size = int(self.read_until(b"\r\n", timeout).split(b";")[0], 16)
            if size == 0:
                while self.read_until(b"\r\n", timeout) != b"\r\n":
                    pass
                return body
            body += self.read_exactly(size, timeout)
            assert self.read_exactly(2, timeout) == b"\r\n"

    def response(self, head_only=False, timeout=PATIENCE):
        """One HTTP/1.1 response, its body framed as RFC 9112 6.3 says."""
        head = self.read_until(b"\r\n\r\n", timeout)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines[1:-2])]
        answer = Response(status, headers, b"", head)
        if head_only or status in (204, 304) or status < 200:
            return answer
        if answer.header("transfer-encoding") == "chunked":
            answer.body = self._chunks(timeout)
        elif answer.header("content-length") is not None:
            answer.body = self.read_exactly(int(answer.header("content-length")), timeout)
        else:
            answer.body = self.read_all(timeout)
        return answer

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with a RST instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(port, host="127.0.0.1", source=None):
    return RawClient(socket.create_connection((host, port), PATIENCE,
                                              source_address=(source, 0) if source else None))


def connect_tls(port, name="localhost", host="127.0.0.1", ca=None, alpn=None, context=None):
    """TLS with SNI `name` (None: without). Without `ca` nothing is verified."""
    if context is None:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        if ca is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(alpn)
    sock = socket.create_connection((host, port), PATIENCE)
    try:
        return RawClient(context.wrap_socket(sock, server_hostname=name))
    except BaseException:
        sock.close()
        raise


# --- the program ----------------------------------------------------------------------------


class Portcullis:
    """One running instance, or one that refused to start (.returncode, .stderr())."""

    def __init__(self, text, folder, certs=None, args=(), env=None, start=True):
        self.dir = folder
        self.certs = certs
        self.port, self.tls_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls_url = f"https://localhost:{self.tls_port}"
        self.conf = folder / "portcullis.conf"
        self.log = folder / "access.log"
        self.args, self.env = list(args), env or {}
        self.process = None
        self.write(text)
        if start:
            self.start()

    # -- files

    def expand(self, text):
        for mark, value in (("@HTTP@", self.port), ("@HTTPS@", self.tls_port), ("@DIR@", self.dir),
                            ("@CERTS@", self.certs and self.certs.dir)):
            text = text.replace(mark, str(value))
        return text

    def write(self, text):
        """Writes the configuration, completed as the module's text says."""
        def has(word):
            return re.search(rf"^\s*{word}\b", text, re.M)

        front = ""
        if not has("listen"):
            front += "listen http://127.0.0.1:@HTTP@"
            front += " https://127.0.0.1:@HTTPS@\n" if has("tls") else "\n"
        front += "" if has("state") else "state @DIR@/state\n"
        front += "" if has("log") else "log @DIR@/access.log\n"
        front += "" if has("drain") else "drain 1s\n"
        front += "" if has("workers") else "workers 2\n"
        # Tools that look into the worker or write from it (coverage, gdb) need it without locks.
        front += "" if has("sandbox") or os.environ.get("SANDBOX") != "off" else "sandbox off\n"
        self.conf.write_text(self.expand(front + text))

    def file(self, name, content=""):
        """A file beside the configuration, readable by the worker."""
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    # -- life

    def start(self, wait=True):
        self.stderr_file = open(self.dir / "stderr", "ab")
        self.process = subprocess.Popen(
            [BINARY, "run", "-c", str(self.conf), *self.args], stdin=subprocess.DEVNULL,
            stdout=self.stderr_file, stderr=self.stderr_file, cwd=self.dir,
            env={**os.environ, **self.env})
        if wait:
            wait_for(lambda: "serving " in self.stderr() or self.process.poll() is not None,
                     "the start")

    @property
    def pid(self):
        return self.process.pid

    @property
    def returncode(self):
        return self.process.poll()

    def signal(self, number):
        self.process.send_signal(number)

    def stderr(self):
        path = self.dir / "stderr"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def wait_stderr(self, words, timeout=PATIENCE):
        wait_for(lambda: words in self.stderr(), f"{words!r} on stderr", timeout)

    def cli(self, *words, **more):
        return cli(*words, cwd=self.dir, **more)

    def held_by(self):
        """What a second instance says about who has its port."""
        return f"portcullis (pid {self.pid})" if os.geteuid() == 0 else f"a process of user {os.geteuid()}"

    def control(self, command):
        return self.cli(command, "-c", str(self.conf))

    def reload(self, text=None):
        """`portcullis reload`; .returncode 0 when the new configuration is served."""
        if text is not None:
            self.write(text)
        return self.control("reload")

    def status(self):
        done = self.cli("status", "--json", "-c", str(self.conf))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def worker_pid(self):
        return self.status()["worker_pid"]

    def stop(self, timeout=PATIENCE):
        """Stops gracefully and answers the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("it did not stop: " + self.stderr()) from None
        finally:
            self.stderr_file.close()
        return code

    # -- the log

    def log_lines(self):
        """Whole ones: the last may be being written."""
        return self.log.read_text("utf-8").split("\n")[:-1] if self.log.exists() else []

    def log_records(self):
        return [json.loads(line) for line in self.log_lines()]

    def wait_log(self, predicate=lambda record: True, timeout=PATIENCE):
        """The first record for which predicate(record) holds."""
        return wait_for(lambda: next((r for r in self.log_records() if predicate(r)), None),
                        "a log record", timeout)

    # -- requests

    def connect(self, **more):
        return connect(self.port, **more)

    def connect_tls(self, name="localhost", **more):
        return connect_tls(self.tls_port, name, **more)

    def internal_ca(self):
        """The certificate of the CA of `tls internal`."""
        return self.dir / "state" / "ca" / "ca.pem"

    def get(self, path="/", **more):
        return self.request("GET", path, **more)

    def request(self, method, path, host="localhost", headers=(), body=None, tls=False, ca=None):
        """One request on a connection of its own. `headers`: a dict or pairs."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        head = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
        if body is not None:
            body = body if isinstance(body, bytes) else body.encode()
            head.append(f"Content-Length: {len(body)}")
        head += [f"{n}: {v}" for n, v in pairs]
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        client = self.connect_tls(name, ca=ca) if tls else self.connect()
        with client:
            client.send(("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + (body or b""))
            return client.response(head_only=method == "HEAD")

    def raw(self, data, tls=False):
        """Sends bytes and answers everything that comes until the connection is closed."""
        with (self.connect_tls() if tls else self.connect()) as client:
            return client.send(data).read_all()


@functools.cache
def public_binary():
    """A copy that every user may run: the tree may lie in a home that is closed to others."""
    folder = tempfile.mkdtemp(prefix="portcullis-test-")
    atexit.register(shutil.rmtree, folder)
    os.chmod(folder, 0o755)
    copy = shutil.copy(BINARY, folder)
    os.chmod(copy, 0o755)
    return copy


def cli(*words, cwd=None, user=None, env=None, text=None, timeout=PATIENCE):
    """Runs `portcullis WORDS` to its end."""
    binary = BINARY if user is None else public_binary()
    return subprocess.run([binary, *map(str, words)], cwd=cwd, input=text, text=True,
                          capture_output=True, timeout=timeout, user=user,
                          env={**os.environ, **(env or {})})


@contextlib.contextmanager
def open_folder():
    """A folder that the worker, another user, may enter (pytest's own are closed to it)."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder():
    with open_folder() as path:
        yield path


@pytest.fixture
def portcullis(certs):
    """portcullis(text) starts an instance; all are stopped at the end of the test."""
    with contextlib.ExitStack() as stack:
        started = []

        def make(text, **more):
            instance = Portcullis(text, stack.enter_context(open_folder()), certs, **more)
            started.append(instance)
            return instance

        yield make
        for instance in started:
            instance.stop()
            assert not SANITIZER.search(instance.stderr()), instance.stderr()


# --- origins --------------------------------------------------------------------------------


class Request:
    def __init__(self, head, body):
        self.head, self.body = head, body
        lines = head.split(b"\r\n")
        self.method, self.target, self.version = lines[0].split(b" ")
        self.headers = [(n.decode("latin-1"), v.strip().decode("latin-1"))
                        for n, _, v in (line.partition(b":") for line in lines[1:-2])]

    def header(self, name):
        found = [v for n, v in self.headers if n.lower() == name.lower()]
        return ", ".join(found) if found else None


class OriginConn(RawClient):
    """What a script sees of one connection from the proxy."""

    def __init__(self, sock, server):
        super().__init__(sock)
        self.server = server

    def read_request(self, body=True):
        """The next request, or None when the proxy closes."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                return None
        request = Request(self.read_until(b"\r\n\r\n"), b"")
        if body and request.header("transfer-encoding") == "chunked":
            request.body = self._chunks(PATIENCE)
        elif body and request.header("content-length"):
            request.body = self.read_exactly(int(request.header("content-length")))
        self.server.requests.append(request)
        return request

    def answer(self, status=200, body=b"", headers=(), reason="OK"):
        body = body if isinstance(body, bytes) else body.encode()
        head = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}"]
        head += [f"{n}: {v}" for n, v in headers]
        self.send(("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body)


def echo(conn):
    """Answers every request with what it was, as JSON."""
    while (request := conn.read_request()) is not None:
        conn.answer(body=json.dumps({
            "method": request.method.decode(), "target": request.target.decode("latin-1"),
            "headers": request.headers, "body": request.body.decode("latin-1"),
        }), headers=[("Content-Type", "application/json")])


class Origin:
    """A TCP server that runs script(conn) for each connection, each in a thread."""

    def __init__(self, script=echo, host="127.0.0.1", port=0, context=None, path=None):
        self.requests, self.connections, self.errors = [], 0, []
        self.script, self.context = script, context
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            os.chmod(path, 0o666)
        else:
            self.listener = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
            self.port = self.listener.getsockname()[1]
        self.listener.listen(128)
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        self.open.append(sock)
        try:
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
            with OriginConn(sock, self) as conn:
                self.script(conn)
        except (OSError, AssertionError) as error:
            self.errors.append(error)

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.open:  # a thread that waits for one holds it open: only this ends it
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                sock.close()


@pytest.fixture
def origin():
    """origin() echoes; origin(script) runs script(conn) for each connection."""
    started = []

    def make(script=echo, **more):
        started.append(Origin(script, **more))
        return started[-1]

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def processes(folder):
    """processes(n, mode=…) starts n origins of fault_origin.py; .record has the POSTs that reached them."""
    from load import Process  # it imports this module
    started = []

    def make(count=1, **more):
        started.extend(Process(make.record, **more) for _ in range(count))
        return started[-count:]

    make.record = folder / "posts"
    yield make
    for process in started:
        process.kill()


# --- certificates ---------------------------------------------------------------------------


class Certs:
    """A test CA and what it issued, made with openssl. Paths: .ca, .cert(name), .key(name)."""

    def __init__(self, folder):
        self.dir = folder
        self.ca, self.ca_key = folder / "ca.pem", folder / "ca.key"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", self.ca_key, "-out", self.ca, "-days", "3650",
                      "-subj", "/CN=Test CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _openssl(self, *words):
        done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make(self, name, names=None, kind="ec", days=90, folder=None):
        """Issues NAME.pem and NAME.key for the DNS names (or addresses) given."""
        where = folder or self.dir
        cert, key, request = where / f"{name}.pem", where / f"{name}.key", where / f"{name}.csr"
        alt = ",".join(("IP:" if re.fullmatch(r"[0-9.]+|.*:.*", n) else "DNS:") + n
                       for n in names or [name])
        kinds = {"ec": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("rsa:2048",)}
        self._openssl("req", "-new", "-newkey", *kinds[kind], "-nodes", "-keyout", key,
                      "-out", request, "-subj", f"/CN={name}", "-addext", f"subjectAltName={alt}")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key,
                      "-CAcreateserial", "-out", cert, "-days", days, "-copy_extensions", "copy")
        key.chmod(0o600)
        request.unlink()
        return cert, key

    def cert(self, name):
        return self.dir / f"{name}.pem"

    def key(self, name):
        return self.dir / f"{name}.key"


@pytest.fixture(scope="session")
def certs():
    """Has `localhost` (ECDSA, with 127.0.0.1) from the start; make() issues others."""
    with open_folder() as path:
        made = Certs(path)
        made.make("localhost", ["localhost", "127.0.0.1"])
        yield made
