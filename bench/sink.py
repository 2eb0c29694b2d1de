#!/usr/bin/python3
"""An origin that reads what is uploaded and answers 200: sink.py PORT. Bodies with Content-Length only."""
import re
import socket
import sys
import threading

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(connection):
    room = memoryview(bytearray(1 << 20))
    received = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in received:
                got = connection.recv_into(room)
                if got == 0:
                    return
                received += room[:got]
            head, _, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            left = int(length[1]) - len(body) if length else 0
            while left > 0:
                got = connection.recv_into(room, min(left, len(room)))
                if got == 0:
                    return
                left -= got
            received = body[len(body) + left:] if left < 0 else b""
            connection.sendall(ANSWER)


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
    while True:
        connection = listener.accept()[0]
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
