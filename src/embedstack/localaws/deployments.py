"""One endpoint configuration, running: all its variants together."""

import random
import shutil
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from embedstack.localaws.variants import Variant, VariantFailed, VariantSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from embedstack.localaws.config import LocalAwsConfig
    from embedstack.localaws.pidfiles import PidFiles


class UnknownVariant(Exception):
    """A request named a variant that the deployment does not have."""


class Deployment:
    """The variants of one endpoint configuration, from start to retirement."""

    def __init__(
        self,
        config_name: str,
        specs: "Sequence[VariantSpec]",
        config: "LocalAwsConfig",
        pids: "PidFiles",
        state_dir: "Path",
    ) -> None:
        """Prepare the deployment; nothing runs yet."""
        self.config_name = config_name
        self.created = datetime.now(UTC).replace(tzinfo=None)
        self._work_dir = state_dir / "models" / uuid.uuid4().hex
        self.variants = [Variant(spec, config, pids, self._work_dir) for spec in specs]
        self.weights = {
            spec.identity.variant: float(spec.production_variant.get("InitialVariantWeight", 1.0)) for spec in specs
        }

    def start(self) -> None:
        """Start all variants at the same time.

        Raises:
            VariantFailed: One did not come up; the caller retires the deployment.
        """
        failures: list[Exception] = []

        def start(variant: Variant) -> None:
            try:
                variant.start()
            except Exception as error:  # noqa: BLE001 - handed to the caller, whatever it is
                failures.append(error)

        threads = [threading.Thread(target=start, args=(variant,), name="start-variant") for variant in self.variants]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            first = failures[0]
            raise first if isinstance(first, VariantFailed) else VariantFailed(f"Internal failure: {first!r}")

    def choose(self, target: str | None) -> Variant:
        """The variant for one request: the named one, or one drawn by weight.

        Raises:
            UnknownVariant: There is none of that name.
        """
        if target is not None:
            for variant in self.variants:
                if variant.spec.identity.variant == target:
                    return variant
            raise UnknownVariant(target)
        if len(self.variants) == 1:
            return self.variants[0]
        return random.choices(self.variants, [self.weights[v.spec.identity.variant] for v in self.variants])[0]  # noqa: S311 - traffic, no secret

    def retire(self, drain_timeout: float) -> None:
        """Drain and stop all variants at the same time, and remove what they unpacked."""
        threads = [
            threading.Thread(target=variant.retire, args=(drain_timeout,), name="retire-variant")
            for variant in self.variants
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shutil.rmtree(self._work_dir, ignore_errors=True)

    def describe(self) -> list[dict[str, Any]]:
        """The deployment as DescribeEndpoint's ProductionVariants."""
        return [self._describe_variant(variant.spec) for variant in self.variants]

    def _describe_variant(self, spec: VariantSpec) -> dict[str, Any]:
        image = spec.container.image
        weight = self.weights[spec.identity.variant]
        summary: dict[str, Any] = {
            "VariantName": spec.identity.variant,
            "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": self.created}],
            "CurrentWeight": weight,
            "DesiredWeight": weight,
        }
        if spec.serverless:
            return {
                **summary,
                "CurrentInstanceCount": 0,
                "CurrentServerlessConfig": spec.serverless,
                "DesiredServerlessConfig": spec.serverless,
            }
        count = spec.production_variant.get("InitialInstanceCount", 1)
        return {**summary, "CurrentInstanceCount": count, "DesiredInstanceCount": count}
