"""Engines, which compute batches of tokens: the interface, and the implementation with OpenVINO on the CPU."""

import math
import os
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import openvino as ov

from embedstack.errors import ConfigurationError
from embedstack_server.compute.graph import INT8_GROUP_SIZE, NOT_POOLED, build_graph
from embedstack_server.model.pair_tokenizer import PairTokens
from embedstack_server.model.precision import Precision, PrecisionSetting
from embedstack_server.model.tokenizer import PromptedTokens
from embedstack_server.process_resources import available_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from embedstack_server.model.cross_encoder_folder import CrossEncoderFolder
    from embedstack_server.model.model_folder import ModelFolder

    Vectors = NDArray[np.float32]

__all__ = ["Engine", "OpenVinoEngine", "Outputs", "chosen_precision", "has_bf16", "padded"]

# All texts of a batch are padded to one length, so batches are limited by their padded size instead of their number of
# texts. A short text that arrives while all workers are busy waits for one batch. On two cores without AMX, batches of
# 512 tokens took 60 ms; 256 tokens took half as long, for 3 to 4 % more processor time (benchmarks/fairness.py).
_TOKENS_PER_BATCH = 256
# OpenVINO compiles kernels for every new batch shape (milliseconds and about 1 MB each) and prepares every node again
# when the shape changes. So widths are rounded up to few values: (largest width, step). Steps grow with the width, and
# the padding costs about 4 %.
_WIDTH_STEPS = ((16, 2), (64, 4), (128, 8))
_LARGEST_WIDTH_STEP = 16
# For one or two texts, there are fewer widths: the shape changes less often, and a change takes a quarter to a third of
# the time of such a batch. 16 is the height of a matrix tile.
_WIDTH_STEPS_OF_FEW = ((64, 16), (128, 8))
_FEW_TEXTS = 2
# Share of the memory that is free once the model is loaded, for the attention of long texts.
_ATTENTION_SHARE = 0.5
# Models up to this size are compiled twice: once for batches, and once to compute a single text on all cores. For
# larger models, the second copy costs too much memory, for which an endpoint is billed.
_LARGEST_TWICE_COMPILED_BYTES = 256 * 1024 * 1024


class Outputs(NamedTuple):
    """The outputs of one batch, valid until the next batch in the same thread.

    Attributes:
        pooled: float32 (texts, dimensions); of a cross-encoder, the logits (texts, 1).
        hidden: Returns a text's last hidden state by its position in the batch, float32 (padded length, hidden size).
            A function, since hidden states are large and rarely needed. Not for cross-encoders.
    """

    pooled: "Vectors"
    hidden: "Callable[[int], Vectors]"


class Engine(Protocol):
    """Computes batches. Safe to call from several threads."""

    @property
    def precision(self) -> Precision:
        """Arithmetic that it computes in."""

    @property
    def workers(self) -> int:
        """Number of batches to compute concurrently."""

    @property
    def tokens_per_batch(self) -> int:
        """Maximum padded size of a batch, in tokens."""

    @property
    def longest(self) -> int:
        """Maximum number of tokens of a text for which the memory suffices."""

    def run(self, ids: list[list[int]]) -> Outputs:
        """Compute a batch while others run concurrently.

        Args:
            ids: Token ids of each text, at least one per text.
        """

    def run_alone(self, ids: list[int]) -> Outputs:
        """Compute one text with minimal latency, while nothing else runs.

        Args:
            ids: The text's token ids, at least one.
        """


