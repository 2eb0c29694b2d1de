"""TLS towards clients, tried with openssl, gnutls-cli, curl and Python's ssl."""
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import connect, wait_for

SITE = "site {0} {{\n tls @CERTS@/{1}.pem @CERTS@/{1}.key\n /* -> respond 200 {0}\n}}\n"


def site(host, cert=None):
    return SITE.format(host, cert or host)


def make_once(certs, name, *args, **more):
    if not certs.cert(name).exists():
        certs.make(name, *args, **more)


@pytest.fixture
def tls(portcullis, certs):
    """Two sites, one of them with a wildcard, and a third on the certificate of the first."""
    make_once(certs, "a.test", ["a.test", "shared.test"])
    make_once(certs, "b.test")
    make_once(certs, "wild", ["*.wild.test"])
    make_once(certs, "deep", ["*.deep.wild.test"])

    def start(front="", more=""):
        return portcullis("listen http://127.0.0.1:@HTTP@ https://127.0.0.1:@HTTPS@\n" + front +
                          site("a.test") + site("b.test") + site("shared.test", "a.test") +
                          site("*.wild.test", "wild") + site("*.deep.wild.test", "deep") + more)
    return start


def context(ca=None, **fields):
    c = ssl.create_default_context(cafile=str(ca) if ca else None)
    if ca is None:
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
    for name, value in fields.items():
        setattr(c, name, value)
    return c


def openssl(p, *words, name="a.test", text="", timeout=30):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{p.tls_port}",
                           *(["-servername", name] if name else ["-noservername"]), *words],
                          input=text, capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout + done.stderr


# --- versions and suites --------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(tls, certs, version):
    p = tls()
    c = context(certs.ca, minimum_version=version, maximum_version=version)
    with p.connect_tls("a.test", context=c) as client:
        assert client.sock.version() == version.name.replace("_", ".")
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.response().text == "a.test"
    record = p.wait_log()
    assert record["tls"] == version.name[-3:].replace("_", ".")
    assert record["sni"] == "a.test" and record["scheme"] == "https" and record["cipher"]


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(tls, version):
    code, text = openssl(tls(), version, "-cipher", "ALL:@SECLEVEL=0")
    assert "alert protocol version" in text or "no protocols available" in text, text


@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256",
                                    "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"])
def test_suites_without_aead_or_forward_secrecy_are_refused(tls, cipher):
    code, text = openssl(tls(), "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")
    assert "handshake failure" in text, text


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                                    "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_suites_of_1_2(tls, cipher):
    code, text = openssl(tls(), "-tls1_2", "-cipher", cipher)
    assert f"Cipher is {cipher}" in text, text


def test_renegotiation_is_refused(tls):
    p = tls()
    code, text = openssl(p, "-tls1_2", text="R\n")
    assert "no renegotiation" in text.lower() or "RENEGOTIATING" in text
    assert "error" in text.lower() or code != 0 or "closed" in text.lower()


def test_gnutls_cli_agrees(tls, certs):
    p = tls()
    done = subprocess.run(["gnutls-cli", "--x509cafile", str(certs.ca), "--sni-hostname", "a.test",
                           "--verify-hostname", "a.test", "-p", str(p.tls_port), "127.0.0.1"],
                          input="GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
                          capture_output=True, text=True, timeout=30)
    assert "HTTP/1.1 200" in done.stdout, done.stdout + done.stderr


def test_curl_agrees(tls, certs):
    p = tls()
    done = subprocess.run(["curl", "-sS", "--cacert", str(certs.ca), "--resolve",
                           f"x.wild.test:{p.tls_port}:127.0.0.1", f"https://x.wild.test:{p.tls_port}/"],
                          capture_output=True, text=True, timeout=30)
    assert done.stdout == "*.wild.test", done.stderr


# --- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name,text", [
    ("a.test", "a.test"), ("b.test", "b.test"), ("B.TEST", "b.test"), ("x.wild.test", "*.wild.test"),
    ("x.deep.wild.test", "*.deep.wild.test"), ("shared.test", "shared.test")])
def test_the_certificate_follows_the_name(tls, certs, name, text):
    p = tls()
    answer = p.get("/", host=name, tls=True, ca=certs.ca)  # verified by the client
    assert answer.text == text


def alert(action):
    with pytest.raises(ssl.SSLError) as caught:
        action().close()
    return str(caught.value).upper().replace(" ", "_")


