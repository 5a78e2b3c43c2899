"""Install packages into a virtual environment, in the versions of lock files and with their hashes checked.

Usage: install.py FOLDER [--python python3.12] [--lock locks/local.txt]... [--torch] [--project .]...

uv installs them if this Python's environment has it, pip if not. Both use what pip is configured with: index, extra
indexes, folders of wheels, certificates and proxy. Runs on Python 3.11 without any package.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import fix_shebangs

_LOCKS = Path(__file__).resolve().parents[1] / "locks"
_LOCKED = ["--quiet", "--no-deps", "--require-hashes"]

# uv's environment variable for each option of pip.
_UV_VARIABLES = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "keyring-provider": "UV_KEYRING_PROVIDER",
    "no-index": "UV_NO_INDEX",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "trusted-host": "UV_INSECURE_HOST",
}
# uv separates the values of this variable by commas, those of others by spaces as pip does.
_COMMA_SEPARATED = {"UV_FIND_LINKS"}
# Sections of pip's configuration, the strongest last.
_SECTIONS = ("global", "install", ":env:")

# The model server computes on the CPU. OpenVINO's plugins for GPUs and NPUs take 60 MB.
_UNUSED_FILES = (
    "openvino/libs/cache.json",
    "openvino/libs/libopenvino_intel_gpu_plugin.so",
    "openvino/libs/libopenvino_intel_npu_plugin.so",
)


def uv_environment(pip_config: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that configure uv as pip is configured.

    Args:
        pip_config: Output of ``pip config list``.
        environment: Variables that are set already; these win.
    """
    options: dict[str, str] = {}
    for section in _SECTIONS:
        for line in pip_config.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{section}."):
                options[key.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    variables = {
        # pip takes the best version of all indexes, whatever their order.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        # pip trusts the certificates of the operating system, too.
        "UV_SYSTEM_CERTS": "true",
    }
    for option, variable in _UV_VARIABLES.items():
        if option in options and options[option] != "":
            separator = "," if variable in _COMMA_SEPARATED else " "
            variables[variable] = separator.join(options[option].split())
    return variables | dict(environment)


class Installer:
    """Installs into one virtual environment."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        """Create the environment unless there is one whose Python runs.

        Args:
            folder: The virtual environment.
            python: The Python to create it with.
        """
        self._folder = folder
        self._python = folder / "bin" / "python"
        uv = Path(sys.executable).with_name("uv")
        if uv.exists():
            pip_config = subprocess.run(
                [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
            )
            self._environment = uv_environment(pip_config.stdout, os.environ)
            self._install = [str(uv), "pip", "install", "--python", str(self._python)]
            create = [str(uv), "venv", "--quiet", "--clear", "--python", python, str(folder)]
        else:
            self._environment = dict(os.environ)
            self._install = [str(self._python), "-m", "pip", "install", "--disable-pip-version-check"]
            create = [python, "-m", "venv", "--clear", str(folder)]
        if not self._is_usable():
            self._run(create)

    def install_lock(self, lock: Path) -> None:
        """Install the packages of a lock file, with the build backends that the environment has."""
        self._run([*self._install, *_LOCKED, "--no-build-isolation", "--requirement", str(lock)])

    def install_torch(self) -> None:
        """Install PyTorch: its CPU build if a configured index or folder has it, else PyPI's."""
        if sys.platform == "linux":
            command = [*self._install, *_LOCKED, "--requirement", str(_LOCKS / "torch-cpu.txt")]
            if subprocess.run(command, env=self._environment, capture_output=True, check=False).returncode == 0:
                return
        self.install_lock(_LOCKS / "torch.txt")

    def install_project(self, folder: Path) -> None:
        """Install one of this repository's projects as editable."""
        self._run([*self._install, "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(folder)])

    def finish(self) -> None:
        """Remove files that nothing here loads, and make the environment's programs run in every folder."""
        for packages in self._folder.glob("lib/python*/site-packages"):
            for name in _UNUSED_FILES:
                (packages / name).unlink(missing_ok=True)
        fix_shebangs.main(self._folder / "bin")

    def _is_usable(self) -> bool:
        try:
            return subprocess.run([self._python, "-c", ""], capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, env=self._environment, check=True)


def main(arguments: list[str]) -> int:
    """Install; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="The virtual environment.")
    parser.add_argument("--python", default=sys.executable, help="The Python to create it with.")
    parser.add_argument("--lock", action="append", default=[], type=Path, help="A lock file to install.")
    parser.add_argument("--torch", action="store_true", help="Install PyTorch too.")
    parser.add_argument("--project", action="append", default=[], type=Path, help="A project to install as editable.")
    options = parser.parse_args(arguments)
    print(f"Installing into {options.folder} ...", flush=True)
    try:
        installer = Installer(options.folder, options.python)
        for lock in (_LOCKS / "build.txt", *options.lock):
            installer.install_lock(lock)
        if options.torch:
            installer.install_torch()
        for project in options.project:
            installer.install_project(project)
    except subprocess.CalledProcessError as error:
        print(
            f"error: {shutil.which(error.cmd[0]) or error.cmd[0]} failed: see above. Check that the configured "
            "package index can be reached (`pip config list`).",
            file=sys.stderr,
        )
        return 1
    installer.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
