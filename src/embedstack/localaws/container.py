"""The process that plays a container: ``python -m embedstack.localaws.container LABEL``, started by the local AWS.

It reads one line of JSON from standard input, ``{"dialect", "model_folder", "model_id", "listener"}``, and serves
``GET /ping`` and ``POST /invocations`` on the listening socket whose file descriptor it inherited, speaking as the
container image that it stands for. It ends itself when standard input is closed: the local AWS is gone then, however
it went.
"""

import json
import logging
import os
import socket
import sys
import threading

#: Longer than a client keeps an unused connection, so that a connection is not closed just as it is used again.
_KEEP_ALIVE_SECONDS = 3600


def main() -> int:
    """Serve until SIGTERM; returns the exit status."""
    specification = json.loads(_read_line())
    threading.Thread(target=_exit_with_parent, name="lifeline", daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)

    # Imported late: these bring OpenVINO, and the lifeline has to hold from the first moment.
    from embedstack.localaws.dialects import model_server  # noqa: PLC0415

    server = model_server(specification["dialect"], specification["model_folder"], specification["model_id"])
    return server.run(socket.socket(fileno=specification["listener"]), keep_alive=_KEEP_ALIVE_SECONDS)


def _read_line() -> bytes:
    """One line from standard input, unbuffered, so that the lifeline sees what follows it."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


def _exit_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
