"""Evaluation: top-K lists, vectorised ranking metrics."""

from diffkg_recbole.evaluation.evaluator import RankedUsers, RankingCollector, RankingEvaluator

__all__ = ["RankedUsers", "RankingCollector", "RankingEvaluator"]
