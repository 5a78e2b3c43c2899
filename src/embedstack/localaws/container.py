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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedstack.serving.server import ModelServer

#: Longer than a client keeps an unused connection, so that a connection is not closed just as it is used again.
_KEEP_ALIVE_SECONDS = 3600
_DRAIN_SECONDS = 25


def main() -> int:
    """Serve until SIGTERM; returns the exit status."""
    specification = json.loads(_read_line())
    threading.Thread(target=_exit_with_parent, name="lifeline", daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    logging.getLogger("embedstack.serving.server").addFilter(_is_noteworthy)

    # Imported late: these bring OpenVINO, and the lifeline has to hold from the first moment.
    from embedstack.localaws.dialects import open_server  # noqa: PLC0415

    server, app = open_server(specification["dialect"], specification["model_folder"], specification["model_id"])
    listener = socket.socket(fileno=specification["listener"])
    return _serve(server, app, listener)


def _serve(server: "ModelServer", app: Any, listener: socket.socket) -> int:
    """Run the server on a socket that is open already, so that no other process can have taken its port."""
    import uvicorn  # noqa: PLC0415

    from embedstack.errors import EmbedStackError  # noqa: PLC0415

    web = uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level=logging.WARNING,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    )
    failed = threading.Event()

    def load() -> None:
        try:
            server.load_model()
        except EmbedStackError as error:
            print(f"ERROR cannot serve the model: {error}", flush=True)
            failed.set()
            web.should_exit = True

    threading.Thread(target=load, name="load-model", daemon=True).start()
    web.run(sockets=[listener])
    return int(failed.is_set())


def _is_noteworthy(record: logging.LogRecord) -> bool:
    """Drop the line about each answered invocation: under load they would be all that the log holds."""
    is_access = isinstance(record.msg, str) and record.msg.startswith("POST /invocations")
    return not (is_access and isinstance(record.args, tuple) and record.args and record.args[0] == 200)


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
