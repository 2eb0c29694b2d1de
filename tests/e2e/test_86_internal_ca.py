"""`tls internal`: the files of the local CA, what it may sign for, and what is told about it."""
import ssl
import stat
import subprocess

import pytest

from conftest import cli

SITE = 'tls internal\nsite localhost -> respond 200 "hello"\n'


def fingerprint(path):
    return subprocess.run(["openssl", "x509", "-in", str(path), "-noout", "-fingerprint"],
                          capture_output=True, text=True, check=True).stdout


def test_its_certificates_verify_for_the_names_written(portcullis):
    p = portcullis("tls internal\nsite wiki.example.org *.lab.test 127.0.0.1 -> respond 200 hello\n")
    for name in ("wiki.example.org", "a.lab.test", "127.0.0.1"):
        assert p.get(host=name, tls=True, ca=p.internal_ca()).text == "hello"


def test_the_catch_all_is_this_machine(portcullis):
    p = portcullis('tls internal\nsite * -> respond 200 "hello"\n')
    for name in ("localhost", "127.0.0.1"):
        assert p.get(host=name, tls=True, ca=p.internal_ca()).text == "hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        p.get(host="elsewhere.example", tls=True, ca=p.internal_ca())


def test_keys_are_the_starters_alone(portcullis):
    p = portcullis(SITE)
    keys = list((p.dir / "state" / "ca").glob("*.key"))
    assert len(keys) == 2
    assert {stat.S_IMODE(k.stat().st_mode) for k in keys} == {0o600}
    assert stat.S_IMODE((p.dir / "state" / "ca").stat().st_mode) == 0o700


def test_ca_and_certificates_are_kept(portcullis):
    p = portcullis(SITE)
    assert "a local CA was made" in p.stderr()
    before = {f.name: f.read_bytes() for f in (p.dir / "state" / "ca").iterdir()}
    assert p.reload().returncode == 0
    p.stop()
    (p.dir / "stderr").unlink()
    p.start()
    assert before == {f.name: f.read_bytes() for f in (p.dir / "state" / "ca").iterdir()}
    assert "local CA" not in p.stderr()


def test_only_a_name_it_may_not_sign_for_makes_a_new_ca(portcullis):
    p = portcullis(SITE)
    first = fingerprint(p.internal_ca())
    done = p.reload(SITE + 'site a.lab.test 10.1.2.3 -> respond 200 "lab"\n')
    assert done.returncode == 0, done.stderr
    assert fingerprint(p.internal_ca()) == first
    assert p.get(host="a.lab.test", tls=True, ca=p.internal_ca()).text == "lab"
    wider = SITE + 'site www.example.org -> respond 200 "wide"\n'
    p.write(wider)
    checked = cli("check", "-c", p.conf)
    assert checked.returncode == 0
    assert "a new local CA will be made" in checked.stderr
    assert "www.example.org" in checked.stderr
    assert fingerprint(p.internal_ca()) == first  # it writes nothing
    assert "a new local CA was made" in p.reload(wider).stdout
    assert fingerprint(p.internal_ca()) != first
    for name in ("localhost", "www.example.org"):
        assert p.get(host=name, tls=True, ca=p.internal_ca()).status == 200


def test_a_file_that_is_refused_leaves_the_ca_that_people_trust(portcullis):
    p = portcullis(SITE)
    before = {f.name: f.read_bytes() for f in (p.dir / "state" / "ca").iterdir()}
    for broken in (SITE + "site www.example.org {\n",
                   SITE + 'site www.example.org -> respond 200 "wide"\nnonsense\n',
                   SITE + 'site www.example.org {\n/* -> respond 200\nexpect GET /x -> 403\n}\n'):
        done = p.reload(broken)
        assert done.returncode == 1 and "local CA" not in done.stdout + done.stderr
        assert before == {f.name: f.read_bytes() for f in (p.dir / "state" / "ca").iterdir()}
    assert p.get(host="localhost", tls=True, ca=p.internal_ca()).status == 200


def test_the_constraints_are_critical_and_the_path_length_is_0(portcullis):
    p = portcullis(SITE)
    text = subprocess.run(["openssl", "x509", "-in", str(p.internal_ca()), "-noout", "-text"],
                          capture_output=True, text=True, check=True).stdout
    assert "X509v3 Name Constraints: critical" in text
    assert "CA:TRUE, pathlen:0" in text


def test_check_writes_nothing(folder):
    (folder / "portcullis.conf").write_text(
        f"listen http://127.0.0.1:1 https://127.0.0.1:2\nstate {folder}/state\n" + SITE)
    done = cli("check", "-c", folder / "portcullis.conf")
    assert done.returncode == 0, done.stderr
    assert "a local CA will be made" in done.stderr
    assert [f.name for f in folder.iterdir()] == ["portcullis.conf"]


def test_cert_list_shows_what_is_served(portcullis):
    p = portcullis(SITE)
    done = p.cli("cert", "list", "-c", str(p.conf))
    assert done.returncode == 0
    assert "localhost" in done.stdout and "good for " in done.stdout
    assert cli("cert", "list", "--json", "-c", p.conf).stdout.startswith('[{"file":')


def test_trust_without_a_ca_says_when_there_will_be_one(folder):
    (folder / "portcullis.conf").write_text(f"state {folder}/state\n" + SITE)
    done = cli("cert", "trust", "--yes", "-c", folder / "portcullis.conf")
    assert done.returncode == 1
    assert "there is no local CA" in done.stderr
