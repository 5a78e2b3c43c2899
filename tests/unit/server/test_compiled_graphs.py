"""Graphs with rotary positions compile to OpenVINO's fused operations, and need no table of token pairs."""

import openvino as ov
import pytest

from embedstack_server.compute.graph import build_graph
from tests.support.sharp_models import write_model

LONGEST = 32768
LAYERS = {"modernbert": 6, "qwen3": 4, "gte": 4}


@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize("name", LAYERS)
def test_rotations_are_fused(tmp_path, name, precision):
    graph = build_graph(write_model(tmp_path, name))
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    kinds = [node.get_rt_info()["layerType"].astype(str) for node in compiled.get_runtime_model().get_ordered_ops()]
    assert kinds.count("RoPE") == 2 * LAYERS[name]
    # Attention is one operation per layer, without the scores of all token pairs in memory.
    assert kinds.count("Subgraph") + kinds.count("ScaledDotProductAttention") >= LAYERS[name]
    assert "SoftMax" not in kinds


@pytest.mark.parametrize("name", LAYERS)
def test_long_contexts_need_no_table_of_token_pairs(tmp_path, name):
    graph = build_graph(write_model(tmp_path, name, max_position_embeddings=LONGEST))
    sizes = [node.get_byte_size() for node in graph.get_ops() if node.get_type_name() == "Constant"]
    head_size = 16
    assert max(sizes) == LONGEST * head_size * 4  # a table of sines or cosines
