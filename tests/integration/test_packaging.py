"""A package: the same bytes every time, refused when damaged, and deployed by Terraform as an artifact."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from conftest import MINILM
from embedstack.embedders import SageMakerEmbedder
from embedstack.errors import ConfigurationError, InputError
from embedstack.models.archives import extract_tar_gz
from embedstack.models.catalogue import known_model
from embedstack.models.golden import golden_texts
from embedstack_server import packaging
from embedstack_server.compute.cross_encoder import CrossEncoder
from embedstack_server.compute.encoder import Encoder
from embedstack_server.model.manifest import Manifest
from embedstack_server.packaging import MAX_UNPACKED_BYTES, make_package
from embedstack_server.sagemaker_handler import model_fn
from tests.support.golden import minilm_golden
from tests.support.reference_models import LONGEST, ReferenceModel
from tests.support.tiny_bert import make_tensors, write_model

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

ARTIFACT = """
name = "alex"
endpoints = {
  embedding = {
    model      = { artifact = "s3://models/minilm/model.tar.gz" }
    serverless = {}
  }
}
"""


@pytest.fixture(scope="module")
def package(minilm_folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("package") / "model.tar.gz"
    return make_package(minilm_folder, target, model_id=MINILM, revision="abc", python=PYTHON)


@pytest.fixture
def unpacked(package, tmp_path):
    with package.path.open("rb") as archive:
        extract_tar_gz(archive, tmp_path, MAX_UNPACKED_BYTES)
    return tmp_path


def test_package_manifest_describes_the_model(package, unpacked):
    manifest = Manifest.read(unpacked)
    assert (manifest.model_id, manifest.revision, manifest.dimensions) == (MINILM, "abc", 384)
    assert (manifest.max_tokens, manifest.pooling, manifest.normalize) == (256, "mean", True)
    assert {"model.safetensors", "tokenizer.json", "1_Pooling/config.json"} <= set(manifest.sha256)
    assert manifest.cosine is not None
    assert manifest.cosine > 0.9999
    assert manifest.reference == "sentence-transformers in float32"
    assert package.unpacked_bytes == sum(path.stat().st_size for path in unpacked.rglob("*") if path.is_file())


def test_package_contains_every_module_that_its_handler_imports(unpacked):
    vendor = unpacked / "code" / "vendor"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import embedstack_server.sagemaker_handler; "
        "print(*(module.__file__ for name, module in sys.modules.items() if name.startswith('embedstack')), sep='\\n')"
    )
    imported = subprocess.run(
        [sys.executable, "-c", program, vendor], cwd=unpacked, capture_output=True, text=True, check=False
    )
    assert imported.returncode == 0, imported.stderr
    files = imported.stdout.split("\n")[:-1]
    assert len(files) > 20
    assert all(file.startswith(str(vendor)) for file in files)


@pytest.fixture
def one_small_wheel(monkeypatch):
    """Of the vendored packages only that which is packed in no time."""
    monkeypatch.setattr(packaging, "_VENDORED", ("orjson",))


@pytest.mark.usefixtures("one_small_wheel")
def test_package_is_reproducible(tmp_path_factory, tmp_path):
    folder = write_model(tmp_path_factory.mktemp("model"), make_tensors())
    for name in ("once.tar.gz", "again.tar.gz"):
        make_package(folder, tmp_path / name, model_id="test/tiny", revision="abc", python=PYTHON)
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert len(digests) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.tar.gz", "once.tar.gz"], "nothing is left behind"


@pytest.mark.usefixtures("one_small_wheel")
def test_package_declares_the_lengths_of_the_catalogue(tmp_path):
    model_id = "Snowflake/snowflake-arctic-embed-l-v2.0"
    folder = ReferenceModel.load("bge-m3").write(tmp_path / "model")
    assert "matryoshka_dimensions" not in json.loads((folder / "config.json").read_text())
    make_package(folder, tmp_path / "model.tar.gz", model_id=model_id, python=PYTHON)
    (tmp_path / "unpacked").mkdir()
    with (tmp_path / "model.tar.gz").open("rb") as archive:
        extract_tar_gz(archive, tmp_path / "unpacked", MAX_UNPACKED_BYTES)
    model = model_fn(str(tmp_path / "unpacked")).model
    assert isinstance(model, Encoder)
    assert model.encode(["the cat"]).vectors(256).shape == (1, 256)
    model.check_dimensions(256)
    with pytest.raises(InputError, match="256 or 1024"):
        model.check_dimensions(300)
    model.close()


def _cut(path):
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: _cut(folder / "model.safetensors"), "model.safetensors .* its checksum differs"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda folder: (folder / "embedstack.json").write_text("{}"), "not a package's manifest"),
        (lambda folder: (folder / "embedstack.json").unlink(), "embedstack package-model"),
    ],
)
def test_model_fn_rejects_a_damaged_package(unpacked, damage, message):
    damage(unpacked)
    with pytest.raises(ConfigurationError, match=message):
        model_fn(str(unpacked))


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("packaging_accuracy.MIN_COSINE", 0.99999999, "the minimum is 0.99999999"),
        ("packaging.MAX_UNPACKED_BYTES", 1000, "unpacked package has .* GB"),
    ],
)
@pytest.mark.usefixtures("one_small_wheel")
def test_make_package_rejects_an_undeployable_model(minilm_folder, tmp_path, monkeypatch, setting, value, message):
    monkeypatch.setattr(f"embedstack_server.{setting}", value)
    with pytest.raises(ConfigurationError, match=message):
        make_package(minilm_folder, tmp_path / "model.tar.gz", model_id=MINILM, python=PYTHON)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def reranker_folder(tmp_path):
    return ReferenceModel.load("cross-roberta").write(tmp_path / "reranker")


@pytest.mark.usefixtures("one_small_wheel")
def test_packaged_reranker_scores_as_its_folder(reranker_folder, tmp_path):
    package = make_package(reranker_folder, tmp_path / "model.tar.gz", model_id="test/reranker", python=PYTHON)
    manifest = package.manifest
    assert (manifest.kind, manifest.dimensions, manifest.pooling, manifest.normalize) == ("reranker", None, None, None)
    assert manifest.max_tokens == LONGEST
    assert manifest.determination is not None
    assert 0.99 < manifest.determination <= 1
    with package.path.open("rb") as archive:
        extract_tar_gz(archive, tmp_path / "unpacked", MAX_UNPACKED_BYTES)
    model = model_fn(str(tmp_path / "unpacked")).model
    assert isinstance(model, CrossEncoder)
    expected = CrossEncoder.load(reranker_folder).score("cat", ["the dog", "far"])
    np.testing.assert_array_equal(model.score("cat", ["the dog", "far"]).logits, expected.logits)


@pytest.mark.usefixtures("one_small_wheel")
def test_make_package_rejects_an_inaccurate_reranker(reranker_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("embedstack_server.packaging_accuracy.MIN_DETERMINATION", 1.1)
    with pytest.raises(ConfigurationError, match=r"scores of test/reranker are too inaccurate.* the minimum is 1\.1"):
        make_package(reranker_folder, tmp_path / "model.tar.gz", model_id="test/reranker", python=PYTHON)
    assert list(tmp_path.iterdir()) == [reranker_folder]


def test_make_package_rejects_a_classifier(reranker_folder, tmp_path):
    config = json.loads((reranker_folder / "config.json").read_text())
    config["id2label"] = {"0": "contradiction", "1": "entailment", "2": "neutral"}
    (reranker_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match="a classifier with 3 labels"):
        make_package(reranker_folder, tmp_path / "model.tar.gz", model_id="test/classifier", python=PYTHON)


def test_make_package_rejects_a_python_without_wheels(tmp_path):
    (tmp_path / "model").mkdir()
    folder = write_model(tmp_path / "model", make_tensors())
    with pytest.raises(ConfigurationError, match=r"wheels for Python 2\.7 cannot be downloaded"):
        make_package(folder, tmp_path / "model.tar.gz", model_id="test/tiny", python="2.7")
    shutil.rmtree(folder)
    assert list(tmp_path.iterdir()) == []


def test_terraform_deploys_a_package_as_an_artifact(stack, package):
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="models")
    s3.upload_file(str(package.path), "models", "minilm/model.tar.gz")
    root = stack.apply(ARTIFACT)
    assert stack.is_up_to_date(root)
    embedder = SageMakerEmbedder(known_model(MINILM), endpoint="alex-embedding-endpoint", truncate=True)
    vectors = embedder.embed(golden_texts())
    assert (vectors * minilm_golden()).sum(axis=1).min() >= 0.9999
    answer = embedder.invoke({"inputs": "late chunking", "spans": [[[0, 4]]], "outputs": ["dense"]})
    assert np.asarray(answer["spans"]).shape == (1, 1, 384)
    root.destroy()
