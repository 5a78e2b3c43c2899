"""Weights are read from every supported file format; damaged and unsafe files are rejected."""

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from embedstack.errors import ConfigurationError
from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.model.weights import Weights, weights_file
from tests.support.graphs import compute, cosines
from tests.support.reference_models import FOLDER, TEXTS, ReferenceModel, random_tensor

BASE = random_tensor(0, "base", (6, 4), 1.0)
ROUNDING = {"float32": 0, "float16": 2**-11, "bfloat16": 2**-8}


@pytest.mark.parametrize("dtype", ROUNDING)
def test_weights_read_torch_files(dtype):
    weights = Weights.open(FOLDER / f"{dtype}.bin")
    for name, expected in {
        "whole": BASE, "transposed": BASE.T, "rows": BASE[2:4], "parameter": BASE, "scalar": BASE[1, 1],
    }.items():  # fmt: skip
        tensor = weights.get(name, *expected.shape)
        assert tensor.dtype == np.float32
        assert tensor.flags.c_contiguous
        assert tensor.shape == expected.shape
        np.testing.assert_allclose(tensor, expected, rtol=ROUNDING[dtype])


def test_weights_reject_integers():
    with pytest.raises(ConfigurationError, match="position_ids contains integers"):
        Weights.open(FOLDER / "float32.bin").get("position_ids", 5)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("before_1_6.bin", "is not a readable torch file.*older than torch 1.6.*Convert the weights to safetensors"),
        ("float64.bin", r"would run torch.DoubleStorage"),
        ("checkpoint.bin", "is not a state dictionary of tensors"),
    ],
)
def test_weights_reject_other_torch_files(file, message):
    with pytest.raises(ConfigurationError, match=message):
        Weights.open(FOLDER / file)


class _Call:
    """Pickles as a call of any callable."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def _archive(path: Path, description: bytes, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", description)
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.mkdir, r"\w+.mkdir"), (eval, r"\w+.eval"), (getattr, r"\w+.getattr"), (io.open, "_?io.open")],
)
def test_weights_do_not_run_a_malicious_pickle(tmp_path, protocol, function, name):
    target = tmp_path / "ran"
    arguments = {"mkdir": (str(target),), "open": (str(target), "w")}.get(
        function.__name__, (f"open({str(target)!r}, 'w')",)
    )
    description = pickle.dumps({"weight": _Call(function, *arguments)}, protocol)
    with pytest.raises(ConfigurationError, match=f"would run {name} when it is loaded.*Nothing was run"):
        Weights.open(_archive(tmp_path / "malicious.bin", description))
    assert not target.exists()


@pytest.mark.parametrize(
    "description",
    [b"", b"\x80\x02", b"garbage", pickle.dumps([1]), pickle.dumps({"a": 1}), b"\x80\x04\x96" + b"\xff" * 7 + b"\x7f."],
)
def test_weights_reject_a_pickle_of_other_objects(tmp_path, description):
    with pytest.raises(ConfigurationError, match=r"other\.bin is not a "):
        Weights.open(_archive(tmp_path / "other.bin", description))


def test_weights_reject_another_zip_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.bin", "w") as archive:
        archive.writestr("archive/readme.txt", "")
    with pytest.raises(ConfigurationError, match="it has no data"):
        Weights.open(tmp_path / "other.bin")


def _rewritten(path: Path, *, compression: int = zipfile.ZIP_STORED, **replaced: bytes) -> Path:
    """The saved float32 file with other members."""
    with zipfile.ZipFile(FOLDER / "float32.bin") as old, zipfile.ZipFile(path, "w", compression) as new:
        for info in old.infolist():
            member = info.filename.partition("/")[2].replace("/", "_")
            new.writestr(info.filename, replaced.get(member, old.read(info)))
    return path


def test_weights_reject_invalid_storages(tmp_path):
    with pytest.raises(ConfigurationError, match="data/0 is compressed"):
        Weights.open(_rewritten(tmp_path / "a.bin", compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(ConfigurationError, match=r"needs 24 numbers, its storage has 3\. The file is incomplete"):
        Weights.open(_rewritten(tmp_path / "b.bin", data_0=bytes(12)))
    with pytest.raises(ConfigurationError, match="was not written on a little-endian machine"):
        Weights.open(_rewritten(tmp_path / "c.bin", byteorder=b"big"))


def test_weights_reject_or_tolerate_any_damage(tmp_path):
    whole = (FOLDER / "float32.bin").read_bytes()
    path = tmp_path / "damaged.bin"
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigurationError):
            Weights.open(path)
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            Weights.open(path).get("whole", 6, 4)
        except ConfigurationError as error:
            assert str(path) in str(error)  # noqa: PT017 - a changed number is not an error


def test_weights_read_safetensors_of_every_type(tmp_path):
    save_file({"half": BASE.astype(np.float16), "whole": BASE, "ids": np.arange(3)}, tmp_path / "a.safetensors")
    weights = Weights.open(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(weights.get("whole", 6, 4), BASE)
    np.testing.assert_array_equal(weights.get("half", 0, 0), BASE.astype(np.float16))
    bits = (BASE.view(np.uint32) >> 16).astype(np.uint16)
    header = json.dumps({"brain": {"dtype": "BF16", "shape": [6, 4], "data_offsets": [0, bits.nbytes]}}).encode()
    (tmp_path / "b.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bits.tobytes())
    brain = Weights.open(tmp_path / "b.safetensors").get("brain", 6, 4)
    np.testing.assert_array_equal(brain.view(np.uint32), bits.astype(np.uint32) << 16)


def test_weights_reject_a_damaged_safetensors_file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"whole": BASE}, path)
    content = path.read_bytes()
    for damaged in (b"", content[:5], content[:-1], b"\xff" * 8 + content[8:], content[:8] + b"[" + content[9:]):
        path.write_bytes(damaged)
        with pytest.raises(ConfigurationError, match=r"not a readable safetensors file.*Download it again"):
            Weights.open(path)


def test_weights_neither_copy_float32_nor_write_the_file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"whole": BASE}, path)
    weights = Weights.open(path)
    first, second = weights.get("whole", 6, 4), weights.get("whole", 6, 4)
    assert np.shares_memory(first, second)
    first[:] = 0
    np.testing.assert_array_equal(Weights.open(path).get("whole", 6, 4), BASE)


def test_weights_report_a_missing_tensor_and_a_wrong_shape(tmp_path):
    weights = Weights.open(FOLDER / "float32.bin")
    with pytest.raises(ConfigurationError, match=r"float32.bin has no tensor missing. .* Download both again"):
        weights.get("missing", 1)
    with pytest.raises(ConfigurationError, match=r"whole has shape 6 x 4, .* requires any x 5. .* Download both again"):
        weights.get("whole", 0, 5)


def test_weights_ignore_a_prefix_of_all_names(tmp_path):
    tensors = {"bert.embeddings.word_embeddings.weight": BASE, "bert.x": BASE, "x": BASE + 1}
    save_file(tensors, tmp_path / "model.safetensors")
    weights = Weights.open(tmp_path / "model.safetensors", "embeddings.word_embeddings.weight")
    np.testing.assert_array_equal(weights.get("x", 6, 4), BASE)


def test_weights_accept_tensorflow_names_of_layer_norms(tmp_path):
    save_file({"a.LayerNorm.gamma": BASE[0], "a.LayerNorm.beta": BASE[1]}, tmp_path / "model.safetensors")
    weights = Weights.open(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(weights.get("a.LayerNorm.weight", 4), BASE[0])
    np.testing.assert_array_equal(weights.get("a.LayerNorm.bias", 4), BASE[1])


def _shard(folder: Path) -> Path:
    """The tiny BERT's folder with its weights in two files."""
    model = ReferenceModel.load("bert")
    model.write(folder)
    (folder / "model.safetensors").unlink()
    tensors = model.weights()
    names = sorted(tensors)
    files = {name: f"model-{1 + (index > len(names) // 2):05}-of-00002.safetensors" for index, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in names if files[name] == file}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    return index


