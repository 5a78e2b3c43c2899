"""Dispatches a request to its service: one of moto's, or ours in place of it."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
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
from moto.iam.responses import IamResponse
from moto.kms.responses import KmsResponse
from moto.logs.responses import LogsResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.rds.responses import RDSResponse
from moto.s3.responses import S3Response
from moto.s3vectors.responses import S3VectorsResponse
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from moto.scheduler.responses import EventBridgeSchedulerResponse
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.sns.responses import SNSResponse
from moto.sqs.responses import SQSResponse
from moto.sts.responses import TokenResponse

from localaws.gateway.error_responses import MissingPackage, protect
from localaws.gateway.request_guard import UNSIGNED_ACTIONS
from localaws.services.application_autoscaling.api import ApplicationAutoScaling
from localaws.services.bedrock_runtime.api import BedrockRuntime, is_bedrock
from localaws.services.budgets.api import Budgets
from localaws.services.ce.api import CostExplorer
from localaws.services.cloudformation.api import CloudFormation
from localaws.services.cloudwatch.api import CloudWatch
from localaws.services.ec2.api import Ec2
from localaws.services.iam.api import Iam
from localaws.services.kms.api import Kms
from localaws.services.lambda_.api import Functions
from localaws.services.logs.api import Logs
from localaws.services.pricing.api import PriceListApi, is_pricing
from localaws.services.rds.api import Rds
from localaws.services.s3.api import S3
from localaws.services.s3.event_notifications import ObjectEvents
from localaws.services.s3vectors.api import S3VectorsApi
from localaws.services.sagemaker.api import SageMaker
from localaws.services.sagemaker_runtime.api import STREAM_PATH, SageMakerRuntime
from localaws.services.scheduler.api import Scheduler
from localaws.services.secretsmanager.api import SecretsManager
from localaws.services.sns.api import Sns
from localaws.services.sqs.api import Sqs
from localaws.services.sts.api import Sts

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from localaws.metering.meter import Meter
    from localaws.metering.prices import UsagePrices
    from localaws.services.application_autoscaling.service import AutoScaling
    from localaws.services.budgets.watch import BudgetWatch
    from localaws.services.cloudwatch.service import Monitoring
    from localaws.services.lambda_.service import FunctionHost
    from localaws.services.pricing.price_list import PriceLists
    from localaws.services.rds.service import DatabaseHost
    from localaws.services.s3vectors.service import S3Vectors
    from localaws.services.sagemaker.async_inference.service import AsyncInference
    from localaws.services.sagemaker.host import EndpointHost
    from localaws.services.scheduler.service import Schedules
    from localaws.services.sqs.message_queue import MessageQueue

__all__ = ["LocalAwsApplication", "ServiceParts"]

# Each bucket has its own host name.
_REMEMBERED_HOSTS = 1024
#: Services in which an unknown path is an unknown operation. In S3, every path is an object's.
_ROUTED_BY_PATH = frozenset({"s3vectors", "sagemakerruntime"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceParts:
    """What the services of one local AWS have besides moto's backends.

    Attributes:
        host: The endpoints behind SageMaker.
        monitoring: The metrics and alarms behind CloudWatch.
        auto_scaling: The targets behind Application Auto Scaling.
        async_inference: The queues behind InvokeEndpointAsync.
        functions: The functions behind Lambda.
        vectors: S3 Vectors.
        databases: The servers behind RDS.
        schedules: The schedules behind EventBridge Scheduler.
        meter: What runs, for the bill.
        prices: The prices of the bill.
        price_lists: The price lists behind the Price List API.
        budgets: What budgets have spent.
        queue_class: The class of queues.
    """

    host: "EndpointHost"
    monitoring: "Monitoring"
    auto_scaling: "AutoScaling"
    async_inference: "AsyncInference"
    functions: "FunctionHost"
    vectors: "S3Vectors"
    databases: "DatabaseHost"
    schedules: "Schedules"
    meter: "Meter"
    prices: "UsagePrices"
    price_lists: "PriceLists"
    budgets: "BudgetWatch"
    queue_class: "type[MessageQueue]"


class LocalAwsApplication(DomainDispatcherApplication):  # type: ignore[misc]  # moto is untyped
    """All services, by the name that a request was signed for."""

    def __init__(self, parts: ServiceParts) -> None:
        """Build the application from what the services have besides moto's backends."""
        # moto lists its own folder each time, which takes a third or more of a request's time.
        self._backend_of = functools.lru_cache(_REMEMBERED_HOSTS)(super().get_backend_for_host)
        # moto routes to classes. A subclass per application carries its host without a global variable.
        control_plane = type("SageMaker", (SageMaker,), {"host": parts.host})
        vectors_api = type("S3VectorsApi", (S3VectorsApi,), {"service": parts.vectors})
        self._replacements: dict[Any, Any] = {
            ApplicationAutoScalingResponse: type(
                "ApplicationAutoScaling", (ApplicationAutoScaling,), {"auto_scaling": parts.auto_scaling}
            ),
            CloudFormationResponse: type(
                "CloudFormation",
                (CloudFormation,),
                {"host": parts.host, "control_plane": control_plane, "vectors": vectors_api},
            ),
            BudgetsResponse: type("Budgets", (Budgets,), {"watch": parts.budgets}),
            CloudWatchResponse: type("CloudWatch", (CloudWatch,), {"monitoring": parts.monitoring}),
            CostExplorerResponse: type("CostExplorer", (CostExplorer,), {"meter": parts.meter, "prices": parts.prices}),
            EC2Response: Ec2,
            IamResponse: Iam,
            KmsResponse: Kms,
            LambdaResponse: type("Functions", (Functions,), {"host": parts.functions}),
            LogsResponse: Logs,
            RDSResponse: type("Rds", (Rds,), {"host": parts.databases}),
            S3VectorsResponse: vectors_api,
            S3Response: type("S3", (S3,), {"events": ObjectEvents()}),
            SageMakerResponse: control_plane,
            SageMakerRuntimeResponse: type(
                "SageMakerRuntime", (SageMakerRuntime,), {"host": parts.host, "async_inference": parts.async_inference}
            ),
            EventBridgeSchedulerResponse: type("Scheduler", (Scheduler,), {"schedules": parts.schedules}),
            SecretsManagerResponse: SecretsManager,
            SNSResponse: Sns,
            SQSResponse: type("Sqs", (Sqs,), {"queue_class": parts.queue_class}),
            TokenResponse: Sts,
        }
        self._bedrock = BedrockRuntime(parts.meter)
        self._pricing = PriceListApi(parts.price_lists)
        super().__init__(self._create_service)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        if is_bedrock(environ):
            return self._bedrock(environ, start_response)
        if is_pricing(environ):
            return self._pricing(environ, start_response)
        response: Iterable[bytes] = super().__call__(environ, start_response)
        return response

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
        """Moto's rule. An unknown service is passed on by name, so that the response can name it."""
        return self._backend_of(host) or (host and f"unknown:{host}")

    def _create_service(self, service: str) -> Flask:
        if service.startswith("unknown:"):
            return _not_implemented_app(f"service {service.removeprefix('unknown:')}")
        try:
            app: Flask = create_backend_app(service)
        except ModuleNotFoundError as error:
            # moto's extras have the packages of services that embedstack does not use.
            return _not_implemented_app(str(MissingPackage(error, service)))
        app.debug = False
        for endpoint, view in list(app.view_functions.items()):
            handler = getattr(view, "callback", None)
            if handler is None:
                continue
            replacement = self._replacements.get(getattr(handler, "__self__", None))
            if replacement is not None:
                app.view_functions[endpoint] = convert_to_flask_response(getattr(replacement, handler.__name__))
        if service == "sagemakerruntime":  # moto has no route for it
            runtime = convert_to_flask_response(self._replacements[SageMakerRuntimeResponse].dispatch)
            app.add_url_rule(f"/endpoints/<name>{STREAM_PATH}", "stream", runtime, methods=["POST"])
        protect(app, service, routed_by_path=service in _ROUTED_BY_PATH)
        return app


def _not_implemented_app(name: str) -> Flask:
    app = Flask("unknown", static_folder=None)
    protect(app, name, routed_by_path=True)
    return app
