"""Check Python and the installed packages. Scripts import this first: one line instead of a traceback."""

import importlib.util
import os
import sys

_OLDEST = (3, 11)
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - runs on any Python 3
_PYTHON = os.path.join(_ROOT, ".venv", "bin", "python")  # noqa: PTH118

_missing = [name for name in ("click", "rich", "embedstack") if importlib.util.find_spec(name) is None]
if _missing or sys.version_info < _OLDEST:
    _problem = (
        "is Python {}.{}; this command needs 3.11 or newer".format(*sys.version_info)
        if sys.version_info < _OLDEST
        else "lacks packages that this command needs ({})".format(", ".join(_missing))
    )
    _remedy = (
        f"Use {os.path.relpath(_PYTHON)} scripts/{os.path.basename(sys.argv[0])} instead."  # noqa: PTH119
        if os.path.exists(_PYTHON)  # noqa: PTH110
        else "Run `make install`, then use .venv/bin/python."
    )
    sys.stderr.write("error: {} {}. {}\n".format(sys.executable, _problem, _remedy))  # noqa: UP032
    sys.exit(2)
