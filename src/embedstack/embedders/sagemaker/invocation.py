"""Calls an endpoint with ``InvokeEndpoint``, and verifies the model that it serves."""

from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient, require_account
from embedstack.calls.http_responses import read_body
from embedstack.calls.process_local import Lock
from embedstack.costs.accounting import Service
from embedstack.costs.aws_tariffs import sagemaker_tariff
from embedstack.embedders.sagemaker.model_identity import served_models
from embedstack.models.model_info import ModelIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

    from embedstack.models.model_info import ModelInfo
    from embedstack.settings.settings import Settings

__all__ = ["JSON", "EndpointInvoker"]

JSON = "application/json"


class EndpointInvoker:
    """Sends request bodies to an endpoint. Shared by threads.

    A response that names its model is compared with the expected model. If the first response names none, the
    endpoint's description in SageMaker is compared, if the credentials allow that.

    Attributes:
        endpoint: Name of the endpoint.
        source: The endpoint, as messages name it.
        routing: ``TargetVariant`` or ``InferenceComponentName`` of every request.
        served_model: The model that the responses name; None if they name none.
        is_verified: Whether the served model was compared with the expected one.
    """

    def __init__(
        self,
        model: "ModelInfo",
        endpoint: str,
        settings: "Settings",
        *,
        concurrency: int,
        target_variant: str | None = None,
        inference_component: str | None = None,
        prompts: "Mapping[str, str] | None" = None,
        session: "boto3.Session | None" = None,
    ) -> None:
        """Create a client. No request is sent.

        Args:
            model: The expected model.
            endpoint: Name of the endpoint.
            settings: Region and address of AWS, timeout, and whether to verify the model.
            concurrency: Requests in flight at the same time.
            target_variant: Production variant to call; chosen by the variants' weights by default.
            inference_component: Inference component to call.
            prompts: Text that the client puts before an input, by kind. The endpoint's container must not add another.
            session: A custom boto3 session.

        Raises:
            ConfigurationError: No region is set, or it is not allowed.
        """
        self.endpoint = endpoint
        self.source = f"Endpoint {endpoint}"
        routing = {"TargetVariant": target_variant, "InferenceComponentName": inference_component}
        self.routing: Mapping[str, str] = {name: value for name, value in routing.items() if value is not None}
        self.served_model: ModelIdentity | None = None
        self.is_verified = False
        self._model, self._prompts = model, prompts or {}
        self._client = AwsClient(
            "sagemaker-runtime",
            settings,
            max_connections=concurrency,
            read_timeout=settings.embedding_timeout_seconds,
            session=session,
        )
        self._settings, self._session = settings, session
        self._verifying = Lock()
        self._is_account_verified = False

    @property
    def address(self) -> str:
        """URL of the service."""
        return self._client.endpoint_url

    @property
    def service(self) -> Service:
        """The endpoint, for the ledger."""
        settings = self._settings.without_secrets()
        tariff = partial(
            sagemaker_tariff, settings, self._client.region, self.endpoint, dict(self.routing), self._session
        )
        return Service("sagemaker", self.endpoint, self._model.model_id, tariff)

    def disable_retries(self) -> None:
        """Send every request once from now on."""
        self._client.disable_retries()

    def invoke(self, body: bytes, *, accept: str = JSON, limit: int) -> bytes:
        """Send a request body and read the response.

        Args:
            body: The request as JSON.
            accept: Media type of the response.
            limit: Largest valid response in bytes.

        Raises:
            EmbedStackError: The endpoint did not respond, rejected the request, or serves another model; or the
                credentials belong to another account than AWS_ACCOUNT_ID.
        """
        self._verify_account()

        def call(client: Any) -> tuple[bytes, object]:
            response = client.invoke_endpoint(
                EndpointName=self.endpoint, ContentType=JSON, Accept=accept, Body=body, **self.routing
            )
            return read_body(response["Body"], limit, self.source), response.get("CustomAttributes")

        try:
            content, attributes = self._client.call(call)
        except (BotoCoreError, ClientError) as error:
            raise self._client.translate(error, resource=self.endpoint) from error
        served = ModelIdentity.from_attributes(attributes)
        if served is not None:
            served.require(self._model, self.source)
            self.served_model = served
            self.is_verified = True
        return content

    def verify_description(self) -> None:
        """Compare the endpoint's description with the expected model, once, if no response has named the model.

        Raises:
            ModelMismatch: The description names another model.
            ConfigurationError: The endpoint's container and this client would both add a prompt.
        """
        if self.is_verified:
            return
        with self._verifying:
            if self._needs_verification():
                for model in served_models(self._settings, self.endpoint, self.routing, self._session):
                    model.require(self._model, self._prompts, self.source)
                self.is_verified = True

    def _verify_account(self) -> None:
        # Before the first request, so that no text reaches another account's endpoint of the same name.
        if not self._is_account_verified:
            require_account(self._settings, self._session)
            self._is_account_verified = True

    def _needs_verification(self) -> bool:
        return not self.is_verified  # another thread may have been first
