"""Is a deployed endpoint right? Checks of its state, its vectors and its speed, the same on AWS and on this machine."""

from embedstack_ops.validation.findings import Check, Report, Status, Targets
from embedstack_ops.validation.run import validate

__all__ = ["Check", "Report", "Status", "Targets", "validate"]
