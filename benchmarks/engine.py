"""One engine in a child process: loads the model, embeds the workloads named on standard input and reports the time.

usage: python engine.py ENGINE MODEL_FOLDER WORKLOADS.json        (then one workload's name per line on standard input)
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Embed = Callable[[list[str]], Any]


def ours(precision: Any) -> Callable[[Path], Embed]:
    def load(folder: Path) -> Embed:
        from embedstack_server.compute.encoder import Encoder  # noqa: PLC0415

        encoder = Encoder.load(folder, precision=precision)
        return lambda texts: encoder.encode(texts).vectors()

    return load


def sentence_transformers(dtype: str) -> Callable[[Path], Embed]:
    def load(folder: Path) -> Embed:
        import torch  # noqa: PLC0415
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        torch.set_num_threads(os.cpu_count() or 1)
        model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"torch_dtype": getattr(torch, dtype)})
        return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    return load


def huggingface_toolkit(folder: Path) -> Embed:
    """The default handler of SageMaker's Hugging Face container; pooling its token vectors is not measured."""
    from sagemaker_huggingface_inference_toolkit.transformers_utils import get_pipeline  # noqa: PLC0415

    pipeline = get_pipeline(task="feature-extraction", model_dir=str(folder), device=-1)
    return lambda texts: [pipeline(text, truncation=True, max_length=256) for text in texts]


def fastembed(folder: Path) -> Embed:
    """Fastembed, which downloads its own ONNX export from the Hub."""
    from fastembed import TextEmbedding  # noqa: PLC0415

    del folder
    model = TextEmbedding("sentence-transformers/all-MiniLM-L6-v2", threads=os.cpu_count())
    return lambda texts: list(model.embed(texts, batch_size=32))


def infinity(folder: Path) -> Embed:
    """Infinity's torch engine, the only one of its engines that loads a folder of weights directly."""
    from infinity_emb import EngineArgs, SyncEngineArray  # noqa: PLC0415

    arguments = EngineArgs(
        model_name_or_path=str(folder), served_model_name="model", engine="torch", device="cpu",
        bettertransformer=False, model_warmup=False,
    )  # fmt: skip
    engines = SyncEngineArray.from_args([arguments])
    return lambda texts: engines.embed(model="model", sentences=texts).result()


ENGINES: dict[str, Callable[[Path], Embed]] = {
    "embedstack bf16": ours("auto"),
    "embedstack int8": ours("int8"),
    "embedstack fp32": ours("fp32"),
    "sentence-transformers fp32": sentence_transformers("float32"),
    "sentence-transformers bf16": sentence_transformers("bfloat16"),
    "HuggingFace toolkit": huggingface_toolkit,
    "infinity": infinity,
    "fastembed": fastembed,
}


def main() -> None:
    """Read workload names and print ``{"seconds", "each", "megabytes"}`` for each."""
    engine, folder, workloads = sys.argv[1], Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
    embed = ENGINES[engine](folder)
    embed(["the first vector"])
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # an engine may print anything
    print(json.dumps({"ready": True}), file=output, flush=True)
    for line in sys.stdin:
        texts = workloads[line.strip()]
        each = []
        started = time.perf_counter()
        if line.strip() == "one":
            for text in texts:
                before = time.perf_counter()
                embed([text])
                each.append(time.perf_counter() - before)
        else:
            embed(texts)
        seconds = time.perf_counter() - started
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "each": each, "megabytes": megabytes}), file=output, flush=True)


if __name__ == "__main__":
    main()
