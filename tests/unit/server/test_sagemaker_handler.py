"""The packaged handler with a fake context; tests/compat/toolkit uses the container's own toolkit."""

import json
from types import SimpleNamespace

import pytest

from embedstack.embedders.local import LocalEmbedder
from embedstack.errors import ConfigurationError, ModelMismatch
from embedstack.models.model_info import ModelIdentity, ModelInfo
from embedstack.settings.settings import load_settings
from embedstack_server.model.cross_encoder_folder import CrossEncoderFolder
from embedstack_server.model.manifest import MANIFEST, Manifest, file_sha256, model_identity
from embedstack_server.sagemaker_handler import model_fn, transform_fn
from tests.support.reference_models import ReferenceModel
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


def test_transform_fn_understands_openai_requests(package):
    response, headers, statuses = call(package, json.dumps({"input": WORDS[5], "model": "example/tiny"}))
    assert (len(response["data"][0]["embedding"]), response["model"]) == (HIDDEN, "example/tiny")
    assert HEADER in headers
    assert statuses == []


def test_transform_fn_reranks_with_a_packaged_cross_encoder(tmp_path):
    folder = ReferenceModel.load("cross-bert").write(tmp_path)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    model = CrossEncoderFolder.read(folder)
    Manifest(
        folder=folder, model_id="example/reranker", revision=None, dimensions=None, max_tokens=model.max_tokens,
        pooling=None, normalize=None, prompts=dict(model.prompts), precision="fp32", kind="reranker",
        sha256={name: file_sha256(folder / name) for name in names},
    ).write()  # fmt: skip
    body = json.dumps({"query": "the cat", "documents": ["dog", "the cat sat"]})
    response, _, statuses = call(folder, body)
    assert statuses == []
    assert sorted(result["index"] for result in response["results"]) == [0, 1]
    error, _, statuses = call(folder, json.dumps({"inputs": "the cat"}))
    assert (statuses, error["error_type"]) == ([422], "unsupported_kind")


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
