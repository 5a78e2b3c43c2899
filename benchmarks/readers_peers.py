"""Texts of the same files by markitdown, for readers.py. Runs in a separate environment, without embedstack.

usage: readers_peers.py SECONDS. Reads a path on each line of standard input, and prints a line of JSON for each: the
text, or null if markitdown fails or takes longer than the seconds.
"""

import json
import logging
import signal
import sys

from markitdown import MarkItDown


def main() -> None:
    logging.disable()
    seconds = int(sys.argv[1])
    converter = MarkItDown()
    signal.signal(signal.SIGALRM, _time_out)
    for line in sys.stdin:
        signal.alarm(seconds)
        try:
            text = converter.convert(line.rstrip("\n")).text_content
        except (Exception, _TimedOut):  # noqa: BLE001 - the peer's failure is a result
            text = None
        finally:
            signal.alarm(0)
        print(json.dumps(text), flush=True)


class _TimedOut(BaseException):
    """Not an Exception, which markitdown catches to try its next converter."""


def _time_out(*_: object) -> None:
    raise _TimedOut


if __name__ == "__main__":
    main()
