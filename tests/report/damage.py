"""A generator of damaged run folders: each damage is a name and what it does to a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Damage = Callable[[Path], None]
FILES = ("run.json", "config.yaml", "users.parquet", "pairs.parquet", "epochs.jsonl", "audit.json")


def damages() -> Iterator[tuple[str, Damage]]:
    """Every damage, with a name of its own."""
    yield from _bytes()
    yield from _run_json()
    yield from _config()
    yield from _tables()
    yield from _epochs()


def _bytes() -> Iterator[tuple[str, Damage]]:
    for name in FILES:
        if name != "epochs.jsonl":  # an empty one is that of a run without epochs
            yield f"{name}: empty", partial(_write, name, b"")
        yield f"{name}: random bytes", partial(
            _write, name, np.random.default_rng(5).bytes(400) + b"\n" + b"\xff\xfe{\n" * 3)
        yield f"{name}: zeros", partial(_write, name, bytes(300) + b"\n" + bytes(9) + b"\n")
        if name != "epochs.jsonl":  # whose torn end a kill explains
            yield f"{name}: a folder", partial(_folder, name)
        if name in ("users.parquet", "pairs.parquet", "run.json"):
            for share in (0.3, 0.7, 0.99):
                yield f"{name}: cut at {share}", partial(_cut, name, share)
    for name in ("users.parquet", "pairs.parquet"):
        for seed in range(8):
            yield f"{name}: header and footer flipped, {seed}", partial(_flip, name, seed)
    for name in ("run.json", "config.yaml"):
        yield f"{name}: missing", partial(_remove, name)
    for name in ("run.json", "audit.json"):
        yield f"{name}: deep", partial(_write, name, b'{"a":' * 500 + b"1" + b"}" * 500)
        for text in (b"[]", b"null", b"3", b'"text"', b'{"a": 1'):
            yield f"{name}: {text.decode()}", partial(_write, name, text)


def _run_json() -> Iterator[tuple[str, Damage]]:
    wrong: dict[str, list[Any]] = {
        "label": [["a"], {"a": 1}, 3, True, "x" * 10_000],
        "model": [["a"], {}, 5], "dataset": [["a"], 5], "protocol": [["clean"], {"a": 1}, 7],
        "id": [["a"], 7], "status": ["done", 3, ["finished"]], "seed": ["one", [1], {}, 1.5],
        "split_seed": [[1], "x", {}], "kg": [["none"], 3], "variant": [{"a": 1}, 3],
        "cost": [[], "cheap", 3, {"parameters": "many"}, {"seconds_total": float("nan")},
                 {"peak_host_mb": [1]}, {"parameters": True}, {"parameters": 10**400}],
        "test": [[], "x", {"recall@20": None}, {"recall@20": float("nan")},
                 {"recall@20": float("inf")}, {"recall@20": "0.5"}, {"recall@20": [0.5]},
                 {"recall@20": True}, {"recall@20": 10**400}, {"recall@20": {"a": 1}}],
        "valid": [[1], "x", {"recall@20": float("nan")}, {"recall@20": "high"}],
        "fingerprint": [[], "x", {"counts": 3}, {"counts": {"users": "many"}}, {"train": [1]},
                        {"all": {"a": 1}}],
        "versions": [[1], "x"], "hardware": ["x", [1]], "code": ["x", [1]], "command": ["x", {}],
        "epoch": ["last", [1]], "test_selected": ["no", 1], "evaluation": [["uni100"], 100],
        "reads_graph": ["yes", 1], "format": [2, None, "1"], "finished": [[1], 5],
    }
    for key, values in wrong.items():
        for value in values:
            shown = repr(value)
            yield (f"run.json: {key} = {shown[:30]}{len(shown) if len(shown) > 30 else ''}",
                   partial(_set, key, value))


def _config() -> Iterator[tuple[str, Damage]]:
    for text in ("- a\n- b\n", "a: [", "2024-01-01\n", "a: 2024-01-01\n", "text",
                 "a: !!python/object/apply:os.system ['true']\n", "a: &x [*x]\n",
                 "topk: many\n", "topk: [0]\n", "topk: [ten]\n", "a: " + "[" * 60 + "]" * 60):
        yield f"config.yaml: {text[:40]!r}", partial(_write, "config.yaml", text.encode())


def _tables() -> Iterator[tuple[str, Damage]]:
    changes: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
        "no user column": lambda t: t.drop(columns="user"),
        "no n_train": lambda t: t.drop(columns="n_train"),
        "another order": lambda t: t[t.columns[::-1]],
        "no rows": lambda t: t.iloc[:0],
        "a user twice": lambda t: pd.concat([t, t.iloc[:1]]),
        "a user without a name": lambda t: t.assign(user=[None, *t["user"][1:]]),
        "users as numbers": lambda t: t.assign(user=range(len(t))),
        "a metric as text": lambda t: t.assign(**{"recall@20": "x"}),
        "a metric of lists": lambda t: t.assign(**{"recall@20": [[1.0]] * len(t)}),
        "an empty metric": lambda t: t.assign(**{"recall@20": [np.nan, *t["recall@20"][1:]]}),
        "an infinite metric": lambda t: t.assign(**{"recall@20": np.inf}),
        "counts below zero": lambda t: t.assign(n_train=-1),
        "counts as text": lambda t: t.assign(n_train="x"),
        "broken counts": lambda t: t.assign(n_train=0.5),
    }
    for name, change in changes.items():
        yield f"users.parquet: {name}", partial(_rewrite, "users.parquet", change)
    for column in ("user", "item", "rank", "item_popularity", "item_triples"):
        yield f"pairs.parquet: no {column}", partial(
            _rewrite, "pairs.parquet", lambda t, c=column: t.drop(columns=c))
        yield f"pairs.parquet: {column} empty", partial(
            _rewrite, "pairs.parquet", lambda t, c=column: t.assign(**{c: None}))
    yield "pairs.parquet: ranks as text", partial(
        _rewrite, "pairs.parquet", lambda t: t.assign(rank="first"))


def _epochs() -> Iterator[tuple[str, Damage]]:
    good = b'{"epoch": 0, "valid": {"recall@20": 0.1}}\n'
    for text in (b"[]\n", b"nonsense\n", b'{"epoch": "first"}\n', b'{"valid": {}}\n',
                 b'{"epoch": 0, "valid": [1]}\n', b'{"epoch": 0, "valid": {"recall@20": NaN}}\n',
                 b'{"epoch": 0, "graph": "edges"}\n', b'{"epoch": 0, "graph": {"edges": 1e999}}\n'):
        yield f"epochs.jsonl: {text.decode()!r}", partial(_write, "epochs.jsonl", text + good * 2)


def _write(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)


def _remove(name: str, folder: Path) -> None:
    (folder / name).unlink()


def _folder(name: str, folder: Path) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()


def _cut(name: str, share: float, folder: Path) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:int(len(content) * share)])


def _flip(name: str, seed: int, folder: Path) -> None:
    """Other bytes in the magic number, and some of the footer, where a table's plan stands."""
    content = bytearray((folder / name).read_bytes())
    rng = np.random.default_rng(seed)
    for place in (*rng.integers(0, 4, 2), *(len(content) - 1 - rng.integers(0, 200, 20))):
        content[place] ^= int(rng.integers(1, 256))
    (folder / name).write_bytes(content)


def _set(key: str, value: Any, folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    whole = record[key] if isinstance(record.get(key), dict) and isinstance(value, dict) else {}
    record[key] = {**whole, **value} if isinstance(value, dict) else value
    (folder / "run.json").write_text(json.dumps(record))


def _rewrite(name: str, change: Callable[[pd.DataFrame], pd.DataFrame], folder: Path) -> None:
    change(pd.read_parquet(folder / name)).to_parquet(folder / name, index=False)
