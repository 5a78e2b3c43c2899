"""Request and response formats of Bedrock: Converse, and native formats of models.

Formats: Amazon Bedrock user guide, "Inference request parameters and response fields for foundation models", Anthropic
Claude (Messages API) and Meta Llama. Prompt templates: https://www.llama.com/docs/model-cards-and-prompt-formats/.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from embedstack.calls.http_responses import parse_json, read_body, token_count
from embedstack.errors import ConfigurationError, InputError, IntegrityError
from embedstack.generation.records import Message, Sampling

__all__ = ["ApiFormat", "Conversation", "Usage", "Wire", "WireReply", "wire_for"]

ApiFormat = Literal["converse", "claude", "llama3", "llama2"]

_JSON = "application/json"
# The only version that Bedrock supports.
_ANTHROPIC_VERSION = "bedrock-2023-05-31"
_SOURCE = "Bedrock"
# Limits for a response body in bytes: everything but the text, and one token, with each character escaped.
_ENVELOPE_BYTES, _BYTES_PER_TOKEN = 1024 * 1024, 256


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request: messages, system prompt and sampling parameters."""

    messages: tuple[Message, ...]
    system: str | None
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts, as counted by Bedrock."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class WireReply:
    """A complete reply."""

    text: str
    stop_reason: str
    usage: Usage


class Wire(Protocol):
    """A request and response format, for a boto3 client of ``bedrock-runtime``.

    Raises botocore's exceptions, and LookupError, TypeError or IntegrityError for an invalid response.
    """

    def send(self, client: Any, model_id: str, conversation: Conversation) -> WireReply:
        """Send a conversation and return the complete reply."""

    def stream(self, client: Any, model_id: str, conversation: Conversation) -> Generator[str | Usage]:
        """Send a conversation immediately, and yield the parts of the reply and then its usage."""


class ConverseWire:
    """The Converse API, which all of Bedrock's own models support."""

    def send(self, client: Any, model_id: str, conversation: Conversation) -> WireReply:
        """See :class:`Wire`."""
        response = client.converse(**self._request(model_id, conversation))
        text = "".join(block.get("text", "") for block in response["output"]["message"]["content"])
        return WireReply(text, _text(response["stopReason"]), _converse_usage(response["usage"]))

    def stream(self, client: Any, model_id: str, conversation: Conversation) -> Generator[str | Usage]:
        """See :class:`Wire`."""
        return self._parts(client.converse_stream(**self._request(model_id, conversation))["stream"])

    def _request(self, model_id: str, conversation: Conversation) -> dict[str, Any]:
        sampling = conversation.sampling
        options = {
            "maxTokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "topP": sampling.top_p,
            "stopSequences": list(sampling.stop) or None,
        }
        request: dict[str, Any] = {
            "modelId": model_id,
            "messages": [
                {"role": message.role, "content": [{"text": message.text}]} for message in conversation.messages
            ],
            "inferenceConfig": _without_none(options),
        }
        if conversation.system is not None:
            request["system"] = [{"text": conversation.system}]
        return request

    def _parts(self, events: Any) -> Generator[str | Usage]:
        with closing(events):
            for event in events:
                if "contentBlockDelta" in event:
                    yield _text(event["contentBlockDelta"]["delta"].get("text", ""))
                elif "metadata" in event:
                    yield _converse_usage(event["metadata"]["usage"])


class _InvokeWire:
    """A model's native format, through InvokeModel."""

    def send(self, client: Any, model_id: str, conversation: Conversation) -> WireReply:
        """See :class:`Wire`."""
        response = client.invoke_model(**self._request(model_id, conversation))
        limit = _ENVELOPE_BYTES + _BYTES_PER_TOKEN * (conversation.sampling.max_tokens or 0)
        return self._read(_parse(read_body(response["body"], limit, _SOURCE)))

    def stream(self, client: Any, model_id: str, conversation: Conversation) -> Generator[str | Usage]:
        """See :class:`Wire`."""
        response = client.invoke_model_with_response_stream(**self._request(model_id, conversation))
        return self._parts(response["body"])

    def _request(self, model_id: str, conversation: Conversation) -> dict[str, Any]:
        body = json.dumps(self._body(conversation), ensure_ascii=False).encode("utf-8")
        return {"modelId": model_id, "body": body, "contentType": _JSON, "accept": _JSON}

    def _parts(self, events: Any) -> Generator[str | Usage]:
        with closing(events):
            for event in events:
                chunk = _parse(event["chunk"]["bytes"])
                yield self._text_of(chunk)
                # Bedrock adds the metrics to the last chunk of every format.
                if "amazon-bedrock-invocationMetrics" in chunk:
                    metrics = chunk["amazon-bedrock-invocationMetrics"]
                    yield _usage(metrics["inputTokenCount"], metrics["outputTokenCount"])

    def _body(self, conversation: Conversation) -> dict[str, Any]:
        raise NotImplementedError

    def _read(self, response: dict[str, Any]) -> WireReply:
        raise NotImplementedError

    def _text_of(self, chunk: dict[str, Any]) -> str:
        raise NotImplementedError


