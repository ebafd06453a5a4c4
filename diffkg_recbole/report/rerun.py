"""Everything needed to make the numbers again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from diffkg_recbole.plain import canonical_json
from diffkg_recbole.report.results import Section
from diffkg_recbole.store import determining
from diffkg_recbole.text import one_line


@dataclass(frozen=True)
class Recipe:
    """How the runs of a section were made.

    Args:
        commands: one a run, as words.
        common: configuration that all rows share. Here and below seed and model, which a row
            names, and keys without an influence on the result, such as paths, are left out.
        deviations: label -> configuration of the row that others do not share.
        versions, hardware, code: of the runs; what differs between runs is a list of its values.
    """

    commands: tuple[tuple[str, ...], ...]
    common: Mapping[str, Any]
    deviations: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, Any]
    hardware: Mapping[str, Any]
    code: Mapping[str, Any]


def recipe(section: Section) -> Recipe:
    """Collect it from the run folders."""
    configurations = {
        row.label: {key: value for key, value in determining(row.runs[0].config()).items()
                    if key not in ("seed", "model")}
        for row in section.rows}
    common = shared(list(configurations.values()))
    commands = dict.fromkeys(_command(run.get("command") or ()) for run in section.runs)
    return Recipe(
        commands=tuple(command for command in commands if command),
        common={key: value for key, value in common.items() if value is not None},
        deviations={label: {key: value for key, value in configuration.items()
                            if key not in common and value is not None}
                    for label, configuration in configurations.items()},
        **{key: _merged([run.get(key) or {} for run in section.runs])
           for key in ("versions", "hardware", "code")},
    )


def _command(words: Sequence[Any]) -> tuple[str, ...]:
    """The words, with the program called by its name: where it lay is of no use elsewhere."""
    if not words:
        return ()
    program = PurePath(str(words[0])).name
    start = ("python", "-m", "diffkg_recbole") if program == "__main__.py" else (program,)
    return (*start, *(one_line(word) for word in words[1:]))


def shared(mappings: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries that every mapping has with the same value."""
    first = mappings[0]
    return {key: value for key, value in first.items()
            if all(key in other and canonical_json(other[key]) == canonical_json(value)
                   for other in mappings[1:])}


def _merged(mappings: list[Mapping[str, Any]]) -> dict[str, Any]:
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    merged = {}
    for key in keys:
        if key == "host":  # whose machine it was is nobody's business
            continue
        values = {canonical_json(mapping.get(key)): mapping.get(key) for mapping in mappings}
        merged[key] = next(iter(values.values())) if len(values) == 1 else list(values.values())
    return merged
