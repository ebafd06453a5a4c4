"""The configuration file of a converted data set, ``configs/datasets/<name>.yaml``.

The converter owns one marked block of the file and replaces it at every conversion. Everything
outside the block is the reader's: a key that stands there wins and is left out of the block. A
file without a block is never changed, only checked.

``expected`` holds counts. Outside the block they are somebody's claim, named by ``source`` (the
paper's statistics), and the converter says where the data differ; inside the block they are the
counts of the last conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from diffkg_recbole.errors import ConfigurationError, DataError
from diffkg_recbole.text import one_line

from .atomic_writer import COLUMNS, PARTS

BEGIN = "# >>> written by the converter; replaced at every conversion >>>"
END = "# <<< written by the converter <<<"
_HEADER = "# Data set {name}: how RecBole finds and reads it. Put your own keys below the block.\n"


@dataclass
class DatasetYaml:
    """Planned content of a configuration file.

    Attributes:
        path: the file.
        text: its new content.
        changed: whether that differs from what is there.
        claims: counts under a hand-written ``expected`` (empty: none).
        claims_source: whose counts those are.
        notices: sentences for the user.
    """

    path: Path
    text: str
    changed: bool
    claims: dict[str, int] = field(default_factory=dict)
    claims_source: str = ""
    notices: list[str] = field(default_factory=list)


def block_values(data_path: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """Keys that a converted data set needs."""
    return {
        "data_path": data_path,
        "benchmark_filename": list(PARTS),
        "load_col": {suffix: list(columns) for suffix, columns in COLUMNS.items()},
        "expected": dict(counts),
    }


def shipped_configuration(name: str) -> Path | None:
    """The configuration that comes with the software for this data set, if there is one."""
    package = Path(__file__).parents[1]
    for folder in (package / "configs", package / "diffkg_recbole" / "configs"):
        path = folder / "datasets" / f"{name}.yaml"
        if path.is_file():
            return path
    return None


def plan(path: Path, name: str, data_path: str, counts: Mapping[str, int]) -> DatasetYaml:
    """Content the file should have; nothing is written.

    A file that is not there yet starts from the shipped one of the same name, or from nothing.

    Raises:
        DataError, ConfigurationError: the existing file is not understood.
    """
    exists = path.is_file()
    origin = path if exists else shipped_configuration(name)
    old = _read(origin) if origin else _HEADER.format(name=name) + f"{BEGIN}\n{END}\n"
    origin = origin or path
    before, after = _around_block(old, origin)
    values = block_values(data_path, counts)
    if before is None or after is None:
        own = _mapping(old, origin)
        notices = _disagreements(own, values, path)
        return DatasetYaml(path, old, not exists, *_claims(own, origin), notices)
    # Same number of lines as the file, so that messages name the right one.
    own = _mapping(before + "\n" * (old.count("\n") - (before + after).count("\n")) + after, origin)
    claims, source = _claims(own, origin)
    notices = _disagreements({k: v for k, v in own.items() if k != "expected"}, values, path,
                             missing=False)
    block = _block({key: value for key, value in values.items() if key not in own})
    text = f"{before}{BEGIN}\n{block}{END}\n{after}"
    return DatasetYaml(path, text, not exists or text != old, claims, source, notices)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"cannot be read ({error})", "a UTF-8 text file") from None


def _around_block(text: str, path: Path) -> tuple[str | None, str | None]:
    """Text before and after the block; (None, None) where there is no block."""
    lines = text.splitlines(keepends=True)
    begins = [i for i, line in enumerate(lines) if line.strip() == BEGIN]
    ends = [i for i, line in enumerate(lines) if line.strip() == END]
    if not begins and not ends:
        return None, None
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        line = (begins + ends)[0] + 1
        raise DataError(path, "the converter's block is damaged",
                        f"one line '{BEGIN}' and, below it, one line '{END}'", line)
    return "".join(lines[:begins[0]]), "".join(lines[ends[0] + 1:])


def _mapping(text: str, path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except Exception as error:  # PyYAML's constructors raise anything on a wrong text
        mark = getattr(error, "problem_mark", None)
        problem = one_line(getattr(error, "problem", None) or error)
        raise DataError(path, f"is not valid YAML: {problem}", "lines 'key: value'",
                        mark.line + 1 if mark else None) from None
    if values is not None and not isinstance(values, dict):
        raise DataError(path, f"holds a {type(values).__name__}", "lines 'key: value'")
    return values or {}


def _claims(own: Mapping[str, Any], path: Path) -> tuple[dict[str, int], str]:
    """Hand-written counts and their source."""
    claims = own.get("expected")
    if claims is None:
        return {}, ""
    if not isinstance(claims, dict):
        raise ConfigurationError("expected", claims, "counts by name", str(path))
    claims = dict(claims)
    source = str(claims.pop("source", f"the hand-written counts in {path}"))
    for key, value in claims.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigurationError(f"expected: {key}", value, "a count (0 or more)", str(path))
    return claims, source


def _disagreements(
    own: Mapping[str, Any], values: Mapping[str, Any], path: Path, missing: bool = True
) -> list[str]:
    """Sentences about hand-written keys that differ from what these data need."""
    notices = []
    for key, value in values.items():
        if key == "expected":
            continue
        if key not in own and missing:
            notices.append(f"{path} is hand-written and left as it is, but lacks '{key}: "
                           f"{_inline(value)}'")
        elif key in own and own[key] != value:
            notices.append(f"{path} has a hand-written '{key}: {_inline(own[key])}', left as it "
                           f"is; the converted files need '{key}: {_inline(value)}'")
    return notices


def _inline(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("...").strip()


def _block(values: Mapping[str, Any]) -> str:
    """The values as YAML: mappings one key a line, lists inline."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            lines += [f"  {inner}: {_inline(v)}" for inner, v in value.items()]
        else:
            lines.append(f"{key}: {_inline(value)}")
    return "".join(line + "\n" for line in lines)


def differences(
    claims: Mapping[str, int], counts: Mapping[str, int], path: Path
) -> dict[str, tuple[int, int]]:
    """Claimed counts that differ: name -> (claimed, here).

    Raises:
        ConfigurationError: a claim about a count that does not exist.
    """
    for key in claims:
        if key not in counts:
            raise ConfigurationError(f"expected: {key}", claims[key],
                                     "one of " + ", ".join(counts), str(path))
    return {key: (value, counts[key]) for key, value in claims.items() if counts[key] != value}
