"""Reading the files of a source folder, each with its SHA-256 sum."""

from __future__ import annotations

import hashlib
from pathlib import Path

from diffkg_recbole.errors import DataError


class SourceFolder:
    """A folder of source files.

    Attributes:
        path: the folder.
        sha256: hex digest of every file read so far, by file name. It is taken from the very
            bytes that were parsed.

    Raises:
        DataError: ``path`` is no folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.sha256: dict[str, str] = {}
        if not self.path.is_dir():
            problem = "is a file" if self.path.exists() else "folder not found"
            raise DataError(self.path, problem, "the folder that holds the data files")

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str, expected: str) -> bytes:
        """Content of a file.

        Args:
            name: file name inside the folder.
            expected: what the file should be, in words, for the message.

        Raises:
            DataError: the file is missing (the message lists what is there), cannot be read, or
                is empty.
        """
        path = self.path / name
        if not path.is_file():
            there = sorted(entry.name for entry in self.path.iterdir())
            listing = ", ".join(there[:12]) + (", ..." if len(there) > 12 else "")
            raise DataError(
                path, f"file not found (the folder holds: {listing or 'nothing'})", expected
            )
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(path, f"cannot be read ({error.strerror})", expected) from None
        if not content.strip():
            raise DataError(path, "is empty", expected)
        self.sha256[name] = hashlib.sha256(content).hexdigest()
        return content
