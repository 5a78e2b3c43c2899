"""Downloads the wheels that a function needs for its architecture and Python version."""

import hashlib
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Literal, Self, get_args

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from embedstack.errors import ConfigurationError

__all__ = ["Architecture", "Pin", "Target", "download_wheels", "read_lock", "read_requirements"]

Architecture = Literal["arm64", "x86_64"]
# A package and its version.
_Release = tuple[str, Version]
# A requirement of a lock file ends before its hashes.
_HASH = re.compile(r"--hash=(\S+)")

_MACHINES: dict[Architecture, str] = {"arm64": "aarch64", "x86_64": "x86_64"}
# Lambda's Python 3.12 and later run on Amazon Linux 2023 with glibc 2.34.
_GLIBCS = ("manylinux_2_34", "manylinux_2_31", "manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
_OLDEST_ON_LAMBDA = (3, 12)
_PYTHON = re.compile(r"3\.\d+")

# Requirements that are not needed: (package, requirement). Tokenizers are read from files, not from the Hub.
_NOT_NEEDED = {("tokenizers", "huggingface-hub")}


@dataclass(frozen=True, slots=True)
class Target:
    """A runtime of a function.

    Attributes:
        architecture: Lambda's name of the architecture.
        python: The Python version, ``3.13``.
    """

    architecture: Architecture
    python: str

    def __post_init__(self) -> None:
        """Validate the values.

        Raises:
            ConfigurationError: The architecture or Python version is invalid.
        """
        if self.architecture not in get_args(Architecture) or not _PYTHON.fullmatch(self.python):
            raise ConfigurationError(
                f"Lambda does not support Python {self.python} on {self.architecture}. Use arm64 or x86_64, and a "
                "version such as 3.13."
            )

    @classmethod
    def of_this_machine(cls) -> Self:
        """The runtime of this machine, which the local AWS uses."""
        architecture: Architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
        return cls(architecture, f"{sys.version_info.major}.{sys.version_info.minor}")

    @property
    def name(self) -> str:
        """The name of folders for its packages and wheels: ``arm64-3.13``."""
        return f"{self.architecture}-{self.python}"

    @property
    def terraform_python(self) -> str:
        """The version for Terraform: its AWS provider 5 accepts no runtime newer than Python 3.13.

        The local AWS runs functions with this machine's Python, whatever their runtime.
        """
        return min(self.python, "3.13", key=lambda version: [int(part) for part in version.split(".")])

    @property
    def runs_on_lambda(self) -> bool:
        """Whether the wheels load on Lambda. Its Python 3.11 runtime has an older glibc than they need."""
        return tuple(int(part) for part in self.python.split(".")) >= _OLDEST_ON_LAMBDA

    @property
    def pip_options(self) -> list[str]:
        """Options for pip to select wheels; none for this machine if it does not run Linux."""
        if sys.platform != "linux" and self == self.of_this_machine():
            return []
        machine = _MACHINES[self.architecture]
        platforms = [f"--platform={glibc}_{machine}" for glibc in _GLIBCS]
        return ["--implementation=cp", f"--python-version={self.python}", *platforms]

    def markers(self, extra: str) -> dict[str, str]:
        """The environment for evaluating markers of requirements."""
        return {
            "extra": extra,
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": _MACHINES[self.architecture],
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


def read_requirements(pyproject: Path, extras: Iterable[str]) -> list[Requirement]:
    """A project's requirements with some of its extras, including extras that refer to other extras."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    requirements = [Requirement(line) for line in project["dependencies"]]
    queue, seen = list(extras), set[str]()
    while queue:
        extra = queue.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for requirement in map(Requirement, project["optional-dependencies"][extra]):
            if requirement.name == project["name"]:
                queue += requirement.extras
            else:
                requirements.append(requirement)
    return requirements


@dataclass(frozen=True, slots=True)
class Pin:
    """The locked release of a package.

    Attributes:
        version: The version.
        hashes: Hashes of its files, as ``sha256:…``.
    """

    version: Version
    hashes: frozenset[str]


def read_lock(lock: Path, target: Target) -> dict[str, Pin]:
    """Pins by package for a target, from a lock file with ``package==version; marker --hash=…`` requirements."""
    pins: dict[str, Pin] = {}
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if "==" not in line or line.startswith("#"):
            continue
        requirement = Requirement(_HASH.sub("", line))
        if requirement.marker is None or requirement.marker.evaluate(target.markers("")):
            version = Version(str(requirement.specifier).removeprefix("=="))
            pins[canonicalize_name(requirement.name)] = Pin(version, frozenset(_HASH.findall(line)))
    return pins


def download_wheels(
    requirements: Iterable[Requirement], pins: Mapping[str, Pin], target: Target, folder: Path
) -> list[Path]:
    """Download requirements and their transitive requirements, each in its pinned version.

    pip's own resolution would evaluate markers for this machine instead of the target.

    Args:
        requirements: The requirements.
        pins: Pins by package.
        target: The architecture and Python version.
        folder: Cache for this target's wheels. Cached wheels with a hash of their pin are not downloaded again.

    Returns:
        The wheels, sorted by name.

    Raises:
        ConfigurationError: A package is not pinned, or pip finds no wheel for the target.
    """
    queue = [(requirement, "") for requirement in requirements]
    wheels: dict[str, Path] = {}
    seen: set[tuple[str, str]] = set()
    while queue:
        applicable = [
            requirement
            for requirement, extra in queue
            if requirement.marker is None or requirement.marker.evaluate(target.markers(extra))
        ]
        missing = sorted({canonicalize_name(requirement.name) for requirement in applicable} - wheels.keys())
        wheels |= _get({name: _pinned(name, pins) for name in missing}, target, folder)
        queue = []
        for requirement in applicable:
            name = canonicalize_name(requirement.name)
            for extra in ("", *sorted(requirement.extras)):
                if (name, extra) not in seen:
                    seen.add((name, extra))
                    queue += [(required, extra) for required in _required_by(name, wheels[name])]
    return [wheels[name] for name in sorted(wheels)]


def _pinned(name: str, pins: Mapping[str, Pin]) -> Pin:
    if name not in pins:
        raise ConfigurationError(f"The lock file has no version of {name}. Run `make lock`.")
    return pins[name]


def _get(pins: Mapping[str, Pin], target: Target, folder: Path) -> dict[str, Path]:
    cached = {_release(path): path for path in folder.glob("*.whl")}
    wheels = {
        name: cached[name, pin.version]
        for name, pin in pins.items()
        if (name, pin.version) in cached and _has_hash(cached[name, pin.version], pin)
    }
    missing = {name: pin for name, pin in pins.items() if name not in wheels}
    if missing:
        downloaded = _download(missing, target, folder)
        wheels |= {name: downloaded[name, pin.version] for name, pin in missing.items()}
    return wheels


def _has_hash(wheel: Path, pin: Pin) -> bool:
    with wheel.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" in pin.hashes


def _release(wheel: Path) -> _Release:
    name, version, *_ = parse_wheel_filename(wheel.name)
    return name, version


def _download(pins: Mapping[str, Pin], target: Target, folder: Path) -> dict[_Release, Path]:
    # Downloaded to a temporary folder first, so that the cache contains complete files only, also with concurrent or
    # killed builds.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-") as download_folder:
        requirements = Path(download_folder, "requirements.txt")
        lines = (
            " ".join([f"{name}=={pin.version}", *(f"--hash={value}" for value in sorted(pin.hashes))])
            for name, pin in sorted(pins.items())
        )
        requirements.write_text("\n".join(lines), encoding="utf-8")
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--require-hashes", "--only-binary=:all:", f"--dest={download_folder}", *target.pip_options,
            f"--requirement={requirements}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            errors = "\n".join(line for line in done.stderr.splitlines() if line.startswith("ERROR"))
            raise ConfigurationError(
                f"pip finds no wheel for Python {target.python} on {target.architecture}. Check that the configured "
                f"package index has it (`pip config list`). pip's output:\n{errors or done.stderr.strip()}"
            )
        return {_release(path): path.replace(folder / path.name) for path in Path(download_folder).glob("*.whl")}


def _required_by(name: str, wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA"))
        headers = HeaderParser().parsestr(archive.read(metadata).decode())
    requirements = map(Requirement, headers.get_all("Requires-Dist") or ())
    return [
        requirement for requirement in requirements if (name, canonicalize_name(requirement.name)) not in _NOT_NEEDED
    ]
