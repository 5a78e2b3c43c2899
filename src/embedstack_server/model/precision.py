"""The arithmetic that a model computes in."""

from typing import Literal

__all__ = ["Precision", "PrecisionSetting"]

Precision = Literal["bf16", "fp32", "int8"]
#: ``auto`` is what the model was packaged for; without a package, bfloat16 if the processor has it, else float32.
PrecisionSetting = Literal["auto", "bf16", "fp32", "int8"]
