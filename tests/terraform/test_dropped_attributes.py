"""Attributes that no type of the root names: Terraform drops them, so a plan must not."""

import shutil
from pathlib import Path

import pytest

from embedstack_ops.terraform.dropped_attributes import dropped_attributes
from tests.terraform.running import SOURCE

MISSPELT = """
name = "alex"
endpoints = {
  embedding = {
    model      = { hub_id = "a/b", rolearn = "r", prompts = { querry = "q" } }
    serverless = { max_concurency = 10 }
  }
  steps = {
    autoscaling = { max = 4, step = { metric_name = "m", threshold = 1, steps = [{ change = 1, uper = 3 }] } }
    model       = { hub_id = "a/b" }
    realtime    = { instance_type = "ml.c7i.xlarge", variants = { b = { model = { hub_id = "a/b" }, wieght = 3 } } }
  }
}
hub_token = "hf_0123456789"
"""

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")


def test_dropped_attributes_are_found_with_similar_names(tmp_path: Path) -> None:
    (tmp_path / "misspelt.tfvars").write_text(MISSPELT)
    assert [str(each) for each in dropped_attributes(SOURCE, tmp_path / "misspelt.tfvars")] == [
        "endpoints.embedding.model.prompts.querry (did you mean query?)",
        "endpoints.embedding.model.rolearn (did you mean role_arn?)",
        "endpoints.embedding.serverless.max_concurency (did you mean max_concurrency?)",
        "endpoints.steps.autoscaling.step.steps.0.uper (did you mean upper?)",
        "endpoints.steps.realtime.variants.b.wieght (did you mean weight?)",
    ]


def test_dropped_attributes_are_found_in_automatic_files(tmp_path: Path) -> None:
    for file in SOURCE.glob("variables*.tf"):
        shutil.copy(file, tmp_path)
    (tmp_path / "terraform.tfvars").write_text('name = "alex"\nendpoints = { e = { model = {} } }\nalarms = { x = 1 }')
    assert [str(each) for each in dropped_attributes(tmp_path)] == ["alarms.x"]


@pytest.mark.parametrize("name", ["multi", "pipeline-aurora", "realtime-bge-m3"])
def test_environments_have_no_dropped_attributes(name: str) -> None:
    assert dropped_attributes(SOURCE, SOURCE / "environments" / f"{name}.tfvars") == []
