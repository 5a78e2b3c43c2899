"""The engine for other architectures and devices, by sentence-transformers. Needs the extra ``embedstack[torch]``.

The encoder tokenizes, limits, batches and checks as for every model; only the computation is done by torch.
"""

import logging
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch.nn.attention import SDPBackend, sdpa_kernel

from embedstack.calls.process_local import Origin
from embedstack.errors import ConfigurationError
from embedstack.models.json_files import read_optional_object
from embedstack.models.model_info import ModelKind
from embedstack_server.compute.engine import Outputs, padded
from embedstack_server.model.precision import Precision
from embedstack_server.model.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstack_server.model.token_heads import TokenHeads

__all__ = ["SentenceTransformersEngine", "SentenceTransformersModel", "load_fastest"]

_logger = logging.getLogger(__name__)

# The batch size counts texts of this length; a batch contains more shorter texts or fewer longer ones.
_TOKENS_OF_A_TEXT = 256
# All attention backends except cuDNN's, which takes 70 ms of preparation for every new batch shape on an H100, where a
# batch takes 5 ms (benchmarks/gpu.py).
_ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
# The process that first used torch: its thread pools and CUDA context do not work in forked children.
_used_in: list[Origin] = []
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Before bf16 is used, the vectors of these texts are compared with those in fp32. Models of the sizes of MiniLM-L6 and
# bge-m3 have a cosine of 0.9999 on an H100 (benchmarks/gpu.py).
_PROBES = (
    "Where is the nearest train station?",
    "The contract ends on 31 December 2027, unless a party terminates it in writing three months earlier.",
    "def add(first: int, second: int) -> int:\n    return first + second",
    " ".join(["Errors of sums over many tokens are visible in long texts only."] * 12),
)
_LEAST_COSINE = 0.999


@dataclass(frozen=True, slots=True)
class SentenceTransformersModel:
    """A folder that sentence-transformers has loaded; see :class:`~embedstack_server.model.served_model.ServedModel`.

    Attributes:
        kind: What the model computes.
        path: The folder.
        model_id: The model's name.
        module: The loaded model.
        dimensions: Length of a text's vector.
        max_tokens: Tokens read of one text, including special tokens.
        pooling: How token vectors become one vector.
        normalize: Whether the model ends with a Normalize module.
        precision: Arithmetic that it was loaded for.
        prompts: Texts to prepend to an input, by prompt name.
        default_prompt_name: Prompt of requests that name none.
        matryoshka_dimensions: Lengths to which a vector may be truncated.
        heads: Always None: these models have no token heads.
        pools_prompt: Always True: models that leave out a prompt's tokens are rejected.
    """

    kind: ClassVar[ModelKind] = "embedding"

    path: "Path"
    model_id: str
    module: SentenceTransformer
    dimensions: int
    max_tokens: int
    pooling: str
    normalize: bool
    precision: Precision
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    matryoshka_dimensions: tuple[int, ...] = ()
    heads: "TokenHeads | None" = None
    pools_prompt: bool = True

    @property
    def matryoshka_layer_norm(self) -> bool:
        """False: sentence-transformers truncates a vector as it is."""
        return False

    @property
    def tokenizer(self) -> "Path":
        """The tokenizer's definition."""
        return self.path / "tokenizer.json"

    @classmethod
    def read(
        cls, path: "Path", model_id: str | None = None, *, device: str | None = None, precision: Precision = "fp32"
    ) -> "SentenceTransformersModel":
        """Load a folder. Code in the folder is not run.

        Args:
            path: The folder.
            model_id: Name to report; defaults to the folder's own.
            device: Torch device such as ``cuda`` or ``cpu``; defaults to the fastest available.
            precision: ``fp32`` or ``bf16``.

        Raises:
            ConfigurationError: The folder cannot be loaded, or does not compute one vector per text.
        """
        if precision not in _DTYPES:
            raise ConfigurationError(
                f"{path}: sentence-transformers supports {' and '.join(_DTYPES)}, not {precision}."
            )
        if not (path / "tokenizer.json").is_file():
            raise ConfigurationError(
                f"{path} has no tokenizer.json. Save the model's fast tokenizer there (tokenizer.save_pretrained)."
            )
        if not _used_in:
            _used_in.append(Origin())
        _used_in[0].check(
            f"{path}: PyTorch was used before this process was forked, and its threads and CUDA context do not exist "
            "here. Load the model after the fork only, or start processes with multiprocessing's spawn method."
        )
        try:
            module = SentenceTransformer(
                str(path), device=device, local_files_only=True, model_kwargs={"dtype": _DTYPES[precision]}
            )
        except Exception as error:  # torch, transformers and file parsers raise various types
            raise ConfigurationError(f"{path}: sentence-transformers cannot load it: {error}") from error
        module.eval()
        config = read_optional_object(path / "config.json")
        kinds = [type(part).__name__ for part in module]
        prompts = {name: text or "" for name, text in (module.prompts or {}).items()}
        return cls(
            path=path,
            model_id=model_id or str(config.get("_name_or_path") or "unknown"),
            module=module,
            dimensions=_dimensions(path, module),
            max_tokens=_max_tokens(path, module, config),
            pooling=_pooling(path, module, has_prompts=any(prompts.values())),
            normalize="Normalize" in kinds,
            precision=precision,
            prompts=prompts,
            default_prompt_name=module.default_prompt_name,
            matryoshka_dimensions=tuple(config.get("matryoshka_dimensions") or ()),
        )


