"""Terraform driven from Python: the real binary where it runs, a stand-in where it must be missing or old."""

import json
import os
import shutil

import pytest

from embedstack import terraform
from embedstack.errors import ConfigurationError
from embedstack.terraform import TerraformFailed, TerraformRoot, plugin_dir

ROOT = """
variable "size" { default = 1 }
resource "terraform_data" "this" { input = var.size }
output "size" { value = terraform_data.this.output }
"""
VERSIONS = 'terraform {\n  required_version = ">= 1.9.0"\n}\n'


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_WORKSPACE", raising=False)
    (tmp_path / "main.tf").write_text(ROOT)
    (tmp_path / "versions.tf").write_text(VERSIONS)
    return tmp_path


def _stand_in(folder, monkeypatch, script):
    folder.mkdir()
    binary = folder / "terraform"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_the_whole_cycle(root):
    driver = TerraformRoot(root)
    driver.init()
    assert driver.outputs() == {}
    assert driver.resources() == []
    plan = driver.plan(root / "plan")
    assert plan.has_changes
    assert plan.summary == "Plan: 1 to add, 0 to change, 0 to destroy."
    driver.apply(plan)
    assert driver.outputs() == {"size": 1}
    assert driver.resources() == ["terraform_data.this"]
    again = driver.plan(root / "plan")
    assert not again.has_changes
    assert again.summary.startswith("No changes.")
    (root / "two.tfvars").write_text("size = 2")
    assert TerraformRoot(root, root / "two.tfvars").plan(root / "plan").has_changes
    driver.destroy()
    assert driver.resources() == []


def test_a_broken_root_says_what_terraform_said(root):
    (root / "main.tf").write_text('resource "terraform_data" "this" { input = local.missing }')
    driver = TerraformRoot(root)
    driver.init()
    with pytest.raises(TerraformFailed, match="undeclared local value"):
        driver.plan(root / "plan")


def test_terraform_missing(root, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ConfigurationError, match=r"not installed.*https://developer.hashicorp.com/terraform/install"):
        TerraformRoot(root).init()


def test_terraform_too_old(root, tmp_path, monkeypatch):
    _stand_in(tmp_path / "bin", monkeypatch, "echo '" + json.dumps({"terraform_version": "1.5.7"}) + "'")
    with pytest.raises(ConfigurationError, match=r"Terraform 1\.5\.7 is too old: 1\.9\.0 is needed"):
        TerraformRoot(root).init()


def test_a_mirror_is_found_where_terraform_would_look(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    mirror = tmp_path / "terraform" / "plugins"
    (mirror / "registry.terraform.io/hashicorp/aws/5.100.0").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert plugin_dir() == mirror


def test_no_registry_and_no_mirror_says_what_to_install(root, tmp_path, monkeypatch):
    (root / "provider.tf").write_text(
        'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws", version = ">= 5.100.0" }\n  }\n}\n'
    )
    monkeypatch.setattr(terraform, "_registry_answers", lambda: False)
    monkeypatch.setattr(terraform, "_mirror_roots", lambda: [tmp_path / "nowhere"])
    _refuse_network(monkeypatch)
    with pytest.raises(ConfigurationError, match=r"no usable mirror of it lies on this machine.*providers mirror"):
        TerraformRoot(root).init()


def _refuse_network(monkeypatch):
    """Point Terraform at a proxy that is not there, so that the registry fails at once on any machine."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert shutil.which("terraform")
