"""Text generation with Amazon Bedrock, through the Converse API or a model's native format."""

from embedstack.generation.generator import Generator
from embedstack.generation.records import GenerationPrice, GenerationStats, Message, Reply, Sampling
from embedstack.generation.wire import ApiFormat

__all__ = ["ApiFormat", "GenerationPrice", "GenerationStats", "Generator", "Message", "Reply", "Sampling"]
