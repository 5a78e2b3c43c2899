"""Write src/embedstack/models/catalogue.json from reviewed facts and the model registry of MTEB.

    uv venv .venv-mteb && uv pip install -p .venv-mteb/bin/python mteb-core
    .venv-mteb/bin/python scripts/generate_model_catalogue.py

``scripts/model_catalogue.yaml`` lists the models and the facts that were reviewed by hand. They take precedence over
the registry of ``mteb-core`` (without torch), of which these facts are used: dimensions, Matryoshka lengths, tokens,
license, and whether a model needs instructions. Its prompts are not: many are names of tasks.

A maintainer runs this for a release, reads the printed disagreements, and commits the result.
"""

import argparse
import datetime as dt
import importlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
REVIEWED = ROOT / "scripts" / "model_catalogue.yaml"
CATALOGUE = ROOT / "src" / "embedstack" / "models" / "catalogue.json"

FACTS = (
    "kind", "architecture", "dimensions", "matryoshka_dimensions", "max_tokens", "pooling", "normalized", "prompts",
    "uses_prompts", "license", "non_commercial",
)  # fmt: skip
#: Licenses that allow commercial use; of others, only those that say so are known to forbid it.
COMMERCIAL = {
    "apache-2.0", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "gemma", "mit", "openmdw-1.1",
}  # fmt: skip
#: Bedrock's models in the registry.
REGISTRY_NAMES = {
    "amazon.titan-embed-text-v1": "bedrock/amazon-titan-embed-text-v1",
    "amazon.titan-embed-text-v2:0": "bedrock/amazon-titan-embed-text-v2",
    "amazon.nova-2-multimodal-embeddings-v1:0": "bedrock/amazon-nova-2-multimodal-embeddings",
    "cohere.embed-english-v3": "bedrock/cohere-embed-english-v3",
    "cohere.embed-multilingual-v3": "bedrock/cohere-embed-multilingual-v3",
    "cohere.embed-v4:0": "Cohere/Cohere-embed-v4.0",
}


def main() -> int:
    """Write the catalogue."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--date", default=dt.datetime.now(dt.UTC).date().isoformat())
    date = parser.parse_args().date
    try:
        mteb = importlib.import_module("mteb")
    except ImportError:
        print("mteb-core is missing. Run this with the environment that the description names.", file=sys.stderr)
        return 2
    registry = {meta.name: registry_facts(meta) for meta in mteb.get_model_metas()}
    reviewed = yaml.safe_load(REVIEWED.read_text(encoding="utf-8"))
    for line in disagreements(reviewed, registry):
        print(line)
    rows = catalogue_rows(reviewed, registry)
    CATALOGUE.write_text(render(rows, mteb.__version__, date), encoding="utf-8")
    print(f"{CATALOGUE}: {len(rows)} models")
    return 0


def registry_facts(meta: Any) -> dict[str, Any]:
    """The facts of a model in the registry, by our names and without the unknown ones.

    Args:
        meta: ``mteb.ModelMeta``.
    """
    lengths = sorted(meta.embed_dim) if isinstance(meta.embed_dim, list) else [meta.embed_dim]
    tokens = meta.max_tokens
    facts = {
        "kind": "reranker" if "cross-encoder" in (meta.model_type or []) else "embedding",
        "dimensions": lengths[-1],
        "matryoshka_dimensions": lengths[:-1] or None,
        "max_tokens": int(tokens) if tokens is not None and math.isfinite(tokens) else None,
        "license": None if meta.license in (None, "not specified") else str(meta.license),
        "uses_prompts": bool(meta.use_instructions),
    }
    return {name: value for name, value in facts.items() if value is not None}


def catalogue_rows(reviewed: Mapping[str, Any], registry: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the catalogue: known facts only, ordered by id.

    Args:
        reviewed: The content of ``model_catalogue.yaml``.
        registry: The facts of the registry by its names; see :func:`registry_facts`.

    Raises:
        ValueError: A reviewed fact or prompt is unknown.
    """
    rows = []
    for model_id, own in reviewed["models"].items():
        unknown = own.keys() - set(FACTS)
        if unknown:
            raise ValueError(f"{model_id}: unknown facts {sorted(unknown)}. Facts: {', '.join(FACTS)}.")
        facts = {**registry.get(REGISTRY_NAMES.get(model_id, model_id), {}), **own}
        match facts.get("prompts"):
            case None:
                pass
            case "none":
                facts |= {"prompts": None, "uses_prompts": False}
            case "unknown":
                facts |= {"prompts": None, "uses_prompts": True}
            case name if name in reviewed["prompts"]:
                facts |= {"prompts": reviewed["prompts"][name], "uses_prompts": True}
            case name:
                raise ValueError(f"{model_id}: unknown prompts {name!r}. Add them to `prompts`.")
        if facts.get("kind") == "reranker":
            # The registry has the width of the layers of some.
            facts |= {"dimensions": None, "matryoshka_dimensions": None}
        facts.setdefault("non_commercial", _forbids_commercial_use(facts.get("license")))
        known = {name: facts[name] for name in FACTS if facts.get(name) is not None}
        if known.get("kind") == "embedding":
            del known["kind"]  # the default
        rows.append({"model_id": model_id, **known})
    return sorted(rows, key=lambda row: str(row["model_id"]).casefold())


def disagreements(reviewed: Mapping[str, Any], registry: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for each reviewed fact that the registry contradicts."""
    for model_id, own in reviewed["models"].items():
        recorded = registry.get(REGISTRY_NAMES.get(model_id, model_id), {})
        for name in own.keys() & recorded.keys():
            if own[name] != recorded[name]:
                yield f"{model_id}: {name} is {recorded[name]!r} in the registry, {own[name]!r} reviewed"


def render(rows: list[dict[str, Any]], version: str, date: str) -> str:
    """The file: a row per line, so that changes are readable."""
    source = json.dumps({"package": "mteb-core", "version": version})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f'{{"generated": "{date}", "source": {source}, "models": [\n{lines}\n]}}\n'


def _forbids_commercial_use(license_name: str | None) -> bool | None:
    if license_name is None:
        return None
    if "-nc" in license_name.lower():
        return True
    return False if license_name in COMMERCIAL else None


if __name__ == "__main__":
    sys.exit(main())
