"""``python -m tests.kills --count 200``: kill runs at every kind of moment, and compare."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.kills import killing


def chain(model: str, place: Path, operations: int, seconds: float,
          numbers: random.Random, kind: str, n: int) -> int:
    """Kill a run once or more and let it end; returns the number of kills that struck."""
    shutil.rmtree(place, ignore_errors=True)
    if kind == "result":
        statuses = [killing.train_killed_before_result(model, place)]
        if n % 2:  # and again while it resumes
            statuses.append(killing.train_killed_before_result(model, place))
    elif kind == "moment":
        statuses = [killing.in_child(lambda: killing.train(model, place),
                                     kill_after=numbers.random() * seconds)
                    for _ in range(1 + n % 2)]
    else:
        statuses = [killing.train_killed_at(model, place, n)]
        if numbers.random() < 0.3:  # a second kill, of the run that goes on
            statuses.append(killing.train_killed_at(
                model, place, numbers.randint(1, max(1, operations - n + 5))))
    for status in statuses:
        if status not in (0, -signal.SIGKILL):
            raise SystemExit(f"{model}: a killed run ended with {status}")
    if killing.in_child(lambda: killing.train(model, place)) != 0:
        raise SystemExit(f"{model}: the run does not go on after {kind} {n}")
    return statuses.count(-signal.SIGKILL)


def main() -> int:
    """Returns 1 if a chain of kills ended with another result than the undisturbed run."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="kills in all (%(default)s)")
    parser.add_argument("--models", nargs="+", default=list(killing.MODELS))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    numbers, wrong = random.Random(arguments.seed), 0
    total: dict[str, int] = {"operation": 0, "moment": 0, "result": 0}
    share = -(-arguments.count // len(arguments.models))
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        for model in arguments.models:
            killing.warm(model)
            peace, place = Path(folder) / model / "peace", Path(folder) / model / "runs"
            peace.parent.mkdir()
            operations, seconds = killing.undisturbed(model, peace)
            expected = killing.left_behind(peace)
            kills = dict.fromkeys(total, 0)
            plan = [("result", n) for n in range(max(2, share // 10))]
            plan += [("operation", n) for n in
                     killing.moments(numbers, operations, max(2, share // 2))]
            done = 0
            while plan or sum(kills.values()) < share:
                kind, n = plan.pop(0) if plan else ("moment", done)
                kills[kind] += chain(model, place, operations, seconds, numbers, kind, n)
                done += 1
                unlike = killing.differences(killing.left_behind(place), expected)
                if unlike:
                    wrong += 1
                    print(f"{model}: after {kind} {n}: {', '.join(unlike[:5])}", flush=True)
            print(f"{model}: {sum(kills.values())} kills {kills} in {done} chains, "
                  f"{operations} file operations, {seconds:.1f} s a run", flush=True)
            total = {kind: total[kind] + kills[kind] for kind in total}
    print(f"{sum(total.values())} kills {total}, {wrong} chains with another result")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
