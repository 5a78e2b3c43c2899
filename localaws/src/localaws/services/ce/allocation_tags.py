"""The cost allocation tags of an account."""

from typing import Any

from moto.ce.models import ce_backends

__all__ = ["active_tags", "allocation_tags"]


def allocation_tags(account_id: str) -> dict[str, dict[str, Any]]:
    """The tags that were activated or deactivated, by key. moto's backend holds them, so that a reset removes them."""
    tags: dict[str, dict[str, Any]] = vars(ce_backends[account_id]["aws"]).setdefault("cost_allocation_tags", {})
    return tags


def active_tags(account_id: str) -> set[str]:
    """The keys of the activated tags. As on AWS, costs are not known by other tags."""
    return {key for key, tag in allocation_tags(account_id).items() if tag["Status"] == "Active"}
