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
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    Gemma3TextConfig,
    Gemma3TextModel,
    NomicBertConfig,
    NomicBertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from tests.support.nomic_moe import nomic_moe_hidden
from tests.support.reference_models import SHARP_TEXTS, SHARP_WORDS, ReferenceModel

_LONGEST = 700
# The defaults are ids of the released models' vocabularies.
_NO_SPECIAL_IDS = {f"{kind}_token_id": None for kind in ("pad", "bos", "eos", "cls", "sep")}


def write_gemma3(folder: Path, **changes: Any) -> None:
    tokenizer = _tokenizer("<bos> $A <eos>", {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>"})
    numbers: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 24, "query_pre_attn_scalar": 40,
        "sliding_window": 128, "use_bidirectional_attention": True, "max_position_embeddings": _LONGEST,
    }  # fmt: skip
    numbers |= changes
    model, size = Gemma3TextModel(Gemma3TextConfig(**numbers)), numbers["hidden_size"]
    identity = torch.nn.Identity()
    modules = [
        Pooling(size, "mean"),
        Dense(size, 2 * size, bias=False, activation_function=identity),
        Dense(2 * size, size, bias=False, activation_function=identity),
        Normalize(),
    ]
    _save(model, tokenizer, modules, folder, prompts={"query": "w1 w2 ", "document": "w3 "})


def write_gemma3_causal(folder: Path) -> None:
    """Causal attention, and scaled positions in the global layers."""
    rope = {
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1_000_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    write_gemma3(folder, use_bidirectional_attention=False, rope_parameters=rope)


def write_nomic_bert(folder: Path, **changes: Any) -> None:
    tokenizer = _tokenizer("[CLS] $A [SEP]", {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"})
    numbers: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
        "num_attention_heads": 2, "max_position_embeddings": _LONGEST,
    }  # fmt: skip
    numbers |= changes
    model = NomicBertModel(NomicBertConfig(**numbers))
    _save(model, tokenizer, [Pooling(numbers["hidden_size"], "mean")], folder, prompts={"search_query": "w1 w2 "})


def write_nomic_bert_dynamic(folder: Path) -> None:
    """The longest text is longer than the training texts; the others are not."""
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1000.0}
    write_nomic_bert(folder, rope_parameters=rope, max_position_embeddings=256)
    # Otherwise sentence-transformers reads max_position_embeddings tokens.
    settings = folder / "sentence_bert_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "max_seq_length": _LONGEST}))


def write_nomic_moe(folder: Path) -> None:
    """Not in transformers: a folder of version 1 with another configuration and other tensors."""
    write_nomic_bert(folder)
    size, inner, experts, layers, rows = 32, 24, 4, 4, len(SHARP_WORDS) + 4
    config = {
        "model_type": "nomic_bert", "architectures": ["NomicBertModel"], "activation_function": "gelu",
        "n_embd": size, "n_head": 2, "n_inner": inner, "n_layer": layers, "n_positions": 2048, "vocab_size": rows,
        "type_vocab_size": 1, "layer_norm_epsilon": 1e-5, "prenorm": False, "qkv_proj_bias": True,
        "mlp_fc1_bias": True, "mlp_fc2_bias": True, "rotary_emb_base": 10000, "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None,
        "max_trained_positions": 2048, "moe_every_n_layers": 2, "moe_normalize_expert_weights": False,
        "moe_top_k": 2, "num_experts": experts, "num_shared_experts": 0, "expert_choice_router": False,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (rows, size), "embeddings.token_type_embeddings.weight": (1, size),
        "emb_ln.weight": (size,), "emb_ln.bias": (size,),
    }  # fmt: skip

    def linear(name: str, inputs: int, outputs: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    for layer in (f"encoder.layers.{number}" for number in range(layers)):
        linear(f"{layer}.attn.Wqkv", size, 3 * size)
        linear(f"{layer}.attn.out_proj", size, size)
        for norm in ("norm1", "norm2"):
            shapes |= {f"{layer}.{norm}.weight": (size,), f"{layer}.{norm}.bias": (size,)}
        if int(layer[-1]) % 2:
            shapes |= {f"{layer}.mlp.experts.mlp.{part}": (experts * inner, size) for part in ("w1", "w2")}
            shapes |= {f"{layer}.mlp.router.layer.weight": (experts, size), f"{layer}.mlp.experts.bias": (size,)}
        else:
            linear(f"{layer}.mlp.fc1", size, inner)
            linear(f"{layer}.mlp.fc2", inner, size)
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, folder / "model.safetensors")


def _nomic_moe_outputs(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text())
    tokenizer, weights = Tokenizer.from_file(str(folder / "tokenizer.json")), load_file(folder / "model.safetensors")
    hidden = [nomic_moe_hidden(config, weights, tokenizer.encode(text).ids) for text in SHARP_TEXTS]
    return {"hidden": hidden[0], "pooled": np.stack([states.mean(axis=0) for states in hidden])}


def write_t5(folder: Path, **changes: Any) -> None:
    tokenizer = _tokenizer("$A </s>", {"pad_token": "<pad>", "eos_token": "</s>"})
    numbers: dict[str, Any] = {
        "vocab_size": len(tokenizer), "d_model": 32, "d_kv": 12, "d_ff": 48, "num_layers": 4, "num_heads": 4,
    }  # fmt: skip
    numbers |= changes
    model, size = T5EncoderModel(T5Config(**numbers)), numbers["d_model"]
    dense = Dense(size, 24, bias=False, activation_function=torch.nn.Identity())
    _save(model, tokenizer, [Pooling(size, "mean"), dense, Normalize()], folder)


def write_t5_gated(folder: Path) -> None:
    write_t5(folder, feed_forward_proj="gated-gelu", relative_attention_max_distance=64)


def write_modernbert(folder: Path, pooling: str = "mean", **changes: Any) -> None:
    """ModernBERT, with mean pooling by default."""
    _bert_like("modernbert", folder, pooling, {"num_hidden_layers": 6, "local_attention": 128, **changes})


def write_modernbert_biases(folder: Path) -> None:
    """Every optional bias, and an odd window."""
    numbers = {"num_hidden_layers": 4, "local_attention": 9, "global_attn_every_n_layers": 2}
    write_modernbert(folder, "cls", **numbers, norm_bias=True, attention_bias=True, mlp_bias=True)


def write_gte(folder: Path, **changes: Any) -> None:
    """GTE with ntk scaling by 8 of a base of 20000, as transformers converts it."""
    rope = {"rope_type": "linear", "rope_theta": 160000.0, "factor": 8 ** (2 / 16)}
    numbers = {"num_hidden_layers": 4, "type_vocab_size": 1, "rope_parameters": rope}
    _bert_like("gte", folder, "cls", numbers | changes)


def write_gte_no_types(folder: Path) -> None:
    """Without token types."""
    write_gte(folder, type_vocab_size=0, rope_parameters={"rope_type": "default", "rope_theta": 500000.0})


def _bert_like(architecture: str, folder: Path, pooling: str, numbers: dict[str, Any]) -> None:
    specials = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = _tokenizer("[CLS] $A [SEP]", specials)
    common = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2,
        "max_position_embeddings": _LONGEST, **_NO_SPECIAL_IDS,
    }  # fmt: skip
    model = AutoModel.from_config(AutoConfig.for_model(architecture, **common | numbers))
    width = model.config.hidden_size
    _save(model, tokenizer, [Pooling(width, pooling), Normalize()], folder)


def write_qwen3(folder: Path, pooling: str = "lasttoken", **changes: Any) -> None:
    """Qwen3, causal by default."""
    # The end token that the tokenizer adds is the padding token, too.
    tokenizer = _tokenizer("$A <|endoftext|>", {"pad_token": "<|endoftext|>"})
    numbers: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rope_theta": 1_000_000.0,
        "max_position_embeddings": _LONGEST, **_NO_SPECIAL_IDS,
    }  # fmt: skip
    model = AutoModel.from_config(AutoConfig.for_model("qwen3", **numbers | changes))
    _save(model, tokenizer, [Pooling(model.config.hidden_size, pooling), Normalize()], folder)


