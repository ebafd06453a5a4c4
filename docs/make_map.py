"""The map of ``docs/architecture.md``, made from the imports: ``python docs/make_map.py``.

A room is a package or a module directly below ``diffkg_recbole``, or the folder ``converters``.
``FLOORS`` declares their order. An import may only point down; ``arrows_upward`` finds those that
do not, and ``circles`` modules that import each other.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = "diffkg_recbole"
COMMAND = "python docs/make_map.py"

# From the ground up, and within a floor from its lowest room to its highest.
FLOORS: dict[str, list[str]] = {
    "ground floor": ["errors", "plain", "shortage", "files", "text", "settings", "processes",
                     "needs_recbole", "shipped_files"],
    "data in, results kept": ["converters", "store", "statistics", "groups"],
    "mathematics": ["parallel", "model"],
    "one run": ["config", "evaluation", "data", "memory_plan", "trainer", "run_tables",
                "run_log", "screen", "quick_start"],
    "many runs": ["console", "report", "compare", "tune"],
    "commands": ["cli", "__main__", PACKAGE],
}
ROOMS = [room for floor in FLOORS.values() for room in floor]
BEGIN, END = f"<!-- map: {COMMAND} -->\n", "<!-- end of the map -->\n"


def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for folder in (PACKAGE, "converters"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def room_of(module: str) -> str:
    """The room that a module stands in; the package's own ``__init__`` is the room at the top."""
    parts = module.split(".")
    return parts[0] if parts[0] != PACKAGE or len(parts) == 1 else parts[1]


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports() -> set[tuple[str, str]]:
    """Pairs of modules, importer first: imports inside functions and for types count as well.

    The version, which is all that the package's ``__init__`` holds itself, is not counted.
    """
    known, pairs = modules(), set()
    for module, path in known.items():
        for name in _names(ast.parse(path.read_text(encoding="utf-8"))):
            if name == f"{PACKAGE}.__version__":
                continue
            # a wheel holds the converters inside the package
            name = name.replace(f"{PACKAGE}.converters", "converters")
            while name and name not in known:
                name = name.rpartition(".")[0]
            if name and name != module:
                pairs.add((module, name))
    return pairs


def undeclared() -> list[str]:
    """Rooms that no floor names, and names without a room."""
    return sorted({room_of(module) for module in modules()} ^ set(ROOMS))


def arrows_upward(pairs: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Imports of a room that stands higher than the importer's."""
    height = {room: place for place, room in enumerate(ROOMS)}
    return sorted(pair for pair in pairs
                  if height[room_of(pair[0])] < height[room_of(pair[1])])


def circles(pairs: set[tuple[str, str]]) -> list[list[str]]:
    """Groups of modules each of which needs every other one to be imported."""
    below: dict[str, set[str]] = {module: set() for module in modules()}
    for importer, imported in pairs:
        below[importer].add(imported)
    reached = {module: _reached(module, below) for module in below}
    groups = {tuple(sorted(other for other in reached[module] if module in reached[other]))
              for module in below if module in reached[module]}
    return sorted(map(list, groups))


def _reached(start: str, below: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [*below[start]]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(below[module])
    return found


def picture(pairs: set[tuple[str, str]]) -> str:
    """The rooms and their arrows as a Mermaid block.

    The ground floor is one box, which every room may use. An arrow that others imply (from a
    room over a second to a third) is left out.
    """
    ground = FLOORS["ground floor"]
    below: dict[str, set[str]] = {room: set() for room in ROOMS}
    for importer, imported in pairs:
        pair = room_of(importer), room_of(imported)
        if pair[0] != pair[1] and not set(pair) & set(ground):
            below[pair[0]].add(pair[1])
    lines = ["```mermaid", "flowchart TB"]
    for place, (floor, rooms) in reversed([*enumerate(FLOORS.items())]):
        lines.append(f'  subgraph floor{place}["{floor}"]')
        lines += [f'    ground["{" · ".join(rooms)}"]'] if rooms is ground else [
            f'    {_node(room)}["{_title(room)}"]' for room in reversed(rooms)]
        lines.append("  end")
    for room in reversed(ROOMS[len(ground):]):
        implied = set().union(*(_reached(other, below) for other in below[room]), set())
        shown = sorted(below[room] - implied, key=ROOMS.index, reverse=True)
        lines += [f"  {_node(room)} --> {_node(other)}" for other in shown]
        if not shown and any(room_of(a) == room and room_of(b) in ground for a, b in pairs):
            lines.append(f"  {_node(room)} --> ground")
    return "\n".join([*lines, "```", ""])


def _node(room: str) -> str:
    return f"room_{room.strip('_')}"


def _title(room: str) -> str:
    return f"import {PACKAGE}" if room == PACKAGE else room


def page() -> str:
    """The text of the page with the picture as the imports make it."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + picture(imports()) + END + after


if __name__ == "__main__":
    problems = [*undeclared(), *arrows_upward(imports())]
    if problems:
        sys.exit(f"not declared, or an arrow upward: {problems}")
    PAGE.write_text(page(), encoding="utf-8")
