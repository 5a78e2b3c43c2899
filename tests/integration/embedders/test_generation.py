"""Converse over HTTP against the local AWS."""

import asyncio
import contextlib
import logging

import pytest

from embedstack.errors import ConfigurationError, EmbedStackError, EndpointUnavailable, InputError, TextTooLong
from embedstack.generation import GenerationPrice, Generator, Message, Sampling
from embedstack.resilience import Retry, RetryPolicy
from embedstack.settings.settings import load_settings
from tests.integration.embedders.stand_in import faults

CLAUDE = "anthropic.claude-3-5-haiku-20241022-v1:0"


def test_generate_returns_text_tokens_and_cost(aws):
    generator = Generator(CLAUDE, settings=aws.settings, price=GenerationPrice(input=1e6, output=2e6))
    reply = generator.generate("how are you today", system="be kind")
    assert reply.text == "You said: how are you today"
    assert reply.stop_reason == "end_turn"
    assert (reply.input_tokens, reply.output_tokens, reply.cost_usd) == (6, 6, 18)
    assert asyncio.run(generator.agenerate("how are you today", system="be kind")).text == reply.text
    stats = generator.stats()
    assert (stats.replies, stats.input_tokens, stats.output_tokens, stats.cost_usd) == (2, 12, 12, 36)


def test_generated_stream_equals_the_response(aws):
    generator = Generator(CLAUDE, settings=aws.settings)
    parts = list(generator.stream("how are you today"))
    assert len(parts) > 3
    assert "".join(parts) == generator.generate("how are you today").text
    assert generator.stats().replies == 2


FORMATS = [
    ("converse", CLAUDE), ("claude", CLAUDE), ("llama3", "us.meta.llama3-3-70b-instruct-v1:0"),
]  # fmt: skip


@pytest.mark.parametrize(("api_format", "model"), FORMATS)
def test_every_format_generates_the_same_text(aws, api_format, model):
    generator = Generator(model, settings=aws.settings, api_format=api_format)
    conversation = [Message("user", "one"), Message("assistant", "two"), Message("user", "three four")]
    reply = generator.generate(conversation, system="be kind")
    assert (reply.text, reply.stop_reason) == ("You said: three four", "end_turn")
    assert (reply.input_tokens, reply.output_tokens) == (6, 4)
    assert "".join(generator.stream(conversation, system="be kind")) == reply.text
    stats = generator.stats()
    assert (stats.replies, stats.input_tokens, stats.output_tokens) == (2, 12, 8)
    short = generator.generate("one two three", sampling=Sampling(max_tokens=3, temperature=0.1, top_p=0.5))
    assert (short.text, short.stop_reason) == ("You said: one", "max_tokens")


def test_settings_choose_the_generation_format(aws):
    with pytest.raises(InputError, match="anthropic_version"):
        Generator(CLAUDE, settings=load_settings(bedrock_api_format="llama2")).generate("x")
    with pytest.raises(ConfigurationError, match="does not support stop sequences"):
        Generator(FORMATS[2][1], settings=aws.settings, api_format="llama3").generate(
            "x", sampling=Sampling(stop=("a",))
        )


def test_llama2_format_uses_its_prompt(aws):
    generator = Generator(FORMATS[2][1], settings=aws.settings, api_format="llama2")
    conversation = [Message("user", "one"), Message("assistant", "two"), Message("user", "three")]
    assert generator.generate(conversation, system="be kind").text == (
        "You said: <s>[INST] <<SYS>> be kind <</SYS>> one [/INST] two </s><s>[INST] three [/INST]"
    )
    with pytest.raises(InputError, match="must start with a user message"):
        generator.generate([Message("assistant", "x")])


def test_async_generation_stream_equals_sync_and_can_be_closed(aws):
    generator = Generator(CLAUDE, settings=aws.settings)

    async def collect():
        return [part async for part in generator.astream("how are you today")]

    async def leave():
        async with contextlib.aclosing(generator.astream("how are you today")) as parts:
            return await anext(parts)

    assert asyncio.run(collect()) == list(generator.stream("how are you today"))
    assert asyncio.run(leave()) == "You"


