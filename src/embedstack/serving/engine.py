"""Running a model on the processor: batches for throughput, and one text at a time for latency."""

import os
import threading
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import openvino as ov

from embedstack.serving.graph import INT8_GROUP_SIZE, build_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.serving.model_folder import ModelFolder

    Vectors = NDArray[np.float32]

__all__ = ["Engine", "Outputs", "Precision", "has_bf16"]

Precision = Literal["bf16", "fp32", "int8"]

# Texts of one batch share its length, so a batch is bounded by its padded size and not by its count. Throughput was
# best near this size on two cores: larger batches fall out of the cache, smaller ones pay the call more often.
_TOKENS_PER_BATCH = 512
# OpenVINO prepares every node anew when a batch's shape is not the one before it. For a text alone that takes as long
# as some more tokens do, so short texts are padded to a few lengths; 16 is also the height of a matrix tile.
_WIDTH_STEP = 16
_LARGEST_ROUNDED_WIDTH = 64
# A second set of compiled weights is worth its memory up to here: larger models take so long for a text that sharing
# its work among the cores is not what makes a text late, and their memory is what an endpoint is paid for.
_LARGEST_TWICE_COMPILED_BYTES = 256 * 1024 * 1024


class Outputs(NamedTuple):
    """The tensors of one batch, valid until the same thread's next."""

    pooled: "Vectors"
    hidden: "Vectors"


class Engine:
    """A compiled graph. Safe to call from several threads; each has inference requests of its own.

    Attributes:
        precision: The arithmetic that it computes in.
        workers: Batches that it computes at once without one slowing down another.
        tokens_per_batch: Padded size of the batches that it is fastest with.
    """

    def __init__(self, folder: "ModelFolder", precision: Precision, pad_id: int) -> None:
        """Build and compile the graph.

        Args:
            folder: The model.
            precision: The arithmetic.
            pad_id: The token id that fills the shorter texts of a batch.

        Raises:
            ConfigurationError: The weights are unreadable, or a tensor is missing or has a wrong shape.
        """
        self.precision = precision
        self.workers = os.cpu_count() or 1
        self.tokens_per_batch = _TOKENS_PER_BATCH
        self._pad_id = pad_id
        self._max_tokens = folder.max_tokens
        graph = build_graph(folder, int8=precision == "int8")
        self._compiled = _compile(graph, precision, streams=self.workers)
        alone = self.workers > 1 and folder.weights.stat().st_size <= _LARGEST_TWICE_COMPILED_BYTES
        self._compiled_alone = _compile(graph, precision, streams=1) if alone else self._compiled
        self._requests = threading.local()

    def run(self, ids: list[list[int]]) -> Outputs:
        """Compute a batch on one of the processor's cores.

        Args:
            ids: Tokens of each text, none of them empty.
        """
        return self._infer(self._request("batch", self._compiled), ids, max(map(len, ids)))

    def run_alone(self, ids: list[int]) -> Outputs:
        """Compute one text on all cores, while nothing else runs.

        Args:
            ids: The text's tokens, at least one.
        """
        width = len(ids)
        if width <= _LARGEST_ROUNDED_WIDTH:
            width = min(-(-width // _WIDTH_STEP) * _WIDTH_STEP, self._max_tokens)
        return self._infer(self._request("alone", self._compiled_alone), [ids], width)

    def _request(self, name: str, compiled: ov.CompiledModel) -> ov.InferRequest:
        try:
            return getattr(self._requests, name)
        except AttributeError:
            request = compiled.create_infer_request()
            setattr(self._requests, name, request)
            return request

    def _infer(self, request: ov.InferRequest, ids: list[list[int]], width: int) -> Outputs:
        padded = np.full((len(ids), width), self._pad_id, np.int32)
        mask = np.zeros((len(ids), width), np.int32)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        request.infer({"input_ids": padded, "attention_mask": mask}, share_inputs=True, share_outputs=True)
        return Outputs(request.get_tensor("pooled").data, request.get_tensor("hidden").data)


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 natively."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _compile(graph: ov.Model, precision: Precision, streams: int) -> ov.CompiledModel:
    """Compile for so many batches at once, which share the cores evenly."""
    # What int8 leaves in floating point runs in bfloat16 where the processor has it.
    bf16 = precision == "bf16" or (precision == "int8" and has_bf16())
    config = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(os.cpu_count() or 1),
        **({"DYNAMIC_QUANTIZATION_GROUP_SIZE": str(INT8_GROUP_SIZE)} if precision == "int8" else {}),
    }
    return ov.Core().compile_model(graph, "CPU", config)
