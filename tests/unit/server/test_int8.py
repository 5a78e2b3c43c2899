"""int8 weights: where they are, and what they cost in accuracy on the real model."""

import numpy as np

from conftest import MINILM
from embedstack.models.golden import golden_texts, golden_vectors
from embedstack_server.compute.graph import build_graph
from embedstack_server.model.model_folder import ModelFolder
from tests.unit.server.graphs import compute, cosines


def test_golden_vectors_hold(minilm_folder):
    pooled, _ = compute(minilm_folder, golden_texts(), int8=True)
    found = cosines(pooled, np.asarray(golden_vectors(MINILM)))
    assert found.min() >= 0.998
    assert found.min() < 0.9999, "float weights would give this: int8 is not in use"


def test_all_linear_layers_but_the_values_are_stored_as_int8(minilm_folder):
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