@pytest.mark.parametrize(("api_format", "model"), FORMATS)
def test_truncated_generation_is_an_error(aws, api_format, model):
    generator = Generator(model, settings=aws.settings, api_format=api_format, retry=Retry(RetryPolicy(attempts=1)))
    with (
        faults(aws.settings.aws_endpoint_url, "bedrock-runtime", "truncate", 1),
        pytest.raises(EndpointUnavailable, match="before the reply was complete"),
    ):
        list(generator.stream("how are you today"))


@pytest.mark.parametrize(("api_format", "model"), FORMATS)
def test_generation_logs_no_text(aws, caplog, api_format, model):
    caplog.set_level(logging.DEBUG)
    generator = Generator(model, settings=aws.settings, api_format=api_format)
    generator.generate("Rumpelstiltskin", system="Rapunzel")
    list(generator.stream("Rumpelstiltskin", system="Rapunzel"))
    with pytest.raises(EmbedStackError) as caught:
        generator.generate([Message("assistant", "Rumpelstiltskin")])
    assert caplog.records, "something is logged, so that there is something to look at"
    logged = "\n".join(logging.Formatter("%(name)s %(message)s").format(record) for record in caplog.records)
    for secret in ("Rumpelstiltskin", "Rapunzel", "You said"):
        assert secret not in logged
        assert secret not in str(caught.value)


def test_sampling_reaches_the_model(aws):
    generator = Generator(CLAUDE, settings=load_settings(bedrock_max_tokens=3, bedrock_temperature=0.5))
    assert generator.generate("one two three").stop_reason == "max_tokens"
    longer = generator.generate("one two three", sampling=Sampling(max_tokens=50, top_p=0.9, stop=("two",)))
    assert longer.text == "You said: one "
    assert longer.stop_reason == "stop_sequence"


CONVERSATION = [
    Message("user", "first question " * 20), Message("assistant", "first answer " * 20), Message("user", "and now?"),
]  # fmt: skip


def test_oversized_conversation_is_rejected_or_trimmed(aws):
    with pytest.raises(TextTooLong, match='overflow="trim"'):
        Generator(CLAUDE, settings=aws.settings, context_tokens=2050).generate(CONVERSATION)
    trimming = Generator(CLAUDE, settings=aws.settings, context_tokens=2050, overflow="trim")
    reply = trimming.generate(CONVERSATION)
    assert reply.text == "You said: and now?"
    assert reply.dropped_messages == 2
    with pytest.raises(TextTooLong):
        trimming.generate("x" * 10_000)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("meta.llama2-70b-chat-v1", "Bedrock has no model .* use us.meta.llama3-3-70b-instruct-v1:0"),
        ("meta.llama3-3-70b-instruct-v1:0", "In us-east-1, .* inference profiles only. Use us.meta.llama3-3"),
        ("nonsense", "list-foundation-models"),
    ],
)
def test_unknown_generation_model_names_alternatives(aws, model, message):
    with pytest.raises(ConfigurationError, match=message):
        Generator(model, settings=aws.settings).generate("x")


def test_generation_calls_an_inference_profile(aws):
    profile = "us.meta.llama3-3-70b-instruct-v1:0"
    assert Generator(profile, settings=aws.settings).generate("x").text == "You said: x"
    with pytest.raises(ConfigurationError, match="may compute anywhere in us"):
        Generator(profile, settings=load_settings(aws_allowed_regions="us-east-1"))


def test_conversation_must_start_with_the_user(aws):
    with pytest.raises(InputError, match="must start with a user message"):
        Generator(CLAUDE, settings=aws.settings).generate([Message("assistant", "x")])


def test_missing_generation_model_is_a_configuration_error(aws, monkeypatch):
    monkeypatch.delenv("BEDROCK_MODEL_ID", raising=False)
    with pytest.raises(ConfigurationError, match="Set BEDROCK_MODEL_ID"):
        Generator(settings=load_settings())
