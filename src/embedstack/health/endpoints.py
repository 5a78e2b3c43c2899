"""An endpoint's description in SageMaker, as far as its health depends on it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import aws_response_errors, create_client
from embedstack.aws.errors import error_code, translate_error
from embedstack.embedders.sagemaker.model_identity import container_identity, read_tags, receives_requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedstack.models.model_info import ModelIdentity
    from embedstack.settings.settings import Settings

__all__ = ["EndpointFacts", "EndpointReader"]

#: What a container or its server writes when it cannot serve.
_MARKERS = ("Worker died", "Load model failed", "ImportError")
_CAPTURE_HOURS = 2


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """A described endpoint.

    Attributes:
        status: SageMaker's status of the endpoint, or of its inference component once the endpoint is in service.
        failure_reason: Why the last deployment failed; empty if it did not.
        config: Endpoint configuration in use.
        created: Creation time in seconds since the epoch.
        kind: ``serverless``, ``instance``, ``component`` or ``async``.
        instance_type: Instance type; None for a serverless endpoint.
        inference_ami: Host image of the instances, if the configuration names one.
        component: Inference component that requests name.
        capacity: Running instances or copies; None for a serverless endpoint.
        scales_to_zero: Whether it scales to zero instances or copies.
        instances: Running instances of all variants that receive requests; 1 for a serverless endpoint.
        identity: The served model; None if the description does not name it.
        capture_uri: S3 URI that data capture writes to; None without.
    """

    status: str
    failure_reason: str
    config: str
    created: float
    kind: str
    instance_type: str | None = None
    inference_ami: str | None = None
    component: str | None = None
    capacity: int | None = None
    scales_to_zero: bool = False
    instances: int = 1
    identity: "ModelIdentity | None" = None
    capture_uri: str | None = None

    @property
    def log_group(self) -> str | None:
        """Log group of the component's containers; None for the endpoint's own."""
        return f"/aws/sagemaker/InferenceComponents/{self.component}" if self.component else None


@dataclass(slots=True)
class EndpointReader:
    """Reads descriptions, logs and captured data with read-only calls."""

    settings: "Settings"
    _clients: dict[str, Any] = field(default_factory=dict)

    def describe(self, endpoint: str, component: str | None = None) -> EndpointFacts:
        """Describe an endpoint.

        Args:
            endpoint: Its name.
            component: Inference component; defaults to the endpoint's first.

        Raises:
            EmbedStackError: It does not exist, or AWS rejects the request.
        """
        client = self._client("sagemaker")
        try:
            with aws_response_errors():
                return _describe(client, endpoint, component)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, "sagemaker", resource=endpoint, region=client.meta.region_name) from error

    def log_findings(self, endpoint: str, facts: EndpointFacts, since: float) -> tuple[bool | None, str]:
        """What the containers' log says.

        Args:
            endpoint: Name of the endpoint.
            facts: Its description.
            since: Time from which events are read, in seconds since the epoch.

        Returns:
            Whether the containers wrote a log at all, None if it cannot be read; and a sentence, or an empty string.
        """
        group = facts.log_group or f"/aws/sagemaker/Endpoints/{endpoint}"
        client = self._client("logs")
        try:
            streams = client.describe_log_streams(logGroupName=group, limit=1)["logStreams"]
            if not streams:
                return False, ""
            pattern = " ".join(f'?"{marker}"' for marker in _MARKERS)
            response = client.filter_log_events(
                logGroupName=group, filterPattern=pattern, startTime=int(since * 1000), limit=50
            )
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return False, ""
            return None, f"logs not readable ({error_code(error)})"
        except BotoCoreError as error:
            return None, f"logs not readable ({type(error).__name__})"
        messages = "\n".join(event["message"] for event in response["events"])
        found = [marker for marker in _MARKERS if marker in messages]
        return True, f"its log has: {', '.join(found)}" if found else ""

    def capture_is_writing(self, endpoint: str, facts: EndpointFacts, now: float) -> bool:
        """Whether data capture wrote an object in this hour or the last two.

        Raises:
            EmbedStackError: The objects cannot be listed.
        """
        parts = urlsplit(facts.capture_uri or "")
        client = self._client("s3")
        prefix = "/".join(part for part in (parts.path.strip("/"), endpoint) if part)
        hours = [datetime.fromtimestamp(now, UTC) - timedelta(hours=hour) for hour in range(_CAPTURE_HOURS + 1)]
        try:
            variants = client.list_objects_v2(Bucket=parts.netloc, Prefix=f"{prefix}/", Delimiter="/")
            folders = [folder["Prefix"] for folder in variants.get("CommonPrefixes", [])]
            return any(
                client.list_objects_v2(Bucket=parts.netloc, Prefix=f"{folder}{hour:%Y/%m/%d/%H}/", MaxKeys=1)[
                    "KeyCount"
                ]
                for folder in folders
                for hour in hours
            )
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, "s3", resource=parts.netloc) from error

    def redeploy(self, endpoint: str, config: str) -> None:
        """Update an endpoint to a configuration.

        Raises:
            EmbedStackError: SageMaker rejects the update.
        """
        client = self._client("sagemaker")
        try:
            with aws_response_errors():
                client.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, "sagemaker", resource=endpoint, region=client.meta.region_name) from error

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = create_client(service, self.settings, connect_timeout=3, read_timeout=10)
        return self._clients[service]


def _describe(client: Any, endpoint: str, component: str | None) -> EndpointFacts:
    description = client.describe_endpoint(EndpointName=endpoint)
    config = client.describe_endpoint_config(EndpointConfigName=description["EndpointConfigName"])
    variants = config["ProductionVariants"]
    first = variants[0]
    serving = [one for one in variants if receives_requests(description, one)] or variants
    facts: dict[str, Any] = {
        "status": description["EndpointStatus"],
        "failure_reason": description.get("FailureReason", ""),
        "config": description["EndpointConfigName"],
        "created": description["CreationTime"].timestamp(),
        "kind": "serverless" if "ServerlessConfig" in first else "instance",
        "instance_type": first.get("InstanceType"),
        "inference_ami": first.get("InferenceAmiVersion"),
    }
    capture = description.get("DataCaptureConfig") or {}
    if capture.get("EnableCapture") and capture.get("CaptureStatus") == "Started":
        facts["capture_uri"] = capture["DestinationS3Uri"]
    if "AsyncInferenceConfig" in config:
        facts |= {"kind": "async", "scales_to_zero": True}
    if facts["kind"] != "serverless":
        names = {one["VariantName"] for one in serving}
        running = sum(
            int(one.get("CurrentInstanceCount", 0))
            for one in description.get("ProductionVariants", [])
            if one["VariantName"] in names
        )
        facts |= {"capacity": running, "instances": running}
    if "ModelName" in first:
        return EndpointFacts(**facts, identity=_model_identity(client, first["ModelName"]))
    managed = first.get("ManagedInstanceScaling") or {}
    facts |= {"kind": "component", "scales_to_zero": managed.get("MinInstanceCount") == 0}
    return _describe_component(client, endpoint, component, facts)


def _describe_component(client: Any, endpoint: str, component: str | None, facts: dict[str, Any]) -> EndpointFacts:
    if component is None:
        components = client.list_inference_components(EndpointNameEquals=endpoint)["InferenceComponents"]
        names = sorted(one["InferenceComponentName"] for one in components)
        if not names:
            return EndpointFacts(**facts)
        component = names[0]
    description = client.describe_inference_component(InferenceComponentName=component)
    specification = description["Specification"]
    runtime = description.get("RuntimeConfig", {})
    if facts["status"] == "InService":
        facts |= {
            "status": description["InferenceComponentStatus"],
            "failure_reason": description.get("FailureReason", ""),
            "created": description["CreationTime"].timestamp(),
        }
    if name := specification.get("ModelName"):
        identity = _model_identity(client, name)
    else:
        environment = specification.get("Container", {}).get("Environment") or {}
        identity = container_identity(environment, read_tags(client, description.get("InferenceComponentArn")))
    copies = runtime.get("CurrentCopyCount")
    return EndpointFacts(**{**facts, "capacity": copies}, component=component, identity=identity)


def _model_identity(client: Any, name: str) -> "ModelIdentity | None":
    model = client.describe_model(ModelName=name)
    containers = [model["PrimaryContainer"]] if "PrimaryContainer" in model else model.get("Containers", [])[-1:]
    environment: Mapping[str, str] = containers[0].get("Environment") or {} if containers else {}
    return container_identity(environment, read_tags(client, model.get("ModelArn")))
