"""Links between items and entities: one to one, and such that they join what is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from diffkg_recbole.data.token_order import token_order
from diffkg_recbole.errors import DataError
from diffkg_recbole.text import one_line

_LOW_COVERAGE = 0.5


def one_to_one(items: pd.Series, entities: pd.Series) -> tuple[pd.DataFrame, str | None]:
    """Links of which no item and no entity has another one.

    Of several entities of an item the first in the order of tokens counts, then of several items
    of an entity the first; the order of lines does not matter.

    Args:
        items, entities: [n] str each; row r is line r + 2 of the file.

    Returns:
        frame with columns ``item`` and ``entity``; and what was left out, in words.
    """
    links = pd.DataFrame({"item": items.to_numpy(), "entity": entities.to_numpy()})
    item, entity = _rank(links["item"]), _rank(links["entity"])
    links = links.iloc[np.lexsort((entity, item))]
    kept = links[~links["item"].duplicated()]
    kept = kept[~kept["entity"].duplicated()]
    left_out = links.index.difference(kept.index)
    if len(left_out) == 0:
        return kept, None
    return kept, (
        f"{len(left_out)} links repeat an item or an entity (first on line {left_out[0] + 2}); "
        "of each the link whose token comes first is used"
    )


def _rank(tokens: pd.Series) -> np.ndarray:
    codes, different = pd.factorize(tokens)
    rank = np.empty(len(different), dtype=np.int64)
    rank[token_order(np.asarray(different))] = np.arange(len(different))
    return rank[codes]


def check_coverage(
    path: Path, links: Mapping[str, str], kept: Mapping[str, str], items: Collection[str],
    entities: Collection[str],
) -> str | None:
    """What is odd about how many items have a triple.

    Args:
        path: the ``.link`` file.
        links: item to entity, as the file has them.
        kept: those of known items and entities.
        items, entities: tokens of the interactions and item file, and of the graph.

    Returns:
        a warning where less than half of the items have a triple.

    Raises:
        DataError: no item has one.
    """
    if not kept:
        if not links:
            raise DataError(path, "holds no link", "item and entity of each item of the graph")
        one, other = (("items", items), ("entities", entities))
        name, known, linked = (
            (*one, links.keys()) if not any(i in items for i in links)
            else (*other, links.values()))
        where = "the interactions or the item file" if name == "items" else "the graph"
        raise DataError(
            path, f"joins no item to a triple: it has {name} such as {_three(linked)}, {where} "
            f"{_three(known)}", f"the {name} as {where} has them")
    share = len(kept) / len(items)
    if share < _LOW_COVERAGE:
        loose = [i for i in items if i not in kept]
        return (f"{path}: only {len(kept)} of {len(items)} items ({share:.0%}) are linked to a "
                f"triple; of the others the graph says nothing (such as {_three(loose)})")
    return None


def _three(tokens: Iterable[str]) -> str:
    """The first three tokens in the order of tokens, shortened."""
    tokens = np.array(sorted(tokens)[:1000], dtype=object)
    return ", ".join(f"'{one_line(token)[:60]}'" for token in tokens[token_order(tokens)][:3])
