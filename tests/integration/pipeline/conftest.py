"""A pipeline of the real packages, applied to a local AWS of its own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pipeline_audit import DeployedPipeline, variables

import build_lambda
from embedstack.documents.chunking import Chunker
from embedstack.documents.load import load_chunker
from embedstack.embedders import FakeEmbedder
from embedstack.function_package import FUNCTIONS
from embedstack.function_wheels import Target
from embedstack.localaws.config import LocalAwsConfig
from embedstack.models import known_model
from tests.conftest import MINILM
from tests.integration.conftest import Stack, running_stack

# Whoever is killed has its messages come again after so many seconds: somewhat longer than a function runs at most, so
# that no two ever work on one.
VISIBILITY = 36
INGEST = "{ batch_size = 3, batch_window_s = 0, concurrency = 3, max_receives = 8, timeout_s = 30 }"


@dataclass(frozen=True)
class Running:
    """A pipeline, where it runs, and how it cuts."""

    stack: Stack
    pipeline: DeployedPipeline
    chunker: Chunker


@pytest.fixture(scope="module")
def running(tmp_path_factory, minilm_folder) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("pipeline")
    target = Target.of_this_machine()
    tokenizer = minilm_folder / "tokenizer.json"
    packages = list(build_lambda.build(sorted(FUNCTIONS), target, folder / "lambda", tokenizer=tokenizer))
    assert len(packages) == 2
    with running_stack(folder, LocalAwsConfig(port=0)) as stack:
        outputs = stack.apply(variables(folder / "lambda", target.python, target.architecture, INGEST)).outputs()
        os.environ.update(line.split("=", 1) for line in outputs["dotenv"].splitlines())
        os.environ["EMBEDSTACK_TOKENIZER"] = str(tokenizer)
        pipeline = DeployedPipeline(outputs)
        # Terraform makes it six times the timeout, as AWS advises.
        pipeline.sqs.set_queue_attributes(
            QueueUrl=pipeline.parts["queue_url"], Attributes={"VisibilityTimeout": str(VISIBILITY)}
        )
        with FakeEmbedder(known_model(MINILM)) as embedder:
            chunker = load_chunker(pipeline.settings, embedder)
        yield Running(stack, pipeline, chunker)
