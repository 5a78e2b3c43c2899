"""Opens the local AWS's port."""

import contextlib
import errno
import socket

import psutil

from localaws.errors import LocalAwsError

__all__ = ["listen"]


def listen(port: int) -> socket.socket:
    """Open a TCP port on 127.0.0.1.

    Raises:
        LocalAwsError: It cannot be opened. If another program listens on it, the message names that program, if the
            system tells.
    """
    try:
        return socket.create_server(("127.0.0.1", port), backlog=1024)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise LocalAwsError(
                f"Port {port} on 127.0.0.1 cannot be opened: {error.strerror}. Choose another one with LOCALAWS_PORT."
            ) from error
    holder = _holder_of(port)
    by_holder = f" by {holder}" if holder else ""
    raise LocalAwsError(
        f"Port {port} on 127.0.0.1 is already in use{by_holder}. Stop that program, or choose another port: "
        f"LOCALAWS_PORT={port + 1}."
    )


def _holder_of(port: int) -> str | None:
    """``name (pid 123)`` of the process that listens on the port; None for another user's process."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"{process.name()} (pid {process.pid})"
    return None
