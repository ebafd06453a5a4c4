"""Training batches: RecBole's own, in the same order and with the same negatives, faster.

RecBole hands every epoch's order to torch's ``DataLoader`` as a list of Python integers and picks
every row one by one. Here a batch is a slice of one permutation. For the same state of a loader's
generator and of NumPy's, the batches are the very same: the negatives of each batch are drawn when
its turn comes.

Data parallel: every process makes the same batches, from generators in the same state, and keeps
its share of the rows. The batches of two processes are thus those of one, whatever their number
and size. (torch's ``DistributedSampler``, which RecBole uses, shuffles by another rule and repeats
rows to divide an epoch evenly, so that its batches coincide with those of one process only without
shuffling and where the processes divide every batch.)
"""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import (
    KGDataLoader,
    KnowledgeBasedDataLoader,
    TrainDataLoader,
    UserDataLoader,
)
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from recbole.utils import KGDataLoaderState

from diffkg_recbole.data.interactions import Interactions
from diffkg_recbole.parallel import Part, rank_and_world


class SingleProcess:
    """A configuration as one process sees it: RecBole's loaders would otherwise divide the rows
    among the processes by themselves, with padding."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getitem__(self, key: str) -> Any:
        return True if key == "single_spec" else self._config[key]


class Slices(AbstractDataLoader):
    """Mix-in placed before a RecBole training loader.

    Attributes:
        part: rows of the global batch that the latest batch holds.
    """

    part: Part

    def __init__(self, config: Any, *arguments: Any, **options: Any) -> None:
        self._rank, self._world = rank_and_world(config)
        alone = config if config["single_spec"] else SingleProcess(config)
        super().__init__(alone, *arguments, **options)

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers > 0 and self._world == 1:
            return super().__iter__()
        return self._slices()

    def _slices(self) -> Iterator[Any]:
        n_rows, step = self.sample_size, self.step
        # torch's loader draws a seed for its workers before an epoch's order, and its sampler
        # one more permutation when it runs out; drawn here, too, all later epochs are the same.
        torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        order = self._order()
        for start in range(0, n_rows, step):
            if start + step > n_rows:
                self._order()
            index = order[start:start + step].numpy()
            yield self._own_rows(self.collate_fn(index), len(index))
        if n_rows % step == 0:
            self._order()

    def _order(self) -> torch.Tensor:
        if self.shuffle:
            return torch.randperm(self.sample_size, generator=self.generator)
        return torch.arange(self.sample_size)

    def _own_rows(self, batch: Interaction, n_rows: int) -> Interaction:
        """This process's share of a batch made from ``n_rows`` rows (and their negatives)."""
        self.part = part = Part.of(n_rows, self._rank, self._world)
        if part.is_whole:
            return batch
        # A batch lists its rows once, or once for each negative: copy after copy.
        copies = np.arange(len(batch) // n_rows)[:, None] * n_rows
        return Interactions(batch.interaction)[(copies + np.arange(part.begin, part.end)).ravel()]


class InteractionLoader(Slices, TrainDataLoader):
    """Interactions with their negatives."""


class UserLoader(Slices, UserDataLoader):
    """Users, for models that train on whole histories."""


class TripleLoader(Slices, KGDataLoader):
    """Triples, each with a negative tail."""


class KnowledgeLoader(KnowledgeBasedDataLoader):
    """Interactions, triples, or both at once, as :meth:`set_mode` says."""

    def __init__(
        self, config: Any, dataset: Any, sampler: Any, kg_sampler: Any, shuffle: bool = False
    ) -> None:
        self.logger = getLogger()
        self.general_dataloader = InteractionLoader(config, dataset, sampler, shuffle=shuffle)
        self.kg_dataloader = TripleLoader(config, dataset, kg_sampler, shuffle=True)
        self.shuffle, self.state = False, None
        self.kg_iter, self.gen_iter = None, None
        self._dataset = dataset

    @property
    def part(self) -> Part:
        """As :attr:`Slices.part`, of the interactions or, in state KG, of the triples."""
        triples = self.state == KGDataLoaderState.KG
        return (self.kg_dataloader if triples else self.general_dataloader).part

    def knowledge_shuffle(self, epoch_seed: int) -> None:
        """Nothing: the generators of all processes are in the same state as it is."""


# RecBole's loader of training batches -> the one used instead.
TRAIN_LOADERS: dict[type, type] = {
    TrainDataLoader: InteractionLoader,
    UserDataLoader: UserLoader,
    KnowledgeBasedDataLoader: KnowledgeLoader,
}
