"""Terraform driven from Python: the real binary where it runs, a stand-in where it must be missing or old."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from embedstack.errors import ConfigurationError
from embedstack_ops.terraform import driver as terraform
from embedstack_ops.terraform.driver import TerraformFailed, TerraformRoot, plugin_dir

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


def _stand_in(folder, monkeypatch, script, name="terraform"):
    folder.mkdir()
    binary = folder / name
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


def test_whole_cycle_runs_the_program_that_tf_names(root, tmp_path, monkeypatch):
    """With a stand-in that calls Terraform, where only it is on the PATH."""
    real = shutil.which("terraform")
    _stand_in(tmp_path / "bin", monkeypatch, f'echo "$1" >> {tmp_path}/calls; exec {real} "$@"', name="tofu")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("TF", "tofu")
    driver = TerraformRoot(root)
    driver.init()
    driver.apply(driver.plan(root / "plan"))
    assert driver.outputs() == {"size": 1}
    driver.destroy()
    assert driver.resources() == []
    assert {"version", "init", "plan", "apply", "output", "state"} <= set((tmp_path / "calls").read_text().split())


def test_opentofu_missing(root, tmp_path, monkeypatch):
    monkeypatch.setenv("TF", "tofu")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"tofu is not installed.*https://opentofu.org/docs/intro/install/"):
        TerraformRoot(root).init()


def test_failed_opentofu_command_is_named(root, tmp_path, monkeypatch):
    script = '[ "$1" = version ] && echo \'{"terraform_version": "1.11.0"}\' && exit; echo unknown option >&2; exit 1'
    _stand_in(tmp_path / "bin", monkeypatch, script, name="tofu")
    monkeypatch.setenv("TF", str(tmp_path / "bin" / "tofu"))
    with pytest.raises(TerraformFailed, match=r"`tofu init` in .* failed:\nunknown option"):
        TerraformRoot(root).init()


def test_plugin_dir_of_opentofu_has_its_own_registry(tmp_path, monkeypatch):
    monkeypatch.setenv("TF", "tofu")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    mirror = tmp_path / "opentofu" / "plugins"
    (mirror / "registry.opentofu.org/hashicorp/aws/5.100.0").mkdir(parents=True)
    (tmp_path / "terraform/plugins/registry.terraform.io/hashicorp/aws/5.100.0").mkdir(parents=True)
    assert plugin_dir() == mirror


def test_failed_command_reports_the_output_of_terraform(root):
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


def test_plugin_dir_finds_the_mirrors_of_terraform(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    mirror = tmp_path / "terraform" / "plugins"
    (mirror / "registry.terraform.io/hashicorp/aws/5.100.0").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert plugin_dir() == mirror


def test_init_without_registry_and_mirror_names_the_remedy(root, tmp_path, monkeypatch):
    (root / "provider.tf").write_text(
        'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws", version = ">= 5.100.0" }\n  }\n}\n'
    )
    monkeypatch.setattr(terraform, "_registry_answers", lambda _: False)
    monkeypatch.setattr(terraform, "_mirror_roots", lambda: [tmp_path / "nowhere"])
    _refuse_network(monkeypatch)
    with pytest.raises(ConfigurationError, match=r"has no filesystem mirror of it.*providers mirror"):
        TerraformRoot(root).init()


def _refuse_network(monkeypatch):
    """Point Terraform at a proxy that is not there, so that the registry fails at once on any machine."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert shutil.which("terraform")


@pytest.mark.parametrize("printed", ["Terraform v1.11.4", "[command]/usr/bin/terraform\\n{}", "[]", "{}", ""])
def test_terraform_without_json_is_named(root, tmp_path, monkeypatch, printed):
    _stand_in(tmp_path / "bin", monkeypatch, f"printf '{printed}'")
    with pytest.raises(ConfigurationError, match=r"bin/terraform did not print Terraform's JSON"):
        TerraformRoot(root).init()
    if printed != "{}":
        with pytest.raises(ConfigurationError, match=r"did not print Terraform's JSON"):
            TerraformRoot(root).outputs()


def test_missing_or_broken_terraform_is_reported(root, tmp_path, monkeypatch):
    _stand_in(tmp_path / "bin", monkeypatch, "")
    (tmp_path / "bin" / "terraform").write_bytes(b"\x7fELF, but not for this machine")
    with pytest.raises(ConfigurationError, match=r"Terraform cannot be run .*Exec format error.*Get it at"):
        TerraformRoot(root).init()


