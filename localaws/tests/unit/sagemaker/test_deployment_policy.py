"""The steps of a DeploymentConfig."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from localaws.services.sagemaker.endpoints.deployment_policy import CapacitySize, DeploymentPolicy


def policy(kind: str, size: dict[str, Any] | None = None, **members: int) -> DeploymentPolicy:
    routing: dict[str, Any] = {"Type": kind, "WaitIntervalInSeconds": 60}
    if size is not None:
        routing["CanarySize" if kind == "CANARY" else "LinearStepSize"] = size
    return DeploymentPolicy({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **members}})


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


@pytest.mark.parametrize(
    ("deployment", "instances", "steps"),
    [
        (DeploymentPolicy({}), 3, [(1.0, "full", 0)]),
        (policy("ALL_AT_ONCE", TerminationWaitInSeconds=30), 3, [(1.0, "full", 30)]),
        (policy("CANARY", percent(10)), 1, [(0.1, "canary", 60), (1.0, "full", 0)]),
        (
            policy("CANARY", {"Type": "INSTANCE_COUNT", "Value": 1}, TerminationWaitInSeconds=5),
            4,
            [(0.25, "canary", 60), (1.0, "full", 5)],
        ),
        (policy("LINEAR", percent(50)), 2, [(0.5, "linear", 60), (1.0, "full", 0)]),
        (
            policy("LINEAR", percent(30)),
            2,
            [(0.3, "linear", 60), (0.6, "linear", 60), (0.9, "linear", 60), (1.0, "full", 0)],
        ),
    ],
)
def test_policy_has_the_configured_steps(
    deployment: DeploymentPolicy, instances: int, steps: list[tuple[float, str, float]]
) -> None:
    actual = [(round(step.share, 9), step.name, step.bake_seconds) for step in deployment.steps(instances)]
    assert actual == steps


@given(value=st.integers(10, 50), instances=st.integers(1, 20))
def test_linear_steps_end_with_all_traffic(value: int, instances: int) -> None:
    shares = [step.share for step in policy("LINEAR", percent(value)).steps(instances)]
    assert shares == sorted(set(shares))
    assert shares[-1] == 1.0
    assert max(after - before for before, after in zip([0.0, *shares], shares, strict=False)) <= value / 100 + 1e-9


@given(unit=st.sampled_from(["CAPACITY_PERCENT", "INSTANCE_COUNT"]), value=st.integers(1, 100), of=st.integers(1, 50))
def test_capacity_size_is_between_one_and_all_instances(unit: str, value: int, of: int) -> None:
    size = CapacitySize(unit, value)
    assert 1 <= size.count_of(of) <= of
    assert 0 < size.share_of(of) <= 1
