"""Stopping the local AWS leaves no process, thread or file behind."""

import threading
from pathlib import Path

from localaws import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from tests.support.localaws.harness import TINY_BERT, Aws, wait_until


def test_stop_during_scaling_and_deployment_leaves_nothing(models_dir: Path) -> None:
    with LocalAws(LocalAwsConfig(port=0, models_dir=models_dir, stop_grace=5)) as server:
        aws = Aws(server)
        aws.create_model("m", HF_MODEL_ID=TINY_BERT)
        aws.create_instance_config("m", "m", 1)
        for name in ("scaling", "baking"):
            aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="m")
        for name in ("scaling", "baking"):
            aws.settled(name)
        routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 3600}
        aws.sagemaker.update_endpoint(
            EndpointName="baking", EndpointConfigName="m", DeploymentConfig={"BlueGreenUpdatePolicy": policy}
        )
        wait_until(lambda: len(aws.pids()) == 3)
        aws.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="scaling",
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}],
        )
        wait_until(lambda: len(aws.pids()) == 4)
        state_dir = server.state_dir

    assert not state_dir.exists()
    names = [thread.name for thread in threading.enumerate()]
    assert not {"endpoint-operation", "endpoint-clock", "at-the-same-time"} & set(names)
