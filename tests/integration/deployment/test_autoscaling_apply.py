"""What scales, applied as on AWS: instances by load, steps and hours, and a queue that wakes its endpoint."""

import json

from tests.support.localaws.harness import wait_until

REALTIME = "alex-embedding-endpoint"
QUEUE = "alex-batch-endpoint"
VARIABLES = """
name        = "alex"
environment = "local"
endpoints = {
  embedding = {
    model    = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    realtime = { instance_type = "ml.c6i.xlarge", deployment = { strategy = "all_at_once" } }
    autoscaling = {
      min      = 1
      max      = 2
      tracking = { requests_per_second = 20 }
      step = {
        metric_name = "ConcurrentRequestsPerModel"
        threshold   = 8
        steps       = [{ change = 1, lower = 0 }]
      }
      schedules = {
        evening = { schedule = "cron(0 20 ? * MON-FRI *)", timezone = "Europe/Berlin", min = 1, max = 1 }
        refresh = { schedule = "rate(1 day)", max = 2 }
      }
    }
  }
  batch = {
    model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    realtime = {
      instance_type = "ml.c6i.xlarge"
      async         = { input_path = "s3://batches/in", output_path = "s3://batches/out" }
    }
    autoscaling = { max = 2, tracking = {} }
  }
}
"""


def test_a_queue_sleeps_and_wakes(stack):
    stack.client("s3").create_bucket(Bucket="batches")
    root = stack.apply(VARIABLES)
    assert _targets(stack) == {
        f"endpoint/{REALTIME}/variant/AllTraffic": (1, 2),
        f"endpoint/{QUEUE}/variant/AllTraffic": (0, 2),
    }

    stack.advance(60 * 16)
    wait_until(lambda: _instances(stack, QUEUE) == 0, 60)
    # What autoscaling moved is not taken for a change that somebody made by hand.
    assert stack.is_up_to_date(root)
    called = stack.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=QUEUE, Body=b'{"inputs": "a text"}', ContentType="application/json"
    )
    stack.advance(60)
    assert len(_answer(stack, called["OutputLocation"])[0]) == 384
    assert _instances(stack, QUEUE) == 1


def _targets(stack):
    scaling = stack.client("application-autoscaling")
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    return {target["ResourceId"]: (target["MinCapacity"], target["MaxCapacity"]) for target in targets}


def _instances(stack, endpoint):
    (variant,) = stack.client("sagemaker").describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    return variant["CurrentInstanceCount"]


def _answer(stack, location):
    bucket, _, key = location.removeprefix("s3://").partition("/")
    s3 = stack.client("s3")
    wait_until(lambda: s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"], 60)
    return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
