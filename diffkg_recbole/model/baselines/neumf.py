"""NeuMF with a full-sort score."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.general_recommender.neumf import NeuMF as RecBoleNeuMF
from torch import Tensor, nn

# Numbers held at a time by a full-sort score; 2^23 float32 are 32 MB.
_NUMBERS_PER_BLOCK = 1 << 23


class NeuMF(RecBoleNeuMF):
    """RecBole's NeuMF; all items of a user are scored without listing the pairs (equal values).

    The first layer of the tower is linear in user and item, so its halves are computed once for
    every user and item instead of for every pair.
    """

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, [users * items], in blocks of users."""
        widest = max([self.mf_embedding_size, *self.mlp_hidden_size])
        step = max(1, _NUMBERS_PER_BLOCK // (self.n_items * widest))
        users = interaction[self.USER_ID]
        logits = torch.cat([self._score_items(block) for block in users.split(step)])
        return self.sigmoid(logits).view(-1)

    def _score_items(self, users: Tensor) -> Tensor:
        """Logits of all items, [b, n_items]."""
        weight = self.predict_layer.weight.squeeze(0)
        logits = self.predict_layer.bias
        if self.mf_train:
            n_factors = self.mf_embedding_size
            weighted = self.user_mf_embedding(users) * weight[:n_factors]
            logits = logits + weighted @ self.item_mf_embedding.weight.t()
            weight = weight[n_factors:]
        if self.mlp_train:
            logits = logits + self._tower(users) @ weight
        return logits

    def _tower(self, users: Tensor) -> Tensor:
        """Output of the perceptron for all pairs, [b, n_items, size]."""
        first, rest = None, []
        for module in self.mlp_layers.mlp_layers:
            if first is None:
                first = module if isinstance(module, nn.Linear) else None
            else:
                rest.append(module)
        assert first is not None
        size = self.mlp_embedding_size
        of_users = self.user_mlp_embedding(users) @ first.weight[:, :size].t()
        of_items = self.item_mlp_embedding.weight @ first.weight[:, size:].t() + first.bias
        hidden = of_users.unsqueeze(1) + of_items
        for module in rest:
            hidden = module(hidden)
        return hidden
