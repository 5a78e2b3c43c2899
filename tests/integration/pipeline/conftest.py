"""A pipeline of the real packages, applied to a local AWS of its own, and destroyed in the end."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from pipeline_audit import DeployedPipeline
from pipeline_deployment import connect, variables

from embedstack.documents.chunking import Chunker
from embedstack.documents.load import load_chunker
from embedstack.embedders import FakeEmbedder
from embedstack.localaws.chaos import processes
from embedstack.models import known_model
from embedstack.stores import load_store
from tests.conftest import MINILM
from tests.integration.conftest import Stack, running_stack
from tests.integration.left_overs import left_overs

# Whoever is killed has its messages come again after so many seconds: somewhat longer than a function runs at most, so
# that no two ever work on one.
VISIBILITY = 36
INGEST = "{ batch_size = 3, batch_window_s = 0, concurrency = 3, max_receives = 8, timeout_s = 30 }"


@dataclass(frozen=True)
class Running:
    """A pipeline, where it runs, how it cuts, and whether a plan was empty right after the apply."""

    stack: Stack
    pipeline: DeployedPipeline
    chunker: Chunker
    was_up_to_date: bool


@pytest.fixture(scope="module")
def running(tmp_path_factory, minilm_folder, function_packages) -> Iterator[Running]:
    with running_stack(tmp_path_factory.mktemp("pipeline")) as stack:
        root = stack.apply(variables(function_packages, INGEST))
        was_up_to_date = stack.is_up_to_date(root)
        pipeline = connect(root, VISIBILITY)
        os.environ["EMBEDSTACK_TOKENIZER"] = str(minilm_folder / "tokenizer.json")
        with FakeEmbedder(known_model(MINILM)) as embedder:
            chunker = load_chunker(pipeline.settings, embedder)
        yield Running(stack, pipeline, chunker, was_up_to_date)
        # Here, and in no test, so that tests may run in any order. S3 Vectors deletes an empty bucket only, and
        # Terraform does not find versions here whose keys have a percent sign: the local AWS does not encode them in a
        # list, though it is asked to.
        with load_store(pipeline.settings) as store:
            for collection in store.collections():
                store.drop(collection.name)
        boto3.resource("s3").Bucket(pipeline.parts["bucket"]).object_versions.delete()
        root.destroy()
        assert root.resources() == []
        assert left_overs(stack, "alex") == []
        assert processes(stack.running.state_dir) == {}
