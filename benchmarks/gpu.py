"""The encoder compared with sentence-transformers' ``encode`` on one GPU, each in its own process.

usage: python benchmarks/gpu.py [--rounds 5] [--json FILE]

Needs a GPU and the extra ``torch``. The models have the sizes of well-known ones, seeded random weights, and a
tokenizer with the texts' words, so nothing is downloaded; the weights do not affect the time. The figures are texts per
second for new and for repeated texts, the time of a single text, and the lowest cosine to the model's float32 vectors
on the CPU.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast
from workloads import mixed_texts, short_texts

from embedstack_server.compute.encoder import Encoder

Embed = Callable[[list[str]], Any]

_SPECIALS = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
#: The config.json of all-MiniLM-L6-v2 and bge-m3, their pooling, and their maximum number of tokens.
SIZES: dict[str, tuple[dict[str, Any], str, int]] = {
    "MiniLM-L6": (
        {"model_type": "bert", "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6,
         "num_attention_heads": 12, "intermediate_size": 1536, "max_position_embeddings": 512}, "mean", 256,
    ),
    "bge-m3": (
        {"model_type": "xlm-roberta", "vocab_size": 250002, "hidden_size": 1024, "num_hidden_layers": 24,
         "num_attention_heads": 16, "intermediate_size": 4096, "max_position_embeddings": 8194}, "cls", 8192,
    ),
}  # fmt: skip
#: Precision, and sentence-transformers' batch size: its default, and about the size of the encoder's batches.
ENGINES = {
    "embedstack bf16": ("bf16", None),
    "embedstack fp32": ("fp32", None),
    "sentence-transformers bf16": ("bf16", 32),
    "sentence-transformers bf16, 256 a batch": ("bf16", 256),
    "sentence-transformers fp32": ("fp32", 32),
}
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_ALONE = 50


def write_model(folder: Path, size: str, texts: list[str]) -> Path:
    """A sentence-transformers folder with random weights."""
    torch.manual_seed(7)
    config, pooling, longest = SIZES[size]
    words = sorted({word for text in texts for word in text.split()})[: config["vocab_size"] - len(_SPECIALS)]
    ids = {word: index for index, word in enumerate([*_SPECIALS.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(ids, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 2), ("</s>", 3)])
    AutoModel.from_config(AutoConfig.for_model(**config, pad_token_id=0)).save_pretrained(folder / "encoder")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **_SPECIALS).save_pretrained(folder / "encoder")
    modules = [
        Transformer(str(folder / "encoder"), max_seq_length=longest),
        Pooling(config["hidden_size"], pooling),
        Normalize(),
    ]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"))
    return folder / "model"


def load(engine: str, folder: Path) -> Embed:
    """Load an engine."""
    precision, batch = ENGINES[engine]
    if batch is None:
        encoder = Encoder.load(folder, device="cuda", precision=precision)  # type: ignore[arg-type]
        return lambda texts: encoder.encode(texts).vectors()
    module = SentenceTransformer(str(folder), device="cuda", model_kwargs={"dtype": _DTYPES[precision]})
    return lambda texts: module.encode(texts, batch_size=batch, show_progress_bar=False)


def rate(embed: Embed, texts: list[str]) -> float:
    """Texts per second."""
    started = time.perf_counter()
    embed(texts)
    return len(texts) / (time.perf_counter() - started)


def measure(embed: Embed, workloads: dict[str, list[str]], rounds: int) -> dict[str, Any]:
    """One engine's figures, and its vectors of the workload ``compared``."""
    embed(["the first vector"])
    alone = [1000 / rate(embed, [text]) for text in workloads["alone"]]
    figures = {"one_ms": statistics.median(alone), "one_worst_ms": max(alone)}
    for name in ("mixed", "short"):
        figures[f"{name}_first"] = rate(embed, workloads[name])
        figures[name] = statistics.median(rate(embed, workloads[name]) for _ in range(rounds))
    return figures | {"vectors": np.asarray(embed(workloads["compared"]), np.float32).tolist()}


def compare(size: str, engines: list[str], rounds: int) -> list[dict[str, Any]]:
    """Measure the engines one after the other, and print each engine's figures."""
    texts = mixed_texts(2048 + _ALONE)
    workloads = {
        "alone": texts[:_ALONE], "mixed": texts[_ALONE:], "short": short_texts(8192), "compared": texts[:64],
    }  # fmt: skip
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_model(Path(temporary), size, [text for each in workloads.values() for text in each])
        reference = SentenceTransformer(str(folder), device="cpu").encode(
            workloads["compared"], show_progress_bar=False
        )
        for engine in engines:
            completed = subprocess.run(
                [sys.executable, __file__, "--rounds", str(rounds), "--engine", engine, "--folder", folder],
                input=json.dumps(workloads), stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            row = {"model": size, "engine": engine, **json.loads(completed.stdout.splitlines()[-1])}
            row["cosine"] = float((np.asarray(row.pop("vectors")) * reference).sum(axis=1).min())
            rows.append(row)
            print(
                f"{size:10} {engine:40} {row['mixed_first']:7.0f} {row['mixed']:7.0f} {row['short_first']:7.0f} "
                f"{row['short']:7.0f} {row['one_ms']:7.1f} {row['one_worst_ms']:7.1f} {row['cosine']:9.6f}",
                flush=True,
            )
    return rows


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(measure(load(options.engine, options.folder), json.load(sys.stdin), options.rounds)))
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; texts a second, milliseconds for one text")
    print(f"{'':51} {'mixed:':>7} {'again':>7} {'short:':>7} {'again':>7} {'one, ms':>7} {'worst':>7} {'cosine':>9}")
    rows = [row for size in SIZES for row in compare(size, list(ENGINES), options.rounds)]
    if options.json:
        options.json.write_text(json.dumps({"device": torch.cuda.get_device_name(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
