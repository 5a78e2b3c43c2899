"""The local AWS in the background."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from localaws import LocalAwsConfig, LocalAwsError
from localaws.process import daemon
from localaws.process.identity import ProcessIdentity
from tests.support.localaws.harness import ROLE, TEI, TINY_BERT, wait_until

CONFIG = LocalAwsConfig(port=0, stop_grace=5)


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    with contextlib.suppress(LocalAwsError):
        daemon.stop(path)


def clients(running: daemon.RunningLocalAws) -> tuple[Any, Any]:
    options = {"endpoint_url": running.url, "region_name": running.region}
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client("sagemaker", **options, **keys), boto3.client("sagemaker-runtime", **options, **keys)  # type: ignore[call-overload]


def deploy(running: daemon.RunningLocalAws) -> None:
    sagemaker, runtime = clients(running)
    container = {"Image": TEI, "Environment": {"HF_MODEL_ID": TINY_BERT}}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {
        "VariantName": "v",
        "ModelName": "m",
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    }
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    wait_until(lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] != "Creating")
    runtime.invoke_endpoint(EndpointName="e", Body=b'{"inputs": "a"}', ContentType="application/json")["Body"].read()


def containers(state_dir: Path) -> list[ProcessIdentity]:
    return [ProcessIdentity(**json.loads(path.read_text())) for path in (state_dir / "containers").glob("*.json")]


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_daemon_is_started_found_and_stopped(state_dir: Path, models_dir: Path) -> None:
    running = daemon.start(replace(CONFIG, models_dir=models_dir), state_dir)
    assert daemon.find(state_dir) == running
    assert daemon.start(CONFIG, state_dir) == running
    assert running.environment()["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{running.port}"
    assert running.log_file.is_file()
    deploy(running)
    (container,) = containers(state_dir)

    assert daemon.stop(state_dir) is True

    assert not container.alive
    assert not is_open(running.port)
    assert ProcessIdentity.of(running.pid) is None
    assert sorted(path.name for path in state_dir.iterdir()) == ["containers", "localaws.lock", "localaws.log"]
    assert list((state_dir / "containers").iterdir()) == []
    assert daemon.find(state_dir) is None
    assert daemon.stop(state_dir) is False


def test_concurrent_starts_share_one_server(state_dir: Path) -> None:
    state_dir.mkdir()
    state = {"pid": os.getpid(), "started": "1", "port": 1, "region": "r", "account_id": "a"}
    (state_dir / "localaws.json").write_text(json.dumps(state))
    (state_dir / "containers").mkdir()
    (state_dir / "containers" / f"{os.getpid()}.json").write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
    assert daemon.find(state_dir) is None

    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: daemon.start(CONFIG, state_dir), range(4)))
    (pid,) = {running.pid for running in started}
    assert pid != os.getpid()


def test_killed_daemon_leaves_no_model_server(state_dir: Path, models_dir: Path) -> None:
    running = daemon.start(replace(CONFIG, models_dir=models_dir), state_dir)
    deploy(running)
    (container,) = containers(state_dir)

    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: not container.alive, 3)

    assert daemon.find(state_dir) is None
    again = daemon.start(CONFIG, state_dir)
    assert again.pid != running.pid
    assert containers(state_dir) == []

    os.kill(again.pid, signal.SIGTERM)
    wait_until(lambda: not is_open(again.port) and not (state_dir / "localaws.json").exists(), 10)


def test_taken_port_is_reported_with_an_alternative(state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(
            LocalAwsError, match=rf"Port {port} on 127\.0\.0\.1 is already in use.*LOCALAWS_PORT={port + 1}"
        ):
            daemon.start(LocalAwsConfig(port=port), state_dir)
    assert not (state_dir / "localaws.json").exists()


def test_full_disk_is_reported(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / "localaws.log").symlink_to("/dev/full")
    with pytest.raises(LocalAwsError, match=r"The disk is full: .*localaws\.log"):
        daemon.start(CONFIG, state_dir)


def test_read_only_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalAwsError, match="cannot be written"):
        daemon.start(CONFIG, tmp_path / "file" / "state")


def test_failed_start_shows_the_log(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(state_dir / "shadow"))
    shadow = state_dir / "shadow" / "moto"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise RuntimeError('moto is broken')")
    with pytest.raises(LocalAwsError, match=r"exited while it was starting(?s:.*)moto is broken"):
        daemon.start(CONFIG, state_dir)
