"""Prices a plan for a month: a range for each resource, what depends on usage, and the assumptions."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from embedstack.costs import formulas
from embedstack.costs.formulas import GB, KB
from embedstack.costs.price_book import PriceBook
from embedstack.errors import UnknownPrice
from embedstack_ops.costs.plan import Endpoint, Plan, Resource, Scaling, Variant
from embedstack_ops.costs.schedule_hours import BillingMonth, capacity_hours
from embedstack_ops.costs.usage import Usage

__all__ = ["Bill", "Line", "price_plan"]

#: Custom metrics that the client publishes for each endpoint when CLOUDWATCH_METRICS_ENABLED is set.
_CLIENT_METRICS: Final = 5
#: Alarms that Application Auto Scaling creates for a target tracking policy.
_TRACKING_ALARMS: Final = 2
#: Minutes for which the first instance runs after a deployment, until an idle policy acts.
_FIRST_INSTANCE_MINUTES: Final = (20, 30)
_VECTORS_PER_REQUEST: Final = 500
#: Types of which a month costs nothing, or whose cost another line contains.
_FREE: Final = (
    "aws_appautoscaling_", "aws_budgets_", "aws_ce_", "aws_cloudwatch_log_", "aws_db_subnet_group", "aws_iam_",
    "aws_lambda_event_source_mapping", "aws_lambda_function_", "aws_lambda_permission", "aws_rds_cluster_instance",
    "aws_rds_cluster_parameter_group", "aws_s3_bucket_", "aws_sagemaker_", "aws_security_group", "aws_sns_",
    "aws_vpc_security_group_",
)  # fmt: skip


#: Types of which each costs the same each month: their name on the bill, and the product.
_COUNTED: Final = {
    "aws_cloudwatch_composite_alarm": ("composite alarms", "cloudwatch/composite-alarm"),
    "aws_cloudwatch_dashboard": ("dashboards", "cloudwatch/dashboard"),
    "aws_cloudwatch_metric_alarm": ("alarms", "cloudwatch/alarm"),
    "aws_kms_key": ("customer managed keys", "kms/key"),
    "aws_secretsmanager_secret": ("secrets", "secretsmanager/secret"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the bill, in US dollars for the month.

    Attributes:
        address: Address of the resource, or what several of them are.
        name: Name of the endpoint and the variant, else the address.
        region: Its region.
        what: What is charged.
        low: The lowest amount.
        high: The highest amount.
        expected: The amount with the given usage at a constant rate; None if the usage does not tell.
        depends_on: Names of the usage that it depends on; empty if it depends on none.
        settled: Whether all its prices are settled.
    """

    address: str
    name: str
    region: str
    what: str
    low: Decimal
    high: Decimal
    expected: Decimal | None = None
    depends_on: str = ""
    settled: bool = True


@dataclass(slots=True)
class Bill:
    """The priced plan.

    Attributes:
        lines: The priced lines.
        unpriced: What has no price in the book, as the messages of :class:`~embedstack.errors.UnknownPrice`.
        unknown: What is known only after the apply.
        not_covered: Addresses of resources that this pricing does not cover.
        assumptions: What the amounts assume.
    """

    lines: list[Line] = field(default_factory=list)
    unpriced: list[str] = field(default_factory=list)
    unknown: tuple[str, ...] = ()
    not_covered: list[str] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)

    @property
    def low(self) -> Decimal:
        """Sum of the lowest amounts."""
        return sum((line.low for line in self.lines), Decimal(0))

    @property
    def high(self) -> Decimal:
        """Sum of the highest amounts."""
        return sum((line.high for line in self.lines), Decimal(0))


def price_plan(plan: Plan, book: PriceBook, usage: Usage, month: BillingMonth) -> Bill:
    """Price a plan.

    Args:
        plan: The plan.
        book: The prices.
        usage: The usage of the month.
        month: The month.

    Raises:
        ConfigurationError: A schedule of the plan is not valid.
    """
    return _Pricing(plan, book, usage, month).bill()


