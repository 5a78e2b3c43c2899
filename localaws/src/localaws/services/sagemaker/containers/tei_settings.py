"""What the release of Text Embeddings Inference and its environment variables decide.

From ``router/src/main.rs`` and ``router/src/lib.rs`` of huggingface/text-embeddings-inference at v1.8.2 and v1.9.3. Its
options can be given as environment variables, and the entrypoint of AWS's images gives none of these.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

__all__ = ["InvalidTeiSettings", "TeiRelease", "TeiSettings", "hub_cache", "tei_release"]

#: The releases whose protocols differ: 1.8 and older, 1.9 and newer.
TeiRelease = Literal["1.8", "1.9"]

_VERSION = re.compile(r"tei(\d+)\.(\d+)\.\d+")
_BOOLEANS = {"true": True, "false": False}
#: Options that change vectors or access, and that the local AWS does not implement.
_UNSUPPORTED = ("API_KEY", "DENSE_PATH", "POOLING", "TASK")
_MAX_USIZE = 2**64 - 1


class InvalidTeiSettings(Exception):
    """The container would exit at start; the message says why."""


def tei_release(image: str) -> TeiRelease:
    """The protocol of an image, by its tag. An image without a version is taken for the newest release."""
    version = _VERSION.search(image.rpartition("/")[2])
    return "1.8" if version and (int(version[1]), int(version[2])) < (1, 9) else "1.9"


def hub_cache(image: str, environment: Mapping[str, str]) -> str:
    """The folder that a model is downloaded to.

    The defaults are those of the Dockerfiles in ``huggingface/pytorch/tei/docker`` of awslabs/llm-hosting-container.
    """
    version = _VERSION.search(image.rpartition("/")[2])
    release = (int(version[1]), int(version[2])) if version else (1, 9)
    default = "/data" if release < (1, 6) else "/tmp" if release < (1, 7) else "/opt/ml/model"  # noqa: S108
    return (environment.get("HUGGINGFACE_HUB_CACHE") or default).rstrip("/") or "/"


@dataclass(frozen=True, slots=True)
class TeiSettings:
    """The options of the server.

    Attributes:
        release: The release.
        auto_truncate: Whether long texts of requests without ``truncate`` are truncated.
        max_batch_tokens: Tokens of a batch, at most.
        max_client_batch_size: Texts of a request, at most.
        max_concurrent_requests: Texts in flight, at most.
        payload_limit: Bytes of a request, at most.
        default_prompt: Text put before inputs of requests without ``prompt_name``, or None.
        default_prompt_name: Name of the model's prompt to use for such requests, or None.
    """

    release: TeiRelease
    auto_truncate: bool
    max_batch_tokens: int
    max_client_batch_size: int
    max_concurrent_requests: int
    payload_limit: int
    default_prompt: str | None
    default_prompt_name: str | None

    @classmethod
    def from_environment(cls, release: TeiRelease, environment: Mapping[str, str]) -> Self:
        """Read the container's environment variables.

        Raises:
            InvalidTeiSettings: The container would exit, or the local AWS does not implement an option.
        """
        if unsupported := [name for name in _UNSUPPORTED if environment.get(name)]:
            raise InvalidTeiSettings(
                f"The local AWS does not implement Text Embeddings Inference's {', '.join(unsupported)}. Remove it "
                "from the model's environment to deploy the model here."
            )
        prompt, prompt_name = (environment.get(name) for name in ("DEFAULT_PROMPT", "DEFAULT_PROMPT_NAME"))
        if prompt is not None and prompt_name is not None:
            raise InvalidTeiSettings("DEFAULT_PROMPT and DEFAULT_PROMPT_NAME cannot be used together. Remove one.")
        return cls(
            release,
            auto_truncate=_boolean(environment, "AUTO_TRUNCATE", default=release != "1.8"),
            max_batch_tokens=_number(environment, "MAX_BATCH_TOKENS", 16_384),
            max_client_batch_size=_number(environment, "MAX_CLIENT_BATCH_SIZE", 32),
            max_concurrent_requests=_number(environment, "MAX_CONCURRENT_REQUESTS", 512),
            payload_limit=_number(environment, "PAYLOAD_LIMIT", 2_000_000),
            default_prompt=prompt,
            default_prompt_name=prompt_name,
        )

    def max_tokens(self, model_tokens: int) -> int:
        """Tokens of a text, at most.

        Args:
            model_tokens: Tokens that the model reads.

        Raises:
            InvalidTeiSettings: Texts may exceed a batch, and the container would exit.
        """
        if self.release == "1.8" or model_tokens <= self.max_batch_tokens:
            return model_tokens
        if self.auto_truncate:
            return self.max_batch_tokens
        raise InvalidTeiSettings(
            f"The maximum input length is `{model_tokens}` which exceeds `--max-batch-tokens={self.max_batch_tokens}`. "
            f"Either increase `--max-batch-tokens` to at least `{model_tokens}` (Terraform: model.max_tokens), or set "
            f"`--auto-truncate true` (AUTO_TRUNCATE), which truncates inputs to `{self.max_batch_tokens}` tokens."
        )


def _boolean(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = environment.get(name)
    if value is None:
        return default
    if value not in _BOOLEANS:
        raise _invalid(value, name, "it must be true or false")
    return _BOOLEANS[value]


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name)
    if value is None:
        return default
    if not re.fullmatch(r"\+?[0-9]+", value) or len(value) > len(str(_MAX_USIZE)) or int(value) > _MAX_USIZE:
        raise _invalid(value, name, "it must be a whole number")
    return int(value)


def _invalid(value: str, name: str, reason: str) -> InvalidTeiSettings:
    option = name.lower().replace("_", "-")
    return InvalidTeiSettings(f"invalid value '{value[:100]}' for '--{option}': {reason}. Correct {name}.")
