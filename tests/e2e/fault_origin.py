"""An origin as a process of its own, so that it can be killed, frozen and started again.

    fault_origin.py HOST PORT RECORD [MODE]       over TLS with FAULT_CERT and FAULT_KEY in the environment

Answers each request with its target as the body; of each POST it has read it first appends the target
to RECORD, one line in one write, so that what was recorded survives a SIGKILL. A line on its standard
input is a new mode (the word `ready` on standard output says that it holds):

    good            answers and keeps the connection
    close, rst      answers, then ends the connection without having said so
    idle MS         ends a connection that was idle so long
    bye MS          the same, with a 408 for a farewell
    midway          resets in the middle of the body, head sent
    headless        resets in the middle of the head
    short           announces more than it sends, and ends properly
    hang            reads and never answers
    drop            reads and ends the connection without an answer
    leave           answers but /hang, which is never answered; what follows it is dropped
"""
import asyncio
import os
import socket
import ssl
import struct
import sys

mode = ["good"]
BIG = b"x" * 200_000


class Connection(asyncio.Protocol):
    def __init__(self, record):
        self.record, self.buffer, self.idle, self.drops = record, b"", None, False

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, _):
        if self.idle:
            self.idle.cancel()

    def reset(self):
        """A RST instead of a FIN, behind what was written."""
        if self.transport.is_closing():
            return
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def leave(self, how):
        if how == "bye":
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n"
                                 b"Connection: close\r\n\r\n")
        self.transport.close()

    def data_received(self, data):
        if self.drops:
            return
        self.buffer += data
        while b"\r\n\r\n" in self.buffer and not self.transport.is_closing():
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            method, target, _ = head.split(b"\r\n")[0].split(b" ")
            if method == b"POST":
                os.write(self.record, target + b"\n")
            self.answer(target)

    def answer(self, target):
        how, _, argument = mode[0].partition(" ")
        if how == "hang" or how == "leave" and target == b"/hang":
            self.drops = how == "leave"
            return
        if how == "drop":
            self.transport.close()
            return
        body = target + (BIG if b"big" in target else b"")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + (how == "short") * 9)
        if how == "headless":
            self.transport.write(head[:20])
            self.reset()
        elif how == "midway":
            self.transport.write(head + body[:len(body) // 2])
            self.reset()
        else:
            self.transport.write(head + body)
        if how in ("close", "short"):
            self.transport.close()
        elif how == "rst":
            asyncio.get_running_loop().call_later(0.001, self.reset)
        elif how in ("idle", "bye"):
            if self.idle:
                self.idle.cancel()
            self.idle = asyncio.get_running_loop().call_later(float(argument) / 1000, self.leave, how)


def command():
    line = sys.stdin.readline()
    if not line:
        os._exit(0)  # whoever started us has gone
    mode[0] = line.strip()
    print("ready", flush=True)


async def main(host, port, path):
    record = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    loop = asyncio.get_running_loop()
    context = None
    if "FAULT_CERT" in os.environ:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.environ["FAULT_CERT"], os.environ["FAULT_KEY"])
    await loop.create_server(lambda: Connection(record), host, port, backlog=512, ssl=context)
    loop.add_reader(sys.stdin, command)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    mode[0] = " ".join(sys.argv[4:]) or "good"
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
