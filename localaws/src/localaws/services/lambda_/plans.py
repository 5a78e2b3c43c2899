"""What an execution environment is made of: code, memory, and the environment variables that Lambda sets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localaws.services.lambda_.environment import EnvironmentPlan

if TYPE_CHECKING:
    from localaws.services.lambda_.code import CodeFolders
    from localaws.services.lambda_.function_log import FunctionLog
    from localaws.services.lambda_.records import FunctionRecord

__all__ = ["environment_plan"]


def environment_plan(
    function: "FunctionRecord", log: "FunctionLog", folders: "CodeFolders", client_environment: Mapping[str, str]
) -> EnvironmentPlan:
    """What to run for a function.

    Args:
        function: The function, or a version of it.
        log: Where its lines go.
        folders: Where its code is unpacked.
        client_environment: Variables that lead its SDK to the local AWS.
    """
    # An endpoint that the function's configuration names beats the local AWS's, as it beats AWS's own.
    endpoints = {
        name: value for name, value in function.environment_vars.items() if name.startswith("AWS_ENDPOINT_URL")
    }
    region = {"AWS_REGION": function.region, "AWS_DEFAULT_REGION": function.region}
    return EnvironmentPlan(
        handler=function.handler,
        code=folders.code(function.code_sha_256, function.code_bytes),
        runtime=folders.runtime(),
        scratch=folders.scratch(),
        memory_mb=int(function.memory_size),
        variables={
            **function.environment_vars,
            **client_environment,
            **_variables(function, log),
            **region,
            **endpoints,
        },
    )


def _variables(function: "FunctionRecord", log: "FunctionLog") -> dict[str, str]:
    """The variables that Lambda sets ("Defined runtime environment variables", Lambda developer guide)."""
    settings: dict[str, Any] = {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": function.memory_size,
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": log.group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log.stream,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        # Nobody listens: traces are not kept.
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
    }
    if function.logging["LogFormat"] == "JSON":
        settings |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": function.logging["ApplicationLogLevel"]}
    return {name: str(value) for name, value in settings.items()}
