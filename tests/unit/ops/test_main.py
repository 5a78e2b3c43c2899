"""The command ``embedstack``."""

import sys

import click
import pytest
from click.testing import CliRunner

from embedstack_ops.cli.main import main

COMMANDS = sorted(main.list_commands(click.Context(main)))


def invoke(*arguments):
    return CliRunner().invoke(main, arguments, prog_name="embedstack")


def test_help_imports_no_subcommand(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("embedstack_ops.cli.") and not name.endswith("main")]:
        monkeypatch.delitem(sys.modules, name)
    shown = invoke("--help")
    assert shown.exit_code == 0
    assert all(command in shown.output for command in COMMANDS)
    assert "Exit codes" in shown.output
    assert not [
        name
        for name in sys.modules
        if name.startswith("embedstack_ops.cli.")
        and name not in ("embedstack_ops.cli.main", "embedstack_ops.cli.groups")
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_subcommand_help_shows_usage_and_examples(command):
    shown = invoke(command, "--help")
    assert shown.exit_code == 0, shown.output
    assert f"Usage: embedstack {command}" in shown.output
    assert f"embedstack {command}" in shown.output.partition("Examples:")[2]


def test_unknown_subcommand_is_a_usage_error():
    rejected = invoke("no-such-command")
    assert rejected.exit_code == 2
    assert "No such command 'no-such-command'" in rejected.output


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "embedstack_ops.cli.package_model", raising=False)
    monkeypatch.delitem(sys.modules, "embedstack_server.packaging", raising=False)
    monkeypatch.setitem(sys.modules, "embedstack_server.packaging", None)
    rejected = invoke("package-model", "--help")
    assert rejected.exit_code == 2
    assert "pip install 'embedstack[ops,server]'" in rejected.output
