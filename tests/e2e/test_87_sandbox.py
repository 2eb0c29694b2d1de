"""The worker's locks: that they hold, what they leave open, and a worker that has been taken over."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from conftest import BINARY, SANITIZED, cli, free_port, open_folder, public_binary, wait_for

HELLO = 'site * -> respond 200 "hello"\n'
NOBODY = 65534
TOOLS = pathlib.Path(BINARY).parent
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
locked = pytest.mark.skipif(SANITIZED or os.environ.get("SANDBOX") == "off",
                            reason="built with a sanitizer, or told to be off: there are no locks")


def proc_status(path):
    lines = pathlib.Path(path, "status").read_text("utf-8").splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


# --- the locks --------------------------------------------------------------------------------


@locked
def test_every_thread_is_behind_the_locks(portcullis):
    p = portcullis(HELLO)
    threads = list(pathlib.Path(f"/proc/{p.worker_pid()}/task").iterdir())
    assert len(threads) == 4  # main, two loops, log
    for thread in threads:
        status = proc_status(thread)
        assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"]
        for which in ("Inh", "Prm", "Eff", "Amb"):
            assert int(status["Cap" + which][0], 16) == 0


@locked
@as_root
def test_status_says_which_locks_hold(portcullis):
    p = portcullis(HELLO)
    locks = p.status()["locks"]
    assert locks.pop("landlock") >= 1
    assert locks.pop("uid") == int(proc_status(f"/proc/{p.worker_pid()}")["Uid"][0]) != 0
    assert locks == {"sandbox": "on", "no_new_privs": True, "capabilities": "0",
                     "bounding_set": "0", "seccomp": True}
    text = p.control("status").stdout
    assert "locks:" in text and "  seccomp: true" in text
    assert "locks" not in p.stderr()


@as_root
def test_off_is_said_and_leaves_the_rest(portcullis):
    p = portcullis("sandbox off\n" + HELLO)
    assert p.get().text == "hello"
    assert "runs without seccomp and Landlock" in p.stderr()
    assert "the sandbox is off" in p.stderr()
    locks = p.status()["locks"]
    assert locks["sandbox"] == "off" and locks["landlock"] == 0 and locks["seccomp"] is False
    assert locks["no_new_privs"] is True and locks["capabilities"] == "0" and locks["uid"] != 0


@pytest.mark.parametrize("lacks,missing", [("landlock", "Landlock: this kernel has none"),
                                           ("seccomp", "seccomp: ")])
@locked
def test_a_kernel_without_a_lock_is_told_of_and_served_on(portcullis, lacks, missing):
    p = portcullis(HELLO, start=False)
    with open(p.dir / "stderr", "ab") as err:
        p.stderr_file = err
        p.process = subprocess.Popen(
            [TOOLS / "old_kernel", lacks, BINARY, "run", "-c", p.conf], stdout=err, stderr=err)
        p.wait_stderr("serving ")
        assert p.get().text == "hello"
        assert "the worker lacks locks: " + missing in p.stderr()
        assert p.status()["locks"]["missing"].startswith(missing)
        assert p.stop() == 0


# --- what a running worker cannot follow ------------------------------------------------------


def fresh(p, text, because):
    """Reloads; a new worker must have taken over, and the answer must say why."""
    old = p.worker_pid()
    done = p.reload(text)
    assert done.returncode == 0, done.stderr
    assert because + ": a new worker has begun" in done.stdout + done.stderr
    assert p.worker_pid() != old


@locked
def test_a_new_folder_takes_a_fresh_worker_and_an_old_one_does_not(portcullis, folder):
    for name in ("a/www", "b/www"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x.txt").write_text(name)
    p = portcullis(f"site * {{ /a/* -> files {folder}/a/www {{ strip }} }}\n")
    assert p.get("/a/x.txt").text == "a/www"
    both = (f"site * {{ /a/* -> files {folder}/a/www {{ strip }}\n"
            f" /b/* -> files {folder}/b/www {{ strip }} }}\n")
    fresh(p, both, "there is a new folder of 'files'")
    assert (p.get("/a/x.txt").text, p.get("/b/x.txt").text) == ("a/www", "b/www")
    worker = p.worker_pid()
    assert p.reload(f"site * {{ /b/* -> files {folder}/b/www {{ strip }} }}\n").returncode == 0
    assert p.worker_pid() == worker
    assert p.get("/b/x.txt").text == "b/www"


@locked
def test_a_deploy_that_swaps_a_link_needs_no_reload(portcullis, folder):
    for name in ("1", "2"):
        (folder / "releases" / name).mkdir(parents=True)
        (folder / "releases" / name / "x.txt").write_text(name)
    (folder / "current").symlink_to("releases/1")
    p = portcullis(f"site * -> files {folder}/current\n")
    assert p.get("/x.txt").text == "1"
    (folder / "next").symlink_to("releases/2")
    (folder / "next").rename(folder / "current")
    assert p.get("/x.txt").text == "2"


@locked
def test_a_root_beside_the_configuration_opens_nothing_else(portcullis):
    """Replacing the folder itself is then beyond the locks, until a reload."""
    p = portcullis("site * -> files @DIR@/www\n", start=False)
    p.file("www/x.txt", "old")
    p.start()
    assert p.get("/x.txt").text == "old"
    p.file("new/x.txt", "new")
    (p.dir / "www").rename(p.dir / "old")
    (p.dir / "new").rename(p.dir / "www")
    assert p.get("/x.txt").status == 403
    old = p.worker_pid()
    done = p.control("reload")
    assert done.returncode == 0 and "new folder of 'files': a new worker" in done.stdout + done.stderr
    assert p.worker_pid() != old
    assert p.get("/x.txt").text == "new"


def test_a_folder_that_holds_the_configuration_is_warned_of(portcullis):
    p = portcullis("site * -> files @DIR@\n", start=False)
    p.start()
    assert f"the folder {p.dir} of 'files' holds " in p.stderr()


@locked
def test_origins_on_unix_sockets_and_regexes_take_a_fresh_worker(portcullis, origin, folder):
    origin(path=folder / "app.sock")
    p = portcullis(HELLO)
    assert p.get().text == "hello"
    fresh(p, f"site * -> unix:{folder}/app.sock\n", "there are origins on UNIX sockets now")
    assert p.get("/u").json["target"] == "/u"
    regex = f"site * {{ ~ ^/r(.*) -> unix:{folder}/app.sock {{ rewrite /s$1 }} }}\n"
    fresh(p, regex, "there are regexes now")
    assert p.get("/r1").json["target"] == "/s1"


@locked
def test_switching_the_sandbox_takes_a_fresh_worker(portcullis):
    p = portcullis(HELLO)
    fresh(p, "sandbox off\n" + HELLO, "'sandbox' has changed")
    assert p.status()["locks"]["sandbox"] == "off"
    fresh(p, HELLO, "'sandbox' has changed")
    assert p.status()["locks"]["sandbox"] == "on"


# --- a worker that has been taken over --------------------------------------------------------


class Hostile:
    """A supervisor whose worker does what `deed` names, as root or as an ordinary user."""

    def __init__(self, folder, deed, user=None, more=""):
        self.dir, self.user = folder, user
        port = free_port()
        self.conf = folder / "hostile.conf"
        self.conf.write_text(f"listen http://127.0.0.1:{port}\nstate {folder}/state\nlog off\n"
                             f"{more}{HELLO}")
        binary = folder / "hostile_worker"  # the tree may be closed to the user
        shutil.copy(TOOLS / "hostile_worker", binary)
        if user is not None:
            for path in (folder, self.conf, binary):
                os.chown(path, user, user)
        self.err = open(folder / "stderr", "ab")
        control = folder / "c.sock" if "control" in more else folder / "state" / "control.sock"
        self.process = subprocess.Popen(
            [binary, self.conf], stdout=self.err, stderr=self.err, user=user, group=user,
            extra_groups=None if user is None else [],
            env={**os.environ, "HOSTILE": deed, "HOSTILE_CONTROL": str(control)})

    def stderr(self):
        return (self.dir / "stderr").read_text("utf-8", "replace")

    def wait(self, words):
        wait_for(lambda: words in self.stderr() or self.process.poll() is not None, words)
        assert words in self.stderr(), self.stderr()

    def alive(self):
        done = cli("status", "--json", "-c", self.conf, user=self.user)
        assert done.returncode == 0 or "has just ended" in done.stderr + done.stdout, done
        assert self.process.poll() is None

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.err.close()
        return code


@contextlib.contextmanager
def hostile(deed, **more):
    with open_folder() as folder:
        h = Hostile(folder, deed, **more)
        try:
            yield h
        finally:
            if h.process.poll() is None:
                h.process.kill()
                h.process.wait()


USERS = [pytest.param(None, id="as-started"),
         pytest.param(NOBODY, id="ordinary", marks=as_root)]
KINDS = 40  # more than there are
# Without such an origin the worker cannot even make a UNIX socket.
UNIX = "site other -> unix:/nowhere.sock\n"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("deed", ["garbage", "too-short", "too-long", "descriptor", "descriptors"])
def test_a_letter_out_of_form_ends_the_worker(deed, user):
    with hostile(deed, user=user) as h:
        h.wait("sent what it may not send: it is ended")
        h.alive()
        assert h.stop() == 0


def test_a_flood_of_wishes_ends_the_worker():
    with hostile("flood") as h:
        h.wait("said what was not its turn to say: it is ended")
        h.alive()
        assert h.stop() == 0


def test_a_worker_that_has_not_said_that_it_is_locked_is_not_heard():
    with hostile("before-locks") as h:
        h.wait("said what was not its turn to say: it is ended")
        assert h.process.wait(30) == 1  # the first load has failed


def test_a_letter_of_no_bytes_ends_the_worker():
    with hostile("nothing") as h:
        h.wait("was killed by signal 9")
        h.alive()
        assert h.stop() == 0


def test_only_one_kind_of_letter_may_come_unasked():
    """Each is sent once the worker has said that it is ready; it may wish for a new log file."""
    survived = []
    for first in range(0, KINDS, 4):  # so many at a time
        with contextlib.ExitStack() as stack:
            some = {kind: stack.enter_context(hostile(f"kind-{kind}"))
                    for kind in range(first, first + 4)}
            for kind, h in some.items():
                wait_for(lambda: "it is ended" in h.stderr() or "ended with status 0" in h.stderr(),
                         f"the end of who sends {kind}")
                h.alive()
                if "it is ended" not in h.stderr():
                    survived.append(kind)
                assert h.stop() == 0
    assert len(survived) == 1


@as_root
def test_a_worker_of_our_own_user_may_not_command():
    """Where all are one user only its pid tells the worker from the operator."""
    with hostile("control", user=NOBODY, more=UNIX) as h:
        h.wait("came to the control socket: it is ended")
        h.alive()
        assert "stopping" not in h.stderr()
        assert h.stop() == 0


@as_root
def test_a_worker_that_has_gone_may_not_command_either():
    with hostile("control-gone", user=NOBODY, more=UNIX) as h:
        h.wait("was refused at the control socket")
        h.alive()
        assert "stopping" not in h.stderr()


@as_root
def test_a_worker_in_the_control_group_may_not_command():
    with hostile("control", more=UNIX + "control c.sock group nogroup\nuser nobody\n") as h:
        h.wait("came to the control socket: it is ended")
        h.alive()
        assert h.stop() == 0
