"""The same Terraform as on AWS: apply, empty plan, a change under load, empty plan, destroy, nothing left."""

import os
import signal
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pytest

from conftest import MINILM
from embedstack.embedders import Limits, SageMakerEmbedder
from embedstack.models.catalogue import known_model
from localaws.config import LocalAwsConfig
from localaws.faults.chaos import processes
from localaws.process import daemon
from tests.integration.conftest import VARIABLES, running_stack
from tests.support.attached_provider import ATTACHED
from tests.support.localaws.harness import Load

ENDPOINT = "alex-embedding-endpoint"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """One for all, since each test leaves nothing in it."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def _deployed(stack):
    sagemaker = stack.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    (variant,) = config["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    return endpoint, variant["ServerlessConfig"], model["PrimaryContainer"]["Environment"]


def _tags(stack, arn):
    return {tag["Key"]: tag["Value"] for tag in stack.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]}


def _destroy(stack, root):
    """Destroy, and wait out the deletion: the provider takes an endpoint that is Deleting for gone."""
    root.destroy()
    deadline = time.monotonic() + 30
    while stack.client("sagemaker").list_endpoints()["Endpoints"] and time.monotonic() < deadline:
        time.sleep(0.1)


def _left_overs(stack):
    sagemaker = stack.client("sagemaker")
    return [
        *sagemaker.list_endpoints()["Endpoints"],
        *sagemaker.list_endpoint_configs()["EndpointConfigs"],
        *sagemaker.list_models()["Models"],
        *[role for role in stack.client("iam").list_roles()["Roles"] if "alex" in role["RoleName"]],
        *stack.client("logs").describe_log_groups()["logGroups"],
    ]


@contextmanager
def load():
    """Calls the endpoint for as long as the block lasts; gives what came back."""
    vectors = []
    with (
        SageMakerEmbedder(known_model(MINILM), endpoint=ENDPOINT, limits=Limits(concurrency=4)) as embedder,
        Load(lambda: vectors.append(embedder.embed(["under load"])[0]), pause=0.05) as running,
    ):
        yield running
    assert np.ptp(vectors, axis=0).max() < 1e-2


def test_apply_change_under_load_destroy(stack):
    root = stack.apply()
    assert stack.is_up_to_date(root)
    endpoint, serverless, environment = _deployed(stack)
    assert endpoint["EndpointStatus"] == "InService"
    assert serverless == {"MemorySizeInMB": 2048, "MaxConcurrency": 10}
    assert {"HF_MODEL_ID": MINILM, "HF_TASK": "feature-extraction"}.items() <= environment.items()

    larger = VARIABLES.read_text().replace("memory_mb = 2048", "memory_mb = 4096")
    changed = larger.replace('all-MiniLM-L6-v2" }', 'all-MiniLM-L6-v2", environment = { LOG_LEVEL = "debug" } }')
    assert changed != larger
    with load() as requests:
        root = stack.apply(f'{changed}\ntags = {{ CostCenter = "search" }}\n')
        time.sleep(0.5)
    assert requests.errors == []
    assert requests.responses > 20
    resized, serverless, environment = _deployed(stack)
    assert resized["EndpointConfigName"] != endpoint["EndpointConfigName"]
    assert resized["EndpointArn"] == endpoint["EndpointArn"]
    assert serverless["MemorySizeInMB"] == 4096
    assert environment["LOG_LEVEL"] == "debug"
    assert _tags(stack, resized["EndpointArn"]) == {
        "CostCenter": "search", "Environment": "local", "ManagedBy": "terraform", "Project": "alex",
        "embedstack:model-id": MINILM,
    }  # fmt: skip
    assert stack.is_up_to_date(root)

    _destroy(stack, root)
    assert _left_overs(stack) == []


def test_kept_state_is_up_to_date(stack):
    root = stack.apply()
    queue = stack.client("sqs").create_queue(QueueName="kept")["QueueUrl"]
    stack.client("sqs").send_message(QueueUrl=queue, MessageBody="kept")
    daemon.stop(stack.running.state_dir, keep=True)
    config = LocalAwsConfig(port=stack.running.port)
    daemon.start(config, stack.running.state_dir, ends_with_caller=True)
    assert stack.is_up_to_date(root)
    with SageMakerEmbedder(known_model(MINILM), endpoint=ENDPOINT) as embedder:
        assert embedder.embed(["a text"]).shape == (1, 384)
    assert stack.client("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "kept"
    _destroy(stack, root)
    assert _left_overs(stack) == []


def test_import_existing_finishes_a_killed_apply(stack, monkeypatch):
    root = stack.root()
    with monkeypatch.context() as patch:
        # A provider of its own dies with it.
        patch.delenv(ATTACHED)
        root.init()
        plan = root.plan(stack.folder / "plan")
        process = subprocess.Popen(["terraform", "apply", "plan"], cwd=stack.folder, stdout=subprocess.DEVNULL)
    try:
        sagemaker = stack.client("sagemaker")
        deadline = time.monotonic() + 60
        while not sagemaker.list_endpoints()["Endpoints"] and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert sagemaker.list_endpoints()["Endpoints"], "the apply ended before it could be killed"

    again = root.plan(stack.folder / "plan")
    imported = root.import_existing(again)
    assert any(address.endswith("aws_sagemaker_endpoint.embeddings") for address in imported)
    root.apply(root.plan(stack.folder / "plan"), show_progress=False)
    assert stack.is_up_to_date(root)
    assert len(sagemaker.list_endpoints()["Endpoints"]) == 1
    assert _deployed(stack)[0]["EndpointStatus"] == "InService"
    assert plan.file == again.file
    _destroy(stack, root)
    assert _left_overs(stack) == []


def test_killed_model_server_is_restarted_under_load(stack):
    root = stack.apply()
    with load() as requests:
        for _ in range(3):
            time.sleep(0.7)
            for pid in _model_servers(stack):
                os.kill(pid, signal.SIGKILL)
        time.sleep(3)
        requests.wait_for(1)
    assert all(error.retryable for error in requests.errors), requests.errors
    _destroy(stack, root)


def _model_servers(stack):
    running = processes(stack.folder.parent / "state")
    return [process.pid for process, kind in running.items() if kind == "model"]
