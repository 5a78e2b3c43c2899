"""Exports of a sentence-transformers folder for other engines, made once by the engines' own tools.

Each function returns a folder or file below ``target``, and writes it only if it does not exist. An export is made in
the engine's environment: ONNX and OpenVINO by sentence-transformers' extras ``onnx`` and ``openvino``, GGUF by the
package ``gguf`` of llama.cpp.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["export_gguf", "export_onnx", "export_openvino"]

#: Files within an export of sentence-transformers, by precision.
ONNX_FILES = {"fp32": "model.onnx", "int8": "model_qint8_avx512_vnni.onnx"}
OPENVINO_FILES = {"fp32": "openvino_model.xml", "int8": "openvino_model_qint8_quantized.xml"}


def export_onnx(folder: Path, target: Path) -> Path:
    """A sentence-transformers folder with the model in ONNX, in fp32 and dynamically quantized to int8."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - in the engine's environment only
    from sentence_transformers.backend import export_dynamic_quantized_onnx_model  # noqa: PLC0415

    exported = target / "onnx"
    if not (exported / "onnx" / ONNX_FILES["int8"]).exists():
        model = SentenceTransformer(str(folder), device="cpu", backend="onnx", model_kwargs={"export": True})
        model.save_pretrained(str(exported))
        export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(exported))
        # fastembed truncates to this length, sentence-transformers to its own setting.
        settings = exported / "tokenizer_config.json"
        config = json.loads(settings.read_text(encoding="utf-8")) | {"max_length": model.max_seq_length}
        settings.write_text(json.dumps(config), encoding="utf-8")
    return exported


def export_openvino(folder: Path, target: Path, samples: list[str]) -> Path:
    """A sentence-transformers folder with the model in OpenVINO's format, in fp32 and statically quantized to int8.

    Args:
        folder: The model's folder.
        target: Folder of all exports.
        samples: Texts by which the ranges of activations are calibrated.
    """
    from optimum.intel import OVQuantizationConfig  # noqa: PLC0415 - in the engine's environment only
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from sentence_transformers.backend import export_static_quantized_openvino_model  # noqa: PLC0415

    exported = target / "openvino"
    if not (exported / "openvino" / OPENVINO_FILES["int8"]).exists():
        model = SentenceTransformer(str(folder), device="cpu", backend="openvino", model_kwargs={"export": True})
        model.save_pretrained(str(exported))
        calibration = target / "calibration"
        calibration.mkdir(exist_ok=True)
        with (calibration / "train.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["sentence"], *([text] for text in samples)])
        export_static_quantized_openvino_model(
            model, OVQuantizationConfig(num_samples=len(samples)), str(exported),
            dataset_name=str(calibration), dataset_config_name="default", dataset_split="train", column_name="sentence",
        )  # fmt: skip
    return exported


def export_gguf(folder: Path, target: Path, precision: str) -> Path:
    """A BERT with mean pooling in llama.cpp's format.

    The names and metadata are those of llama.cpp's own converter, a script in its repository that is not on PyPI.

    Args:
        folder: The model's folder.
        target: Folder of all exports.
        precision: ``f32``, or ``q8_0`` for matrices of 8-bit integers.
    """
    import gguf  # noqa: PLC0415 - in the engine's environment only

    path = target / f"{precision}.gguf"
    if path.exists():
        return path
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    _add_vocabulary(writer, gguf, json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, tensor in _tensors(folder / "model.safetensors"):
        mapped = names.get_name(name.removeprefix("bert."), try_suffixes=(".weight", ".bias"))
        if mapped is None:  # the pooler and the position ids
            continue
        if precision == "q8_0" and tensor.ndim == 2 and "position" not in name and "token_type" not in name:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(mapped, gguf.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(mapped, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: Any, gguf: Any, tokenizer: dict[str, Any]) -> None:
    """WordPiece tokens, with llama.cpp's mark at the beginning of a word instead of ``##`` within one."""
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].__getitem__)
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokens, kinds = [], []
    for token in vocabulary:
        plain = token[2:] if token.startswith("##") else "\u2581" + token
        tokens.append(token if token in special else plain)
        kinds.append(gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")  # any BERT
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    for add, token in (
        (writer.add_bos_token_id, "[CLS]"), (writer.add_sep_token_id, "[SEP]"), (writer.add_unk_token_id, "[UNK]"),
        (writer.add_pad_token_id, "[PAD]"), (writer.add_mask_token_id, "[MASK]"),
    ):  # fmt: skip
        add(special[token])


def _tensors(path: Path) -> list[tuple[str, Any]]:
    """The float32 tensors of a safetensors file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = []
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors.append((name, np.frombuffer(data[start:end], np.float32).reshape(entry["shape"])))
    return tensors
