"""A pipeline of the real packages, applied to a local AWS of its own, and destroyed in the end."""

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
from embedstack.models.model_info import known_model
from embedstack.stores import load_store
from localaws.faults.chaos import processes
from tests.integration.conftest import Stack
from tests.support.left_overs import left_overs

# Whoever is killed has its messages come again after so many seconds: somewhat longer than a function runs at most, so
# that no two ever work on one.
_VISIBILITY = 36
_INGEST = "{ batch_size = 3, batch_window_s = 0, concurrency = 3, max_receives = 8, timeout_s = 30 }"


@dataclass(frozen=True)
class Running:
    """A pipeline, where it runs, how it cuts, and whether a plan was empty right after the apply."""

    stack: Stack
    pipeline: DeployedPipeline
    chunker: Chunker
    was_up_to_date: bool


@contextmanager
def deployed(stack: Stack, packages: Path, tokenizer: Path, subnets: Sequence[str] = ()) -> Iterator[Running]:
    """Apply it, and destroy it: here, and in no test, so that tests may run in any order.

    Args:
        stack: Where it runs.
        packages: The folder with the functions' packages.
        tokenizer: The model's.
        subnets: Of Aurora; without, vectors go to S3 Vectors.
    """
    root = stack.apply(variables(packages, _INGEST, subnets))
    was_up_to_date = stack.is_up_to_date(root)
    pipeline = connect(root, _VISIBILITY)
    os.environ["EMBEDSTACK_TOKENIZER"] = str(tokenizer)
    with FakeEmbedder(known_model(MINILM)) as embedder:
        chunker = load_chunker(pipeline.settings, embedder)
    yield Running(stack, pipeline, chunker, was_up_to_date)
    # S3 Vectors deletes an empty bucket only.
    with load_store(pipeline.settings) as store:
        for collection in store.collections():
            store.drop(collection.name)
    root.destroy()
    assert root.resources() == []
    assert left_overs(stack, "alex") == []
    assert processes(stack.running.state_dir) == {}
