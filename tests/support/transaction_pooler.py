"""A transaction pooler for Postgres, as simple as possible: each transaction runs on the next of three connections.

python -m tests.support.transaction_pooler PORT SOCKET_FOLDER
"""

import itertools
import selectors
import socket
import struct
import sys
import threading
from pathlib import Path

CONNECTIONS = 3
SSL_REQUEST, GSSENC_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102


class Peer:
    """A connection whose messages are read whole."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    def startup(self) -> tuple[int, bytes]:
        """The code and the bytes of the first message, which has no type."""
        while len(self._buffer) < 4 or len(self._buffer) < struct.unpack("!I", self._buffer[:4])[0]:
            self._receive()
        length = struct.unpack("!I", self._buffer[:4])[0]
        message, self._buffer = self._buffer[:length], self._buffer[length:]
        return struct.unpack("!I", message[4:8])[0], message

    def messages(self) -> list[bytes]:
        """At least one message."""
        messages: list[bytes] = []
        while True:
            while len(self._buffer) >= 5 and len(self._buffer) > (end := struct.unpack("!I", self._buffer[1:5])[0]):
                messages.append(self._buffer[: end + 1])
                self._buffer = self._buffer[end + 1 :]
            if messages:
                return messages
            self._receive()

    def _receive(self) -> None:
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError
        self._buffer += received


class Server:
    """A connection to Postgres, which one client uses at a time."""

    def __init__(self, folder: Path, startup: bytes) -> None:
        self.lock = threading.Lock()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(folder / ".s.PGSQL.5432"))
        connection.sendall(startup)
        self.peer = Peer(connection)
        self.greeting = b""
        is_ready = False
        while not is_ready:
            messages = self.peer.messages()
            self.greeting += b"".join(messages)
            is_ready = messages[-1][:1] == b"Z"


class Pooler:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._servers: list[Server] = []
        self._turns = itertools.count()

    def serve(self, connection: socket.socket) -> None:
        client = Peer(connection)
        try:
            while (start := client.startup())[0] in (SSL_REQUEST, GSSENC_REQUEST):
                connection.sendall(b"N")
            if start[0] == CANCEL_REQUEST:
                return
            connection.sendall(self._next(start[1]).greeting)
            while True:
                messages = client.messages()
                if messages[0][:1] == b"X":
                    return
                server = self._next(start[1])
                with server.lock:
                    run_transaction(client, server.peer, messages)
        except OSError:
            return
        finally:
            connection.close()

    def _next(self, startup: bytes) -> Server:
        with self._lock:
            if len(self._servers) < CONNECTIONS:
                self._servers += [Server(self._folder, startup) for _ in range(CONNECTIONS)]
            return self._servers[next(self._turns) % CONNECTIONS]


def run_transaction(client: Peer, server: Peer, messages: list[bytes]) -> None:
    """Forward messages until each request was answered and no transaction is open."""
    pending, is_idle = 0, False
    with selectors.DefaultSelector() as selector:
        selector.register(client.socket, selectors.EVENT_READ, client)
        selector.register(server.socket, selectors.EVENT_READ, server)
        while True:
            server.socket.sendall(b"".join(messages))
            pending += sum(message[:1] in (b"S", b"Q") for message in messages)
            messages = []
            while not messages:
                ready = [key.data for key, _ in selector.select()]
                if client in ready:
                    messages = client.messages()
                if server in ready:
                    answers = server.messages()
                    client.socket.sendall(b"".join(answers))
                    for answer in answers:
                        if answer[:1] == b"Z":
                            pending -= 1
                            is_idle = answer[5:] == b"I"
                    if is_idle and pending == 0 and not messages:
                        return


if __name__ == "__main__":
    pooler = Pooler(Path(sys.argv[2]))
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listening:
        while True:
            accepted, _ = listening.accept()
            threading.Thread(target=pooler.serve, args=(accepted,), daemon=True).start()
