"""Grouping of texts into requests by their bytes."""

import io
import json
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from embedstack.embedders import Limits, SageMakerEmbedder
from embedstack.embedders.adaptive_limits import BatchSizer
from embedstack.embedders.batching import Batcher, TextSizes
from embedstack.embedders.json_encoding import json_bytes, json_text_sizes
from embedstack.errors import PayloadTooLarge
from embedstack.models.catalogue import known_model
from embedstack.settings.settings import load_settings

MINILM = known_model("sentence-transformers/all-MiniLM-L6-v2")


def batches(texts, limits, sizes, prompt=""):
    batcher = Batcher(limits, BatchSizer(limits.max_items), sizes, prompt=prompt, collect=True)
    complete = [batch for text in texts for batch in batcher.add(text)]
    return [(batch.texts, [str(failure.error) for failure in batch.refused]) for batch in [*complete, *batcher.flush()]]


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), max_size=30),
    size=st.integers(40, 300),
    prompt=st.sampled_from(["", "query: ", "\n"]),
)
def test_batcher_groups_by_bound_as_by_measuring(texts, size, prompt):
    bounded = json_text_sizes(envelope=20)
    limits = Limits(max_items=8, max_bytes=size)
    grouped = batches(texts, limits, bounded, prompt)
    assert grouped == batches(texts, limits, TextSizes(bounded.measure, bounded.envelope), prompt)
    for sent, _ in grouped:
        assert sum(map(bounded.measure, sent)) <= size - 20


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_json_bound_covers_every_text(text):
    sizes = json_text_sizes(envelope=0)
    assert len(json_bytes([text, text])) - len(json_bytes([text])) <= sizes.measure(text)
    assert sizes.upper_bound is not None
    assert sizes.measure(text) <= sizes.upper_bound(len(text.encode()))


def test_batcher_measures_no_text_that_fits_by_its_bound():
    def measure(text):
        raise AssertionError(f"{text} was measured")

    sizes = TextSizes(measure, upper_bound=lambda utf8_bytes: 6 * utf8_bytes)
    assert batches(["ab", "cd"], Limits(max_bytes=24), sizes) == [(["ab", "cd"], [])]


def test_text_is_measured_before_it_is_rejected():
    embedder = SageMakerEmbedder(
        MINILM, endpoint="e", settings=load_settings(aws_region="us-east-1"), limits=Limits(max_bytes=400)
    )
    with pytest.raises(PayloadTooLarge, match="Text 0 takes 209 bytes; the limit of a request is 208"):
        embedder.embed(["x" * 205])


class FakeSession(boto3.Session):
    """A boto3 session whose endpoint returns a unit vector for each text."""

    def client(self, service, **options):  # type: ignore[override]
        del service, options
        meta = SimpleNamespace(region_name="us-east-1", endpoint_url="https://service.example")
        return SimpleNamespace(meta=meta, _make_api_call=None, invoke_endpoint=self.invoke_endpoint)

    def invoke_endpoint(self, **request):
        rows = np.eye(1, MINILM.dimensions).repeat(len(json.loads(request["Body"])["inputs"]), axis=0)
        return {"Body": io.BytesIO(json.JSONEncoder().encode(rows.tolist()).encode())}


def test_sagemaker_embedder_encodes_every_text_once(monkeypatch):
    encoded: list[str] = []
    dumps = json.dumps

    def counting(value, **options):
        encoded.extend(value["inputs"] if isinstance(value, dict) else [value])
        return dumps(value, **options)

    monkeypatch.setattr(json, "dumps", counting)
    texts = [f'text "{number}"\n' for number in range(100)]
    config = load_settings(aws_region="us-east-1", sagemaker_verify_model=False)
    session: Any = FakeSession()
    with SageMakerEmbedder(MINILM, endpoint="e", settings=config, session=session) as embedder:
        embedder.embed(texts)
        assert sorted(encoded) == sorted(texts)
        encoded.clear()
        list(embedder.embed_stream(texts))
        assert sorted(encoded) == sorted(texts)
