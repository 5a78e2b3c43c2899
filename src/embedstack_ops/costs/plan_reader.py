"""Reads what ``terraform show -json`` prints of a plan or a state."""

from pathlib import Path

from embedstack_ops.costs.plan import Plan

__all__ = ["read_plan"]


def read_plan(path: Path, *, region: str | None = None) -> Plan:
    """Read a plan or a state."""
    raise NotImplementedError(path, region)
