"""Which commands need AWS, by their settings and options."""

import pytest

from embedstack.settings.settings import load_settings
from embedstack_ops.cli.target import uses_aws

OFFLINE = {"embedding_backend": "local", "database_url": "postgresql://x"}


@pytest.mark.parametrize(
    ("settings", "options", "expected"),
    [
        ({}, {}, False),
        ({}, {"rerank": True}, True),
        ({"reranker_backend": "local"}, {"rerank": True}, False),
        ({"reranker_backend": "local", "reranker_fallbacks": "sagemaker"}, {"rerank": True}, True),
        ({"reranker_backend": "bedrock"}, {"rerank": False}, False),
        ({"embedding_backend": "bedrock"}, {}, True),
        ({"vector_store": "s3vectors"}, {}, True),
        ({}, {"function": "search"}, True),
    ],
)
def test_command_uses_aws_if_a_backend_or_store_is_there(settings, options, expected):
    assert uses_aws(load_settings(**{**OFFLINE, **settings}), options) is expected
