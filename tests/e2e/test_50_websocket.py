"""WebSockets by a real client and a real server, and upgrades that are none."""
import asyncio
import base64
import ssl
import threading
import time

import pytest

from conftest import wait_for

websockets = pytest.importorskip("websockets")


class WsServer:
    """Echoes; `headers` is of the last handshake."""

    def __init__(self, **more):
        self.loop, self.headers, self.paths = asyncio.new_event_loop(), None, []
        self.ready = threading.Event()
        self.more = more
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(
            websockets.serve(self.echo, "127.0.0.1", 0, ping_interval=None, max_size=None, **self.more))
        self.port = self.server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    async def echo(self, ws, path=None):
        self.headers = ws.request_headers
        self.paths.append(ws.path)
        async for message in ws:
            await ws.send(message)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


@pytest.fixture
def ws():
    server = WsServer()
    yield server
    server.stop()


CONF = """tls @CERTS@/localhost.pem @CERTS@/localhost.key
http serve
site localhost -> 127.0.0.1:{port}
"""


def talk(url, work, **more):
    more.setdefault("host", "127.0.0.1")  # the URL's is for Host and SNI: no name is looked up

    async def run():
        if url.startswith("wss"):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            more["ssl"] = context
        async with websockets.connect(url, ping_interval=None, max_size=None, compression=None, **more) as client:
            return await work(client)
    return asyncio.run(asyncio.wait_for(run(), 30))


def url_of(p, kind, path="/"):
    return f"ws://localhost:{p.port}{path}" if kind == "plain" else f"wss://localhost:{p.tls_port}{path}"


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_messages_both_ways(portcullis, ws, kind):
    p = portcullis(CONF.format(port=ws.port))
    big = bytes(range(256)) * 8192  # 2 MiB

    async def work(client):
        await client.send("hello")
        assert await client.recv() == "hello"
        await client.send(big)
        assert await client.recv() == big
        for n in range(200):
            await client.send(str(n))
        assert [await client.recv() for n in range(200)] == [str(n) for n in range(200)]
        await client.ping()

    talk(url_of(p, kind, "/chat?room=1"), work)
    assert ws.paths == ["/chat?room=1"]
    assert ws.headers["X-Forwarded-For"] == "127.0.0.1"
    assert ws.headers["X-Forwarded-Proto"] == ("https" if kind == "tls" else "http")
    record = p.wait_log()
    assert record["status"] == 101 and record["websocket"] and record["end"] == "complete"
    assert record["body_in"] > len(big) and record["body_out"] > len(big)


def test_it_outlives_the_timeouts_of_requests(portcullis, ws):
    p = portcullis("timeout answer 300ms stream 300ms idle 300ms body 300ms send 300ms\n" + CONF.format(port=ws.port))

    async def work(client):
        await asyncio.sleep(1.2)
        await client.send("still here")
        return await client.recv()

    assert talk(url_of(p, "plain"), work) == "still here"


def test_it_ends_when_quiet_too_long(portcullis, ws):
    p = portcullis("timeout quiet 700ms\n" + CONF.format(port=ws.port))

    async def work(client):
        for _ in range(4):
            await asyncio.sleep(0.3)
            await client.send("x")
            await client.recv()
        began = time.monotonic()
        await client.wait_closed()
        return time.monotonic() - began

    assert 0.4 < talk(url_of(p, "plain"), work) < 10
    assert p.wait_log()["websocket"]


def test_an_end_on_either_side_ends_both(portcullis, ws):
    p = portcullis(CONF.format(port=ws.port))

    async def work(client):
        await client.send("x")
        await client.recv()
        client.transport.abort()

    talk(url_of(p, "plain"), work)
    assert p.wait_log()["status"] == 101


UPGRADE = (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(b"k" * 16) + b"\r\n\r\n")


def test_an_origin_may_refuse_and_the_connection_lives_on(portcullis, origin):
    o = origin(lambda conn: [conn.answer(403, b"no", reason="Forbidden") for _ in iter(conn.read_request, None)])
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        for _ in range(2):
            answer = client.send(UPGRADE).response()
            assert (answer.status, answer.text) == (403, "no")
    assert o.requests[0].header("upgrade").lower() == "websocket"
    assert "websocket" not in p.wait_log()


def test_websocket_off(portcullis, origin):
    o = origin()
    p = portcullis(f"websocket off\nsite * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        answer = client.send(UPGRADE).response()
    assert answer.status == 200 and o.requests[0].header("upgrade") is None


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.2", b"foo", b"h2c, websocket"])
def test_no_other_upgrade_is_relayed(portcullis, origin, protocol):
    o = origin()
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n")
        answer = client.response()
    assert answer.status in (200, 400)
    assert all(r.header("upgrade") in (None, "websocket") for r in o.requests)


def test_a_101_nobody_asked_for_is_a_502(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        conn.fill()

    o = origin(script)
    p = portcullis(f"retry off\nsite * -> 127.0.0.1:{o.port}")
    assert p.get().status == 502


def test_bytes_before_the_101_are_no_second_request(portcullis, origin):
    """What follows an upgrade request is held until the origin's answer says what it is."""
    def script(conn):
        conn.read_request()
        conn.answer(200, b"no upgrade")
        conn.read_request()
        conn.answer(200, b"second")

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(UPGRADE + b"GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.response().text == "no upgrade"


def test_bytes_with_the_101_reach_the_client(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
        conn.send(conn.read_until(b"late"))

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(UPGRADE)
        assert b" 101 " in client.read_until(b"\r\n\r\n")
        assert client.read_exactly(5) == b"early"
        client.send(b"late")
        assert client.read_exactly(4) == b"late"
        assert client.closed()


def test_half_an_end_lets_the_other_half_finish(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while conn.fill():
            pass
        conn.send(b"goodbye")

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(UPGRADE)
        client.read_until(b"\r\n\r\n")
        client.sock.shutdown(1)
        assert client.read_all() == b"goodbye"


def test_it_survives_a_reload(portcullis, ws):
    text = CONF.format(port=ws.port)
    p = portcullis(text)

    async def work(client):
        await client.send("a")
        assert await client.recv() == "a"
        done = await asyncio.get_running_loop().run_in_executor(None, p.reload, text + "# changed\n")
        assert done.returncode == 0
        await client.send("b")
        return await client.recv()

    assert talk(url_of(p, "plain"), work) == "b"
    wait_for(lambda: any(r.get("websocket") for r in p.log_records()), "the record")
