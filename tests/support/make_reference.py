"""Compute the reference models' outputs with transformers and sentence-transformers: ``make reference-vectors``.

Runs in the reference environment. Tests compare the model server with the stored outputs.
"""

import json
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from tests.support.make_family_references import store_families
from tests.support.make_static_references import store_static
from tests.support.reference_models import (
    FOLDER,
    LONGEST,
    LONGEST_OF_ALL,
    LONGEST_TEXT,
    PAIRS,
    TEXTS,
    ReferenceModel,
    random_tensor,
    sharp_tensor,
)

BERT_SPECIALS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
ROBERTA_SPECIALS = {
    "bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>",
    "unk_token": "<unk>",
}  # fmt: skip
WORDS = ["the", "cat", "sat", "on", "mat", "dog", "ran", "far"]
NAMES = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
DISTILBERT_NAMES = {"n_layers": 2, "dim": 32, "n_heads": 4, "hidden_dim": 64}
POOLINGS = ("mean", "cls", "max", "mean_sqrt_len_tokens")

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bert": {**NAMES, "max_position_embeddings": LONGEST},
    "camembert": {**NAMES, "max_position_embeddings": LONGEST + 2},
    "distilbert": {**DISTILBERT_NAMES, "max_position_embeddings": LONGEST},
    "electra": {**NAMES, "embedding_size": 16, "max_position_embeddings": LONGEST, "hidden_act": "relu"},
    "mpnet": {**NAMES, "max_position_embeddings": LONGEST + 2},
    "roberta": {**NAMES, "max_position_embeddings": LONGEST + 2, "hidden_act": "gelu_new"},
    "xlm-roberta": {**NAMES, "max_position_embeddings": LONGEST + 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
}


def main() -> None:
    """Compute and store everything."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed, (name, numbers) in enumerate(ARCHITECTURES.items()):
        with tempfile.TemporaryDirectory() as folder:
            _store_architecture(name, numbers, seed, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        _store_dense(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        _store_bge_m3(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        _store_long(Path(folder))
    _store_cross_encoders()
    _store_torch_files()
    store_families()
    store_static()


@torch.inference_mode()
def _store_architecture(name: str, numbers: dict[str, Any], seed: int, folder: Path) -> None:
    transformer = _transformer(name, numbers, seed, 0.3, folder / "encoder")
    outputs: dict[str, Any] = {}
    for mode in POOLINGS:
        model = SentenceTransformer(modules=[transformer, Pooling(_width(transformer), mode)], device="cpu")
        # One text at a time: without padding, a vector depends on its text only.
        outputs[mode] = np.stack([model.encode(text, show_progress_bar=False) for text in TEXTS])
    model.save(str(folder / "model"))
    outputs["hidden"] = _hidden(model, TEXTS[0])
    _stored(folder / "model", seed, 0.3, outputs).save(name)


@torch.inference_mode()
def _store_dense(folder: Path) -> None:
    seed = 20
    transformer = _transformer("bert", ARCHITECTURES["bert"], seed, 0.3, folder / "encoder")
    wide = Dense(32, 48, activation_function=torch.nn.Tanh())
    narrow = Dense(48, 8, bias=False, activation_function=torch.nn.Identity())
    for module in (wide, narrow):
        _fill(module, seed, 0.3)
    model = SentenceTransformer(modules=[transformer, Pooling(32, "mean"), wide, narrow, Normalize()], device="cpu")
    model.save(str(folder / "model"))
    outputs = {"normalized": np.stack([model.encode(text, show_progress_bar=False) for text in TEXTS])}
    _stored(folder / "model", seed, 0.3, outputs).save("dense")


@torch.inference_mode()
def _store_bge_m3(folder: Path) -> None:
    """BGE-M3's width with two of its layers: dense, sparse and ColBERT by its formulas."""
    seed, spread = 30, 0.04
    numbers = {
        "num_hidden_layers": 2, "hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096,
        "max_position_embeddings": LONGEST + 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
    }  # fmt: skip
    transformer = _transformer("xlm-roberta", numbers, seed, spread, folder / "encoder")
    model = SentenceTransformer(modules=[transformer, Pooling(1024, "cls"), Normalize()], device="cpu")
    model.save(str(folder / "model"))
    sparse_linear, colbert_linear = torch.nn.Linear(1024, 1), torch.nn.Linear(1024, 1024)
    heads = {"sparse_linear.safetensors": sparse_linear, "colbert_linear.safetensors": colbert_linear}
    for head in heads.values():
        _fill(head, seed, spread)
    texts = [TEXTS[0], TEXTS[3]]
    outputs: dict[str, Any] = {"dense": np.stack([model.encode(text, show_progress_bar=False) for text in texts])}
    specials = {transformer.tokenizer.convert_tokens_to_ids(token) for token in ("<s>", "</s>", "<pad>", "<unk>")}
    for index, text in enumerate(texts):
        hidden = torch.from_numpy(_hidden(model, text))
        ids = transformer.tokenizer(text)["input_ids"]
        outputs[f"colbert{index}"] = functional.normalize(colbert_linear(hidden[1:]), dim=-1).numpy()
        weights: dict[int, float] = {}
        for token, weight in zip(ids, torch.relu(sparse_linear(hidden))[:, 0].tolist(), strict=True):
            if token not in specials and weight > weights.get(token, 0):
                weights[token] = weight
        outputs[f"sparse{index}"] = np.array(sorted(weights.items()), np.float32)
    stored = _stored(folder / "model", seed, spread, outputs)
    for file, head in heads.items():
        stored.tensors[file] = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    stored.save("bge-m3")


