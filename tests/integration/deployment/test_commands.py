"""What the README tells a person to type: the real AWS CLI, boto3, and the operators' scripts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import boto3
import numpy as np
import pytest
from click.testing import CliRunner

from conftest import MINILM
from embedstack.embedders import Limits, SageMakerEmbedder
from embedstack.errors import EndpointNotFound, InputError, PayloadTooLarge, TextTooLong
from embedstack.models.catalogue import known_model
from embedstack.models.golden import golden_texts
from embedstack.settings.settings import load_settings
from embedstack_ops.cli import deploy, invoke, local, validate
from tests.integration.conftest import REPOSITORY, running_stack
from tests.support.golden import minilm_golden

ENDPOINT = "alex-embedding-endpoint"
AWS = Path(sys.executable).with_name("aws")
#: What test_endpoint asks of an endpoint's speed, so low that a machine under the load of all tests is fast enough.
ANY_MACHINE = ("--p50-ms", "5000", "--p95-ms", "9000", "--texts-per-minute", "10")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        root = stack.apply()
        yield stack, root.outputs()


@pytest.fixture
def run(deployed):
    stack, _ = deployed

    def run(*command, status=0, stdin=None, **variables):
        done = subprocess.run(
            [str(part) for part in command], cwd=REPOSITORY, input=stdin, capture_output=True, text=True, check=False,
            timeout=120, env={**os.environ, **stack.environment, **variables},
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stdout + done.stderr

    return run


@pytest.fixture
def embedstack(run):
    def embedstack(*arguments, **options):
        return run(sys.executable, "-m", "embedstack_ops", *arguments, **options)

    return embedstack


@pytest.fixture
def said(deployed, monkeypatch):
    """Runs a script's command in this process, where it is about what the command says and not about its start."""
    stack, _ = deployed

    def said(command, *arguments, status, **variables):
        monkeypatch.chdir(REPOSITORY)
        done = CliRunner().invoke(command, arguments, env={**stack.environment, **variables})
        assert done.exit_code == status, done.output
        return done.output

    return said


def test_cli_describes_the_endpoint(run):
    answer = json.loads(
        run(AWS, "sagemaker", "describe-endpoint", "--endpoint-name", ENDPOINT, "--region", "us-east-1")
    )
    assert answer["EndpointStatus"] == "InService"


def test_cli_shows_the_model_environment(run, deployed):
    name = deployed[1]["model_names"]["embedding"]
    query = "PrimaryContainer.Environment"
    answer = json.loads(run(AWS, "sagemaker", "describe-model", "--model-name", name, "--query", query))
    assert {"HF_MODEL_ID": MINILM, "HF_TASK": "feature-extraction"}.items() <= answer.items()


def test_cli_invokes_with_the_sample(run, tmp_path):
    invoke = [
        AWS, "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", ENDPOINT,
        "--content-type", "application/json", "--body", "fileb://vectorize_me.json", "--output", "json",
    ]  # fmt: skip
    printed = run(*invoke, "/dev/stdout")
    vectors, end = json.JSONDecoder().raw_decode(printed)
    assert np.asarray(vectors).shape == (1, 384)
    assert json.loads(printed[end:])["InvokedProductionVariant"]
    run(*invoke, tmp_path / "output.json")
    assert json.loads((tmp_path / "output.json").read_text()) == vectors


def test_cli_shows_the_container_log(run):
    group = f"/aws/sagemaker/Endpoints/{ENDPOINT}"
    events = json.loads(run(AWS, "logs", "filter-log-events", "--log-group-name", group))["events"]
    assert any(MINILM in event["message"] for event in events)


def test_plain_boto3(deployed):
    runtime = boto3.client("sagemaker-runtime", region_name="us-east-1")
    body = json.dumps({"inputs": "Your text here"})
    response = runtime.invoke_endpoint(EndpointName=ENDPOINT, ContentType="application/json", Body=body)
    assert np.asarray(json.loads(response["Body"].read())).shape == (1, 384)


def test_client_returns_the_golden_vectors_in_order(deployed):
    embedder = SageMakerEmbedder(known_model(MINILM), endpoint=ENDPOINT, truncate=True)
    vectors = embedder.embed(golden_texts() * 3)
    expected = np.tile(minilm_golden(), (3, 1))
    assert (vectors * expected).sum(axis=1).min() >= 0.9999


