"""The tables of variables and outputs in the modules' READMEs, from the modules' own HCL.

``python tests/terraform/module_tables.py`` writes them anew; the tests compare.
"""

import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "terraform"
MARKERS = "<!-- BEGIN TABLES -->\n", "<!-- END TABLES -->\n"
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}$', re.MULTILINE | re.DOTALL)


def modules() -> list[Path]:
    """The folders whose READMEs have tables."""
    return [SOURCE / "bootstrap", *sorted(path for path in (SOURCE / "modules").iterdir() if path.is_dir())]


def with_tables(module: Path) -> str:
    """A module's README with its tables as they ought to be."""
    readme = (module / "README.md").read_text()
    begin, end = MARKERS
    prose = readme.split(begin)[0].rstrip()
    return f"{prose}\n\n{begin}{tables(module)}{end}"


def tables(module: Path) -> str:
    """Variables and outputs as Markdown, by name."""
    source = "\n".join(file.read_text() for file in sorted(module.glob("*.tf")))
    found: dict[str, list[tuple[str, str]]] = {"variable": [], "output": []}
    for kind, name, body in _BLOCK.findall(source):
        found[kind].append((name, body))
    parts = []
    if found["variable"]:
        rows = [_variable(name, body) for name, body in sorted(found["variable"])]
        parts.append("\n".join(["| Variable | Type | Default |", "|---|---|---|", *rows]))
    if found["output"]:
        rows = [f"| `{name}` | {_description(body)} |" for name, body in sorted(found["output"])]
        parts.append("\n".join(["| Output | |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _variable(name: str, body: str) -> str:
    kind = " ".join(_argument(body, "type").split())
    # What is in an object its description tells; its type would take the width of the page.
    shown = re.sub(r"object\(.*", "object", kind).replace("(", " of ") if "object(" in kind else f"`{kind}`"
    default = _argument(body, "default")
    return f"| `{name}`: {_description(body)} | {shown} | {f'`{default}`' if default else 'required'} |"


def _argument(body: str, name: str) -> str:
    """An argument's expression, which ends before the next argument, block or comment of the variable."""
    found = re.search(rf"^  {name} += (.*?)(?=^  [a-z#]|^$|\Z)", body, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def _description(body: str) -> str:
    text = _argument(body, "description")
    if text.startswith("<<-EOT"):
        text = text.removeprefix("<<-EOT").removesuffix("EOT")
    else:
        text = text[1:-1].replace('\\"', '"')
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for folder in modules():
        (folder / "README.md").write_text(with_tables(folder))
