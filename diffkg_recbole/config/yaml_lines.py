"""YAML with the line of everything in it, and a list of all that is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from diffkg_recbole.config.plain_yaml import plain_value
from diffkg_recbole.errors import UserError


class FileProblemsError(UserError):
    """Everything that is wrong with a file that a user wrote.

    Args:
        path: the file.
        problems: line (1-based) and message of each problem.
    """

    def __init__(self, path: Path, problems: list[tuple[int, str]]) -> None:
        self.path, self.problems = path, sorted(set(problems))
        count = f"{len(self.problems)} problems" if len(self.problems) > 1 else "1 problem"
        lines = [f"  line {line}: {message}" for line, message in self.problems]
        super().__init__("\n".join([f"{path}: {count}; nothing was run", *lines]))


class Problems:
    """Collects problems, so that a user hears of all of them at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[tuple[int, str]] = []

    def add(self, line: int, message: str) -> None:
        """Note a problem on a line (1-based)."""
        self.found.append((line, message))

    def raise_if_any(self) -> None:
        """Raise a :class:`FileProblemsError` if anything was noted."""
        if self.found:
            raise FileProblemsError(self.path, self.found)


class Located:
    """A YAML node: its plain value and where it stands.

    Args:
        node: from :func:`~diffkg_recbole.config.plain_yaml.read_node`.
        line: 1-based line; by default, that of the node's first character.
    """

    def __init__(self, node: yaml.Node, line: int | None = None) -> None:
        self._node = node
        self.line = line or node.start_mark.line + 1

    @property
    def value(self) -> Any:
        """The node as plain data."""
        return plain_value(self._node)

    @property
    def is_mapping(self) -> bool:
        """Whether it holds ``key: value`` pairs."""
        return isinstance(self._node, yaml.MappingNode)

    @property
    def is_sequence(self) -> bool:
        """Whether it is a list."""
        return isinstance(self._node, yaml.SequenceNode)

    def elements(self) -> list[Located]:
        """Elements of a list; anything else is a list of one, nothing an empty one."""
        if self.is_sequence:
            return [Located(node) for node in self._node.value]
        return [] if self.value is None else [self]

    def entries(self, problems: Problems) -> dict[str, Located]:
        """Values of a mapping by key; a repeated key is a problem.

        A value has the line of its key, which is where a reader looks.
        """
        entries: dict[str, Located] = {}
        for key_node, value_node in self._node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in entries:
                problems.add(line, f"key '{key}' stands twice")
            entries[key] = Located(value_node, line)
        return entries
