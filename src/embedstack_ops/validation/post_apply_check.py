"""Did an apply do what it said? What SageMaker runs, compared with what Terraform meant, and real requests.

SageMaker answers an update that failed by going back to what ran before, and reports the endpoint InService: an apply
that looks good may have changed nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import aws_response_errors, create_client, translate_error
from embedstack.calls.http_responses import read_body
from embedstack.embedders.sagemaker.async_embedder import AnswerOutOfReach, AsyncEndpoint
from embedstack.embedders.sagemaker.responses import read_answer
from embedstack.errors import EmbedStackError, EndpointAsleep
from embedstack_ops.validation import Check
from embedstack_ops.validation.endpoint_description import instances

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["check_endpoint"]

_REQUEST = json.dumps({"inputs": ["One request after an apply, to see an answer."]}).encode()
#: For how long an asynchronous endpoint may take to answer, while an instance of it runs.
_ANSWER_SECONDS = 120
#: More than one text's token vectors take.
_RESPONSE_BYTES = 25 * 1024 * 1024
_ASLEEP = "asleep: nothing runs, and a request would wake it"


def check_endpoint(intended: Mapping[str, Any], settings: "Settings") -> Iterator[Check]:
    """Compare one endpoint with what was applied, and invoke it.

    Args:
        intended: The endpoint's entry in the root module's output ``endpoints``.
        settings: Region, credentials and address of AWS.

    Yields:
        A finding at a time, with a request to each production variant. The request is skipped while the endpoint is
        scaled to zero, and where an asynchronous one took it and its answer may not be read.

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
    asleep = instances(endpoint, config) == 0 or (
        described is not None and not described.get("RuntimeConfig", {}).get("CurrentCopyCount")
    )
    if asleep:
        yield Check("request", "skipped", _ASLEEP)
    elif config.get("AsyncInferenceConfig"):
        queue = AsyncEndpoint(name, settings, wait_seconds=_ANSWER_SECONDS)
        yield _answer("request", lambda: queue.ask(_REQUEST))
    else:
        for check, target in _targets(component, list(running)).items():
            yield _answer(check, _invocation(name, target, settings))


def _targets(component: str | None, variants: list[str]) -> dict[str, dict[str, str]]:
    """The requests to send: what each names beside the endpoint, by the check that it makes."""
    if component:
        return {"request": {"InferenceComponentName": component}}
    if len(variants) < 2:
        return {"request": {}}
    # By their weights a variant may get no request in a thousand, and one of weight 0 none at all.
    return {f"request to {name}": {"TargetVariant": name} for name in variants}


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
    if len(intended.get("variants", {})) > 1:
        # UpdateEndpointWeightsAndCapacities leaves the configuration as it is.
        parts.append(f"weight {float(running.get('CurrentWeight', 0)):g}")
        wanted_parts.append(f"weight {float(meant['weight']):g}")
    found, wanted = (", ".join(filter(None, some)) for some in (parts, wanted_parts))
    current, desired = (int(running.get(f"{which}InstanceCount", 0)) for which in ("Current", "Desired"))
    note = f"{current} of {desired} instances run" if current != desired else None
    return _compare(name, found, wanted, note)


def _component(described: Mapping[str, Any], intended: Mapping[str, Any]) -> Check:
    found = f"{described['InferenceComponentStatus']}, {described['Specification'].get('ModelName')}"
    wanted = f"InService, {intended['model_name']}"
    return _compare("component", found, wanted, described.get("FailureReason"))


def _invocation(name: str, target: dict[str, str], settings: "Settings") -> Callable[[], bytes]:
    """A request to the endpoint, to be sent: gives the answer."""

    def ask() -> bytes:
        runtime = create_client("sagemaker-runtime", settings)
        try:
            with aws_response_errors(f"Endpoint {name}"):
                answer = runtime.invoke_endpoint(
                    EndpointName=name, ContentType="application/json", Body=_REQUEST, **target
                )
                return read_body(answer["Body"], _RESPONSE_BYTES, f"Endpoint {name}")
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, endpoint=name, region=runtime.meta.region_name) from error

    return ask


def _answer(name: str, ask: Callable[[], bytes]) -> Check:
    """Whether a request is answered with a vector."""
    try:
        vectors = read_answer(ask(), 1, pooling="mean", normalized=True)
    except EndpointAsleep:
        return Check(name, "skipped", _ASLEEP)  # it fell asleep since it was described
    except AnswerOutOfReach as error:
        return Check(name, "skipped", str(error))
    except EmbedStackError as error:
        return Check(name, "failed", str(error), "a vector")
    rows, dimensions = vectors.shape
    if rows != 1 or not np.isfinite(vectors).all():
        return Check(name, "failed", f"{rows} vectors, or not finite", "a vector")
    return Check(name, "passed", f"answered with a vector of {dimensions} dimensions")


def _compare(name: str, found: str, wanted: str, complaint: str | None = None) -> Check:
    if found != wanted or complaint:
        return Check(name, "failed", f"{found}{f': {complaint}' if complaint else ''}", wanted)
    return Check(name, "passed", found)
