"""Supervisor, loader and worker as processes: start, crash, signals, stop, control socket."""
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import time

import pytest

from conftest import BINARY, cli, public_binary, sees_inside, wait_for

HELLO = 'site * -> respond 200 "hello"\n'
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def proc_status(pid, name):
    for line in open(f"/proc/{pid}/status", encoding="utf-8"):
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].split()
    return None


# --- start ----------------------------------------------------------------------------------


def test_wrong_configuration_is_told_and_ends_with_2(portcullis):
    p = portcullis("site * -> respond 200 hello\nbalanse 3\nlisten 1 2 3\n", start=False)
    p.start()
    assert p.process.wait(30) == 2
    assert "unknown directive 'balanse'" in p.stderr()
    assert not (p.dir / "access.log").exists()


def test_the_first_line_names_version_and_configuration(portcullis):
    p = portcullis(HELLO)
    first = p.stderr().splitlines()[0]
    assert "version" in first and str(p.conf) in first


def test_a_second_instance_names_the_first(portcullis):
    p = portcullis(HELLO)
    done = cli("run", "-c", p.conf)
    assert done.returncode == 1
    assert f"127.0.0.1:{p.port} is held by {p.held_by()}" in done.stderr
    assert p.get().text == "hello"


def test_a_port_in_use_names_the_holder(portcullis):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        p = portcullis(f"listen http://127.0.0.1:{port}\n" + HELLO)
        assert p.process.wait(30) == 1
        assert f"127.0.0.1:{port} is held by " in p.stderr()
        assert f"(pid {os.getpid()})" in p.stderr()


def test_all_addresses_are_one_socket_for_both_families(portcullis):
    p = portcullis("listen http://:@HTTP@\n" + HELLO)
    assert p.get().text == "hello"
    try:
        with p.connect(host="::1") as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response().text == "hello"
    except OSError:
        assert "this host has no IPv6" in p.stderr()


def test_a_state_directory_open_to_others_is_refused(portcullis):
    p = portcullis(HELLO, start=False)
    (p.dir / "state").mkdir(mode=0o755)
    (p.dir / "state").chmod(0o755)
    p.start()
    assert p.process.wait(30) == 2
    assert "is open to others" in p.stderr()


@sees_inside
def test_sockets_from_systemd_are_taken_by_their_address(portcullis):
    p = portcullis(HELLO, start=False)
    with socket.create_server(("127.0.0.1", p.port)) as s, open(p.dir / "stderr", "ab") as err:
        code = ("import os,sys; os.dup2(int(sys.argv[1]), 3); "
                "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
                "os.execv(sys.argv[2], sys.argv[2:])")
        p.stderr_file = err
        p.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", code, str(s.fileno()), BINARY, "run", "-c", str(p.conf)],
            pass_fds=[s.fileno()], stderr=err, stdout=err)
        p.wait_stderr("serving ")
        assert p.get().text == "hello"
        inode = os.fstat(s.fileno()).st_ino
        worker = p.worker_pid()
        held = {os.stat(f"/proc/{worker}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{worker}/fd")}
        assert inode in held
        assert p.stop() == 0


def test_notify_socket_hears_of_ready_reload_and_stop(portcullis, folder):
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(folder / "notify"))
    heard.settimeout(30)
    p = portcullis(HELLO, env={"NOTIFY_SOCKET": str(folder / "notify")})

    def hear(word):
        while word not in (got := heard.recv(4096)):
            pass
        return got

    hear(b"READY=1")
    assert p.reload().returncode == 0
    hear(b"RELOADING=1")
    hear(b"READY=1")
    p.stop()
    hear(b"STOPPING=1")


# --- the worker -----------------------------------------------------------------------------


@as_root
def test_the_worker_has_no_privileges(portcullis):
    p = portcullis(HELLO)
    worker = p.worker_pid()
    assert set(proc_status(worker, "Uid")) == {str(NOBODY)} or p.status()["worker_user"] != "nobody"
    assert "0" not in proc_status(worker, "Uid")
    assert proc_status(worker, "NoNewPrivs") == ["1"]
    assert proc_status(worker, "CapEff") == ["0000000000000000"]