def test_weights_combine_shards(tmp_path):
    _shard(tmp_path)
    whole = ReferenceModel.load("bert").write(tmp_path / "whole")
    np.testing.assert_array_equal(compute(tmp_path, ["the cat"])[0], compute(whole, ["the cat"])[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a readable index"),
        ("{}", "is not a readable index"),
        (
            '{"weight_map": {"a": "missing.safetensors"}}',
            "names the file 'missing.safetensors', which is not in the same folder",
        ),
        ('{"weight_map": {"a": "../model.safetensors"}}', "which is not in the same folder"),
    ],
)
def test_weights_reject_an_invalid_index(tmp_path, content, message):
    index = tmp_path / "model" / "model.safetensors.index.json"
    index.parent.mkdir()
    save_file({"a": BASE}, tmp_path / "model.safetensors")
    index.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        Weights.open(index)


def test_model_in_a_torch_file_equals_the_reference(tmp_path):
    reference = ReferenceModel.load("bert")
    settings = {"embedding_dimension": 32, "pooling_mode": "mean"}
    folder = reference.write(tmp_path, pooling=settings)
    (folder / "model.safetensors").unlink()
    shutil.copy(FOLDER / "pytorch_model.bin", folder)
    pooled, _ = compute(folder, TEXTS)
    # The file contains the reference's weights rounded to float16.
    assert 0.9999 < cosines(pooled, reference.outputs["mean"]).min() < 1


def test_weights_file_prefers_safetensors(tmp_path):
    assert weights_file(tmp_path, "model", "pytorch_model") is None
    shutil.copy(FOLDER / "float32.bin", tmp_path / "pytorch_model.bin")
    assert weights_file(tmp_path, "model", "pytorch_model") == tmp_path / "pytorch_model.bin"
    save_file({"a": BASE}, tmp_path / "model.safetensors")
    assert weights_file(tmp_path, "model", "pytorch_model") == tmp_path / "model.safetensors"


def test_model_with_a_malicious_pickle_is_rejected(tmp_path):
    folder = ReferenceModel.load("bert").write(tmp_path)
    (folder / "model.safetensors").unlink()
    _archive(folder / "pytorch_model.bin", pickle.dumps({"weight": _Call(eval, "1")}))
    with pytest.raises(ConfigurationError, match=r"pytorch_model.bin would run builtins.eval"):
        compute(folder, ["cat"])
    assert ModelFolder.read(folder).weights == folder / "pytorch_model.bin"
