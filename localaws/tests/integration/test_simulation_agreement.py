"""The simulator beside the local AWS, under the same requests. benchmarks/simulation_agreement.py has more of them."""

import pytest
from simulation_agreement import throttled, tracked

from embedstack_ops.simulation.configurations import Instances, invocations_tracking
from localaws import LocalAwsConfig
from tests.support.localaws.harness import Aws


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0)


def test_simulated_scaling_agrees_with_the_local_aws(aws: Aws) -> None:
    policy = invocations_tracking(4, scale_out_cooldown_s=60, scale_in_cooldown_s=60)
    endpoint = Instances("burst", "ml.m5.xlarge", maximum=2, tracking=(policy,))
    agreement = tracked(aws, "burst", endpoint, [2] + [7] * 4 + [1] * 17)
    assert agreement.holds, agreement
    assert agreement.local.instance_hours > 22 / 60, "the endpoint never scaled out"


def test_simulated_throttling_agrees_with_the_local_aws(aws: Aws) -> None:
    agreement = throttled(aws, "throttled", [1, 3, 6])
    assert agreement.holds, agreement
    assert agreement.local.throttled == pytest.approx(0.5)
