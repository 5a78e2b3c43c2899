"""Records of functions: moto's, with the members that moto does not store."""

import uuid
from typing import Any

from moto.awslambda.models import LambdaFunction

__all__ = ["FunctionRecord"]

#: The default of LoggingConfig.LogFormat (API reference).
_TEXT_FORMAT = "Text"
_STORED = ("FileSystemConfigs", "DeadLetterConfig")


class FunctionRecord(LambdaFunction):  # type: ignore[misc]  # moto is untyped
    """A function, or a published version, which is a copy."""

    def __init__(self, account_id: str, spec: dict[str, Any], region: str) -> None:
        """Create a function from a CreateFunction request."""
        super().__init__(account_id=account_id, spec=spec, region=region, version="$LATEST")
        self._stored = {name: spec[name] for name in _STORED if spec.get(name)}
        self._logging = dict(spec.get("LoggingConfig") or {})
        #: Changes with each update of code or configuration.
        self.revision = str(uuid.uuid4())

    @property
    def unqualified_arn(self) -> str:
        """The ARN without a version."""
        return f"arn:{self.partition}:lambda:{self.region}:{self.account_id}:function:{self.function_name}"

    @property
    def dead_letter_target(self) -> str:
        """ARN of the queue or topic for events that fail all attempts; empty without one."""
        return str(self._stored.get("DeadLetterConfig", {}).get("TargetArn") or "")

    @property
    def async_config(self) -> dict[str, Any]:
        """The configuration of asynchronous invocations; empty without one."""
        return dict(self.event_invoke_config[-1].config) if self.event_invoke_config else {}

    @property
    def logging(self) -> dict[str, Any]:
        """The LoggingConfig with its defaults."""
        defaults: dict[str, Any] = {"LogFormat": _TEXT_FORMAT, "LogGroup": self.logs_group_name}
        if self._logging.get("LogFormat") == "JSON":
            defaults |= {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
        return defaults | {name: value for name, value in self._logging.items() if value}

    def get_configuration(self, on_create: bool = False) -> dict[str, Any]:
        """FunctionConfiguration, without members that have no value."""
        configuration = super().get_configuration(on_create)
        configuration |= {**self._stored, "LoggingConfig": self.logging, "RevisionId": self.revision}
        return {name: value for name, value in configuration.items() if value is not None}

    def get_code(self) -> dict[str, Any]:
        """The response of GetFunction, including a reserved concurrency of 0."""
        response: dict[str, Any] = super().get_code()
        if self.reserved_concurrency is not None:
            response["Concurrency"] = {"ReservedConcurrentExecutions": self.reserved_concurrency}
        return response

    def update_configuration(self, config_updates: dict[str, Any]) -> dict[str, Any]:
        """Apply UpdateFunctionConfiguration; members that are missing keep their values."""
        super().update_configuration({name: value for name, value in config_updates.items() if value is not None})
        self._stored |= {name: config_updates[name] for name in _STORED if config_updates.get(name)}
        if config_updates.get("LoggingConfig"):
            self._logging = dict(config_updates["LoggingConfig"])
        if config_updates.get("TracingConfig"):
            self.tracing_config = config_updates["TracingConfig"]
        if config_updates.get("EphemeralStorage"):
            self.ephemeral_storage = config_updates["EphemeralStorage"]["Size"]
        if "KMSKeyArn" in config_updates:
            self.kms_key_arn = config_updates["KMSKeyArn"] or None
        self.revision = str(uuid.uuid4())
        return self.get_configuration()

    def update_function_code(self, updated_spec: dict[str, Any]) -> dict[str, Any]:
        """Apply UpdateFunctionCode."""
        if updated_spec.get("Architectures"):
            self.architectures = updated_spec["Architectures"]
        super().update_function_code(updated_spec)
        if not updated_spec.get("DryRun"):
            self.revision = str(uuid.uuid4())
        return self.get_configuration()

    def invoke(self, body: str, request_headers: Any, response_headers: Any) -> str:
        """Refuse what moto's other services call, none of which runs a function here."""
        raise NotImplementedError("invocation by another service")
