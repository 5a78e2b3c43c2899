"""InvokeModel for text models in their own formats, with the same model as Converse.

Formats: Amazon Bedrock user guide, "Inference request parameters and response fields for foundation models", Anthropic
Claude (Messages API) and Meta Llama.
"""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from localaws.core.event_stream import encode_event
from localaws.services.bedrock_runtime.converse import converse
from localaws.services.bedrock_runtime.errors import BedrockError

__all__ = ["generate", "generate_stream", "is_text_model"]

_CLAUDE, _LLAMA = "anthropic.claude-", "meta.llama3-"
_VERSION = "bedrock-2023-05-31"
_TURN = re.compile(r"<\|start_header_id\|>(system|user|assistant)<\|end_header_id\|>\n\n(.*?)<\|eot_id\|>", re.DOTALL)
_LLAMA_REASONS = {"end_turn": "stop", "max_tokens": "length"}


def is_text_model(model: str) -> bool:
    """Whether the format of the model is supported."""
    return model.startswith((_CLAUDE, _LLAMA))


def generate(model: str, request: dict[str, Any], *, is_profile: bool) -> tuple[dict[str, Any], int]:
    """The response to InvokeModel, and the number of input tokens.

    Raises:
        BedrockError: The request is invalid.
    """
    response = converse(model, _as_converse(model, request), is_profile=is_profile)
    text, usage = response["output"]["message"]["content"][0]["text"], response["usage"]
    if model.startswith(_LLAMA):
        body = {
            "generation": text,
            "prompt_token_count": usage["inputTokens"],
            "generation_token_count": usage["outputTokens"],
            "stop_reason": _LLAMA_REASONS[response["stopReason"]],
        }
    else:
        body = {
            "id": "msg_bdrk_local",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": response["stopReason"],
            "stop_sequence": None,
            "usage": {"input_tokens": usage["inputTokens"], "output_tokens": usage["outputTokens"]},
        }
    return body, usage["inputTokens"]


def generate_stream(model: str, request: dict[str, Any], *, is_profile: bool) -> Iterator[bytes]:
    """The events of InvokeModelWithResponseStream, one word per event.

    Raises:
        BedrockError: The request is invalid; raised before the first event.
    """
    body, _ = generate(model, request, is_profile=is_profile)
    chunks = _llama_chunks(body) if model.startswith(_LLAMA) else _claude_chunks(body)
    usage = body.get("usage") or {}
    chunks[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": usage.get("input_tokens", body.get("prompt_token_count")),
        "outputTokenCount": usage.get("output_tokens", body.get("generation_token_count")),
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
    for chunk in chunks:
        yield encode_event("chunk", {"bytes": base64.b64encode(json.dumps(chunk).encode()).decode()})


def _as_converse(model: str, request: dict[str, Any]) -> dict[str, Any]:
    if model.startswith(_LLAMA):
        _check_members(request, {"prompt"}, {"max_gen_len", "temperature", "top_p", "images"})
        turns = [(role, text) for role, text in _TURN.findall(request["prompt"]) if role != "system"]
        system = [text for role, text in _TURN.findall(request["prompt"]) if role == "system"]
        turns = turns or [("user", request["prompt"])]
        limit, stop = request.get("max_gen_len"), None
    else:
        optional = {"system", "temperature", "top_p", "top_k", "stop_sequences", "tools", "tool_choice"}
        _check_members(request, {"anthropic_version", "max_tokens", "messages"}, optional)
        if request["anthropic_version"] != _VERSION:
            raise BedrockError(400, "ValidationException", "Invalid API version")
        turns = [(message["role"], _plain(message["content"])) for message in request["messages"]]
        system = [request["system"]] if request.get("system") else []
        limit, stop = request["max_tokens"], request.get("stop_sequences")
    inference = {"maxTokens": limit, "stopSequences": stop}
    return {
        "messages": [{"role": role, "content": [{"text": text}]} for role, text in turns],
        "system": [{"text": text} for text in system],
        "inferenceConfig": {name: value for name, value in inference.items() if value is not None},
    }


def _check_members(request: dict[str, Any], required: set[str], optional: set[str]) -> None:
    for name in sorted(required - set(request)):
        raise _malformed(f"#: required key [{name}] not found")
    for name in sorted(set(request) - required - optional):
        raise _malformed(f"#: extraneous key [{name}] is not permitted")


def _malformed(problem: str) -> BedrockError:
    message = f"Malformed input request: {problem}, please reformat your input and try again."
    return BedrockError(400, "ValidationException", message)


def _plain(content: Any) -> str:
    return content if isinstance(content, str) else " ".join(block.get("text", "") for block in content)


def _words(text: str) -> Iterator[str]:
    for number, word in enumerate(text.split(" ")):
        yield word if number == 0 else f" {word}"


def _llama_chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = [
        {"generation": word, "prompt_token_count": None, "generation_token_count": number + 1, "stop_reason": None}
        for number, word in enumerate(_words(body["generation"]))
    ]
    chunks[0]["prompt_token_count"] = body["prompt_token_count"]
    return [*chunks, {**chunks[-1], "generation": "", "stop_reason": body["stop_reason"]}]


def _claude_chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    start = {**body, "content": [], "stop_reason": None}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in _words(body["content"][0]["text"])
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": body["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": body["usage"]["output_tokens"]},
        },
        {"type": "message_stop"},
    ]
