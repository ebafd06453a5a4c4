"""RecBole's dataset building without its Python loops over interactions: same results."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from recbole.data.dataset import Dataset

from diffkg_recbole.data.interactions import Interactions


class Vectorised(Dataset):
    """Methods of RecBole's ``Dataset``, replaced one by one (a mix-in placed before it)."""
    def _dataframe_to_interaction(self, data: pd.DataFrame) -> Interactions:
        return Interactions(super()._dataframe_to_interaction(data).interaction)

    def join(self, df: Any) -> Any:
        """Add the features of the rows' users and items; ids alone add nothing."""
        for feat, field in ((self.user_feat, self.uid_field), (self.item_feat, self.iid_field)):
            if feat is not None and field in df and list(feat.columns) != [field]:
                df.update(feat[df[field]])
        return df

    def _get_illegal_ids_by_inter_num(
        self,
        field: str,
        feat: pd.DataFrame | None,
        inter_num: Counter,
        inter_interval: list[tuple] | None = None,
    ) -> set:
        """Ids whose number of occurrences lies outside the interval; RecBole asks id by id."""
        if inter_interval is None:
            return set()
        number = np.fromiter(inter_num.values(), dtype=np.int64, count=len(inter_num))
        legal = np.broadcast_to(self._within_intervals(number, inter_interval), number.shape)
        outside = Counter({i: n for (i, n), ok in zip(inter_num.items(), legal) if not ok})
        illegal = super()._get_illegal_ids_by_inter_num(field, None, outside, inter_interval)
        least = inter_interval[0][1] if inter_interval else -1
        if feat is not None and least > 0:  # ids that are listed but never occur
            illegal.update(i for i in feat[field].to_numpy() if inter_num[i] < least)
        return illegal

    def split_by_ratio(self, ratios: list[float], group_by: str | None = None) -> list[Any]:
        """Parts by ratios, within each group where ``group_by`` names a field.

        As in RecBole, groups come in the order of their first rows.
        """
        if group_by is None:
            return super().split_by_ratio(ratios, None)
        shares = [ratio / sum(ratios) for ratio in ratios]
        group = pd.factorize(self.inter_feat[group_by].numpy())[0]
        order = np.argsort(group, kind="stable")
        size = np.bincount(group)
        sizes, kind_of_group = np.unique(size, return_inverse=True)
        cuts = np.array([self._calcu_split_ids(int(n), shares) for n in sizes])
        first = np.cumsum(size) - size
        place = np.arange(len(group)) - np.repeat(first, size)
        cuts_of_row = np.repeat(cuts[kind_of_group], size, axis=0)
        part = (place[:, None] >= cuts_of_row).sum(axis=1)
        self._drop_unused_col()
        return [self.copy(self.inter_feat[order[part == number]]) for number in range(len(shares))]
