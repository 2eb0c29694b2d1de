"""`portcullis upgrade`: another program at the same path takes over, and no connection is lost."""
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import BINARY, cli, sees_inside, wait_for
from load import Load, nothing_lost, settle, tell

HELLO = 'site * -> respond 200 "hello"\n'


class Instance:
    """A Portcullis whose program lies in its own folder, where a test can replace it."""

    def __init__(self, p, env=None, run=(), pass_fds=()):
        self.p, self.path = p, p.dir / "program"
        self.replace(BINARY)
        with open(p.dir / "stderr", "ab") as err:
            p.stderr_file = err
            p.process = subprocess.Popen([*run, self.path, "run", "-c", str(p.conf)], stdout=err,
                                         stderr=err, env={**os.environ, **(env or {})}, pass_fds=pass_fds)
        p.wait_stderr("serving ")

    def replace(self, source=None, text=None):
        """As a package does it: the new file is moved to the old one's place."""
        new = self.p.dir / "program.new"
        if text is None:
            shutil.copy(source, new)
        else:
            new.write_text(text)
        new.chmod(0o755)
        new.rename(self.path)

    def upgrade(self):
        return self.p.control("upgrade")

    def pid(self):
        return self.p.status()["pid"]

    def end(self):
        """Whoever serves now."""
        self.p.control("stop")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.p.process.wait(30)
        if self.p.process.poll() is None:
            self.p.process.kill()
            self.p.process.wait()


@pytest.fixture
def instance(portcullis):
    with contextlib.ExitStack() as stack:
        def make(text, **more):
            made = Instance(portcullis(text, start=False), **more)
            stack.callback(made.end)
            return made
        yield make


# --- what goes on -----------------------------------------------------------------------------


def test_what_is_drained_stays_so(instance, origin):
    def named(name):
        def script(conn):
            while conn.read_request() is not None:
                conn.answer(body=name)
        return script
    a, b = origin(named("a")), origin(named("b"))
    i = instance(f"site * -> 127.0.0.1:{a.port} 127.0.0.1:{b.port}\n")
    assert i.p.cli("drain", f"127.0.0.1:{a.port}", "-c", str(i.p.conf)).returncode == 0
    before = i.pid()
    assert i.upgrade().returncode == 0
    assert i.pid() != before
    assert {i.p.get().text for _ in range(10)} == {"b"}
    assert i.p.cli("undrain", f"127.0.0.1:{a.port}", "-c", str(i.p.conf)).returncode == 0
    wait_for(lambda: i.p.get().text == "a", "the origin to be back")


def test_upgrades_under_load_lose_nothing(instance, certs, processes):
    (a,) = processes()
    i = instance(f"tls {certs.cert('localhost')} {certs.key('localhost')}\nhttp serve\ndrain 20s\n"
                 f"site localhost -> 127.0.0.1:{a.port}\n")
    pids = [i.pid()]
    with Load(i.p, certs.ca) as load:
        for _ in range(5):
            i.replace(BINARY)
            done = i.upgrade()
            assert done.returncode == 0, done.stderr
            pids.append(i.pid())
            settle(load, seconds=0.3)
        settle(load)
    assert len(set(pids)) == 6
    nothing_lost(load, processes.record)
    tell("5 upgrades of the program", **load.figure())