def test_a_killed_worker_is_replaced_and_the_queue_waits(portcullis):
    p = portcullis(HELLO)
    old = p.worker_pid()
    os.kill(old, signal.SIGKILL)
    with p.connect() as client:  # waits in the listener's queue
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().text == "hello"
    assert p.worker_pid() != old
    assert "was killed by signal 9" in p.stderr()


def test_a_worker_that_keeps_dying_is_replaced_with_pauses(portcullis):
    p = portcullis(HELLO)
    for _ in range(3):
        os.kill(wait_for(lambda: worker_or_none(p), "a worker"), signal.SIGKILL)
        time.sleep(0.05)
    wait_for(lambda: worker_or_none(p), "a worker")
    assert p.get().text == "hello"


def worker_or_none(p):
    done = p.cli("status", "--json", "-c", str(p.conf))
    return json.loads(done.stdout).get("worker_pid") if done.returncode == 0 else None


def test_session_tickets_outlive_the_worker(portcullis):
    p = portcullis("tls @CERTS@/localhost.pem @CERTS@/localhost.key\n"
                   "site localhost -> respond 200 hello\n")
    context = ssl.create_default_context(cafile=str(p.certs.ca))
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def visit(session=None):
        with socket.create_connection(("127.0.0.1", p.tls_port), 30) as tcp:
            with context.wrap_socket(tcp, server_hostname="localhost", session=session) as tls:
                tls.sendall(request)
                assert b"hello" in tls.recv(4096)
                return tls.session, tls.session_reused

    session, reused = visit()
    assert not reused
    assert visit(session)[1]
    os.kill(p.worker_pid(), signal.SIGKILL)
    assert visit(session)[1]
    assert p.reload().returncode == 0
    assert visit(session)[1]


def test_the_worker_ends_when_the_supervisor_is_killed(portcullis):
    p = portcullis(HELLO)
    worker = p.worker_pid()
    p.process.kill()
    p.process.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{worker}"), "the worker's end")


def test_an_instance_starts_over_the_socket_of_a_killed_one(portcullis):
    p = portcullis(HELLO)
    worker = p.worker_pid()
    p.process.kill()
    p.process.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{worker}"), "the worker's end")
    (p.dir / "stderr").unlink()
    p.start()
    assert p.get().text == "hello"


# --- stop -----------------------------------------------------------------------------------


def slow_origin(seconds):
    def script(conn):
        if conn.read_request():
            time.sleep(seconds)
            conn.answer(body="late")
    return script


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_waits_for_the_open_request(portcullis, origin, number):
    o = origin(slow_origin(1))
    p = portcullis(f"drain 20s\nsite * -> 127.0.0.1:{o.port}\n")
    with p.connect() as client, p.connect() as idle:
        idle.send(b"GET / HT")
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: o.requests, "the request at the origin")
        idle.close()
        p.signal(number)
        answer = client.response()
        assert answer.text == "late"
        assert client.closed()
    assert p.process.wait(30) == 0


def test_a_stop_ends_at_the_deadline(portcullis, origin):
    o = origin(slow_origin(20))
    p = portcullis(f"drain 1s\nsite * -> 127.0.0.1:{o.port}\n")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: o.requests, "the request at the origin")
        began = time.monotonic()
        p.signal(signal.SIGTERM)
        assert p.process.wait(15) == 0
        assert time.monotonic() - began >= 0.9


def test_a_second_signal_stops_at_once(portcullis, origin):
    o = origin(slow_origin(20))
    p = portcullis(f"drain 60s\nsite * -> 127.0.0.1:{o.port}\n")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: o.requests, "the request at the origin")
        p.signal(signal.SIGTERM)
        p.wait_stderr("stopping")
        assert p.returncode is None
        p.signal(signal.SIGTERM)
        assert p.process.wait(15) == 0


