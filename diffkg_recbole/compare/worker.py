"""One run of a comparison in a process of its own, which ends when its parent does.

``python -m diffkg_recbole.compare.worker [--watch] <flags of diffkg-recbole train>``
"""

from __future__ import annotations

import os
import signal
import sys
import threading

GRACE_SECONDS = 20.0


def watch_parent() -> None:
    """Interrupt this process when its standard input ends, that is, when its parent is gone.

    A parent that is killed can tell its children nothing, but the system closes its pipes.
    An interrupt is heeded even where a shell that runs in the background handed it down ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def wait() -> None:
        while os.read(0, 4096):  # not through sys.stdin, whose lock would outlive the program
            pass
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(GRACE_SECONDS)
        os._exit(130)  # the run stands as it was when its last epoch ended

    threading.Thread(target=wait, daemon=True).start()


def main(argv: list[str]) -> int:
    """Train as the command line would; returns the exit status."""
    if argv[:1] == ["--watch"]:
        argv = argv[1:]
        watch_parent()
    sys.argv = ["diffkg-recbole", "train", *argv]  # what the run records as its command
    from diffkg_recbole.cli import main as command

    return command(["train", *argv])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
