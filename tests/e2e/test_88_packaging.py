"""The systemd unit, and the Debian package from installing to purging."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from conftest import BINARY, ROOT, SANITIZED, cli, wait_for

UNIT = ROOT / "packaging" / "portcullis.service"
TOOLS = pathlib.Path(BINARY).parent
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take rights away like systemd")
analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")


def unit_values(name):
    """All values of a directive of the unit, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.M)


@pytest.fixture
def unit(folder):
    """The unit as it is installed, in a folder."""
    path = folder / "portcullis.service"
    path.write_text(UNIT.read_text("utf-8").replace("@BINARY@", "/bin/true")
                    .replace("Documentation=man:portcullis(1)\n", ""))
    return path


# --- the unit ---------------------------------------------------------------------------------


@analyze
def test_systemd_understands_every_line(unit):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True,
                          text=True)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if str(unit) in line]
    assert not ours


@analyze
def test_the_exposure_is_what_the_docs_say(unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
                          capture_output=True, text=True)
    exposure = re.search(r"Overall exposure level.*: (\d+\.\d+)", done.stdout)
    if exposure is None:
        pytest.skip("this systemd cannot judge a unit offline")
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    assert float(exposure[1]) <= float(re.search(r"exposure level of (\d+\.\d+)", page)[1])


def system_calls(words):
    """The names that words of SystemCallFilter= stand for."""
    names = set()
    for word in words:
        if not word.startswith("@"):
            names.add(word)
            continue
        out = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True,
                             text=True, check=True).stdout
        names |= system_calls(line.strip() for line in out.splitlines()[1:]
                              if line.strip() and not line.strip().startswith("#"))
    return names


@analyze
@as_root
@pytest.mark.skipif(SANITIZED, reason="a sanitizer makes calls of its own")
def test_the_rights_that_the_unit_leaves_suffice(portcullis):
    """With its capabilities and its system calls: start, serve, reload, a worker's crash, stop."""
    filters = unit_values("SystemCallFilter")
    allowed = system_calls(word for line in filters if line[0] != "~" for word in line.split())
    allowed -= system_calls(word for line in filters if line[0] == "~" for word in line[1:].split())
    allowed.add("execve")  # systemd's own way in; in @default, but not in every version's list
    caps = ",".join("+" + cap[4:].lower() for cap in unit_values("CapabilityBoundingSet")[0].split())
    p = portcullis("tls @DIR@/site.pem @DIR@/site.key\nhttp serve\ncontrol c.sock group nogroup\n"
                   "site * -> files @DIR@/www\n", start=False)
    p.file("www/x.txt", "hello")
    for name, source in (("site.pem", p.certs.cert("localhost")), ("site.key", p.certs.key("localhost"))):
        shutil.copy(source, p.dir / name)
    (p.dir / "site.key").chmod(0o600)
    os.chown(p.dir / "site.key", 1234, 1234)  # whosever it is
    with open(p.dir / "stderr", "ab") as err:
        p.stderr_file = err
        p.process = subprocess.Popen(
            ["setpriv", "--bounding-set", "-all," + caps, "--no-new-privs",
             TOOLS / "old_kernel", ",".join(sorted(allowed)), BINARY, "run", "-c", p.conf],
            stdout=err, stderr=err, umask=0o027)
        p.wait_stderr("serving ")
        assert p.get("/x.txt").text == "hello"
        assert p.get("/x.txt", tls=True).text == "hello"
        locks = p.status()["locks"]
        assert "missing" not in locks and locks["bounding_set"] == "0" and locks["landlock"] >= 1
        assert p.reload().returncode == 0
        old = p.worker_pid()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: p.control("status").returncode == 0 and p.worker_pid() != old, "a worker")
        assert p.get("/x.txt").text == "hello"
        assert p.stop() == 0


def test_the_unit_leaves_openat2():
    """systemd's RestrictSUIDSGID= answers it with ENOSYS, and every file with a 500."""
    assert not unit_values("RestrictSUIDSGID") and unit_values("ProtectSystem") == ["strict"]


# --- the package ------------------------------------------------------------------------------


