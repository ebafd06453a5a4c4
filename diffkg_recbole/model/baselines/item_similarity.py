"""What ItemKNN, EASE and SLIM share: scores are a sparse matrix times a similarity matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor


class FactoredScores:
    """Mix-in for models whose scores are ``left @ right``, rows users, columns items.

    RecBole keeps SciPy matrices in the checkpoint, which cannot be read back without unpickling
    code; here they are plain tensors. Scores go to the model's device.
    """

    left: Any  # csr_matrix [n_users, m]
    right: Any  # csr_matrix or ndarray [m, n_items]

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, [users * items]."""
        model: Any = self
        users = interaction[model.USER_ID].cpu().numpy()
        scores = self.left[users] @ self.right
        dense = np.asarray(scores.toarray() if hasattr(scores, "toarray") else scores)
        return torch.from_numpy(dense.ravel()).to(model.device)

    def predict(self, interaction: Any) -> Tensor:
        """Scores of the pairs of a batch, [n]."""
        model: Any = self
        users = interaction[model.USER_ID].cpu().numpy()
        items = interaction[model.ITEM_ID].cpu().numpy()
        columns = self.right[:, items].T
        scores = self.left[users].multiply(columns).sum(axis=1)
        return torch.from_numpy(np.asarray(scores).ravel()).to(model.device)

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Nothing to learn: a zero that the trainer can differentiate."""
        model: Any = self
        return next(model.parameters()).sum() * 0.0

    def other_parameter(self) -> dict[str, Any]:
        """Both matrices as plain tensors."""
        return {"left": _to_plain(self.left), "right": _to_plain(self.right)}

    def load_other_parameter(self, para: dict[str, Any] | None) -> None:
        """Restore :meth:`other_parameter`."""
        if para:
            self.left, self.right = _from_plain(para["left"]), _from_plain(para["right"])


def _to_plain(matrix: Any) -> dict[str, Any]:
    if isinstance(matrix, np.ndarray):
        return {"dense": torch.from_numpy(matrix)}
    return {
        "indptr": torch.from_numpy(matrix.indptr), "indices": torch.from_numpy(matrix.indices),
        "data": torch.from_numpy(matrix.data), "shape": list(matrix.shape),
    }


def _from_plain(plain: dict[str, Any]) -> Any:
    if "dense" in plain:
        return plain["dense"].cpu().numpy()
    parts = tuple(plain[name].cpu().numpy() for name in ("data", "indices", "indptr"))
    return sp.csr_matrix(parts, shape=tuple(plain["shape"]))
