"""The arithmetic that a model computes in."""

from typing import Literal

__all__ = ["Precision", "PrecisionSetting"]

Precision = Literal["bf16", "fp32", "int8"]
#: ``auto`` is the precision of the package; without a package, bfloat16 if the processor supports it, else float32.
PrecisionSetting = Literal["auto", "bf16", "fp32", "int8"]
