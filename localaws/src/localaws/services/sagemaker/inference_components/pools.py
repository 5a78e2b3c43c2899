"""The instances of a variant without a model, with the copies of inference components on them."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localaws.services.sagemaker.containers.instance_types import Resources, resources_of

if TYPE_CHECKING:
    from localaws.services.sagemaker.endpoints.settings import PoolSpec

__all__ = ["InstancePool", "NotEnoughResources"]


class NotEnoughResources(Exception):
    """No instance has the resources for a copy; the message is SageMaker's."""

    def __init__(self) -> None:
        super().__init__(
            "There is not enough hardware resources on the instances for this endpoint to create a copy of the "
            "inference component."
        )


@dataclass(slots=True)
class _Instance:
    """One instance: its free resources, and its copies by component."""

    free: Resources
    copies: Counter[str] = field(default_factory=Counter)


class InstancePool:
    """A variant's instances. Thread-safe."""

    def __init__(self, spec: "PoolSpec") -> None:
        """Start with the variant's InitialInstanceCount."""
        self._lock = threading.Lock()
        self._spec = spec
        self._needs: dict[str, Resources] = {}
        self._instances = [self._new_instance() for _ in range(int(spec.production_variant["InitialInstanceCount"]))]

    @property
    def spec(self) -> "PoolSpec":
        """The variant."""
        return self._spec

    @property
    def instance_count(self) -> int:
        """Number of instances."""
        return len(self._instances)

    def place(self, component: str, need: Resources, copies: int) -> None:
        """Place more copies of a component, on additional instances if the variant allows them.

        Raises:
            NotEnoughResources: Not all of them fit; nothing changed.
        """
        with self._lock, self._restored_if_too_small():
            for _ in range(copies):
                self._place_one(component, need)
            self._needs[component] = need

    def release(self, component: str, copies: int | None = None) -> None:
        """Release copies, by default all of them, and instances without copies."""
        with self._lock:
            self._release(component, copies)
            self._trim()

    def replace(self, component: str, need: Resources, copies: int) -> None:
        """Change the resources of a component's copies.

        Raises:
            NotEnoughResources: They do not fit; nothing changed.
        """
        with self._lock, self._restored_if_too_small():
            self._release(component, None)
            for _ in range(copies):
                self._place_one(component, need)
            self._needs[component] = need
            self._trim()

    def configure(self, spec: "PoolSpec") -> None:
        """Apply another endpoint configuration and place the copies again.

        Raises:
            NotEnoughResources: The copies do not fit; nothing changed.
        """
        with self._lock:
            old, before = self._spec, self._instances
            copies: Counter[str] = sum((instance.copies for instance in before), Counter())
            self._spec, self._instances = spec, []
            try:
                for component, number in copies.items():
                    for _ in range(number):
                        self._place_one(component, self._needs[component])
            except NotEnoughResources:
                self._spec, self._instances = old, before
                raise
            while len(self._instances) < spec.bounds[0]:
                self._instances.append(self._new_instance())

    @contextlib.contextmanager
    def _restored_if_too_small(self) -> Iterator[None]:
        """Restore the instances and their copies if something does not fit."""
        before = [_Instance(instance.free, Counter(instance.copies)) for instance in self._instances]
        try:
            yield
        except NotEnoughResources:
            self._instances = before
            raise

    def _place_one(self, component: str, need: Resources) -> None:
        for instance in self._instances:
            if instance.free.holds(need):
                break
        else:
            instance = self._new_instance()
            if len(self._instances) >= self._spec.bounds[1] or not instance.free.holds(need):
                raise NotEnoughResources
            self._instances.append(instance)
        instance.free -= need
        instance.copies[component] += 1

    def _release(self, component: str, copies: int | None) -> None:
        """Release copies from the instances with the fewest first, which can then be released soonest."""
        left = sum(instance.copies[component] for instance in self._instances) if copies is None else copies
        need = self._needs.get(component)
        for instance in sorted(self._instances, key=lambda instance: instance.copies.total()):
            while need is not None and left > 0 and instance.copies[component] > 0:
                instance.copies[component] -= 1
                instance.free = Resources(
                    instance.free.cpu_cores + need.cpu_cores,
                    instance.free.memory_mb + need.memory_mb,
                    instance.free.accelerators + need.accelerators,
                )
                left -= 1

    def _trim(self) -> None:
        if not self._spec.is_managed:
            return
        low = self._spec.bounds[0]
        for instance in [instance for instance in self._instances if not instance.copies.total()]:
            if len(self._instances) > low:
                self._instances.remove(instance)

    def _new_instance(self) -> _Instance:
        return _Instance(resources_of(self._spec.instance_type))
