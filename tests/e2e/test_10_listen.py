"""Listeners: addresses of both families, ports that are taken, sockets that are handed over."""
import os
import socket
import subprocess

import pytest

from conftest import BINARY, SANITIZED, connect, free_port

HELLO = 'site * -> respond 200 "hello"\n'
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")


def hello_at(port, host):
    with connect(port, host=host) as client:
        return client.send(GET).response().text


def test_ipv4(portcullis):
    p = portcullis("listen http://127.0.0.1:@HTTP@\n" + HELLO)
    assert hello_at(p.port, "127.0.0.1") == "hello"
    record = p.wait_log()
    assert record["local"] == f"127.0.0.1:{p.port}"
    assert record["client"] == "127.0.0.1" and record["peer"].startswith("127.0.0.1:")


@ipv6
def test_ipv6(portcullis):
    port = free_port("::1")
    p = portcullis(f"listen http://[::1]:{port}\n" + HELLO)
    assert hello_at(port, "::1") == "hello"
    record = p.wait_log()
    assert record["local"] == f"[::1]:{port}"
    assert record["client"] == "::1" and record["peer"].startswith("[::1]:")


@ipv6
def test_all_addresses_of_both_families(portcullis):
    p = portcullis("listen http://:@HTTP@\n" + HELLO)
    assert hello_at(p.port, "127.0.0.1") == "hello"
    assert hello_at(p.port, "::1") == "hello"
    # An IPv4 client of a socket for both is told and logged as one of IPv4.
    assert p.wait_log(lambda r: "." in r["peer"])["client"] == "127.0.0.1"


def test_several_addresses_with_sites_of_their_own(portcullis):
    a, b = free_port(), free_port()
    p = portcullis(f"""listen http://127.0.0.1:{a} http://127.0.0.2:{a} http://127.0.0.1:{b}
site * {{
    on http://127.0.0.1:{b}
    /* -> respond 200 "b alone"
}}
site only.test {{
    on http://127.0.0.1:{a} http://127.0.0.2:{a}
    /* -> respond 200 "a"
}}
""")
    assert p.returncode is None, p.stderr()
    ask = b"GET / HTTP/1.1\r\nHost: only.test\r\nConnection: close\r\n\r\n"
    for port, host, text in ((a, "127.0.0.1", "a"), (a, "127.0.0.2", "a"), (b, "127.0.0.1", "b alone")):
        with connect(port, host=host) as client:
            assert client.send(ask).response().text == text
    with connect(a) as client:
        assert client.send(GET).response().status == 404


def test_a_port_in_use_is_named_with_its_holder(portcullis):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        p = portcullis(f"listen http://127.0.0.1:{port}\n" + HELLO)
        assert p.process.wait(30) == 1
        comm = open("/proc/self/comm", encoding="utf-8").read().strip()
        assert f"127.0.0.1:{port} is held by {comm} (pid {os.getpid()})" in p.stderr()


def test_an_address_that_is_not_ours(portcullis):
    p = portcullis("listen http://192.0.2.77:@HTTP@\n" + HELLO)
    assert p.process.wait(30) == 1
    assert "192.0.2.77" in p.stderr()


def test_sockets_handed_over_are_used(portcullis):
    p = portcullis(HELLO, start=False)
    with socket.create_server(("127.0.0.1", p.port)) as s, open(p.dir / "stderr", "ab") as err:
        code = ("import os,sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True); "
                "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
                "os.execv(sys.argv[2], sys.argv[2:])")
        p.stderr_file = err
        p.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", code, str(s.fileno()), BINARY, "run", "-c", str(p.conf)],
            pass_fds=[s.fileno()], stderr=err, stdout=err)
        p.wait_stderr("serving ")
        assert hello_at(p.port, "127.0.0.1") == "hello"
        assert p.stop() == 0


TLS_SITE = "tls @CERTS@/localhost.pem @CERTS@/localhost.key\n"


def location(p, path, host="localhost", **more):
    answer = p.request("GET", path, host=host, **more)
    assert answer.status == 308
    return answer.header("location")


def test_plain_http_redirects_where_a_site_has_tls(portcullis):
    p = portcullis(TLS_SITE + "site localhost -> respond 200 secret\n"
                   "site plain.test {\n tls off\n /* -> respond 200 plain\n}\n")
    to = f"https://localhost:{p.tls_port}"
    assert location(p, "/") == f"{to}/"
    assert location(p, "/a%2Fb//c?x=1&y=/../") == f"{to}/a%2Fb//c?x=1&y=/../"
    assert location(p, "/", host=f"LOCALHOST:{p.port}").lower() == f"{to}/"
    assert p.get("/", host="plain.test").text == "plain"
    assert p.get("/", host="unknown.test").status == 404
    # A POST must not lose its body: 308, and nothing of the site is told.
    answer = p.request("POST", "/", body="x")
    assert answer.status == 308 and "secret" not in answer.text


def test_a_slash_slash_path_never_becomes_a_host(portcullis):
    p = portcullis(TLS_SITE + "site localhost -> respond 200 secret\n")
    assert location(p, "//evil.test/x") == f"https://localhost:{p.tls_port}//evil.test/x"


def test_redirect_to_a_port_serve_and_refuse(portcullis):
    p = portcullis(TLS_SITE + "site localhost {\n http redirect 443\n /* -> respond 200 a\n}\n"
                   "site serve.test {\n http serve\n /* -> respond 200 b\n}\n"
                   "site refuse.test {\n http refuse\n /* -> respond 200 c\n}\n")
    assert location(p, "/x") == "https://localhost/x"
    assert p.get("/", host="serve.test").text == "b"
    assert p.get("/", host="refuse.test").status == 403


NO_IPV6 = """
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
int socket(int family, int type, int protocol)
{
    int (*real)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    if (family == AF_INET6) { errno = EAFNOSUPPORT; return -1; }
    return real(family, type, protocol);
}
"""


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's library wants to be the first one loaded")
def test_a_host_without_ipv6_is_served_by_ipv4_and_told(portcullis, folder):
    source, library = folder / "no6.c", folder / "no6.so"
    source.write_text("#define _GNU_SOURCE\n" + NO_IPV6)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    p = portcullis("listen http://:@HTTP@ https://:@HTTPS@\ntls @CERTS@/localhost.pem @CERTS@/localhost.key\n"
                   "http serve\nsite localhost -> respond 200 hello\n", env={"LD_PRELOAD": str(library)})
    assert p.get().text == "hello"
    for port in (p.port, p.tls_port):
        assert f"notice: this host has no IPv6: :{port} listens on IPv4 alone" in p.stderr()
