"""Text from Bedrock's models, by Converse, which speaks to all of them alike, or by a model's own format."""

from embedstack.generation.generator import Generator
from embedstack.generation.records import GenerationPrice, GenerationStats, Message, Reply, Sampling
from embedstack.generation.wire import ApiFormat

__all__ = ["ApiFormat", "GenerationPrice", "GenerationStats", "Generator", "Message", "Reply", "Sampling"]
