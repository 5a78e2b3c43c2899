"""Cost allocation tags: switched on and off, and listed. What they cost nobody counts here."""

import json
from datetime import UTC, datetime
from typing import Any

from moto.ce.responses import CostExplorerResponse

__all__ = ["CostAllocationTags"]


class CostAllocationTags(CostExplorerResponse):  # type: ignore[misc]  # moto is untyped
    """The part of the Cost Explorer API that cost allocation tags are in.

    AWS knows a tag about a day after its first use and refuses it until then; here each is known at once.
    """

    def update_cost_allocation_tags_status(self) -> str:
        """UpdateCostAllocationTagsStatus."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for wanted in self._get_param("CostAllocationTagsStatus"):
            key = wanted["TagKey"]
            tag = self._tags.setdefault(key, {"TagKey": key, "Type": _type(key), "LastUsedDate": now})
            tag.update(Status=wanted["Status"], LastUpdatedDate=now)
        return json.dumps({"Errors": []})

    def list_cost_allocation_tags(self) -> str:
        """ListCostAllocationTags, on one page."""
        keys = self._get_param("TagKeys")
        found = [
            tag
            for key, tag in self._tags.items()
            if (not keys or key in keys)
            and self._get_param("Status") in (None, tag["Status"])
            and self._get_param("Type") in (None, tag["Type"])
        ]
        return json.dumps({"CostAllocationTags": found})

    @property
    def _tags(self) -> dict[str, dict[str, Any]]:
        # moto's backend carries them, so that they go when its state is reset.
        tags: dict[str, dict[str, Any]] = self.ce_backend.__dict__.setdefault("cost_allocation_tags", {})
        return tags


def _type(key: str) -> str:
    return "AWSGenerated" if key.startswith("aws:") else "UserDefined"
