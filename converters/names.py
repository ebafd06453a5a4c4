"""``user_list.txt``, ``item_list.txt``, ``entity_list.txt``, ``relation_list.txt``: names of ids.

Lines ``org_id remap_id``, normally with that header; a header may name further columns, and an id
may lack its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from diffkg_recbole.errors import DataError
from diffkg_recbole.text import one_line

from .integer_text import ID_LIMIT
from .knowledge_data import KINDS
from .sources import SourceFolder

_LINE = "'org_id remap_id' (a name and an integer)"


def list_file(kind: str) -> str:
    return f"{kind}_list.txt"


@dataclass(frozen=True)
class NameLists:
    """What the lists of a folder say.

    Attributes:
        names: names by kind: series of str, indexed by id; ids without a name are left out.
        sizes: for each list, the size of its id space (its largest id + 1).
        problems: errors of lists that cannot be read, by kind.
    """

    names: dict[str, pd.Series] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    problems: dict[str, DataError] = field(default_factory=dict)

    @property
    def notices(self) -> tuple[str, ...]:
        """What was left out, in words."""
        return tuple(f"the names are left out: {error}" for error in self.problems.values())


def read_names(folder: SourceFolder) -> NameLists:
    """The lists that are there. One that cannot be read is a problem, not an error: only who needs
    its counts must stop."""
    lists = NameLists()
    for kind in KINDS:
        file = list_file(kind)
        if folder.has(file):
            try:
                series = _parse_list(folder.read(file, f"lines of {_LINE}"), folder.path / file)
            except DataError as error:
                lists.problems[kind] = error
                continue
            lists.sizes[kind] = int(series.index.max()) + 1
            named = series[series != ""]
            if len(named):
                lists.names[kind] = named
    return lists


def _parse_list(content: bytes, path: Path) -> pd.Series:
    """Name of every id, "" for none.

    Raises:
        DataError: a line without an id, or an id that stands twice.
    """
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        broken = content[:error.start].count(b"\n") + 1
        raise DataError(path, "is not UTF-8 text", f"lines of {_LINE}", broken) from None
    header = lines[0].split() if "remap_id" in lines[0].split() else []
    tabbed = "\t" in lines[0]
    names: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (header and number == 1):
            continue
        name, identifier = _name_and_id(line, header, tabbed)
        if not re.fullmatch(r"[0-9]+", identifier) or int(identifier) >= ID_LIMIT:
            raise DataError(path, f"'{one_line(line)[:80]}' has no id", _LINE, number)
        if int(identifier) in names:
            raise DataError(path, f"id {identifier} stands twice", "each id once", number)
        names[int(identifier)] = name
    if not names:
        raise DataError(path, "holds no name", f"lines of {_LINE}")
    return pd.Series(names, dtype=object).sort_index()


def _name_and_id(line: str, header: list[str], tabbed: bool) -> tuple[str, str]:
    """Name and id of a line; a header of more than two columns says where they stand."""
    if len(header) <= 2:  # the id is the last word, so that a name may hold spaces
        words = line.rsplit(maxsplit=1)
        if len(words) == 1 and line[0].isspace():
            words.insert(0, "")  # an id without a name
        return (words[0].strip(), words[1]) if len(words) == 2 else ("", "")
    words = [word.strip() for word in line.split("\t")] if tabbed else line.split()
    name = header.index("org_id") if "org_id" in header else 0
    identifier = header.index("remap_id")
    return (words[name], words[identifier]) if len(words) == len(header) else ("", "")


def write_names(names: Mapping[str, pd.Series], folder: Path) -> list[Path]:
    """Write the lists; returns the files written."""
    written = []
    for kind in KINDS:
        if kind in names:
            path = folder / list_file(kind)
            lines = names[kind].astype(str) + " " + names[kind].index.astype(str)
            path.write_bytes(("\n".join(["org_id remap_id", *lines]) + "\n").encode())
            written.append(path)
    return written
