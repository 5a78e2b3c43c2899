"""The file of a kept state: written, refused, deleted, and safe from a killed save."""

import json
import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from localaws import LocalAwsConfig, LocalAwsError
from localaws.gateway.local_aws import LocalAws
from localaws.process import daemon
from localaws.process.saved_file import SavedFile
from tests.support.localaws.harness import wait_until

CONFIG = LocalAwsConfig(port=0, stop_grace=5)


def _s3(url: str) -> Any:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)  # type: ignore[call-overload]


def _buckets(url: str) -> list[str]:
    return [bucket["Name"] for bucket in _s3(url).list_buckets()["Buckets"]]


@pytest.fixture
def kept(tmp_path: Path) -> LocalAwsConfig:
    """The configuration of a local AWS that was stopped with a bucket kept."""
    config = replace(CONFIG, state_dir=tmp_path)
    server = LocalAws(config).start()
    _s3(server.url).create_bucket(Bucket="earlier")
    server.stop(keep=True)
    return config


def test_stop_without_keep_deletes_the_kept_state(kept: LocalAwsConfig) -> None:
    with LocalAws(kept) as server:
        assert _buckets(server.url) == ["earlier"]
    with LocalAws(kept) as server:
        assert _buckets(server.url) == []


def test_unreadable_state_is_refused_and_stays(kept: LocalAwsConfig) -> None:
    path = SavedFile(kept.state_dir or Path()).path
    header, _, content = path.read_bytes().partition(b"\n")
    for damaged, reason in (
        (json.dumps({**json.loads(header), "code": "0"}).encode() + b"\n" + content, "another version"),
        (b"{}\n" + content, "is damaged"),
        (header + b"\n" + content[:-100], "cannot be read"),
        (header + b"\n" + pickle.dumps(os.system), "system may not be read"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(LocalAwsError, match=rf"{reason}(?s:.*)Delete it with `make down`"):
            LocalAws(kept).start()
        assert path.read_bytes() == damaged


def test_save_that_is_killed_leaves_the_earlier_state(kept: LocalAwsConfig, tmp_path: Path) -> None:
    running = daemon.start(kept, tmp_path)
    s3 = _s3(running.url)
    s3.create_bucket(Bucket="later")
    for number in range(8):
        s3.put_object(Bucket="later", Key=str(number), Body=bytes(30_000_000))
    partial = tmp_path / "saved-state.partial"
    os.kill(running.pid, signal.SIGUSR1)
    wait_until(lambda: partial.exists() and partial.stat().st_size > 1_000_000)
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: daemon.find(tmp_path) is None)
    with LocalAws(kept) as server:
        assert _buckets(server.url) == ["earlier"]


def test_daemon_keeps_state_on_request(kept: LocalAwsConfig, tmp_path: Path) -> None:
    running = daemon.start(kept, tmp_path)
    _s3(running.url).create_bucket(Bucket="later")
    assert daemon.stop(tmp_path, keep=True) is True
    with LocalAws(kept) as server:
        assert _buckets(server.url) == ["earlier", "later"]
    assert not daemon.has_kept_state(tmp_path)
