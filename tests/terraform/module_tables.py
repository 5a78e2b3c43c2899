"""Writes the tables of variables and outputs in the READMEs of the Terraform root and its modules.

A comment above an attribute of an object type is the attribute's fact in the table. An attribute of the root that a
module declares, too, takes fact and default from there. ``python tests/terraform/module_tables.py`` writes the tables.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "terraform"
MARKERS = "<!-- BEGIN TABLES -->\n", "<!-- END TABLES -->\n"

_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}$', re.MULTILINE | re.DOTALL)
_ATTRIBUTE = re.compile(r"^ *(\w+) += (.*)$")
#: Attributes that only exist to be rejected.
_REJECTED = frozenset({
    "endpoints.instance_type",
    "endpoints.model.hardware",
    "endpoints.realtime.variants.model.dimensions",
    "endpoints.realtime.variants.model.prompts",
    "endpoints.serverless.memory_size_in_mb",
})  # fmt: skip
#: Modules whose attributes are the root's.
_WITHOUT_ATTRIBUTES = frozenset({"endpoint-settings"})
#: Where the root's attributes are described, by their path in the root: a module and a path in it. The longest wins.
_MODULES = {
    "alarms": ("observability", "alarms"),
    "budget": ("observability", "budget"),
    "notifications": ("observability", "notifications"),
    "endpoints.autoscaling": ("autoscaling", ""),
    "endpoints.data_capture": ("realtime-endpoint", "data_capture"),
    "endpoints.model": ("huggingface-model", "model"),
    "endpoints.realtime": ("realtime-endpoint", "variants"),
    "endpoints.realtime.async": ("realtime-endpoint", "async"),
    "endpoints.realtime.deployment": ("realtime-endpoint", "deployment"),
    "endpoints.realtime.variants": ("realtime-endpoint", "variants"),
    "endpoints.realtime.variants.model": ("huggingface-model", "model"),
    "endpoints.scale_to_zero": ("scale-to-zero-endpoint", "scale_to_zero"),
    "endpoints.serverless": ("serverless-endpoint", "serverless"),
    "endpoints.vpc": ("huggingface-model", "vpc"),
    "health_check": ("health-check", ""),
    "pipeline": ("document-pipeline", ""),
    "vector_store": ("vector-store", ""),
}
#: The subjects of the root's table, each with the paths that belong to it.
SUBJECTS = {
    "Project": ("name", "environment", "aws_region", "tags", "permissions_boundary", "role_path", "hub_token"),
    "Endpoints": ("endpoints",),
    "Models": ("endpoints.model",),
    "Serverless endpoints": ("endpoints.serverless",),
    "Real-time endpoints": ("endpoints.realtime", "endpoints.data_capture"),
    "Scale-to-zero endpoints": ("endpoints.scale_to_zero",),
    "Autoscaling": ("endpoints.autoscaling",),
    "Networks": ("endpoints.vpc",),
    "Alarms, costs and dashboard": (
        "alarms",
        "budget",
        "cost_report",
        "dashboard",
        "notifications",
        "notifications_key_arn",
    ),
    "Health check": ("health_check",),
    "Vector store": ("vector_store",),
    "Document pipeline": ("pipeline",),
}


@dataclass(frozen=True)
class Row:
    """A variable, or an attribute of an object variable.

    Attributes:
        path: Names from the variable to the attribute, joined by dots.
        kind: Its type, as the table shows it.
        default: Its default; empty if it is required.
        fact: What it is.
    """

    path: str
    kind: str
    default: str
    fact: str

    def __str__(self) -> str:
        return f"| `{self.path}` | {self.kind} | {self.default or 'required'} | {_escaped(self.fact)} |"


def modules() -> list[Path]:
    """The folders of modules, and of the bootstrap, whose READMEs have tables."""
    modules = sorted(path for path in (SOURCE / "modules").iterdir() if path.is_dir())
    return [SOURCE / "bootstrap", *modules, SOURCE / "provider-6" / "vector-bucket"]


def with_tables(folder: Path) -> str:
    """The README of the root or of a module, with its tables up to date."""
    begin, end = MARKERS
    before, after = (folder / "README.md").read_text().split(begin)
    return f"{before}{begin}{tables(folder)}{end}{after.split(end)[1]}"


def tables(folder: Path) -> str:
    """Variables and outputs as Markdown, by name."""
    parts = []
    rows = variables(folder)
    if folder == SOURCE:
        for subject, members in _by_subject(rows).items():
            parts += [f"### {subject}", _variables_table(members)]
        parts.append("## Outputs")
    elif rows:
        parts.append(_variables_table(rows))
    outputs = sorted((name, _description(body)) for kind, name, body in _blocks(folder) if kind == "output")
    if outputs:
        lines = [f"| `{name}` | {_escaped(text)} |" for name, text in outputs]
        parts.append("\n".join(["| Output | Description |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


@cache
def variables(folder: Path) -> list[Row]:
    """The variables of a module and the attributes of their types, by name."""
    rows: list[Row] = []
    for kind, name, body in sorted(_blocks(folder)):
        if kind == "variable":
            default = _argument(body, "default")
            shown = f"`{default}`" if default and "\n" not in default else "see code" if default else ""
            rows.append(Row(name, _kind(_argument(body, "type")), shown, _description(body)))
            if folder.name not in _WITHOUT_ATTRIBUTES:
                rows += [_described(row, folder) for row in _attributes(name, _argument(body, "type"))]
    return rows


def declared_twice() -> list[tuple[Row, Row]]:
    """Attributes that the root, or a module that passes them on, declares besides the module that uses them."""
    pairs = []
    for folder in (SOURCE, *(SOURCE / "modules" / name for name in ("huggingface-model", "scale-to-zero-endpoint"))):
        for kind, name, body in _blocks(folder):
            for row in _attributes(name, _argument(body, "type")) if kind == "variable" else ():
                module, inner = _elsewhere(row.path, folder)
                users = variables(SOURCE / "modules" / module) if module else []
                pairs += [(row, other) for other in users if other.path == inner]
    return pairs


def same_description() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Types and validations of modules' variables, by name and description.

    A module without a validation passes the value on to one that has it.
    """
    declarations: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for folder in modules()[1:]:
        for kind, name, body in _blocks(folder):
            if kind == "variable" and "validation {" in body:
                validations = body[body.index("  validation {") :].replace("${var.name}: ", "")
                found = (_argument(body, "type"), " ".join(validations.split()))
                declarations.setdefault((name, _description(body)), set()).add(found)
    return declarations


