"""Finds attributes that Terraform drops: those of a variable's value that the variable's type does not name.

Terraform converts a value to the type of its variable and drops other attributes without a message. Terraform itself
evaluates the values twice here, with the declared types and without, so that no list of attributes is kept.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DroppedAttribute", "dropped_attributes"]

_VARIABLE = re.compile(r'^variable "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
#: Files from which Terraform reads values without an option.
_AUTOMATIC = ("terraform.tfvars", "terraform.tfvars.json", "*.auto.tfvars", "*.auto.tfvars.json")


@dataclass(frozen=True, slots=True)
class DroppedAttribute:
    """An attribute that has no effect.

    Attributes:
        path: Its path from the variable, such as ``endpoints.embedding.model.tasks``.
        suggestion: The known attribute with the most similar name, or None.
    """

    path: str
    suggestion: str | None

    def __str__(self) -> str:
        return self.path + (f" (did you mean {self.suggestion}?)" if self.suggestion else "")


def dropped_attributes(root: Path, var_file: Path | None = None, command: str = "terraform") -> list[DroppedAttribute]:
    """The attributes in a root's variables that their types do not name.

    Args:
        root: Folder of the root module.
        var_file: Variables file besides those that Terraform reads automatically.
        command: The program, such as ``tofu``.

    Returns:
        The attributes; none also if the values are invalid, which a plan reports.
    """
    sources = [file.read_text(encoding="utf-8") for file in sorted(root.glob("*.tf"))]
    blocks = [match for source in sources for match in _VARIABLE.finditer(source)]
    names = [block[1] for block in blocks if not re.search(r"^ *sensitive *= *true", block[2], re.MULTILINE)]
    declared = "\n".join(block[0] for block in blocks)
    untyped = "\n".join(f'variable "{block[1]}" {{\n  type    = any\n  default = null\n}}' for block in blocks)
    given, converted = (_values(root, var_file, names, variables, command) for variables in (untyped, declared))
    return list(_dropped(given, converted, ()))


def _values(root: Path, var_file: Path | None, names: list[str], variables: str, command: str) -> Any:
    """The values of variables as Terraform evaluates them; None if it rejects them."""
    with tempfile.TemporaryDirectory(prefix="embedstack-") as temporary:
        folder = Path(temporary)
        (folder / "variables.tf").write_text(variables, encoding="utf-8")
        for pattern in _AUTOMATIC:
            for file in root.glob(pattern):
                shutil.copy(file, folder)
        expression = "jsonencode({" + ", ".join(f"{name} = var.{name}" for name in names) + "})"
        done = subprocess.run(
            [command, "console", *([f"-var-file={var_file.resolve()}"] if var_file else [])],
            cwd=folder, env=_environment(), input=expression,
            capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip
    try:
        return json.loads(json.loads(done.stdout)) if done.returncode == 0 else None
    except (ValueError, TypeError):
        return None


def _environment() -> dict[str, str]:
    """The values in TF_VAR_*, but no workspace and no options, which are those of the root."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("TF_") or name.startswith("TF_VAR_")
    }


def _dropped(given: Any, converted: Any, path: tuple[str, ...]) -> Iterator[DroppedAttribute]:
    if isinstance(given, dict) and isinstance(converted, dict):
        for name, value in given.items():
            if name in converted:
                yield from _dropped(value, converted[name], (*path, name))
            else:
                similar = difflib.get_close_matches(name, converted, n=1)
                yield DroppedAttribute(".".join((*path, name)), similar[0] if similar else None)
    elif isinstance(given, list) and isinstance(converted, list):
        for index, (each, other) in enumerate(zip(given, converted, strict=False)):
            yield from _dropped(each, other, (*path, str(index)))
