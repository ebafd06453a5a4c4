"""A seeded random dataset with planted structure: two tastes, shared by items and attributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_synthetic(root: Path, n_users: int = 40, n_items: int = 60, seed: int = 0) -> dict:
    """Write ``root/synthetic``; returns the configuration that reads it.

    Users and items have one of two tastes; a user mostly likes items of its own. Items link to
    attributes of their taste. Some items have no triple, some no interaction.
    """
    rng = np.random.default_rng(seed)
    folder = root / "synthetic"
    folder.mkdir(parents=True)
    taste_u, taste_i = rng.integers(2, size=n_users), rng.integers(2, size=n_items)
    like = np.where(taste_u[:, None] == taste_i[None, :], 0.45, 0.05)
    liked = rng.random((n_users, n_items)) < like
    liked[:, -3:] = False  # items without an interaction
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for user in range(n_users):
        items = rng.permutation(np.flatnonzero(liked[user]))
        for place, item in enumerate(items):
            part = "valid" if place == 0 else "test" if place in (1, 2) else "train"
            parts[part].append(f"u{user}\ti{item}")
    for part, rows in parts.items():
        text = "\n".join(["user_id:token\titem_id:token", *rows])
        (folder / f"synthetic.{part}.inter").write_text(text + "\n", encoding="utf-8")
    triples = [f"e{item}\tr{rng.integers(3)}\ta{taste_i[item]}_{rng.integers(6)}"
               for item in range(5, n_items) for _ in range(3)]
    triples += [f"a{t}_{k}\tr3\tgenre{t}" for t in range(2) for k in range(6)]
    files = {
        "item": ["item_id:token", *(f"i{item}" for item in range(n_items))],
        "link": ["item_id:token\tentity_id:token",
                 *(f"i{item}\te{item}" for item in range(5, n_items))],
        "kg": ["head_id:token\trelation_id:token\ttail_id:token", *triples],
    }
    for suffix, lines in files.items():
        (folder / f"synthetic.{suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"data_path": str(root), "benchmark_filename": ["train", "valid", "test"],
            "show_progress": False, "state": "error"}
