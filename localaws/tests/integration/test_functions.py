"""Lambda functions as processes: invocations, limits and errors."""

import base64
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from localaws import LocalAwsConfig
from localaws.process import daemon
from localaws.process.identity import ProcessIdentity
from tests.support.localaws.harness import wait_until
from tests.support.localaws.lambda_harness import ECHO, TRUST, Lambda, package, post


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=1, function_processes=4)


def test_invoke_reuses_a_warm_environment(functions: Lambda, echo: str) -> None:
    first, second = (functions.invoke(echo, {"name": name}) for name in ("a", "b"))
    assert first["StatusCode"] == 200
    assert "FunctionError" not in first
    assert first["ExecutedVersion"] == "$LATEST"
    assert first["Payload"]["pid"] == second["Payload"]["pid"]
    assert second["Payload"]["count"] == first["Payload"]["count"] + 1
    assert second["Payload"]["event"] == {"name": "b"}
    assert 0 < second["Payload"]["left"] <= 20_000
    assert int(second["Payload"]["memory"]) == 256
    assert second["ResponseMetadata"]["RequestId"] == second["Payload"]["id"]


def test_function_sees_only_its_environment_and_package(functions: Lambda) -> None:
    source = """
        import importlib.util, os, subprocess, sys, tempfile
        import boto3

        FIND = "import importlib.util, sys; print(*[n for n in sys.argv[1:] if not importlib.util.find_spec(n)])"
        NAMES = ("moto", "numpy", "embedstack", "pip")

        def handler(event, context):
            missing = [name for name in NAMES if not importlib.util.find_spec(name)]
            child = subprocess.run([sys.executable, "-c", FIND, *NAMES], capture_output=True, text=True)
            names = ("GREETING", "AWS_LAMBDA_FUNCTION_NAME", "LAMBDA_TASK_ROOT", "AWS_REGION", "AWS_EXECUTION_ENV")
            account = boto3.client("sts").get_caller_identity()["Account"]
            return {"missing": missing, "missing_in_child": child.stdout.split(), "account": account,
                    "scratch": tempfile.gettempdir(), "here": os.path.dirname(__file__),
                    **{name: os.environ.get(name) for name in names}}
    """
    functions.create("sees", source, Environment={"Variables": {"GREETING": "hello"}})
    seen = functions.invoke("sees", {})["Payload"]
    assert seen["missing"] == seen["missing_in_child"] == ["moto", "numpy", "embedstack", "pip"]
    assert (seen["GREETING"], seen["AWS_LAMBDA_FUNCTION_NAME"]) == ("hello", "sees")
    assert seen["here"] == seen["LAMBDA_TASK_ROOT"]
    assert seen["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"
    assert seen["account"] == "123456789012"
    assert Path(seen["scratch"]).is_dir()
    functions.client.delete_function(FunctionName="sees")
    assert not Path(seen["scratch"]).exists()


@pytest.mark.parametrize(
    ("handler", "source", "error_type", "message"),
    [
        ("missing.handler", "", "Runtime.ImportModuleError", "Unable to import module 'missing': No module named"),
        ("function.other", "", "Runtime.HandlerNotFound", "Handler 'other' missing on module 'function'"),
        ("function.handler", "import nothing", "Runtime.ImportModuleError", "No module named 'nothing'"),
        ("function.handler", "def handler(event, context): raise KeyError('gone')", "KeyError", "'gone'"),
        ("function.handler", "import os\ndef handler(*_): os._exit(3)", "Runtime.ExitError", "exit status 3"),
    ],
)  # fmt: skip
def test_invoke_reports_errors_like_lambda(
    functions: Lambda, handler: str, source: str, error_type: str, message: str
) -> None:
    name = f"wrong-{abs(hash((handler, source)))}"
    functions.create(name, source, Handler=handler)
    response = functions.invoke(name)
    assert (response["StatusCode"], response["FunctionError"]) == (200, "Unhandled")
    assert response["Payload"]["errorType"] == error_type
    assert message in response["Payload"]["errorMessage"]
    functions.client.delete_function(FunctionName=name)


def test_function_is_killed_at_its_timeout(functions: Lambda) -> None:
    functions.create("slow", ECHO, Timeout=1)
    before = functions.invoke("slow", {})["Payload"]["pid"]
    response = functions.invoke("slow", {"sleep": 30}, LogType="Tail")
    assert response["FunctionError"] == "Unhandled"
    assert response["Payload"]["errorType"] == "Sandbox.Timedout"
    assert response["Payload"]["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert "Task timed out after 1.00 seconds" in base64.b64decode(response["LogResult"]).decode()
    assert functions.invoke("slow", {})["Payload"]["pid"] != before
    assert ProcessIdentity.of(before) is None


def test_function_is_killed_at_its_memory_limit(functions: Lambda) -> None:
    """The limit includes processes that the function starts in another session."""
    source = """
        import subprocess, sys, time
        HOLD = "import sys, time; held = bytearray(int(sys.argv[1])); time.sleep(1)"
        def handler(event, context):
            held = bytearray(event["bytes"])
            time.sleep(0.5)
            if event.get("child"):
                subprocess.run([sys.executable, "-S", "-c", HOLD, str(event["child"])], start_new_session=True)
            return len(held)
    """
    functions.create("greedy", source, MemorySize=256)
    response = functions.invoke("greedy", {"bytes": 50_000_000, "child": 60_000_000}, LogType="Tail")
    assert response["Payload"] == 50_000_000
    tail = base64.b64decode(response["LogResult"]).decode()
    assert 110_000_000 < int(tail.partition("Max Memory Used: ")[2].split()[0]) << 20 <= 256 << 20
    for event in ({"bytes": 400_000_000}, {"bytes": 130_000_000, "child": 140_000_000}):
        response = functions.invoke("greedy", event)
        assert response["Payload"]["errorType"] == "Runtime.ExitError"
        assert response["Payload"]["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")


def test_killed_function_fails_and_is_replaced(functions: Lambda, echo: str) -> None:
    pid = functions.invoke(echo, {})["Payload"]["pid"]
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    response = functions.invoke(echo, {"sleep": 20})
    assert response["Payload"]["errorType"] == "Runtime.ExitError"
    assert functions.invoke(echo, {})["Payload"]["count"] == 1
    # One that dies between two invocations is not noticed by anybody.
    pid = functions.invoke(echo, {})["Payload"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: ProcessIdentity.of(pid) is None)
    assert "FunctionError" not in functions.invoke(echo, {})


def test_reserved_concurrency_throttles_invocations(functions: Lambda) -> None:
    functions.create("reserved", ECHO)
    functions.client.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=2)
    start = threading.Barrier(5)

    def invoke() -> Any:
        start.wait()
        try:
            return functions.invoke("reserved", {"sleep": 1.5})["Payload"]["pid"]
        except ClientError as error:
            return error.response

    with ThreadPoolExecutor(5) as threads:
        responses = list(threads.map(lambda _: invoke(), range(5)))
    pids = [response for response in responses if isinstance(response, int)]
    throttled = [response for response in responses if not isinstance(response, int)]
    assert len(set(pids)) == len(pids) == 2
    assert {response["Error"]["Code"] for response in throttled} == {"TooManyRequestsException"}
    assert {response["Reason"] for response in throttled} == {"ReservedFunctionConcurrentInvocationLimitExceeded"}
    assert {response["ResponseMetadata"]["HTTPStatusCode"] for response in throttled} == {429}
    functions.client.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=0)
    assert functions.client.get_function(FunctionName="reserved")["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    with pytest.raises(functions.client.exceptions.TooManyRequestsException):
        functions.invoke("reserved", {})
    with pytest.raises(ClientError, match="below its minimum value of \\[100\\]"):
        functions.client.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=901)


