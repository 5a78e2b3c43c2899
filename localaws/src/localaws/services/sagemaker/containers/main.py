"""The process that plays a container, started by the local AWS.

It reads one line of JSON from standard input, ``{"protocol", "model_folder", "model_id", "label", "environment"}``, and
serves ``GET /ping`` and ``POST /invocations`` on the listening socket whose file descriptor it inherited
(``--listener``), speaking as the container image that it stands for. It ends itself when standard input is closed: the
local AWS is gone then, however it went.

With ``--copied-by`` it is what containers are copied from: for each message on the socket of this file descriptor,
which carries a listening socket, standard input, standard output and a pipe, it makes a copy of itself that does the
above. Into the pipe goes a line with the copy's pid, and one with its exit status when it has ended.
"""

import argparse
import contextlib
import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import threading

#: Longer than a client keeps an unused connection, so that a connection is not closed just as it is used again.
_KEEP_ALIVE_SECONDS = 3600
_FILES_OF_A_COPY = 4


def main() -> int:
    """Serve until SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--listener", type=int)
    parser.add_argument("--copied-by", type=int)
    options = parser.parse_args()
    if options.copied_by is None:
        return _serve(options.listener)
    listener = _Copies(socket.socket(fileno=options.copied_by)).make()
    return 0 if listener is None else _serve(listener)


def _serve(listener: int) -> int:
    specification = json.loads(_read_line())
    threading.Thread(target=_exit_with_parent, name="lifeline", daemon=True).start()
    os.environ.update(specification["environment"])
    _call_process(specification["label"])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)

    # Imported late: these bring OpenVINO, and the lifeline has to hold from the first moment.
    from localaws.services.sagemaker.containers.protocols import model_server  # noqa: PLC0415

    server = model_server(specification["protocol"], specification["model_folder"], specification["model_id"])
    return server.run(socket.socket(fileno=listener), keep_alive=_KEEP_ALIVE_SECONDS)


class _Copies:
    """Copies of this process, and who wants to know how they end."""

    def __init__(self, control: socket.socket) -> None:
        # Threads are not copied: numpy's linear algebra, which serving does not use, would start some.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        # What is imported is there for good: a copy that looks through it for garbage would copy the memory too.
        gc.disable()
        import localaws.services.sagemaker.containers.protocols  # noqa: F401, PLC0415 - what copies are spared

        gc.freeze()
        gc.enable()
        self._control = control
        self._status: dict[int, int] = {}
        self._read_wakeup, self._write_wakeup = socket.socketpair()
        self._write_wakeup.setblocking(False)
        signal.set_wakeup_fd(self._write_wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def make(self) -> int | None:
        """Make copies until the socket is closed.

        Returns:
            In a copy, its listening socket's file descriptor; in this process None, at the end.
        """
        while True:
            readable, _, _ = select.select([self._control, self._read_wakeup], [], [])
            if self._read_wakeup in readable:
                self._read_wakeup.recv(4096)
                self._report_ended()
            if self._control not in readable:
                continue
            message, files, _, _ = socket.recv_fds(self._control, 1, _FILES_OF_A_COPY)
            if not message:
                return None
            listener, standard_input, standard_output, status = files
            pid = os.fork()
            if pid == 0:
                return self._become(listener, standard_input, standard_output, status)
            self._status[pid] = status
            for file in (listener, standard_input, standard_output):
                os.close(file)

    def _report_ended(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                # What imports have started and not waited for ends here too.
                if (pipe := self._status.pop(pid, None)) is None:
                    continue
                with contextlib.suppress(BrokenPipeError):
                    os.write(pipe, b"%d\n" % os.waitstatus_to_exitcode(status))
                os.close(pipe)

    def _become(self, listener: int, standard_input: int, standard_output: int, status: int) -> int:
        """Be a process of one's own, with nothing of the one that it was copied from."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for connection in (self._control, self._read_wakeup, self._write_wakeup):
            connection.close()
        for pipe in self._status.values():
            os.close(pipe)
        for file, standard in ((standard_input, 0), (standard_output, 1), (standard_output, 2)):
            os.dup2(file, standard)
        # Not before it leads a group of its own, by which it is stopped.
        os.write(status, b"%d\n" % os.getpid())
        for file in (standard_input, standard_output, status):
            os.close(file)
        return listener


def _call_process(label: str) -> None:
    """Have the list of processes say whose container this is."""
    from setproctitle import setproctitle  # noqa: PLC0415 - not before the lifeline

    setproctitle(f"{sys.executable} -m {__spec__.name} {label}")


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
