"""`metrics`: what Prometheus is told, by whom it may be read, and what it costs nobody."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import BINARY, cli, free_port, wait_for

SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def ask(port, request=b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", host="127.0.0.1"):
    """The raw answer to one request."""
    with socket.create_connection((host, port), 10) as sock:
        sock.sendall(request)
        out = b""
        while piece := sock.recv(65536):
            out += piece
    return out


def scrape(port):
    """{(name, ((label, value), …)): number}"""
    head, _, body = ask(port).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK"), head
    assert b"Content-Type: text/plain; version=0.0.4" in head
    assert f"Content-Length: {len(body)}".encode() in head
    samples = {}
    for line in body.decode().splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        key = name, tuple(LABEL.findall(labels or ""))
        assert key not in samples, f"twice: {line}"
        samples[key] = float(value)
    return samples


def get(samples, name, **labels):
    """The sum of the samples of this name that have these labels."""
    return sum(v for (n, l), v in samples.items()
               if n == name and labels.items() <= dict(l).items())


@pytest.fixture
def served(portcullis, origin):
    port = free_port()
    p = portcullis(f"""
metrics http://127.0.0.1:{port}
tls @CERTS@/localhost.pem @CERTS@/localhost.key
http serve
site localhost {{
  /text -> respond 200 "hello"
  /app/* -> 127.0.0.1:{origin().port}
  /dead -> 127.0.0.1:{free_port()}
  /shut -> respond 200 "never" {{ deny from any }}
}}
site b.example {{
  /text -> respond 204
}}
""")
    p.metrics = port
    return p


def test_requests_are_counted_by_site_route_and_class_of_status(served):
    for path in ("/text", "/text", "/app/x", "/dead", "/shut", "/none"):
        served.get(path)
    served.get("/text", host="b.example")
    served.get("/text", host="b.example", headers={"X-Site": 'forged",site="y'})
    served.request("BREW", "/text/\"};evil", host="b.example")
    served.get("/a b", host="b.example")

    def counted():
        samples = scrape(served.metrics)
        return samples if get(samples, "portcullis_requests_total") == 10 else None

    s = wait_for(counted, "ten requests in the metrics")
    total = "portcullis_requests_total"
    assert get(s, total, site="localhost", route="/text", status="2xx") == 2
    assert get(s, total, site="localhost", route="/app/*", status="2xx") == 1
    assert get(s, total, site="localhost", route="/dead", status="5xx") == 1
    assert get(s, total, site="localhost", route="/shut", status="4xx") == 1
    assert get(s, total, site="b.example", route="/text", status="2xx") == 2
    refused = "portcullis_refused_total"
    assert get(s, refused, route="/dead", layer="origin") == 1
    assert get(s, refused, route="/shut", layer="route") == 1
    assert get(s, refused, layer="parser") == 1
    assert get(s, "portcullis_received_bytes_total", route="/text") > 200
    assert get(s, "portcullis_sent_bytes_total", route="/app/*") > 100
    assert get(s, "portcullis_request_duration_seconds_count") == 10
    assert get(s, "portcullis_request_duration_seconds_bucket", le="+Inf") == 10
    assert get(s, "portcullis_origin_answer_seconds_count", route="/app/*") == 1
    assert get(s, "portcullis_origin_answer_seconds_count") == 1
    # Nothing that a client sent is in it.
    text = ask(served.metrics)
    for word in (b"forged", b"evil", b"BREW", b"/none"):
        assert word not in text


def test_connections_handshakes_and_certificates_are_told(served, certs):
    with served.connect() as idle, served.connect() as silent:
        idle.send(b"GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n")
        idle.response()
        served.get("/text", tls=True, ca=certs.ca)
        with served.connect_tls() as second:
            second.send(b"GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert second.response().status == 200
        with socket.create_connection(("127.0.0.1", served.tls_port)) as raw:
            raw.sendall(b"\x16\x03\x01\x00\x05hello")

        def settled():
            s = scrape(served.metrics)
            return s if (get(s, "portcullis_connections", state="idle") == 2 and
                         get(s, "portcullis_tls_handshakes_total", result="failed") == 1) else None

        s = wait_for(settled, "two idle connections and a failed handshake")
        assert silent
        assert get(s, "portcullis_tls_handshakes_total", result="full") == 2
        assert get(s, "portcullis_tls_handshakes_total", result="resumed") == 0
        assert get(s, "portcullis_connections_accepted_total") == 5
        assert get(s, "portcullis_refused_total", layer="tls") == 1
    expiry = get(s, "portcullis_certificate_expiry_timestamp_seconds", site="localhost")
    assert 80 * 86400 < expiry - time.time() < 91 * 86400
    assert get(s, "process_open_fds") > 5 and get(s, "process_max_fds") > 100
    assert 1e6 < get(s, "process_resident_memory_bytes") < 1e9
    assert abs(get(s, "process_start_time_seconds") - time.time()) < 100
    wait_for(lambda: get(scrape(served.metrics), "portcullis_connections") == 0, "all closed")


def test_the_state_of_each_origin_is_told(portcullis, origin):
    port, dead, good = free_port(), free_port(), origin()
    p = portcullis(f"""
metrics http://127.0.0.1:{port}
rest 1h
site * {{
  /good -> 127.0.0.1:{good.port}
  /dead -> 127.0.0.1:{dead}
  /never -> 127.0.0.1:{free_port()}
}}
""")
    assert not [1 for n, _ in scrape(port) if n.startswith("portcullis_origin_state")]
    p.get("/good")
    p.get("/dead")
    s = scrape(port)
    state = "portcullis_origin_state"
    assert get(s, state, origin=f"127.0.0.1:{good.port}", state="up") == 1
    assert get(s, state, origin=f"127.0.0.1:{good.port}") == 1
    assert get(s, state, origin=f"127.0.0.1:{dead}", state="resting") == 1
    assert get(s, state, origin=f"127.0.0.1:{dead}") == 1
    assert get(s, "portcullis_origin_tries_total", origin=f"127.0.0.1:{good.port}") == 1
    assert get(s, "portcullis_origin_failures_total", origin=f"127.0.0.1:{dead}") >= 1
    assert get(s, "portcullis_origin_failures_total", origin=f"127.0.0.1:{good.port}") == 0
    assert len([1 for n, _ in s if n == state]) == 8


def test_resumed_handshakes_are_told_apart(served):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{served.tls_port}", "-servername",
         "localhost", "-reconnect", "-tls1_2"], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=30)
    assert done.stdout.count("Reused, TLSv1.2") == 5, done.stdout[-2000:]
    s = wait_for(lambda: (lambda s: s if get(s, "portcullis_tls_handshakes_total") >= 6 else None)(
        scrape(served.metrics)), "six handshakes")
    assert get(s, "portcullis_tls_handshakes_total", result="resumed") == 5
    assert get(s, "portcullis_tls_handshakes_total", result="full") == 1


def test_counters_survive_a_reload_and_begin_anew_with_a_worker(served):
    served.get("/text")
    wait_for(lambda: get(scrape(served.metrics), "portcullis_requests_total", route="/text") == 1,
             "the request")
    conf = served.conf.read_text()
    served.conf.write_text(conf.replace('"hello"', '"other"') + "site c.example -> 127.0.0.1:1\n")
    assert served.control("reload").returncode == 0
    served.get("/text")
    wait_for(lambda: get(scrape(served.metrics), "portcullis_requests_total", route="/text") == 2,
             "both requests")
    s = scrape(served.metrics)
    assert get(s, "portcullis_reloads_total", result="served") == 1
    assert get(s, "portcullis_reloads_total", result="refused") == 0
    assert get(s, "portcullis_config_last_reload_successful") == 1
    assert get(s, "portcullis_config_generation") == 2
    first = get(s, "portcullis_config_last_success_timestamp_seconds")
    served.conf.write_text(conf + "nonsense\n")
    assert "unknown directive 'nonsense'" in served.control("reload").stderr
    s = wait_for(lambda: (lambda s: s if get(
        s, "portcullis_config_last_reload_successful") == 0 else None)(scrape(served.metrics)),
        "the refusal")
    assert get(s, "portcullis_reloads_total", result="refused") == 1
    assert get(s, "portcullis_config_last_success_timestamp_seconds") == first
    os.kill(served.worker_pid(), signal.SIGKILL)

    def fresh():
        try:
            s = scrape(served.metrics)
        except (OSError, AssertionError):
            return None
        return s if get(s, "portcullis_worker_starts_total") == 2 else None

    s = wait_for(fresh, "the second worker")
    assert get(s, "portcullis_requests_total") == 0
    assert get(s, "portcullis_reloads_total", result="refused") == 1


def test_the_address_moves_with_the_configuration(served):
    other = free_port()
    conf = served.conf.read_text()
    served.conf.write_text(conf.replace(f":{served.metrics}", f":{other}"))
    assert served.control("reload").returncode == 0
    assert get(scrape(other), "portcullis_config_generation") == 2
    with pytest.raises(OSError):
        ask(served.metrics)
    assert served.status()["metrics"] == f"http://127.0.0.1:{other}"
    served.conf.write_text(re.sub(r"metrics .*\n", "", conf))
    assert served.control("reload").returncode == 0
    with pytest.raises(OSError):
        ask(other)
    assert "metrics" not in served.status()
    assert served.get("/text").status == 200


def test_an_address_of_sites_may_become_that_of_metrics_and_back(portcullis):
    a, b = free_port(), free_port()
    text = ("listen http://127.0.0.1:{}\nmetrics http://127.0.0.1:{}\n"
            "site * {{ /* -> respond 200 \"a site\" }}\n")
    p = portcullis(text.format(a, b))
    for listen, metrics in ((b, a), (a, b)):
        done = p.reload(text.format(listen, metrics))
        assert done.returncode == 0, done.stderr

        def both_moved():
            """For a moment the kernel may still choose a socket of before."""
            try:
                return (ask(listen, b"GET /metrics HTTP/1.0\r\n\r\n").endswith(b"a site") and
                        b"portcullis_build_info" in ask(metrics))
            except OSError:
                return False

        wait_for(both_moved, "both addresses")
        for _ in range(20):
            assert both_moved()


@pytest.mark.parametrize("request_bytes, status", [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
    (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
    (b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"GET /metrics HTTP/1.1\n\n", 400),
    (b"\x16\x03\x01\x00\x05hello", 400),
    (b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 40 + b"\r\n", 431),
])
def test_nothing_else_is_answered(served, request_bytes, status):
    assert ask(served.metrics, request_bytes).startswith(f"HTTP/1.1 {status} ".encode())


def test_head_has_no_body_and_single_bytes_are_a_request(served):
    head, _, body = ask(served.metrics, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").partition(
        b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and body == b""
    with socket.create_connection(("127.0.0.1", served.metrics), 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n":
            sock.sendall(bytes([byte]))
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_silent_clients_are_dropped_and_keep_nobody_out(served):
    """More than there are places: those that say nothing lose theirs after five seconds."""
    began = time.monotonic()
    silent = [socket.create_connection(("127.0.0.1", served.metrics), 20) for _ in range(8)]
    assert scrape(served.metrics)  # waits in the queue until a place is free
    assert 3 < time.monotonic() - began < 9
    assert served.get("/text").status == 200
    for sock in silent:
        with sock:
            assert sock.recv(10) == b""


def test_only_those_that_allow_names_may_read(portcullis):
    port = free_port()
    p = portcullis(f"""
metrics http://:{port} {{
  allow from 127.0.0.2
}}
site * {{ /* -> respond 200 }}
""")
    assert ask(port).startswith(b"HTTP/1.1 403 ")
    # Those who may not read and say nothing do not take the places of those who may.
    silent = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(8)]
    for sock in silent[2:]:
        with sock:
            assert sock.recv(1) == b""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.2", 0)) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    assert time.monotonic() - began < 4
    for sock in silent[:2]:
        sock.close()
    text = p.conf.read_text()
    p.conf.write_text(text.replace("127.0.0.2", "127.0.0.1"))
    assert p.control("reload").returncode == 0
    assert ask(port).startswith(b"HTTP/1.1 200 ")


def test_an_open_address_needs_allow_lines(folder):
    conf = folder / "portcullis.conf"
    conf.write_text("listen http://127.0.0.1:8080\nmetrics http://:9100\nsite * -> 127.0.0.1:1\n")
    done = cli("check", "-c", conf)
    assert done.returncode != 0
    assert "portcullis.conf:2:9: other hosts could read the metrics here" in done.stderr


def test_it_answers_when_clients_have_used_up_the_descriptors(portcullis):
    port = free_port()
    text = f"metrics http://127.0.0.1:{port}\nsite * {{ /* -> respond 200 }}\n"
    p = portcullis(text, start=False)
    p.stderr_file = open(p.dir / "stderr", "ab")
    p.process = subprocess.Popen(
        ["prlimit", "--nofile=256:256", BINARY, "run", "-c", p.conf], stdin=subprocess.DEVNULL,
        stdout=p.stderr_file, stderr=p.stderr_file)
    p.wait_stderr("serving ")
    assert get(scrape(port), "process_max_fds") == 256
    held = []
    try:
        for _ in range(300):  # those beyond the limit wait in the queue
            held.append(socket.create_connection(("127.0.0.1", p.port), 5))
        p.wait_stderr("accepting pauses")
        for _ in range(3):
            assert get(scrape(port), "process_open_fds") >= 200  # all but the reserve
    finally:
        for sock in held:
            sock.close()
    assert p.get("/").status == 200


def test_names_of_the_configuration_are_escaped(portcullis):
    port = free_port()
    p = portcullis(f"""
metrics http://127.0.0.1:{port}
site localhost {{
  ~ '^/a"b\\.c$' -> respond 200
}}
""")
    assert p.get("/a%22b.c").status == 200
    wait_for(lambda: get(scrape(port), "portcullis_requests_total", status="2xx") == 1, "the request")
    assert rb'route="~ ^/a\"b\\.c$"' in ask(port)


def test_promtool_has_nothing_to_say(served):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (package prometheus)")
    for path in ("/text", "/app/x", "/dead", "/none"):
        served.get(path)
    wait_for(lambda: get(scrape(served.metrics), "portcullis_requests_total") == 4, "four requests")
    body = ask(served.metrics).partition(b"\r\n\r\n")[2]
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_ten_thousand_routes_have_bounded_metrics(portcullis):
    port = free_port()
    routes = "".join(f"  /r{i}/* -> respond 204\n" for i in range(10000))
    p = portcullis(f"metrics http://127.0.0.1:{port}\nlog off\nsite localhost {{\n{routes}}}\n")
    with p.connect() as client:
        for base in range(0, 10000, 100):  # a hundred at once
            client.send(b"".join(b"GET /r%d/ HTTP/1.1\r\nHost: localhost\r\n\r\n" % i
                                 for i in range(base, base + 100)))
            for _ in range(100):
                assert client.response().status == 204
    s = wait_for(lambda: (lambda s: s if get(s, "portcullis_requests_total") == 10000 else None)(
        scrape(port)), "all of them", 30)
    assert len([1 for n, _ in s if n == "portcullis_requests_total"]) == 10000
    # Histograms are those of the site: of each route they would be 280,000 lines.
    assert len([1 for n, _ in s if n.endswith("_seconds_bucket")]) == 13
    assert get(s, "portcullis_request_duration_seconds_count", site="localhost") == 10000
    assert len(ask(port)) < 4_000_000
