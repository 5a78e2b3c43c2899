"""Every loader verifies a package against its manifest."""

import json
import shutil

import numpy as np
import pytest

from embedstack.embedders.local import LocalEmbedder
from embedstack.errors import ConfigurationError
from embedstack.models.model_info import ModelInfo
from embedstack_server.compute.encoder import Encoder
from embedstack_server.model.manifest import MANIFEST, Manifest, file_sha256, model_files
from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.sagemaker_handler import model_fn
from localaws.services.sagemaker.containers.protocols.huggingface import HuggingFaceProtocol
from tests.support.tiny_bert import HIDDEN, POSITIONS, make_tensors, write_model


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("packaged"))
    model = ModelFolder.read(folder)
    Manifest(
        folder, "test/tiny", None, model.dimensions, model.max_tokens, model.pooling, model.normalize, model.prompts,
        "fp32", {name: file_sha256(folder / name) for name in model_files(folder)},
    ).write()  # fmt: skip
    return folder


@pytest.fixture
def package(packaged, tmp_path):
    return shutil.copytree(packaged, tmp_path / "package")


def embed_locally(folder):
    model = ModelInfo("test/tiny", dimensions=HIDDEN, max_tokens=POSITIONS, pooling="mean")
    return LocalEmbedder(model, folder=folder).embed(["cat"])


LOADERS = {
    "encoder": Encoder.load,
    "handler": lambda folder: model_fn(str(folder)),
    "local embedder": embed_locally,
    "feature extraction": lambda folder: HuggingFaceProtocol().load(folder, "test/tiny"),
}


def flip(path, place=-3):
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def edit(**changes):
    def apply(folder):
        document = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps({**document, **changes}))

    return apply


DAMAGES = {
    "weights": (lambda folder: flip(folder / "model.safetensors"), r"model\.safetensors .*checksum differs"),
    "weights cut": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-4]),
        r"model\.safetensors .*checksum differs",
    ),
    "tokenizer": (lambda folder: flip(folder / "tokenizer.json"), r"tokenizer\.json .*checksum differs"),
    "pooling": (lambda folder: flip(folder / "1_Pooling/config.json"), r"1_Pooling/config\.json .*checksum differs"),
    "prompts": (
        lambda folder: flip(folder / "config_sentence_transformers.json"),
        r"config_sentence_transformers\.json .*checksum differs",
    ),
    "missing": (lambda folder: (folder / "config_sentence_transformers.json").unlink(), "missing from the package"),
    "renamed": (
        lambda folder: (folder / "model.safetensors").rename(folder / "model-1.safetensors"),
        r"model\.safetensors is missing",
    ),
    "added": (
        lambda folder: (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 8}'),
        r"sentence_bert_config\.json was not packaged",
    ),
    "added weights": (
        lambda folder: shutil.copy(folder / "model.safetensors", folder / "model-2.safetensors"),
        r"model-2\.safetensors was not packaged",
    ),
    "manifest cut": (
        lambda folder: (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes()[:-9]),
        "not a package's manifest",
    ),
    "manifest deep": (lambda folder: (folder / MANIFEST).write_text("[" * 100_000), "not a package's manifest"),
    "manifest empty": (lambda folder: (folder / MANIFEST).write_text(""), "not a package's manifest"),
    "no checksums": (edit(sha256={}), "is damaged: sha256"),
    "short checksum": (edit(sha256={"config.json": "00"}), "is damaged: sha256"),
    "path outside": (edit(sha256={"../config.json": "0" * 64}), "is damaged: sha256"),
    "dimensions": (edit(dimensions="32"), "is damaged: dimensions"),
    "kind": (edit(kind="classifier"), "is damaged: kind"),
    "precision": (edit(precision="fp8"), "the precision 'fp8'"),
    "unknown member": (edit(extra=1), "not a package's manifest"),
}  # fmt: skip


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_every_loader_accepts_an_intact_package(package, load):
    assert load(package) is not None


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_every_loader_rejects_a_damaged_package(package, load, damage, message):
    damage(package)
    with pytest.raises(ConfigurationError, match=message):
        load(package)


@pytest.mark.parametrize("change", [{"dimensions": 31}, {"pooling": "cls"}, {"prompts": {"query": "a "}}])
def test_encoder_rejects_a_manifest_of_another_model(package, change):
    edit(**change)(package)
    with pytest.raises(ConfigurationError, match=f"says {next(iter(change))} "):
        Encoder.load(package)


def test_encoder_defaults_to_the_packaged_precision_and_name(package):
    edit(precision="int8")(package)
    encoder = Encoder.load(package)
    assert (encoder.precision, encoder.model.model_id) == ("int8", "test/tiny")
    assert Encoder.load(package, precision="fp32").precision == "fp32"


def test_encoder_ignores_other_files_in_a_package(package):
    (package / "code").mkdir()
    for name in ("README.md", ".DS_Store", "code/inference.py"):
        (package / name).write_text("x")
    (package / "MAR-INF").mkdir()
    (package / "MAR-INF/MANIFEST.json").write_text("{}")  # multi-model-server's own
    np.testing.assert_array_equal(
        Encoder.load(package).encode(["cat"]).pooled, Encoder.load(package).encode(["cat"]).pooled
    )


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_encoder_rejects_non_finite_weights(tmp_path, number):
    tensors = make_tensors()
    tensors["encoder.layer.1.output.dense.weight"][3, 4] = number
    with pytest.raises(ConfigurationError, match=r"layer\.1\.output\.dense\.weight contains NaN or infinity"):
        Encoder.load(write_model(tmp_path, tensors))