def test_the_ports_refuse_while_a_stop_drains(portcullis, origin):
    o = origin(slow_origin(3))
    p = portcullis(f"drain 20s\nsite * -> 127.0.0.1:{o.port}\n")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: o.requests, "the request at the origin")
        p.signal(signal.SIGTERM)
        wait_for(lambda: refused(p.port), "the port to be closed")
        assert client.response().text == "late"


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def test_stop_returns_when_the_instance_has_ended(portcullis):
    p = portcullis(HELLO)
    done = p.control("stop")
    assert (done.returncode, done.stdout) == (0, "stopped\n")
    assert p.process.wait(10) == 0
    assert not (p.dir / "state" / "control.sock").exists()


# --- control --------------------------------------------------------------------------------


def test_status_tells_what_is_served(portcullis):
    p = portcullis(HELLO)
    p.get()
    status = p.status()
    assert status["pid"] == p.pid
    assert status["listeners"] == [f"http://127.0.0.1:{p.port}"]
    assert status["worker_threads"] == 2
    assert status["requests"]["answered"] >= 1
    assert status["log_records_dropped"] == 0
    text = p.control("status").stdout
    assert f"pid: {p.pid}" in text and f"http://127.0.0.1:{p.port}" in text


def test_status_lists_certificates(portcullis):
    p = portcullis("tls @CERTS@/localhost.pem @CERTS@/localhost.key\n"
                   "site localhost -> respond 200 hello\n")
    (cert,) = p.status()["certificates"]
    assert cert["names"] == "localhost 127.0.0.1"
    assert cert["not_after"] > "2026"


def test_the_control_socket_is_the_starters_alone(portcullis):
    p = portcullis(HELLO)
    mode = (p.dir / "state" / "control.sock").stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE((p.dir / "state").stat().st_mode) == 0o700


@as_root
def test_the_control_socket_refuses_other_users(portcullis):
    p = portcullis("control @DIR@/c.sock\n" + HELLO)
    (p.dir / "c.sock").chmod(0o666)  # even then
    done = cli("stop", "--control", p.dir / "c.sock", user=NOBODY)
    assert done.returncode == 1
    assert "only root" in done.stderr
    assert "was refused at the control socket" in p.stderr()
    assert p.get().text == "hello"


@as_root
def test_the_control_group_is_let_in(portcullis):
    p = portcullis("control @DIR@/c.sock group daemon\n" + HELLO)
    info = (p.dir / "c.sock").stat()
    assert stat.S_IMODE(info.st_mode) == 0o660
    done = subprocess.run([public_binary(), "status", "--json", "--control",
                           str(p.dir / "c.sock")],
                          user=12345, group=info.st_gid, extra_groups=[], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pid"] == p.pid


@pytest.mark.parametrize("bytes_sent", [b"\n", b"fly\n", b"status" * 80, b"\0\xff\n"])
def test_the_control_socket_bears_nonsense(portcullis, bytes_sent):
    p = portcullis(HELLO)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(p.dir / "state" / "control.sock"))
        s.sendall(bytes_sent)
        assert s.recv(100).startswith(b"failed\n")
    assert p.status()["pid"] == p.pid


def test_an_idle_control_client_is_closed_and_does_not_hold_others(portcullis):
    p = portcullis(HELLO)
    idle = []
    for _ in range(15):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(p.dir / "state" / "control.sock"))
        idle.append(s)
    assert p.status()["pid"] == p.pid
    idle[0].settimeout(30)
    assert idle[0].recv(1) == b""
    for s in idle:
        s.close()


# --- questions to the worker ------------------------------------------------------------------


