"""Did an apply do what it said? What SageMaker runs, compared with what Terraform meant, and one real request.

SageMaker answers an update that failed by going back to what ran before, and reports the endpoint InService: an apply
that looks good may have changed nothing.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws import create_client, translate_error
from embedstack.embedders.sagemaker_answers import read_answer
from embedstack.errors import EmbedStackError
from embedstack.validation import Check

if TYPE_CHECKING:
    from embedstack.settings import Settings

__all__ = ["check_rollout"]

_TEXT = "One request after an apply, to see an answer."


def check_rollout(intended: Mapping[str, Any], settings: "Settings") -> Iterator[Check]:
    """Compare one endpoint with what was applied, and invoke it.

    Args:
        intended: The endpoint's entry in the root module's output ``endpoints``.
        settings: Region, credentials and address of AWS.

    Yields:
        A finding at a time. The request is skipped where the endpoint takes none now: while it has no instance, and
        where it takes requests from a queue only.

    Raises:
        EndpointNotFound: There is no such endpoint in this account and region.
        ConfigurationError: No region or credentials, or they do not allow to ask.
        EndpointUnavailable: AWS cannot be reached.
    """
    client = create_client("sagemaker", settings)
    name = intended["name"]
    try:
        endpoint = client.describe_endpoint(EndpointName=name)
        config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        component = intended.get("inference_component")
        described = client.describe_inference_component(InferenceComponentName=component) if component else None
    except (BotoCoreError, ClientError) as error:
        raise translate_error(error, endpoint=name, region=client.meta.region_name) from error
    yield _compare("status", endpoint["EndpointStatus"], "InService", endpoint.get("FailureReason"))
    yield _compare("configuration", endpoint["EndpointConfigName"], intended["config_name"])
    running = {variant["VariantName"]: variant for variant in endpoint.get("ProductionVariants", [])}
    for variant in config["ProductionVariants"]:
        yield _variant(variant, running.get(variant["VariantName"], {}), intended)
    if described is not None:
        yield _component(described, intended)
    yield _invocation(endpoint, described, bool(config.get("AsyncInferenceConfig")), settings)


def _variant(configured: Mapping[str, Any], running: Mapping[str, Any], intended: Mapping[str, Any]) -> Check:
    """What a variant runs, in one line; only its own model and hardware, since scaling moves its count."""
    name = configured["VariantName"]
    meant = {"model_name": intended["model_name"], **intended, **intended.get("variants", {}).get(name, {})}
    serverless = configured.get("ServerlessConfig")
    if serverless:
        found = f"{configured['ModelName']}, {serverless['MemorySizeInMB']} MB, {serverless['MaxConcurrency']} at once"
        wanted = f"{meant['model_name']}, {meant['memory_mb']} MB, {meant['max_concurrency']} at once"
        return _compare(name, found, wanted)
    parts = [configured.get("ModelName"), configured["InstanceType"]]
    wanted_parts = [None if intended.get("inference_component") else meant["model_name"], meant["instance_type"]]
    found, wanted = (", ".join(filter(None, some)) for some in (parts, wanted_parts))
    current, desired = (int(running.get(f"{which}InstanceCount", 0)) for which in ("Current", "Desired"))
    note = f"{current} of {desired} instances run" if current != desired else None
    return _compare(name, found, wanted, note)


def _component(described: Mapping[str, Any], intended: Mapping[str, Any]) -> Check:
    found = f"{described['InferenceComponentStatus']}, {described['Specification'].get('ModelName')}"
    wanted = f"InService, {intended['model_name']}"
    return _compare("component", found, wanted, described.get("FailureReason"))


def _invocation(
    endpoint: Mapping[str, Any], component: Mapping[str, Any] | None, is_queue: bool, settings: "Settings"
) -> Check:
    if is_queue:
        return Check("request", "skipped", "the endpoint takes its requests from a queue")
    if component is not None and not component.get("RuntimeConfig", {}).get("CurrentCopyCount"):
        return Check("request", "skipped", "asleep: no copy runs, and a request would wake one")
    target = {"InferenceComponentName": component["InferenceComponentName"]} if component else {}
    name = endpoint["EndpointName"]
    runtime = create_client("sagemaker-runtime", settings)
    body = json.dumps({"inputs": [_TEXT]})
    try:
        answer = runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=body, **target)
        content = answer["Body"].read()
        vectors = read_answer(content, answer["ContentType"], pooling="mean", normalized=True)
    except (BotoCoreError, ClientError) as error:
        failure = translate_error(error, endpoint=name, region=runtime.meta.region_name)
        return Check("request", "failed", str(failure), "a vector")
    except EmbedStackError as error:
        return Check("request", "failed", str(error), "a vector")
    rows, dimensions = vectors.shape
    if rows != 1 or not np.isfinite(vectors).all():
        return Check("request", "failed", f"{rows} vectors, or not finite", "a vector")
    return Check("request", "passed", f"answered with a vector of {dimensions} dimensions")


def _compare(name: str, found: str, wanted: str, complaint: str | None = None) -> Check:
    if found != wanted or complaint:
        return Check(name, "failed", f"{found}{f': {complaint}' if complaint else ''}", wanted)
    return Check(name, "passed", found)
