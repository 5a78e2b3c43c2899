"""Service quotas of SageMaker hosting. None is set by default, so nothing is limited.

``GET /_embedstack/quotas`` lists the quotas that are set. ``POST`` with ``{"name", "value", "account", "region"}`` sets
one, and a value of null removes it. Without an account or a region it applies to all of them.
"""

import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.wsgi import change_and_describe
from localaws.services.sagemaker.endpoints.scaling import CapacityRefused

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from localaws.services.sagemaker.endpoints.endpoint import Endpoint
    from localaws.services.sagemaker.endpoints.settings import EndpointSettings

__all__ = ["SERVERLESS_MEMORY", "QuotaControl", "QuotaExceeded", "ServiceQuotas"]

QUOTAS_PATH = "/_embedstack/quotas"
#: AWS's names of the quotas that are checked.
SERVERLESS_MEMORY = "Memory size in MB per serverless endpoint"
_INSTANCES = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+ for endpoint usage")
_EVERYWHERE = "*"


class QuotaExceeded(CapacityRefused):
    """A request exceeds a quota; the message is that of SageMaker's ResourceLimitExceeded."""

    def __init__(self, name: str, limit: int, used: int, delta: int, unit: str) -> None:
        super().__init__(
            f"The account-level service limit '{name}' is {limit} {unit}, with current utilization of {used} {unit} "
            f"and a request delta of {delta} {unit}. Please use AWS Service Quotas to request an increase for this "
            "quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota."
        )


class ServiceQuotas:
    """The quotas of all accounts and regions. Thread-safe."""

    def __init__(self, quotas: Mapping[str, int] | None = None) -> None:
        """Start with quotas of every account and region, by name.

        Raises:
            ValueError: A name or a value is invalid.
        """
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str, str], int] = {}
        for name, value in (quotas or {}).items():
            self.set(name, value)

    def set(self, name: str, value: int | None, account_id: str = _EVERYWHERE, region: str = _EVERYWHERE) -> None:
        """Set a quota, or remove it with None.

        Raises:
            ValueError: The name or the value is invalid.
        """
        if name != SERVERLESS_MEMORY and not _INSTANCES.fullmatch(name):
            raise ValueError(
                f"Unknown quota {name!r}. Quotas: '<instance type> for endpoint usage' and {SERVERLESS_MEMORY!r}."
            )
        with self._lock:
            if value is None:
                self._values.pop((name, account_id, region), None)
            elif type(value) is int and value >= 0:
                self._values[name, account_id, region] = value
            else:
                raise ValueError(f"The value of quota {name!r} is {value!r}. Set a whole number of at least 0.")

    def describe(self) -> list[dict[str, Any]]:
        """All quotas that are set; ``*`` stands for every account or region."""
        with self._lock:
            return [
                {"name": name, "value": value, "account": account_id, "region": region}
                for (name, account_id, region), value in sorted(self._values.items())
            ]

    def check_memory(self, account_id: str, region: str, settings: "EndpointSettings") -> None:
        """Check the memory of each serverless variant.

        Raises:
            QuotaExceeded: One has more than the quota allows.
        """
        limit = self._limit(SERVERLESS_MEMORY, account_id, region)
        for spec in settings.specs:
            memory = (spec.serverless or {}).get("MemorySizeInMB", 0)
            if limit is not None and memory > limit:
                raise QuotaExceeded(SERVERLESS_MEMORY, limit, 0, memory, "MBs")

    def check_instances(
        self, account_id: str, region: str, endpoints: "Iterable[Endpoint]", added: Mapping[str, int]
    ) -> None:
        """Check that more instances may be started.

        Args:
            account_id: The account.
            region: The region.
            endpoints: All endpoints, of any account and region.
            added: How many more, by instance type.

        Raises:
            QuotaExceeded: There would be more than a quota allows.
        """
        used: Counter[str] = Counter()
        for endpoint in endpoints:
            identity = endpoint.settings.variants[0]
            if (identity.account_id, identity.region) == (account_id, region):
                used.update(endpoint.instances)
        for instance_type, number in added.items():
            name = f"{instance_type} for endpoint usage"
            limit = self._limit(name, account_id, region)
            if limit is not None and number > 0 and used[instance_type] + number > limit:
                raise QuotaExceeded(name, limit, used[instance_type], number, "Instances")

    def _limit(self, name: str, account_id: str, region: str) -> int | None:
        """The most specific value that is set, or None."""
        with self._lock:
            for account in (account_id, _EVERYWHERE):
                for where in (region, _EVERYWHERE):
                    if (value := self._values.get((name, account, where))) is not None:
                        return value
        return None


class QuotaControl:
    """Serves ``/_embedstack/quotas``."""

    def __init__(self, application: "WSGIApplication", quotas: ServiceQuotas) -> None:
        """Wrap an application.

        Args:
            application: Handles all other requests.
            quotas: The quotas to show and to set.
        """
        self._application = application
        self._quotas = quotas

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        if environ.get("PATH_INFO") != QUOTAS_PATH:
            return self._application(environ, start_response)
        return change_and_describe(
            environ,
            start_response,
            change=self._change,
            describe=lambda: {"quotas": self._quotas.describe()},
            usage='Send {"name", "value", "account", "region"}',
        )

    def _change(self, request: dict[str, Any]) -> None:
        where = {key: request[key] for key in ("account", "region") if request.get(key)}
        self._quotas.set(
            request["name"], request["value"], where.get("account", _EVERYWHERE), where.get("region", _EVERYWHERE)
        )
