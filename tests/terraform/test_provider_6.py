"""The configuration against the schema of the newest provider, which is not installed: nothing is gone or deprecated.

``python scripts/generate_provider_schema.py`` extracts the schema again.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import pytest

from tests.terraform.running import SOURCE

SCHEMA = json.loads(Path(__file__).with_name("provider_6_schema.json").read_text())
FILES = sorted(file for file in SOURCE.rglob("*.tf") if ".terraform" not in file.parts)
#: Arguments that Terraform has for every resource.
_META = frozenset({"connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"})
_REFERENCE = re.compile(r"(?<![\w.])((?:data\.)?aws_\w+)\.\w+(?:\[[^\]]*\])?\.(\w+)")


@cache
def configured(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The resources and data sources in a file: type, address and body."""
    return list(_configured(hcl2.loads(text)))


def _configured(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for prefix, blocks in (("", document.get("resource", [])), ("data.", document.get("data", []))):
        for block in blocks:
            for kind, named in _members(block):
                for name, body in _members(named):
                    if kind.startswith("aws_"):
                        yield f"{prefix}{kind}", f"{prefix}{kind}.{name}", body


def problems(text: str) -> list[str]:
    """What a file uses that the schema lacks, deprecates or writes otherwise."""
    found = [
        f"{address}: {problem}"
        for kind, address, body in configured(text)
        for problem in _of_body(body, SCHEMA["types"][kind]["arguments"], SCHEMA["types"][kind]["deprecated"], ())
    ]
    referenced = [
        (kind, attribute)
        for kind, _, body in configured(text)
        for attribute in re.findall(r"\bself\.(\w+)", json.dumps(body))
    ]
    for kind, attribute in [*_REFERENCE.findall(text), *referenced]:
        schema = SCHEMA["types"][kind]
        if attribute not in schema["attributes"] and attribute not in schema["arguments"]:
            found.append(f"{kind} has no attribute {attribute}")
        if attribute in schema["deprecated"]:
            found.append(f"{kind}.{attribute} is deprecated: {schema['deprecated'][attribute]}")
    return found


def _of_body(
    body: dict[str, Any], arguments: dict[str, Any], deprecated: dict[str, str], path: tuple[str, ...]
) -> Iterator[str]:
    given = dict(_blocks_and_arguments(body))
    for name, (blocks, is_block) in given.items():
        where = ".".join([*path, name])
        if name not in arguments:
            yield f"there is no {where}"
            continue
        if where in deprecated:
            yield f"{where} is deprecated: {deprecated[where]}"
        if is_block and arguments[name].get("block") is not True:
            yield f"{where} is no block"
        if not is_block and arguments[name].get("block") is True:
            yield f"{where} is a block"
        for block in blocks:
            yield from _of_body(block, arguments[name].get("arguments", {}), deprecated, (*path, name))
    for name, argument in arguments.items():
        if argument.get("required") and name not in given:
            yield f"{'.'.join([*path, name])} is required"


def _blocks_and_arguments(body: dict[str, Any]) -> Iterator[tuple[str, tuple[list[dict[str, Any]], bool]]]:
    for name, value in _members(body):
        if name in _META:
            continue
        if name == "dynamic":
            for block in value:
                for dynamic, inner in _members(block):
                    (content,) = inner["content"]
                    yield dynamic, ([content], True)
        elif (
            isinstance(value, list)
            and value
            and all(isinstance(each, dict) and "__is_block__" in each for each in value)
        ):
            yield name, (value, True)
        else:
            yield name, ([], False)


def _members(block: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name.strip('"'), value) for name, value in block.items() if not name.startswith("__"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_configuration_matches_the_newest_provider(file: Path) -> None:
    assert problems(file.read_text()) == []


def test_schema_is_of_provider_6_and_has_every_type() -> None:
    assert SCHEMA["provider"].startswith("6.")
    used = {kind for file in FILES for kind, *_ in configured(file.read_text())}
    assert used <= SCHEMA["types"].keys(), "scripts/generate_provider_schema.py adds new types"
    assert len(used) > 40


def test_clusters_without_a_vpc_cannot_be_created_yet() -> None:
    """A limit in the README of vector-store, which ends when this fails with a newer schema."""
    assert not [name for name in SCHEMA["types"]["aws_rds_cluster"]["arguments"] if "express" in name]


def test_versions_allow_the_newest_provider() -> None:
    for file in SOURCE.rglob("versions.tf"):
        assert "< 7.0.0" in file.read_text()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('resource "aws_sqs_queue" "a" {\n  nme = "a"\n}', "there is no nme"),
        ('resource "aws_s3_bucket" "a" {\n  acl = "private"\n}', "acl is deprecated"),
        ('resource "aws_sqs_queue" "a" {\n  name {\n  }\n}', "name is no block"),
        ('resource "aws_rds_cluster" "a" {\n  engine = "x"\n  scaling_configuration = []\n}', "is a block"),
        ('resource "aws_rds_cluster" "a" {\n}', "engine is required"),
        (
            'resource "aws_rds_cluster" "a" {\n  engine = "x"\n  scaling_configuration {\n    max = 1\n  }\n}',
            "there is no scaling_configuration.max",
        ),
        (
            'resource "aws_s3_bucket" "a" {\n  dynamic "website" {\n    for_each = []\n    content {}\n  }\n}',
            "website is deprecated",
        ),
        ("locals {\n  region = data.aws_region.current.name\n}", "data.aws_region.name is deprecated"),
        ("locals {\n  arn = aws_sqs_queue.a[0].arm\n}", "aws_sqs_queue has no attribute arm"),
        ('data "aws_region" "a" {\n  count = self.id\n}', "data.aws_region.id is deprecated"),
    ],
)
def test_schema_comparison_finds_problems(text: str, problem: str) -> None:
    assert any(problem in found for found in problems(f"{text}\n"))
