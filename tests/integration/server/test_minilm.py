"""Vectors of the real all-MiniLM-L6-v2 equal the golden ones, in every precision and under concurrency."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from conftest import MINILM
from embedstack.models.golden import golden_texts
from embedstack_server.compute.encoder import Encoder
from embedstack_server.compute.graph import build_graph
from embedstack_server.model.model_folder import ModelFolder
from tests.support.golden import minilm_golden
from tests.support.graphs import compute, cosines

GOLDEN = minilm_golden()


@pytest.fixture(scope="module")
def minilm(minilm_folder):
    encoder = Encoder.load(minilm_folder, model_id=MINILM, precision="fp32")
    yield encoder
    encoder.close()


def test_int8_graph_stays_near_the_golden_vectors(minilm_folder):
    pooled, _ = compute(minilm_folder, golden_texts(), int8=True)
    lowest = cosines(pooled, GOLDEN).min()
    assert lowest >= 0.998
    assert lowest < 0.9999, "as close as float weights: int8 is not in use"


def test_int8_graph_stores_all_linear_layers_but_the_values_as_int8(minilm_folder):
    folder = ModelFolder.read(minilm_folder)
    stored = [
        node.get_output_shape(0)
        for node in build_graph(folder, int8=True).get_ordered_ops()
        if node.get_type_name() == "Constant" and node.get_output_element_type(0).to_string() == "i8"
    ]
    size = folder.hidden_size
    # Query, key and output, then the two halves of the feed-forward part, in groups of 64 inputs.
    layer = sorted([[size, size // 64, 64]] * 3 + [[4 * size, size // 64, 64], [size, 4 * size // 64, 64]])
    assert sorted(map(list, stored)) == sorted(layer * folder.config.layers)


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999999), ("auto", 0.9999), ("int8", 0.998)])
def test_encoder_equals_the_golden_vectors(minilm_folder, precision, least):
    vectors = Encoder.load(minilm_folder, precision=precision).encode(golden_texts()).vectors()
    assert (vectors * GOLDEN).sum(axis=1).min() >= least


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, len(golden_texts()) - 1), min_size=1, max_size=40))
def test_encoder_vector_is_independent_of_its_batch(minilm, rows):
    vectors = minilm.encode([golden_texts()[row] for row in rows]).vectors()
    np.testing.assert_allclose(vectors, GOLDEN[rows], atol=1e-5)


def test_encoder_returns_concurrent_callers_their_own_rows(minilm):
    def embed(row: int) -> float:
        vector = minilm.encode([golden_texts()[row]]).vectors()[0]
        return float(vector @ GOLDEN[row])

    with ThreadPoolExecutor(16) as pool:
        assert min(pool.map(embed, [row % len(golden_texts()) for row in range(300)])) > 0.9999


def test_encoder_batched_vectors_equal_single_ones_at_every_length(minilm):
    texts = [" ".join(["cat"] * length) for length in range(1, minilm.model.max_tokens + 2, 23)]
    alone = np.concatenate([minilm.encode([text]).pooled for text in texts])
    np.testing.assert_allclose(minilm.encode(texts).pooled, alone, atol=2e-5)
