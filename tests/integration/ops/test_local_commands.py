"""``embedstack local``: queues, and a stop that keeps the state."""

import json

import boto3
import pytest
from click.testing import CliRunner

from embedstack_ops.cli import checkout, local
from localaws.config import LocalAwsConfig
from localaws.process import daemon


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command on a state directory of its own."""
    monkeypatch.setattr(local, "STATE", tmp_path)
    monkeypatch.setattr(checkout, "_VARIABLES", tmp_path / "variables")
    yield lambda *arguments: CliRunner().invoke(local.main, arguments)
    daemon.stop(tmp_path)


def test_local_commands_show_queues_and_keep_state(run, tmp_path):
    assert "The local AWS is not running" in run("queues").output
    running = daemon.start(LocalAwsConfig(port=0), tmp_path)
    sqs = boto3.client(
        "sqs",
        endpoint_url=running.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - any will do
    )
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="a text")
    (tmp_path / "variables").write_text("applied")
    assert run("queues").output == "work: 1 visible, 0 in flight, 0 delayed (account 123456789012, us-east-1)\n"
    message = json.loads(run("queues", "work").output)
    assert (message["body"], message["receive_count"]) == ("a text", 0)
    assert "No queue 'other'" in run("queues", "other").output
    assert "The next start continues with its state" in run("stop", "--keep").output
    assert (tmp_path / "variables").exists()
    assert daemon.has_kept_state(tmp_path)
    assert "not running" in run("stop").output
    assert not daemon.has_kept_state(tmp_path)
    assert not (tmp_path / "variables").exists()
