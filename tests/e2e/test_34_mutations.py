"""Messages changed at random, each time in the same way: what they mean is said by strict_http.py, and
the program must say the same. MUTATIONS=N in the environment tries N of each kind instead."""
import json
import os
import pathlib
import random

import pytest

import strict_http
import test_31_every_byte as every_byte
from test_31_every_byte import answering, front  # noqa: F401 (fixtures)

CASES = pathlib.Path(__file__).parent / "cases"
COUNT = int(os.environ.get("MUTATIONS", "4000"))
PIECES = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"0", b"5", b"a", b"\x00", b"\xff", b"%", b"%2f", b"/",
          b"?", b"#", b"_", b'"', b"\\", b"..", b"+", b"-", b"chunked", b"Transfer-Encoding: chunked\r\n",
          b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
          b"Host: a.test\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"5\r\nhello\r\n",
          b"HEAD", b"HTTP/1.0", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", b"204", b"304", b"100"]
# What strict_http does not judge: absolute-form, `*`, expectations, TRACE; and HTTP/1.1 in a method's place.
UNJUDGED = (b"expect", b"://", b" * ", b"trace", b"/1.1 ", b"connect ")


def rows(name, extra):
    found = [c["bytes"].encode("latin-1") for c in json.loads((CASES / name).read_text())]
    return [r for r in found if len(r) < 400] + [a + b"x" + b for a, b in extra.values()]


def mutate(draw, data, others):
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        at = draw.randrange(len(data) + 1)
        lines = data.split(b"\r\n")
        one, two = draw.randrange(len(lines)), draw.randrange(len(lines))
        kind = draw.randrange(6)
        if kind == 0:
            data = data[:at] + bytes([draw.randrange(256)]) + data[at + 1:]
        elif kind == 1:
            data = data[:at] + draw.choice(PIECES) + data[at:]
        elif kind == 2:
            data = data[:at] + data[at + draw.randint(1, 8):]
        elif kind == 3:
            lines.insert(two, lines[one])
            data = b"\r\n".join(lines)
        elif kind == 4:
            other = draw.choice(others)
            data = data[:at] + other[draw.randrange(len(other) + 1):]
        else:
            lines[one], lines[two] = lines[two], lines[one]
            data = b"\r\n".join(lines)
    return data


def mutations(seed, seeds):
    draw = random.Random(seed)
    made = 0
    while made < COUNT // 4:
        data = mutate(draw, draw.choice(seeds), seeds)
        if data and not any(word in data.lower() for word in UNJUDGED):
            made += 1
            yield data


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_request_means_what_the_grammar_says(front, seed):  # noqa: F811
    fine = [r for r in rows("requests.json", every_byte.PLACES)
            if len(strict_http.read_requests(r + every_byte.SECOND)[0]) == 2]
    assert len(fine) > 100
    passed = 0
    for data in mutations(seed, fine):
        every_byte.check_request(front, data + every_byte.SECOND)
        passed += bool(front.recorder.messages)
    assert passed > COUNT // 40


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_answer_means_what_the_grammar_says(answering, seed):  # noqa: F811
    fine = [r for r in rows("responses.json", every_byte.ANSWER_PLACES)
            if not isinstance(every_byte.origin_means(r), str)]
    assert len(fine) > 40
    for data in mutations(seed, fine):
        if b" 101" not in data:  # a switch of protocols that nobody asked for
            every_byte.check_answer(answering, data)
