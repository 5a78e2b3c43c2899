"""What computes batches of tokens: :class:`Engine`, and its implementation by OpenVINO on the processor."""

import os
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import openvino as ov

from embedstack_server.compute.graph import INT8_GROUP_SIZE, build_graph
from embedstack_server.model.precision import Precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from embedstack_server.model.model_folder import ModelFolder

    Vectors = NDArray[np.float32]

__all__ = ["Engine", "OpenVinoEngine", "Outputs", "has_bf16", "padded"]

# Texts of one batch share its length, so a batch is bounded by its padded size and not by its count. A short text that
# comes while all workers are busy waits for one of them. On two cores without AMX batches of 512 took 60 ms, and those
# of 256 half of that for 3 to 4 % more processor time; see benchmarks/fairness.py.
_TOKENS_PER_BATCH = 256
# For every new shape of a batch OpenVINO compiles kernels, which takes milliseconds and about a megabyte, and for a
# shape that is not the one before it prepares every node anew. So widths are rounded up to a few, by steps: (largest
# width, step). Where a step is wide, so is the text: the padding costs about 4 %.
_WIDTH_STEPS = ((16, 2), (64, 4), (128, 8))
_LARGEST_WIDTH_STEP = 16
# A text alone has no batch to fill, and 16 is also the height of a matrix tile.
_WIDTH_STEPS_ALONE = ((64, 16), (128, 8))
# A second set of compiled weights is worth its memory up to here: larger models take so long for a text that sharing
# its work among the cores is not what makes a text late, and their memory is what an endpoint is paid for.
_LARGEST_TWICE_COMPILED_BYTES = 256 * 1024 * 1024


class Outputs(NamedTuple):
    """What was computed of one batch, valid until the same thread's next.

    Attributes:
        pooled: float32 (texts, dimensions).
        hidden: Gives the last hidden state of a text by its place, float32 (padded length, hidden size). Few ask for
            it, and it is hundreds of times as large as what is pooled.
    """

    pooled: "Vectors"
    hidden: "Callable[[int], Vectors]"


class Engine(Protocol):
    """Computes batches. Safe to call from several threads."""

    @property
    def precision(self) -> Precision:
        """The arithmetic that it computes in."""

    @property
    def workers(self) -> int:
        """Batches that it computes at once without one slowing down another."""

    @property
    def tokens_per_batch(self) -> int:
        """Padded size of the batches that it is fastest with."""

    def run(self, ids: list[list[int]]) -> Outputs:
        """Compute a batch, as one of several at once.

        Args:
            ids: Tokens of each text, none of them empty.
        """

    def run_alone(self, ids: list[int]) -> Outputs:
        """Compute one text as fast as can be, while nothing else runs.

        Args:
            ids: The text's tokens, at least one.
        """


class OpenVinoEngine:
    """A graph compiled for the processor; see :class:`Engine`. Each thread has inference requests of its own."""

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
        """Compute a batch on one core."""
        width = self._rounded(max(map(len, ids)), _WIDTH_STEPS)
        return self._infer(self._request("batch", self._compiled), ids, width)

    def run_alone(self, ids: list[int]) -> Outputs:
        """Compute one text on all cores."""
        width = self._rounded(len(ids), _WIDTH_STEPS_ALONE)
        return self._infer(self._request("alone", self._compiled_alone), [ids], width)

    def _rounded(self, width: int, steps: tuple[tuple[int, int], ...]) -> int:
        step = next((step for largest, step in steps if width <= largest), _LARGEST_WIDTH_STEP)
        return min(-(-width // step) * step, self._max_tokens)

    def _request(self, name: str, compiled: ov.CompiledModel) -> ov.InferRequest:
        try:
            return getattr(self._requests, name)
        except AttributeError:
            request = compiled.create_infer_request()
            setattr(self._requests, name, request)
            return request

    def _infer(self, request: ov.InferRequest, ids: list[list[int]], width: int) -> Outputs:
        tokens, mask = padded(ids, width, self._pad_id)
        request.infer({"input_ids": tokens, "attention_mask": mask}, share_inputs=True, share_outputs=True)
        return Outputs(request.get_tensor("pooled").data, lambda row: request.get_tensor("hidden").data[row])


def padded(ids: list[list[int]], width: int, pad_id: int) -> "tuple[NDArray[np.int32], NDArray[np.int32]]":
    """Rows of one width, and their mask: 1 for a token, 0 for padding; both int32 (texts, width)."""
    tokens = np.full((len(ids), width), pad_id, np.int32)
    mask = np.zeros((len(ids), width), np.int32)
    for row, text in enumerate(ids):
        tokens[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return tokens, mask


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