def test_an_unknown_name_gets_the_alert(tls):
    p = tls()
    assert "UNRECOGNIZED_NAME" in alert(lambda: p.connect_tls("unknown.test"))
    assert "UNRECOGNIZED_NAME" in alert(lambda: p.connect_tls("wild.test"))
    record = p.wait_log(lambda r: r["kind"] == "connection")
    assert record["sni"] == "unknown.test" and record["refused_layer"] == "tls"


def test_the_catch_all_takes_unknown_names(tls):
    p = tls(more="site * {\n tls @CERTS@/localhost.pem @CERTS@/localhost.key\n"
                 " /* -> respond 200 all\n}\n")
    assert p.get("/", host="unknown.test", tls=True).text == "all"
    assert p.get("/", host="a.test", tls=True).text == "a.test"


def send_host(client, host):
    client.send(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
    return client.response()


def test_without_a_name_the_default_site_answers_for_itself_alone(tls):
    p = tls()
    c = context()
    with p.connect_tls(None, context=c) as client:
        der = client.sock.getpeercert(True)
        assert send_host(client, "a.test").text == "a.test"
        assert send_host(client, "b.test").status == 421
    with p.connect_tls("a.test", context=c) as client:
        assert client.sock.getpeercert(True) == der


def test_421_where_the_host_is_of_another_certificate(tls):
    p = tls()
    with p.connect_tls("a.test") as client:
        assert send_host(client, "a.test").text == "a.test"
        assert send_host(client, "shared.test").text == "shared.test"
        assert send_host(client, "b.test").status == 421
        assert send_host(client, "unknown.test").status == 421
        assert send_host(client, "a.test").text == "a.test"  # nothing is lost by it
    record = p.wait_log(lambda r: r.get("status") == 421)
    assert record["refused_layer"] == "route" and record["host"] == "b.test"


def test_ecdsa_and_rsa_for_one_name(portcullis, certs):
    make_once(certs, "two-ec", ["two.test"])
    make_once(certs, "two-rsa", ["two.test"], kind="rsa")
    p = portcullis("tls @CERTS@/two-rsa.pem @CERTS@/two-rsa.key @CERTS@/two-ec.pem @CERTS@/two-ec.key\n"
                   "site two.test -> respond 200 ok\n")
    for kind in ("ECDSA", "RSA"):
        _, text = openssl(p, "-tls1_2", "-cipher", f"ECDHE-{kind}-AES128-GCM-SHA256", name="two.test")
        assert f"Cipher is ECDHE-{kind}-AES128-GCM-SHA256" in text, text
    _, text = openssl(p, "-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256", name="two.test")
    assert "Peer signature type: RSA-PSS" in text, text
    _, text = openssl(p, "-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256", name="two.test")
    assert "Peer signature type: ECDSA" in text, text


def test_a_folder_of_certificates(portcullis, certs, folder):
    for name in ("one.test", "other.test"):
        certs.make(name, folder=folder)
    p = portcullis(f"tls {folder}\nsite one.test -> respond 200 one\nsite other.test -> respond 200 other\n")
    assert p.returncode is None, p.stderr()
    assert p.get("/", host="one.test", tls=True, ca=certs.ca).text == "one"
    assert p.get("/", host="other.test", tls=True, ca=certs.ca).text == "other"


# --- ALPN -----------------------------------------------------------------------------------


@pytest.mark.parametrize("offered,agreed", [
    (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (None, None)])
def test_alpn(tls, offered, agreed):
    p = tls()
    with p.connect_tls("a.test", alpn=offered) as client:
        assert client.sock.selected_alpn_protocol() == agreed
        assert send_host(client, "a.test").text == "a.test"


def test_an_unknown_protocol_is_refused(tls):
    p = tls()
    assert "NO_APPLICATION_PROTOCOL" in alert(lambda: p.connect_tls("a.test", alpn=["smtp"]))


# --- resumption -----------------------------------------------------------------------------


def resumed(p, c, name, session=None):
    """Connects and asks once, so that a ticket of 1.3 has come. (was it resumed, its session)"""
    sock = socket.create_connection(("127.0.0.1", p.tls_port), 10)
    with c.wrap_socket(sock, server_hostname=name, session=session) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % name.encode())
        s.recv(4096)
        return s.session_reused, s.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_by_their_site_alone(tls, version):
    p = tls()
    c = context(minimum_version=version, maximum_version=version)
    was, session = resumed(p, c, "a.test")
    assert not was
    assert resumed(p, c, "a.test", session)[0]
    assert p.wait_log(lambda r: r.get("resumed"))["sni"] == "a.test"
    assert not resumed(p, c, "b.test", session)[0]
    assert not resumed(p, c, "x.wild.test", session)[0]


def test_sessions_survive_a_reload(tls):
    p = tls()
    c = context()
    _, session = resumed(p, c, "a.test")
    assert p.control("reload").returncode == 0
    assert resumed(p, c, "a.test", session)[0]


# --- what is no TLS, or never ends ----------------------------------------------------------


def test_plain_http_to_the_tls_port_is_told_so(tls):
    p = tls()
    with connect(p.tls_port) as client:
        answer = client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").response()
        assert answer.status == 400
        assert "https" in answer.text.lower()
        assert client.closed()


@pytest.mark.parametrize("data", [b"\0" * 100, b"SSH-2.0-x\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 50,
                                  b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"])
def test_nonsense_is_closed_and_recorded(tls, data):
    p = tls("timeout handshake 1s\n")
    with connect(p.tls_port) as client:
        client.send(data)
        client.read_all()
    record = p.wait_log()
    assert record["kind"] == "connection" and record["refused_layer"] == "tls"
    assert p.get("/", host="a.test", tls=True).text == "a.test"


def test_the_handshake_has_its_time(tls):
    p = tls("timeout handshake 500ms\n")
    with connect(p.tls_port) as silent, connect(p.tls_port) as half:
        half.send(b"\x16\x03\x01")
        began = time.monotonic()
        silent.read_all()
        half.read_all()
        assert 0.3 < time.monotonic() - began < 10
    wait_for(lambda: len(p.log_records()) == 2, "both records")
    assert all(r["kind"] == "connection" for r in p.log_records())


def test_many_half_handshakes_keep_nobody_out(tls):
    p = tls()
    held = [connect(p.tls_port) for _ in range(100)]
    for client in held[::2]:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert p.get("/", host="a.test", tls=True).text == "a.test"
    for client in held:
        client.close()


# --- tls internal ---------------------------------------------------------------------------


def test_the_internal_authority_is_believed_by_curl(portcullis):
    p = portcullis("tls internal\nsite app.test -> respond 200 hello\n"
                   "site *.wild.internal -> respond 200 wild\nsite 127.0.0.1 -> respond 200 addr\n")
    assert p.returncode is None, p.stderr()
    ca = p.internal_ca()
    for host, text in (("app.test", "hello"), ("x.wild.internal", "wild"), ("127.0.0.1", "addr")):
        done = subprocess.run(["curl", "-sS", "--cacert", str(ca), "--resolve",
                               f"{host}:{p.tls_port}:127.0.0.1", f"https://{host}:{p.tls_port}/"],
                              capture_output=True, text=True, timeout=30)
        assert done.stdout == text, done.stderr


def test_the_internal_authority_is_constrained(portcullis):
    p = portcullis("tls internal\nsite app.test -> respond 200 hello\n")
    text = subprocess.run(["openssl", "x509", "-in", str(p.internal_ca()), "-noout", "-text"],
                          capture_output=True, text=True).stdout
    assert "CA:TRUE, pathlen:0" in text
    assert "X509v3 Name Constraints: critical" in text and "DNS:app.test" in text
    with p.connect_tls("app.test") as client:
        leaf = client.sock.getpeercert(True)
    shown = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-enddate", "-checkend",
                            str(31 * 86400)], input=leaf, capture_output=True)
    assert shown.returncode == 1  # within 31 days it expires


def test_the_internal_authority_is_kept(portcullis):
    p = portcullis("tls internal\nsite app.test -> respond 200 hello\n")
    before = p.internal_ca().read_bytes()
    p.stop()
    (p.dir / "stderr").unlink()
    p.start()
    assert p.internal_ca().read_bytes() == before
    assert p.get("/", host="app.test", tls=True, ca=p.internal_ca()).text == "hello"


# --- HSTS -----------------------------------------------------------------------------------


@pytest.mark.parametrize("word,value", [("on", "max-age=31536000"), ("1d", "max-age=86400"), ("off", None)])
def test_hsts(tls, word, value):
    p = tls(f"hsts {word}\nhttp serve\n")
    assert p.get("/", host="a.test", tls=True).header("strict-transport-security") == value
    assert p.get("/", host="a.test").header("strict-transport-security") is None


# --- many at once, and what a reload does ---------------------------------------------------


def test_many_handshakes_at_once(tls):
    p = tls()
    failed = []

    def run(n):
        try:
            for name in ("a.test", "b.test", "x.wild.test"):
                want = "*.wild.test" if "wild" in name else name
                if p.get("/", host=name, tls=True).text != want:
                    failed.append(name)
        except (OSError, AssertionError) as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


def test_reloads_under_load_fail_no_request(tls, origin):
    o = origin()
    line = f"site load.test {{\n tls @CERTS@/a.test.pem @CERTS@/a.test.key\n /* -> 127.0.0.1:{o.port}\n}}\n"
    p = tls(more=line)
    text = p.conf.read_text()
    over, failed, count = threading.Event(), [], [0]

    def load(fresh):
        c = context()
        try:
            client = p.connect_tls("load.test", context=c)
            while not over.is_set():
                if fresh:
                    client.close()
                    client = p.connect_tls("load.test", context=c)
                if send_host(client, "load.test").status != 200:
                    failed.append("status")
                count[0] += 1
            client.close()
        except (OSError, AssertionError) as error:
            failed.append(error)

    threads = [threading.Thread(target=load, args=(n % 2 == 0,)) for n in range(4)]
    for t in threads:
        t.start()
    for n in range(8):
        p.conf.write_text(text + f"site extra{n}.test {{\n tls off\n /* -> respond 200 x\n}}\n")
        assert p.control("reload").returncode == 0, p.stderr()
    over.set()
    for t in threads:
        t.join()
    assert not failed and count[0] > 20


# --- certificates that are refused ----------------------------------------------------------


def checked(p):
    done = p.cli("check", "-c", p.conf)
    return done.returncode, done.stdout + done.stderr


def test_a_key_of_another_certificate_is_an_error(portcullis, certs):
    make_once(certs, "b.test")
    p = portcullis("tls @CERTS@/localhost.pem @CERTS@/b.test.key\nsite localhost -> respond 200 x\n", start=False)
    code, text = checked(p)
    assert code == 2 and "b.test.key" in text and "fit" in text, text


def test_an_encrypted_key_is_an_error_with_the_command_that_helps(portcullis, certs):
    p = portcullis("tls @CERTS@/localhost.pem @DIR@/locked.key\nsite localhost -> respond 200 x\n", start=False)
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", str(certs.key("localhost")), "-passout", "pass:x",
                    "-out", str(p.dir / "locked.key")], check=True)
    code, text = checked(p)
    assert code == 2 and "openssl" in text, text


