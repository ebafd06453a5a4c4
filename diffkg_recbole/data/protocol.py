"""Evaluation protocols: which pairs are trained on, tested, and masked when ranking.

========= ============================= ============================== ======================
protocol  test pairs                    masked when ranking            epoch chosen on
========= ============================= ============================== ======================
clean     without duplicates and pairs  train (and validation when     validation part
          that are also in train or     testing)
          validation
authors   as given                      every training item, even if   the test part
                                        it is a test positive
recbole   as given                      training items that are no     validation part
                                        test positive of the user
========= ============================= ============================== ======================

Under ``clean`` the validation part, too, loses its duplicates and training pairs. The candidates
are all items in each protocol.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction

from diffkg_recbole.data.pairs import among, distinct, first_of_each, pair_keys


def _keep(part: Any, mask: np.ndarray) -> Any:
    if mask.all():
        return part
    kept = torch.from_numpy(np.flatnonzero(mask))
    columns = part.inter_feat.interaction
    return part.copy(Interaction({name: column[kept] for name, column in columns.items()}))


def _join(part: Any, other: Any) -> Any:
    from recbole.data.interaction import cat_interactions

    if len(other) == 0:
        return part
    return part.copy(cat_interactions([part.inter_feat, other.inter_feat]))


def apply_protocol(parts: list[Any], protocol: str, n_items: int) -> tuple[list[Any], dict]:
    """Parts [train, valid, test] of a RecBole dataset as the protocol wants them.

    Args:
        parts: RecBole datasets with ``inter_feat`` as Interaction.
        protocol: ``clean``, ``authors`` or ``recbole``.
        n_items: size of the item id space.

    Returns:
        the new parts, and a report: protocol, counts before and after, pairs that were removed
        and the overlaps that were found.
    """
    train, valid, test = parts
    keys = {name: pair_keys(part, n_items)
            for name, part in zip(("train", "valid", "test"), parts)}
    sets = {name: distinct(k) for name, k in keys.items()}
    in_train = among(keys["test"], sets["train"])
    in_valid = among(keys["test"], sets["valid"])
    valid_in_train = among(keys["valid"], sets["train"])
    report: dict[str, Any] = {
        "protocol": protocol,
        "given": {name: len(k) for name, k in keys.items()},
        "duplicates": {name: len(k) - len(sets[name]) for name, k in keys.items()},
        "test_pairs_also_in_train": int(in_train.sum()),
        "test_pairs_also_in_valid": int(in_valid.sum()),
        "valid_pairs_also_in_train": int(valid_in_train.sum()),
    }
    if protocol == "clean":
        valid = _keep(valid, first_of_each(keys["valid"]) & ~valid_in_train)
        test = _keep(test, first_of_each(keys["test"]) & ~in_train & ~in_valid)
    elif protocol == "authors":
        train, valid = _join(train, valid), test
    report["used"] = {"train": len(train), "valid": len(valid), "test": len(test)}
    report["test_selected"] = protocol == "authors"
    return [train, valid, test], report