def ask(p, question, pieces=1):
    """What the worker answers to these bytes: its first line and the rest."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(p.dir / "state" / "control.sock"))
        whole = b"ask\n" + question
        size = max(1, len(whole) // pieces)
        for at in range(0, len(whole), size):
            s.sendall(whole[at:at + size])
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while got := s.recv(65536):
            answer += got
    return answer.decode().partition("\n")[::2]


@pytest.mark.parametrize("pieces", [1, 100])
def test_the_worker_answers_questions_about_its_origins(portcullis, origin, pieces):
    o = origin()
    p = portcullis(f"site * -> localhost:{o.port}\n")
    assert p.get().status == 200
    first, rest = ask(p, b"origins\0", pieces)
    assert first == "ok"
    (seen,) = json.loads(rest)["origins"]
    assert seen["origin"] == f"localhost:{o.port}" and seen["state"] == "up"


@pytest.mark.parametrize("question", [b"", b"origins", b"fly\0", b"\0", b"x" * 300000, b"a\0" * 300],
                         ids=["none", "open", "unknown", "empty", "long", "many"])
def test_a_question_that_is_none_is_refused(portcullis, question):
    p = portcullis(HELLO)
    try:
        first, _ = ask(p, question)
    except (BrokenPipeError, ConnectionResetError):
        first = "failed"  # it is cut off while it still talks
    assert first == "failed"
    assert p.get().text == "hello"


def test_open_questions_are_counted_and_expire(portcullis):
    p = portcullis(HELLO)
    idle = []
    for _ in range(16):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(str(p.dir / "state" / "control.sock"))
        s.sendall(b"ask\n")
        idle.append(s)

    def refused():
        first, rest = ask(p, b"origins\0")
        return first == "failed" and "too many" in rest

    wait_for(refused)
    for s in idle:
        assert s.recv(1) == b""
        s.close()
    assert ask(p, b"origins\0")[0] == "ok"


# --- logs -----------------------------------------------------------------------------------


def test_sigusr1_opens_the_log_again(portcullis):
    p = portcullis(HELLO)
    p.get("/before")
    p.wait_log(lambda r: r["path"] == "/before")
    p.log.rename(p.dir / "moved.log")
    p.signal(signal.SIGUSR1)
    p.wait_stderr("logs are opened again")
    p.get("/after")
    p.wait_log(lambda r: r["path"] == "/after")
    assert "/after" not in (p.dir / "moved.log").read_text()


def test_a_full_log_is_rotated(portcullis):
    p = portcullis("log @DIR@/access.log rotate 16k keep 2\n" + HELLO)
    with p.connect() as client:
        for n in range(200):
            client.send(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n).response()
            if n % 20 == 0:
                time.sleep(0.3)
    wait_for(lambda: (p.dir / "access.log.1").exists(), "the rotated file")
    assert not (p.dir / "access.log.3").exists()


def test_a_log_that_fills_quickly_is_rotated_again(portcullis):
    p = portcullis("log @DIR@/access.log rotate 64k keep 2\n" + HELLO)
    with p.connect() as client:
        def two_more():
            for i in range(50):
                client.send(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i).response()
            return (p.dir / "access.log.2").exists()

        wait_for(two_more, "the second rotation", every=0.1)



# --- the command line -----------------------------------------------------------------------


def test_usage_errors_end_with_2():
    for words in ([], ["fly"], ["run", "--fly"], ["run", "-c"], ["proxy", ":1"], ["cert", "eat"]):
        assert cli(*words).returncode == 2, words


def test_every_command_has_help_and_a_manual_page():
    overview = cli("help")
    assert overview.returncode == 0
    for line in overview.stdout.splitlines():
        if not line.startswith("  "):
            continue
        name = line.split()[0]
        done = cli(name, "--help")
        assert done.returncode == 0 and f"portcullis {name}" in done.stdout
        page = cli("docs", "man", name)
        assert page.returncode == 0 and page.stdout.startswith(".TH PORTCULLIS-")


def test_proxy_serves_one_line(origin, folder):
    from conftest import connect, free_port
    o, port = origin(), free_port()
    process = subprocess.Popen([BINARY, "proxy", f"http://127.0.0.1:{port}", f"127.0.0.1:{o.port}"],
                               stdout=subprocess.PIPE, text=True, cwd=folder,
                               env={**os.environ, "XDG_STATE_HOME": str(folder), "HOME": str(folder)})
    try:
        assert f"http://127.0.0.1:{port}/ forwards to" in process.stdout.readline()
        with connect(port) as client:
            client.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response().json["target"] == "/x"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