def test_init_uses_the_mirror_if_the_proxy_is_dead(root, tmp_path, monkeypatch):
    _refuse_network(monkeypatch)
    monkeypatch.setattr(terraform, "_mirror_roots", lambda: [tmp_path / "mirror"])
    (tmp_path / "mirror" / "registry.terraform.io" / "hashicorp" / "aws").mkdir(parents=True)
    _stand_in(
        tmp_path / "bin",
        monkeypatch,
        f"""
        echo "$*" >> "{tmp_path}/calls"
        [ "$1" = init ] || echo '{{"terraform_version": "1.11.4"}}'
    """,
    )
    TerraformRoot(root).init()
    assert (tmp_path / "calls").read_text().splitlines()[1:] == [
        f"init -input=false -no-color -plugin-dir={tmp_path / 'mirror'}"
    ]


def test_init_uses_the_mirror_if_the_registry_lacks_the_provider(root, tmp_path, monkeypatch):
    monkeypatch.setattr(terraform, "_registry_answers", lambda _: True)
    monkeypatch.setattr(terraform, "_mirror_roots", lambda: [tmp_path / "mirror"])
    (tmp_path / "mirror" / "registry.terraform.io" / "hashicorp" / "aws").mkdir(parents=True)
    _stand_in(
        tmp_path / "bin",
        monkeypatch,
        """
        case "$*" in
          version*) echo '{"terraform_version": "1.11.4"}' ;;
          *-plugin-dir*) ;;
          *) echo "Error: Failed to install provider" >&2; exit 1 ;;
        esac
    """,
    )
    TerraformRoot(root).init()


def test_locked_state_is_reported_with_a_remedy(root, monkeypatch):
    driver = TerraformRoot(root)
    driver.init()
    monkeypatch.setattr(terraform, "_LOCK_TIMEOUT", "0s")
    plan = driver.plan(root / "plan")
    (root / "terraform.tfstate").touch()
    with (root / "terraform.tfstate").open("r+") as state:
        fcntl.lockf(state, fcntl.LOCK_EX)
        with pytest.raises(TerraformFailed, match=r"the state is locked by another Terraform command.*force-unlock ID"):
            TerraformRoot(root).apply(plan, show_progress=False)


def test_one_command_deploys_at_a_time(root, tmp_path):
    order = []
    first = TerraformRoot(root)

    def wait():
        order.append("waits")
        waiting.set()

    def deploy():
        with TerraformRoot(root).locked(tmp_path / "lock", on_wait=wait):
            order.append("second")

    waiting = threading.Event()
    thread = threading.Thread(target=deploy)
    with first.locked(tmp_path / "lock"):
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join()
    assert order == ["waits", "first", "second"]


STARTS_TERRAFORM = """
import signal
import sys
from pathlib import Path
from embedstack_ops.terraform.driver import TerraformRoot

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
root = TerraformRoot(Path(sys.argv[1]))
with root.locked(Path(sys.argv[2])):
    root.resources()
"""


def test_interrupted_command_lets_terraform_save_its_state(root, tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    # Its start takes a moment, so that it is surely known to the process that started it.
    _stand_in(
        tmp_path / "bin",
        monkeypatch,
        f"""
        trap 'told=1' INT
        sleep 0.5
        touch '{calls}'
        while [ -z "$told" ]; do sleep 0.1; done
        echo saved > '{calls}'
    """,
    )
    command = [sys.executable, "-c", STARTS_TERRAFORM, root, tmp_path / "lock"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while not calls.exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert calls.read_text() == "saved\n"
    assert b"Terraform finishes the changes in progress" in errors


def test_lock_outlives_a_killed_command(root, tmp_path, monkeypatch):
    """Terraform goes on without it, and nobody else may deploy until it ends."""
    runs, end = tmp_path / "runs", tmp_path / "end"
    _stand_in(tmp_path / "bin", monkeypatch, f"touch '{runs}'; while [ ! -e '{end}' ]; do sleep 0.1; done")
    with subprocess.Popen([sys.executable, "-c", STARTS_TERRAFORM, root, tmp_path / "lock"]) as process:
        while not runs.exists():
            assert process.poll() is None
        process.kill()
    with TerraformRoot(root).locked(tmp_path / "lock", on_wait=end.touch):
        assert end.exists(), "it had to be waited for"
