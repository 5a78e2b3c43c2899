"""How a conversation goes to Bedrock and its answer comes back: by Converse, or in a model's own format.

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

__all__ = ["Answer", "ApiFormat", "Conversation", "Usage", "Wire", "wire_for"]

ApiFormat = Literal["converse", "claude", "llama3", "llama2"]

_JSON = "application/json"
# The only version that Bedrock takes.
_ANTHROPIC_VERSION = "bedrock-2023-05-31"
_SOURCE = "Bedrock"
# Of a response: what is not text, and bytes of a token at most, each character as an escape of six.
_BYTES_BESIDE, _BYTES_PER_TOKEN = 1024 * 1024, 256


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is sent: the turns that fit, what the model is told about its part, and how the answer is drawn."""

    messages: tuple[Message, ...]
    system: str | None
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as Bedrock counted them."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    text: str
    stop_reason: str
    usage: Usage


class Wire(Protocol):
    """Speaks one format with a boto3 client of ``bedrock-runtime``.

    Raises what botocore raises; for a response of another form a LookupError, a TypeError or an IntegrityError.
    """

    def send(self, client: Any, model_id: str, conversation: Conversation) -> Answer:
        """The whole answer."""

    def stream(self, client: Any, model_id: str, conversation: Conversation) -> Generator[str | Usage]:
        """Send now; the answer's parts as they come, and its usage."""


class ConverseWire:
    """The one format that all of Bedrock's own models take."""

    def send(self, client: Any, model_id: str, conversation: Conversation) -> Answer:
        """See :class:`Wire`."""
        answer = client.converse(**self._request(model_id, conversation))
        text = "".join(block.get("text", "") for block in answer["output"]["message"]["content"])
        return Answer(text, _text(answer["stopReason"]), _converse_usage(answer["usage"]))

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
            "inferenceConfig": _given(options),
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
    """A model's own format, by InvokeModel."""

    def send(self, client: Any, model_id: str, conversation: Conversation) -> Answer:
        """See :class:`Wire`."""
        response = client.invoke_model(**self._request(model_id, conversation))
        limit = _BYTES_BESIDE + _BYTES_PER_TOKEN * (conversation.sampling.max_tokens or 0)
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
                # Bedrock adds this to the last chunk, whatever the model's format.
                if "amazon-bedrock-invocationMetrics" in chunk:
                    metrics = chunk["amazon-bedrock-invocationMetrics"]
                    yield _usage(metrics["inputTokenCount"], metrics["outputTokenCount"])

    def _body(self, conversation: Conversation) -> dict[str, Any]:
        raise NotImplementedError

    def _read(self, answer: dict[str, Any]) -> Answer:
        raise NotImplementedError

    def _text_of(self, chunk: dict[str, Any]) -> str:
        raise NotImplementedError


class ClaudeWire(_InvokeWire):
    """Anthropic's Messages."""

    def _body(self, conversation: Conversation) -> dict[str, Any]:
        sampling = conversation.sampling
        return _given(
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

    def _read(self, answer: dict[str, Any]) -> Answer:
        text = "".join(block.get("text", "") for block in answer["content"])
        usage = answer["usage"]
        return Answer(text, _text(answer["stop_reason"]), _usage(usage["input_tokens"], usage["output_tokens"]))

    def _text_of(self, chunk: dict[str, Any]) -> str:
        return _text(chunk["delta"].get("text", "")) if chunk["type"] == "content_block_delta" else ""


class LlamaWire(_InvokeWire):
    """Meta's Llama: one prompt, in the template that the model was trained with."""

    _REASONS: Mapping[str, str] = {"stop": "end_turn", "length": "max_tokens"}

    def __init__(self, version: Literal[2, 3]) -> None:
        self._version = version

    def _body(self, conversation: Conversation) -> dict[str, Any]:
        sampling = conversation.sampling
        if sampling.stop:
            raise ConfigurationError("Llama's own format has no stop sequences: leave them out, or use Converse.")
        template = _llama3_prompt if self._version == 3 else _llama2_prompt
        return _given(
            {
                "prompt": template(conversation),
                "max_gen_len": sampling.max_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
            }
        )

    def _read(self, answer: dict[str, Any]) -> Answer:
        reason = _text(answer["stop_reason"])
        usage = _usage(answer["prompt_token_count"], answer["generation_token_count"])
        return Answer(_text(answer["generation"]), self._REASONS.get(reason, reason), usage)

    def _text_of(self, chunk: dict[str, Any]) -> str:
        return _text(chunk.get("generation") or "")


def _llama3_prompt(conversation: Conversation) -> str:
    turns = [("system", conversation.system)] if conversation.system else []
    turns += [(message.role, message.text) for message in conversation.messages]
    said = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
    return f"<|begin_of_text|>{said}<|start_header_id|>assistant<|end_header_id|>\n\n"


def _llama2_prompt(conversation: Conversation) -> str:
    prompt = ""
    told = f"<<SYS>>\n{conversation.system}\n<</SYS>>\n\n" if conversation.system else ""
    for message in conversation.messages:
        if message.role == "user":
            prompt += f"<s>[INST] {told}{message.text} [/INST]"
            told = ""
        elif not prompt:
            raise InputError("A conversation must start with a user message.")
        else:
            prompt += f" {message.text} </s>"
    return prompt


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _converse_usage(usage: Mapping[str, object]) -> Usage:
    return _usage(usage["inputTokens"], usage["outputTokens"])


def _usage(input_tokens: object, output_tokens: object) -> Usage:
    counts = token_count(input_tokens), token_count(output_tokens)
    if counts[0] is None or counts[1] is None:
        raise IntegrityError("Bedrock sent a response whose tokens are not counted: see what serves the model.")
    return Usage(counts[0], counts[1])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise IntegrityError("Bedrock sent a response with something else than text in it: see what serves the model.")
    return value


def _parse(content: bytes) -> dict[str, Any]:
    parsed = parse_json(content, _SOURCE)
    if not isinstance(parsed, dict):
        raise IntegrityError("Bedrock sent JSON that is not an object: see what serves the model.")
    return parsed


_WIRES: Mapping[ApiFormat, Wire] = {
    "converse": ConverseWire(),
    "claude": ClaudeWire(),
    "llama3": LlamaWire(3),
    "llama2": LlamaWire(2),
}


def wire_for(api_format: ApiFormat) -> Wire:
    """What speaks a format."""
    return _WIRES[api_format]
