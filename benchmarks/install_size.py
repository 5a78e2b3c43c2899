"""Size of the wheel, and size and duration of installing it with each of its extras.

    .venv/bin/python benchmarks/install_size.py [EXTRA ...]

Builds the wheel, installs it into an empty virtual environment per extra, and prints a Markdown table. pip uses its
configuration and cache: run it twice to measure with a warm cache.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("", "ops", "postgres", "documents,postgres", "server")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="install-size-") as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
        (wheel,) = folder.glob("*.whl")
        print(f"wheel: {wheel.stat().st_size / 1e3:.0f} kB\n")
        print("| Install | Packages | Size | Duration |\n|---|---|---|---|")
        for extra in sys.argv[1:] or EXTRAS:
            environment = folder / f"environment-{extra.replace(',', '-')}"
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
            started = time.perf_counter()
            requirement = f"embedstack[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
            subprocess.run([*pip, "--python", environment / "bin" / "python", "install", requirement], check=True)
            seconds = time.perf_counter() - started
            packages = len(list(environment.glob("lib/python*/site-packages/*.dist-info")))
            size = sum(path.lstat().st_size for path in environment.rglob("*") if path.is_file())
            label = f"embedstack[{extra}]" if extra else "embedstack"
            print(f"| `{label}` | {packages} | {size / 1e6:.0f} MB | {seconds:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
