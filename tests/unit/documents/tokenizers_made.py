"""Small tokenizers of the types of embedding models, in addition to the WordPiece of all-MiniLM-L6-v2."""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

_WORDS = ["▁the", "▁cat", "▁sat", "▁on", "▁mat", "th", "ca", "at", "模型", "速度", "我们", "。"]


def write_unigram(folder: Path) -> Path:
    """Unigram, like XLM-RoBERTa: the tokens of a text without spaces depend on where it is cut."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(word, -3.0) for word in _WORDS] + [(letter, -6.0) for letter in letters]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return _saved(tokenizer, folder / "unigram.json")


def write_bytes(folder: Path) -> Path:
    """Byte-level BPE without merges: every byte is a token, so that tokens share characters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _saved(tokenizer, folder / "bytes.json")


def write_words(folder: Path) -> Path:
    """Whitespace-separated words of any length are tokens."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "word": 1}, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _saved(tokenizer, folder / "words.json")


def _saved(tokenizer: Tokenizer, path: Path) -> Path:
    tokenizer.save(str(path))
    return path
