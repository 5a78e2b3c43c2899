"""Models of other architectures, and other devices, by sentence-transformers. Needs the extra ``embedstack[torch]``.

Tokenizing, limits, batches and checks are the encoder's own, as for every model; only the computation is torch's.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch.nn.attention import SDPBackend, sdpa_kernel

from embedstack.calls.process_local import Origin
from embedstack.errors import ConfigurationError
from embedstack_server.compute.engine import Outputs, padded
from embedstack_server.model.json_files import read_optional_object
from embedstack_server.model.precision import Precision

if TYPE_CHECKING:
    from pathlib import Path

    from embedstack_server.model.token_heads import TokenHeads

__all__ = ["SentenceTransformersEngine", "SentenceTransformersModel"]

# A batch holds as many texts as it is told of this length, more of shorter ones and fewer of longer ones.
_TOKENS_OF_A_TEXT = 256
# All but cuDNN's, which prepares itself for every new shape of a batch: 70 ms on an H100, where a batch takes five. See
# benchmarks/gpu.py.
_ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
# Where torch was used first: its thread pools and CUDA's context do not work in a child of that process.
_used_in: list[Origin] = []
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class SentenceTransformersModel:
    """A folder that sentence-transformers has loaded; see :class:`~embedstack_server.model.served_model.ServedModel`.

    Attributes:
        path: The folder.
        model_id: The model's name.
        module: What sentence-transformers made of it.
        dimensions: Length of a text's vector.
        max_tokens: Tokens read of one text, special tokens counted.
        pooling: How token vectors become one vector.
        normalize: Whether the model ends in a Normalize module.
        prompts: Text put before an input, by prompt name.
        default_prompt_name: The prompt where a request names none.
        matryoshka_dimensions: Lengths to which a vector may be cut.
        heads: None: these models have no such layers.
    """

    path: "Path"
    model_id: str
    module: SentenceTransformer
    dimensions: int
    max_tokens: int
    pooling: str
    normalize: bool
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    matryoshka_dimensions: tuple[int, ...] = ()
    heads: "TokenHeads | None" = None

    @property
    def tokenizer(self) -> "Path":
        """The tokenizer's definition."""
        return self.path / "tokenizer.json"

    @classmethod
    def read(
        cls, path: "Path", model_id: str | None = None, *, device: str | None = None, precision: Precision = "fp32"
    ) -> "SentenceTransformersModel":
        """Load a folder; code that comes with a model is not run.

        Args:
            path: The folder.
            model_id: The name to report; the folder's own otherwise.
            device: A torch device such as ``cuda`` or ``cpu``; the fastest there is otherwise.
            precision: ``fp32`` or ``bf16``.

        Raises:
            ConfigurationError: The folder cannot be loaded, or what it computes is not one vector per text.
        """
        if precision not in _DTYPES:
            raise ConfigurationError(
                f"{path}: sentence-transformers computes in {' or '.join(_DTYPES)}, not in {precision}."
            )
        if not (path / "tokenizer.json").is_file():
            raise ConfigurationError(
                f"{path} has no tokenizer.json: save the model's fast tokenizer into it (tokenizer.save_pretrained)."
            )
        if not _used_in:
            _used_in.append(Origin())
        _used_in[0].check(
            f"{path}: PyTorch was in use before this process was forked, and its threads and CUDA's context do not "
            "exist here: load the model after the fork only, or start processes with multiprocessing's spawn."
        )
        try:
            module = SentenceTransformer(
                str(path), device=device, local_files_only=True, model_kwargs={"dtype": _DTYPES[precision]}
            )
        except Exception as error:  # torch, transformers and the files' parsers each raise their own
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
            prompts=prompts,
            default_prompt_name=module.default_prompt_name,
            matryoshka_dimensions=tuple(config.get("matryoshka_dimensions") or ()),
        )


class SentenceTransformersEngine:
    """Computes batches with torch; see :class:`~embedstack_server.compute.engine.Engine`.

    Attributes:
        precision: The arithmetic that it computes in.
        workers: Batches at once: torch spreads each over the whole device.
        tokens_per_batch: Largest padded size of a batch.
    """

    workers = 1

    def __init__(
        self, model: SentenceTransformersModel, precision: Precision, pad_id: int, *, batch_size: int = 32
    ) -> None:
        """Take a loaded model.

        Args:
            model: The model.
            precision: The arithmetic that it was loaded for.
            pad_id: The token id that fills the shorter texts of a batch.
            batch_size: Texts of 256 tokens in a batch.
        """
        self.precision = precision
        self.tokens_per_batch = batch_size * _TOKENS_OF_A_TEXT
        self._pad_id = pad_id
        self._device = model.module.device
        # Vectors leave the encoder unscaled, and are scaled for the requests that want it.
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
        # What nobody asks for stays on the device: to copy it would take longer than to compute it.
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
            f"{path}: no module says how long a text's vector is, so its answers cannot be checked."
        )
    return dimensions


def _max_tokens(path: "Path", module: Any, config: dict[str, Any]) -> int:
    limits = (module.max_seq_length, config.get("max_position_embeddings"))
    # A tokenizer without a limit says 10**30.
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < 10**9]
    if not known:
        raise ConfigurationError(f"{path}: say in sentence_bert_config.json how many tokens it reads (max_seq_length).")
    return min(known)


def _pooling(path: "Path", module: Any, *, has_prompts: bool) -> str:
    poolings = [part for part in module if type(part).__name__ == "Pooling"]
    if len(poolings) != 1:
        raise ConfigurationError(f"{path}: modules.json names {len(poolings)} Pooling modules; exactly one is served.")
    if has_prompts and not poolings[0].include_prompt:
        raise ConfigurationError(f"{path}: pooling that leaves out the prompt's tokens is not served.")
    mode = poolings[0].pooling_mode
    return mode if isinstance(mode, str) else "+".join(mode)
