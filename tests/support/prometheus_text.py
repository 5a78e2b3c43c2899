"""A strict parser of Prometheus' text format, version 0.0.4."""

import re

__all__ = ["parse_metrics"]

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (\S+)")
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
_SUFFIXES = ("_bucket", "_sum", "_count")

Series = dict[tuple[tuple[str, str], ...], float]


def parse_metrics(text: str) -> tuple[dict[str, Series], dict[str, str]]:
    """The samples by name and labels, and each metric's type.

    Raises:
        AssertionError: The text breaks a rule of the format.
    """
    assert text.endswith("\n")
    samples: dict[str, Series] = {}
    types: dict[str, str] = {}
    family = ""
    for line in text.removesuffix("\n").split("\n"):
        if help_line := re.fullmatch(rf"# HELP ({_NAME}) (.+)", line):
            family = help_line[1]
            assert family not in types, f"{family} is described twice"
        elif type_line := re.fullmatch(rf"# TYPE ({_NAME}) (counter|gauge|histogram)", line):
            assert type_line[1] == family, line
            types[family] = type_line[2]
        else:
            name, labels, value = _sample(line)
            suffixes = _SUFFIXES if types[family] == "histogram" else ("",)
            assert name in [family + suffix for suffix in suffixes], line
            assert labels not in samples.setdefault(name, {}), f"{line} is repeated"
            samples[name][labels] = value
    for name, kind in types.items():
        assert (kind == "counter") == name.endswith("_total"), name
        if kind == "histogram":
            _check_histogram(samples, name)
    return samples, types


def _sample(line: str) -> tuple[str, tuple[tuple[str, str], ...], float]:
    match = _SAMPLE.fullmatch(line)
    assert match, f"not a sample: {line!r}"
    labels = [
        (label[1], re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], label[2]))
        for label in re.finditer(_LABEL, match[2] or "")
    ]
    return match[1], tuple(labels), float(match[match.lastindex or 0])


def _check_histogram(samples: dict[str, Series], name: str) -> None:
    buckets = samples[f"{name}_bucket"]
    bounds = [float(value) for ((_, value),) in buckets]
    counts = list(buckets.values())
    assert bounds == sorted(bounds)
    assert bounds[-1] == float("inf")
    assert counts == sorted(counts)
    assert counts[-1] == samples[f"{name}_count"][()]
    assert samples[f"{name}_sum"][()] >= 0
