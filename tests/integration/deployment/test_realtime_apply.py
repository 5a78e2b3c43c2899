"""A real-time endpoint by the same Terraform as on AWS: instances, canary deployments, and every second plan empty."""

import time

import pytest

from embedstack.localaws.config import LocalAwsConfig
from tests.integration.conftest import running_stack

ENDPOINT = "alex-embedding-endpoint"


@pytest.fixture
def stack(tmp_path):
    # A canary that is watched for five minutes takes a third of a second.
    with running_stack(tmp_path, LocalAwsConfig(port=0, clock_speed=1000)) as stack:
        yield stack


def _variables(instances, deployment):
    return f"""
    name        = "alex"
    environment = "local"
    endpoints = {{
      embedding = {{
        model = {{ hub_id = "sentence-transformers/all-MiniLM-L6-v2" }}
        realtime = {{
          instance_type  = "ml.c6i.xlarge"
          instance_count = {instances}
          deployment     = {deployment}
        }}
      }}
    }}
    """


def _described(stack):
    return stack.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)


def _counts(description):
    return [variant["CurrentInstanceCount"] for variant in description["ProductionVariants"]]


def test_apply_change_and_destroy_with_deployment_guardrails(stack):
    root = stack.apply(_variables(1, '{ strategy = "canary", percent = 10, bake_s = 300 }'))
    created = _described(stack)
    assert _counts(created) == [1]
    routing = created["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["CanarySize"] == {"Type": "CAPACITY_PERCENT", "Value": 10}
    assert stack.is_up_to_date(root)

    root = stack.apply(_variables(2, '{ strategy = "rolling", percent = 50, bake_s = 300 }'))
    changed = _described(stack)
    assert _counts(changed) == [2]
    assert changed["EndpointConfigName"] != created["EndpointConfigName"]
    assert "RollingUpdatePolicy" in changed["LastDeploymentConfig"]

    root = stack.apply(_variables(2, "null"))
    assert "LastDeploymentConfig" not in _described(stack)
    assert stack.is_up_to_date(root)

    root.destroy()
    deadline = time.monotonic() + 30
    while stack.client("sagemaker").list_endpoints()["Endpoints"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not list((stack.folder.parent / "state" / "containers").iterdir())