def test_what_is_odd_about_a_certificate_is_a_warning(portcullis, certs):
    make_once(certs, "soon", ["other.test"], days=5)
    p = portcullis("tls @CERTS@/soon.pem @CERTS@/soon.key\nsite localhost -> respond 200 x\n", start=False)
    code, text = checked(p)
    assert code == 0 and "localhost" in text, text  # a name that is not covered
    p.start()
    assert p.returncode is None
    wait_for(lambda: "days" in p.stderr() or "expires" in p.stderr(), "the notice of expiry")


def test_a_chain_in_any_order(portcullis, certs):
    make_once(certs, "a.test", ["a.test", "shared.test"])
    p = portcullis("tls chain.pem @CERTS@/a.test.key\nsite a.test -> respond 200 x\n", start=False)
    p.file("chain.pem", certs.ca.read_bytes() + certs.cert("a.test").read_bytes())
    p.start()
    assert p.returncode is None, p.stderr()
    assert p.get("/", host="a.test", tls=True, ca=certs.ca).text == "x"


def test_the_worker_never_opens_a_key(portcullis):
    """The key is opened by the loader and handed over; the worker's user could not read it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    p = portcullis("tls @CERTS@/localhost.pem @CERTS@/localhost.key\nsite localhost -> respond 200 x\n")
    assert p.certs.key("localhost").stat().st_mode & 0o077 == 0
    assert p.get("/", tls=True).text == "x"
    assert open(f"/proc/{p.worker_pid()}/status", encoding="utf-8").read().split("Uid:")[1].split()[0] != "0"


def test_failed_handshakes_of_one_address_are_recorded_ten_times_a_second(portcullis):
    p = portcullis("workers 2\ntls @CERTS@/localhost.pem @CERTS@/localhost.key\n"
                   "site localhost -> respond 200 x")
    began = time.monotonic()
    for _ in range(60):
        with connect(p.tls_port) as client:
            client.send(b"\x16\x03\x01 this is no hello")
    windows = int(time.monotonic() - began) + 1
    wait_for(lambda: len(p.log_records()) >= 5, "the first records")
    time.sleep(0.5)
    kinds = [r["kind"] for r in p.log_records()]
    assert kinds.count("connection") <= 10 * windows
