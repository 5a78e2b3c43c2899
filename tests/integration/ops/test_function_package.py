"""Packages of the functions, built from small wheels: contents, limits and reproducibility."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from random import Random

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from embedstack.errors import ConfigurationError
from embedstack_ops.lambda_packages import build as function_package
from embedstack_ops.lambda_packages.build import build_function, is_needed, pack
from embedstack_ops.lambda_packages.wheels import Target, download_wheels, read_lock, read_requirements

HERE = Target.of_this_machine()
GRAVITON = Target("arm64", "3.13")

PYPROJECT = """
[project]
name = "embedstack"
dependencies = ["base-package>=1"]
[project.optional-dependencies]
lambda = ["Tokenizers[extra]"]
documents = ["embedstack[readers]", "windows-only; sys_platform == 'win32'"]
readers = ["reader"]
postgres = []
unused = ["unused"]
"""
PINS = """# pins
base.package==1.5
Tokenizers==2.0
reader==0.9 ; python_version < '3.12'
reader==1.0 ; python_version >= '3.12'
compiled==3.0
old-python==1.0 ; sys_platform == 'linux'
"""


def wheel(folder, name, version, *, tag="py3-none-any", requires=(), files=None):
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = "\n".join(
        ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}",
         *(f"Requires-Dist: {requirement}" for requirement in requires), "", "A description."]
    )  # fmt: skip
    content = {
        f"{name.replace('-', '_')}/__init__.py": "",
        f"{stem}.dist-info/METADATA": metadata,
        f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{stem}.dist-info/RECORD": "",
        f"{stem}.dist-info/licenses/LICENSE": "MIT",
        **(files or {}),
    }
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """A folder with wheels, instead of a package index."""
    folder = tmp_path_factory.mktemp("index")
    wheel(folder, "base-package", "1.5", files={"base_package-1.5.data/purelib/placed.py": "",
                                                "base_package-1.5.data/scripts/command": "#!python"})  # fmt: skip
    wheel(
        folder, "tokenizers", "2.0", requires=[
            "huggingface-hub>=1", 'compiled; extra == "extra"', 'unused; extra == "other"',
            'old-python; python_version < "3.13"',
        ],
    )  # fmt: skip
    wheel(folder, "reader", "1.0", requires=["base-package"], files={"reader/tests/test_reader.py": ""})
    wheel(folder, "old-python", "1.0")
    for tag in (f"cp313-cp313-manylinux_2_28_{machine}" for machine in ("aarch64", "x86_64")):
        wheel(folder, "compiled", "3.0", tag=tag, files={"compiled/native.so": tag})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        yield folder


def write_lock(repository, index, pins=PINS):
    """Write the lock file of these pins, with the hashes that the wheels of the index have."""
    digests: dict[str, list[str]] = {}
    for path in index.glob("*.whl"):
        name, version, *_ = parse_wheel_filename(path.name)
        digests.setdefault(f"{name}=={version}", []).append(hashlib.sha256(path.read_bytes()).hexdigest())
    lines = []
    for pin in pins.splitlines()[1:]:
        requirement = Requirement(pin)
        release = f"{canonicalize_name(requirement.name)}{requirement.specifier}"
        hashes = [f"--hash=sha256:{digest}" for digest in digests.get(release, ["0" * 64])]
        lines.append(" \\\n    ".join([pin, *hashes]))
    (repository / "locks").mkdir(exist_ok=True)
    (repository / "locks" / "dev.txt").write_text("\n".join(lines))


@pytest.fixture
def repository(tmp_path, index):
    folder = tmp_path / "repository"
    shutil.copytree(Path(__file__).parents[3] / "lambda", folder / "lambda")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    write_lock(folder, index)
    return folder


def wheels(repository, target, folder, extras=("lambda", "documents")):
    folder.mkdir()
    requirements = read_requirements(repository / "pyproject.toml", extras)
    paths = download_wheels(requirements, read_lock(repository / "locks" / "dev.txt", target), target, folder)
    return [path.name for path in paths]


@pytest.mark.parametrize(
    ("target", "machine", "others"),
    [
        (GRAVITON, "aarch64", []),
        (Target("x86_64", "3.13"), "x86_64", []),
    ],
)
def test_download_wheels_selects_the_targets_wheels(index, repository, tmp_path, target, machine, others):
    """Wheels of requirements, extras and markers, without huggingface-hub."""
    assert wheels(repository, target, tmp_path / "wheels") == [
        "base_package-1.5-py3-none-any.whl",
        f"compiled-3.0-cp313-cp313-manylinux_2_28_{machine}.whl",
        *others,
        "reader-1.0-py3-none-any.whl",
        "tokenizers-2.0-py3-none-any.whl",
    ]


def test_markers_are_evaluated_for_the_target(index, repository, tmp_path):
    (repository / "pyproject.toml").write_text(PYPROJECT.replace("[extra]", ""))
    names = wheels(repository, Target("x86_64", "3.12"), tmp_path / "wheels")
    assert "old_python-1.0-py3-none-any.whl" in names


def test_missing_wheel_is_named(index, repository, tmp_path):
    with pytest.raises(ConfigurationError, match=r"Python 3\.14 on arm64.*(?s:.*)compiled==3.0"):
        wheels(repository, Target("arm64", "3.14"), tmp_path / "wheels")


def test_cached_wheels_are_not_downloaded_again(index, repository, tmp_path, tokenizer, monkeypatch):
    cache, file = tmp_path / "cache", tmp_path / "ingest.zip"

    def build(target=GRAVITON):
        return build_function("ingest", repository, file, target=target, tokenizer=tokenizer, wheels=cache)

    first = build()
    with monkeypatch.context() as offline:
        offline.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
        assert build() == first
        with pytest.raises(ConfigurationError, match="x86_64"):
            build(Target("x86_64", "3.13"))
        write_lock(repository, index, PINS.replace("reader==1.0", "reader==1.1"))
        with pytest.raises(ConfigurationError, match=r"reader==1\.1"):
            build()
    assert sorted(path.suffix for path in cache.rglob("*") if path.is_file()) == [".whl"] * 4


def test_unpinned_package_is_rejected(index, repository, tmp_path):
    write_lock(repository, index, PINS.replace("compiled==3.0\n", ""))
    with pytest.raises(ConfigurationError, match="no version of compiled"):
        wheels(repository, GRAVITON, tmp_path / "wheels")


def test_download_wheels_refuses_a_wheel_with_another_hash(index, repository, tmp_path):
    lock = repository / "locks" / "dev.txt"
    digest = hashlib.sha256((index / "reader-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    lock.write_text(lock.read_text().replace(digest, "0" * 64))
    with pytest.raises(ConfigurationError, match=r"DO NOT MATCH THE HASHES|reader==1\.0"):
        wheels(repository, GRAVITON, tmp_path / "wheels")


def test_download_wheels_replaces_a_cached_wheel_with_another_hash(index, repository, tmp_path):
    wheels(repository, GRAVITON, tmp_path / "wheels")
    cached = tmp_path / "wheels" / "reader-1.0-py3-none-any.whl"
    expected = cached.read_bytes()
    cached.write_bytes(b"damaged")
    requirements = read_requirements(repository / "pyproject.toml", ["documents"])
    pins = read_lock(repository / "locks" / "dev.txt", GRAVITON)
    download_wheels(requirements, pins, GRAVITON, tmp_path / "wheels")
    assert cached.read_bytes() == expected


@pytest.mark.parametrize(("architecture", "python"), [("x86", "3.13"), ("arm64", "3"), ("arm64", "3.13; rm")])
def test_target_rejects_invalid_values(architecture, python):
    with pytest.raises(ConfigurationError, match="arm64 or x86_64"):
        Target(architecture, python)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "tokenizer.json"
    file.write_text("{}")
    return file


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of wheels for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def package(index, repository, tmp_path, tokenizer, cache):
    file = tmp_path / "ingest.zip"
    return build_function("ingest", repository, file, target=GRAVITON, tokenizer=tokenizer, wheels=cache)


def test_package_contains_manifest_and_ca_bundle(index, repository, tmp_path, tokenizer, cache):
    (tmp_path / "bundle.pem").write_text("certificates")
    package = build_function(
        "ingest", repository, tmp_path / "ingest.zip",
        target=GRAVITON, model="BAAI/bge-m3", tokenizer=tokenizer, database_ca=tmp_path / "bundle.pem", wheels=cache,
    )  # fmt: skip
    with zipfile.ZipFile(package.path) as archive:
        assert json.loads(archive.read("manifest.json")) == {
            "architecture": "arm64",
            "function": "ingest",
            "model": "BAAI/bge-m3",
            "python": "3.13",
            "tokenizer_sha256": hashlib.sha256(tokenizer.read_bytes()).hexdigest(),
        }
        assert archive.read("rds-ca.pem") == b"certificates"


def test_package_contains_only_what_the_function_loads(package, repository, tmp_path, tokenizer):
    with zipfile.ZipFile(package.path) as archive:
        names = archive.namelist()
    assert names == sorted(names)
    assert {
        "function.py", "pipeline_functions/ingest_handler.py", "tokenizer.json",
        "embedstack/py.typed", "embedstack/stores/load.py",
        "embedstack/stores/pgvector/migrations/0001_collections.sql", "compiled/native.so", "placed.py",
        "compiled-3.0.dist-info/METADATA", "compiled-3.0.dist-info/licenses/LICENSE",
    } <= set(names)  # fmt: skip
    for absent in ("__pycache__", "embedstack/localaws", "embedstack/serving", "reader/tests", "RECORD", "command"):
        assert not [name for name in names if absent in name]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ingest.zip", "repository"], (
        "temporary files were left behind"
    )
    with (repository / "lambda" / "pipeline_functions" / "messages.py").open("a") as file:
        file.write("# changed\n")
    rebuilt = build_function("ingest", repository, tmp_path / "again.zip", target=GRAVITON, tokenizer=tokenizer)
    assert rebuilt.sha256 != package.sha256, "other input gives another hash"


def test_package_build_is_reproducible(package, index, repository, tmp_path, tokenizer):
    """In another folder, with other file times and modes, in a process with another environment."""
    other_folder = tmp_path / "other_folder" / "deeper"
    shutil.copytree(repository, other_folder)
    for path in other_folder.rglob("*"):
        path.chmod(0o700)
        os.utime(path, (time.time() - 10**8,) * 2)
    (other_folder / "lambda" / "pipeline_functions" / "__pycache__").mkdir(exist_ok=True)
    (other_folder / "lambda" / "pipeline_functions" / "__pycache__" / "messages.cpython-311.pyc").write_bytes(b"stale")
    program = """if True:
        import os, sys
        from pathlib import Path
        from embedstack_ops.lambda_packages.build import build_function
        from embedstack_ops.lambda_packages.wheels import Target
        os.umask(0o077)
        repository, file, tokenizer = map(Path, sys.argv[1:])
        package = build_function("ingest", repository, file, target=Target("arm64", "3.13"), tokenizer=tokenizer)
        print(package.sha256)
    """
    command = [sys.executable, "-c", program, other_folder, other_folder / "again.zip", tokenizer]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Kolkata"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == package.sha256


def test_search_package_is_smaller_and_size_is_limited(index, repository, tmp_path, monkeypatch):
    package = build_function("search", repository, tmp_path / "search.zip", target=GRAVITON)
    with zipfile.ZipFile(package.path) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert "function.py" in tops
    assert not {"reader", "tokenizer.json"} & tops
    monkeypatch.setattr(function_package, "MAX_ZIP_BYTES", 1000)
    with pytest.raises(ConfigurationError, match="largest parts: embedstack"):
        build_function("search", repository, tmp_path / "large.zip", target=GRAVITON)
    assert not (tmp_path / "large.zip").exists()


def test_tokenizer_counts_only_toward_the_upload_limit(index, repository, tmp_path, monkeypatch, cache):
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_bytes(Random(7).randbytes(1_000_000))  # noqa: S311 - incompressible bytes, not a secret

    def build():
        file = tmp_path / "large.zip"
        return build_function("search", repository, file, target=GRAVITON, tokenizer=tokenizer, wheels=cache)

    package = build()
    assert 1_000_000 <= package.tokenizer_bytes < 1_001_000
    monkeypatch.setattr(function_package, "MAX_ZIP_BYTES", package.packed_bytes - 1_000_000)
    assert build() == package
    monkeypatch.setattr(function_package, "MAX_UPLOAD_BYTES", package.packed_bytes - 1)
    with pytest.raises(ConfigurationError, match="MB with its tokenizer"):
        build()


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("numpy/__init__.py", True),
        ("numpy/testing/__init__.py", True),
        ("numpy/testing/tests/test_utils.py", False),
        ("numpy/_core/tests/test_api.py", False),
        ("numpy/linalg/__init__.py", True),
        ("numpy/random/__init__.py", False),
        ("pypdfium2_raw/libpdfium.so", True),
        ("numpy/__init__.pyi", False),
        ("numpy/_core/include/numpy/arrayobject.h", False),
        ("numpy/_core/_simd.cpython-313-aarch64-linux-gnu.so", False),
        ("numpy/_core/_multiarray_tests.cpython-313-aarch64-linux-gnu.so", False),
        ("numpy/_core/_multiarray_umath.cpython-313-aarch64-linux-gnu.so", True),
        ("numpy.libs/libscipy_openblas64_.so", True),
        ("botocore/data/endpoints.json", True),
        ("botocore/data/s3vectors/2025-07-15/service-2.json.gz", True),
        ("botocore/data/s3/2006-03-01/endpoint-rule-set-1.json.gz", True),
        ("botocore/data/ec2/2016-11-15/service-2.json.gz", False),
        ("botocore/cacert.pem", True),
        ("boto3/data/ec2/2016-11-15/resources-1.json", False),
        ("psycopg-3.3.9.dist-info/licenses/LICENSE.txt", True),
        ("psycopg-3.3.9.dist-info/RECORD", False),
    ],
)
def test_is_needed_selects_files_of_wheels(name, needed):
    assert is_needed(name) == needed


def test_pack_writes_no_timestamps(tmp_path):
    (tmp_path / "root" / "folder").mkdir(parents=True)
    (tmp_path / "root" / "folder" / "file").write_text("x")
    pack(tmp_path / "root", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        (entry,) = archive.infolist()
    assert (entry.date_time, entry.external_attr >> 16) == ((1980, 1, 1, 0, 0, 0), 0o100644)
