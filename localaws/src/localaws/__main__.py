"""``python -m localaws``: the local AWS in the foreground, until SIGTERM or Ctrl-C. SIGUSR1 keeps its state."""

import argparse
import dataclasses
import functools
import gc
import json
import logging
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session

from embedstack.aws.loopback import bypass_proxies
from embedstack.errors import ConfigurationError
from embedstack_server.process_resources import limit_heaps, raise_open_files_limit
from localaws.config import ACCOUNT_ID, LocalAwsConfig
from localaws.core.log_format import configure_log
from localaws.core.snapshots import SnapshotError
from localaws.errors import LocalAwsError
from localaws.process.identity import ProcessIdentity
from localaws.process.saved_file import KEEP_SIGNAL
from localaws.process.state_file import is_disk_full, remove_state, write_state

if TYPE_CHECKING:
    from localaws.gateway.local_aws import LocalAws

_LAST_PORT = 65535
_OPEN_FILES = 4096
#: Freed memory of at least this size, such as request bodies, is returned to the system.
_RETURNED_BYTES = 64 * 1024

_logger = logging.getLogger("localaws")


def main() -> int:
    """Run until a signal; returns the exit status."""
    options = _parse_options()
    configure_log()
    raise_open_files_limit(_OPEN_FILES)
    limit_heaps(_RETURNED_BYTES)
    bypass_proxies()
    try:
        config = dataclasses.replace(_config(options), state_dir=options.state_dir)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    stop_requests = _watch_stop_signals()
    aws = _import_local_aws()(config)
    try:
        options.state_dir.mkdir(parents=True, exist_ok=True)
        aws.start()
        write_state(options.state_dir, _state(aws))
    except (LocalAwsError, OSError) as error:
        aws.stop()
        message = str(error)
        if isinstance(error, OSError) and is_disk_full(error):
            message = f"The disk is full: {options.state_dir} cannot be written. Free some space and start again."
        _logger.error(message)  # noqa: TRY400 - the message is complete
        _report(options.report_fd, {"error": message})
        return 1
    _logger.info("listening on %s", aws.url)
    _report(options.report_fd, {"port": aws.port})
    lifeline = [] if options.lifeline_fd is None else [options.lifeline_fd]
    readable, _, _ = select.select([stop_requests, *lifeline], [], [])
    keep = False
    if stop_requests in readable:
        received = signal.Signals(os.read(stop_requests, 1)[0])
        keep = received == KEEP_SIGNAL
        _logger.info("stopping: received %s", received.name)
    else:
        _logger.info("stopping: the process that started it has ended")
    return _stop(aws, options.state_dir, keep=keep)


def _stop(aws: "LocalAws", state_dir: Path, *, keep: bool) -> int:
    """Stop, and return the exit status."""
    try:
        aws.stop(keep=keep)
    except (SnapshotError, OSError) as error:
        _logger.error("the state cannot be kept, an earlier one stays: %s", error)  # noqa: TRY400 - it is complete
        return 1
    finally:
        remove_state(state_dir, os.getpid())
    return 0


def _import_local_aws() -> "type[LocalAws]":
    """Import the emulator, and moto with it.

    Garbage collection is off meanwhile: imported modules stay in memory, and looking through them would take a third of
    the time. moto creates dozens of botocore sessions; with one loader, region and service data is parsed once.
    """
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    gc.disable()
    from localaws.gateway.local_aws import LocalAws  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    return LocalAws


def _watch_stop_signals() -> int:
    """A file descriptor from which the numbers of the stop signals are read.

    The system may deliver a signal to any thread. Python runs the handler in the main thread but does not interrupt its
    ``select``; the wakeup descriptor does.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, KEEP_SIGNAL):
        signal.signal(number, lambda *_: None)
    return reading


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m localaws", description=__doc__)
    parser.add_argument("--state-dir", type=Path, default=Path(".local"), help="folder for its state (default: .local)")
    parser.add_argument(
        "--port", type=_port, help="TCP port on 127.0.0.1; 0 chooses a free one (default: LOCALAWS_PORT, or 4580)"
    )
    parser.add_argument("--settings", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--lifeline-fd", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 0 to {_LAST_PORT}")
    return int(text)


def _config(options: argparse.Namespace) -> LocalAwsConfig:
    if options.settings is None:
        config = LocalAwsConfig.from_environment()
        return config if options.port is None else dataclasses.replace(config, port=options.port)
    settings: dict[str, Any] = options.settings
    return LocalAwsConfig(**{**settings, "models_dir": Path(settings["models_dir"])})


def _state(aws: "LocalAws") -> dict[str, Any]:
    identity = ProcessIdentity.of(os.getpid())
    return {
        "pid": os.getpid(),
        "started": identity.started if identity else "",
        "port": aws.port,
        "region": aws.config.region,
        "account_id": ACCOUNT_ID,
    }


def _report(descriptor: int | None, report: dict[str, Any]) -> None:
    """Report the result of the start to the process that started this one in the background."""
    if descriptor is not None:
        os.write(descriptor, json.dumps(report).encode())
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
