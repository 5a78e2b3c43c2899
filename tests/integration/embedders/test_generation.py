"""Converse over HTTP against the local AWS."""

import asyncio

import pytest

from embedstack.errors import ConfigurationError, InputError, TextTooLong
from embedstack.generation import GenerationPrice, Generator, Message, Sampling
from embedstack.settings import load_settings

CLAUDE = "anthropic.claude-3-5-haiku-20241022-v1:0"


def test_an_answer_with_its_tokens_and_cost(aws):
    generator = Generator(CLAUDE, settings=aws.settings, price=GenerationPrice(input=1e6, output=2e6))
    reply = generator.generate("how are you today", system="be kind")
    assert reply.text == "You said: how are you today"
    assert reply.stop_reason == "end_turn"
    assert (reply.input_tokens, reply.output_tokens, reply.cost_usd) == (6, 6, 18)
    assert asyncio.run(generator.agenerate("how are you today", system="be kind")).text == reply.text
    stats = generator.stats()
    assert (stats.replies, stats.input_tokens, stats.output_tokens, stats.cost_usd) == (2, 12, 12, 36)


def test_a_stream_gives_the_same_answer_in_parts(aws):
    generator = Generator(CLAUDE, settings=aws.settings)
    parts = list(generator.stream("how are you today"))
    assert len(parts) > 3
    assert "".join(parts) == generator.generate("how are you today").text
    assert generator.stats().replies == 2


def test_sampling_reaches_the_model(aws):
    generator = Generator(CLAUDE, settings=load_settings(bedrock_max_tokens=3, bedrock_temperature=0.5))
    assert generator.generate("one two three").stop_reason == "max_tokens"
    longer = generator.generate("one two three", sampling=Sampling(max_tokens=50, top_p=0.9, stop=("two",)))
    assert longer.text == "You said: one "
    assert longer.stop_reason == "stop_sequence"


CONVERSATION = [
    Message("user", "first question " * 20), Message("assistant", "first answer " * 20), Message("user", "and now?"),
]  # fmt: skip


def test_a_conversation_that_does_not_fit_is_refused_or_trimmed(aws):
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
        ("meta.llama3-3-70b-instruct-v1:0", "inference profile in us-east-1: us.meta.llama3-3"),
        ("nonsense", "list-foundation-models"),
    ],
)
def test_a_model_that_is_not_there_names_what_is(aws, model, message):
    with pytest.raises(ConfigurationError, match=message):
        Generator(model, settings=aws.settings).generate("x")


def test_a_profile_is_called(aws):
    profile = "us.meta.llama3-3-70b-instruct-v1:0"
    assert Generator(profile, settings=aws.settings).generate("x").text == "You said: x"
    with pytest.raises(ConfigurationError, match="may compute anywhere in us"):
        Generator(profile, settings=load_settings(aws_allowed_regions="us-east-1"))


def test_a_conversation_that_the_model_begins_is_refused(aws):
    with pytest.raises(InputError, match="must start with a user message"):
        Generator(CLAUDE, settings=aws.settings).generate([Message("assistant", "x")])


def test_no_model_is_a_configuration_error(aws, monkeypatch):
    monkeypatch.delenv("BEDROCK_MODEL_ID", raising=False)
    with pytest.raises(ConfigurationError, match="set BEDROCK_MODEL_ID"):
        Generator(settings=load_settings())
