"""Import time of a function's cold start, in a new interpreter, from the unpacked package.

    make package-functions && python benchmarks/cold_start.py            # about a minute
    python benchmarks/cold_start.py .local/lambda/x86_64-3.11/search.zip --starts 3

Lambda's share of a cold start (downloading the zip, starting the sandbox) is not included. The first start reads the
files from disk and is reported separately from the median of the others. No start writes bytecode, as on Lambda, where
the package's folder is read-only.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from embedstack_ops.lambda_packages.wheels import Target

PACKAGES = ("ingest", "search")
# A line of -X importtime: microseconds of the module itself, of all that it imports, and its name.
LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| (\s*)([\w.]+)")


def start(folder: Path, *options: str) -> tuple[float, str]:
    """Seconds to import the handler, without the interpreter's start, and the standard error output."""
    program = "import time; t = time.perf_counter(); import function; print(time.perf_counter() - t)"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder.parent), "PYTHONDONTWRITEBYTECODE": "1",
        "POWERTOOLS_TRACE_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    command = [sys.executable, "-S", "-s", *options, "-c", program]
    completed = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if completed.returncode != 0:
        sys.exit(f"{folder.name} cannot be imported:\n{completed.stderr[-2000:]}")
    return float(completed.stdout.split()[-1]), completed.stderr


def slowest_packages(import_times: str, count: int = 8) -> list[tuple[str, float]]:
    """The slowest packages in milliseconds, counting their own modules but not their imports."""
    packages: dict[str, float] = {}
    for own, _, name in LINE.findall(import_times):
        top = name.partition(".")[0]
        packages[top] = packages.get(top, 0) + int(own) / 1000
    return sorted(packages.items(), key=lambda item: -item[1])[:count]


def measure(package: Path, starts: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, package.stem)
        began = time.perf_counter()
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        unpacking = time.perf_counter() - began
        first, _ = start(folder)
        others = [start(folder)[0] for _ in range(starts)]
        _, import_times = start(folder, "-X", "importtime")
    print(f"{package.name}: {package.stat().st_size / 1e6:.1f} MB, unpacked in {unpacking:.1f} s")
    print(f"  imported in {1000 * statistics.median(others):.0f} ms (median of {starts}), first {1000 * first:.0f} ms")
    print(
        "  of it, in ms: "
        + ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in slowest_packages(import_times))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = Path(__file__).parents[1] / ".local" / "lambda" / Target.of_this_machine().name
    parser.add_argument("packages", nargs="*", type=Path, default=[folder / f"{name}.zip" for name in PACKAGES])
    parser.add_argument("--starts", type=int, default=7)
    options = parser.parse_args()
    for package in options.packages:
        if not package.is_file():
            sys.exit(f"{package} does not exist. Build it with `make package-functions`.")
        measure(package, options.starts)


if __name__ == "__main__":
    main()