def _blocks(folder: Path) -> list[tuple[str, str, str]]:
    return _BLOCK.findall("\n".join(file.read_text() for file in sorted(folder.glob("*.tf"))))


def _attributes(variable: str, text: str) -> Iterator[Row]:
    """The attributes of an object type, which is written with one attribute a line."""
    names, comment = [variable], ""
    for line in text.splitlines()[1:]:
        stripped = line.strip()
        if stripped.startswith("#"):
            comment = f"{comment} {stripped.lstrip('# ')}".strip()
        elif found := _ATTRIBUTE.match(line):
            path = ".".join([*names, found[1]])
            if path not in _REJECTED:
                yield Row(path, _kind(found[2]), _attribute_default(found[2]), comment)
            comment = ""
            if found[2].endswith("({"):
                names.append(found[1])
        elif stripped.startswith("}") and len(names) > 1:
            names.pop()
            comment = ""


def _described(row: Row, folder: Path) -> Row:
    """An attribute with fact and default of the module that declares the same one."""
    if row.fact:
        return row
    module, inner = _elsewhere(row.path, folder)
    same = (
        next((other for other in variables(SOURCE / "modules" / module) if other.path == inner), None)
        if module
        else None
    )
    if same is None:
        return row
    # The root passes null on for what it does not set, and the module's default applies.
    default = same.default if folder == SOURCE and row.default == "`null`" and same.default else row.default
    return Row(row.path, row.kind, default, same.fact)


def _elsewhere(path: str, folder: Path) -> tuple[str, str]:
    if folder.name == "scale-to-zero-endpoint":
        return "autoscaling", path.removeprefix("scale_to_zero.")
    if folder.name == "huggingface-model":
        return "execution-role", path
    if folder != SOURCE:
        return "", ""
    prefix = max((name for name in _MODULES if f"{path}.".startswith(f"{name}.")), key=len, default="")
    module, inner = _MODULES.get(prefix, ("", ""))
    return module, f"{inner}{path.removeprefix(prefix)}".lstrip(".")


def _by_subject(rows: list[Row]) -> dict[str, list[Row]]:
    subjects: dict[str, list[Row]] = {subject: [] for subject in SUBJECTS}
    prefixes = {prefix: subject for subject, members in SUBJECTS.items() for prefix in members}
    for row in rows:
        # The attribute itself is a row of its parent's subject, and heads its own.
        prefix = max((name for name in prefixes if f"{row.path}.".startswith(f"{name}.")), key=len)
        subjects[prefixes[prefix]].append(row)
    return subjects


def _variables_table(rows: list[Row]) -> str:
    return "\n".join(["| Variable | Type | Default | Description |", "|---|---|---|---|", *map(str, rows)])


def _kind(expression: str) -> str:
    text = re.sub(r"^optional\(", "", " ".join(expression.split()))
    for word in ("map(object", "list(object", "object"):
        if text.startswith(word):
            return word.replace("(", " of ")
    return f"`{found[0]}`" if (found := re.match(r"\w+(\(\w+\))?", text)) else ""


def _attribute_default(expression: str) -> str:
    if not expression.startswith("optional("):
        return ""
    if expression.endswith("({"):
        return "optional"
    found = re.match(r"optional\(\w+(?:\(\w+\))?(?:, (.*))?\)$", expression)
    return f"`{found[1]}`" if found and found[1] else "`null`"


def _argument(body: str, name: str) -> str:
    """An argument's expression, which ends before the next argument or block of the variable."""
    found = re.search(rf"^  {name} += (.*?)(?=^  [a-z#]|\Z)", body, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def _description(body: str) -> str:
    return _argument(body, "description")[1:-1].replace('\\"', '"')


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for folder in [SOURCE, *modules()]:
        (folder / "README.md").write_text(with_tables(folder))
