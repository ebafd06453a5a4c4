"""What is odd in a data set, counted, and what each count does to results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .knowledge_data import KnowledgeData, distinct, distinct_rows, pair_keys


@dataclass(frozen=True)
class Finding:
    """One count of the audit.

    Attributes:
        key: name in ``dataset.json``.
        label: name in the table.
        count: how many there are.
        total: how many there could be.
        meaning: what they do to results, one sentence.
    """

    key: str
    label: str
    count: int
    total: int
    meaning: str


_MEANINGS = {
    "duplicate_train_pairs": (
        "repeated training pairs",
        "Written once: repetitions carry no weight in these models."),
    "duplicate_test_pairs": (
        "repeated test pairs",
        "Written once: a repetition would count one hit twice."),
    "train_test_overlap": (
        "test pairs also in train",
        "Masking training items makes them impossible to hit, unmasking them makes them easy "
        "hits; the protocol 'clean' removes them from test, as it does test pairs that are also "
        "in the validation part."),
    "items_only_in_test": (
        "items only in test",
        "Models never see an interaction of them; only the graph can bring them up."),
    "users_only_in_test": (
        "users only in test",
        "They are ranked for without any history, and lower every mean over test users."),
    "users_without_training_pairs": (
        "users without training pairs",
        "Their embedding is never trained by an interaction."),
    "users_without_pairs": (
        "users without any pair",
        "Kept in .user so that sizes stay exact; they are neither trained on nor tested."),
    "items_without_pairs": (
        "items without any pair",
        "Kept in .item as candidates: leaving them out makes ranking easier."),
    "items_without_triple": (
        "items without a triple",
        "The graph says nothing about them; RecBole's own knowledge data set would drop their "
        "interactions."),
    "isolated_entities": (
        "isolated entity ids",
        "Ids that are no item and stand in no triple: the graph cannot use them, and they are "
        "not written."),
    "unused_relations": (
        "unused relation ids",
        "Gaps in the relation numbers; a program that counts relations as highest id + 1 trains "
        "embeddings for nothing."),
    "duplicate_triples": (
        "repeated triples",
        "Kept in .kg as given; DiffKG's graph uses each triple once, other models may weigh "
        "them twice."),
    "pairs_with_several_relations": (
        "(head, tail) with several relations",
        "DiffKG keeps one edge for a pair, the one with the lowest relation; the others are "
        "ignored."),
    "pairs_in_both_directions": (
        "pairs given in both directions",
        "The inverse of one is the other's pair, so DiffKG keeps the stated relation and drops "
        "the inverse."),
    "self_loops": (
        "triples from an entity to itself",
        "They feed an entity its own embedding and take a share of its attention."),
}


def audit(data: KnowledgeData) -> list[Finding]:
    """All findings, zero counts included, in the order of the table."""
    counts = {**_interaction_counts(data), **_graph_counts(data)}
    return [Finding(key, label, *counts[key], meaning)
            for key, (label, meaning) in _MEANINGS.items()]


def _interaction_counts(data: KnowledgeData) -> dict[str, tuple[int, int]]:
    in_train = [np.zeros(n, dtype=bool) for n in (data.n_users, data.n_items)]
    in_test = [np.zeros(n, dtype=bool) for n in (data.n_users, data.n_items)]
    for column in (0, 1):
        in_train[column][data.train[:, column]] = True
        in_test[column][data.test[:, column]] = True
    overlap = np.isin(
        pair_keys(data.test, data.n_items), pair_keys(data.train, data.n_items),
        assume_unique=True,
    )
    repeated = {part: int(data.duplicates.get(part, 0)) for part in ("train", "test")}
    users_only_test = int((in_test[0] & ~in_train[0]).sum())
    return {
        "duplicate_train_pairs": (repeated["train"], repeated["train"] + len(data.train)),
        "duplicate_test_pairs": (repeated["test"], repeated["test"] + len(data.test)),
        "train_test_overlap": (int(overlap.sum()), len(data.test)),
        "items_only_in_test": (int((in_test[1] & ~in_train[1]).sum()), data.n_items),
        "users_only_in_test": (users_only_test, data.n_users),
        "users_without_training_pairs": (int((~in_train[0]).sum()), data.n_users),
        "users_without_pairs": (int((~in_train[0] & ~in_test[0]).sum()), data.n_users),
        "items_without_pairs": (int((~in_train[1] & ~in_test[1]).sum()), data.n_items),
    }


def _graph_counts(data: KnowledgeData) -> dict[str, tuple[int, int]]:
    triples, _ = distinct_rows(data.triples)
    heads, relations, tails = triples.T
    seen = distinct(triples[:, [0, 2]].ravel())
    seen_items = int((seen < data.n_items).sum())
    others = data.n_entities - data.n_items
    pairs, uses = distinct_rows(triples[:, [0, 2]])
    size = data.n_entities
    loops = pairs[:, 0] == pairs[:, 1]
    forward = pairs[~loops] @ np.array([size, 1])
    backward = pairs[~loops] @ np.array([1, size])
    both_ways = int(np.isin(forward, backward, assume_unique=True).sum()) // 2
    relation_ids = int(relations.max()) + 1
    return {
        "items_without_triple": (data.n_items - seen_items, data.n_items),
        "isolated_entities": (others - (len(seen) - seen_items), others),
        "unused_relations": (relation_ids - data.n_relations, relation_ids),
        "duplicate_triples": (len(data.triples) - len(triples), len(data.triples)),
        "pairs_with_several_relations": (int((uses > 1).sum()), len(pairs)),
        "pairs_in_both_directions": (both_ways, len(pairs)),
        "self_loops": (int((heads == tails).sum()), len(triples)),
    }


def counts(data: KnowledgeData) -> dict[str, int]:
    """Sizes of a data set, as they stand in ``dataset.json`` and are checked against ``expected``.

    ``train`` counts the source's training part, before a validation part is cut from it.
    """
    train, test = (pair_keys(part, data.n_items) for part in (data.train, data.test))
    overlap = int(np.isin(test, train, assume_unique=True).sum())
    seen = distinct(data.triples[:, [0, 2]].ravel())
    return {
        "users": data.n_users,
        "items": data.n_items,
        "train": len(train),
        "test": len(test),
        "pairs": len(train) + len(test) - overlap,
        "overlap": overlap,
        "triples": len(data.triples),
        "distinct_triples": len(distinct_rows(data.triples)[0]),
        "relations": data.n_relations,
        "entities": data.n_entities,
        "entities_in_graph": len(seen),
        "items_in_graph": int((seen < data.n_items).sum()),
    }
