"""Throughput of models of other architectures, compared with sentence-transformers in float32 in the same rounds.

usage: .venv/bin/python benchmarks/architectures.py [--rounds 5] [--layers N] [--texts 96] [--size NAME …] [--json FILE]

The models have the sizes of well-known ones and seeded random weights, so nothing is downloaded; the weights do not
affect the time. --layers builds fewer layers, where memory or time is short. `make reference-vectors` creates the
environment of sentence-transformers.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from serving import BASELINE, Engine
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from workloads import mixed_texts

ENGINES = (BASELINE, "embedstack bf16", "embedstack int8", "embedstack fp32")
#: config.json of ModernBERT-base and Qwen3-Embedding-0.6B, and their pooling.
SIZES: dict[str, tuple[dict[str, Any], str]] = {
    "ModernBERT-base": (
        {
            "model_type": "modernbert", "vocab_size": 50368, "hidden_size": 768, "intermediate_size": 1152,
            "num_hidden_layers": 22, "num_attention_heads": 12, "hidden_activation": "gelu", "norm_eps": 1e-5,
            "max_position_embeddings": 8192, "local_attention": 128, "global_attn_every_n_layers": 3,
            "global_rope_theta": 160000.0, "local_rope_theta": 10000.0,
        }, "mean",
    ),
    "Qwen3-0.6B": (
        {
            "model_type": "qwen3", "vocab_size": 151669, "hidden_size": 1024, "intermediate_size": 3072,
            "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
            "hidden_act": "silu", "rms_norm_eps": 1e-6, "max_position_embeddings": 32768, "rope_theta": 1000000.0,
            "tie_word_embeddings": True,
        }, "lasttoken",
    ),
}  # fmt: skip


def main() -> None:
    """Measure, and print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=96, help="texts per round")
    parser.add_argument("--layers", type=int, help="layers to build instead of all")
    parser.add_argument("--size", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    texts = mixed_texts(arguments.texts)
    results = {}
    for size in arguments.size:
        with tempfile.TemporaryDirectory() as scratch:
            folder = write_model(Path(scratch), size, texts, arguments.layers)
            tokens = sum(map(len, _tokenizer(texts, size).encode_batch(texts)))
            results[size] = {"tokens": tokens, **measure(folder, texts, arguments.engine, arguments.rounds)}
        report(size, len(texts), results[size])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def measure(folder: Path, texts: list[str], names: list[str], rounds: int) -> dict[str, Any]:
    """Seconds of every round of every engine. The engines alternate."""
    workloads = folder / "workloads.json"
    workloads.write_text(json.dumps({"mix": texts}))
    engines = [Engine(name, folder, workloads) for name in names]
    try:
        for engine in engines:
            engine.measure("mix")  # compiles kernels for the batch shapes
        measured = [[engine.measure("mix") for engine in engines] for _ in range(rounds)]
    finally:
        for engine in engines:
            engine.close()
    return {
        name: {
            "seconds": [each[number]["seconds"] for each in measured],
            "megabytes": measured[-1][number]["megabytes"],
            "first_vector": engines[number].first_vector,
        }
        for number, name in enumerate(names)
    }


def report(size: str, texts: int, result: dict[str, Any]) -> None:
    """Print a table: medians, and the range of the ratios to the baseline."""
    print(f"\n{size}, {texts} texts of {result['tokens'] / texts:.0f} tokens on average")
    print("| Engine | Texts/s | Tokens/s | Ratio (range) | Start, s | Memory, MB |\n|---|---|---|---|---|---|")
    baseline = result.get(BASELINE, {}).get("seconds")
    for name, row in result.items():
        if name == "tokens":
            continue
        seconds = median(row["seconds"])
        ratios = sorted(slow / fast for slow, fast in zip(baseline or row["seconds"], row["seconds"], strict=True))
        print(
            f"| {name} | {texts / seconds:.1f} | {result['tokens'] / seconds:.0f} "
            f"| {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) "
            f"| {row['first_vector']:.1f} | {row['megabytes']:.0f} |"
        )


def write_model(folder: Path, size: str, texts: list[str], layers: int | None = None) -> Path:
    """A sentence-transformers folder with random weights.

    Args:
        folder: Folder to write to.
        size: One of :data:`SIZES`.
        texts: The tokenizer knows their words.
        layers: Number of layers; all by default.
    """
    config, pooling = SIZES[size]
    config = config | {"num_hidden_layers": layers or config["num_hidden_layers"]}
    documents: dict[str, Any] = {
        "config.json": config,
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (kind, path) in enumerate([("Transformer", ""), ("Pooling", "1_Pooling")])
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": config["hidden_size"], f"pooling_mode_{_FLAGS[pooling]}": True,
        },
        "sentence_bert_config.json": {"max_seq_length": 8192, "do_lower_case": False},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"},
    }  # fmt: skip
    for name, content in documents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    _tokenizer(texts, size).save(str(folder / "tokenizer.json"))
    random = np.random.default_rng(7)
    shapes = _modernbert(config) if config["model_type"] == "modernbert" else _qwen3(config)
    tensors = {
        name: np.ones(shape, np.float32)
        if len(shape) == 1
        else random.standard_normal(shape, np.float32) * np.float32(0.02)
        for name, shape in shapes
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


_FLAGS = {"mean": "mean_tokens", "lasttoken": "lasttoken"}


def _tokenizer(texts: list[str], size: str) -> Tokenizer:
    words = sorted({word for text in texts for word in text.split()})
    ids = {word: number for number, word in enumerate(["<pad>", "<unk>", "<end>", *words])}
    tokenizer = Tokenizer(models.WordLevel(ids, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = "$A <end>" if size.startswith("Qwen") else "<end> $A <end>"
    tokenizer.post_processor = processors.TemplateProcessing(template, None, [("<end>", 2)])
    return tokenizer


def _modernbert(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    size, inner = config["hidden_size"], config["intermediate_size"]
    yield "embeddings.tok_embeddings.weight", (config["vocab_size"], size)
    yield "embeddings.norm.weight", (size,)
    for layer in range(config["num_hidden_layers"]):
        if layer:
            yield f"layers.{layer}.attn_norm.weight", (size,)
        yield f"layers.{layer}.attn.Wqkv.weight", (3 * size, size)
        yield f"layers.{layer}.attn.Wo.weight", (size, size)
        yield f"layers.{layer}.mlp_norm.weight", (size,)
        yield f"layers.{layer}.mlp.Wi.weight", (2 * inner, size)
        yield f"layers.{layer}.mlp.Wo.weight", (size, inner)
    yield "final_norm.weight", (size,)


def _qwen3(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    size, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    yield "embed_tokens.weight", (config["vocab_size"], size)
    for layer in range(config["num_hidden_layers"]):
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"layers.{layer}.{name}.weight", (size,)
        for name, shape in {
            "q_norm": (head,), "k_norm": (head,), "q_proj": (queries, size), "k_proj": (keys, size),
            "v_proj": (keys, size), "o_proj": (size, queries),
        }.items():  # fmt: skip
            yield f"layers.{layer}.self_attn.{name}.weight", shape
        for name in ("gate_proj", "up_proj"):
            yield f"layers.{layer}.mlp.{name}.weight", (inner, size)
        yield f"layers.{layer}.mlp.down_proj.weight", (size, inner)
    yield "norm.weight", (size,)


if __name__ == "__main__":
    main()
