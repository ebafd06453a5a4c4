"""The shipped synthetic data set is what its generator gives, and holds what it promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converters import synthetic
from converters.audit import audit
from tests.converters.conftest import REPOSITORY

SHIPPED = REPOSITORY / "atomic_data" / "tiny"


def test_the_generator_writes_the_shipped_files(tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert synthetic.main([]) == 0
    written = tmp_path / "atomic_data" / "tiny"
    assert {p.name for p in written.iterdir()} == {p.name for p in SHIPPED.iterdir()}
    for path in written.iterdir():
        if path.name == "dataset.json":
            ours, theirs = (json.loads(p.read_text()) for p in (path, SHIPPED / path.name))
            del ours["tool"], theirs["tool"]
            assert ours == theirs
        else:
            assert path.read_bytes() == (SHIPPED / path.name).read_bytes()
    shipped = REPOSITORY / "configs" / "datasets" / "tiny.yaml"
    assert (tmp_path / "configs" / "datasets" / "tiny.yaml").read_text() == shipped.read_text()


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 60_000


def test_it_holds_one_of_everything() -> None:
    found = {finding.key: finding.count for finding in audit(synthetic.tiny())}
    assert found == {
        "duplicate_train_pairs": 0, "duplicate_test_pairs": 0,
        "train_test_overlap": synthetic.OVERLAP, "items_only_in_test": 1, "users_only_in_test": 1,
        "users_without_training_pairs": 2, "users_without_pairs": 1,
        "items_without_pairs": len(synthetic.SILENT_ITEMS),
        "items_without_triple": synthetic.UNLINKED_ITEMS,
        "isolated_entities": synthetic.ISOLATED, "unused_relations": 0,
        "duplicate_triples": synthetic.REPEATED_TRIPLES, "pairs_with_several_relations": 1,
        "pairs_in_both_directions": 1, "self_loops": 1,
    }
    train = synthetic.tiny().train
    assert (train[:, 0] == synthetic.SINGLE_USER).sum() == 1


def test_genres_tell_tastes() -> None:
    """There is something to learn: most of a user's pairs share one of two genres."""
    data = synthetic.tiny()
    genre = dict(t[[0, 2]].tolist() for t in data.triples if t[1] == synthetic.GENRE_OF)
    shares = []
    for user in range(synthetic.USERS - 3):
        of_user = [genre[i] for i in data.train[data.train[:, 0] == user, 1].tolist() if i in genre]
        top_two = sorted((of_user.count(g) for g in set(of_user)), reverse=True)[:2]
        shares.append(sum(top_two) / len(of_user))
    assert sum(shares) / len(shares) > 0.6
