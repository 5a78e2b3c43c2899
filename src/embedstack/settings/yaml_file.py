"""Settings in files: ``.env``, and a YAML file, which needs the extra ``embedstack[yaml]``."""

import codecs
import difflib
import io
from collections.abc import Collection
from pathlib import Path

from dotenv.parser import parse_stream

from embedstack.errors import ConfigurationError

__all__ = ["check_env_file", "check_names", "read_settings_file"]

_NOTHING = ("", "null", "~")


def read_settings_file(path: Path, known: Collection[str]) -> dict[str, str]:
    """Read a file of ``name: value`` lines; names as in ``.env``, in any case. A list is its items with commas.

    Args:
        path: The file.
        known: The names that there are, in lower case.

    Returns:
        The values as text, as the environment would give them; those that are empty are left out.

    Raises:
        ConfigurationError: The file cannot be read, is no such file, or names a setting that there is not.
    """
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(f"To read {path}: pip install 'embedstack[yaml]'.") from error
    try:
        # The base loader makes text of everything, as the environment is: an account id stays what was written.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - makes text only
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"EMBEDSTACK_CONFIG names {path}, which cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        # Not the error's own message, which quotes the line, and with it maybe a key.
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise ConfigurationError(f"{path} is not YAML{line}.") from None
    if not content:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} is not a file of settings: write a line `name: value` for each.")
    values = {str(name).lower(): value for name, value in content.items()}
    check_names(values, known, str(path))
    texts = {name: _text(path, name, value) for name, value in values.items()}
    return {name: text for name, text in texts.items() if text not in _NOTHING}


def check_env_file(path: Path) -> None:
    """See that a ``.env`` file, where there is one, can be read whole; what it sets is read elsewhere.

    Raises:
        ConfigurationError: It is not a file, cannot be read, is not UTF-8, or has a line that is not an assignment. The
            message quotes none of its content.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}. Settings are read from it.") from error
    save = "Save it as UTF-8; in PowerShell: terraform output -raw dotenv | Out-File -Encoding utf8 .env"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise ConfigurationError(f"{path} is not UTF-8: it looks like UTF-16. {save}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path} is not UTF-8: line {line}, byte {error.start}. {save}") from None
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise ConfigurationError(f"{path}, line {binding.original.line}: this is not NAME=value. Correct the line.")


def check_names(names: Collection[str], known: Collection[str], where: str) -> None:
    """Refuse settings that there are not, and say which might be meant.

    Raises:
        ConfigurationError: A name is not known.
    """
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean {close[0]}?" if close else " .env.example lists them."
            raise ConfigurationError(f"{where}: there is no setting {name}.{meant}")


def _text(path: Path, name: str, value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    if not isinstance(value, str):
        raise ConfigurationError(f"{path}: {name} takes one value, not a {type(value).__name__} of them.")
    return value
