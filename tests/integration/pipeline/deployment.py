"""Applies a pipeline of the real packages to a local AWS, and destroys it at the end."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline_audit import DeployedPipeline
from pipeline_deployment import connect, variables

from conftest import MINILM
from embedstack.documents.chunking import Chunker
from embedstack.documents.load import load_chunker
from embedstack.embedders import FakeEmbedder
from embedstack.models.catalogue import known_model
from embedstack.stores import load_store
from localaws.faults.chaos import processes
from tests.integration.conftest import Stack
from tests.support.left_overs import left_overs

# Visibility timeout in seconds: somewhat longer than the function's timeout, so that a message of a killed function is
# never processed by two invocations at once.
_VISIBILITY = 36
_INGEST = "{ batch_size = 3, batch_window_s = 0, concurrency = 3, max_receives = 8, timeout_s = 30 }"


@dataclass(frozen=True)
class Running:
    """A deployed pipeline, its local AWS and chunker, and whether a plan after the apply was empty."""

    stack: Stack
    pipeline: DeployedPipeline
    chunker: Chunker
    was_up_to_date: bool


@contextmanager
def deployed(stack: Stack, packages: Path, tokenizer: Path, subnets: Sequence[str] = ()) -> Iterator[Running]:
    """Apply and destroy a pipeline. Tests do not destroy it, so that they can run in any order.

    Args:
        stack: The local AWS.
        packages: The folder with the functions' packages.
        tokenizer: The model's tokenizer.json.
        subnets: Subnets for Aurora; without subnets, vectors are stored in S3 Vectors.
    """
    root = stack.apply(variables(packages, _INGEST, subnets))
    was_up_to_date = stack.is_up_to_date(root)
    pipeline = connect(root, _VISIBILITY)
    os.environ["EMBEDSTACK_TOKENIZER"] = str(tokenizer)
    with FakeEmbedder(known_model(MINILM)) as embedder:
        chunker = load_chunker(pipeline.settings, embedder)
    yield Running(stack, pipeline, chunker, was_up_to_date)
    # S3 Vectors deletes only empty buckets.
    with load_store(pipeline.settings) as store:
        for collection in store.collections():
            store.drop(collection.name)
    root.destroy()
    assert root.resources() == []
    assert left_overs(stack, "alex") == []
    assert processes(stack.running.state_dir) == {}
