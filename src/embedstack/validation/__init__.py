"""Is a deployed endpoint right? Checks of its state, its vectors and its speed, the same on AWS and on this machine."""

from embedstack.validation.findings import Check, Report, Status, Targets
from embedstack.validation.run import validate

__all__ = ["Check", "Report", "Status", "Targets", "validate"]
