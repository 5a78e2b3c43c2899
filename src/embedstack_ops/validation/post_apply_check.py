"""Checks after an apply: compares each deployed endpoint with Terraform's outputs and sends it a request.

SageMaker rolls a failed update back to the previous configuration and reports the endpoint InService: a successful
apply may have changed nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import aws_response_errors, create_client
from embedstack.aws.errors import translate_error
from embedstack.calls.http_responses import parse_json, read_body
from embedstack.embedders.sagemaker.async_embedder import AsyncEndpoint, AsyncOutputNotReadable
from embedstack.embedders.sagemaker.responses import read_vectors
from embedstack.errors import EmbedStackError, EndpointAsleep, IntegrityError
from embedstack.rerankers.responses import read_scores
from embedstack_ops.validation import Check
from embedstack_ops.validation.endpoint_description import instances

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["check_endpoint"]

_TEXT = "A request after an apply."
#: How long a running asynchronous endpoint may take to respond.
_RESPONSE_SECONDS = 120
#: More than the token vectors of one text.
_RESPONSE_BYTES = 25 * 1024 * 1024
_ASLEEP = "scaled to zero; a request would wake it up"


@dataclass(frozen=True, slots=True)
class _Probe:
    """A request to a model of one kind.

    Attributes:
        request: The request.
        expected: The expected result.
        read: Describes the result in a response; raises EmbedStackError if there is none.
    """

    request: dict[str, Any]
    expected: str
    read: Callable[[bytes], str]


def _read_vector(content: bytes) -> str:
    vectors = read_vectors(content, 1, pooling="mean", normalized=True)
    rows, dimensions = vectors.shape
    if rows != 1 or not np.isfinite(vectors).all():
        raise IntegrityError(f"The response has {rows} vectors, or NaN or infinity. Check the model.")
    return f"a vector with {dimensions} dimensions"


def _read_score(content: bytes) -> str:
    scores = read_scores(parse_json(content, "The endpoint"), 1, "score", "The endpoint")
    if not np.isfinite(scores).all():
        raise IntegrityError("The score is NaN or infinity. Check the model.")
    return "a score"


_VECTOR = _Probe({"inputs": [_TEXT]}, "a vector", _read_vector)
_SCORE = _Probe({"query": _TEXT, "texts": [_TEXT]}, "a score", _read_score)


def check_endpoint(intended: Mapping[str, Any], settings: "Settings") -> Iterator[Check]:
    """Compare an endpoint with its configuration in Terraform, and invoke it.

    Args:
        intended: The endpoint's entry in the root module's output ``endpoints``.
        settings: Region, credentials and address of AWS.

    Yields:
        The checks, with a request to each production variant. The request is skipped while the endpoint is scaled to
        zero, and if permissions do not allow reading an asynchronous response.

    Raises:
        EndpointNotFound: The endpoint does not exist in this account and region.
        ConfigurationError: Region, credentials or permissions are missing.
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
        raise translate_error(error, "sagemaker", resource=name, region=client.meta.region_name) from error
    yield _compare("status", endpoint["EndpointStatus"], "InService", endpoint.get("FailureReason"))
    yield _compare("configuration", endpoint["EndpointConfigName"], intended["config_name"])
    running = {variant["VariantName"]: variant for variant in endpoint.get("ProductionVariants", [])}
    for variant in config["ProductionVariants"]:
        yield _variant(variant, running.get(variant["VariantName"], {}), intended)
    if described is not None:
        yield _component(described, intended)
    asleep = instances(endpoint, config) == 0 or (
        described is not None and not described.get("RuntimeConfig", {}).get("CurrentCopyCount")
    )
    probe = _SCORE if intended.get("model_kind") == "reranker" else _VECTOR
    if asleep:
        yield Check("request", "skipped", _ASLEEP)
    elif config.get("AsyncInferenceConfig"):
        queue = AsyncEndpoint(name, settings, wait_seconds=_RESPONSE_SECONDS)
        yield _request("request", probe, queue.invoke)
    else:
        for check, target in _targets(component, list(running)).items():
            yield _request(check, probe, _invocation(name, target, settings))


def _targets(component: str | None, variants: list[str]) -> dict[str, dict[str, str]]:
    """The parameters of each request to send, by the name of its check."""
    if component:
        return {"request": {"InferenceComponentName": component}}
    if len(variants) < 2:
        return {"request": {}}
    # A variant with a small weight might receive no request, and one with weight 0 never does.
    return {f"request to {name}": {"TargetVariant": name} for name in variants}


def _variant(configured: Mapping[str, Any], running: Mapping[str, Any], intended: Mapping[str, Any]) -> Check:
    """Compare a variant's model and hardware; scaling changes its instance count."""
    name = configured["VariantName"]
    meant = {"model_name": intended["model_name"], **intended, **intended.get("variants", {}).get(name, {})}
    serverless = configured.get("ServerlessConfig")
    if serverless:
        actual = (
            f"{configured['ModelName']}, {serverless['MemorySizeInMB']} MB, {serverless['MaxConcurrency']} concurrent"
        )
        expected = f"{meant['model_name']}, {meant['memory_mb']} MB, {meant['max_concurrency']} concurrent"
        return _compare(name, actual, expected)
    parts = [configured.get("ModelName"), configured["InstanceType"]]
    expected_parts = [None if intended.get("inference_component") else meant["model_name"], meant["instance_type"]]
    if len(intended.get("variants", {})) > 1:
        # UpdateEndpointWeightsAndCapacities does not change the configuration.
        parts.append(f"weight {float(running.get('CurrentWeight', 0)):g}")
        expected_parts.append(f"weight {float(meant['weight']):g}")
    actual, expected = (", ".join(filter(None, some)) for some in (parts, expected_parts))
    current, desired = (int(running.get(f"{which}InstanceCount", 0)) for which in ("Current", "Desired"))
    note = f"{current} of {desired} instances running" if current != desired else None
    return _compare(name, actual, expected, note)


def _component(described: Mapping[str, Any], intended: Mapping[str, Any]) -> Check:
    actual = f"{described['InferenceComponentStatus']}, {described['Specification'].get('ModelName')}"
    expected = f"InService, {intended['model_name']}"
    return _compare("component", actual, expected, described.get("FailureReason"))


def _invocation(name: str, target: dict[str, str], settings: "Settings") -> Callable[[bytes], bytes]:
    """A function that sends a request body and returns the response body."""

    def send(body: bytes) -> bytes:
        runtime = create_client("sagemaker-runtime", settings)
        try:
            with aws_response_errors(f"Endpoint {name}"):
                response = runtime.invoke_endpoint(
                    EndpointName=name, ContentType="application/json", Body=body, **target
                )
                return read_body(response["Body"], _RESPONSE_BYTES, f"Endpoint {name}")
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, "sagemaker-runtime", resource=name, region=runtime.meta.region_name) from error

    return send


def _request(name: str, probe: _Probe, send: Callable[[bytes], bytes]) -> Check:
    """Whether a request returns what the model computes."""
    try:
        return Check(name, "passed", probe.read(send(json.dumps(probe.request).encode())))
    except EndpointAsleep:
        return Check(name, "skipped", _ASLEEP)  # it was scaled to zero after it was described
    except AsyncOutputNotReadable as error:
        return Check(name, "skipped", str(error))
    except EmbedStackError as error:
        return Check(name, "failed", str(error), probe.expected)


def _compare(name: str, actual: str, expected: str, problem: str | None = None) -> Check:
    if actual != expected or problem:
        return Check(name, "failed", f"{actual}{f': {problem}' if problem else ''}", expected)
    return Check(name, "passed", actual)
