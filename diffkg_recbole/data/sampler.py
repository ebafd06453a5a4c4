"""Negative samplers that check their draws against sorted keys, all rows at once.

RecBole keeps a Python set per user and looks every draw up in a Python loop. The draws here are
the same uniform (or popularity) numbers from NumPy's global generator, rejected by one binary
search; the accepted values equal RecBole's for the same generator state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.sampler import KGSampler, Sampler
from recbole.sampler.sampler import AbstractSampler

from diffkg_recbole.data.pairs import UsedPairs
from diffkg_recbole.errors import UserError
from diffkg_recbole.text import one_line


class _RejectUsed(AbstractSampler):
    """Mix-in: drawing by RecBole's samplers, vectorised."""

    used_ids: UsedPairs

    def _build_alias_table(self) -> None:
        super()._build_alias_table()
        self._candidates = np.array(list(self.prob))
        self._kept_share = np.array(list(self.prob.values()))
        self._alias_of = np.array([self.alias[candidate] for candidate in self.prob])

    def _pop_sampling(self, sample_num: int) -> np.ndarray:
        # NumPy's global generator: RecBole's draws, value by value.
        place = np.random.randint(0, len(self._candidates), sample_num)  # noqa: NPY002
        kept = self._kept_share[place] > np.random.random(sample_num)  # noqa: NPY002
        return np.where(kept, self._candidates[place], self._alias_of[place])

    def sample_by_key_ids(self, key_ids: np.ndarray, num: int) -> torch.Tensor:
        """``num`` values for each key that the key has not used. [len(key_ids) * num] int64."""
        keys = np.tile(np.asarray(key_ids), num)
        values = np.zeros(len(keys), dtype=np.int64)
        open_rows = np.arange(len(keys))
        while len(open_rows) > 0:
            values[open_rows] = self.sampling(len(open_rows))
            used = self.used_ids.contains(keys[open_rows], values[open_rows])
            open_rows = open_rows[used]
        return torch.from_numpy(values)


class PairSampler(_RejectUsed, Sampler):
    """Negative items of users; the positives of earlier phases count as used (as RecBole's)."""

    def get_used_ids(self) -> dict[str, UsedPairs]:
        """Pairs of a phase and of all phases before it, by phase."""
        used: dict[str, UsedPairs] = {}
        before = None
        for phase, dataset in zip(self.phases, self.datasets):
            users = dataset.inter_feat[self.uid_field].numpy()
            items = dataset.inter_feat[self.iid_field].numpy()
            used[phase] = before = UsedPairs(users, items, self.item_num, before)
        full = used[self.phases[-1]].full_keys(self.user_num)
        if len(full):
            raise UserError(_no_negative_item(self.datasets[0], full, self.item_num - 1))
        return used


class KnowledgeSampler(_RejectUsed, KGSampler):
    """Negative tails of head entities."""

    def get_used_ids(self) -> UsedPairs:
        """(head, tail) pairs of the graph."""
        used = UsedPairs(self.hid_list, self.tid_list, self.entity_num)
        full = used.full_keys(self.entity_num)
        if len(full):
            raise UserError(
                f"{len(full)} entity(s) are joined to every entity, so no negative tail can "
                f"be drawn for them"
            )
        return used


def _no_negative_item(dataset: Any, users: np.ndarray, n_items: int) -> str:
    """What is wrong with users of every item, and what helps."""
    names = ", ".join(f"'{one_line(name)[:60]}'"
                      for name in dataset.field2id_token[dataset.uid_field][users[:3]])
    if dataset.benchmark_filename_list is None:
        way_out = f"leave them out with user_inter_num_interval: [0,{n_items})"
    else:
        way_out = "take their lines out of the given parts"
    return (f"{len(users)} user(s) interacted with every item ({names}), so no negative item can "
            f"be drawn for them; {way_out}, or list further items in the item file")
