"""The AWS Lambda API: moto's records, with functions that run as processes."""

import contextlib
import json
import secrets
from typing import Any, ClassVar
from urllib.parse import unquote

from moto.awslambda.exceptions import (
    FunctionAlreadyExists,
    GenericResourcNotFound,
    InvalidParameterValueException,
    LambdaClientError,
    UnknownFunctionException,
    UnknownLayerVersionException,
)
from moto.awslambda.models import EventInvokeConfig
from moto.awslambda.responses import LambdaResponse
from moto.iam.exceptions import NotFoundException

from localaws.services.lambda_.code import CodeRefused, check_package
from localaws.services.lambda_.event_source_mappings import MappingConflict, MappingRecord, check_mapping, find_queue
from localaws.services.lambda_.function_checks import check_new_function, missing_layer
from localaws.services.lambda_.function_urls import FUNCTION_URLS_PATH
from localaws.services.lambda_.permissions import check_reader, check_role
from localaws.services.lambda_.pool import ACCOUNT_CONCURRENCY, UNRESERVED_MINIMUM, Throttled
from localaws.services.lambda_.records import FunctionRecord
from localaws.services.lambda_.service import FunctionHost

__all__ = ["SIMPLIFICATIONS", "Functions"]

SIMPLIFICATIONS = {
    "CreateEventSourceMapping": "Standard SQS queues only, without filters.",
    "CreateFunction": "Zip packages for this machine's Python and processor; no layers or images.",
    "CreateFunctionUrlConfig": "The URL is a path of the local AWS; no response streaming.",
    "Invoke": "Asynchronous invocations (Event) of one function run one after the other.",
    "InvokeAsync": "Not implemented.",
    "PutFunctionConcurrency": "The account's concurrency limit is 1,000; fewer processes run at the same time.",
    "PutFunctionEventInvokeConfig": "For $LATEST; destinations are queues and topics.",
}

_Response = tuple[int, dict[str, Any], str | bytes]

_REQUEST_BYTES = 6 * 1024 * 1024


class _RequestTooLarge(LambdaClientError):  # type: ignore[misc]  # moto is untyped
    code = 413

    def __init__(self, size: int, kind: str, limit: int) -> None:
        message = f"{size} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        super().__init__("RequestTooLargeException", message)


