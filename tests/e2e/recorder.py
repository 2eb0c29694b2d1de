"""An origin that records what really reached it."""
import threading

import strict_http
from conftest import Origin


class Recorder:
    """An origin that reads requests by strict_http alone and answers those that are whole."""

    def __init__(self):
        self.origin = Origin(self.run)
        self.port = self.origin.port
        self.lock = threading.Lock()
        self.messages, self.broken, self.open = [], [], 0
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def run(self, conn):
        with self.lock:
            self.open += 1
        data = b""
        try:
            while conn.fill():
                data, conn.buffer = data + conn.buffer, b""
                data = self.take(conn, data)
        finally:
            with self.lock:
                self.open -= 1

    def take(self, conn, data):
        while data:
            try:
                message, end = strict_http.read_request(data)
            except strict_http.Incomplete:
                return data
            except strict_http.Bad:
                self.broken.append(data)
                raise OSError from None
            data = data[end:]
            self.messages.append(message)
            conn.send(self.answer)
        return data
