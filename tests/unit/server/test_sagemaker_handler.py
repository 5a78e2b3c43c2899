"""The packaged handler with a fake context; tests/compat/toolkit uses the container's own toolkit."""

import json
from types import SimpleNamespace

import pytest

from embedstack.embedders.local import LocalEmbedder
from embedstack.errors import ConfigurationError, ModelMismatch
from embedstack.models.model_info import ModelIdentity, ModelInfo
from embedstack.settings.settings import load_settings
from embedstack_server.model.manifest import MANIFEST, Manifest, file_sha256, model_identity
from embedstack_server.sagemaker_handler import model_fn, transform_fn
from tests.support.tiny_bert import HIDDEN, POSITIONS, WORDS, write_model

HEADER = "X-Amzn-SageMaker-Custom-Attributes"


@pytest.fixture
def package(tmp_path):
    folder = write_model(tmp_path)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    Manifest(
        folder=folder, model_id="example/tiny", revision="c" * 40, dimensions=HIDDEN, max_tokens=POSITIONS,
        pooling="mean", normalize=True, prompts={"query": "the "}, precision="fp32",
        sha256={name: file_sha256(folder / name) for name in names},
    ).write()  # fmt: skip
    return folder


def call(package, body):
    headers: dict[str, str] = {}
    processor = SimpleNamespace(add_response_property=headers.__setitem__)
    statuses = []
    context = SimpleNamespace(
        request_processor=[processor], set_response_status=lambda code, phrase, idx: statuses.append(code)
    )
    body = transform_fn(model_fn(str(package)), body, "application/json", "application/json", context)
    return json.loads(body), headers, statuses


def test_transform_fn_names_the_model_in_responses(package):
    vectors, headers, statuses = call(package, json.dumps({"inputs": [WORDS[5]]}))
    assert len(vectors[0]) == HIDDEN
    assert statuses == []
    assert ModelIdentity.from_attributes(headers[HEADER]) == ModelIdentity("example/tiny", "c" * 40)


def test_transform_fn_sets_the_status_of_an_error(package):
    error, _, statuses = call(package, "{}")
    assert error["error_type"]
    assert statuses in ([400], [422])


def test_model_identity_prefers_the_manifest(package, tmp_path):
    assert model_identity(package, "other/model") == ModelIdentity("example/tiny", "c" * 40)
    (package / MANIFEST).unlink()
    assert model_identity(package) is None
    assert model_identity(package, "other/model", "v1") == ModelIdentity("other/model", "v1")
    (package / MANIFEST).write_text("{")
    with pytest.raises(ConfigurationError):
        model_identity(package)


def test_local_embedder_rejects_a_package_of_another_model(package):
    info = ModelInfo("example/other", HIDDEN, POSITIONS, "mean")
    rejected = pytest.raises(ModelMismatch, match=r"example/tiny@c+, but example/other is configured")
    with LocalEmbedder(info, folder=package, settings=load_settings()) as embedder, rejected:
        embedder.embed([WORDS[5]])