class Functions(LambdaResponse):  # type: ignore[misc]  # moto is untyped
    """The Lambda API of one local AWS."""

    host: ClassVar[FunctionHost]

    def create_function(self) -> _Response:
        """CreateFunction, with validation of the package and the role."""
        spec = self.json_body
        check_new_function(spec, self.current_account)
        name = spec["FunctionName"].rsplit(":", 1)[-1]
        try:
            self.backend.get_function(name, None)
        except UnknownFunctionException:
            function = self._new_function(spec)
        else:
            raise FunctionAlreadyExists(name)
        _check_code(function)
        _check_role(function)
        self.backend._lambdas.put_function(function)  # noqa: SLF001 - moto has no public way to do this
        configuration = function.get_configuration(on_create=True)
        if spec.get("Publish"):
            configuration["Version"] = str(self.backend.publish_version(name).version)
        return _json(201, configuration)

    def _new_function(self, spec: dict[str, Any]) -> FunctionRecord:
        try:
            return FunctionRecord(self.current_account, spec, self.region)
        except UnknownLayerVersionException as error:
            raise missing_layer(spec["Layers"]) from error

    def add_permission(self) -> str:
        """AddPermission; a statement's id is unique."""
        name, qualifier = unquote(self.path.split("/")[-2]), (self.querystring.get("Qualifier") or [None])[0]
        added = self.json_body["StatementId"]
        if any(statement["Sid"] == added for statement in self.backend.get_function(name, qualifier).policy.statements):
            raise _Conflict(
                f"The statement id ({added}) provided already exists. Please provide a new statement id, or remove the "
                "existing statement."
            )
        return str(super().add_permission())

    def update_function_code(self) -> _Response:
        """UpdateFunctionCode; environments with the old code end."""
        super().update_function_code()
        function = self._function()
        _check_code(function)
        self.host.changed(function)
        return _json(200, function.get_configuration())

    def update_function_configuration(self) -> _Response:
        """UpdateFunctionConfiguration; environments with the old configuration end."""
        response: _Response = super().update_function_configuration()
        check_role(self._function())
        self.host.changed(self._function())
        return response

    def delete_function(self) -> _Response:
        """DeleteFunction, with its environments."""
        function = self.backend.get_function(unquote(self.path.rsplit("/", 1)[-1]))
        response: _Response = super().delete_function()
        if not self._get_param("Qualifier"):
            self.host.deleted(function)
        return response

    def put_function_concurrency(self) -> _Response:
        """PutFunctionConcurrency, within the account's limit."""
        function = self._function()
        reserved = int(self.json_body["ReservedConcurrentExecutions"])
        reserved_elsewhere = self.host.reserved(self.current_account, self.region, without=function.function_name)
        if reserved + reserved_elsewhere > ACCOUNT_CONCURRENCY - UNRESERVED_MINIMUM:
            raise InvalidParameterValueException(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                f"below its minimum value of [{UNRESERVED_MINIMUM}]."
            )
        function.reserved_concurrency = reserved
        return _json(200, {"ReservedConcurrentExecutions": reserved})

    def get_function_concurrency(self) -> _Response:
        """GetFunctionConcurrency."""
        return _json(200, {"ReservedConcurrentExecutions": self._function().reserved_concurrency})

    def get_function_code_signing_config(self) -> _Response:
        """GetFunctionCodeSigningConfig."""
        return _json(200, self._function().get_function_code_signing_config())

    def invoke(self) -> _Response:
        """Invoke a function and wait, queue the event (Event), or only validate the request (DryRun)."""
        name = unquote(self.path.rsplit("/", 2)[-2])
        qualifier = (self.querystring.get("Qualifier") or [""])[0]
        try:
            function = self.backend.get_function(name, qualifier or None)
        except UnknownFunctionException as error:
            arn = error.message.removeprefix("Function not found: ")
            raise UnknownFunctionException(arn if qualifier else f"{arn}:$LATEST") from error
        kind = self.headers.get("X-Amz-Invocation-Type") or "RequestResponse"
        payload = self.body.encode() if isinstance(self.body, str) else self.body
        _check_payload(payload, kind)
        if kind == "DryRun":
            return 204, {"status": 204}, ""
        if kind == "Event":
            request_id = self.host.submit(function, payload, qualifier)
            return 202, {"status": 202, "x-amzn-requestid": request_id}, ""
        try:
            context = self.headers.get("X-Amz-Client-Context")
            result = self.host.invoke(function, payload, qualifier=qualifier, client_context=context)
        except Throttled as error:
            headers = {"status": 429, "x-amzn-errortype": "TooManyRequestsException"}
            return 429, headers, json.dumps({"Reason": error.reason, "Type": "User", "message": str(error)})
        except InterruptedError:
            headers = {"status": 500, "x-amzn-errortype": "ServiceException"}
            return 500, headers, json.dumps({"Type": "Service", "Message": "The local AWS is shutting down."})
        headers = {
            "status": 200,
            "Content-Type": "application/json",
            "X-Amz-Executed-Version": result.version,
            "x-amzn-requestid": result.request_id,
        }
        if result.failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if self.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = result.log_result
        return 200, headers, result.payload

    def create_event_source_mapping(self) -> _Response:
        """CreateEventSourceMapping; starts reading the queue."""
        spec = self.json_body
        try:
            function = self.backend.get_function(spec["FunctionName"])
        except UnknownFunctionException as error:
            raise InvalidParameterValueException("Function does not exist") from error
        queue = find_queue(spec["EventSourceArn"])
        check_mapping(spec, function, queue)
        check_reader(function, queue.queue_arn)
        name = str(spec["FunctionName"])
        qualifier = name.rsplit(":", 1)[1] if name.count(":") in (1, 7) else ""
        arn = f"{function.unqualified_arn}:{qualifier}" if qualifier else function.unqualified_arn
        for mapping in self._mappings.values():
            if (mapping.event_source_arn, mapping.function_arn) == (queue.queue_arn, arn):
                raise MappingConflict(queue.queue_arn, name, mapping.uuid)
        mapping = MappingRecord({**spec, "FunctionName": function.function_name}, function, arn)
        self._mappings[mapping.uuid] = mapping
        configuration = mapping.get_configuration()
        mapping.settle()
        self.host.start_polling(mapping)
        return _json(202, configuration)

    def update_event_source_mapping(self) -> _Response:
        """UpdateEventSourceMapping; restarts reading the queue with the new settings."""
        mapping = self._mapping()
        function = self.backend.get_function(self.json_body.get("FunctionName") or mapping.function_arn)
        check_mapping({"MaximumBatchingWindowInSeconds": mapping.max_batch_window, **self.json_body}, function,
                      find_queue(mapping.event_source_arn))  # fmt: skip
        self.backend.update_event_source_mapping(mapping.uuid, self.json_body)
        mapping.state = "Updating"
        configuration = mapping.get_configuration()
        mapping.settle()
        self.host.start_polling(mapping)
        return _json(202, configuration)

    def delete_event_source_mapping(self) -> _Response:
        """DeleteEventSourceMapping; stops reading the queue."""
        mapping = self._mapping()
        self.host.stop_polling(mapping.uuid)
        self.backend.delete_event_source_mapping(mapping.uuid)
        mapping.state = "Deleting"
        return _json(202, mapping.get_configuration())

    def get_event_source_mapping(self) -> _Response:
        """GetEventSourceMapping."""
        return _json(200, self._mapping().get_configuration())

    def create_function_url_config(self) -> _Response:
        """CreateFunctionUrlConfig; the URL is a path of the local AWS."""
        function = self._function()
        if function.url_config is not None:
            raise _Conflict(
                f"Failed to create function url config for [functionArn = {function.unqualified_arn}]. Error message:  "
                "FunctionUrlConfig exists for this Lambda function"
            )
        if self.json_body.get("InvokeMode") == "RESPONSE_STREAM":
            raise NotImplementedError("function URLs with InvokeMode RESPONSE_STREAM")
        config = function.create_url_config(self.json_body)
        config.url = f"http://{self.headers['Host']}{FUNCTION_URLS_PATH}{secrets.token_hex(16)}/"
        configuration = _describe_url(config, function)
        # Only the other URL actions return it.
        configuration.pop("LastModifiedTime")
        return _json(201, configuration)

    def get_function_url_config(self) -> _Response:
        """GetFunctionUrlConfig."""
        function = self._function()
        return _json(200, _describe_url(function.get_url_config(), function))

    def update_function_url_config(self) -> _Response:
        """UpdateFunctionUrlConfig."""
        function = self._function()
        function.get_url_config()
        return _json(200, _describe_url(function.update_url_config(self.json_body), function))

    def put_function_event_invoke_config(self) -> _Response:
        """PutFunctionEventInvokeConfig."""
        return self._configure_async({})

    def update_function_event_invoke_config(self) -> _Response:
        """UpdateFunctionEventInvokeConfig: members that are missing keep their values."""
        self.backend.get_function_event_invoke_config(self._function().function_name)
        return self._configure_async(self._function().async_config)

    def _configure_async(self, before: dict[str, Any]) -> _Response:
        if self.querystring.get("Qualifier", ["$LATEST"]) != ["$LATEST"]:
            raise NotImplementedError("event invoke configurations of versions and aliases")
        function = self._function()
        arn = f"{function.unqualified_arn}:$LATEST"
        config = EventInvokeConfig(arn, self.host.now().timestamp(), {**before, **self.json_body})
        function.event_invoke_config = [config]
        return _json(200, config.response())

    def invoke_async(self) -> Any:
        """InvokeAsync: not implemented."""
        raise NotImplementedError("InvokeAsync")

    @staticmethod
    def _enrich_response(headers: dict[str, Any], body: Any) -> tuple[dict[str, Any], Any]:
        """Keep the request id of an invocation, which moto would replace."""
        request_id = headers.get("x-amzn-requestid")
        enriched, body = LambdaResponse._enrich_response(headers, body)  # noqa: SLF001 - what is overridden
        return {**enriched, **({"x-amzn-requestid": request_id} if request_id else {})}, body

    @property
    def _mappings(self) -> dict[str, MappingRecord]:
        mappings: dict[str, MappingRecord] = self.backend._event_source_mappings  # noqa: SLF001 - moto has no public way to do this
        return mappings

    def _mapping(self) -> MappingRecord:
        mapping = self._mappings.get(self.path.rstrip("/").split("/")[-1])
        if mapping is None:
            raise GenericResourcNotFound
        return mapping

    def _function(self) -> FunctionRecord:
        """The function in a path such as ``/functions/name/concurrency``."""
        function: FunctionRecord = self.backend.get_function(unquote(self.path.rstrip("/").rsplit("/", 2)[-2]))
        return function


