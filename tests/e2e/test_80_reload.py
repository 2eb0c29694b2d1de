"""A reload swaps what is served inside the running worker; what is wrong is refused."""
import signal
import socket
import time

from conftest import cli, wait_for

HELLO = 'site * -> respond 200 "one"\n'


def test_reload_serves_the_new_text_from_the_same_worker(portcullis):
    p = portcullis(HELLO)
    worker = p.worker_pid()
    assert p.get().text == "one"
    done = p.reload('site * -> respond 200 "two"\n')
    assert done.returncode == 0, done.stderr
    assert p.get().text == "two"
    status = p.status()
    assert status["worker_pid"] == worker
    assert status["generation"] == 2


def test_sighup_reloads(portcullis):
    p = portcullis(HELLO)
    p.write('site * -> respond 200 "two"\n')
    p.signal(signal.SIGHUP)
    wait_for(lambda: p.get().text == "two", "the new text")


def test_a_bad_file_is_refused_with_its_errors_and_the_old_one_serves_on(portcullis):
    p = portcullis(HELLO)
    done = p.reload('site * -> respond 200 "two"\nbalanse 3\n')
    assert done.returncode == 1
    assert "balanse" in done.stderr and "generation 1 serves on" in done.stderr
    assert "balanse" in p.stderr()
    assert p.get().text == "one"
    assert "refused" in p.status()
    assert p.reload(HELLO).returncode == 0
    assert "refused" not in p.status()


def test_a_kept_connection_survives_reloads_and_sees_the_new_text(portcullis):
    p = portcullis(HELLO)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with p.connect() as client:
        assert client.send(request).response().text == "one"
        for word in ("two", "three", "four"):
            assert p.reload(f'site * -> respond 200 "{word}"\n').returncode == 0
            assert client.send(request).response().text == word


def test_an_open_request_ends_by_the_configuration_it_began_with(portcullis, origin):
    def slow(conn):
        conn.read_request()
        wait_for(lambda: reloaded, "the reload")
        conn.answer(body="from the old origin")

    reloaded = []
    o = origin(slow)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}\n")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: o.requests, "the request at the origin")
        assert p.reload(HELLO).returncode == 0
        reloaded.append(True)
        assert client.response().text == "from the old origin"
    assert p.get().text == "one"


def test_listeners_open_and_close_with_the_file(portcullis):
    p = portcullis("listen http://127.0.0.1:@HTTP@\n" + HELLO)
    assert p.reload("listen http://127.0.0.1:@HTTP@ http://127.0.0.1:@HTTPS@\n"
                    + HELLO).returncode == 0
    p2, p.port = p.port, p.tls_port
    assert p.get().text == "one"
    p.port = p2
    p.conf.write_text(p.conf.read_text().replace(f" http://127.0.0.1:{p.tls_port}", ""))
    assert p.control("reload").returncode == 0

    def closed():
        try:
            p.connect_tls(None).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False

    wait_for(closed, "the old port to be closed")
    assert p.get().text == "one"


def test_a_port_in_use_refuses_the_reload_and_names_the_holder(portcullis, origin):
    o = origin()
    p = portcullis("listen http://127.0.0.1:@HTTP@\n" + HELLO)
    done = p.reload(f"listen http://127.0.0.1:@HTTP@ http://127.0.0.1:{o.port}\n" + HELLO)
    assert done.returncode == 1
    assert f"127.0.0.1:{o.port} is held by " in done.stderr
    assert p.get().text == "one"


def test_an_address_goes_from_plain_to_tls(portcullis):
    plain = "listen http://127.0.0.1:@HTTPS@\nsite localhost -> respond 200 one\n"
    p = portcullis(plain)
    done = p.reload("listen https://127.0.0.1:@HTTPS@\ntls @CERTS@/localhost.pem @CERTS@/localhost.key\n"
                    "site localhost -> respond 200 two\n")
    assert done.returncode == 0, done.stderr
    assert wait_for(lambda: tls_text(p), "TLS on the port") == "two"


def tls_text(p, ca=None):
    try:
        return p.get(tls=True, ca=ca).text
    except OSError:
        return None


def test_a_changed_number_of_workers_takes_a_fresh_worker(portcullis):
    p = portcullis("workers 1\n" + HELLO)
    old = p.worker_pid()
    with p.connect() as client:
        done = p.reload("workers 3\n" + HELLO.replace("one", "two"))
        assert done.returncode == 0, done.stderr
        assert "new worker" in done.stdout
        client.close()
    status = p.status()
    assert status["worker_threads"] == 3 and status["worker_pid"] != old
    assert p.get().text == "two"


def test_a_refused_fresh_worker_strands_no_connection(portcullis):
    p = portcullis("workers 1\n" + HELLO)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        p.conf.write_text(p.conf.read_text().replace("workers 1", "workers 4")
                          + f"listen http://127.0.0.1:{port}\n")
        assert p.control("reload").returncode == 1
    for _ in range(20):  # each goes to one of the sockets, by the kernel's choice
        assert p.get().text == "one"


def test_an_included_file_is_read_again_when_it_changes(portcullis):
    p = portcullis("include sites/*.conf\n", start=False)
    p.file("sites/a.conf", HELLO)
    p.start()
    assert p.get().text == "one"
    p.file("sites/a.conf", HELLO.replace("one", "two"))
    wait_for(lambda: p.get().text == "two", "the changed include")


def test_an_edit_of_the_main_file_waits_for_a_reload(portcullis):
    p = portcullis("include sites/*.conf\n", start=False)
    p.file("sites/a.conf", HELLO)
    p.start()
    p.conf.write_text(p.conf.read_text() + "header response set X-Half edited\n")
    p.file("sites/a.conf", HELLO.replace("one", "two"))
    wait_for(lambda: p.get().text == "two", "the changed include")
    assert ("X-Half", "edited") not in p.get().headers
    assert p.control("reload").returncode == 0
    wait_for(lambda: ("X-Half", "edited") in p.get().headers, "the reload")


def test_a_certificate_replaced_on_disk_is_taken_when_the_pair_fits(portcullis, certs):
    p = portcullis("tls tls.pem tls.key\nsite localhost -> respond 200 one\n", start=False)
    p.file("tls.pem", certs.cert("localhost").read_bytes())
    p.file("tls.key", certs.key("localhost").read_bytes()).chmod(0o600)
    p.start()

    def serial():
        with p.connect_tls(ca=certs.ca) as client:
            return client.sock.getpeercert()["serialNumber"]

    first = serial()
    cert, key = certs.make("renewed", ["localhost"])
    p.file("tls.pem", cert.read_bytes())
    p.wait_stderr("serves on")
    assert serial() == first  # certificate and key do not fit
    p.file("tls.key", key.read_bytes())
    wait_for(lambda: serial() != first, "the new certificate")


def test_touching_a_watched_file_is_no_reload(portcullis):
    p = portcullis("include more.conf\n", start=False)
    p.file("more.conf", HELLO)
    p.start()
    p.file("more.conf", HELLO)
    time.sleep(3.5)  # two looks and the load
    assert p.status()["generation"] == 1


def test_many_reloads_under_load_fail_no_request(portcullis):
    p = portcullis(HELLO)
    for n in range(10):
        assert p.reload(f'site * -> respond 200 "{n}"\n').returncode == 0
        assert p.get().text == str(n)
    assert p.status()["generation"] == 11


def test_reload_without_an_instance_says_so(folder):
    (folder / "portcullis.conf").write_text(f"state {folder}/state\n" + HELLO)
    done = cli("reload", "-c", folder / "portcullis.conf")
    assert done.returncode == 1
    assert "no instance answers" in done.stderr
