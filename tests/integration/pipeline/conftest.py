"""A pipeline with S3 Vectors for each module."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import running_stack
from tests.integration.pipeline.deployment import Running, deployed


@pytest.fixture(scope="module")
def running(tmp_path_factory, minilm_folder, function_packages) -> Iterator[Running]:
    with (
        running_stack(tmp_path_factory.mktemp("pipeline")) as stack,
        deployed(stack, function_packages, minilm_folder / "tokenizer.json") as running,
    ):
        yield running
