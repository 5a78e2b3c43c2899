"""Limits and durations of the local AWS. They default to AWS's figures."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

#: The account of every access key that is not another account's.
ACCOUNT_ID = "123456789012"
_MIB = 1024 * 1024


def _default_models_dir() -> Path:
    return Path("models").absolute()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAwsConfig:
    """Settings of one local AWS. Durations are seconds, sizes are bytes.

    Sources of the defaults: SageMaker developer guide, "Deploy models with Amazon SageMaker Serverless Inference"
    (4 MB, 60 s, 180 s start), "Custom Inference Code with Hosting Services" (25 MB, 8 minutes for a stream, 2 s ping,
    30 s from SIGTERM to SIGKILL), "Asynchronous inference" (1 GB), and the ContainerStartupHealthCheckTimeoutInSeconds
    default (4 minutes); Amazon S3 user guide, "Limitations and restrictions" of S3 Vectors.

    Attributes:
        port: TCP port on 127.0.0.1; 0 chooses a free one.
        region: Default region of clients; all regions work.
        models_dir: Folder with Hugging Face Hub models as ``<org>/<name>/``.
        state_dir: Folder for pid files and unpacked artifacts; defaults to a temporary one.
        serverless_payload_bytes: Largest request and response of a serverless variant.
        instance_payload_bytes: Largest request and response of an instance-based variant.
        async_payload_bytes: Largest request and response of an asynchronous endpoint.
        invocation_timeout: Longest duration of one invocation.
        stream_timeout: The same with a streamed response.
        serverless_start_timeout: From launch to a successful ``GET /ping`` of serverless variants, download included.
        instance_start_timeout: The same for instance-based variants.
        ping_timeout: Longest duration of one ``GET /ping``.
        ping_interval: Pause between two pings while a container starts.
        idle_seconds: A serverless container is stopped after this time without a request. AWS publishes no figure;
            users observe five minutes.
        stop_grace: From SIGTERM to SIGKILL.
        drain_timeout: Time that a replaced deployment has to finish its requests.
        restart_backoff: Pause before a container that failed to start is started again; doubles up to
            ``restart_backoff_limit``.
        restart_backoff_limit: Longest pause between two starts.
        function_processes: Concurrent Lambda execution environments of all functions. AWS runs up to 1,000; here an
            invocation waits for a free one.
        artifact_bytes: Largest unpacked model artifact (a serverless endpoint has 5 GB of disk).
        clock_speed: Speed of the clock of metrics, alarms, schedules and cooldowns, relative to the machine's.
        vector_writes_per_second: PutVectors and DeleteVectors requests per index of S3 Vectors.
        vectors_per_second: Vectors put or deleted per index.
        cost_delay: Seconds after which usage appears in Cost Explorer and Budgets. AWS takes hours.
        prices_file: Price file that takes precedence over the packaged prices; None for COSTS_PRICES_FILE.
        quotas: Service quotas of every account and region, by AWS's name; unlimited by default.
        refuse_gpu_instances: Whether endpoints on instance types with GPUs are refused instead of served on the CPU.
        log_events_per_stream: Latest container log lines that a stream keeps.
        check_answers: Check every response against the service's model and replace it with an error if it breaks
            the model. For tests of the local AWS, which set LOCALAWS_CHECK_ANSWERS=1.
    """

    port: int = 4580
    region: str = "us-east-1"
    models_dir: Path = field(default_factory=_default_models_dir)
    state_dir: Path | None = None
    serverless_payload_bytes: int = 4 * _MIB
    instance_payload_bytes: int = 25 * _MIB
    async_payload_bytes: int = 1024 * _MIB
    invocation_timeout: float = 60.0
    stream_timeout: float = 480.0
    serverless_start_timeout: float = 180.0
    instance_start_timeout: float = 240.0
    ping_timeout: float = 2.0
    ping_interval: float = 0.05
    idle_seconds: float = 300.0
    stop_grace: float = 30.0
    drain_timeout: float = 60.0
    restart_backoff: float = 1.0
    restart_backoff_limit: float = 30.0
    function_processes: int = 10
    artifact_bytes: int = 5 * 1024 * _MIB
    clock_speed: float = 1.0
    vector_writes_per_second: int = 1000
    vectors_per_second: int = 2500
    cost_delay: float = 0.0
    prices_file: Path | None = None
    quotas: Mapping[str, int] = field(default_factory=dict)
    refuse_gpu_instances: bool = False
    log_events_per_stream: int = 10_000
    check_answers: bool = field(default_factory=lambda: os.environ.get("LOCALAWS_CHECK_ANSWERS") == "1")

    @classmethod
    def from_environment(cls) -> Self:
        """Read the LOCALAWS_* settings, the region and the models folder from the environment, ``.env`` or YAML.

        Raises:
            ConfigurationError: A value is not of its type or out of its range; the message names the variable.
        """
        # Imported late: containers need no settings and start often.
        from embedstack.settings.settings import load_local_aws_settings  # noqa: PLC0415

        settings = load_local_aws_settings()
        return cls(
            port=settings.localaws_port,
            idle_seconds=settings.localaws_idle_seconds,
            clock_speed=settings.localaws_clock_speed,
            function_processes=settings.localaws_function_processes,
            check_answers=settings.localaws_check_answers,
            cost_delay=settings.localaws_cost_delay_seconds,
            quotas=json.loads(settings.localaws_quotas or "{}"),
            refuse_gpu_instances=settings.localaws_refuse_gpu_instances,
            region=settings.aws_region or cls().region,
            models_dir=settings.embedstack_models_dir.absolute(),
        )

    def client_environment(self, port: int, account_id: str = ACCOUNT_ID) -> dict[str, str]:
        """Environment variables that point any AWS SDK, the AWS CLI and Terraform at an account of this local AWS."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "local" if account_id == ACCOUNT_ID else account_id,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCOUNT_ID": account_id,
        }