class ClaudeWire(_InvokeWire):
    """Anthropic's Messages API."""

    def _body(self, conversation: Conversation) -> dict[str, Any]:
        sampling = conversation.sampling
        return _without_none(
            {
                "anthropic_version": _ANTHROPIC_VERSION,
                "max_tokens": sampling.max_tokens,
                "system": conversation.system,
                "messages": [{"role": message.role, "content": message.text} for message in conversation.messages],
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "stop_sequences": list(sampling.stop) or None,
            }
        )

    def _read(self, response: dict[str, Any]) -> WireReply:
        text = "".join(block.get("text", "") for block in response["content"])
        usage = response["usage"]
        return WireReply(text, _text(response["stop_reason"]), _usage(usage["input_tokens"], usage["output_tokens"]))

    def _text_of(self, chunk: dict[str, Any]) -> str:
        return _text(chunk["delta"].get("text", "")) if chunk["type"] == "content_block_delta" else ""


class LlamaWire(_InvokeWire):
    """Meta Llama: one prompt in the model's prompt template."""

    _REASONS: Mapping[str, str] = {"stop": "end_turn", "length": "max_tokens"}

    def __init__(self, version: Literal[2, 3]) -> None:
        self._version = version

    def _body(self, conversation: Conversation) -> dict[str, Any]:
        sampling = conversation.sampling
        if sampling.stop:
            raise ConfigurationError(
                "Llama's native format does not support stop sequences. Omit them, or use Converse."
            )
        template = _llama3_prompt if self._version == 3 else _llama2_prompt
        return _without_none(
            {
                "prompt": template(conversation),
                "max_gen_len": sampling.max_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
            }
        )

    def _read(self, response: dict[str, Any]) -> WireReply:
        reason = _text(response["stop_reason"])
        usage = _usage(response["prompt_token_count"], response["generation_token_count"])
        return WireReply(_text(response["generation"]), self._REASONS.get(reason, reason), usage)

    def _text_of(self, chunk: dict[str, Any]) -> str:
        return _text(chunk.get("generation") or "")


def _llama3_prompt(conversation: Conversation) -> str:
    turns = [("system", conversation.system)] if conversation.system else []
    turns += [(message.role, message.text) for message in conversation.messages]
    rendered = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
    return f"<|begin_of_text|>{rendered}<|start_header_id|>assistant<|end_header_id|>\n\n"


def _llama2_prompt(conversation: Conversation) -> str:
    prompt = ""
    system = f"<<SYS>>\n{conversation.system}\n<</SYS>>\n\n" if conversation.system else ""
    for message in conversation.messages:
        if message.role == "user":
            prompt += f"<s>[INST] {system}{message.text} [/INST]"
            system = ""
        elif not prompt:
            raise InputError("A conversation must start with a user message.")
        else:
            prompt += f" {message.text} </s>"
    return prompt


def _without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _converse_usage(usage: Mapping[str, object]) -> Usage:
    return _usage(usage["inputTokens"], usage["outputTokens"])


def _usage(input_tokens: object, output_tokens: object) -> Usage:
    counts = token_count(input_tokens), token_count(output_tokens)
    if counts[0] is None or counts[1] is None:
        raise IntegrityError("The response from Bedrock has no token counts. Check the model's endpoint.")
    return Usage(counts[0], counts[1])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise IntegrityError("The response from Bedrock contains a value that is not text. Check the model's endpoint.")
    return value


def _parse(content: bytes) -> dict[str, Any]:
    parsed = parse_json(content, _SOURCE)
    if not isinstance(parsed, dict):
        raise IntegrityError("The response from Bedrock is not a JSON object. Check the model's endpoint.")
    return parsed


_WIRES: Mapping[ApiFormat, Wire] = {
    "converse": ConverseWire(),
    "claude": ClaudeWire(),
    "llama3": LlamaWire(3),
    "llama2": LlamaWire(2),
}


def wire_for(api_format: ApiFormat) -> Wire:
    """The implementation of a format."""
    return _WIRES[api_format]
