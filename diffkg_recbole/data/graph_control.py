"""Graph controls: what a comparison needs to say that the graph helped."""

from __future__ import annotations

import numpy as np
import pandas as pd


def control_triples(
    triples: pd.DataFrame, control: str, seed: int, fields: tuple[str, str, str]
) -> pd.DataFrame:
    """Replace the triples of a graph by a control.

    ``random``: the same number of triples; heads and relations stay, each tail is drawn
    uniformly from the entities of the graph. ``none``: one self loop per entity on one relation,
    so that every model still runs while the graph says nothing about any pair of entities.

    Args:
        triples: integer ids (RecBole's, [PAD] = 0), one row a triple.
        control: ``none`` or ``random``.
        seed: draws the random tails.
        fields: column names of head, relation and tail.

    Returns:
        a new frame with the same columns.
    """
    head, relation, tail = fields
    entities = np.unique(np.concatenate([triples[head].to_numpy(), triples[tail].to_numpy()]))
    if control == "none":
        first = int(triples[relation].min())
        return pd.DataFrame({head: entities, relation: np.full_like(entities, first),
                             tail: entities})[list(triples.columns)]
    if control == "random":
        drawn = np.random.default_rng(seed).integers(len(entities), size=len(triples))
        return triples.assign(**{tail: entities[drawn]})
    raise ValueError(f"unknown graph control {control!r}")
