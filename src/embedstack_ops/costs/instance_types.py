"""How many copies of an inference component fit an instance type."""

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["copies_per_instance"]

#: Accelerators of the types that have several; the other types with accelerators have one.
_ACCELERATORS: Final = {
    "g4dn.12xlarge": 4, "g5.12xlarge": 4, "g5.24xlarge": 4, "g5.48xlarge": 8, "g6.12xlarge": 4, "g6.24xlarge": 4,
    "g6.48xlarge": 8, "g6e.12xlarge": 4, "g6e.24xlarge": 4, "g6e.48xlarge": 8, "inf2.24xlarge": 6, "inf2.48xlarge": 12,
    "p4d.24xlarge": 8, "p4de.24xlarge": 8, "p5.48xlarge": 8,
}  # fmt: skip
#: GB of memory for each vCPU, by the first letter of the family.
_MEMORY_PER_CPU: Final = {"c": 2, "m": 4, "r": 8}
_TYPE = re.compile(r"ml\.(?P<family>[a-z0-9-]+)\.(?:(?P<multiple>\d*)xlarge|large)")


def copies_per_instance(instance_type: str, requirements: Mapping[str, Any]) -> int | None:
    """Copies that fit one instance by their accelerators, or by their cores and memory; None if the type is unknown.

    Args:
        instance_type: Such as ``ml.g5.xlarge``.
        requirements: The component's ``ComputeResourceRequirements``.
    """
    accelerators = requirements.get("NumberOfAcceleratorDevicesRequired")
    if accelerators:
        return int(_ACCELERATORS.get(instance_type.removeprefix("ml."), 1) // int(accelerators)) or None
    match = _TYPE.fullmatch(instance_type)
    cores = requirements.get("NumberOfCpuCoresRequired")
    if match is None or not cores or match["family"][0] not in _MEMORY_PER_CPU:
        return None
    vcpus = 2 if match["multiple"] is None else 4 * int(match["multiple"] or 1)
    memory_mb = vcpus * _MEMORY_PER_CPU[match["family"][0]] * 1024
    copies = min(vcpus // float(cores), memory_mb // float(requirements.get("MinMemoryRequiredInMb") or 1))
    return int(copies) or None
