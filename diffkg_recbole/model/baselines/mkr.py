"""MKR with its cross-and-compress unit in linear time."""

from __future__ import annotations

from typing import Any

from recbole.model.knowledge_aware_recommender.mkr import MKR as RecBoleMKR
from recbole.model.knowledge_aware_recommender.mkr import CrossCompressUnit as RecBoleUnit
from torch import Tensor

from diffkg_recbole.model.evaluation_cache import EvaluationCache


class CrossCompressUnit(RecBoleUnit):
    """C = v eᵀ compressed by weight vectors, without C.

    v' = C w_vv + Cᵀ w_ev + b and e' = C w_ve + Cᵀ w_ee + b, where C w = v ⟨e, w⟩ and
    Cᵀ w = e ⟨v, w⟩: O(d) per pair where RecBole builds the d × d matrix of each.
    """

    def forward(self, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
        """[v, e], each [n, d], to (v', e'), each [n, d]."""
        v, e = inputs

        def compress(direct: Any, transposed: Any) -> Tensor:
            bias = direct.bias + transposed.bias
            return v * (e @ direct.weight.t()) + e * (v @ transposed.weight.t()) + bias

        return compress(self.fc_vv, self.fc_ev), compress(self.fc_ve, self.fc_ee)


class MKR(EvaluationCache, RecBoleMKR):
    """RecBole's MKR.

    - Cross-and-compress units in linear time (equal values).
    - ``full_sort_predict``: items pass the units once per evaluation, users once, and the scores
      are one product. With ``use_inner_product: False`` pairs are scored one by one.
    """

    cached = ("restore_item_e",)
    restore_item_e: Tensor | None

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        for name, unit in list(self.cc_unit.named_children()):
            fast = CrossCompressUnit(unit.dim)
            fast.load_state_dict(unit.state_dict())
            self.cc_unit.add_module(name, fast)
        self.forget()

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, [users * items]."""
        if not self.use_inner_product:
            raise NotImplementedError  # the trainer then scores pairs through predict
        if self.restore_item_e is None:
            tables = self.item_embeddings_lookup, self.entity_embeddings_lookup
            items = [table.weight[: self.n_items] for table in tables]
            self.restore_item_e = self.cc_unit(items)[0]
        users = self.user_mlp(self.user_embeddings_lookup(interaction[self.USER_ID]))
        return (users @ self.restore_item_e.t()).view(-1)
