"""A PgBouncer in front of a Postgres server, in transaction mode."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

__all__ = ["pgbouncer"]

# Fewer server connections than a test has clients, so that each transaction may get another one.
_CONFIGURATION = """
[databases]
{database} = host={sockets} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
"""
_START_SECONDS = 30


@contextmanager
def pgbouncer(database_url: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer in front of a database, and return its address.

    Args:
        database_url: Address of the database, on a Unix socket.
        folder: Folder for the configuration and the log.
    """
    address = psycopg.conninfo.conninfo_to_dict(database_url)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration, log = folder / "pgbouncer.ini", folder / "pgbouncer.log"
    configuration.write_text(
        _CONFIGURATION.format(database=address["dbname"], sockets=address["host"], user=address["user"], port=port)
    )
    with log.open("w") as output:
        process = subprocess.Popen([*_as_another_user(), "pgbouncer", configuration], stdout=output, stderr=output)
    url = f"postgresql://{address['user']}@127.0.0.1:{port}/{address['dbname']}"
    try:
        _wait(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _as_another_user() -> list[str]:
    """PgBouncer refuses to run as root. The capability opens the private folders of the test's files and sockets."""
    if os.geteuid() != 0:
        return []
    return [
        "setpriv", "--reuid=nobody", "--clear-groups", "--securebits=+no_setuid_fixup",
        "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
    ]  # fmt: skip


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"PgBouncer did not start: {log.read_text()}") from None
            time.sleep(0.05)
        else:
            return