def load_fastest(path: "Path", model_id: str | None, device: str | None) -> SentenceTransformersModel:
    """Load a folder in bf16 if the device multiplies it natively and the vectors stay accurate, otherwise in fp32.

    Raises:
        ConfigurationError: See :meth:`SentenceTransformersModel.read`.
    """
    exact = SentenceTransformersModel.read(path, model_id, device=device)
    if not _has_bf16(exact.module.device):
        return exact
    rounded = SentenceTransformersModel.read(path, model_id, device=device, precision="bf16")
    cosine = float((_probe_vectors(exact) * _probe_vectors(rounded)).sum(axis=1).min())
    if cosine >= _LEAST_COSINE:
        return rounded
    _logger.warning("%s: vectors in bf16 have a cosine of %.4f to fp32, so fp32 is used", exact.model_id, cosine)
    return exact


def _has_bf16(device: torch.device) -> bool:
    return device.type == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _probe_vectors(model: SentenceTransformersModel) -> "NDArray[np.float32]":
    tokenizer = Tokenizer(model.tokenizer, model.max_tokens)
    pooled = SentenceTransformersEngine(model, tokenizer.pad_id).run(tokenizer.encode(_PROBES, truncate=True)).pooled
    unit: NDArray[np.float32] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return unit


class SentenceTransformersEngine:
    """Computes batches with torch; see :class:`~embedstack_server.compute.engine.Engine`.

    Attributes:
        precision: Arithmetic that it computes in.
        workers: Number of concurrent batches; torch uses the whole device for each.
        tokens_per_batch: Maximum padded size of a batch, in tokens.
    """

    workers = 1
    longest = sys.maxsize  # torch raises an error if memory runs out

    def __init__(self, model: SentenceTransformersModel, pad_id: int, *, batch_size: int = 32) -> None:
        """Create the engine of a loaded model.

        Args:
            model: The model.
            pad_id: Token id that pads the shorter texts of a batch.
            batch_size: Texts of 256 tokens per batch.
        """
        self.precision = model.precision
        self.tokens_per_batch = batch_size * _TOKENS_OF_A_TEXT
        self._pad_id = pad_id
        self._device = model.module.device
        # The encoder returns unscaled vectors; they are normalized per request.
        self._modules = [part for part in model.module if type(part).__name__ != "Normalize"]

    def run(self, ids: list[list[int]]) -> Outputs:
        """Compute a batch; see :meth:`~embedstack_server.compute.engine.Engine.run`."""
        tokens, mask = padded(ids, max(map(len, ids)), self._pad_id)
        features: dict[str, Any] = {
            "input_ids": torch.from_numpy(tokens.astype(np.int64)).to(self._device),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)).to(self._device),
        }
        with torch.inference_mode(), sdpa_kernel(_ATTENTION):
            for module in self._modules:
                features = module(features)
        # Token vectors stay on the device unless requested: copying them would take longer than computing them.
        return Outputs(_array(features["sentence_embedding"]), lambda row: _array(features["token_embeddings"][row]))

    def run_alone(self, ids: list[int]) -> Outputs:
        """Compute one text."""
        return self.run([ids])


def _array(tensor: Any) -> Any:
    return tensor.float().cpu().numpy()


def _dimensions(path: "Path", module: Any) -> int:
    dimensions = module.get_embedding_dimension()
    if not isinstance(dimensions, int):
        raise ConfigurationError(
            f"{path}: no module declares the dimensions of a text's vector, so vectors cannot be checked."
        )
    return dimensions


def _max_tokens(path: "Path", module: Any, config: dict[str, Any]) -> int:
    limits = (module.max_seq_length, config.get("max_position_embeddings"))
    # A tokenizer without a limit reports 10**30.
    declared = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < 10**9]
    if not declared:
        raise ConfigurationError(
            f"{path}: the maximum number of tokens is unknown. Set max_seq_length in sentence_bert_config.json."
        )
    return min(declared)


def _pooling(path: "Path", module: Any, *, has_prompts: bool) -> str:
    poolings = [part for part in module if type(part).__name__ == "Pooling"]
    if len(poolings) != 1:
        raise ConfigurationError(f"{path}: modules.json has {len(poolings)} Pooling modules; exactly one is supported.")
    if has_prompts and not poolings[0].include_prompt:
        raise ConfigurationError(
            f"{path}: pooling without the prompt's tokens (include_prompt = false) is not supported."
        )
    mode = poolings[0].pooling_mode
    return mode if isinstance(mode, str) else "+".join(mode)
