"""Files that are either the old ones or the new ones, whatever happens while they are written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from diffkg_recbole.errors import surrogate_escaped
from diffkg_recbole.plain import plain
from diffkg_recbole.shortage import naming

_PART = ".part"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file beside ``path`` and move it there when the block ends without an error.

    Yields the path to write to. The data is on the disk before the name points to it, so a
    kill or a power cut leaves the old file or the new one, never a piece. An ``OSError`` names
    ``path``, whatever the writer said.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}{_PART}")
    with naming(path):
        try:
            yield part
            if path.exists():
                part.chmod(path.stat().st_mode & 0o777)
            _to_disk(part)
            os.replace(part, path)
        except OSError as error:
            if error.filename == str(part):
                error.filename = str(path)
            raise
        finally:
            with suppress(OSError):  # where no file can be made, none can be removed
                part.unlink(missing_ok=True)
        _to_disk(path.parent)


def append_whole(path: str | Path, data: bytes) -> None:
    """Add ``data`` to the end of a file, on the disk, or leave the file as it was."""
    with naming(path), open(path, "ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(data)
            while rest:  # on a disk that is nearly full a write takes a part only
                rest = rest[file.write(rest):]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def _to_disk(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except (PermissionError, IsADirectoryError):
        return  # Windows opens no folders
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_parts(folder: Path) -> None:
    """Remove what killed writers left in ``folder``."""
    for pattern in (f".*{_PART}", ".*.tmp"):  # .tmp: of earlier versions
        for leftover in folder.glob(pattern):
            leftover.unlink(missing_ok=True)


def json_text(value: Any, **options: Any) -> str:
    """Plain data as JSON with letters as they are; lone surrogates, which UTF-8 lacks, escaped."""
    return surrogate_escaped(json.dumps(value, ensure_ascii=False, **options))


def write_json(path: str | Path, value: Any) -> None:
    """Write plain JSON, indented, atomically."""
    with replacing(path) as part:
        part.write_text(json_text(plain(value), indent=1, allow_nan=False) + "\n",
                        encoding="utf-8")


def write_yaml(path: str | Path, value: Mapping[str, Any]) -> None:
    """Write plain YAML with sorted keys, atomically."""
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        yaml.safe_dump(plain(value), file, sort_keys=True, allow_unicode=True)