BUILD = pathlib.Path(BINARY).parent
CONF = "etc/portcullis/portcullis.conf"
needs_dpkg = pytest.mark.skipif(
    SANITIZED or shutil.which("dpkg-shlibdeps") is None or not (BUILD / "CMakeCache.txt").exists(),
    reason="no Debian, or no build that is one for users")


@pytest.fixture(scope="module")
def package():
    done = subprocess.run([ROOT / "tools" / "deb.sh", BUILD], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.strip())


class Root:
    """A root file system with nothing but dpkg's own books."""

    def __init__(self, folder):
        self.dir = folder
        for path in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc"):
            (folder / path).mkdir(parents=True)
        for path in ("var/lib/dpkg/status", "var/lib/dpkg/available", "etc/passwd", "etc/group"):
            (folder / path).touch()

    def dpkg(self, *words):
        # What it depends on stands in the real system; its scripts see DPKG_ROOT instead of a chroot.
        done = subprocess.run(
            ["dpkg", f"--root={self.dir}", "--force-depends", "--force-script-chrootless",
             "--force-confdef", "--force-confold", "--log=/dev/null", *map(str, words)],
            capture_output=True, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def has(self, path):
        return (self.dir / path).exists()


@needs_dpkg
@as_root
def test_install_configure_remove_purge(package, folder):
    root = Root(folder)
    root.dpkg("--install", package)
    for path in ("usr/bin/portcullis", "usr/lib/systemd/system/portcullis.service", CONF,
                 "usr/share/bash-completion/completions/portcullis",
                 "usr/share/vim/vimfiles/syntax/portcullis.vim",
                 "usr/share/vim/vimfiles/ftdetect/portcullis.vim",
                 "usr/share/man/man1/portcullis.1.gz", "usr/share/doc/portcullis/copyright"):
        assert root.has(path), path
    user = next(line for line in (folder / "etc/passwd").read_text().splitlines()
                if line.startswith("portcullis:"))
    assert user.endswith(("/nologin", "/false"))
    assert "ExecStart=/usr/bin/portcullis run" in \
        (folder / "usr/lib/systemd/system/portcullis.service").read_text()
    assert subprocess.run([folder / "usr/bin/portcullis", "check", "-c", folder / CONF],
                          capture_output=True).returncode == 0
    # What the operator and the program have made since.
    (folder / CONF).write_text("site * -> respond 200 mine\n")
    for path in ("var/lib/portcullis/ca", "var/log/portcullis"):
        (folder / path).mkdir(parents=True)
    (folder / "var/lib/portcullis/ca/ca.key").write_text("key")
    root.dpkg("--install", package)  # an upgrade keeps the operator's file
    assert "mine" in (folder / CONF).read_text()
    root.dpkg("--remove", "portcullis")
    assert not root.has("usr/bin/portcullis")
    assert "mine" in (folder / CONF).read_text() and root.has("var/lib/portcullis/ca/ca.key")
    root.dpkg("--purge", "portcullis")
    for path in ("etc/portcullis", "var/lib/portcullis", "var/log/portcullis", "usr/bin/portcullis"):
        assert not root.has(path), path


@needs_dpkg
@as_root
def test_purging_leaves_what_the_operator_put_beside_the_configuration(package, folder):
    root = Root(folder)
    root.dpkg("--install", package)
    (folder / "etc/portcullis/site.key").write_text("mine")
    root.dpkg("--purge", "portcullis")
    assert root.has("etc/portcullis/site.key") and not root.has(CONF)


@needs_dpkg
def test_the_same_source_makes_the_same_package(package):
    first = package.read_bytes()
    subprocess.run([ROOT / "tools" / "deb.sh", BUILD], capture_output=True, check=True)
    assert package.read_bytes() == first


@needs_dpkg
def test_the_package_belongs_to_root_and_says_what_it_needs(package):
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True,
                            check=True).stdout
    assert {line.split()[1] for line in listed.splitlines()} == {"root/root"}
    assert not re.search(r"^\S*[sS]\S* ", listed, re.M)  # nothing set-uid
    needs = subprocess.run(["dpkg-deb", "-f", package, "Depends"], capture_output=True, text=True,
                           check=True).stdout
    for library in ("libgnutls30", "libseccomp2", "libpcre2-8-0", "libc6"):
        assert library in needs
