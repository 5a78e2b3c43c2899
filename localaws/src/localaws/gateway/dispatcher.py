"""The local AWS as one WSGI application: moto's services, ours in place of some, and a health check."""

import functools
import importlib.metadata
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.awslambda.responses import LambdaResponse
from moto.budgets.responses import BudgetsResponse
from moto.ce.responses import CostExplorerResponse
from moto.cloudformation.responses import CloudFormationResponse
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.utils import convert_to_flask_response
from moto.ec2.responses import EC2Response
from moto.kms.responses import KmsResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.rds.responses import RDSResponse
from moto.s3.responses import S3Response
from moto.s3vectors.responses import S3VectorsResponse
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from moto.sqs.responses import SQSResponse
from werkzeug.exceptions import NotFound

from localaws.core.health import HEALTH_PATH
from localaws.gateway.error_responses import protect
from localaws.gateway.request_guard import UNSIGNED_ACTIONS
from localaws.gateway.strip_nulls import answer_without_nulls
from localaws.services.application_autoscaling.api import ApplicationAutoScaling
from localaws.services.bedrock_runtime.api import BedrockRuntime, is_bedrock
from localaws.services.budgets.api import Budgets
from localaws.services.ce.api import CostExplorer
from localaws.services.cloudformation.api import CloudFormation
from localaws.services.cloudwatch.api import CloudWatch
from localaws.services.ec2.api import Ec2
from localaws.services.kms.api import Kms
from localaws.services.lambda_.api import Functions
from localaws.services.rds.api import Rds
from localaws.services.s3.api import S3
from localaws.services.s3.event_notifications import ObjectEvents
from localaws.services.s3vectors.api import S3VectorsApi
from localaws.services.sagemaker.api import SageMaker
from localaws.services.sagemaker_runtime.api import SageMakerRuntime
from localaws.services.sqs.api import Sqs
from localaws.services.sqs.message_queue import MessageQueue

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from localaws.services.application_autoscaling.service import AutoScaling
    from localaws.services.cloudwatch.service import Monitoring
    from localaws.services.lambda_.service import FunctionHost
    from localaws.services.rds.service import DatabaseHost
    from localaws.services.s3vectors.service import S3Vectors
    from localaws.services.sagemaker.async_inference.service import AsyncInference
    from localaws.services.sagemaker.endpoints.endpoint_manager import EndpointHost

__all__ = ["LocalAwsApplication"]

# Buckets are hosts, too.
_REMEMBERED_HOSTS = 1024
#: Services whose unknown paths mean an operation that is not there; in S3 every path is some bucket's.
_ROUTED_BY_PATH = frozenset({"s3vectors", "sagemakerruntime"})
#: moto's own console can wipe every backend, which would leave endpoints' processes without an owner. The others are an
#: instance's metadata, with credentials, which moto answers by path to requests for any service.
_CLOSED_PATHS = ("/moto-api", "/favicon.ico", "/latest/api/", "/latest/meta-data/")


