"""The one reader of YAML files: plain data within stated bounds, and the line of every key.

A file holds at most :data:`MOST_BYTES`, nests at most :data:`MOST_DEPTH` levels, names every key
by a text, and has no aliases and no merge keys, with which a small file would stand for a large
value, or a line for what another one says.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from diffkg_recbole.errors import DataError
from diffkg_recbole.text import one_line

MOST_BYTES = 1_000_000
MOST_DEPTH = 30
_TAG = "tag:yaml.org,2002:"


class _BeyondBounds(yaml.YAMLError):
    """Valid YAML that is not read: ``problem``, what was ``expected``, and the line."""

    def __init__(self, problem: str, expected: str, line: int) -> None:
        self.problem, self.expected, self.line = problem, expected, line
        super().__init__(problem)


class ConfigLoader(yaml.SafeLoader):
    """Safe YAML loader that also reads ``1e-3`` as a number, as RecBole's loader does.

    It refuses aliases and deep nesting where it meets them, before anything is built of them.
    (RecBole 1.2.1 registers its resolver on PyYAML's own FullLoader, for the whole process.)
    """

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As PyYAML's, within the bounds."""
        event = self.peek_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise _BeyondBounds(f"holds the alias '*{event.anchor}'", "the value written out", line)
        if isinstance(event, yaml.CollectionStartEvent) and self._depth == MOST_DEPTH:
            raise _BeyondBounds("is nested too deeply", f"at most {MOST_DEPTH} levels", line)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


ConfigLoader.add_implicit_resolver(
    _TAG + "float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read_node(path: str | Path, what: str = "configuration file") -> yaml.Node | None:
    """Read and check a YAML file; None if it is empty.

    Raises:
        DataError: the file is missing, is no valid YAML, or goes beyond the bounds.
    """
    path = Path(path)
    return _checked_node(_text(path, what), path)


def plain_value(node: yaml.Node) -> Any:
    """A checked node as plain data."""
    return ConfigLoader("").construct_object(node, deep=True)


def read_yaml(path: str | Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Read a YAML mapping.

    Returns:
        the mapping, and the 1-based line of each of its top-level keys.

    Raises:
        DataError: the file is missing, is no valid YAML, goes beyond the bounds, is no mapping, or
            names a key twice.
    """
    path = Path(path)
    node = read_node(path)
    if node is None or (isinstance(node, yaml.ScalarNode) and plain_value(node) is None):
        return {}, {}
    if not isinstance(node, yaml.MappingNode):
        kind = type(plain_value(node)).__name__
        raise DataError(path, f"holds a {kind}", "lines of 'key: value'", line=1)
    for mapping in _mappings(node):
        first: dict[str, int] = {}
        for key_node, _ in mapping.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in first:
                raise DataError(path, f"key '{key}' stands twice (first on line {first[key]})",
                                "each key once", line=line)
            first[key] = line
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    return plain_value(node), lines


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
            node = _checked_node(word, Path("command line"))
        except DataError:
            return text
        return text if node is None else plain_value(node)
    allowed = (str, int, float, list, tuple, dict, bool, type(None))
    return value if isinstance(value, allowed) else text


# ---- the checks ------------------------------------------------------------------------------


def _text(path: Path, what: str) -> str:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise DataError(path, "is no regular file", "a YAML file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise DataError(path, "is too large for settings", f"at most {MOST_BYTES:,} bytes")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise DataError(path, f"{what} not found", "an existing YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"cannot be read ({error})", "a readable UTF-8 file") from None


def _checked_node(text: str, path: Path) -> yaml.Node | None:
    try:
        node = yaml.compose(text, Loader=ConfigLoader)
    except _BeyondBounds as error:
        raise DataError(path, error.problem, error.expected, error.line) from None
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, path) from None
    if node is not None:
        _check_values(node, path)
    return node


def _syntax_error(error: yaml.YAMLError, text: str, path: Path) -> DataError:
    mark, position = getattr(error, "problem_mark", None), getattr(error, "position", None)
    line = mark.line + 1 if mark else None
    problem = getattr(error, "problem", None)
    if isinstance(position, int):  # a character that YAML does not allow
        line, problem = text.count("\n", 0, position) + 1, f"character {text[position]!r}"
    return DataError(path, f"is not valid YAML: {one_line(problem or error)}", line=line)


def _check_values(node: yaml.Node, path: Path) -> None:
    """Every key a text, and every value plain data."""
    if isinstance(node, yaml.ScalarNode):
        _check_scalar(node, path)
        return
    line = node.start_mark.line + 1
    mapping = isinstance(node, yaml.MappingNode)
    if node.tag != _TAG + ("map" if mapping else "seq"):
        raise DataError(path, f"is not valid YAML: tag '{node.tag}' makes no plain value",
                        line=line)
    for child in node.value:
        if not mapping:
            _check_values(child, path)
            continue
        key, value = child
        line = key.start_mark.line + 1
        if key.tag == _TAG + "merge":
            raise DataError(path, "holds a merge key '<<'", "the keys written out", line=line)
        if key.tag != _TAG + "str":
            shown = key.value if isinstance(key, yaml.ScalarNode) else "a collection"
            raise DataError(path, f"key {shown} is no text", "a key that is a word", line=line)
        _check_values(value, path)


def _check_scalar(node: yaml.ScalarNode, path: Path) -> None:
    line = node.start_mark.line + 1
    try:
        value = plain_value(node)
    except Exception as error:  # a constructor of PyYAML may raise anything on a wrong text
        raise DataError(path, f"is not valid YAML: {node.value[:60]!r} is no "
                              f"{node.tag.removeprefix(_TAG)} ({type(error).__name__})",
                        "a plain value, or a text in quotes", line=line) from None
    if not isinstance(value, (str, int, float, bool, type(None))):
        raise DataError(path, f"is not valid YAML here: {node.value[:60]!r} is a "
                              f"{type(value).__name__}", "a plain value, or a text in quotes",
                        line=line)


def _mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mappings(value)
