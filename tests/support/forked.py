"""Children of this process, as ``os.fork`` makes them."""

import os
import signal
import traceback
import warnings
from collections.abc import Callable

__all__ = ["start_child"]

_HANG_SECONDS = 60


def start_child(work: Callable[[], str]) -> Callable[[], str]:
    """Start a child that does some work.

    Args:
        work: What it does; its result is a text.

    Returns:
        Waits for the child, and gives its result: a traceback where it raised, how it ended where it did not come to
        one. A child that takes over a minute is ended.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 and later warn of a fork while threads run, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.alarm(_HANG_SECONDS)
        try:
            outcome = work()
        except BaseException:  # noqa: BLE001 - the parent tells it
            outcome = traceback.format_exc()
        os.write(writing, outcome.encode()[-4000:])
        os._exit(0)
    os.close(writing)

    def wait() -> str:
        with os.fdopen(reading) as file:
            outcome = file.read()
        _, status = os.waitpid(pid, 0)
        return outcome or f"ended with status {status}"

    return wait
