"""Configuration files: safe YAML with the line of every key kept for messages."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import yaml

from diffkg_recbole.errors import DataError


class ConfigLoader(yaml.SafeLoader):
    """Safe YAML loader that also reads ``1e-3`` as a number, as RecBole's loader does.

    A class of its own: RecBole adds the rule to ``yaml.FullLoader`` for the whole process.
    """


ConfigLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read_yaml(path: str | Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Read a YAML mapping.

    Returns:
        the mapping, and the 1-based line of each of its top-level keys.

    Raises:
        DataError: the file is missing, is no valid YAML, is no mapping, or names a key twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(path, "configuration file not found", "an existing YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"cannot be read ({error})", "a readable UTF-8 file") from None
    try:
        node = yaml.compose(text, Loader=ConfigLoader)
        values = yaml.load(text, Loader=ConfigLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        line = mark.line + 1 if mark else None
        raise DataError(path, f"is not valid YAML: {problem}", line=line) from None
    if values is None or node is None:
        return {}, {}
    if not isinstance(values, dict):
        raise DataError(path, f"holds a {type(values).__name__}", "lines of 'key: value'", line=1)
    lines: dict[str, int] = {}
    for key_node, _ in node.value:
        key, line = key_node.value, key_node.start_mark.line + 1
        if key in lines:
            raise DataError(path, f"key '{key}' stands twice (first on line {lines[key]})",
                            "each key once", line=line)
        lines[key] = line
    return values, lines


def parse_word(text: str) -> Any:
    """Value of a command-line word: a Python or YAML literal where it is one, else the text.

    RecBole calls ``eval`` here; a literal parser gives the same for every literal and runs
    nothing.
    """
    word = text.strip()
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if word in ("null", "~"):
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        if not word.startswith(("[", "{")):
            return text
        try:
            value = yaml.load(word, Loader=ConfigLoader)
        except yaml.YAMLError:
            return text
    allowed = (str, int, float, list, tuple, dict, bool, type(None))
    return value if isinstance(value, allowed) else text
