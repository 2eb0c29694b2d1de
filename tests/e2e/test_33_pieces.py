"""The whole table once more: however the bytes of a message are cut into pieces, it means the same."""
import collections
import json
import pathlib
import socket
import threading
import time

import pytest

import strict_http
from conftest import PATIENCE, SANITIZER, Origin, Portcullis, connect, echo, open_folder

CASES = pathlib.Path(__file__).parent / "cases"
REQUESTS = json.loads((CASES / "requests.json").read_text())
RESPONSES = json.loads((CASES / "responses.json").read_text())
END = b"GET /end HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
# So long is the proxy left alone with the first piece: long enough for a turn of its loop, mostly.
# Nothing fails when it is not; the pieces are then read as one.
PAUSE = 0.002


@pytest.fixture(scope="module")
def front():
    with open_folder() as folder:
        o = Origin(echo)
        p = Portcullis(f"compress off\nsite a.test -> 127.0.0.1:{o.port}\n", folder)
        p.origin = o
        yield p
        p.stop()
        o.stop()
        assert not SANITIZER.search(p.stderr()), p.stderr()


def finish(client, data):
    """What comes back, as statuses; the client has said all it has to say."""
    try:
        client.sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    raw = client.read_all()
    client.close()
    method = b"HEAD" if data.startswith(b"HEAD ") else b"GET"
    return tuple(a.status for a in strict_http.read_answers(raw, [method]))


def push(client, piece):
    try:
        client.send(piece)
    except OSError:
        pass  # refused already


def new_requests(front, before):
    return collections.Counter((r.method, r.target, r.body) for r in front.origin.requests[before:])


def outcome(front, data, cuts, source):
    """The outcome of each cut, all under way at once; and what reached the origin."""
    before = len(front.origin.requests)
    clients = [connect(front.port, source=source) for _ in cuts]
    for client, cut in zip(clients, cuts):
        push(client, data[:cut])
    time.sleep(PAUSE)
    for client, cut in zip(clients, cuts):
        push(client, data[cut:])
    return [finish(c, data) for c in clients], new_requests(front, before)


def positions(data):
    """All in what is short; of long rows the ends of their lines and some between."""
    if len(data) <= 400:
        return list(range(1, len(data)))
    near = {i + d for i in range(len(data)) if data[i:i + 1] in b"\r\n:" for d in (0, 1)}
    return sorted(n for n in near | set(range(1, len(data), len(data) // 50)) if 0 < n < len(data))[:200]


@pytest.mark.parametrize("group", range(20))
def test_a_request_cut_anywhere(front, group):
    for number, case in enumerate(REQUESTS[group::20]):
        data = case["bytes"].encode("latin-1")
        source = f"127.0.{group + 1}.{number % 250 + 1}"
        (whole,), reached = outcome(front, data + END, [len(data) + len(END)], source)
        cuts = positions(data) + [len(data)]
        for at in range(0, len(cuts), 100):
            some = cuts[at:at + 100]
            got, reached_now = outcome(front, data + END, some, source)
            assert got == [whole] * len(some), (case["name"], whole, dict(zip(some, got)))
            assert reached_now == collections.Counter({k: n * len(some) for k, n in reached.items()}), case["name"]


@pytest.mark.parametrize("group", range(4))
def test_requests_byte_by_byte(front, group):
    rows = [c["bytes"].encode("latin-1") + END for c in REQUESTS[group::4]]
    source = f"127.0.100.{group + 1}"
    whole, whole_reached = [], collections.Counter()
    for data in rows:
        (status,), reached = outcome(front, data, [len(data)], source)
        whole.append(status)
        whole_reached += reached
    before = len(front.origin.requests)
    clients = [connect(front.port, source=source) for _ in rows]
    for tick in range(400):  # long rows: in 400 pieces
        for client, data in zip(clients, rows):
            step = len(data) // 400 + 1
            if tick * step < len(data):
                push(client, data[tick * step:(tick + 1) * step])
    got = [finish(c, data) for c, data in zip(clients, rows)]
    assert got == whole
    assert new_requests(front, before) == whole_reached


@pytest.fixture(scope="module")
def answering():
    """An origin that answers GET /N with `.data`, cut at N. No connection is kept: what some rows
    send too much would be the answer to another's question."""
    with open_folder() as folder:
        def script(conn):
            request = conn.read_request()
            if request is None:
                return
            cut = int(request.target[1:])
            conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn.send(o.data[:cut])
            time.sleep(PAUSE)
            conn.send(o.data[cut:])

        o = Origin(script)
        p = Portcullis(f"compress off\nkeepalive off\nrest 0s\nretry off\nsite * -> 127.0.0.1:{o.port}\n", folder)
        p.origin = o
        yield p
        p.stop()
        o.stop()
        assert not SANITIZER.search(p.stderr()), p.stderr()


def ask(p, cut):
    """The statuses, interim ones too, and the body that came back."""
    with p.connect() as client:
        client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % cut)
        raw = client.read_all()
    heads, at = [], 0
    while at < len(raw):
        message, at = strict_http.read_answer(raw, at)
        heads.append(message.status)
    return heads, message.body if message.status < 400 else b""


@pytest.mark.parametrize("group", range(10))
def test_an_answer_cut_anywhere(answering, group):
    for case in RESPONSES[group::10]:
        data = case["bytes"].encode("latin-1")
        answering.origin.data = data
        whole = ask(answering, len(data))
        cuts = positions(data)
        got = {}

        def run(some):
            for cut in some:
                got[cut] = ask(answering, cut)

        threads = [threading.Thread(target=run, args=(cuts[i::16],)) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(PATIENCE)
        assert got == {cut: whole for cut in cuts}, case["name"]
