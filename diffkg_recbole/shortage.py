"""Full disks, folders that cannot be written, memory that is not there: one sentence each."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffkg_recbole.errors import UserError

_GO_ON = "give the same command again: it goes on where it stopped"
_OTHER_FOLDER = "mend that or name another folder (--store, --data_path, --out)"
_ADVICE = {
    errno.ENOSPC: ("no space left on the device", f"make room and {_GO_ON}"),
    errno.EDQUOT: ("the disk quota is used up", f"make room and {_GO_ON}"),
    errno.EROFS: ("the file system is read-only", _OTHER_FOLDER),
    errno.EACCES: ("permission denied", _OTHER_FOLDER),
    errno.EPERM: ("not permitted", _OTHER_FOLDER),
    errno.EIO: ("the device reports an error", f"look after it and {_GO_ON}"),
    errno.EMFILE: ("too many open files", "raise the limit (ulimit -n)"),
}
_NO_MEMORY = ("DefaultCPUAllocator", "out of memory")  # words of torch's RuntimeErrors


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """An ``OSError`` of the block that names no file is one of ``path``.

    Python names the file where opening fails, but not where writing does.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def as_user_error(error: BaseException, unnamed: str = "a file") -> UserError | None:
    """The sentence for an error that the machine's state explains; None for any other.

    Args:
        error: what was raised.
        unnamed: what an error that names no file is about.
    """
    if isinstance(error, OSError) and error.errno is not None:
        if isinstance(error, ConnectionError):
            return None
        words = (error.strerror or str(error)).lower()
        problem, advice = _ADVICE.get(error.errno, (words, ""))
        where = unnamed if error.filename is None else error.filename
        return UserError(f"{where}: {problem}" + (f"; {advice}" if advice else ""))
    lacking = isinstance(error, RuntimeError) and any(w in str(error) for w in _NO_MEMORY)
    if lacking or isinstance(error, MemoryError):
        return UserError(
            "not enough memory: free some or make the run smaller (embedding_size, "
            "train_batch_size, eval_memory_mb)")
    return None


@contextmanager
def told_as_user_errors() -> Iterator[None]:
    """Raise what :func:`as_user_error` explains as that :class:`UserError`."""
    try:
        yield
    except Exception as error:
        told = as_user_error(error)
        if told is None:
            raise
        raise told from error