@torch.inference_mode()
def _store_long(folder: Path) -> None:
    """The maximum number of tokens of BGE-M3."""
    seed, spread = 40, 0.3
    numbers = {**ARCHITECTURES["xlm-roberta"], "max_position_embeddings": LONGEST_OF_ALL + 2}
    transformer = _transformer("xlm-roberta", numbers, seed, spread, folder / "encoder", LONGEST_OF_ALL)
    model = SentenceTransformer(modules=[transformer, Pooling(32, "mean")], device="cpu")
    model.save(str(folder / "model"))
    outputs = {"mean": model.encode([LONGEST_TEXT], show_progress_bar=False)}
    _stored(folder / "model", seed, spread, outputs).save("long")


SHARP_SPREAD = 0.12
SHARP_NUMBERS = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 1024}
_IDENTITY = "torch.nn.modules.linear.Identity"
_MODERNBERT = {**SHARP_NUMBERS, "num_hidden_layers": 4, "local_attention": 16}
# Cross-encoders: the architecture, its settings, and the members to add to config.json. With None, the folder is saved
# by sentence-transformers 6; otherwise as by versions before 5, without modules.json and with the activation in
# config.json.
CROSS_ENCODERS: dict[str, tuple[str, dict[str, Any], dict[str, Any] | None]] = {
    "bert": ("bert", ARCHITECTURES["bert"], None),
    "bert-untyped": ("bert", ARCHITECTURES["bert"], None),
    "camembert": ("camembert", ARCHITECTURES["camembert"], {}),
    "distilbert": ("distilbert", ARCHITECTURES["distilbert"], {"sbert_ce_default_activation_function": _IDENTITY}),
    "electra": (
        "electra",
        ARCHITECTURES["electra"],
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid", "version": "4.1.0"}},
    ),
    "gte": ("gte", {**SHARP_NUMBERS, "num_hidden_layers": 3, "type_vocab_size": 2, "rope_theta": 20000.0}, None),
    "modernbert": ("modernbert", {**_MODERNBERT, "classifier_pooling": "mean"}, None),
    "modernbert-biases": (
        "modernbert",
        {**_MODERNBERT, "classifier_bias": True, "norm_bias": True, "classifier_activation": "relu"},
        {"sentence_transformers": {"activation_fn": _IDENTITY, "version": "5.1.0"}},
    ),
    "mpnet": (
        "mpnet",
        ARCHITECTURES["mpnet"],
        {"sentence_transformers": {"activation_fn": _IDENTITY, "version": "4.1.0"}},
    ),
    "roberta": ("roberta", ARCHITECTURES["roberta"], None),
    "xlm-roberta": (
        "xlm-roberta",
        ARCHITECTURES["xlm-roberta"],
        {"sbert_ce_default_activation_function": "my.package.Activation"},
    ),
}
# Those whose tokenizer returns token types.
TYPED = ("bert", "electra", "gte")


def _store_cross_encoders() -> None:
    for seed, name in enumerate(CROSS_ENCODERS, 50):
        with tempfile.TemporaryDirectory() as folder:
            _store_cross_encoder(name, seed, Path(folder))


@torch.inference_mode()
def _store_cross_encoder(name: str, seed: int, folder: Path) -> None:
    """Logits of pairs with both truncation directions, and scores with the model's activation."""
    sharpness = 8.0
    architecture, numbers, settings = CROSS_ENCODERS[name]
    has_bert_tokens = architecture in ("bert", "distilbert", "electra", "gte", "modernbert")
    tokenizer = _tokenizer(BERT_SPECIALS if has_bert_tokens else ROBERTA_SPECIALS, pairs=True)
    tokenizer.model_max_length = LONGEST
    if name in TYPED:
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    # ModernBERT's default ids are outside of this vocabulary.
    unset = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
    config = AutoConfig.for_model(
        architecture,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
        **(unset if architecture == "modernbert" else {}),
        **numbers,
    )
    path = folder / "model"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    # The file's tensors are filled, and not the module's, since transformers may rename and split them.
    shapes = _shapes(path / "model.safetensors")
    filled = {tensor: sharp_tensor(seed, tensor, shape, SHARP_SPREAD, sharpness) for tensor, shape in shapes.items()}
    save_file(filled, path / "model.safetensors", {"format": "pt"})
    if settings:
        content = json.loads((path / "config.json").read_text(encoding="utf-8"))
        (path / "config.json").write_text(json.dumps(content | settings), encoding="utf-8")
    cross_encoder = CrossEncoder(str(path), device="cpu")
    outputs = {"scores": _scores(cross_encoder, cross_encoder.activation_fn)}
    for side in ("right", "left"):
        cross_encoder.tokenizer.truncation_side = side
        outputs[side] = _scores(cross_encoder, torch.nn.Identity())
    cross_encoder.tokenizer.truncation_side = "right"
    if settings is None:
        path = folder / "saved"
        cross_encoder.save(str(path))
    stored = _stored(path, seed, SHARP_SPREAD, outputs, sharpness)
    assert stored.tensors["model.safetensors"].keys() == filled.keys()
    stored.save(f"cross-{name}")


