"""Cores, memory and accelerators of instance types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Resources", "has_gpu", "preferred_type", "resources_of"]


@dataclass(frozen=True, slots=True)
class Resources:
    """Resources that an instance has, or that a copy reserves.

    Attributes:
        cpu_cores: vCPUs, or parts of one.
        memory_mb: Memory in MB.
        accelerators: GPUs or Neuron devices.
    """

    cpu_cores: float
    memory_mb: float
    accelerators: float

    def __sub__(self, other: "Resources") -> "Resources":
        """The remaining resources."""
        return Resources(
            self.cpu_cores - other.cpu_cores,
            self.memory_mb - other.memory_mb,
            self.accelerators - other.accelerators,
        )

    def holds(self, need: "Resources") -> bool:
        """Whether these resources are sufficient."""
        rest = self - need
        return min(rest.cpu_cores, rest.memory_mb, rest.accelerators) >= 0


#: GiB of memory per vCPU, by prefix of the family; the longest match counts (EC2's list of instance types). The default
#: is 8.
_GIB_PER_CPU = {
    "c": 2, "m": 4, "r": 8, "t2": 4, "g4dn": 4, "g5": 4, "g6": 4, "g6e": 8, "p2": 15, "p3": 7.6, "p4": 12, "p5": 10.6,
    "p6": 10.6, "inf1": 2, "inf2": 4, "trn1": 4, "trn2": 10.6, "dl1": 8,
}  # fmt: skip
#: Accelerators by family, and by instance type where it differs from the family.
_ACCELERATORS = {
    "g4dn": 1, "g4dn.12xlarge": 4,
    "g5": 1, "g5.12xlarge": 4, "g5.24xlarge": 4, "g5.48xlarge": 8,
    "g6": 1, "g6.12xlarge": 4, "g6.24xlarge": 4, "g6.48xlarge": 8,
    "g6e": 1, "g6e.12xlarge": 4, "g6e.24xlarge": 4, "g6e.48xlarge": 8,
    "g7": 1, "g7.12xlarge": 2, "g7.24xlarge": 4, "g7.48xlarge": 8,
    "g7e": 1, "g7e.12xlarge": 2, "g7e.24xlarge": 4, "g7e.48xlarge": 8,
    "p2": 1, "p2.8xlarge": 8, "p2.16xlarge": 16,
    "p3": 1, "p3.8xlarge": 4, "p3.16xlarge": 8,
    "p4d": 8, "p4de": 8, "p5": 8, "p5.4xlarge": 1, "p5e": 8, "p5en": 8, "p6-b200": 8, "p6-b300": 8, "p6e-gb200": 4,
    "inf1": 1, "inf1.6xlarge": 4, "inf1.24xlarge": 16, "inf2": 1, "inf2.24xlarge": 6, "inf2.48xlarge": 12,
    "trn1": 16, "trn1.2xlarge": 1, "trn1n": 16, "trn2": 16, "dl1": 8,
}  # fmt: skip
_CPUS_OF_SMALL_SIZES = {"medium": 1, "large": 2, "xlarge": 4}
_OTHER_CPUS = {"t2.medium": 2, "c4.8xlarge": 36}

#: Share of the memory that SageMaker makes available. It publishes no figure; on ml.g5.xlarge (16 GiB), users saw 1024
#: MB accepted and 4096 MB rejected.
_SCHEDULABLE_WITH_ACCELERATORS = 0.2
_SCHEDULABLE_WITHOUT = 0.5


def preferred_type(production_variant: Mapping[str, Any]) -> str | None:
    """The InstanceType of a ProductionVariant, or of its instance pool that SageMaker tries first."""
    pools = production_variant.get("InstancePools")
    if pools:
        return str(min(pools, key=lambda pool: int(pool["Priority"]))["InstanceType"])
    instance_type = production_variant.get("InstanceType")
    return None if instance_type is None else str(instance_type)


def resources_of(instance_type: str) -> Resources:
    """The resources of an instance that copies can reserve.

    Args:
        instance_type: ``ml.g5.xlarge``; one of the API's enum.
    """
    name = instance_type.removeprefix("ml.")
    family, _, size = name.partition(".")
    cpus = _OTHER_CPUS.get(name) or _CPUS_OF_SMALL_SIZES.get(size) or 4 * int(size.removesuffix("xlarge") or 1)
    beginnings = [beginning for beginning in _GIB_PER_CPU if family.startswith(beginning)]
    gib = cpus * (_GIB_PER_CPU[max(beginnings, key=len)] if beginnings else 8)
    accelerators = _ACCELERATORS.get(name, _ACCELERATORS.get(family, 0))
    part = _SCHEDULABLE_WITH_ACCELERATORS if accelerators else _SCHEDULABLE_WITHOUT
    return Resources(cpus, gib * 1024 * part, accelerators)


def has_gpu(instance_type: str) -> bool:
    """Whether an instance type has NVIDIA GPUs, as the families g and p have."""
    return resources_of(instance_type).accelerators > 0 and instance_type.removeprefix("ml.")[0] in "gp"