class OpenVinoEngine:
    """A graph compiled for the CPU; see :class:`Engine`. Each thread has its own inference requests."""

    def __init__(self, folder: "ModelFolder | CrossEncoderFolder", precision: Precision, pad_id: int) -> None:
        """Build and compile the graph.

        Args:
            folder: The model.
            precision: Arithmetic to compute in.
            pad_id: Token id that pads the shorter texts of a batch.

        Raises:
            ConfigurationError: The weights are unreadable, or a tensor is missing or has a wrong shape.
        """
        self.precision = precision
        self.workers = os.cpu_count() or 1
        self.tokens_per_batch = _TOKENS_PER_BATCH
        self._pad_id = pad_id
        self._max_tokens = folder.max_tokens
        graph = build_graph(folder, int8=precision == "int8")
        self._reads_token_types = "token_type_ids" in {node.get_any_name() for node in graph.inputs}
        self._compiled = _compile(graph, precision, streams=self.workers)
        alone = self.workers > 1 and folder.weights.stat().st_size <= _LARGEST_TWICE_COMPILED_BYTES
        self._compiled_alone = _compile(graph, precision, streams=1) if alone else self._compiled
        self.longest = _longest(folder.config.attention_bytes, self.workers)
        self._requests = threading.local()

    def run(self, ids: list[list[int]]) -> Outputs:
        """Compute a batch on one core."""
        return self._infer(self._request("batch", self._compiled), ids)

    def run_alone(self, ids: list[int]) -> Outputs:
        """Compute one text on all cores."""
        return self._infer(self._request("alone", self._compiled_alone), [ids])

    def _width(self, ids: list[list[int]]) -> int:
        width = max(map(len, ids))
        steps = _WIDTH_STEPS if len(ids) > _FEW_TEXTS else _WIDTH_STEPS_OF_FEW
        step = next((step for largest, step in steps if width <= largest), _LARGEST_WIDTH_STEP)
        return min(-(-width // step) * step, self._max_tokens)

    def _request(self, name: str, compiled: ov.CompiledModel) -> ov.InferRequest:
        try:
            return getattr(self._requests, name)
        except AttributeError:
            request = compiled.create_infer_request()
            setattr(self._requests, name, request)
            return request

    def _infer(self, request: ov.InferRequest, ids: list[list[int]]) -> Outputs:
        width = self._width(ids)
        tokens, mask = padded(ids, width, self._pad_id)
        inputs = {"input_ids": tokens, "attention_mask": mask}
        if self._reads_token_types:
            inputs["token_type_ids"] = _padded_types(ids, width)
        request.infer(inputs, share_inputs=True, share_outputs=True)
        return Outputs(request.get_tensor("pooled").data, lambda row: request.get_tensor("hidden").data[row])


def padded(ids: list[list[int]], width: int, pad_id: int) -> "tuple[NDArray[np.int32], NDArray[np.int32]]":
    """Padded token ids and their mask, both int32 (texts, width).

    The mask is 1 for a token, 0 for padding, and :data:`NOT_POOLED` for a token of a prompt that is not pooled.
    """
    tokens = np.full((len(ids), width), pad_id, np.int32)
    mask = np.zeros((len(ids), width), np.int32)
    for row, text in enumerate(ids):
        tokens[row, : len(text)] = text
        mask[row, : len(text)] = 1
        if isinstance(text, PromptedTokens):
            mask[row, : text.prompt_length] = NOT_POOLED
    return tokens, mask


def _padded_types(rows: list[list[int]], width: int) -> "NDArray[np.int32]":
    """Token types of pairs, int32 (texts, width); 0 for padding, and for rows without types."""
    types = np.zeros((len(rows), width), np.int32)
    for number, row in enumerate(rows):
        if isinstance(row, PairTokens) and row.types:
            types[number, : len(row)] = row.types
    return types


def _longest(attention_bytes: int, workers: int) -> int:
    """Tokens of a text whose attention fits into memory, even if every worker computes such a text."""
    memory = available_memory()
    if not attention_bytes or memory is None:
        return sys.maxsize
    return math.isqrt(int(memory * _ATTENTION_SHARE) // workers // attention_bytes)


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 natively."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def chosen_precision(setting: PrecisionSetting) -> Precision:
    """The precision that a setting means on this processor.

    Raises:
        ConfigurationError: The processor does not support the precision.
    """
    if setting == "bf16" and not has_bf16():
        raise ConfigurationError("This processor does not support bfloat16. Use precision fp32 or auto.")
    if setting == "auto":
        return "bf16" if has_bf16() else "fp32"
    return setting


def _compile(graph: ov.Model, precision: Precision, streams: int) -> ov.CompiledModel:
    """Compile a graph for ``streams`` concurrent batches, which share the cores evenly."""
    # With int8, the remaining floating-point operations use bfloat16 if the processor supports it.
    bf16 = precision == "bf16" or (precision == "int8" and has_bf16())
    config = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(os.cpu_count() or 1),
        **({"DYNAMIC_QUANTIZATION_GROUP_SIZE": str(INT8_GROUP_SIZE)} if precision == "int8" else {}),
    }
    return ov.Core().compile_model(graph, "CPU", config)
