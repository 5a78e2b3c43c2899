"""Validation of a deployed endpoint: its state, its vectors and its speed, on AWS and on the local AWS."""

from embedstack_ops.validation.findings import Check, Report, Status, Targets
from embedstack_ops.validation.run import validate

__all__ = ["Check", "Report", "Status", "Targets", "validate"]
