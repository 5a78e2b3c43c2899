"""Converse with a model that repeats the last message, in the format and with the limits of real models."""

import itertools
from collections.abc import Iterator
from typing import Any

from localaws.core.event_stream import encode_event
from localaws.services.bedrock_runtime.errors import BedrockError

__all__ = ["converse", "converse_stream"]

#: Prefixes of the ids of available models; others, such as retired models, are unknown.
_MODELS = ("anthropic.claude-", "meta.llama3-", "amazon.nova-", "mistral.")
#: Prefixes of models that can only be called through an inference profile.
_PROFILE_ONLY = ("meta.llama3-3-",)
_DEFAULT_MAX_TOKENS = 512


def converse(model: str, request: dict[str, Any], *, is_profile: bool) -> dict[str, Any]:
    """The response to Converse.

    Raises:
        BedrockError: The request is invalid.
    """
    text, stop_reason = _reply(model, request, is_profile=is_profile)
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": stop_reason,
        "usage": _usage(request, text),
        "metrics": {"latencyMs": 1},
    }


def converse_stream(model: str, request: dict[str, Any], *, is_profile: bool) -> Iterator[bytes]:
    """The events of ConverseStream, one word per event.

    Raises:
        BedrockError: The request is invalid; raised before the first event.
    """
    text, stop_reason = _reply(model, request, is_profile=is_profile)
    yield encode_event("messageStart", {"role": "assistant"})
    for number, word in enumerate(text.split(" ")):
        part = word if number == 0 else f" {word}"
        yield encode_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": part}})
    yield encode_event("contentBlockStop", {"contentBlockIndex": 0})
    yield encode_event("messageStop", {"stopReason": stop_reason})
    yield encode_event("metadata", {"usage": _usage(request, text), "metrics": {"latencyMs": 1}})


def _reply(model: str, request: dict[str, Any], *, is_profile: bool) -> tuple[str, str]:
    if not model.startswith(_MODELS):
        raise BedrockError(400, "ValidationException", "The provided model identifier is invalid.")
    if model.startswith(_PROFILE_ONLY) and not is_profile:
        raise BedrockError(
            400,
            "ValidationException",
            f"Invocation of model ID {model} with on-demand throughput isn\N{RIGHT SINGLE QUOTATION MARK}t supported. "
            "Retry your request with the ID or ARN of an inference profile that contains this model.",
        )
    messages = request.get("messages") or []
    roles = [message["role"] for message in messages]
    if not roles or roles[0] != "user":
        raise BedrockError(400, "ValidationException", "A conversation must start with a user message. Try again.")
    if any(one == other for one, other in itertools.pairwise(roles)):
        raise BedrockError(400, "ValidationException", "A conversation must alternate user and assistant roles.")
    inference = request.get("inferenceConfig") or {}
    limit = inference.get("maxTokens", _DEFAULT_MAX_TOKENS)
    words = ("You said: " + _text(messages[-1])).split()
    reason = "end_turn" if len(words) <= limit else "max_tokens"
    words = words[:limit]
    text = " ".join(words)
    for sequence in inference.get("stopSequences") or []:
        if sequence in text:
            text, reason = text.partition(sequence)[0], "stop_sequence"
    return text, reason


def _text(message: dict[str, Any]) -> str:
    return " ".join(block.get("text", "") for block in message["content"])


def _usage(request: dict[str, Any], reply: str) -> dict[str, int]:
    prompts = [_text(message) for message in request["messages"]]
    prompts += [block.get("text", "") for block in request.get("system") or []]
    tokens = sum(len(text.split()) for text in prompts), len(reply.split())
    return {"inputTokens": tokens[0], "outputTokens": tokens[1], "totalTokens": sum(tokens)}
