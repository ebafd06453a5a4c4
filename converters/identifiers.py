"""From tokens of atomic files to the authors' integer ids, where items are the first entities."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .integer_text import ID_LIMIT

_CANONICAL = r"0|[1-9][0-9]{0,9}"  # the text of a number as str(number) gives it


@dataclass(frozen=True)
class Vocabularies:
    """Everything numbered.

    Attributes:
        n_users, n_items: sizes.
        user_ids, item_ids: (n,) int64, one per row of the pairs.
        triples: (m, 3) int64 head, relation, tail, in the file's order.
        exact: whether the tokens themselves were the ids.
        names: tokens by kind, indexed by id; empty where ``exact``.
        notices: links that were ignored, in words.
    """

    n_users: int
    n_items: int
    user_ids: np.ndarray
    item_ids: np.ndarray
    triples: np.ndarray
    exact: bool
    names: dict[str, pd.Series] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def number_tokens(
    pairs: pd.DataFrame, users: pd.Series | None, items: pd.Series | None,
    triples: pd.DataFrame, links: pd.DataFrame,
) -> Vocabularies:
    """Number users, items, entities and relations.

    Tokens that already are the authors' ids (users and items counted from 0 without gaps, every
    linked entity numbered as its item, every entity below the item count linked) are kept.
    Otherwise users and items are numbered in the order of their tokens (numeric where all are
    numbers, else of appearance), entities that are items take the item's id, the others follow,
    and relations are numbered likewise.

    Args:
        pairs: columns user, item.
        users, items: tokens of the ``.user`` and ``.item`` file, if there are such.
        triples: columns head, relation, tail.
        links: columns item, entity.
    """
    user_tokens = _distinct(users, pairs.iloc[:, 0])
    item_tokens = _distinct(items, pairs.iloc[:, 1])
    heads, relations, tails = (triples.iloc[:, column] for column in range(3))
    # Reading row by row gives the order of appearance.
    entity_tokens = pd.Index(pd.unique(np.stack([heads, tails], axis=1).ravel()))
    relation_tokens = pd.Index(pd.unique(relations))
    clean, notices = _clean_links(links, item_tokens)
    exact = not notices and _are_ids(user_tokens, item_tokens, entity_tokens, relation_tokens,
                                     clean)
    if exact:
        numbered = [series.astype(np.int64).to_numpy() for series in
                    (pairs.iloc[:, 0], pairs.iloc[:, 1], heads, relations, tails)]
        return Vocabularies(len(user_tokens), len(item_tokens), numbered[0], numbered[1],
                            np.stack(numbered[2:], axis=1), True)
    user_tokens, item_tokens, relation_tokens = (
        _in_order(tokens) for tokens in (user_tokens, item_tokens, relation_tokens)
    )
    entity_ids = _entity_ids(entity_tokens, item_tokens, clean)
    places = [entity_ids[entity_tokens.get_indexer(pd.Index(column))] for column in (heads, tails)]
    names = {kind: pd.Series(tokens.to_numpy(), index=np.arange(len(tokens))) for kind, tokens in
             (("user", user_tokens), ("item", item_tokens), ("relation", relation_tokens))}
    names["entity"] = pd.Series(entity_tokens.to_numpy(), index=entity_ids).sort_index()
    return Vocabularies(
        len(user_tokens), len(item_tokens),
        user_tokens.get_indexer(pd.Index(pairs.iloc[:, 0])),
        item_tokens.get_indexer(pd.Index(pairs.iloc[:, 1])),
        np.stack([places[0], relation_tokens.get_indexer(pd.Index(relations)), places[1]], axis=1),
        False, names, notices,
    )


def _distinct(listed: pd.Series | None, used: pd.Series) -> pd.Index:
    tokens = used if listed is None else pd.concat([listed, used])
    return pd.Index(pd.unique(tokens))


def _numbers(tokens: pd.Index) -> np.ndarray | None:
    """The tokens as int64, or None where one is not the plain text of an id."""
    if not tokens.str.fullmatch(_CANONICAL).all():
        return None
    values = tokens.astype(np.int64).to_numpy()
    return values if values.max(initial=0) < ID_LIMIT else None


def _are_ids(
    users: pd.Index, items: pd.Index, entities: pd.Index, relations: pd.Index, links: pd.DataFrame
) -> bool:
    for tokens in (users, items):
        numbers = _numbers(tokens)
        if numbers is None or numbers.max(initial=-1) + 1 != len(numbers):
            return False
    entity_numbers = _numbers(entities)
    if entity_numbers is None or _numbers(relations) is None:
        return False
    if not (links["item"] == links["entity"]).all():
        return False
    below = entities[entity_numbers < len(items)]
    return bool(below.isin(links["entity"]).all())


def _clean_links(links: pd.DataFrame, items: pd.Index) -> tuple[pd.DataFrame, list[str]]:
    """One entity per item and one item per entity, the first in the file; says what was left."""
    links = links.set_axis(["item", "entity"], axis=1).drop_duplicates()
    notices = []
    unknown = ~links["item"].isin(items)
    if unknown.any():
        example = links["item"][unknown].iloc[0]
        notices.append(f"{unknown.sum()} links ignored: their items occur in no interaction and "
                       f"no item file (the first is '{example}')")
        links = links[~unknown]
    for one, other in (("item", "entity"), ("entity", "item")):
        repeated = links[one].duplicated()
        if repeated.any():
            first = links[repeated].iloc[0]
            notices.append(
                f"{repeated.sum()} links ignored: their {one} has another {other} already (the "
                f"first is {one} '{first[one]}' with {other} '{first[other]}')"
            )
            links = links[~repeated]
    return links, notices


def _in_order(tokens: pd.Index) -> pd.Index:
    numbers = _numbers(tokens)
    return tokens if numbers is None else tokens[np.argsort(numbers, kind="stable")]


def _entity_ids(entities: pd.Index, items: pd.Index, links: pd.DataFrame) -> np.ndarray:
    """Id of every entity token: its item's, or the next after the items."""
    item_of = pd.Series(items.get_indexer(pd.Index(links["item"])), index=links["entity"])
    ids = item_of.reindex(entities, fill_value=-1).to_numpy().astype(np.int64)
    others = ids < 0
    ids[others] = len(items) + np.arange(others.sum())
    return ids
