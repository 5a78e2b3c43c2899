"""Compute the reference outputs of models with sharp weights, one per family of architectures.

Part of ``make reference-vectors``; this family only: ``python -m tests.support.make_family_references NAME``.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import Gemma3TextConfig, Gemma3TextModel, PreTrainedModel, PreTrainedTokenizerFast

from tests.support.reference_models import SHARP_TEXTS, SHARP_WORDS, ReferenceModel

_LONGEST = 700


def _gemma3(folder: Path, **changes: Any) -> None:
    tokenizer = _tokenizer("<bos> $A <eos>", {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>"})
    numbers: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 24, "query_pre_attn_scalar": 40,
        "sliding_window": 128, "use_bidirectional_attention": True, "max_position_embeddings": _LONGEST,
    }  # fmt: skip
    model = Gemma3TextModel(Gemma3TextConfig(**numbers | changes))
    identity = torch.nn.Identity()
    modules = [
        Pooling(32, "mean"),
        Dense(32, 64, bias=False, activation_function=identity),
        Dense(64, 32, bias=False, activation_function=identity),
        Normalize(),
    ]
    _save(model, tokenizer, modules, folder, prompts={"query": "w1 w2 ", "document": "w3 "})


def _gemma3_causal(folder: Path) -> None:
    """Causal attention, and scaled positions in the global layers."""
    rope = {
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1_000_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    _gemma3(folder, use_bidirectional_attention=False, rope_parameters=rope)


# The function that writes a model's folder, with the sharpness of its weights and the offset of its norms' scales.
_FAMILIES: dict[str, tuple[Callable[[Path], None], float, float]] = {
    "gemma3": (_gemma3, 2.5, -1),
    "gemma3-causal": (_gemma3_causal, 2.5, -1),
}
_SPREAD = 0.12


def store_families(*names: str) -> None:
    """Compute and store the families, all by default."""
    for seed, (name, (write, sharpness, scale_offset)) in enumerate(_FAMILIES.items(), 100):
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder, sharp = Path(temporary) / "model", Path(temporary) / "sharp"
            write(folder)
            files, tensors = _described(folder)
            reference = ReferenceModel(files, tensors, seed, _SPREAD, {}, sharpness, scale_offset)
            sharp.mkdir()
            reference.outputs.update(_outputs(reference.write(sharp)))
            reference.save(name)


@torch.inference_mode()
def _outputs(folder: Path) -> dict[str, Any]:
    """The vectors of all texts, and the last hidden state of the first, the longest."""
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"})
    # One text at a time: without padding, a vector depends on its text only.
    pooled = np.stack([model.encode(text, show_progress_bar=False) for text in SHARP_TEXTS])
    hidden = model.encode(SHARP_TEXTS[0], output_value="token_embeddings", show_progress_bar=False)
    return {"hidden": hidden.numpy(), "pooled": pooled}


def _save(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    modules: list[torch.nn.Module],
    folder: Path,
    prompts: dict[str, str] | None = None,
) -> None:
    model.save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    transformer = Transformer(str(folder / "encoder"), max_seq_length=_LONGEST)
    SentenceTransformer(modules=[transformer, *modules], prompts=prompts, device="cpu").save(str(folder))


def _tokenizer(template: str, specials: dict[str, str]) -> PreTrainedTokenizerFast:
    specials = {**specials, "unk_token": "<unk>"}
    words = [*specials.values(), *SHARP_WORDS]
    vocabulary = {token: index for index, token in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    used = [(token, vocabulary[token]) for token in specials.values() if token in template]
    tokenizer.post_processor = processors.TemplateProcessing(template, None, used)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials)


def _described(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, tuple[int, ...]]]]:
    """The JSON files of a folder, and the names and shapes of its tensors."""
    described = [path for path in sorted(folder.rglob("*")) if path.relative_to(folder).parts[0] != "encoder"]
    files = {
        str(path.relative_to(folder)): json.loads(path.read_text(encoding="utf-8"))
        for path in described
        if path.suffix == ".json"
    }
    tensors: dict[str, dict[str, tuple[int, ...]]] = {}
    for path in described:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
            tensors[str(path.relative_to(folder))] = shapes
    return files, tensors


if __name__ == "__main__":
    store_families(*sys.argv[1:])
