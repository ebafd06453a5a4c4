"""A long run over the readers of foreign files: ``python -m tests.fuzz --reader NAME --runs N``.

With atheris (``pip install atheris``), the inputs follow the branches that they reach, of one
reader; the first input that is neither read nor properly refused ends the run with its traceback
and is kept as ``crash-...``. Without it (``--random``) they are damages drawn at random, for every
reader whose name begins so, and all problems are listed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--reader", default="", help="name of a reader, or its beginning")
    parser.add_argument("--runs", type=int, default=1000, help="inputs for each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="without atheris")
    arguments = parser.parse_args(words)
    if not arguments.random:
        import atheris

        with atheris.instrument_imports(include=["converters", "diffkg_recbole", "pickle", "yaml",
                                                 "json"], enable_loader_override=False):
            from tests.fuzz.readers import READERS
    from tests.fuzz.readers import READERS
    chosen = [name for name in READERS if name.startswith(arguments.reader)]
    if not chosen:
        parser.error("there is no such reader; there are: " + "; ".join(READERS))
    if arguments.random:
        return max(_at_random(name, arguments) for name in chosen)
    return _guided(arguments.reader if arguments.reader in chosen else chosen[0], arguments)


def _prepared(name: str, root: Path) -> tuple[Path, Path, bytes]:
    """A folder with everything sound, a copy to damage, and the content of the file."""
    from tests.fuzz.readers import READERS

    sound = root / "sound"
    sound.mkdir()
    place = READERS[name].make(sound).relative_to(sound)
    return sound, place, (sound / place).read_bytes()


def _at_random(name: str, arguments: argparse.Namespace) -> int:
    from tests.fuzz.readers import READERS, mutated, random_damages, try_damage

    rng, start = np.random.default_rng(arguments.seed), time.monotonic()
    problems: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as root:
        sound, place, content = _prepared(name, Path(root))
        for _ in range(arguments.runs):
            folder = shutil.copytree(sound, Path(root) / "copy")
            damaged = mutated(content, random_damages(rng))
            try:
                try_damage(READERS[name], folder / place, damaged)
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                problems.setdefault(f"{type(error).__name__} at {last.filename}:{last.lineno}: "
                                    f"{error!s:.200}", damaged)
            shutil.rmtree(folder)
    print(f"{name}: {arguments.runs} inputs, {len(problems)} problems, "
          f"{time.monotonic() - start:.0f} s", flush=True)
    for problem, damaged in problems.items():
        print(f"   {problem}\n      {damaged[:300]!r}", flush=True)
    return 1 if problems else 0


def _guided(name: str, arguments: argparse.Namespace) -> int:
    import atheris

    from tests.fuzz.readers import READERS, try_damage

    root = Path(tempfile.mkdtemp())
    sound, place, content = _prepared(name, root)
    corpus = root / "corpus"
    corpus.mkdir()
    (corpus / "sound").write_bytes(content)
    folder = shutil.copytree(sound, root / "copy")

    def one(damaged: bytes) -> None:
        try_damage(READERS[name], folder / place, damaged)

    atheris.Setup([sys.argv[0], f"-runs={arguments.runs}", f"-seed={arguments.seed}",
                   f"-max_len={4 * len(content) + 200}", "-rss_limit_mb=4000", str(corpus)], one)
    atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
