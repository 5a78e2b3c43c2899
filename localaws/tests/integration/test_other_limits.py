"""Local AWSs with other limits, one per test."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from tests.support.localaws.harness import MINILM, Aws, wait_until


def test_installed_model_is_found_by_hub_id(tmp_path: Path) -> None:
    (tmp_path / "models" / "org" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "org" / "broken" / "config.json").write_text("{}")
    with LocalAws(LocalAwsConfig(port=0, models_dir=tmp_path / "models", stop_grace=5)) as server:
        aws = Aws(server)
        aws.create_model("m", HF_MODEL_ID="org/broken")
        aws.create_config("m", "m")
        aws.sagemaker.create_endpoint(EndpointName="m", EndpointConfigName="m")
        description = aws.settled("m")

    assert description["EndpointStatus"] == "Failed"
    assert "as the model process exited" in description["FailureReason"]
    assert "has no modules.json" in description["FailureReason"]


def test_slow_start_fails_the_endpoint() -> None:
    with LocalAws(LocalAwsConfig(port=0, serverless_start_timeout=0.1, stop_grace=5)) as server:
        aws = Aws(server)
        aws.create_model("slow", HF_MODEL_ID=MINILM)
        aws.create_config("slow", "slow")
        aws.sagemaker.create_endpoint(EndpointName="slow", EndpointConfigName="slow")
        description = aws.settled("slow")
        assert aws.pids() == []

    assert description["EndpointStatus"] == "Failed"
    assert "stand up your model within the allotted 0.1 second timeout" in description["FailureReason"]


def test_stop_ends_starting_endpoints() -> None:
    with LocalAws(LocalAwsConfig(port=0, stop_grace=5)) as server:
        aws = Aws(server)
        aws.create_model("m", HF_MODEL_ID=MINILM)
        aws.create_config("m", "m")
        aws.sagemaker.create_endpoint(EndpointName="m", EndpointConfigName="m")
        wait_until(lambda: aws.pids() != [])
        (pid,) = aws.pids()
    assert not Path(f"/proc/{pid}").exists()


def test_index_limits_vectors_per_second() -> None:
    with LocalAws(LocalAwsConfig(port=0, vectors_per_second=3, stop_grace=5)) as server:
        vectors = Aws(server).client("s3vectors")
        vectors.create_vector_bucket(vectorBucketName="limited")
        index = {"vectorBucketName": "limited", "indexName": "texts"}
        vectors.create_index(**index, dataType="float32", dimension=1, distanceMetric="cosine")
        four = [{"key": str(number), "data": {"float32": [1.0]}} for number in range(4)]
        with pytest.raises(ClientError, match="TooManyRequestsException"):
            vectors.put_vectors(**index, vectors=four)
        vectors.put_vectors(**index, vectors=four[:3])
        assert len(vectors.list_vectors(**index)["vectors"]) == 3
