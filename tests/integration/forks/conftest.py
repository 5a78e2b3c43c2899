"""What forked programs talk to: an HTTPS server, a local AWS, a Postgres; and how to run such a program."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from https_endpoint import HttpsEndpoint, https_endpoint

from embedstack.stores import embedded_postgres
from localaws import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from localaws.process.lifeline import Lifeline
from tests.support.tiny_bert import write_model

REPOSITORY = Path(__file__).parents[3]
BUCKET = "forks-bucket"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsEndpoint]:
    with https_endpoint(tmp_path_factory.mktemp("certificate")) as running:
        yield running


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres") / "data"
    try:
        running = embedded_postgres.start(folder)
        lifeline = Lifeline(running.pid)  # it ends when the tests are killed
        yield running.url
        lifeline.release()
    finally:
        embedded_postgres.stop(folder)


@pytest.fixture(scope="module")  # one process has one local AWS at a time, and other modules have theirs
def aws_variables() -> Iterator[dict[str, str]]:
    """A local AWS with a vector bucket and a KMS key."""
    with LocalAws(LocalAwsConfig(port=0)) as aws:
        session = boto3.Session("testing", "testing", region_name="us-east-1")
        session.client("s3vectors", endpoint_url=aws.url).create_vector_bucket(vectorBucketName=BUCKET)
        key = session.client("kms", endpoint_url=aws.url).create_key()["KeyMetadata"]["KeyId"]
        yield {"AWS_ENDPOINT_URL": aws.url, "TEST_BUCKET": BUCKET, "TEST_KMS_KEY": key}


@pytest.fixture
def variables(endpoint: HttpsEndpoint, tmp_path: Path) -> dict[str, str]:
    """The environment of a program; nothing of this machine's configuration."""
    (tmp_path / "model").mkdir()
    write_model(tmp_path / "model")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "benchmarks")]),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": str(endpoint.ca),
        "TEST_HTTPS": endpoint.https,
        "TEST_HTTP": endpoint.http,
        "TEST_FOLDER": str(tmp_path),
    }


@pytest.fixture
def run_program(variables: dict[str, str], tmp_path: Path) -> Run:
    """Runs a program in an interpreter of its own, where a fork inherits nothing of pytest's."""

    def run(program: str, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
        return subprocess.run(
            command, env={**variables, **more}, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=180
        )

    return run