def test_functions_share_a_limited_number_of_processes(functions: Lambda) -> None:
    names = [f"turn-{number}" for number in range(6)]
    for name in names:
        functions.create(name, ECHO)
    with ThreadPoolExecutor(6) as threads:
        responses = list(threads.map(lambda name: functions.invoke(name, {"name": name}), names))
    assert [response["Payload"]["event"]["name"] for response in responses] == names
    assert len(functions.aws.pids()) <= 4
    for name in names:
        functions.client.delete_function(FunctionName=name)


def test_update_replaces_running_environments(functions: Lambda) -> None:
    functions.create("changing", "def handler(event, context): return 1")
    assert functions.invoke("changing")["Payload"] == 1
    version = functions.client.publish_version(FunctionName="changing")["Version"]
    source = "import os\ndef handler(event, context): return os.environ.get('NAME', 2)"
    functions.client.update_function_code(FunctionName="changing", ZipFile=package(source))
    assert functions.invoke("changing")["Payload"] == 2
    environment = {"Variables": {"NAME": "changed"}}
    functions.client.update_function_configuration(FunctionName="changing", Environment=environment)
    assert functions.invoke("changing")["Payload"] == "changed"
    old = functions.invoke("changing", Qualifier=version)
    assert (old["Payload"], old["ExecutedVersion"]) == (1, version)


def test_invoke_types_and_limits(functions: Lambda, echo: str) -> None:
    assert functions.invoke(echo, {}, InvocationType="DryRun")["StatusCode"] == 204
    with pytest.raises(
        functions.client.exceptions.ResourceNotFoundException, match="Function not found: arn:aws:lambda"
    ):
        functions.invoke("nobody", {})
    with pytest.raises(functions.client.exceptions.RequestTooLargeException):
        functions.invoke(echo, "x" * 6_291_456)
    with pytest.raises(functions.client.exceptions.InvalidRequestContentException):
        functions.client.invoke(FunctionName=echo, Payload=b"{no json")
    functions.create("large", "def handler(event, context): return 'x' * event")
    assert functions.invoke("large", 6_000_000)["StatusCode"] == 200
    assert functions.invoke("large", 6_300_000)["Payload"]["errorType"] == "Function.ResponseSizeTooLarge"
    with pytest.raises(ClientError, match="Could not unzip uploaded file"):
        functions.create("no-zip", "", Code={"ZipFile": b"no zip"})


