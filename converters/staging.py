"""A folder that appears complete or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

from diffkg_recbole.errors import DataError
from diffkg_recbole.files import replacing


def check_target(
    target: Path, overwrite: bool, is_ours: Callable[[str], bool], source: Path
) -> None:
    """Refuse a target folder that must not be replaced, before any work is done.

    Args:
        target: the folder to be written.
        overwrite: whether an existing folder may be replaced.
        is_ours: whether a file name is one that the converter writes.
        source: folder that is read; it is never replaced.

    Raises:
        DataError: the target exists and may not be replaced, or holds something else.
    """
    here, origin = target.resolve(), source.resolve()
    if here == origin or here in origin.parents:
        raise DataError(target, f"holds the source {source}", "a folder apart from the source")
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir() or target.is_symlink():
        raise DataError(target, "exists and is no folder", "a new folder")
    entries = sorted(target.iterdir())
    if entries and not overwrite:
        raise DataError(target, "exists already", "a new folder, or --overwrite to replace it")
    foreign = [entry.name for entry in entries if not entry.is_file() or not is_ours(entry.name)]
    if foreign:
        raise DataError(
            target, f"holds '{foreign[0]}', which no conversion wrote, so it is not replaced",
            "a folder of converted files only (move the others away)",
        )


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside ``target`` to write into; on success it takes the target's place.

    On any error or interruption the staged folder is removed and the target stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        content = work / "new"
        content.mkdir()  # with the usual permissions, unlike mkdtemp's private folder
        yield content
        _take_place(content, target, work / "old")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _take_place(content: Path, target: Path, aside: Path) -> None:
    if target.exists():
        os.rename(target, aside)
    try:
        os.rename(content, target)
    except BaseException:
        if aside.exists():
            os.rename(aside, target)
        raise


def replace_text(path: Path, text: str) -> None:
    """Write a text file in one move: a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
