"""Evaluation: top-K lists, vectorised ranking metrics."""

from diffkg_recbole import needs_recbole  # noqa: F401
from diffkg_recbole.evaluation.evaluator import RankedUsers, RankingCollector, RankingEvaluator

__all__ = ["RankedUsers", "RankingCollector", "RankingEvaluator"]