def test_bad_input_raises_a_specific_error(deployed):
    embedder = SageMakerEmbedder(known_model(MINILM), endpoint=ENDPOINT)
    with pytest.raises(InputError, match="cannot be empty"):
        embedder.invoke({"inputs": []})
    with pytest.raises(InputError):
        embedder.invoke({"inputs": 3})
    with pytest.raises((InputError, TextTooLong), match="256"):
        embedder.embed(["word " * 400])
    with pytest.raises(PayloadTooLarge, match="batch size 33"):
        embedder.invoke({"inputs": ["x"] * 33})
    # The client halves a request that is refused for its size.
    with SageMakerEmbedder(known_model(MINILM), endpoint=ENDPOINT, limits=Limits(max_items=33)) as larger:
        assert larger.embed(["x"] * 33).shape == (33, 384)
    with pytest.raises(PayloadTooLarge, match="limit"):
        embedder.invoke({"inputs": "x" * 2_100_000})
    with pytest.raises(PayloadTooLarge, match="payload limit"):
        embedder.invoke({"inputs": "x" * 4_300_000})


def test_unknown_endpoint_and_wrong_region(deployed):
    with pytest.raises(EndpointNotFound, match="'nope' is not in service in region us-east-1"):
        SageMakerEmbedder(known_model(MINILM), endpoint="nope").embed(["a"])
    elsewhere = load_settings(aws_region="eu-west-1")
    with pytest.raises(EndpointNotFound, match="in region eu-west-1"):
        SageMakerEmbedder(known_model(MINILM), endpoint=ENDPOINT, settings=elsewhere).embed(["a"])


def test_test_endpoint_passes_and_reports(embedstack, tmp_path):
    junit = tmp_path / "report.xml"
    report = json.loads(embedstack("validate", ENDPOINT, "--json", "-", "--junit", junit, *ANY_MACHINE))
    assert report["passed"], report
    assert report["endpoint"] == ENDPOINT
    assert ET.parse(junit).getroot().get("failures") == "0"


def test_test_endpoint_fails_with_status_1(embedstack):
    printed = embedstack("validate", ENDPOINT, *ANY_MACHINE, "--p50-ms", "0.001", status=1)
    assert "latency p50" in printed
    assert "1 failed" in printed


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["nope"], {}, "Endpoint 'nope' is not in service"),
        ([ENDPOINT, "--region", "eu-west-1"], {}, "in region eu-west-1"),
        ([ENDPOINT], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Nothing responds at AWS_ENDPOINT_URL"),
        ([ENDPOINT, "--model", "BAAI/bge-M3"], {}, "Did you mean BAAI/bge-m3?"),
        ([ENDPOINT], {"SAGEMAKER_BATCH_SIZE": "many"}, "SAGEMAKER_BATCH_SIZE"),
        ([], {}, "set SAGEMAKER_ENDPOINT"),
    ],
)
def test_validate_exits_with_2_and_a_message(said, arguments, variables, message):
    assert message in said(validate.main, *arguments, status=2, **variables)


def test_invoke_takes_text_file_and_stdin(embedstack, tmp_path):
    text = "Text embeddings turn meaning into geometry."
    sample = embedstack("invoke", "--file", "vectorize_me.json", "--json", SAGEMAKER_ENDPOINT=ENDPOINT)
    (tmp_path / "plain.txt").write_text(text)
    for arguments, stdin in [((text,), None), (("--file", tmp_path / "plain.txt"), None), (("-",), text)]:
        assert embedstack("invoke", *arguments, "--json", "--endpoint", ENDPOINT, stdin=stdin) == sample
    assert embedstack("invoke", text, "--endpoint", ENDPOINT).startswith("384 dimensions: [+0.0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "Text 0 is empty"),
        (["word " * 400], "256"),
        (["--file", "pyproject.toml", "text"], "either TEXT"),
        (["--file", "tests/fixtures/not_inputs.json"], '"inputs"'),
    ],
)
def test_invoke_refuses_with_a_sentence(said, arguments, message):
    assert message in said(invoke.main, *arguments, "--endpoint", ENDPOINT, status=2)


@pytest.mark.parametrize("script", [invoke, validate, deploy, local], ids=lambda script: script.__name__)
def test_help_has_examples(said, script):
    assert "Examples:" in said(script.main, "--help", status=0)
