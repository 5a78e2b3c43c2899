"""A small tokenizer of every kind, and pieces of text that their rules treat differently."""

from typing import Any

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "##s", "sat", "漢", "字", "a", "##a", "1", "##2", ",", "("]
PIECES = ["▁", "a", "b", "1", "2", ",", "(", "漢", "字", "aa", "aaa", "ab", "ba", "▁a", "▁ab", "漢字", "字漢"]
UNKNOWN: Any = {"unk_token": "[UNK]"}
CORPUS = ["the cat sat on the mat, aaa abab 1212 (漢字) don't"] * 40


def wordpiece():
    tokenizer = tokenizers.Tokenizer(models.WordPiece({word: index for index, word in enumerate(WORDS)}, **UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    return tokenizer


def unigram(pre_tokenizer):
    vocabulary = [("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((piece, -2.0 - len(piece) / 4) for piece in PIECES)]
    tokenizer = tokenizers.Tokenizer(models.Unigram(vocabulary, 2))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 1)])
    return tokenizer


def byte_level(*, add_prefix_space):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), add_prefix_space=add_prefix_space)
    return tokenizer


def without_pre_tokenizer():
    tokenizer = tokenizers.Tokenizer(models.BPE(fuse_unk=True, unk_token="<unk>"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def metaspace_within_words():
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])


def with_added_words():
    tokenizer = wordpiece()
    tokenizer.add_tokens(
        [tokenizers.AddedToken("cat sat", single_word=True), tokenizers.AddedToken("字漢", single_word=True)]
    )
    return tokenizer


KINDS = {
    "wordpiece": wordpiece,
    "wordpiece with added words": with_added_words,
    "unigram": lambda: unigram(pre_tokenizers.Metaspace()),
    "unigram of words": lambda: unigram(metaspace_within_words()),
    "unigram without first mark": lambda: unigram(pre_tokenizers.Metaspace(prepend_scheme="never")),
    "byte-level": lambda: byte_level(add_prefix_space=False),
    "byte-level with first space": lambda: byte_level(add_prefix_space=True),
    "no pre-tokenizer": without_pre_tokenizer,
}
UNITS = [
    "the", "cat", "cats", "a", "aaa", "ab", "1", "12", "a" * 300, "漢", "漢字", " ", "  ", "\n", "\t", ",", "(",
    ")", "don't", "é", "e\u0301", "\u0301", "\0", "\N{GRINNING FACE}", "\N{WOMAN}\u200d\N{GIRL}", "[SEP]", "cat sat",
    "字漢", "\u00a0", "-", ".",
]  # fmt: skip
