"""Fingerprint of the compared data: a hash of the users', items' and pairs' own names."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def _rank_of_ids(tokens: np.ndarray) -> tuple[np.ndarray, str]:
    """Rank of each id's token in sorted order ([PAD] first), and a hash of the sorted tokens."""
    names = np.asarray(tokens[1:], dtype=str)
    order = np.argsort(names, kind="stable")
    rank = np.zeros(len(tokens), dtype=np.int64)
    rank[1 + order] = np.arange(1, len(tokens))
    return rank, hashlib.sha256("\n".join(names[order]).encode()).hexdigest()


def fingerprint(parts: dict[str, Any]) -> dict[str, Any]:
    """Hash what a comparison must hold fixed.

    Internal ids differ between RecBole's dataset types; the hashes are over tokens, so that a
    general and a knowledge model on the same data have the same fingerprint.

    Args:
        parts: RecBole datasets by name (``train``, ``valid``, ``test``).

    Returns:
        sha256 (hex) of each part's pairs as a multiset, of ``users`` and ``items`` (the
        candidates), ``all`` over these, and ``counts``.
    """
    some = next(iter(parts.values()))
    user_rank, users = _rank_of_ids(some.field2id_token[some.uid_field])
    item_rank, items = _rank_of_ids(some.field2id_token[some.iid_field])
    result: dict[str, Any] = {"users": users, "items": items}
    for name, part in parts.items():
        user = user_rank[part.inter_feat[part.uid_field].numpy()]
        item = item_rank[part.inter_feat[part.iid_field].numpy()]
        keys = np.sort(user * len(item_rank) + item).astype("<i8")
        result[name] = hashlib.sha256(keys.tobytes()).hexdigest()
    joined = "".join(result[name] for name in sorted(result))
    result["all"] = hashlib.sha256(joined.encode()).hexdigest()
    result["counts"] = {
        "users": some.user_num - 1, "items": some.item_num - 1,
        **{name: len(part) for name, part in parts.items()},
    }
    return result
