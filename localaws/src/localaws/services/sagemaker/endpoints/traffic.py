"""Routes requests to an endpoint's deployments."""

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localaws.services.sagemaker.endpoints.deployment import Deployment

__all__ = ["Traffic"]


@dataclass(frozen=True, slots=True)
class _Split:
    blue: "Deployment | None" = None
    green: "Deployment | None" = None
    green_share: float = 0.0


class Traffic:
    """The serving deployment (blue), its replacement (green), and their shares of the requests.

    One thread at a time changes it; any number of threads read it.
    """

    def __init__(self) -> None:
        """Start without any deployment."""
        self._split = _Split()

    @property
    def current(self) -> "Deployment | None":
        """The deployment of the endpoint's configuration."""
        return self._split.blue

    @property
    def pending(self) -> "Deployment | None":
        """The deployment that is being rolled out."""
        return self._split.green

    def route(self) -> "Deployment | None":
        """The deployment for one request; None without one."""
        split = self._split
        if split.green is not None and random.random() < split.green_share:  # noqa: S311 - traffic, no secret
            return split.green
        return split.blue

    def prepare(self, green: "Deployment") -> None:
        """Add a new deployment, without requests."""
        self._split = replace(self._split, green=green, green_share=0.0)

    def shift(self, green_share: float) -> None:
        """Send this share of the requests, 0 to 1, to the new deployment from now on."""
        self._split = replace(self._split, green_share=green_share)

    def promote(self) -> "Deployment | None":
        """Send all requests to the new deployment; returns the old one."""
        old = self._split.blue
        self._split = _Split(blue=self._split.green)
        return old

    def abandon(self) -> None:
        """Send all requests to the old deployment and drop the new one."""
        self._split = _Split(blue=self._split.blue)
