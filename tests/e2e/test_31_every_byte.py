"""Every byte at every place of a message, from a client and from an origin. What each stream means is
said by strict_http.py, which knows the grammar of the RFCs and nothing of the program; the origin
records raw bytes and holds them against the same grammar."""
import re
import socket

import pytest

import strict_http
from conftest import SANITIZER, Origin, Portcullis, open_folder
from recorder import Recorder

HOST = b"Host: a.test\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
DATA = b"5\r\nhello\r\n"
SECOND = b"GET /second HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
# Of a request: where the byte stands, what is before it and what behind. SECOND follows.
PLACES = {
    "before the method": (b"", GET + b"\r\n"),
    "in the method": (b"G", b"T / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "for the first space": (b"GET", b"/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "before the target": (b"GET ", b"/x HTTP/1.1\r\n" + HOST + b"\r\n"),
    "for the target's slash": (b"GET ", b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "in the path": (b"GET /a", b"b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a segment of the path": (b"GET /", b"/b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "behind a percent sign": (b"GET /a%", b"5 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "the second digit of a triplet": (b"GET /a%5", b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "in the query": (b"GET /?a", b"b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "for the second space": (b"GET /", b"HTTP/1.1\r\n" + HOST + b"\r\n"),
    "behind the version": (b"GET / HTTP/1.1", b"\r\n" + HOST + b"\r\n"),
    "for the CR of the request line": (b"GET / HTTP/1.1", b"\n" + HOST + b"\r\n"),
    "between CR and LF of the request line": (b"GET / HTTP/1.1\r", b"\n" + HOST + b"\r\n"),
    "for the LF of the request line": (b"GET / HTTP/1.1\r", HOST + b"\r\n"),
    "before a name": (GET, b"X: y\r\n\r\n"),
    "in a name": (GET + b"X", b"Y: z\r\n\r\n"),
    "before the colon": (GET + b"X", b": y\r\n\r\n"),
    "for the colon": (GET + b"X", b" y\r\n\r\n"),
    "before a value": (GET + b"X:", b"y\r\n\r\n"),
    "in a value": (GET + b"X: a", b"b\r\n\r\n"),
    "behind a value": (GET + b"X: y", b"\r\n\r\n"),
    "for a value": (GET + b"X:", b"\r\n\r\n"),
    "for the CR of a field": (GET + b"X: y", b"\nZ: z\r\n\r\n"),
    "between CR and LF of a field": (GET + b"X: y\r", b"\nZ: z\r\n\r\n"),
    "for the LF of a field": (GET + b"X: y\r", b"Z: z\r\n\r\n"),
    "before the empty line": (GET + b"X: y\r\n", b"\r\n"),
    "between CR and LF of the empty line": (GET + b"X: y\r\n\r", b"\n"),
    "for the LF of the empty line": (GET + b"X: y\r\n\r", b""),
    "before the host": (b"GET / HTTP/1.1\r\nHost: ", b"a.test\r\n\r\n"),
    "in the host": (b"GET / HTTP/1.1\r\nHost: a", b"b.test\r\n\r\n"),
    "behind the host": (b"GET / HTTP/1.1\r\nHost: a.test", b"\r\n\r\n"),
    "in the port": (b"GET / HTTP/1.1\r\nHost: a.test:8", b"\r\n\r\n"),
    "for Content-Length": (POST + b"Content-Length: ", b"\r\n\r\nhello"),
    "behind Content-Length": (POST + b"Content-Length: 5", b"\r\n\r\nhello"),
    "before Content-Length": (POST + b"Content-Length:", b"5\r\n\r\nhello"),
    "before chunked": (POST + b"Transfer-Encoding:", b"chunked\r\n\r\n" + DATA + b"0\r\n\r\n"),
    "in chunked": (POST + b"Transfer-Encoding: ch", b"unked\r\n\r\n" + DATA + b"0\r\n\r\n"),
    "behind chunked": (POST + b"Transfer-Encoding: chunked", b"\r\n\r\n" + DATA + b"0\r\n\r\n"),
    "for a chunk size": (CHUNKED, b"\r\nhello\r\n0\r\n\r\n"),
    "before a chunk size": (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"),
    "behind a chunk size": (CHUNKED + b"5", b"\r\nhello\r\n0\r\n\r\n"),
    "in an extension's name": (CHUNKED + b"5;a", b"b\r\nhello\r\n0\r\n\r\n"),
    "before an extension's name": (CHUNKED + b"5;", b"a\r\nhello\r\n0\r\n\r\n"),
    "in an extension's value": (CHUNKED + b"5;a=b", b"c\r\nhello\r\n0\r\n\r\n"),
    "before an extension's value": (CHUNKED + b"5;a=", b"b\r\nhello\r\n0\r\n\r\n"),
    "in an extension's quotes": (CHUNKED + b'5;a="b', b'c"\r\nhello\r\n0\r\n\r\n'),
    "behind an extension's quotes": (CHUNKED + b'5;a="b"', b'\r\nhello\r\n0\r\n\r\n'),
    "escaped in an extension": (CHUNKED + b'5;a="\\', b'"\r\nhello\r\n0\r\n\r\n'),
    "for the CR of a chunk's line": (CHUNKED + b"5", b"\nhello\r\n0\r\n\r\n"),
    "for the LF of a chunk's line": (CHUNKED + b"5\r", b"hello\r\n0\r\n\r\n"),
    "in a chunk": (CHUNKED + b"5\r\nhe", b"lo\r\n0\r\n\r\n"),
    "for the CR behind a chunk": (CHUNKED + b"5\r\nhello", b"\n0\r\n\r\n"),
    "between CR and LF behind a chunk": (CHUNKED + b"5\r\nhello\r", b"\n0\r\n\r\n"),
    "for the LF behind a chunk": (CHUNKED + b"5\r\nhello\r", b"0\r\n\r\n"),
    "for the last chunk": (CHUNKED + DATA, b"\r\n\r\n"),
    "behind the last chunk": (CHUNKED + DATA + b"0", b"\r\n\r\n"),
    "before a trailer": (CHUNKED + DATA + b"0\r\n", b"X: y\r\n\r\n"),
    "in a trailer's name": (CHUNKED + DATA + b"0\r\nX", b"Y: z\r\n\r\n"),
    "in a trailer's value": (CHUNKED + DATA + b"0\r\nX: a", b"b\r\n\r\n"),
    "for the CR of a trailer": (CHUNKED + DATA + b"0\r\nX: y", b"\n\r\n"),
    "for the LF of a trailer": (CHUNKED + DATA + b"0\r\nX: y\r", b"\r\n"),
    "for the last CR": (CHUNKED + DATA + b"0\r\n", b"\n"),
    "for the last LF": (CHUNKED + DATA + b"0\r\n\r", b""),
    "behind a chunked body": (CHUNKED + DATA + b"0\r\n\r\n", b""),
    "in a body": (POST + b"Content-Length: 5\r\n\r\nhe", b"lo"),
    "behind a body": (POST + b"Content-Length: 5\r\n\r\nhello", b""),
}
for _at in range(8):
    PLACES[f"byte {_at} of the version"] = (b"GET / HTTP/1.1"[:6 + _at],
                                            b"GET / HTTP/1.1"[7 + _at:] + b"\r\n" + HOST + b"\r\n")


@pytest.fixture(scope="module")
def front():
    with open_folder() as folder:
        recorder = Recorder()
        p = Portcullis(f"retry off\nrest 0s\nsite * -> 127.0.0.1:{recorder.port}\n", folder)
        p.recorder = recorder
        yield p
        p.stop()
        recorder.origin.stop()
        assert not SANITIZER.search(p.stderr()), p.stderr()


def exchange(front, data):
    """Everything that comes back for these bytes; the client has nothing more to say."""
    with front.connect() as client:
        try:
            client.send(data)
            client.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return client.read_all()


# Names that the proxy answers for itself, or that do not go on.
OWN = {b"host", b"connection", b"content-length", b"transfer-encoding", b"te", b"trailer", b"upgrade",
       b"keep-alive", b"proxy-connection", b"http2-settings", b"forwarded", b"proxy", b"expect"}


def passed_fields(message):
    named = b",".join(message.values(b"connection")).lower().replace(b"\t", b" ").replace(b" ", b"").split(b",")
    return [(n, v) for n, v in message.fields if n.lower() not in OWN and n.lower() not in named and
            b"_" not in n and not n.lower().startswith(b"x-forwarded-")]


def read_back(raw, wanted, data):
    """The answers. One to a head that is no request may be to HEAD all the same: it has no body then."""
    methods = [m.method for m in wanted]
    try:
        return strict_http.read_answers(raw, methods)
    except (strict_http.Bad, strict_http.Incomplete):
        assert b"HEAD" in data
        return strict_http.read_answers(raw, methods + [b"HEAD"])


def check_request(front, data):
    recorder = front.recorder
    recorder.messages.clear()
    wanted, ending = strict_http.read_requests(data)
    raw = exchange(front, data)
    answers = read_back(raw, wanted, data)
    statuses = [a.status for a in answers]
    got = list(recorder.messages)
    assert not recorder.broken, (data, recorder.broken)
    assert [(m.method, m.target, m.body) for m in got] == \
        [(m.method, m.target, m.body) for m in wanted], (data, raw)
    for sent, heard in zip(wanted, got):
        assert all(f in heard.fields for f in passed_fields(sent)), (data, heard.fields)
        assert len(heard.values(b"host")) == 1
    assert statuses[:len(wanted)] == [200] * len(wanted), (data, raw)
    rest = statuses[len(wanted):]
    if ending == "bad":
        assert len(rest) == 1 and rest[0] in (400, 405, 417, 431, 501, 505), (data, raw)
    elif ending == "incomplete":
        assert len(rest) <= 1 and all(s >= 400 for s in rest), (data, raw)
    else:
        assert not rest, (data, raw)


@pytest.mark.parametrize("place", PLACES)
def test_every_byte_of_a_request(front, place):
    before, behind = PLACES[place]
    for byte in range(256):
        check_request(front, before + bytes([byte]) + behind + SECOND)


# Of an answer. The connection ends behind it.
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 5\r\n"
ANSWER_CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWER_PLACES = {
    "before the version": (b"", OK + LENGTH + b"\r\nhello"),
    "for the first space": (b"HTTP/1.1", b"200 OK\r\n" + LENGTH + b"\r\nhello"),
    "the first digit of the status": (b"HTTP/1.1 ", b"00 OK\r\nX: y\r\n\r\nhello"),
    "the second digit of the status": (b"HTTP/1.1 2", b"0 OK\r\nX: y\r\n\r\nhello"),
    "the last digit of the status": (b"HTTP/1.1 20", b" OK\r\nX: y\r\n\r\nhello"),
    "for the second space": (b"HTTP/1.1 200", b"OK\r\n" + LENGTH + b"\r\nhello"),
    "in the reason": (b"HTTP/1.1 200 O", b"K\r\n" + LENGTH + b"\r\nhello"),
    "for the CR of the status line": (b"HTTP/1.1 200 OK", b"\n" + LENGTH + b"\r\nhello"),
    "for the LF of the status line": (b"HTTP/1.1 200 OK\r", LENGTH + b"\r\nhello"),
    "before a name": (OK + LENGTH, b"X: y\r\n\r\nhello"),
    "in a name": (OK + LENGTH + b"X", b"Y: z\r\n\r\nhello"),
    "before the colon": (OK + LENGTH + b"X", b": z\r\n\r\nhello"),
    "for the colon": (OK + LENGTH + b"X", b" z\r\n\r\nhello"),
    "before a value": (OK + LENGTH + b"X:", b"y\r\n\r\nhello"),
    "in a value": (OK + LENGTH + b"X: a", b"b\r\n\r\nhello"),
    "behind a value": (OK + LENGTH + b"X: y", b"\r\n\r\nhello"),
    "for the CR of a field": (OK + LENGTH + b"X: y", b"\nZ: z\r\n\r\nhello"),
    "between CR and LF of a field": (OK + LENGTH + b"X: y\r", b"\nZ: z\r\n\r\nhello"),
    "for the LF of a field": (OK + LENGTH + b"X: y\r", b"Z: z\r\n\r\nhello"),
    "before the empty line": (OK + LENGTH, b"\r\nhello"),
    "for the LF of the empty line": (OK + LENGTH + b"\r", b"hello"),
    "for Content-Length": (OK + b"Content-Length: ", b"\r\n\r\nhello"),
    "behind Content-Length": (OK + b"Content-Length: 5", b"\r\n\r\nhello"),
    "behind chunked": (OK + b"Transfer-Encoding: chunked", b"\r\n\r\n" + DATA + b"0\r\n\r\n"),
    "in a body": (OK + LENGTH + b"\r\nhe", b"lo"),
    "for a chunk size": (ANSWER_CHUNKED, b"\r\nhello\r\n0\r\n\r\n"),
    "behind a chunk size": (ANSWER_CHUNKED + b"5", b"\r\nhello\r\n0\r\n\r\n"),
    "in an extension": (ANSWER_CHUNKED + b"5;a", b"b\r\nhello\r\n0\r\n\r\n"),
    "for the CR of a chunk's line": (ANSWER_CHUNKED + b"5", b"\nhello\r\n0\r\n\r\n"),
    "for the LF of a chunk's line": (ANSWER_CHUNKED + b"5\r", b"hello\r\n0\r\n\r\n"),
    "for the CR behind a chunk": (ANSWER_CHUNKED + b"5\r\nhello", b"\n0\r\n\r\n"),
    "for the LF behind a chunk": (ANSWER_CHUNKED + b"5\r\nhello\r", b"0\r\n\r\n"),
    "for the last chunk": (ANSWER_CHUNKED + DATA, b"\r\n\r\n"),
    "in a trailer's name": (ANSWER_CHUNKED + DATA + b"0\r\nX", b"Y: z\r\n\r\n"),
    "in a trailer's value": (ANSWER_CHUNKED + DATA + b"0\r\nX: a", b"b\r\n\r\n"),
    "for the last CR": (ANSWER_CHUNKED + DATA + b"0\r\n", b"\n"),
    "for the last LF": (ANSWER_CHUNKED + DATA + b"0\r\n\r", b""),
}
for _at in range(8):
    ANSWER_PLACES[f"byte {_at} of the version"] = (OK[:_at], OK[_at + 1:] + LENGTH + b"\r\nhello")


@pytest.fixture(scope="module")
def answering():
    """An origin that answers each request with `.answer`, raw, and closes."""
    with open_folder() as folder:
        def script(conn):
            if conn.read_request() is not None:
                conn.send(o.answer)

        o = Origin(script)
        p = Portcullis(f"retry off\nrest 0s\ncompress off\nsite * -> 127.0.0.1:{o.port}\n", folder)
        p.origin = o
        yield p
        p.stop()
        o.stop()
        assert not SANITIZER.search(p.stderr()), p.stderr()


def origin_means(data):
    """What an origin's bytes mean: the final answer, "bad", or "cut" for one that breaks in its body."""
    at = 0
    while True:
        try:
            message, at = strict_http.read_answer(data, at)
        except (strict_http.Bad, strict_http.Incomplete):
            head = data.find(b"\r\n\r\n", at)
            if head < 0:
                return "bad"
            try:  # a head that is fine by itself: an answer that cannot be finished
                strict_http.read_answer(data[at:head + 4] + b"0\r\n\r\n")
            except strict_http.Bad:
                return "bad"
            except strict_http.Incomplete:
                pass
            return "cut"
        if message.status >= 200:
            return message


def check_answer(p, data):
    p.origin.answer = data
    wanted = origin_means(data)
    raw = exchange(p, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    if wanted == "cut":
        # Either the proxy saw it in time and says 502, or the client sees an answer without its end.
        try:
            answers = strict_http.read_answers(raw)
            assert [a.status for a in answers] in ([502], []), (data, raw)
        except strict_http.Incomplete:
            assert re.match(rb"HTTP/1\.1 [1-5][0-9][0-9] ", raw), (data, raw)
        return
    answers = strict_http.read_answers(raw)
    assert len(answers) == 1, (data, raw)
    if wanted == "bad":
        assert answers[0].status == 502, (data, raw)
        return
    assert (answers[0].status, answers[0].body) == (wanted.status, wanted.body), (data, raw)
    own = {b"connection", b"content-length", b"transfer-encoding"}
    for name, value in wanted.fields:
        assert name.lower() in own or (name, value) in answers[0].fields, (data, raw)


@pytest.mark.parametrize("place", ANSWER_PLACES)
def test_every_byte_of_an_answer(answering, place):
    before, behind = ANSWER_PLACES[place]
    for byte in range(256):
        check_answer(answering, before + bytes([byte]) + behind)
