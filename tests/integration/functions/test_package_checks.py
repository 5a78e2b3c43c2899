"""A function tells that its package is for something else: another processor, Python, model or database."""

import json
import os
import platform
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings
from embedstack_ops.lambda_packages.wheels import Target
from pipeline_functions.ingest_services import IngestServices
from pipeline_functions.package_checks import check_database_ca, check_runtime, check_tokenizer
from pipeline_functions.search_services import SearchServices

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
REPOSITORY = Path(__file__).parents[3]
# Prints why the handler does not import, and what is compiled that was imported before.
IMPORT = """if True:
    import sys
    try:
        import function
    except ImportError as error:
        print(error, *({"numpy", "psycopg", "pydantic_core"} & sys.modules.keys()), sep="\\n")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes an unpacked package of this machine, with what differs."""

    def write(**overrides):
        here = Target.of_this_machine()
        (tmp_path / "tokenizer.json").write_text("{}")
        manifest = {
            "architecture": here.architecture, "python": here.python, "function": "ingest", "model": MINILM,
            "tokenizer_sha256": sha256(b"{}").hexdigest(), **overrides,
        }  # fmt: skip
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
        return tmp_path

    monkeypatch.chdir(tmp_path)
    for name in ("EMBEDSTACK_TOKENIZER", "PGHOST", "PGSSLROOTCERT", "EMBEDDING_MODEL"):
        monkeypatch.delenv(name, raising=False)
    return write


def test_package_checks_accept_a_matching_package(package):
    package()
    check_runtime()
    check_tokenizer(load_settings())


def test_package_checks_accept_a_missing_manifest(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    check_runtime()
    check_tokenizer(load_settings(embedding_model="BAAI/bge-m3"))


@pytest.mark.parametrize("overrides", [{"architecture": "riscv64"}, {"python": "3.99"}])
def test_check_runtime_fails_before_compiled_imports(package, overrides):
    folder = package(**overrides)
    for name in ("ingest", "search"):
        path = [str(REPOSITORY / "lambda" / name), str(REPOSITORY / "lambda"), *sys.path]
        environment = {"LAMBDA_TASK_ROOT": str(folder), "PYTHONPATH": os.pathsep.join(path)}
        done = subprocess.run(
            [sys.executable, "-c", IMPORT], env=environment, capture_output=True, text=True, check=True
        )
        (message,) = done.stdout.splitlines()
        assert message.startswith("The package was built for Python ")
        assert "Build it with --architecture" in message


def test_check_runtime_treats_aarch64_as_arm64(package, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    package(architecture="arm64")
    check_runtime()


def test_check_tokenizer_rejects_another_models_tokenizer(package, tmp_path):
    package()
    settings = load_settings(embedding_model="BAAI/bge-m3")
    with pytest.raises(
        ConfigurationError, match=r"tokenizer of sentence-.* BAAI/bge-m3 .* Build the package with --model BAAI"
    ):
        check_tokenizer(settings)
    check_tokenizer(load_settings(embedding_model="BAAI/bge-m3", embedstack_tokenizer=tmp_path / "own.json"))
    (tmp_path / "tokenizer.json").write_text('{"another": "one"}')
    with pytest.raises(ConfigurationError, match="was changed since the package was built for sentence-transformers"):
        check_tokenizer(load_settings())


def test_ingestion_checks_the_tokenizer_first(package, monkeypatch):
    package()
    monkeypatch.setenv("EMBEDDING_MODEL", "BAAI/bge-m3")
    with pytest.raises(ConfigurationError, match="Build the package with --model"):
        IngestServices().ingestion  # noqa: B018 - the access is what is tested


def test_check_database_ca_requires_the_bundle(package, monkeypatch, tmp_path):
    package()
    check_database_ca()
    monkeypatch.setenv("PGSSLROOTCERT", str(tmp_path / "rds-ca.pem"))
    for access in (lambda: IngestServices().ingestion, lambda: SearchServices().store):
        with pytest.raises(ConfigurationError, match=r"rds-ca.pem .* build the package with --database-ca"):
            access()
    with monkeypatch.context() as local:
        local.setenv("PGHOST", str(tmp_path))
        check_database_ca()
    (tmp_path / "rds-ca.pem").touch()
    check_database_ca()
