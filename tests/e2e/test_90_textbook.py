"""The textbook picture: a browser at 10.6.34.100, Portcullis at 10.6.34.1, the origin on loopback.

The client stands in a network namespace of its own, joined by a pair of virtual interfaces."""
import os
import shutil
import subprocess

import pytest

CLIENT, SERVER = "10.6.34.100", "10.6.34.1"

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("curl"),
                                reason="needs root, ip and curl")


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


@pytest.fixture
def namespace():
    """A namespace that holds CLIENT; this host is SERVER on the other end of the cable."""
    name, here, there = f"pc{os.getpid()}", f"pa{os.getpid()}", f"pb{os.getpid()}"
    if ip("netns", "add", name).returncode != 0:
        pytest.skip("no network namespaces here")
    try:
        for words in (
            ("link", "add", here, "type", "veth", "peer", "name", there, "netns", name),
            ("addr", "add", f"{SERVER}/24", "dev", here),
            ("link", "set", here, "up"),
            ("-n", name, "addr", "add", f"{CLIENT}/24", "dev", there),
            ("-n", name, "link", "set", there, "up"),
        ):
            done = ip(*words)
            if done.returncode != 0:
                pytest.skip(f"ip {' '.join(words)}: {done.stderr.strip()}")
        yield name
    finally:
        ip("link", "del", here)
        ip("netns", "del", name)


def test_the_request_of_the_picture(portcullis, origin, namespace):
    o = origin()
    p = portcullis(f"""
        listen https://{SERVER}:@HTTPS@
        site radiology.hospital.com {{
            tls internal
            /viewer/* -> 127.0.0.1:{o.port}
        }}""")
    got = subprocess.run(
        ["ip", "netns", "exec", namespace, "curl", "-sS", "--cacert", str(p.internal_ca()),
         "--resolve", f"radiology.hospital.com:{p.tls_port}:{SERVER}", "-H", "Cookie: session=abc123",
         "-w", "%{http_code} %{local_ip}", "-o", "/dev/null",
         f"https://radiology.hospital.com:{p.tls_port}/viewer/study/12345"],
        capture_output=True, text=True, timeout=30)
    assert got.stdout == f"200 {CLIENT}", got.stderr
    [request] = o.requests
    assert (request.method, request.target) == (b"GET", b"/viewer/study/12345")
    assert [v for n, v in request.headers if n.lower() == "cookie"] == ["session=abc123"]
    assert request.header("x-forwarded-for") == CLIENT
    assert request.header("x-forwarded-proto") == "https"
    assert request.header("host") == f"radiology.hospital.com:{p.tls_port}"
    record = p.wait_log(lambda r: r.get("path") == "/viewer/study/12345")
    assert record["client"] == CLIENT and record["sni"] == "radiology.hospital.com", record
