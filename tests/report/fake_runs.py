"""A seeded generator of run folders with invented numbers, for the tests of the report.

No model is trained: hits are drawn so that a model's recall is close to a number chosen here.
Everything else (metrics per user, means, popularity, fingerprints) is computed from those
draws, so that a folder agrees with itself as a real one does.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from diffkg_recbole.store import folder_name

METRICS = ("recall", "ndcg", "hit", "mrr")
CUTOFFS = (10, 20)


@dataclass(frozen=True)
class FakeRun:
    """What one folder shall look like.

    Args:
        quality: chance that a test pair is in the list of the first 20, on average.
        broken: an error message makes it a failed run.
        data_seed: draws the data; another number makes another fingerprint.
        claimed: users and items that the fingerprint counts, instead of those drawn.
        valid_factor: validation scores are the test scores times this.
        reads_graph: what the record says; None for a run that says nothing.
    """

    model: str = "BPR"
    quality: float = 0.10
    label: str | None = None
    kg: str | None = None
    variant: str | None = None
    seed: int = 1
    split_seed: int = 7
    dataset: str = "invented"
    protocol: str = "clean"
    users: int = 240
    items: int = 160
    epochs: int = 12
    data_seed: int = 0
    claimed: tuple[int, int] | None = None
    parameters: int = 100_000
    seconds_per_epoch: float = 1.0
    broken: str | None = None
    valid_factor: float = 0.95
    reads_graph: bool | None = None
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The label: the model and what deviates."""
        if self.label is not None:
            return self.label
        deviations = []
        if self.kg not in (None, "original"):
            deviations.append(f"kg: {self.kg}")
        if self.variant:
            deviations.append(self.variant)
        return ", ".join([self.model, *deviations])


