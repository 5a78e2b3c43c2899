"""What Application Auto Scaling moves, as the rest of the local AWS offers it."""

from typing import Protocol

__all__ = ["CapacityRefused", "ScalableResource"]


class ScalableResource(Protocol):
    """A variant's instances or provisioned concurrency, or an inference component's copies."""

    @property
    def current(self) -> int:
        """How much runs."""

    @property
    def desired(self) -> int:
        """How much shall run."""

    @property
    def changing(self) -> bool:
        """Whether a change has not finished: the service refuses another one until then."""

    def scale(self, desired: int) -> None:
        """Ask for another capacity; returns at once, the change happens in the background.

        Raises:
            CapacityRefused: The capacity cannot be changed now; the message says why.
        """


class CapacityRefused(Exception):
    """A change of capacity that SageMaker refuses."""