class LocalAwsApplication(DomainDispatcherApplication):  # type: ignore[misc]  # moto is untyped
    """Dispatches a request to the service that it was signed for."""

    def __init__(
        self,
        host: "EndpointHost",
        monitoring: "Monitoring",
        auto_scaling: "AutoScaling",
        async_inference: "AsyncInference",
        functions: "FunctionHost",
        vectors: "S3Vectors",
        databases: "DatabaseHost",
        describe: Callable[[], dict[str, Any]],
    ) -> None:
        """Build the application.

        Args:
            host: The endpoints behind SageMaker.
            monitoring: The metrics and alarms behind CloudWatch.
            auto_scaling: The targets behind Application Auto Scaling.
            async_inference: The queues behind InvokeEndpointAsync.
            functions: The functions behind Lambda.
            vectors: S3 Vectors.
            databases: The servers behind RDS.
            describe: What the health check answers.
        """
        # Moto lists its own folder each time: a third or more of what a request costs.
        self._backend_of = functools.lru_cache(_REMEMBERED_HOSTS)(super().get_backend_for_host)
        # Classes are what moto routes to; a subclass per application carries its host without any global.
        control_plane = type("SageMaker", (SageMaker,), {"host": host})
        # moto registers each model class by its package: the module has to be named.
        queue_class = type(
            "LocalQueue", (MessageQueue,), {"simulated": monitoring.time, "__module__": MessageQueue.__module__}
        )
        vectors_api = type("S3VectorsApi", (S3VectorsApi,), {"service": vectors})
        self._replacements: dict[Any, Any] = {
            ApplicationAutoScalingResponse: type(
                "ApplicationAutoScaling", (ApplicationAutoScaling,), {"auto_scaling": auto_scaling}
            ),
            CloudFormationResponse: type(
                "CloudFormation",
                (CloudFormation,),
                {"host": host, "control_plane": control_plane, "vectors": vectors_api},
            ),
            BudgetsResponse: Budgets,
            CloudWatchResponse: type("CloudWatch", (CloudWatch,), {"monitoring": monitoring}),
            CostExplorerResponse: CostExplorer,
            EC2Response: Ec2,
            KmsResponse: Kms,
            LambdaResponse: type("Functions", (Functions,), {"host": functions}),
            RDSResponse: type("Rds", (Rds,), {"host": databases}),
            S3VectorsResponse: vectors_api,
            S3Response: type("S3", (S3,), {"events": ObjectEvents()}),
            SageMakerResponse: control_plane,
            SageMakerRuntimeResponse: type(
                "SageMakerRuntime", (SageMakerRuntime,), {"host": host, "async_inference": async_inference}
            ),
            SQSResponse: type("Sqs", (Sqs,), {"queue_class": queue_class}),
        }
        self._describe = describe
        self._bedrock = BedrockRuntime()
        super().__init__(self._create_service)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path == HEALTH_PATH:
            body = json.dumps(self._describe()).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        if path.startswith(_CLOSED_PATHS):
            return NotFound()(environ, start_response)
        if is_bedrock(environ):
            return self._bedrock(environ, start_response)
        return answer_without_nulls(super().__call__, environ, _without_cors(start_response))

    def infer_service_region_host(self, environ: "WSGIEnvironment", path: str) -> str | None:
        """Moto's rule for signed requests, with every path of the SageMaker runtime API.

        Unsigned requests and presigned URLs are for S3, or for STS where it takes an action unsigned. moto would also
        let the path name a service, such as ``/lambda_us-east-1/``.
        """
        if not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS4-"):
            action = self.get_action_from_body(self._get_body(environ))
            return "sts.us-east-1.amazonaws.com" if action in UNSIGNED_ACTIONS else None
        host: str | None = super().infer_service_region_host(environ, path)
        if host and host.startswith("api.sagemaker.") and environ.get("PATH_INFO", "").startswith("/endpoints/"):
            return host.replace("api.", "runtime.", 1)
        return host

    def get_backend_for_host(self, host: str | None) -> Any:
        """Moto's rule; a service that moto does not know is named, so that the answer can say so."""
        return self._backend_of(host) or (host and f"unknown:{host}")

    def _create_service(self, service: str) -> Flask:
        if service.startswith("unknown:"):
            return _refusing_app(f"service {service.removeprefix('unknown:')}")
        app: Flask = create_backend_app(service)
        app.debug = False
        for endpoint, view in list(app.view_functions.items()):
            handler = getattr(view, "callback", None)
            if handler is None:
                continue
            replacement = self._replacements.get(getattr(handler, "__self__", None))
            if replacement is not None:
                app.view_functions[endpoint] = convert_to_flask_response(getattr(replacement, handler.__name__))
        protect(app, service, routed_by_path=service in _ROUTED_BY_PATH)
        return app


def _refusing_app(what: str) -> Flask:
    app = Flask("unknown", static_folder=None)
    protect(app, what, routed_by_path=True)
    return app


def _without_cors(start_response: "StartResponse") -> "StartResponse":
    """Drop the headers by which moto lets any web page read its answers."""

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
        return start_response(status, kept, *rest)

    return start


def version() -> str:
    """Version of the installed embedstack."""
    try:
        return importlib.metadata.version("embedstack")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
