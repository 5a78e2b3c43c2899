"""One engine in a child process: loads the model, embeds the workloads named on standard input and reports the time.

usage: python engine.py ENGINE MODEL_FOLDER WORKLOADS.json        (then one workload's name per line on standard input)

The line ``vectors`` returns the vectors of the first 400 characters of the texts in ``mix``, which no engine truncates;
none if the engine does not pool.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import exported_models
import numpy as np

Embed = Callable[[list[str]], Any]


class Source(NamedTuple):
    """What an engine is loaded from.

    Attributes:
        folder: The sentence-transformers folder.
        exports: Folder for exports in other formats, which all engines of a run share.
        samples: Texts for calibrating a quantized export.
    """

    folder: Path
    exports: Path
    samples: list[str]


def ours(precision: Any) -> Callable[[Source], Embed]:
    def load(source: Source) -> Embed:
        from embedstack_server.compute.encoder import Encoder  # noqa: PLC0415

        encoder = Encoder.load(source.folder, precision=precision)
        return lambda texts: encoder.encode(texts).vectors()

    return load


def sentence_transformers(dtype: str) -> Callable[[Source], Embed]:
    def load(source: Source) -> Embed:
        import torch  # noqa: PLC0415
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        torch.set_num_threads(os.cpu_count() or 1)
        model = SentenceTransformer(
            str(source.folder), device="cpu", model_kwargs={"torch_dtype": getattr(torch, dtype)}
        )
        return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    return load


def huggingface_toolkit(source: Source) -> Embed:
    """The default handler of SageMaker's Hugging Face container; pooling its token vectors is not measured."""
    from sagemaker_huggingface_inference_toolkit.transformers_utils import get_pipeline  # noqa: PLC0415

    pipeline = get_pipeline(task="feature-extraction", model_dir=str(source.folder), device=-1)
    return lambda texts: [pipeline(text, truncation=True, max_length=256) for text in texts]


def sentence_transformers_onnx(precision: str) -> Callable[[Source], Embed]:
    def load(source: Source) -> Embed:
        exported = exported_models.export_onnx(source.folder, source.exports)
        return _backend(exported, "onnx", exported_models.ONNX_FILES[precision])

    return load


def sentence_transformers_openvino(precision: str) -> Callable[[Source], Embed]:
    def load(source: Source) -> Embed:
        exported = exported_models.export_openvino(source.folder, source.exports, source.samples)
        return _backend(exported, "openvino", exported_models.OPENVINO_FILES[precision])

    return load


def _backend(folder: Path, backend: str, file: str) -> Embed:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    options = {"file_name": file, **({"provider": "CPUExecutionProvider"} if backend == "onnx" else {})}
    model = SentenceTransformer(str(folder), device="cpu", backend=backend, model_kwargs=options)
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def fastembed(source: Source) -> Embed:
    """Fastembed with the ONNX export that sentence-transformers made, which must exist: its own is on the Hub."""
    from fastembed import TextEmbedding  # noqa: PLC0415
    from fastembed.common.model_description import ModelSource, PoolingType  # noqa: PLC0415

    TextEmbedding.add_custom_model(
        model="exported", pooling=PoolingType.MEAN, normalization=True, dim=384, model_file="onnx/model.onnx",
        sources=ModelSource(hf="exported"),
    )  # fmt: skip
    model = TextEmbedding("exported", threads=os.cpu_count(), specific_model_path=str(source.exports / "onnx"))
    return lambda texts: list(model.embed(texts, batch_size=32))


def llama_cpp(precision: str) -> Callable[[Source], Embed]:
    """llama.cpp, as its Python package xllamacpp runs it in the process."""

    def load(source: Source) -> Embed:
        import xllamacpp  # noqa: PLC0415

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(exported_models.export_gguf(source.folder, source.exports, precision))
        parameters.embedding = True
        parameters.n_parallel = 8
        parameters.n_ctx = 8 * 512
        parameters.n_batch = parameters.n_ubatch = 2048
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = os.cpu_count() or 1
        server = xllamacpp.Server(parameters)

        def embed(texts: list[str]) -> Any:
            # It rejects texts of more than 512 tokens instead of truncating them.
            response = server.handle_embeddings({"input": [text[:1200] for text in texts]})
            return [entry["embedding"] for entry in response["data"]]

        return embed

    return load


def infinity(source: Source) -> Embed:
    """Infinity's torch engine, the only one of its engines that loads a folder of weights directly."""
    from infinity_emb import EngineArgs, SyncEngineArray  # noqa: PLC0415

    arguments = EngineArgs(
        model_name_or_path=str(source.folder), served_model_name="model", engine="torch", device="cpu",
        bettertransformer=False, model_warmup=False,
    )  # fmt: skip
    engines = SyncEngineArray.from_args([arguments])
    return lambda texts: engines.embed(model="model", sentences=texts).result()


ENGINES: dict[str, Callable[[Source], Embed]] = {
    "embedstack bf16": ours("auto"),
    "embedstack int8": ours("int8"),
    "embedstack fp32": ours("fp32"),
    "sentence-transformers fp32": sentence_transformers("float32"),
    "sentence-transformers bf16": sentence_transformers("bfloat16"),
    "HuggingFace toolkit": huggingface_toolkit,
    "infinity": infinity,
    "sentence-transformers onnx fp32": sentence_transformers_onnx("fp32"),
    "sentence-transformers onnx int8": sentence_transformers_onnx("int8"),
    "sentence-transformers openvino fp32": sentence_transformers_openvino("fp32"),
    "sentence-transformers openvino int8": sentence_transformers_openvino("int8"),
    "fastembed": fastembed,
    "llama.cpp f32": llama_cpp("f32"),
    "llama.cpp q8_0": llama_cpp("q8_0"),
}


def main() -> None:
    """Read workload names and print ``{"seconds", "each", "megabytes"}`` for each."""
    engine, path = sys.argv[1], Path(sys.argv[3])
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # an engine may print anything
    workloads = json.loads(path.read_text())
    embed = ENGINES[engine](Source(Path(sys.argv[2]), path.parent, workloads["mix"]))
    embed(["the first vector"])
    print(json.dumps({"ready": True}), file=output, flush=True)
    for line in sys.stdin:
        if line.strip() == "vectors":
            print(json.dumps({"vectors": _vectors(embed, workloads["mix"])}), file=output, flush=True)
            continue
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


def _vectors(embed: Embed, texts: list[str]) -> list[list[float]]:
    try:
        vectors: list[list[float]] = np.asarray(embed([text[:400] for text in texts]), np.float32).tolist()
    except ValueError:  # token vectors, which differ in number
        return []
    return vectors


if __name__ == "__main__":
    main()
