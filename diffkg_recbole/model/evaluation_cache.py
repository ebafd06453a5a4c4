"""Embeddings computed once per evaluation, and forgotten when the model changes."""

from __future__ import annotations

from typing import Any


class EvaluationCache:
    """Mix-in for models that keep what ``full_sort_predict`` needs from batch to batch.

    RecBole clears such attributes in ``calculate_loss`` alone. Loading the best checkpoint after
    training therefore leaves those of the last epoch in place: KGIN and MCCLK report test metrics
    of the wrong epoch, and LightGCN, SGL and KGAT store them in every checkpoint. Here they are
    forgotten whenever the model is put into another mode (each evaluation does so) or gets other
    weights, and are no part of a checkpoint.
    """

    cached: tuple[str, ...] = ("restore_user_e", "restore_item_e")

    def forget(self) -> None:
        """Drop what was computed for an earlier evaluation."""
        for name in self.cached:
            setattr(self, name, None)

    def train(self, mode: bool = True) -> Any:
        """As ``nn.Module.train`` (``eval`` calls it too), with an empty cache afterwards."""
        result = super().train(mode)  # type: ignore[misc]
        self.forget()
        return result

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As ``nn.Module.load_state_dict``, with an empty cache afterwards."""
        result = super().load_state_dict(*args, **kwargs)  # type: ignore[misc]
        self.forget()
        return result

    def other_parameter(self) -> dict[str, Any]:
        """What a checkpoint holds beside the weights: without the cache."""
        values = super().other_parameter()  # type: ignore[misc]
        return {name: value for name, value in values.items() if name not in self.cached}

    def load_other_parameter(self, para: dict[str, Any] | None) -> None:
        """Restore :meth:`other_parameter`; a cache in a checkpoint (RecBole's own classes write
        one) is ignored."""
        if para is not None:
            para = {name: value for name, value in para.items() if name not in self.cached}
        super().load_other_parameter(para)  # type: ignore[misc]
        self.forget()
