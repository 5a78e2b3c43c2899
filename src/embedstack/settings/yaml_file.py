"""Reads settings from files: ``.env``, and YAML."""

import codecs
import difflib
import io
from collections.abc import Collection
from pathlib import Path

from dotenv.parser import parse_stream

from embedstack.errors import ConfigurationError

__all__ = ["check_env_file", "check_names", "read_settings_file"]

_NOTHING = ("", "null", "~")


def read_settings_file(path: Path, names: Collection[str]) -> dict[str, str]:
    """Read a file of ``name: value`` lines. Names are those of ``.env``, in any case; a list is joined with commas.

    Args:
        path: The file.
        names: The names of all settings, in lower case.

    Returns:
        The values as text, as in the environment, without the empty ones.

    Raises:
        ConfigurationError: The file cannot be read, has another form, or contains an unknown setting.
    """
    import yaml  # noqa: PLC0415 - only if there is a file

    try:
        # The base loader reads every value as text, like the environment, so that an account id keeps its zeros.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - reads text only
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"EMBEDSTACK_CONFIG names {path}, which cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        # Not the error's own message, which quotes the line and with it possibly a key.
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise ConfigurationError(f"{path} is not YAML{line}.") from None
    if not content:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} is not a file of settings. Write one line `name: value` for each setting.")
    values = {str(name).lower(): value for name, value in content.items()}
    check_names(values, names, str(path))
    texts = {name: _text(path, name, value) for name, value in values.items()}
    return {name: text for name, text in texts.items() if text not in _NOTHING}


def check_env_file(path: Path) -> None:
    """Check that a ``.env`` file, if there is one, can be parsed completely.

    Raises:
        ConfigurationError: It is not a file, cannot be read, is not UTF-8, or has a line that is not an assignment. The
            message does not quote its content.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}. Make it a readable file, or remove it."
        ) from error
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


def check_names(given: Collection[str], names: Collection[str], where: str) -> None:
    """Reject unknown settings, with a suggestion.

    Raises:
        ConfigurationError: A name is unknown.
    """
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {close[0]}?" if close else ".env.example lists all settings."
            raise ConfigurationError(f"{where}: unknown setting {name}. {hint}")


def _text(path: Path, name: str, value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    if not isinstance(value, str):
        raise ConfigurationError(f"{path}: {name} takes one value, not a {type(value).__name__}.")
    return value