def write_fake_run(store: Path, fake: FakeRun) -> Path:
    """Write one run folder below ``store`` and return it."""
    identifier = hashlib.sha256(repr(fake).encode()).hexdigest()
    folder = store / folder_name(fake.model, fake.dataset, identifier)
    folder.mkdir(parents=True)
    configuration = {
        "model": fake.model, "dataset": fake.dataset, "seed": fake.seed,
        "split_seed": fake.split_seed, "eval_protocol": fake.protocol, "topk": list(CUTOFFS),
        "valid_metric": "Recall@20", "learning_rate": 0.001, "embedding_size": 64, **fake.config,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    record = _record(fake, identifier)
    if fake.broken is None:
        record.update(_results(folder, fake))
        (folder / "audit.json").write_text(json.dumps(_audit(fake)), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def _record(fake: FakeRun, identifier: str) -> dict[str, Any]:
    return {
        "format": 1, "id": identifier, "status": "failed" if fake.broken else "finished",
        "error": fake.broken, "label": fake.name, "model": fake.model, "dataset": fake.dataset,
        "protocol": fake.protocol, "kg": fake.kg, "variant": fake.variant, "seed": fake.seed,
        "split_seed": fake.split_seed, "test_selected": fake.protocol == "authors",
        "fingerprint": _fingerprint(fake), "epoch": None, "epochs_run": 0, "valid": {}, "test": {},
        "cost": {}, "versions": {"python": "3.11.9", "torch": "2.13.0", "recbole": "1.2.1"},
        "hardware": {"cpu": "an invented processor", "cores": 2, "gpu": None, "memory_gb": 8},
        "code": {"version": "0.1.0", "commit": "0" * 40, "dirty": False},
        "started": "2025-01-01T10:00:00+00:00", "finished": "2025-01-01T10:20:00+00:00",
        "command": ["diffkg-recbole", "run", "--model", fake.model, "--seed", str(fake.seed)],
        **({} if fake.reads_graph is None else {"reads_graph": fake.reads_graph}),
    }


def _counts(fake: FakeRun) -> dict[str, int]:
    pairs = _pairs(fake)
    users, items = fake.claimed or (fake.users, fake.items)
    return {"users": users, "items": items, "train": int(_n_train(fake).sum()),
            "valid": fake.users, "test": len(pairs)}


def _fingerprint(fake: FakeRun) -> dict[str, Any]:
    def digest(part: str, *keys: object) -> str:
        return hashlib.sha256(repr((part, fake.dataset, *keys)).encode()).hexdigest()

    data = (fake.data_seed, fake.users, fake.items)
    parts = {"train": digest("train", fake.split_seed, *data),
             "valid": digest("valid", fake.split_seed, *data), "test": digest("test", *data)}
    return {**parts, "all": digest("all", *parts.values()), "counts": _counts(fake)}


def _audit(fake: FakeRun) -> dict[str, Any]:
    return {"dataset": fake.dataset, "protocol": fake.protocol, "disjoint": True,
            "counts": _counts(fake), "duplicates_removed": {"train": 0, "test": 3},
            "test_pairs_also_in_train": 12, "unlinked_items": 4}


def _rng(fake: FakeRun, *more: object) -> np.random.Generator:
    return np.random.default_rng([fake.data_seed, *hashlib.sha256(repr(more).encode()).digest()])


def _n_train(fake: FakeRun) -> np.ndarray:
    return 3 + _rng(fake, "train", fake.users).geometric(0.06, fake.users)


def _pairs(fake: FakeRun) -> pd.DataFrame:
    """The test pairs: one to four items for each user, the popular ones more often."""
    rng = _rng(fake, "pairs", fake.users, fake.items)
    counts = rng.integers(1, 5, fake.users)
    user = np.repeat(np.arange(fake.users), counts)
    weights = 1.0 / np.arange(1, fake.items + 1) ** 0.7
    item = rng.choice(fake.items, len(user), p=weights / weights.sum())
    popularity = (400 * weights).astype(np.int64) + rng.integers(0, 5, fake.items)
    triples = rng.poisson(6, fake.items)
    return pd.DataFrame({"user": user, "item": item, "item_popularity": popularity[item],
                         "item_triples": triples[item]}).drop_duplicates(["user", "item"])


def _ranks(fake: FakeRun, pairs: pd.DataFrame) -> np.ndarray:
    """Distinct ranks for a user's hits, 0 for misses; the easy pairs are common to all models."""
    ease = _rng(fake, "ease", fake.users, fake.items).normal(0, 1, len(pairs))
    noise = _rng(fake, "noise", fake.name, fake.seed).normal(0, 0.6, len(pairs))
    score = ease + noise + 0.3 * np.log(pairs["item_popularity"].to_numpy() + 1)
    hit = score >= np.quantile(score, 1 - fake.quality)
    order = _rng(fake, "order", fake.name, fake.seed).random(len(pairs))
    slot = pd.Series(order).groupby(pairs["user"].to_numpy()).rank(method="first").astype(int)
    offset = _rng(fake, "offset", fake.name, fake.seed).integers(0, 17, fake.users)
    return np.where(hit, slot.to_numpy() + offset[pairs["user"].to_numpy()], 0).astype(np.int32)


def _metric_columns(pairs: pd.DataFrame, ranks: np.ndarray, users: int) -> dict[str, np.ndarray]:
    """Every metric of every user, from the ranks of the test pairs."""
    user = pairs["user"].to_numpy()
    relevant = np.bincount(user, minlength=users)
    ideal = np.cumsum(1 / np.log2(np.arange(2, 40)))
    columns = {}
    for cutoff in CUTOFFS:
        inside = (ranks > 0) & (ranks <= cutoff)
        hits = np.bincount(user, inside, minlength=users)
        gain = np.where(inside, 1 / np.log2(np.maximum(ranks, 1) + 1.0), 0.0)
        best = np.zeros(users)
        np.maximum.at(best, user, np.where(inside, 1 / np.maximum(ranks, 1), 0.0))
        columns[f"recall@{cutoff}"] = hits / relevant
        columns[f"ndcg@{cutoff}"] = (
            np.bincount(user, gain, minlength=users) / ideal[np.minimum(relevant, cutoff) - 1])
        columns[f"hit@{cutoff}"] = (hits > 0).astype(float)
        columns[f"mrr@{cutoff}"] = best
    return columns


def _results(folder: Path, fake: FakeRun) -> dict[str, Any]:
    pairs = _pairs(fake)
    ranks = _ranks(fake, pairs)
    columns = _metric_columns(pairs, ranks, fake.users)
    tokens = np.char.add("u", np.arange(fake.users).astype(str))
    users = pd.DataFrame({"user": tokens, "n_train": _n_train(fake), **columns})
    users.to_parquet(folder / "users.parquet")
    pairs.assign(user=tokens[pairs["user"]], item="i" + pairs["item"].astype(str), rank=ranks)[
        ["user", "item", "rank", "item_popularity", "item_triples"]
    ].to_parquet(folder / "pairs.parquet")
    test = {name: float(values.mean()) for name, values in columns.items()}
    chosen = _write_epochs(folder, fake, test)
    seconds = fake.seconds_per_epoch * fake.epochs
    return {
        "epoch": chosen, "epochs_run": fake.epochs, "test": test,
        "valid": {name: value * fake.valid_factor for name, value in test.items()},
        "cost": {"parameters": fake.parameters, "seconds_total": seconds * 1.2,
                 "seconds_per_epoch": fake.seconds_per_epoch + 0.01 * fake.seed,
                 "peak_host_mb": 600 + fake.parameters / 2000, "peak_gpu_mb": None},
    }


def _write_epochs(folder: Path, fake: FakeRun, test: dict[str, float]) -> int:
    rng = _rng(fake, "epochs", fake.name, fake.seed)
    chosen = fake.epochs - 1 - int(rng.integers(0, max(1, fake.epochs // 3)))
    lines = []
    for epoch in range(fake.epochs):
        fraction = 1 - np.exp(-4 * (epoch + 1) / fake.epochs) - 0.002 * max(0, epoch - chosen)
        line: dict[str, Any] = {
            "epoch": epoch, "losses": {"rec": 0.7 * float(np.exp(-0.1 * epoch))},
            "valid": {name: 0.95 * value * float(fraction + rng.normal(0, 0.01))
                      for name, value in test.items()},
            "seconds": {"train": fake.seconds_per_epoch, "valid": 0.1},
        }
        if fake.model == "DiffKG":
            line["graph"] = {"edges": 5000 + 40 * epoch, "heads": 150,
                             "distinct_tails": int(10 + 60 * fraction),
                             "outside_share": 0.4 + 0.02 * epoch,
                             "overlap": None if epoch == 0 else float(fraction)}
        lines.append(json.dumps(line))
    (folder / "epochs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return chosen


SHOWCASE = (
    FakeRun("Pop", 0.06, parameters=0, seconds_per_epoch=0.1),
    FakeRun("BPR", 0.115, seconds_per_epoch=0.4),
    FakeRun("LightGCN", 0.150, seconds_per_epoch=1.5),
    FakeRun("SGL", 0.158, seconds_per_epoch=7.9),
    FakeRun("EASE", 0.170, parameters=25_600, seconds_per_epoch=2.0),
    FakeRun("KGAT", 0.135, kg="original", parameters=260_000, seconds_per_epoch=9.8),
    FakeRun("KGAT", 0.130, kg="none", parameters=260_000, seconds_per_epoch=8.1),
    FakeRun("KGAT", 0.131, kg="random", parameters=260_000, seconds_per_epoch=9.9),
    FakeRun("KGIN", 0.145, kg="original", parameters=270_000, seconds_per_epoch=6.9),
    FakeRun("DiffKG", 0.172, kg="original", parameters=330_000, seconds_per_epoch=12.5),
    FakeRun("DiffKG", 0.166, kg="none", parameters=330_000, seconds_per_epoch=6.0),
    FakeRun("DiffKG", 0.168, kg="random", parameters=330_000, seconds_per_epoch=12.4),
    FakeRun("DiffKG", 0.171, kg="original", variant="w/o diffusion", parameters=330_000,
            seconds_per_epoch=5.2),
    FakeRun("DiffKG", 0.150, kg="original", variant="w/o CKGC", parameters=330_000,
            seconds_per_epoch=11.9),
)


def write_showcase(store: Path, seeds: tuple[int, ...] = (1, 2, 3), **changes: Any) -> Path:
    """A store with every kind of row, several seeds and one failed run."""
    for fake in SHOWCASE:
        for seed in seeds:
            write_fake_run(store, replace(fake, seed=seed, **changes))
    write_fake_run(store, replace(FakeRun("MCCLK", kg="original", **changes),
                                  broken="RuntimeError: out of memory <b>(5.9 GB)</b>"))
    return store