def test_the_old_one_finishes_what_is_open_and_ends(instance, origin):
    go_on = threading.Event()

    def slow(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        go_on.wait(30)
        conn.send(b"after")

    i = instance(f"drain 30s\nsite * -> 127.0.0.1:{origin(slow).port}\n")
    with i.p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").read_until(b"first")
        old = i.p.process
        done = i.upgrade()
        assert done.returncode == 0 and f"pid {old.pid} finishes what is open" in done.stdout
        assert old.poll() is None and i.pid() != old.pid
        go_on.set()
        assert client.read_all() == b"after"
    assert old.wait(30) == 0
    assert i.pid() != old.pid  # the name of the control socket has stayed


@sees_inside
def test_the_new_one_runs_the_file_at_the_old_path(instance):
    i = instance(HELLO)
    i.replace(BINARY)
    new = os.stat(i.path).st_ino
    assert os.stat(f"/proc/{i.pid()}/exe").st_ino != new
    assert i.upgrade().returncode == 0
    assert os.stat(f"/proc/{i.pid()}/exe").st_ino == new
    assert i.p.get().text == "hello"
    # Else systemd would not wait for its end in a stop.
    parent = next(line for line in open(f"/proc/{i.pid()}/status", encoding="utf-8") if line.startswith("PPid:"))
    assert int(parent.split()[1]) not in (os.getpid(), i.p.process.pid)


def test_sessions_of_before_are_resumed(instance, certs):
    i = instance(f"tls {certs.cert('localhost')} {certs.key('localhost')}\n{HELLO}")
    context = ssl.create_default_context(cafile=str(certs.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def visit(session=None):
        sock = socket.create_connection(("127.0.0.1", i.p.tls_port), 10)
        with context.wrap_socket(sock, server_hostname="localhost", session=session) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            s.recv(4096)
            return s.session_reused, s.session

    _, session = visit()
    assert i.upgrade().returncode == 0
    assert visit(session)[0]


def test_a_changed_configuration_is_taken_over_too(instance):
    i = instance(HELLO)
    i.p.write(f'workers 1\ncontrol {i.p.dir}/other.sock\nsite * -> respond 200 "changed"\n')
    done = cli("upgrade", "--control", i.p.dir / "state" / "control.sock")
    assert done.returncode == 0, done.stderr
    # What lay in the elder's queues as it said so is the elder's to answer.
    wait_for(lambda: i.p.get().text == "changed", "the changed configuration")
    assert i.p.status()["worker_threads"] == 1
    assert not (i.p.dir / "state" / "control.sock").exists()


# --- what is refused --------------------------------------------------------------------------


def serves_on(i, pid):
    assert i.pid() == pid and i.p.process.poll() is None
    assert i.p.get().text == "hello"
    assert i.p.reload().returncode == 0


def test_a_broken_configuration_leaves_the_old_one(instance):
    i = instance(HELLO)
    pid, good = i.pid(), i.p.conf.read_text()
    i.p.conf.write_text(good + "balanse x\n")
    done = i.upgrade()
    assert done.returncode == 1
    assert "unknown directive 'balanse'" in done.stderr and f"pid {pid} serves on" in done.stderr
    i.p.conf.write_text(good)
    serves_on(i, pid)


@pytest.mark.parametrize("text", ["#!/bin/false\n", "#!/bin/sh\nexit 0\n", "\x7fELF nonsense"])
def test_a_program_that_is_no_portcullis_leaves_the_old_one(instance, text):
    i = instance(HELLO)
    pid = i.pid()
    i.replace(text=text)
    assert i.upgrade().returncode == 1
    serves_on(i, pid)


def test_a_program_that_has_gone_leaves_the_old_one(instance):
    i = instance(HELLO)
    pid = i.pid()
    i.path.unlink()
    done = i.upgrade()
    assert done.returncode == 1 and f"there is no program at {i.path} any more" in done.stderr
    serves_on(i, pid)


def test_a_program_that_hangs_is_ended_with_the_old_one(instance):
    i = instance(HELLO)
    i.replace(text=f"#!/bin/sh\necho $$ > {i.p.dir}/pid\nexec sleep 1000\n")
    waiting = subprocess.Popen([BINARY, "upgrade", "-c", i.p.conf], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    hanging = int(wait_for(lambda: (i.p.dir / "pid").exists() and (i.p.dir / "pid").read_text(), "it"))
    assert i.p.get().text == "hello"
    busy = i.upgrade()
    assert busy.returncode == 1 and "under way" in busy.stderr
    assert i.p.stop() == 0
    assert waiting.wait(30) == 1
    wait_for(lambda: not os.path.exists(f"/proc/{hanging}"), "its end")  # process 1 reaps it


def test_the_environment_alone_makes_no_heir(instance):
    i = instance(HELLO, env={"PORTCULLIS_UPGRADE": "1"})
    assert i.p.get().text == "hello"


# --- systemd ----------------------------------------------------------------------------------


def test_systemd_hears_who_serves_now(instance, folder):
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(folder / "notify"))
    heard.settimeout(30)
    i = instance(HELLO, env={"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "60000000"})
    assert i.upgrade().returncode == 0
    news = []
    # In which order the new one's word and the old one's come is no matter.
    while b"MAINPID=%d" % i.pid() not in news or news.count(b"READY=1") < 2:
        news += heard.recv(4096).splitlines()
    assert b"STOPPING=1" not in news


@sees_inside
def test_sockets_from_systemd_are_handed_on(instance):
    with socket.create_server(("127.0.0.1", 0)) as s:
        code = ("import os,sys; os.dup2(int(sys.argv[1]), 3); "
                "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
                "os.execv(sys.argv[2], sys.argv[2:])")
        i = instance(f"listen http://127.0.0.1:{s.getsockname()[1]}\n{HELLO}", pass_fds=[s.fileno()],
                     run=["/usr/bin/python3", "-c", code, str(s.fileno())])
        i.p.port = s.getsockname()[1]
        assert i.p.get().text == "hello"
        inode = os.fstat(s.fileno()).st_ino
        assert i.upgrade().returncode == 0
        worker = i.p.worker_pid()
        held = {os.stat(f"/proc/{worker}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{worker}/fd")}
        assert inode in held
        assert i.p.get().text == "hello"