def _scores(cross_encoder: CrossEncoder, activation: Any) -> Any:
    # One pair at a time: without padding, a score depends on its pair only.
    predict = cross_encoder.predict
    return np.stack([predict(pair, activation_fn=activation, show_progress_bar=False) for pair in PAIRS])


def _store_torch_files() -> None:
    """State dictionaries as torch writes them, in every variant that a reader must handle."""
    base = torch.from_numpy(random_tensor(0, "base", (6, 4), 1.0))
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        tensors = OrderedDict(
            whole=base.to(dtype),
            transposed=base.to(dtype).T,
            rows=base.to(dtype)[2:4],
            parameter=torch.nn.Parameter(base.to(dtype)),
            scalar=base.to(dtype)[1, 1],
            position_ids=torch.arange(5),
        )
        torch.save(tensors, FOLDER / f"{str(dtype).removeprefix('torch.')}.bin")
    heads = {
        "sparse_linear": torch.arange(1, 5).reshape(1, 4),
        "colbert_linear": torch.arange(1, 17).reshape(4, 4),
    }
    for name, matrix in heads.items():
        layer = OrderedDict(weight=matrix.half(), bias=torch.full((len(matrix),), 0.5).half())
        torch.save(layer, FOLDER / f"{name}.pt")
    bert = AutoModel.from_config(AutoConfig.for_model("bert", vocab_size=12, **ARCHITECTURES["bert"]))
    _fill(bert, list(ARCHITECTURES).index("bert"), 0.3)
    torch.save(bert.half().state_dict(), FOLDER / "pytorch_model.bin")
    torch.save({"whole": base}, FOLDER / "before_1_6.bin", _use_new_zipfile_serialization=False)
    torch.save({"whole": base.double()}, FOLDER / "float64.bin")
    torch.save({"epoch": 3, "model": {"whole": base}}, FOLDER / "checkpoint.bin")


def _transformer(
    name: str, numbers: dict[str, Any], seed: int, spread: float, folder: Path, longest: int = LONGEST
) -> Transformer:
    specials = BERT_SPECIALS if name in ("bert", "distilbert", "electra") else ROBERTA_SPECIALS
    tokenizer = _tokenizer(specials)
    config = AutoConfig.for_model(name, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **numbers)
    model = AutoModel.from_config(config, attn_implementation="eager")
    _fill(model, seed, spread)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Transformer(str(folder), max_seq_length=longest)


def _tokenizer(specials: dict[str, str], words: list[str] = WORDS, *, pairs: bool = False) -> PreTrainedTokenizerFast:
    vocabulary = {token: index for index, token in enumerate([*dict.fromkeys(specials.values()), *words])}
    added = [specials[kind] for kind in ("cls_token", "sep_token") if kind in specials]
    template = " ".join([*added[:-1], "$A", added[-1]])
    tokenizer = Tokenizer(models.WordLevel(vocabulary, specials["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # BERT's second text has tokens of type 1; RoBERTa has two special tokens between the texts.
    last = added[-1]
    pair = f"{template} $B:1 {last}:1" if last == "[SEP]" else f"{template} {last} $B {last}"
    tokenizer.post_processor = processors.TemplateProcessing(
        template, pair if pairs else None, [(token, vocabulary[token]) for token in added]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials)


def _fill(module: torch.nn.Module, seed: int, spread: float) -> None:
    for name, parameter in module.named_parameters():
        parameter.data = torch.from_numpy(random_tensor(seed, name, tuple(parameter.shape), spread))


def _width(transformer: Transformer) -> int:
    return int(transformer.model.config.hidden_size)


def _hidden(model: SentenceTransformer, text: str) -> Any:
    return model.encode(text, output_value="token_embeddings", show_progress_bar=False).numpy()


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(path, framework="numpy") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping


def _stored(folder: Path, seed: int, spread: float, outputs: dict[str, Any], sharpness: float = 0) -> ReferenceModel:
    """A saved model's JSON files, the names and shapes of its tensors, and its outputs."""
    files = {
        str(path.relative_to(folder)): json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("*.json")
    }
    tensors = {str(path.relative_to(folder)): _shapes(path) for path in folder.rglob("*.safetensors")}
    return ReferenceModel(dict(sorted(files.items())), tensors, seed, spread, outputs, sharpness)


if __name__ == "__main__":
    main()
