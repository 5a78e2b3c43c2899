"""A function as Lambda knows it: moto's record, with what moto forgets."""

import uuid
from typing import TYPE_CHECKING, Any

from moto.awslambda.models import LambdaFunction

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FunctionRecord"]

#: What a function has that names none ("LoggingConfig", API reference).
_TEXT_FORMAT = "Text"
_KEPT = ("DeadLetterConfig", "FileSystemConfigs")


class FunctionRecord(LambdaFunction):  # type: ignore[misc]  # moto is untyped
    """A function, or a published version of it: a copy."""

    def __init__(
        self, account_id: str, spec: dict[str, Any], region: str, submit: "Callable[[FunctionRecord, bytes], object]"
    ) -> None:
        """Keep a CreateFunction request.

        Args:
            account_id: Whose.
            spec: The request.
            region: Where.
            submit: Invokes a function asynchronously, for the services that do.
        """
        super().__init__(account_id=account_id, spec=spec, region=region, version="$LATEST")
        self._submit = submit
        self._kept = {name: spec[name] for name in _KEPT if spec.get(name)}
        self._logging = dict(spec.get("LoggingConfig") or {})
        #: Changes with code and configuration.
        self.revision = str(uuid.uuid4())

    @property
    def unqualified_arn(self) -> str:
        """The ARN without a version."""
        return f"arn:{self.partition}:lambda:{self.region}:{self.account_id}:function:{self.function_name}"

    @property
    def logging(self) -> dict[str, Any]:
        """The LoggingConfig with its defaults."""
        defaults: dict[str, Any] = {"LogFormat": _TEXT_FORMAT, "LogGroup": self.logs_group_name}
        if self._logging.get("LogFormat") == "JSON":
            defaults |= {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
        return defaults | {name: value for name, value in self._logging.items() if value}

    @property
    def dead_letter_arn(self) -> str:
        """Where asynchronous events go that failed; empty for nowhere."""
        return str(self._kept.get("DeadLetterConfig", {}).get("TargetArn") or "")

    @property
    def event_invoke(self) -> dict[str, Any]:
        """The latest PutFunctionEventInvokeConfig."""
        return dict(self.event_invoke_config[-1].response()) if self.event_invoke_config else {}

    def get_configuration(self, on_create: bool = False) -> dict[str, Any]:
        """FunctionConfiguration, without the members that have no value."""
        configuration = super().get_configuration(on_create)
        configuration |= {**self._kept, "LoggingConfig": self.logging, "RevisionId": self.revision}
        return {name: value for name, value in configuration.items() if value is not None}

    def get_code(self) -> dict[str, Any]:
        """GetFunction's answer; a reservation of 0 is one, too."""
        described: dict[str, Any] = super().get_code()
        if self.reserved_concurrency is not None:
            described["Concurrency"] = {"ReservedConcurrentExecutions": self.reserved_concurrency}
        return described

    def update_configuration(self, config_updates: dict[str, Any]) -> dict[str, Any]:
        """Take the members that are there."""
        super().update_configuration({name: value for name, value in config_updates.items() if value is not None})
        self._kept |= {name: config_updates[name] for name in _KEPT if config_updates.get(name)}
        if "DeadLetterConfig" in config_updates and not self.dead_letter_arn:
            self._kept.pop("DeadLetterConfig", None)
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
        """Take other code."""
        if updated_spec.get("Architectures"):
            self.architectures = updated_spec["Architectures"]
        super().update_function_code(updated_spec)
        if not updated_spec.get("DryRun"):
            self.revision = str(uuid.uuid4())
        return self.get_configuration()

    def invoke(self, body: str, request_headers: Any, response_headers: Any) -> str:
        """What moto's other services call: they invoke asynchronously, all of them."""
        del request_headers, response_headers
        self._submit(self, body.encode())
        return ""
