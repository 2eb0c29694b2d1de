"""HTTP/1.1 messages as RFC 9110, 9112 and 3986 write them, and what this proxy's pages say it refuses
beyond that. Read with regular expressions and nothing of the program, so that a test can hold the
program against it: what a stream of bytes means, or that it means nothing.
"""
import ipaddress
import re

TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# field-vchar, SP and HTAB; obs-text passes (RFC 9110 5.5).
TEXT = rb"[\t\x20-\x7e\x80-\xff]"
# pchar and '/' of RFC 3986 3.3 without '%'; behind it what browsers send raw and we let pass.
PATH_BYTE = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|[\"<>\[\]^`{|}])"
QUERY_BYTE = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]|[\"<>\[\]^`{|}\\])"
LABEL = rb"[A-Za-z0-9\-_]{1,63}"

REQUEST_LINE = re.compile(
    rb"(?:\r\n)?(" + TCHAR + rb"{1,32}) (/(?:" + PATH_BYTE + rb"|%[0-9A-Fa-f]{2})*)((?:\?" +
    QUERY_BYTE + rb"*)?) HTTP/1\.([0-9])\r\n")
STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-5][0-9][0-9])(?: (" + TEXT + rb"*))?\r\n")
FIELD = re.compile(rb"(" + TCHAR + rb"+):[ \t]*(|" + TEXT + rb"*?)[ \t]*\r\n")
HOST = re.compile(rb"(?:(" + LABEL + rb"(?:\." + LABEL + rb")*)\.?|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?")
QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;" + TCHAR + rb"+(?:=(?:" + TCHAR + rb"+|" + QUOTED +
                   rb"))?)*\r\n")
NOT_IN_TRAILERS = {b"content-length", b"transfer-encoding", b"host", b"connection", b"keep-alive",
                   b"proxy-connection", b"trailer", b"te", b"upgrade"}


class Bad(Exception):
    """No message begins here, whatever follows."""


class Incomplete(Exception):
    """More bytes could make it one."""


class Message:
    def __init__(self):
        self.method = self.target = self.body = b""
        self.status, self.fields, self.trailers, self.close = 0, [], [], False

    def values(self, name):
        return [v for n, v in self.fields if n.lower() == name]


def _need(pattern, data, at):
    """The pattern at `at`; whether what is there could still become one is not asked: the caller
    gives whole streams, so a line without its CRLF is the only thing that can be unfinished."""
    found = pattern.match(data, at)
    if found:
        return found
    if b"\n" in data[at:] or not data[at:]:
        raise Bad if data[at:] else Incomplete
    raise Incomplete


def _fields(data, at):
    fields = []
    while data[at:at + 2] != b"\r\n":
        if len(data) - at < 2 and data[at:] in (b"", b"\r"):
            raise Incomplete
        found = _need(FIELD, data, at)
        fields.append((found[1], found[2]))
        at = found.end()
    return fields, at + 2


def _chunked(message, data, at):
    while True:
        found = _need(CHUNK, data, at)
        size, at = int(found[1], 16), found.end()
        if size >= 1 << 63:
            raise Bad
        if size == 0:
            break
        if len(data) - at < size + 2:
            if data[at + size:at + size + 2] not in (b"", b"\r"):
                raise Bad
            raise Incomplete
        if data[at + size:at + size + 2] != b"\r\n":
            raise Bad
        message.body += data[at:at + size]
        at += size + 2
    message.trailers, at = _fields(data, at)
    if any(n.lower() in NOT_IN_TRAILERS for n, _ in message.trailers):
        raise Bad
    return at


def _framing(message, minor):
    """RFC 9112 6: the declared length, or True for chunked, or None."""
    lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        raise Bad
    if codings:
        if codings[0].lower() != b"chunked" or minor == 0:
            raise Bad
        return True
    if not lengths:
        return None
    if not re.fullmatch(rb"[0-9]{1,19}", lengths[0]) or int(lengths[0]) >= 1 << 63:
        raise Bad
    return int(lengths[0])


def _take(message, data, at, length):
    if len(data) - at < length:
        raise Incomplete
    message.body = data[at:at + length]
    return at + length


def _is_host(value):
    found = HOST.fullmatch(value)
    if not found or int(found[3] or 0) > 65535 or len(found[1] or b"") > 253:
        return False
    if found[2] is None:
        return True
    try:
        return bool(ipaddress.IPv6Address(found[2].decode()))
    except ValueError:
        return False


def _path_is_plain(path):
    """What the pages say of paths: one meaning, whoever reads it."""
    decoded = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), path)
    if any(b < 0x20 or b == 0x7f for b in decoded) or b"\\" in decoded:
        return False
    return all(s.split(b";")[0] not in (b".", b"..") for s in decoded.split(b"/"))


def read_request(data, at=0):
    """One request at `at` and where the next one would begin."""
    found = _need(REQUEST_LINE, data, at)
    message = Message()
    message.method, message.target = found[1], found[2] + found[3]
    minor = int(found[4])
    if not _path_is_plain(found[2]) or message.method == b"CONNECT":
        raise Bad
    message.fields, at = _fields(data, found.end())
    hosts = message.values(b"host")
    if len(hosts) > 1 or (not hosts and minor > 0):
        raise Bad
    if hosts and not _is_host(hosts[0]):
        raise Bad
    tokens = [t.strip(b" \t").lower() for v in message.values(b"connection") for t in v.split(b",")]
    message.close = b"close" in tokens or (minor == 0 and b"keep-alive" not in tokens)
    framing = _framing(message, minor)
    if framing is True:
        return message, _chunked(message, data, at)
    return message, _take(message, data, at, framing or 0)


def read_requests(data):
    """All requests of a stream, and how it ends: "end", "bad", "incomplete" or "close"."""
    messages, at = [], 0
    while at < len(data):
        try:
            message, at = read_request(data, at)
        except Bad:
            return messages, "bad"
        except Incomplete:
            return messages, "incomplete"
        messages.append(message)
        if message.close:
            return messages, "close"
    return messages, "end"


def read_answer(data, at=0, method=b"GET", ended=True):
    """One answer at `at`. `ended`: the connection is over, so a body may end with it."""
    found = _need(STATUS_LINE, data, at)
    message = Message()
    message.status, minor = int(found[2]), int(found[1])
    message.fields, at = _fields(data, found.end())
    framing = _framing(message, minor)
    bodyless = message.status < 200 or message.status in (204, 304) or method == b"HEAD"
    if message.status < 200 or message.status == 204:
        if framing is True or framing:
            raise Bad
    if message.status == 205 and framing not in (0, None, True):
        raise Bad
    if bodyless:
        return message, at
    if framing is True:
        return message, _chunked(message, data, at)
    if framing is None:
        if not ended:
            raise Incomplete
        message.body = data[at:]
        return message, len(data)
    return message, _take(message, data, at, framing)


def read_answers(data, methods=()):
    """All final answers of a connection that is over; interim ones are skipped."""
    answers, at = [], 0
    while at < len(data):
        method = methods[len(answers)] if len(answers) < len(methods) else b"GET"
        message, at = read_answer(data, at, method)
        if message.status >= 200:
            answers.append(message)
    return answers
