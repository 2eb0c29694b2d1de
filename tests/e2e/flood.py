"""Attackers, each a flood of its own, as a process beside the honest clients of test_89_floods.py.

    flood.py KIND PORT TLS_PORT SECONDS

Runs for so long and prints how many strokes it made (connections, requests, records, as the kind has it).
Connections that the server ends are made anew.
"""
import asyncio
import contextlib
import resource
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

KIND, PORT, TLS_PORT, SECONDS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
END = time.monotonic() + SECONDS
HEAD = b"POST /flood/small HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /flood/small HTTP/1.1\r\nHost: localhost\r\n\r\n"
strokes = 0


def stroke(count=1):
    global strokes
    strokes += count


def over():
    return time.monotonic() >= END


async def sleep(seconds):
    await asyncio.sleep(max(0, min(seconds, END - time.monotonic())))


async def connect(port=PORT, small=False):
    sock = socket.socket()
    if small:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return sock


def rst(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# --- what one connection does, over and over ---------------------------------------------------


async def drip(head, drop, pause=0.2, port=PORT):
    """`head`, then one byte at a time for as long as the server bears it."""
    loop, sock = asyncio.get_running_loop(), await connect(port)
    with sock:
        await loop.sock_sendall(sock, head)
        stroke()
        while not over():
            await loop.sock_sendall(sock, drop)
            await sleep(pause)


async def slow_heads():
    await drip(b"GET /flood/small HTTP/1.1\r\nHost: localhost\r\nX: ", b"x")


async def slow_bodies():
    await drip(HEAD + b"Content-Length: 100000\r\n\r\n", b"x")


async def slow_reads():
    loop, sock = asyncio.get_running_loop(), await connect(small=True)
    with sock:
        await loop.sock_sendall(sock, GET.replace(b"small", b"big") * 20)
        stroke()
        while not over():
            await sleep(0.5)
            await loop.sock_recv(sock, 1)


async def half_handshakes():
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)
    loop, sock = asyncio.get_running_loop(), await connect(TLS_PORT)
    with sock:
        await loop.sock_sendall(sock, hello)
        stroke()
        await asyncio.wait_for(loop.sock_recv(sock, 1), max(0.01, END - time.monotonic()))


async def silent():
    loop, sock = asyncio.get_running_loop(), await connect()
    with sock:
        stroke()
        await asyncio.wait_for(loop.sock_recv(sock, 1), max(0.01, END - time.monotonic()))


async def idle():
    loop, sock = asyncio.get_running_loop(), await connect()
    with sock:
        await loop.sock_sendall(sock, GET)
        await loop.sock_recv(sock, 1000)
        stroke()
        await asyncio.wait_for(loop.sock_recv(sock, 1), max(0.01, END - time.monotonic()))


async def connects():
    (await connect()).close()
    stroke()


async def aborts():
    loop, sock = asyncio.get_running_loop(), await connect()
    await loop.sock_sendall(sock, GET.replace(b"small", b"big"))
    rst(sock)
    stroke()


async def bad_requests():
    loop, sock = asyncio.get_running_loop(), await connect()
    with sock:
        await loop.sock_sendall(sock, b"GET /\x00 HTTP/9.9\r\nHost: a\r\nHost: b\r\nContent-Length: -1\r\n\r\n")
        await loop.sock_recv(sock, 1000)
        stroke()


async def many_headers():
    loop, sock = asyncio.get_running_loop(), await connect()
    with sock:
        fields = b"".join(b"X-%d: y\r\n" % n for n in range(20000))
        with contextlib.suppress(OSError):
            await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n")
        await loop.sock_recv(sock, 1000)
        stroke()


async def one_byte_chunks():
    loop, sock = asyncio.get_running_loop(), await connect()
    with sock:
        await loop.sock_sendall(sock, HEAD.replace(b"small", b"hang") + b"Transfer-Encoding: chunked\r\n\r\n")
        while not over():
            await loop.sock_sendall(sock, b"1\r\nx\r\n" * 2000)
            stroke(2000)


async def pipelined():
    loop, sock = asyncio.get_running_loop(), await connect()
    with sock:
        async def read():
            while await loop.sock_recv(sock, 262144):
                pass
        reading = asyncio.create_task(read())
        try:
            while not over():
                await loop.sock_sendall(sock, GET.replace(b"/flood/small", b"/text") * 500)
                stroke(500)
        finally:
            reading.cancel()


# --- over TLS: blocking, in threads -------------------------------------------------------------


def context(version=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def tls(made=None):
    sock = socket.create_connection(("127.0.0.1", TLS_PORT), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return (made or context()).wrap_socket(sock, server_hostname="localhost")


def handshakes():
    tls().close()
    stroke()


def tiny_records():
    with tls() as sock:
        sock.sendall(HEAD.replace(b"small", b"hang") + b"Content-Length: 10000000\r\n\r\n")
        while not over():
            sock.send(b"x")  # a record of its own
            stroke()


def s_client(version, command):
    """openssl's client, told to do something again and again. It looks for commands at the start of what
    it reads in one piece."""
    child = subprocess.Popen(
        ["openssl", "s_client", version, "-connect", f"127.0.0.1:{TLS_PORT}", "-servername", "localhost"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with child:
        time.sleep(0.05)
        while not over() and child.poll() is None:
            child.stdin.write(command)
            child.stdin.flush()
            stroke()
            time.sleep(0.002)
        child.kill()


def renegotiations():
    s_client("-tls1_2", b"R\n")


def key_updates():
    s_client("-tls1_3", b"K\n")


# --- the whole ----------------------------------------------------------------------------------

# How many at a time.
KINDS = {
    slow_heads: 500, slow_bodies: 500, slow_reads: 200, half_handshakes: 500, silent: 1000, idle: 1000,
    connects: 8, aborts: 8, bad_requests: 8, many_headers: 4, one_byte_chunks: 4, pipelined: 4,
    handshakes: 4, tiny_records: 4, renegotiations: 4, key_updates: 4,
}
LOST = (OSError, EOFError, asyncio.TimeoutError, ValueError)


async def again(kind):
    while not over():
        try:
            await kind()
        except LOST:
            await sleep(0.01)
        await asyncio.sleep(0)


async def all_of(kind, count):
    await asyncio.gather(*(again(kind) for _ in range(count)))


def again_blocking(kind):
    while not over():
        with contextlib.suppress(*LOST):
            kind()


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kind, count = next((k, n) for k, n in KINDS.items() if k.__name__ == KIND)
    if asyncio.iscoroutinefunction(kind):
        asyncio.run(all_of(kind, count))
    else:
        threads = [threading.Thread(target=again_blocking, args=(kind,)) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(strokes)


if __name__ == "__main__":
    main()
