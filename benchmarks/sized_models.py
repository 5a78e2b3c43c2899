"""Models of the sizes of well-known ones, with seeded random weights, which do not affect the time.

A model is a sentence-transformers folder, so that nothing is downloaded. Its tokenizer has the words of the texts.
"""

from pathlib import Path
from typing import Any

__all__ = ["SIZES", "multiplications", "write_model"]

_SPECIALS = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
#: The config.json of each model, its pooling, and its maximum number of tokens.
SIZES: dict[str, tuple[dict[str, Any], str, int]] = {
    "MiniLM-L6": (
        {"model_type": "bert", "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6,
         "num_attention_heads": 12, "intermediate_size": 1536, "max_position_embeddings": 512}, "mean", 256,
    ),
    "bge-m3": (
        {"model_type": "xlm-roberta", "vocab_size": 250002, "hidden_size": 1024, "num_hidden_layers": 24,
         "num_attention_heads": 16, "intermediate_size": 4096, "max_position_embeddings": 8194}, "cls", 8192,
    ),
    "Qwen3-0.6B": (
        {"model_type": "qwen3", "vocab_size": 151669, "hidden_size": 1024, "num_hidden_layers": 28,
         "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072,
         "max_position_embeddings": 32768}, "lasttoken", 8192,
    ),
}  # fmt: skip


def write_model(folder: Path, size: str, texts: list[str]) -> Path:
    """Write a model of this size below a folder, and return the model's own folder."""
    import torch  # noqa: PLC0415 - SIZES can be imported without it
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer  # noqa: PLC0415
    from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: PLC0415
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast  # noqa: PLC0415

    torch.manual_seed(7)
    config, pooling, longest = SIZES[size]
    words = sorted({word for text in texts for word in text.split()})[: config["vocab_size"] - len(_SPECIALS)]
    ids = {word: index for index, word in enumerate([*_SPECIALS.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(ids, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 2), ("</s>", 3)])
    special_ids = {"pad_token_id": 0, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
    AutoModel.from_config(AutoConfig.for_model(**config, **special_ids)).save_pretrained(folder / "encoder")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **_SPECIALS).save_pretrained(folder / "encoder")
    modules = [
        Transformer(str(folder / "encoder"), max_seq_length=longest),
        Pooling(config["hidden_size"], pooling),
        Normalize(),
    ]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"))
    return folder / "model"


def multiplications(size: str, tokens: int) -> float:
    """Floating-point operations of a text's matrix products, two for each multiplication with its addition."""
    config, _, _ = SIZES[size]
    width, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"] * config.get("head_dim", width // config["num_attention_heads"])
    keys = heads * config.get("num_key_value_heads", config["num_attention_heads"]) // config["num_attention_heads"]
    matrices = 3 if config["model_type"] == "qwen3" else 2  # of the feed-forward network
    weights = width * (2 * heads + 2 * keys) + matrices * width * inner
    total: float = config["num_hidden_layers"] * (2 * weights * tokens + 4 * heads * tokens**2)
    return total