def test_role_must_allow_what_the_configuration_needs(functions: Lambda) -> None:
    iam = functions.aws.client("iam")
    strange = TRUST.replace("lambda.amazonaws.com", "ec2.amazonaws.com")
    roles = {
        name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        for name, trust in (("strange", strange), ("empty", "{}"), ("bare", TRUST))
    }
    for name in ("strange", "empty"):
        with pytest.raises(ClientError, match="The role defined for the function cannot be assumed by Lambda"):
            functions.create("unassumed", ECHO, Role=roles[name])
    url, arn = functions.queue("unreadable")
    functions.create("bare", ECHO, Role=roles["bare"])
    mapping = {"EventSourceArn": arn, "FunctionName": "bare"}
    with pytest.raises(ClientError, match="execution role does not have permissions to call ReceiveMessage on SQS"):
        functions.client.create_event_source_mapping(**mapping)
    reading = {"Effect": "Allow", "Action": ["sqs:Receive*", "sqs:DeleteMessage"], "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": reading})
    iam.put_role_policy(RoleName="bare", PolicyName="r", PolicyDocument=policy)
    with pytest.raises(ClientError, match="permissions to call GetQueueAttributes on SQS"):
        functions.client.create_event_source_mapping(**mapping)
    assert functions.is_empty(url)


def test_role_must_allow_network_interfaces_in_its_subnets(functions: Lambda) -> None:
    iam = functions.aws.client("iam")
    role = iam.create_role(RoleName="networked", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    names = ("network-interface/*", "subnet/subnet-1", "security-group/sg-1")
    making = {
        "Effect": "Allow",
        "Action": "ec2:CreateNetworkInterface",
        "Resource": [f"arn:aws:ec2:us-east-1:123456789012:{name}" for name in names],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": making})
    iam.put_role_policy(RoleName="networked", PolicyName="n", PolicyDocument=policy)
    network = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    functions.create("networked", ECHO, Role=role, VpcConfig=network)
    for elsewhere in ({"SubnetIds": ["subnet-2"]}, {"SecurityGroupIds": ["sg-2"]}):
        with pytest.raises(ClientError, match="does not have permissions to call CreateNetworkInterface on EC2"):
            functions.create("elsewhere", ECHO, Role=role, VpcConfig={**network, **elsewhere})


def test_faults_are_injected_into_invocations(functions: Lambda, echo: str) -> None:
    url = f"{functions.aws.server.url}/_embedstack/faults"
    fault = {"service": "lambda", "kind": "throttle", "rate": 1}
    assert post(url, fault).status == 200
    with pytest.raises(functions.client.exceptions.TooManyRequestsException) as throttled:
        functions.invoke(echo, {})
    assert throttled.value.response["Reason"] == "CallerRateLimitExceeded"
    assert post(url, {**fault, "rate": 0}).status == 200
    assert functions.invoke(echo, {})["StatusCode"] == 200


def test_killed_local_aws_leaves_no_function_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = daemon.start(LocalAwsConfig(port=0), tmp_path)
    try:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        session = boto3.Session()
        role = session.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
        client = session.client("lambda", config=Config(retries={"total_max_attempts": 1}))
        client.create_function(
            FunctionName="endless",
            Runtime="python3.12",
            Handler="function.handler",
            Role=role["Role"]["Arn"],
            Timeout=60,
            Code={"ZipFile": package("import time\ndef handler(event, context):\n    time.sleep(60)")},
        )
        with ThreadPoolExecutor(1) as threads:
            pending = threads.submit(client.invoke, FunctionName="endless")
            containers = tmp_path / "containers"
            wait_until(lambda: bool(list(containers.glob("*.json"))))
            (record,) = containers.glob("*.json")
            os.kill(running.pid, signal.SIGKILL)
            with pytest.raises(HTTPClientError):
                pending.result()
        wait_until(lambda: ProcessIdentity.of(int(record.stem)) is None)
    finally:
        daemon.stop(tmp_path)


def test_deleted_function_leaves_no_process_after_a_kill(functions: Lambda) -> None:
    functions.create("grouped", "import os\ndef handler(event, context): return os.getpid()")
    pid = functions.invoke("grouped")["Payload"]
    assert pid in functions.aws.pids()
    os.kill(pid, signal.SIGKILL)
    functions.client.delete_function(FunctionName="grouped")
    assert pid not in functions.aws.pids()
