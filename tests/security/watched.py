"""Runs a command under an audit hook: ``python -m tests.security.watched FOLDER command ...``.

Prints what the process did that opening somebody else's files never may: starting programs,
connecting, unpickling names, writing outside FOLDER, running text that was in a file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_NEVER = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "socket.connect", "pty.spawn",
          "ctypes.dlopen/planted")
_LIBRARY_SEARCH = "/sbin/ldconfig"  # how ctypes finds a library, as torch's CUDA builds have it do
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_WEIGHTS = ("torch", "collections", "numpy", "_codecs")  # what weights_only may look up


def main(folder: str, words: list[str]) -> int:
    from diffkg_recbole.cli import main as command  # imports first: they read and compile

    inside = [Path(folder).resolve(), Path("/dev"), Path(os.environ["TMPDIR"]).resolve()]
    found: list[str] = []

    def hook(event: str, arguments: tuple) -> None:
        if arguments and arguments[0] == _LIBRARY_SEARCH:
            return
        program = event == "subprocess.Popen" and "git" not in str(arguments[1])
        looked_up = event == "pickle.find_class" and not str(arguments[0]).startswith(_WEIGHTS)
        if event.startswith(_NEVER) or program or looked_up:
            found.append(f"{event} {arguments!r:.200}")
        elif event == "open" and isinstance(arguments[0], str) and arguments[2] & _WRITES:
            path = Path(arguments[0]).resolve()
            if not any(path.is_relative_to(place) for place in inside) and (
                    path.suffix != ".pyc" and "__pycache__" not in path.parts):
                found.append(f"{event} {path}")

    sys.addaudithook(hook)
    status = command(words)
    print("FOUND", found, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