class _Conflict(LambdaClientError):  # type: ignore[misc]  # moto is untyped
    code = 409

    def __init__(self, message: str) -> None:
        super().__init__("ResourceConflictException", message)


def _check_code(function: FunctionRecord) -> None:
    if function.package_type != "Zip":
        raise NotImplementedError("functions of the package type Image")
    try:
        check_package(function.code_bytes, function.architectures[0], str(function.run_time))
    except CodeRefused as error:
        raise InvalidParameterValueException(str(error)) from error


def _check_role(function: FunctionRecord) -> None:
    """Check the role of a new function; moto rejects a missing role with Lambda's message."""
    with contextlib.suppress(NotFoundException):
        check_role(function)


def _check_payload(payload: bytes, kind: str) -> None:
    if len(payload) > _REQUEST_BYTES:
        raise _RequestTooLarge(len(payload), kind, _REQUEST_BYTES)
    try:
        json.loads(payload or b"{}")
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise LambdaClientError("InvalidRequestContentException", message) from error


def _describe_url(config: Any, function: FunctionRecord) -> dict[str, Any]:
    configuration = {**config.to_dict(), "FunctionArn": function.unqualified_arn}
    return {**configuration, "InvokeMode": str(configuration["InvokeMode"]).upper()}


def _json(status: int, document: dict[str, Any]) -> _Response:
    return status, {"status": status}, json.dumps({key: value for key, value in document.items() if value is not None})