def write_qwen3_bidirectional(folder: Path) -> None:
    """Attention in both directions, and one head of keys and values."""
    write_qwen3(folder, "mean", num_key_value_heads=1, is_causal=False, attention_bias=True)


# The function that writes a model's folder, with the sharpness of its weights and the offset of its norms' scales.
_FAMILIES: dict[str, tuple[Callable[..., None], float, float]] = {
    "gemma3": (write_gemma3, 2.5, -1),
    "gemma3-causal": (write_gemma3_causal, 2.5, -1),
    "nomic-bert": (write_nomic_bert, 8, 0),
    "nomic-bert-dynamic": (write_nomic_bert_dynamic, 8, 0),
    "nomic-moe": (write_nomic_moe, 8, 0),
    "t5": (write_t5, 2, 0),
    "t5-gated": (write_t5_gated, 2, 0),
    "modernbert": (write_modernbert, 8, 0),
    "modernbert-biases": (write_modernbert_biases, 8, 0),
    "qwen3": (write_qwen3, 4, 0),
    "qwen3-bidirectional": (write_qwen3_bidirectional, 4, 0),
    "gte": (write_gte, 8, 0),
    "gte-no-types": (write_gte_no_types, 8, 0),
}
_SPREAD = 0.12


def store_families(*names: str) -> None:
    """Compute and store the families, all by default."""
    for seed, name in enumerate(_FAMILIES, 100):
        if names and name not in names:
            continue
        reference = sharp_model(name, seed)
        with tempfile.TemporaryDirectory() as temporary:
            outputs = _nomic_moe_outputs if name == "nomic-moe" else _outputs
            reference.outputs.update(outputs(reference.write(Path(temporary))))
            reference.save(name)


def sharp_model(
    name: str, seed: int, *, spread: float = _SPREAD, sharpness: float | None = None, **changes: Any
) -> ReferenceModel:
    """A model of a family, without outputs.

    Args:
        name: The family.
        seed: Seed of the weights.
        spread: Standard deviation of the weights.
        sharpness: Scale of the attention scores; defaults to the family's.
        changes: Changes of the family's configuration.
    """
    write, default, scale_offset = _FAMILIES[name]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), **changes)
        files, tensors = _described(Path(folder))
    return ReferenceModel(files, tensors, seed, spread, {}, default if sharpness is None else sharpness, scale_offset)


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
