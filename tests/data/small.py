"""A small dataset in atomic files whose every count is known."""

from __future__ import annotations

from pathlib import Path

# Users a..d, items 1..6 (6 has no interaction; 5 and 6 have no link), one pair twice in test,
# one test pair that is also a training pair, user d only in test.
PARTS = {
    "train": [("a", "1"), ("a", "2"), ("b", "2"), ("b", "3"), ("c", "4"), ("c", "5")],
    "valid": [("a", "3"), ("b", "1")],
    "test": [("a", "4"), ("a", "4"), ("a", "1"), ("b", "5"), ("c", "1"), ("d", "2")],
}
ITEMS = ["1", "2", "3", "4", "5", "6"]
LINKS = [("1", "e1"), ("2", "e2"), ("3", "e3"), ("4", "e4"), ("6", "nowhere")]
TRIPLES = [("e1", "r1", "x"), ("e2", "r1", "x"), ("e3", "r2", "y"), ("e4", "r2", "e1"),
           ("x", "r3", "y")]


def write_small(root: Path, name: str = "small", parts: dict | None = None) -> dict:
    """Write the atomic files under ``root/name``; returns the configuration that reads them."""
    folder = root / name
    folder.mkdir(parents=True)

    def table(suffix: str, columns: str, rows: list) -> None:
        lines = [columns.replace(" ", "\t")] + ["\t".join(row) for row in rows]
        (folder / f"{name}.{suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")

    for part, rows in (parts or PARTS).items():
        table(f"{part}.inter", "user_id:token item_id:token", rows)
    table("item", "item_id:token", [(item,) for item in ITEMS])
    table("link", "item_id:token entity_id:token", LINKS)
    table("kg", "head_id:token relation_id:token tail_id:token", TRIPLES)
    return {"data_path": str(root), "benchmark_filename": ["train", "valid", "test"],
            "show_progress": False, "state": "error", "topk": [2], "valid_metric": "Recall@2"}


def token_pairs(part) -> list[tuple[str, str]]:
    """Pairs of a RecBole dataset by their tokens, sorted."""
    users = part.id2token(part.uid_field, part.inter_feat[part.uid_field].numpy())
    items = part.id2token(part.iid_field, part.inter_feat[part.iid_field].numpy())
    return sorted(zip(users.tolist(), items.tolist()))
