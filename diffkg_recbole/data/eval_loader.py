"""Full-sort evaluation batches: arrays instead of a Python set per user, sized from memory."""

from __future__ import annotations

from logging import getLogger
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader

from diffkg_recbole.data.interactions import Interactions
from diffkg_recbole.data.pairs import among, distinct, pair_keys
from diffkg_recbole.data.train_loader import SingleProcess
from diffkg_recbole.evaluation.evaluator import divided_users

# Scores, their masked copy and the workspace of the top-k, each [users, items] float32.
_COPIES = 3


class _Rows:
    """Items grouped by user id, from ascending pair keys: CSR without the data array."""

    def __init__(self, keys: np.ndarray, n_users: int, n_items: int) -> None:
        self.items = torch.from_numpy(keys % n_items)
        self.start = np.searchsorted(keys, np.arange(n_users + 1) * n_items)

    def of(self, users: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """(row, item) of every value of the given users; row counts from 0."""
        start, stop = self.start[users], self.start[users + 1]
        length = stop - start
        row = np.repeat(np.arange(len(users)), length)
        offset = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        position = np.repeat(start, length) + offset
        return torch.from_numpy(row), self.items[torch.from_numpy(position)]


class FullSortLoader(FullSortEvalDataLoader):
    """Users with their positives and the items to mask.

    Args:
        config: configuration; ``eval_memory_mb`` bounds the scores of one batch.
        dataset: validation or test part.
        masked: datasets whose pairs are masked when ranking (train; and validation for testing).
        unmask_positives: a masked pair that is also a positive of this part counts as unmasked
            (RecBole's behaviour). Otherwise it stays masked and can never be hit.

    Attributes:
        uid_list: every evaluated user, ascending. Data parallel processes have a part of them
            each, in this order.
    """

    def __init__(
        self, config: Any, dataset: Any, masked: list[Any], unmask_positives: bool
    ) -> None:
        self.logger = getLogger()
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.is_sequential = False
        n_users, n_items = dataset.user_num, dataset.item_num
        positive = distinct(pair_keys(dataset, n_items))
        self.positives = _Rows(positive, n_users, n_items)
        past = distinct(np.concatenate([pair_keys(part, n_items) for part in masked]))
        if unmask_positives:
            past = past[~among(past, positive)]
        self.history = _Rows(past, n_users, n_items)
        self.uid_list = torch.from_numpy(np.flatnonzero(np.diff(self.positives.start)))
        self._own = self.uid_list[divided_users(config, len(self.uid_list))]
        self.user_df = dataset.join(Interactions({self.uid_field: self._own}))
        self.sample_size = len(self._own)
        AbstractDataLoader.__init__(self, SingleProcess(config), dataset, None, shuffle=False)

    def _init_batch_size_and_step(self) -> None:
        n_items = self._dataset.item_num
        budget = self.config["eval_memory_mb"] * 2**20
        users = int(budget // (n_items * 4 * _COPIES))
        self.step = max(1, min(users, self.sample_size))
        self.set_batch_size(self.step * n_items)

    def collate_fn(self, index: list[int]) -> tuple[Any, tuple, torch.Tensor, torch.Tensor]:
        """(users, (history row, history item), positive row, positive item) of a batch."""
        rows = np.asarray(index)
        users = self._own.numpy()[rows]
        history = self.history.of(users)
        positive_row, positive_item = self.positives.of(users)
        return self.user_df[rows], history, positive_row, positive_item