class _Pricing:
    def __init__(self, plan: Plan, book: PriceBook, usage: Usage, month: BillingMonth) -> None:
        self._plan = plan
        self._book = book
        self._usage = usage
        self._month = month
        self._bill = Bill(unknown=plan.unknown)
        self._names: dict[str, str] = {}
        self._without_volume: list[str] = []

    def bill(self) -> Bill:
        for endpoint in self._plan.endpoints:
            self._names[endpoint.address] = endpoint.name
            for variant in endpoint.variants:
                self._names[f"{endpoint.address} ({variant.name})"] = f"{endpoint.name}/{variant.name}"
                self._variant(endpoint, variant)
        self._tracking_alarms()
        self._client_metrics()
        self._counted()
        for resource in self._plan.resources:
            self._resource(resource)
        self._logs()
        self._assume()
        return self._bill

    def _add(
        self,
        address: str,
        region: str,
        what: str,
        dollars: Callable[[Decimal], Decimal],
        quantities: tuple[Decimal, Decimal],
        *,
        products: tuple[str, ...],
        depends_on: str = "",
        expected: Decimal | None = None,
    ) -> None:
        """Add a line: the price of the lowest, the highest and the expected quantity."""
        try:
            low, high = map(dollars, quantities)
        except UnknownPrice as error:
            self._bill.unpriced.append(f"{address}: {error}")
            return
        self._bill.lines.append(
            Line(
                address=address,
                name=self._names.get(address, address),
                region=region,
                what=what,
                low=low,
                high=high,
                expected=None if expected is None else dollars(expected),
                depends_on=depends_on,
                settled=all(self._book.price(region, product).settled for product in products),
            )
        )

    # Endpoints

    def _variant(self, endpoint: Endpoint, variant: Variant) -> None:
        if variant.serverless is not None:
            self._serverless(endpoint, variant)
            return
        component = "async" if endpoint.kind == "async" else "hosting"
        instance_type = variant.instance_types[0]
        low, high = self._instance_hours(endpoint, variant)
        product = f"sagemaker/{component}/{instance_type}"
        address = f"{endpoint.address} ({variant.name})"

        def dollars(hours: Decimal) -> Decimal:
            return formulas.instance_hours(self._book, endpoint.region, instance_type, hours, component=component)

        expected = self._expected_instances(endpoint, variant)
        bounds = f"{_shown(low / self._month.hours)} to {_shown(high / self._month.hours)} instances"
        self._add(
            address,
            endpoint.region,
            f"{instance_type}, {bounds}",
            dollars,
            (low, high),
            products=(product,),
            depends_on="" if low == high else "requests",
            expected=None if expected is None else expected * self._month.hours,
        )
        if low == 0:
            first, last = (Decimal(minutes) / 60 * variant.initial_count for minutes in _FIRST_INSTANCE_MINUTES)
            self._add(
                address,
                endpoint.region,
                f"{instance_type}, first instance after a deployment, until it is idle",
                dollars,
                (first, last),
                products=(product,),
            )
        self._volume(endpoint, variant, (low, high))
        self._data(endpoint, variant, address)

    def _volume(self, endpoint: Endpoint, variant: Variant, hours: tuple[Decimal, Decimal]) -> None:
        address = f"{endpoint.address} ({variant.name})"
        if variant.volume_gb is None:
            self._without_volume.append(self._names[address])
            return
        gigabytes = Decimal(str(variant.volume_gb))
        self._add(
            address,
            endpoint.region,
            f"{variant.volume_gb:g} GB volume of each instance",
            lambda each: formulas.volume(self._book, endpoint.region, gigabytes, each / self._month.hours),
            hours,
            products=("sagemaker/volume",),
        )

    def _instance_hours(self, endpoint: Endpoint, variant: Variant) -> tuple[Decimal, Decimal]:
        hours = Decimal(self._month.hours)
        if variant.min_instances is not None and variant.max_instances is not None:
            low, high = variant.min_instances * hours, variant.max_instances * hours
            component = next((each for each in endpoint.components if each.variant == variant.name), None)
            if component is None or component.scaling is None or component.copies_per_instance is None:
                return low, high
            copies = capacity_hours(component.scaling, self._month)
            wanted = [each / component.copies_per_instance for each in copies]
            return max(low, min(high, wanted[0])), max(low, min(high, wanted[1]))
        if variant.scaling is not None:
            return capacity_hours(variant.scaling, self._month)
        return variant.initial_count * hours, variant.initial_count * hours

    def _expected_instances(self, endpoint: Endpoint, variant: Variant) -> Decimal | None:
        """Instances at a constant rate of requests, if target tracking counts requests."""
        components = [each for each in endpoint.components if each.variant == variant.name]
        scaling = components[0].scaling if components else variant.scaling
        per_instance = (components[0].copies_per_instance or 1) if components else 1
        weights = sum(each.weight for each in endpoint.variants) or 1
        if scaling is None or not self._usage.requests:
            return None
        for policy in scaling.tracking:
            if "InvocationsPer" in policy.metric:
                share = self._usage.requests * Decimal(str(variant.weight)) / Decimal(str(weights))
                per_minute = share / (self._month.hours * 60)
                capacity = math.ceil(per_minute / Decimal(str(policy.target)))
                return Decimal(math.ceil(max(scaling.min, min(scaling.max, capacity)) / per_instance))
        return None

    def _serverless(self, endpoint: Endpoint, variant: Variant) -> None:
        capacity = variant.serverless
        if capacity is None:
            return
        address, region, usage = f"{endpoint.address} ({variant.name})", endpoint.region, self._usage
        milliseconds = usage.requests * formulas.billed_milliseconds([float(usage.request_ms)])
        self._add(
            address,
            region,
            f"serverless, {capacity.memory_mb} MB",
            lambda each: formulas.serverless_compute(self._book, region, capacity.memory_mb, each),
            (milliseconds, milliseconds),
            products=("sagemaker/serverless/compute",),
            depends_on="requests, request_ms",
        )
        scaling = variant.scaling
        provisioned = scaling is not None and scaling.dimension == "provisioned-concurrency"
        if capacity.provisioned_concurrency or provisioned:
            constant = Decimal(capacity.provisioned_concurrency * self._month.hours)
            hours = (
                capacity_hours(scaling, self._month) if scaling is not None and provisioned else (constant, constant)
            )
            self._add(
                address,
                region,
                f"provisioned concurrency, {_shown(hours[0])} to {_shown(hours[1])} hours",
                lambda each: formulas.serverless_provisioned_concurrency(
                    self._book, region, capacity.memory_mb, 1, each * 3600
                ),
                hours,
                products=("sagemaker/serverless/provisioned-concurrency",),
            )
        self._data(endpoint, variant, address)

    def _data(self, endpoint: Endpoint, variant: Variant, address: str) -> None:
        weights = sum(each.weight for each in endpoint.variants) or 1
        requests = self._usage.requests * Decimal(str(variant.weight)) / Decimal(str(weights))
        self._add(
            address,
            endpoint.region,
            "request and response bodies",
            lambda each: formulas.sagemaker_data(
                self._book, endpoint.region, each * self._usage.request_kb * KB, each * self._usage.response_kb * KB
            ),
            (requests, requests),
            products=("sagemaker/data-in", "sagemaker/data-out"),
            depends_on="requests, request_kb, response_kb",
        )

    # Monitoring

    def _tracking_alarms(self) -> None:
        for endpoint in self._plan.endpoints:
            count = Decimal(_TRACKING_ALARMS * sum(len(scaling.tracking) for scaling in _scalings(endpoint)))
            if count:
                self._count(endpoint.address, endpoint.region, "alarms that target tracking creates", count)

    def _count(self, address: str, region: str, what: str, count: Decimal, product: str = "cloudwatch/alarm") -> None:
        self._add(
            address,
            region,
            f"{count} {what}",
            lambda each: each * self._book.price(region, product).amount,
            (count, count),
            products=(product,),
        )

    def _client_metrics(self) -> None:
        if not self._plan.endpoints:
            return
        region = self._plan.endpoints[0].region
        metrics = _CLIENT_METRICS * len(self._plan.endpoints) * self._usage.metric_dimensions
        self._add(
            "client metrics",
            region,
            f"{_shown(metrics)} custom metrics, if CLOUDWATCH_METRICS_ENABLED is set",
            lambda each: formulas.cloudwatch(self._book, region, metrics=each),
            (Decimal(0), metrics),
            products=("cloudwatch/metric",),
            depends_on="metric_dimensions",
        )

    def _counted(self) -> None:
        """What costs a fixed amount each month: one line for each type and region."""
        counts = Counter((each.type, each.region) for each in self._plan.resources if each.type in _COUNTED)
        for (type_, region), count in counts.items():
            title, product = _COUNTED[type_]
            self._count(title, region, title, Decimal(count), product)

    def _logs(self) -> None:
        region = next((each.region for each in self._plan.resources if each.type == "aws_cloudwatch_log_group"), None)
        if region is None:
            return
        size = self._usage.log_gb * GB
        self._add(
            "log groups",
            region,
            f"{self._usage.log_gb:f} GB of logs",
            lambda each: formulas.cloudwatch(self._book, region, log_bytes=each),
            (size, size),
            products=("cloudwatch/logs",),
            depends_on="log_gb",
        )

    # Other resources

    def _resource(self, resource: Resource) -> None:
        if resource.type == "aws_lambda_function":
            self._function(resource)
        elif resource.type == "aws_rds_cluster":
            self._aurora(resource)
        elif resource.type == "aws_cloudformation_stack" and "AWS::S3Vectors::" in str(
            resource.values.get("template_body")
        ):
            self._vectors(resource)
        elif resource.type not in _COUNTED and not resource.type.startswith(_FREE):
            self._bill.not_covered.append(resource.address)

    def _function(self, resource: Resource) -> None:
        values, usage = resource.values, self._usage
        memory_mb = int(values.get("memory_size") or 128)
        is_arm = "arm64" in (values.get("architectures") or [])
        storage_mb = int(((values.get("ephemeral_storage") or [{}])[0] or {}).get("size") or 512)

        def dollars(requests: Decimal) -> Decimal:
            calls = int(requests)
            compute = formulas.lambda_invocations(
                self._book, resource.region, calls, usage.invocation_ms, memory_mb, is_arm=is_arm
            )
            return compute + formulas.lambda_ephemeral_storage(
                self._book, resource.region, calls, usage.invocation_ms, storage_mb
            )

        self._add(
            resource.address,
            resource.region,
            f"Lambda, {memory_mb} MB",
            dollars,
            (usage.invocations, usage.invocations),
            products=("lambda/requests", "lambda/compute-arm64" if is_arm else "lambda/compute"),
            depends_on="invocations, invocation_ms",
        )

    def _aurora(self, resource: Resource) -> None:
        scaling = (resource.values.get("serverlessv2_scaling_configuration") or [None])[0]
        if scaling is None:
            self._bill.not_covered.append(resource.address)
            return
        module = resource.address.rpartition("aws_rds_cluster.")[0]
        instances = sum(
            each.type == "aws_rds_cluster_instance" and each.address.startswith(module) for each in self._plan.resources
        )
        low, high = (
            Decimal(str(scaling[name])) * instances * self._month.hours for name in ("min_capacity", "max_capacity")
        )
        self._add(
            resource.address,
            resource.region,
            f"Aurora, {scaling['min_capacity']:g} to {scaling['max_capacity']:g} ACUs; without storage and I/O",
            lambda each: formulas.aurora_capacity(self._book, resource.region, each),
            (low, high),
            products=("aurora/acu",),
            depends_on="" if low == high else "load",
        )

    def _vectors(self, resource: Resource) -> None:
        usage, region = self._usage, resource.region
        size = usage.vector_kb * KB

        def dollars(count: Decimal) -> Decimal:
            vectors = int(count)
            written = formulas.put_bytes(vectors, size, _VECTORS_PER_REQUEST)
            return (
                formulas.s3vectors_storage(self._book, region, vectors * size)
                + formulas.s3vectors_put(self._book, region, written)
                + formulas.s3vectors_queries(self._book, region, int(usage.queries), vectors, size)
            )

        self._add(
            resource.address,
            region,
            "S3 Vectors: storage, writing each vector once, queries",
            dollars,
            (usage.vectors, usage.vectors),
            products=("s3vectors/storage", "s3vectors/put", "s3vectors/query", "s3vectors/processed-first"),
            depends_on="vectors, vector_kb, queries",
        )

    def _assume(self) -> None:
        month, usage = self._month, self._usage
        if self._without_volume:
            self._bill.assumptions.append(
                f"Volumes are left out, because SageMaker chooses their size: {', '.join(self._without_volume)}."
            )
        self._bill.assumptions += [
            f"{month.start:%B %Y} has {month.hours} hours."
            if month.is_calendar
            else f"A month has {month.hours} hours, and schedules run as in the coming year.",
            f"Usage of the month: {', '.join(f'{name}={getattr(usage, name):f}' for name in _names(usage))}.",
            "Each serverless request is rounded up to 1 ms; AWS does not document it.",
            "The start of a serverless container is not billed; AWS does not document it.",
            "No free tiers, discounts, taxes or data transfer between regions.",
        ]


def _scalings(endpoint: Endpoint) -> Iterator[Scaling]:
    scalings = [each.scaling for each in endpoint.variants] + [each.scaling for each in endpoint.components]
    return (scaling for scaling in scalings if scaling is not None)


def _names(usage: Usage) -> tuple[str, ...]:
    return tuple(usage.__dataclass_fields__)


def _shown(number: Decimal) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
