"""The audit against counts taken by hand and by plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from converters.audit import audit, counts
from converters.knowledge_data import KnowledgeData, distinct_pairs
from converters.synthetic import tiny


def found(data: KnowledgeData) -> dict[str, tuple[int, int]]:
    return {finding.key: (finding.count, finding.total) for finding in audit(data)}


def by_hand() -> KnowledgeData:
    train, repeated = distinct_pairs(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2]), 6)
    return KnowledgeData(
        "hand", 5, 6, train, np.array([[0, 1], [0, 3], [2, 0]]),
        np.array([
            [0, 0, 7], [0, 0, 7],  # repeated
            [0, 3, 7],  # a second relation for the pair (0, 7)
            [7, 0, 0],  # the pair the other way round
            [1, 1, 1],  # from an entity to itself
            [9, 1, 8],
        ]),
        duplicates={"train": repeated, "test": 2},
    )


def test_counts_by_hand() -> None:
    assert found(by_hand()) == {
        "duplicate_train_pairs": (1, 5),
        "duplicate_test_pairs": (2, 5),
        "train_test_overlap": (1, 3),  # user 0, item 1
        "items_only_in_test": (1, 6),  # 3
        "users_only_in_test": (1, 5),  # 2
        "users_without_training_pairs": (3, 5),  # 2, 3, 4
        "users_without_pairs": (2, 5),  # 3, 4
        "items_without_pairs": (2, 6),  # 4, 5
        "items_without_triple": (4, 6),  # 2, 3, 4, 5
        "isolated_entities": (1, 4),  # 6
        "unused_relations": (1, 4),  # 2
        "duplicate_triples": (1, 6),
        "pairs_with_several_relations": (1, 4),  # (0, 7); also (7, 0), (1, 1), (9, 8)
        "pairs_in_both_directions": (1, 4),
        "self_loops": (1, 5),
    }
    assert counts(by_hand()) == {
        "users": 5, "items": 6, "train": 4, "test": 3, "pairs": 6, "overlap": 1, "triples": 6,
        "distinct_triples": 5, "relations": 3, "entities": 10, "entities_in_graph": 5,
        "items_in_graph": 2,
    }


def test_an_entity_list_counts_entities_beyond_the_graph() -> None:
    hand = by_hand()
    listed = KnowledgeData("hand", 5, 6, hand.train, hand.test, hand.triples, listed_entities=13)
    assert found(listed)["isolated_entities"] == (4, 7)


def test_every_finding_explains_itself() -> None:
    for finding in audit(tiny()):
        assert finding.meaning.endswith(".")
        assert finding.label


@pytest.mark.parametrize("seed", range(3))
def test_random_data_against_plain_loops(seed: int) -> None:
    generator = np.random.default_rng(seed)
    train, _ = distinct_pairs(*generator.integers(0, 12, (2, 40)), n_items=12)
    test, _ = distinct_pairs(*generator.integers(0, 12, (2, 25)), n_items=12)
    triples = np.stack([generator.integers(0, 20, 60), generator.integers(0, 4, 60),
                        generator.integers(0, 20, 60)], axis=1)
    data = KnowledgeData("random", 12, 12, train, test, triples)
    result = {key: count for key, (count, _) in found(data).items()}
    pairs, tests = set(map(tuple, train.tolist())), set(map(tuple, test.tolist()))
    relations_of: dict[tuple[int, int], set[int]] = {}
    for head, relation, tail in triples.tolist():
        relations_of.setdefault((head, tail), set()).add(relation)
    seen = {e for pair in relations_of for e in pair}
    assert result["train_test_overlap"] == len(pairs & tests)
    assert result["items_only_in_test"] == len({i for _, i in tests} - {i for _, i in pairs})
    assert result["users_without_pairs"] == 12 - len({u for u, _ in tests | pairs})
    assert result["items_without_triple"] == len(set(range(12)) - seen)
    assert result["isolated_entities"] == len(set(range(12, max(seen) + 1)) - seen)
    assert result["pairs_with_several_relations"] == sum(
        len(relations) > 1 for relations in relations_of.values())
    assert result["pairs_in_both_directions"] == sum(
        head < tail and (tail, head) in relations_of for head, tail in relations_of)
    assert result["self_loops"] == sum(
        len(relations) for (head, tail), relations in relations_of.items() if head == tail)
